//! The world as the engine sees it, with a place to die before and after each thing that it does there: since the engine
//! reaches the world through its ports only, these are all the gaps between an act and its commit. Debug builds only;
//! tests/restart kills the daemon at each place, `make torture` at many. Nothing is put around anything unless a place
//! is named: see [`failpoint`].

mod clearml;
mod launcher;
mod store;

use std::sync::Arc;

use crate::engine::World;
use crate::sys::failpoint;

/// Puts the places around the doors to the server, the state directory and the launcher, if one is wanted.
pub(crate) fn around(world: World) -> World {
    if !failpoint::wanted() {
        return world;
    }
    World {
        clearml: Arc::new(clearml::Mortal(world.clearml)),
        store: Arc::new(store::Mortal(world.store)),
        launcher: Arc::new(launcher::Mortal(world.launcher)),
        ..world
    }
}

async fn mortal<T>(act: &str, doing: impl Future<Output = T>) -> T {
    failpoint::pass(&format!("before:{act}"));
    let done = doing.await;
    failpoint::pass(&format!("after:{act}"));
    done
}
