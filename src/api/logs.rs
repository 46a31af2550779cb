//! A Run's output as a stream: from its spool while there is one, else from the server.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::watch;
use tonic::Status;

use super::convert::signed;
use super::spool::{PIECE, Piece, Spool, Start, tail};
use super::status::{Reason, refuse};
use crate::domain::ids::UnixMillis;
use crate::engine::handle::{EngineError, Handle, RunView};
use crate::engine::ports::Desk;
use crate::rpc::v1;

/// How often the spool is looked at for more.
const POLL: Duration = Duration::from_millis(200);
/// Every so many looks the engine is asked whether the Run still lives.
const LOOKS_PER_QUESTION: u32 = 3;
/// Events of one request to the server.
const PAGE: u32 = 500;
/// What is kept of the server's log to find its last lines in.
const MOST_TAIL: usize = 1 << 20;

/// What a stream asks.
pub(super) struct World {
    pub(super) handle: Handle,
    pub(super) desk: Arc<dyn Desk>,
    pub(super) closing: watch::Receiver<bool>,
}

struct Reader {
    world: World,
    run: RunView,
    start: Start,
    follow: bool,
    source: Source,
    looks: u32,
}

enum Source {
    /// The spool has not been opened yet.
    Unopened,
    Spool(Spool),
    Server {
        after: Option<UnixMillis>,
        sent: u64,
        rest: Vec<u8>,
    },
    End,
}

/// At most one piece is in memory: the next is read when the caller has taken this one.
pub(super) fn stream(
    world: World,
    run: RunView,
    start: Start,
    follow: bool,
) -> BoxStream<'static, Result<v1::LogChunk, Status>> {
    let reader = Reader { world, run, start, follow, source: Source::Unopened, looks: 0 };
    let next = |mut reader: Reader| async {
        match reader.next().await {
            Ok(chunk) => chunk.map(|chunk| (Ok(chunk), reader)),
            Err(status) => {
                reader.source = Source::End;
                Some((Err(status), reader))
            }
        }
    };
    stream::unfold(reader, next).boxed()
}

impl Reader {
    async fn next(&mut self) -> Result<Option<v1::LogChunk>, Status> {
        loop {
            // Asked before reading: what was written before the end is then read after it.
            let live = self.run.live;
            match std::mem::replace(&mut self.source, Source::End) {
                Source::End => return Ok(None),
                Source::Unopened => self.source = self.open(live).await?,
                Source::Spool(spool) => {
                    let (spool, piece) = read(spool).await.map_err(|error| broken(&self.run.spool, &error))?;
                    if let Some(piece) = piece {
                        self.source = Source::Spool(spool);
                        return Ok(Some(chunk(piece)));
                    }
                    if self.follow && live {
                        self.wait().await?;
                        self.source = Source::Spool(spool);
                    }
                }
                Source::Server { after, sent, rest } => {
                    let (source, chunk) = self.page(after, sent, rest).await?;
                    self.source = source;
                    if chunk.is_some() {
                        return Ok(chunk);
                    }
                }
            }
        }
    }

    async fn open(&mut self, live: bool) -> Result<Source, Status> {
        let (path, start) = (self.run.spool.clone(), self.start);
        let opened =
            blocking(move || Spool::open(&path, start)).await.map_err(|error| broken(&self.run.spool, &error))?;
        Ok(match opened {
            Some(spool) => Source::Spool(spool),
            None if !live => Source::Server { after: None, sent: 0, rest: Vec::new() },
            None if !self.follow => Source::End,
            None => {
                self.wait().await?;
                Source::Unopened
            }
        })
    }

    /// Waits for more. A daemon that goes down says so, since the Run goes on: the reader can come back for the rest.
    async fn wait(&mut self) -> Result<(), Status> {
        tokio::select! {
            // Both arms only wait; nothing is lost with the one that is dropped.
            () = tokio::time::sleep(POLL) => {}
            () = super::closed(&mut self.world.closing) => return Err(EngineError::Closing.into()),
        }
        self.looks += 1;
        if self.looks.is_multiple_of(LOOKS_PER_QUESTION) {
            match self.world.handle.run(self.run.record.id.as_str()).await {
                Ok(run) => self.run = run,
                Err(EngineError::NotFound { .. }) => self.run.live = false,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The next piece of the server's log.
    async fn page(
        &self,
        after: Option<UnixMillis>,
        sent: u64,
        mut rest: Vec<u8>,
    ) -> Result<(Source, Option<v1::LogChunk>), Status> {
        let mut after = after;
        if rest.is_empty() {
            let (text, last) = match self.start {
                Start::Offset(_) => self.fetch(after).await?,
                Start::LastBytes(_) | Start::LastLines(_) => (self.fetch_tail().await?, None),
            };
            after = last;
            rest = text.into_bytes();
        }
        if rest.is_empty() {
            return Ok((Source::End, None));
        }
        let later = rest.split_off(rest.len().min(PIECE));
        let chunk = v1::LogChunk { offset: signed(sent), skipped: 0, from_server: true, data: rest };
        let sent = sent + chunk.data.len() as u64;
        let more = !later.is_empty() || after.is_some();
        let source = if more { Source::Server { after, sent, rest: later } } else { Source::End };
        Ok((source, Some(chunk)))
    }

    /// A page, and the last stamp if there may be another.
    async fn fetch(&self, after: Option<UnixMillis>) -> Result<(String, Option<UnixMillis>), Status> {
        let events = self.world.desk.log(&self.run.record.task, after, PAGE).await?;
        let last = events.last().map(|event| event.stamp);
        // A server that repeats itself must not make us go round for ever.
        let more = last.filter(|last| events.len() >= PAGE as usize && after.is_none_or(|after| *last > after));
        let mut text = String::new();
        for event in &events {
            text.push_str(&event.text);
            if !event.text.ends_with('\n') {
                text.push('\n');
            }
        }
        Ok((text, more))
    }

    async fn fetch_tail(&self) -> Result<String, Status> {
        let mut text = String::new();
        let mut after = None;
        loop {
            let (page, more) = self.fetch(after).await?;
            text.push_str(&page);
            if text.len() > MOST_TAIL {
                text = tail(&text, Start::LastBytes(MOST_TAIL as u64)).to_owned();
            }
            if more.is_none() {
                return Ok(tail(&text, self.start).to_owned());
            }
            after = more;
        }
    }
}

async fn read(mut spool: Spool) -> io::Result<(Spool, Option<Piece>)> {
    blocking(move || spool.next().map(|piece| (spool, piece))).await
}

/// Disks may be slow: reading is done on a thread that may wait.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn chunk(piece: Piece) -> v1::LogChunk {
    v1::LogChunk { offset: signed(piece.offset), skipped: signed(piece.skipped), from_server: false, data: piece.bytes }
}

fn broken(path: &Path, error: &io::Error) -> Status {
    let what = format_args!("cannot read {}: {error}", path.display());
    refuse(Reason::Spool, what, "look at the disk; the server's copy is `clearmlctl task log`")
}
