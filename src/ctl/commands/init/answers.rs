//! What is asked of the person at the terminal. The credentials are not echoed.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};
use std::os::fd::AsFd as _;

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use secrecy::SecretString;
use tokio::sync::oneshot;

use crate::ctl::args::init::Init;
use crate::ctl::console::Console;
use crate::ctl::failure::{self, Failure};

/// More than any clearml.conf has.
const MOST: u64 = 1 << 20;

/// Answers from the flags, from a file or from the terminal.
#[derive(Debug)]
pub(super) struct Answers<'a> {
    asked: &'a Init,
    console: &'a Console,
    /// stdin and stderr are a terminal, and questions are allowed.
    terminal: bool,
}

impl<'a> Answers<'a> {
    pub(super) fn new(asked: &'a Init, console: &'a Console) -> Self {
        let terminal = io::stdin().is_terminal() && io::stderr().is_terminal() && !asked.yes;
        Self { asked, console, terminal }
    }

    pub(super) fn can_ask(&self) -> bool {
        self.terminal
    }

    /// The credentials block.
    pub(super) async fn credentials(&self) -> Result<SecretString, Failure> {
        match &self.asked.credentials {
            Some(path) if path.as_os_str() == "-" => {
                let hidden = Hidden::if_terminal();
                let read = interruptible(|| text(io::stdin().lock())).await;
                drop(hidden);
                read?.map_err(|error| Failure::file(path, error))
            }
            Some(path) => {
                let read = std::fs::File::open(path).and_then(text);
                read.map_err(|error| Failure::file(path, error))
            }
            None if self.terminal => self.pasted().await,
            None => Err(Failure::Usage {
                what: "there are no credentials, and no terminal to ask on".to_owned(),
                next: "give --credentials FILE, or --credentials - and the block on stdin",
            }),
        }
    }

    async fn pasted(&self) -> Result<SecretString, Failure> {
        self.console
            .say("In the ClearML web UI open Settings > Workspace > Create new credentials, copy the block that");
        self.console.say("begins with `api {`, and paste it here (it does not show; an empty line after it ends it):");
        let hidden = Hidden::if_terminal();
        let read = interruptible(|| block(io::stdin().lock())).await;
        drop(hidden);
        read?.map_err(|error| Failure::file("the terminal".as_ref(), error))
    }

    /// A line, or `default` for an empty one.
    pub(super) async fn line(&self, question: &str, default: &str) -> Result<String, Failure> {
        if !self.terminal {
            return Ok(default.to_owned());
        }
        self.console.say(&format!("{question} [{default}]:"));
        let read = interruptible(|| {
            let mut line = String::new();
            io::stdin().lock().take(4096).read_line(&mut line).map(|_| line.trim().to_owned())
        });
        let line = read.await?.map_err(|error| Failure::file("the terminal".as_ref(), error))?;
        Ok(if line.is_empty() { default.to_owned() } else { line })
    }

    /// Yes or no.
    pub(super) async fn yes(&self, question: &str, default: bool) -> Result<bool, Failure> {
        let answer = self.line(question, if default { "yes" } else { "no" }).await?;
        Ok(matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"))
    }
}

/// All of it.
fn text(from: impl io::Read) -> io::Result<SecretString> {
    let mut text = String::new();
    from.take(MOST).read_to_string(&mut text)?;
    Ok(SecretString::from(text))
}

/// Lines up to the first empty one after the braces are closed, or to the end.
fn block(from: impl io::BufRead) -> io::Result<SecretString> {
    let (mut text, mut depth) = (String::new(), 0_i64);
    for line in from.take(MOST).lines() {
        let line = line?;
        if line.trim().is_empty() && depth <= 0 && !text.trim().is_empty() {
            break;
        }
        let count = |brace: char| i64::try_from(line.matches(brace).count()).unwrap_or(0);
        depth += count('{') - count('}');
        text.push_str(&line);
        text.push('\n');
    }
    Ok(SecretString::from(text))
}

/// Reads on a thread of its own, which an interrupt leaves behind: a terminal cannot be told to stop reading, and has
/// to be given back its echo.
async fn interruptible<T: Send + 'static>(read: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    let (answer, answered) = oneshot::channel();
    let interrupted = || Failure::Setup {
        what: "interrupted; nothing has changed".to_owned(),
        next: "run `clearmlctl init` again when you have the credentials".to_owned(),
        code: failure::FAILED,
    };
    let reading = std::thread::Builder::new().spawn(move || answer.send(read()).map_err(drop));
    reading.map_err(|error| Failure::runtime(&error))?;
    // Cancel-safe: whichever comes first ends the waiting, and nothing is read after that.
    tokio::select! {
        answer = answered => answer.map_err(|_| interrupted()),
        _ = tokio::signal::ctrl_c() => Err(interrupted()),
    }
}

/// Keeps the terminal from showing what is typed, as long as it lives.
struct Hidden {
    before: Termios,
}

impl Hidden {
    /// None where stdin is no terminal.
    fn if_terminal() -> Option<Self> {
        let stdin = io::stdin();
        let before = tcgetattr(stdin.as_fd()).ok()?;
        let mut quiet = before.clone();
        quiet.local_flags.remove(LocalFlags::ECHO | LocalFlags::ECHONL);
        tcsetattr(stdin.as_fd(), SetArg::TCSANOW, &quiet).ok()?;
        Some(Self { before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // A terminal that has gone needs no echo.
        let _ = tcsetattr(io::stdin().as_fd(), SetArg::TCSANOW, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_pasted_block_ends_at_the_empty_line_after_its_last_brace() {
        let pasted = "\napi {\n\n  credentials {\n    \"access_key\" = \"a\"\n  }\n}\n\nlater\n";
        let read = block(pasted.as_bytes()).expect("read");
        assert!(read.expose_secret().trim().ends_with('}') && !read.expose_secret().contains("later"));
        let keys = block("access_key = a\nsecret_key = b\n\nlater\n".as_bytes()).expect("read");
        assert_eq!(keys.expose_secret(), "access_key = a\nsecret_key = b\n");
    }
}
