//! Brings a Run's output to the server, in order, each byte once.
//!
//! Offset and stamps of a request are kept *before* it is sent, so that a resend, also by a later daemon, is the same
//! events. When it is not known whether a request arrived, the server is asked for the stamps that it has, until two
//! answers agree (its store shows events late), and only what lacks is sent.

use std::collections::HashSet;

use secrecy::ExposeSecret;
use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep};

use super::ports::{LogEvent, LogLevel, PayloadToken, ServerError, StoreError};
use super::{Backoff, World};
use crate::domain::ids::{RunId, TaskId, UnixMillis, WorkerName};
use crate::domain::log::{self, Delivery, Pending};

/// Spool bytes in one request at most.
const REQUEST_BYTES: usize = 768 * 1024;
/// How often the spool is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How long an unfinished line may wait for its end.
const PATIENCE: Duration = Duration::from_millis(500);
/// The same for a line that is being overwritten: a progress bar is worth a line every few seconds, not every half.
const BAR_PATIENCE: Duration = Duration::from_secs(5);
/// How long the server's store may take to show an event.
const SETTLE: Duration = Duration::from_secs(2);
/// How much delivered output stays on disk before it is given back, and how much of it is kept for `run logs`.
const TRIM: u64 = 128 << 20;
const KEEP: u64 = 64 << 20;

/// Whose output it is.
#[derive(Debug, Clone)]
pub struct Address {
    /// The Run.
    pub run: RunId,
    /// Its task.
    pub task: TaskId,
    /// Its worker.
    pub worker: WorkerName,
}

/// Why shipping ended before everything was delivered.
#[derive(Debug, thiserror::Error)]
pub enum ShipError {
    /// The server will not have it (the task is deleted or published).
    #[error(transparent)]
    Refused(ServerError),
    /// Our own disk.
    #[error(transparent)]
    Store(StoreError),
}

/// Ships until the spool is at its end and `live` says that it cannot grow. Returns the last stamp used.
///
/// # Errors
/// When the rest can never be delivered.
pub async fn run(world: World, to: Address, mut live: watch::Receiver<bool>) -> Result<u64, ShipError> {
    let mut delivery = world.store.delivery(&to.run).await;
    let mut trimmed = 0;
    resolve(&world, &to, &mut delivery).await?;
    let mut waiting_since: Option<Instant> = None;
    loop {
        // Read the flag first: what was written before it fell is then seen below.
        let ended = !*live.borrow_and_update();
        let bytes = read(&world, &to, &delivery).await?;
        let patience = if bytes.contains(&b'\r') { BAR_PATIENCE } else { PATIENCE };
        let impatient = ended || waiting_since.is_some_and(|since| since.elapsed() >= patience);
        let Some(pending) = plan(&world, &delivery, &bytes, impatient) else {
            if ended && bytes.is_empty() {
                return Ok(delivery.stamp);
            }
            waiting_since = if bytes.is_empty() { None } else { waiting_since.or_else(|| Some(Instant::now())) };
            // Cancel-safe: both arms only wait.
            tokio::select! {
                () = sleep(LOOK) => {}
                _ = live.changed(), if !ended => {}
            }
            continue;
        };
        waiting_since = None;
        delivery.stamp = pending.events.last().map_or(delivery.stamp, |(stamp, _)| *stamp);
        delivery.pending = Some(pending);
        keep(&world, &to, &delivery).await?;
        send(&world, &to, &mut delivery).await?;
        if delivery.acknowledged - trimmed > TRIM {
            trimmed = delivery.acknowledged - KEEP;
            let _ = world.store.trim_spool(&to.run, trimmed).await;
        }
    }
}

/// Sends our own lines after the last of the output: once, although an answer may be lost and the daemon die meanwhile.
///
/// # Errors
/// When they can never be delivered.
pub async fn close(
    world: &World,
    to: &Address,
    not_before: UnixMillis,
    (level, text): (LogLevel, String),
) -> Result<(), ShipError> {
    let mut delivery = world.store.delivery(&to.run).await;
    let mut maybe_sent = delivery.closing.is_some();
    let stamp = delivery.closing.unwrap_or_else(|| (delivery.stamp + 1).max(not_before.0));
    if !maybe_sent {
        delivery.closing = Some(stamp);
        keep(world, to, &delivery).await?;
    }
    let events = [LogEvent { stamp: UnixMillis(stamp), level, text }];
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
    loop {
        if maybe_sent && missing(world, to, HashSet::from([stamp])).await?.is_empty() {
            return Ok(());
        }
        match world.clearml.send_log(&to.task, &to.worker, &events).await {
            Ok(()) => return Ok(()),
            Err(ServerError::Unreachable { maybe_done: true, .. }) => maybe_sent = true,
            Err(error) if error.retryable() => {
                maybe_sent = false;
                sleep(backoff.step()).await;
            }
            Err(error) => return Err(ShipError::Refused(error)),
        }
    }
}

/// Writes how far it is; a full disk and the like are waited for, since the rest of the output is on it.
async fn keep(world: &World, to: &Address, delivery: &Delivery) -> Result<(), ShipError> {
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
    loop {
        match world.store.put_delivery(&to.run, delivery).await {
            Err(error) if error.passes() => sleep(backoff.step()).await,
            other => return other.map_err(ShipError::Store),
        }
    }
}

