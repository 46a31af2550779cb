//! A daemon without rights.

use std::os::unix::fs::chown;
use std::path::Path;

use super::{NOBODY, World, is_root};

impl World {
    /// As [`World::new`], of a user without rights.
    pub(crate) async fn of_an_ordinary_user() -> Self {
        let world = Self::without_daemon().await;
        world.bring_uv();
        world.given_to_an_ordinary_user().started()
    }

    /// Where root tests, the programs become `nobody`'s; else they are an ordinary user's already.
    pub(crate) fn given_to_an_ordinary_user(mut self) -> Self {
        if !is_root() {
            return self;
        }
        let programs = self.dir.path().join("bin");
        std::fs::create_dir(&programs).expect("made");
        for program in ["clearmld", "clearmlctl", "clearmld-shim"] {
            let built = Path::new(env!("CARGO_BIN_EXE_clearmld")).with_file_name(program);
            std::fs::copy(built, programs.join(program)).expect("copied");
        }
        for path in [self.dir.path(), &self.state, &self.state.join("bin")] {
            if path.exists() {
                chown(path, Some(NOBODY), Some(NOBODY)).expect("given");
            }
        }
        self.user = Some((NOBODY, programs));
        self
    }
}
