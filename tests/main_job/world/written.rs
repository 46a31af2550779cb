//! What an operator writes for the daemon to read.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::World;

impl World {
    /// Declares a worker for the daemon's next look.
    pub(crate) fn declare(&self, stem: &str, text: &str) -> PathBuf {
        let directory = self.state.join("workers.d");
        std::fs::create_dir_all(&directory).expect("made");
        let file = directory.join(format!("{stem}.toml"));
        std::fs::write(&file, text).expect("written");
        file
    }

    /// Writes a clearml.conf for the daemon's next start.
    pub(crate) fn configure(&mut self, clearml_conf: &str) {
        let file = self.dir.path().join("clearml.conf");
        std::fs::write(&file, clearml_conf).expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("closed");
        self.config = Some(file);
    }
}
