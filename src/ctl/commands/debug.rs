//! `debug …`.

use std::path::{Path, PathBuf};

use super::doctor;
use crate::ctl::args::{Debug, Output};
use crate::ctl::bundle::{self, Entry};
use crate::ctl::connection;
use crate::ctl::console::Console;
use crate::ctl::failure::Failure;
use crate::ctl::render::table::Look;
use crate::ctl::render::{findings, json, time};

pub(super) async fn run(asked: &Debug, socket: Option<&Path>, console: &Console) -> Result<(), Failure> {
    let Debug::Bundle { file } = asked;
    let at = time::rfc3339(time::now());
    let name = format!("clearmld-debug-{}", at.replace([':', '.'], "-"));
    let path = file.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.tar.gz")));
    console.say("collecting; this can take a minute");
    let (channel, daemon) = match connection::connect(socket).await {
        Ok(channel) => (Some(channel), Ok(())),
        Err(failure) => (None, Err(failure.words().0)),
    };
    let mut entries = match &channel {
        Some(channel) => bundle::of_daemon(channel).await,
        None => Vec::new(),
    };
    let found = doctor::look(socket).await?;
    let plain = Look { terminal: false, colour: false };
    entries.push(Entry { name: "doctor.txt", text: format!("{}\n", findings::render(plain, &found)) });
    entries.push(Entry { name: "doctor.json", text: format!("{:#}\n", json::findings(&found)) });
    entries.extend(bundle::of_host().await);
    let mut entries = bundle::redacted(entries, channel.as_ref()).await?;
    entries.insert(0, bundle::contents(&entries, daemon.clone(), &at));
    let sealed = bundle::write(&path, &name, &entries)?;
    if let Err(reason) = daemon {
        console.say(&format!("warning: clearmld did not answer ({reason}); read the bundle before you send it"));
    }
    match console.output {
        Output::Table => console.data(&format!("{} ({} KiB)", path.display(), sealed.bytes.div_ceil(1024))),
        Output::Json => console.document(&serde_json::json!({"file": path, "bytes": sealed.bytes})),
    }
}
