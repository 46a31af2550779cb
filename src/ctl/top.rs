//! `top`: a live view of this host. [`model`] is what is shown and what a key means, pure; [`view`] draws it, pure;
//! [`feed`] asks the daemon; [`screen`] is the terminal, which is given back however we end.

mod feed;
mod keys;
mod model;
mod screen;
mod view;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::failure::Failure;
use feed::Feed;
use model::{Model, Wish};
use screen::Screen;

/// Between two drawings when nothing happens: times go on.
const BEAT: Duration = Duration::from_secs(1);
/// News and keys that wait; a terminal that is slow holds up the asking, which is right.
const WAITING: usize = 64;

/// Until `q`.
pub(super) async fn run(socket: Option<&Path>, colour: bool) -> Result<(), Failure> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Failure::Usage {
            what: "top needs a terminal to draw on".to_owned(),
            next: "for programs and pipes there are `clearmlctl status` and `clearmlctl run list`, with --output json",
        });
    }
    let (news_in, mut news) = mpsc::channel(WAITING);
    let mut feed = Feed::start(socket.map(PathBuf::from), news_in);
    let mut screen = Screen::enter().map_err(Failure::Output)?;
    let mut keys = keys::Keys::listen(WAITING);
    let mut model = Model::default();
    // A terminal that is closed, or a `kill`: it is given back all the same.
    let ended = |kind| signal(kind).map_err(|error| Failure::runtime(&error));
    let (mut terminated, mut hung_up) = (ended(SignalKind::terminate())?, ended(SignalKind::hangup())?);
    // Stopped by somebody else, and woken: the shell has had the terminal.
    let mut woken = ended(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?;
    let mut beat = tokio::time::interval(BEAT);
    loop {
        screen.draw(&model, colour).map_err(Failure::Output)?;
        // Cancel-safe: receivers and ticks lose nothing when another arm wins.
        let wish = tokio::select! {
            Some(news) = news.recv() => { model.hear(news); None }
            key = keys.next() => match key {
                Some(key) => model.press(key),
                // The terminal is gone.
                None => Some(Wish::Quit),
            },
            _ = terminated.recv() => Some(Wish::Quit),
            _ = hung_up.recv() => Some(Wish::Quit),
            _ = woken.recv() => { screen.resume().map_err(Failure::Output)?; None }
            _ = beat.tick() => { model.tick(super::render::time::now()); None }
        };
        match wish {
            Some(Wish::Quit) => return Ok(()),
            Some(Wish::Suspend) => screen.suspend().map_err(Failure::Output)?,
            Some(Wish::Ask(asked)) => feed.ask(asked).await,
            None => {}
        }
    }
}
