//! Reading the operator's files, beside the loop: a disk that does not answer keeps nobody waiting but who asked for it.

use std::sync::Arc;

use futures_util::future::join_all;

use super::{Core, News};
use crate::domain::declared::DeclaredFile;
use crate::engine::handle::Reply;
use crate::engine::reload::Reload;
use crate::engine::{Settings, World};

/// What the operator's files say, as far as nobody but the disk has to be asked.
#[derive(Debug)]
pub struct Files {
    /// The settings, or everything that is wrong with them.
    pub(super) settings: Result<Box<Settings>, String>,
    /// The files of workers.d, or why the directory cannot be read.
    pub(super) workers: Result<Vec<Looked>, String>,
}

/// A file of workers.d.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) file: DeclaredFile,
    /// Whether what its tasks are to see is there, or why not.
    pub(super) paths: Result<(), String>,
}

impl Core {
    /// What a reload would do now; with `apply` it is done. One at a time, from reading to doing, so that what was read
    /// first is never followed last.
    pub(super) fn begin_reload(&mut self, apply: bool, reply: Reply<Reload>) {
        let (world, news, turns) = (self.world.clone(), self.news_in.clone(), Arc::clone(&self.reloads));
        self.errands.spawn(async move {
            // Nobody closes it.
            let Ok(turn) = turns.acquire_owned().await else { return };
            let files = Box::new(read(&world).await);
            let _ = news.send(News::Read { files, apply, reply, turn }).await;
        });
    }
}

/// All at once: a disk that hangs is waited for once, not once a file.
pub(super) async fn read(world: &World) -> Files {
    let reading = world.declarations.read().await;
    let look = |file: DeclaredFile| async move {
        let paths = match &file.said {
            Ok(draft) => world.outfitter.check_sandbox(&draft.sandbox).await.map_err(|error| error.reason),
            // It is refused for what is wrong with it.
            Err(_) => Ok(()),
        };
        Looked { file, paths }
    };
    let workers = match reading.workers {
        Ok(files) => Ok(join_all(files.into_iter().map(look)).await),
        Err(reason) => Err(reason),
    };
    Files { settings: reading.settings, workers }
}
