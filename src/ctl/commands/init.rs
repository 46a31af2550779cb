//! `init`: from the credentials block of the web UI to a running clearmld.
//!
//! Nothing is written before a login with it has succeeded ([`trial`]). Then one file is replaced, whole or not at all
//! ([`stored`]), the drop-in that hands it to the unit is put beside the unit, and the unit is enabled and started anew
//! ([`unit`]), which touches no Run. A second `init` changes nothing unless it is told to ([`course`]).

mod answers;
mod course;
mod first_worker;
mod stored;
mod trial;
mod unit;

use serde_json::json;

use self::answers::Answers;
use self::course::Course;
use self::stored::{Place, Stored};
use crate::ctl::args::init::Init;
use crate::ctl::args::{Global, Output};
use crate::ctl::console::Console;
use crate::ctl::failure::{self, Failure};

pub(super) async fn run(global: &Global, asked: &Init, console: &Console) -> Result<(), Failure> {
    let place = Place::below(asked.root.clone());
    if asked.root.is_none() {
        if !nix::unistd::geteuid().is_root() {
            return Err(not_root());
        }
        unit::possible()?;
    }
    let answers = Answers::new(asked, console);
    let stored = place.look()?;
    let changed = match course::decide(&stored, asked, answers.can_ask()) {
        Course::Keep => false,
        Course::Store => true,
        Course::Ask => answers.yes("This host is configured already. Replace its server and key pair?", false).await?,
        Course::Refuse => return Err(configured_already(&stored)),
    };
    let api_url = if changed { Some(store(asked, &place, &answers, console).await?) } else { None };
    if let Some(root) = &asked.root {
        console.say(&format!("{} is configured; clearmld starts with it at its next boot", root.display()));
        return report(console, changed, api_url.as_deref(), None);
    }
    unit::apply(changed).await?;
    let channel = unit::until_it_serves(global.socket.as_deref(), api_url.as_deref(), console).await?;
    let worker = first_worker::declare(channel, asked, &answers, console).await?;
    if worker.is_none() {
        console
            .say("next: `clearmlctl worker add --queue QUEUE` declares a worker; `clearmlctl status` shows this host");
    } else {
        console.say("next: enqueue a task (`clearmlctl submit` or the web UI); `clearmlctl status` shows this host");
    }
    report(console, changed, api_url.as_deref(), worker.as_deref())
}

/// Tries the credentials, then stores them. Returns the server's address.
async fn store(asked: &Init, place: &Place, answers: &Answers<'_>, console: &Console) -> Result<String, Failure> {
    let block = answers.credentials().await?;
    let approved = trial::run(asked, block).await?;
    let whom = approved.user.as_deref().map(|user| format!(" as {user}")).unwrap_or_default();
    let version = approved.server_version.as_deref().map(|found| format!(" (ClearML {found})")).unwrap_or_default();
    console.say(&format!("logged in at {}{version}{whom}", approved.api_url));
    place.store(&approved.document, asked.encrypt).await?;
    Ok(approved.api_url)
}

fn report(console: &Console, changed: bool, api_url: Option<&str>, worker: Option<&str>) -> Result<(), Failure> {
    match console.output {
        Output::Json => console.document(&json!({ "changed": changed, "api_url": api_url, "worker": worker })),
        Output::Table => Ok(()),
    }
}

fn not_root() -> Failure {
    Failure::Setup {
        what: "init configures clearmld.service of this host, which only root may do".to_owned(),
        next:
            "use sudo; a clearmld of your own reads ~/clearml.conf instead: put the credentials block there, mode 0600"
                .to_owned(),
        code: failure::DENIED,
    }
}

fn configured_already(stored: &Stored) -> Failure {
    Failure::Setup {
        what: format!("this host is configured already ({stored})"),
        next: "`clearmlctl status` shows its server; give --force to replace it".to_owned(),
        code: failure::CONFLICT,
    }
}