async fn read(world: &World, to: &Address, delivery: &Delivery) -> Result<Vec<u8>, ShipError> {
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
    loop {
        match world.store.read_spool(&to.run, delivery.acknowledged, REQUEST_BYTES).await {
            Err(error) if error.passes() => sleep(backoff.step()).await,
            other => return other.map_err(ShipError::Store),
        }
    }
}

/// Cuts what is there into events with stamps of their own.
fn plan(world: &World, delivery: &Delivery, bytes: &[u8], flush: bool) -> Option<Pending> {
    let mut events = Vec::new();
    let mut at = 0;
    let mut stamp = delivery.stamp;
    while let Some(piece) = log::cut(&bytes[at..], flush) {
        at += piece.consumed;
        stamp = (stamp + 1).max(world.clock.now().0);
        events.push((stamp, delivery.acknowledged + at as u64));
    }
    (at > 0).then(|| Pending { end: delivery.acknowledged + at as u64, events })
}

/// What a crash left: a request that may have arrived.
async fn resolve(world: &World, to: &Address, delivery: &mut Delivery) -> Result<(), ShipError> {
    if let Some(pending) = &delivery.pending {
        let missing = missing(world, to, stamps(pending)).await?;
        deliver(world, to, delivery, Some(missing)).await?;
    }
    Ok(())
}

async fn send(world: &World, to: &Address, delivery: &mut Delivery) -> Result<(), ShipError> {
    deliver(world, to, delivery, None).await
}

/// Sends the pending events (of `only` these stamps, if given) until the server has them all.
async fn deliver(
    world: &World,
    to: &Address,
    delivery: &mut Delivery,
    mut only: Option<HashSet<u64>>,
) -> Result<(), ShipError> {
    let Some(pending) = delivery.pending.clone() else { return Ok(()) };
    let texts = texts(world, to, delivery, &pending).await?;
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
    loop {
        let wanted = |event: &&LogEvent| only.as_ref().is_none_or(|only| only.contains(&event.stamp.0));
        let events: Vec<LogEvent> = texts.iter().filter(wanted).cloned().collect();
        let sent = if events.is_empty() { Ok(()) } else { world.clearml.send_log(&to.task, &to.worker, &events).await };
        match sent {
            Ok(()) => break,
            Err(ServerError::Unreachable { maybe_done: true, .. }) => {
                only = Some(missing(world, to, stamps(&pending)).await?);
            }
            Err(error) if error.retryable() => sleep(backoff.step()).await,
            Err(error) => return Err(ShipError::Refused(error)),
        }
    }
    delivery.acknowledged = pending.end;
    delivery.pending = None;
    keep(world, to, delivery).await
}

/// The events of a pending request; those whose text was all overwritten are not sent.
async fn texts(
    world: &World,
    to: &Address,
    delivery: &Delivery,
    pending: &Pending,
) -> Result<Vec<LogEvent>, ShipError> {
    let bytes = read(world, to, delivery).await?;
    let token = world.store.token(&to.run).await;
    let mut from = delivery.acknowledged;
    let mut events = Vec::new();
    for (stamp, end) in &pending.events {
        let range = usize::try_from(from - delivery.acknowledged).unwrap_or(usize::MAX)
            ..usize::try_from(end - delivery.acknowledged).unwrap_or(usize::MAX);
        let text = without(token.as_ref(), bytes.get(range).map(log::render).unwrap_or_default());
        if !text.is_empty() {
            events.push(LogEvent { stamp: UnixMillis(*stamp), level: LogLevel::Debug, text });
        }
        from = *end;
    }
    Ok(events)
}

/// A program that prints its whole environment must not publish its token to everybody who may read the task.
fn without(token: Option<&PayloadToken>, text: String) -> String {
    match token.map(|token| token.token.expose_secret()) {
        Some(secret) if !secret.is_empty() && text.contains(secret) => text.replace(secret, "****"),
        Some(_) | None => text,
    }
}

fn stamps(pending: &Pending) -> HashSet<u64> {
    pending.events.iter().map(|(stamp, _)| *stamp).collect()
}

/// Which of the stamps that were sent the server has not: asked until two answers agree.
async fn missing(world: &World, to: &Address, sent: HashSet<u64>) -> Result<HashSet<u64>, ShipError> {
    let Some(first) = sent.iter().min().copied() else { return Ok(HashSet::new()) };
    let mut last: Option<HashSet<u64>> = None;
    let mut backoff = Backoff::new(SETTLE, Duration::from_secs(60));
    loop {
        match world.clearml.log_stamps(&to.task, &to.worker, UnixMillis(first.saturating_sub(1))).await {
            Ok(stamps) => {
                let lacking: HashSet<u64> =
                    sent.iter().filter(|stamp| !stamps.contains(&UnixMillis(**stamp))).copied().collect();
                if lacking.is_empty() || last.as_ref() == Some(&lacking) {
                    return Ok(lacking);
                }
                last = Some(lacking);
                sleep(SETTLE).await;
            }
            Err(error) if error.retryable() => sleep(backoff.step()).await,
            Err(error) => return Err(ShipError::Refused(error)),
        }
    }
}
