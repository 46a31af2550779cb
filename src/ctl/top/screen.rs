//! The terminal: taken when this begins, given back when it ends, whether well, by an error, by a panic or by a signal.

use std::io::{self, Stdout};
use std::sync::Once;

use crossterm::cursor::Show;
use crossterm::execute;
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use nix::sys::termios::{LocalFlags, tcgetattr};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

use super::model::Model;
use super::view;

/// See the module.
#[derive(Debug)]
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

fn take() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen)
}

fn give_back() {
    // Nobody could be told that it did not work.
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}

/// A panic's message must be readable where the shell is.
fn give_back_before_a_panic_is_told() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            tell(panic);
        }));
    });
}

impl Screen {
    pub(super) fn enter() -> io::Result<Self> {
        give_back_before_a_panic_is_told();
        let taken = take().and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        taken.map(|terminal| Self { terminal }).inspect_err(|_| give_back())
    }

    pub(super) fn draw(&mut self, model: &Model, colour: bool) -> io::Result<()> {
        self.terminal.draw(|frame| view::draw(frame, model, colour)).map(drop)
    }

    /// As Ctrl-Z does where a terminal is not raw; comes back when the shell wakes us.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        give_back();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TSTP)?;
        self.resume()
    }

    /// After somebody else may have had the terminal, who left it as a shell wants it.
    pub(super) fn resume(&mut self) -> io::Result<()> {
        if tcgetattr(io::stdin())?.local_flags.contains(LocalFlags::ICANON) {
            // Else it would be believed to be raw.
            disable_raw_mode()?;
            take()?;
        }
        // `clear` of the terminal's own would ask where its cursor is, and the answer is among the keys.
        execute!(io::stdout(), Clear(ClearType::All))?;
        self.terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read as _;
    use std::process::{Command, Stdio};

    use nix::pty::{Winsize, openpty};

    use super::*;

    /// Set for the process that has the terminal.
    const CHILD: &str = "CLEARMLD_TEST_PANICS_ON_ITS_SCREEN";

    #[test]
    fn a_panic_gives_the_terminal_back_before_it_is_told() {
        if std::env::var_os(CHILD).is_some() {
            let _screen = Screen::enter().expect("a terminal");
            panic!("the program is broken");
        }
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).expect("a pseudo-terminal");
        let end = || Stdio::from(pty.slave.try_clone().expect("cloned"));
        let (_, module) = module_path!().split_once("::").expect("a module of a crate");
        let this = format!("{module}::a_panic_gives_the_terminal_back_before_it_is_told");
        let status = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", &this, "--nocapture"])
            .env(CHILD, "1")
            .env("RUST_BACKTRACE", "0")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .status()
            .expect("it starts");
        assert!(!status.success());
        let (mut said, mut piece, mut output) = (String::new(), [0; 4096], File::from(pty.master));
        // All of it has been written.
        while !said.contains("test result") {
            let length = output.read(&mut piece).expect("read");
            said.push_str(&String::from_utf8_lossy(&piece[..length]));
        }
        let at = |what: &str| said.find(what).unwrap_or_else(|| panic!("no {what:?} in {said:?}"));
        assert!(
            at("\u{1b}[?1049h") < at("\u{1b}[?1049l") && at("\u{1b}[?1049l") < at("the program is broken"),
            "{said:?}"
        );
        let line = tcgetattr(&pty.slave).expect("a terminal").local_flags;
        assert!(line.contains(LocalFlags::ICANON | LocalFlags::ECHO), "the terminal is left raw");
    }
}
