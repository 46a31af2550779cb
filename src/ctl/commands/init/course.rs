//! What an `init` does to a host that may be configured already. No I/O.

use super::stored::Stored;
use crate::ctl::args::init::Init;

/// What to do with server and key pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    /// What is stored stays.
    Keep,
    /// Store what is given.
    Store,
    /// Ask whether what is stored is to go.
    Ask,
    /// Something else was given, and nobody said that it may replace what is stored.
    Refuse,
}

/// Somebody who gives credentials or addresses wants them stored; somebody who gives none wants to see or to go on.
pub(super) fn decide(stored: &Stored, asked: &Init, can_ask: bool) -> Course {
    let given = asked.credentials.is_some()
        || asked.api_server.is_some()
        || asked.web_server.is_some()
        || asked.files_server.is_some()
        || asked.ca_file.is_some()
        || asked.encrypt;
    match stored {
        Stored::Nothing => Course::Store,
        Stored::Plain(_) | Stored::Encrypted(_) if asked.force => Course::Store,
        Stored::Plain(_) | Stored::Encrypted(_) if !given => Course::Keep,
        Stored::Plain(_) | Stored::Encrypted(_) if can_ask => Course::Ask,
        Stored::Plain(_) | Stored::Encrypted(_) => Course::Refuse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(change: impl FnOnce(&mut Init)) -> Init {
        let mut asked = Init {
            credentials: None,
            api_server: None,
            web_server: None,
            files_server: None,
            ca_file: None,
            queue: None,
            create_queue: false,
            gpus: None,
            no_worker: false,
            force: false,
            encrypt: false,
            yes: false,
            root: None,
        };
        change(&mut asked);
        asked
    }

    #[test]
    fn a_host_that_is_configured_changes_only_when_told_to() {
        let stored = Stored::Plain("/etc/clearmld/credentials.conf".into());
        let with_file = || asked(|asked| asked.credentials = Some("-".into()));
        assert_eq!(decide(&Stored::Nothing, &asked(|_| ()), false), Course::Store);
        assert_eq!(decide(&stored, &asked(|asked| asked.queue = Some("q".into())), true), Course::Keep);
        assert_eq!(decide(&stored, &with_file(), true), Course::Ask);
        assert_eq!(decide(&stored, &with_file(), false), Course::Refuse);
        assert_eq!(decide(&stored, &asked(|asked| asked.force = true), false), Course::Store);
    }
}
