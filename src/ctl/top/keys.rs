//! Keys of the terminal, read on a thread of its own: reading them blocks.

use std::thread;
use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;

use super::model::Key;

/// How often the thread looks whether anybody still wants keys.
const LOOK: Duration = Duration::from_millis(250);

/// See the module.
#[derive(Debug)]
pub(super) struct Keys {
    received: mpsc::Receiver<Key>,
}

impl Keys {
    pub(super) fn listen(waiting: usize) -> Self {
        let (send, received) = mpsc::channel(waiting);
        thread::spawn(move || {
            while !send.is_closed() {
                match event::poll(LOOK) {
                    Ok(false) => {}
                    Ok(true) => match event::read() {
                        Ok(event) => {
                            if let Some(key) = key(&event)
                                && send.blocking_send(key).is_err()
                            {
                                return;
                            }
                        }
                        Err(_) => return,
                    },
                    Err(_) => return,
                }
            }
        });
        Self { received }
    }

    /// None when the terminal is gone.
    pub(super) async fn next(&mut self) -> Option<Key> {
        self.received.recv().await
    }
}

fn key(event: &Event) -> Option<Key> {
    match event {
        Event::Key(KeyEvent { kind: KeyEventKind::Release, .. }) => None,
        Event::Key(KeyEvent { code, modifiers, .. }) if modifiers.contains(KeyModifiers::CONTROL) => match code {
            KeyCode::Char('c' | 'd') => Some(Key::Quit),
            KeyCode::Char('z') => Some(Key::Suspend),
            _ => None,
        },
        Event::Key(KeyEvent { code, .. }) => match code {
            KeyCode::Up => Some(Key::Up),
            KeyCode::Down => Some(Key::Down),
            KeyCode::Enter => Some(Key::Enter),
            KeyCode::Esc | KeyCode::Backspace | KeyCode::Left => Some(Key::Escape),
            KeyCode::Char(character) => Some(Key::Other(*character)),
            _ => None,
        },
        Event::Resize(..) => Some(Key::Resized),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ctrl_c_quits_and_ctrl_z_suspends_since_the_terminal_does_neither_in_raw_mode() {
        let press = |code, modifiers| key(&Event::Key(KeyEvent::new(code, modifiers)));
        assert_eq!(press(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Key::Quit));
        assert_eq!(press(KeyCode::Char('z'), KeyModifiers::CONTROL), Some(Key::Suspend));
        assert_eq!(press(KeyCode::Char('j'), KeyModifiers::NONE), Some(Key::Other('j')));
    }
}
