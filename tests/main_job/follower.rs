use std::process::{Child, Command, Stdio};

use super::world::World;

/// A clearmlctl that goes on.
pub(crate) struct Follower {
    child: Child,
    file: tempfile::NamedTempFile,
}

impl Follower {
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.file.path()).expect("read")
    }

    /// Whether it has ended by itself, and well.
    pub(crate) fn ended(&mut self) -> bool {
        self.child.try_wait().expect("asked").is_some_and(|status| status.success())
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl World {
    /// A command that goes on, with its output in a file.
    pub(crate) fn follow(&self, args: &[&str]) -> Follower {
        let file = tempfile::NamedTempFile::new_in(self.path()).expect("a file");
        let child = Command::new(env!("CARGO_BIN_EXE_clearmlctl"))
            .args(args)
            .env("CLEARMLD_SOCKET", self.socket())
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(file.reopen().expect("opened"))
            .stderr(Stdio::null())
            .spawn()
            .expect("clearmlctl starts");
        Follower { child, file }
    }
}
