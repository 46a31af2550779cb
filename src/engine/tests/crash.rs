//! The daemon dies between two lines, at every commit that it makes.

use super::*;
use crate::domain::disk::Room;
use crate::domain::health::Health;
use crate::domain::reservation::Reservations;

/// A store that stops answering after so many commits of a Run's record, before or after the write: where a kill -9
/// finds the daemon.
#[derive(Debug)]
pub(super) struct Dying {
    inner: FileStore,
    left: AtomicU32,
    before_the_write: bool,
    dead: watch::Sender<bool>,
}

impl Dying {
    pub(super) fn new(inner: FileStore, commit: u32, before_the_write: bool, dead: watch::Sender<bool>) -> Self {
        Self { inner, left: AtomicU32::new(commit), before_the_write, dead }
    }

    async fn survive(&self) {
        if *self.dead.borrow() {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Store for Dying {
    fn root(&self) -> &Path {
        self.inner.root()
    }
    fn run_directory(&self, run: &RunId) -> std::path::PathBuf {
        self.inner.run_directory(run)
    }
    async fn load(&self) -> Result<Loaded, StoreError> {
        self.inner.load().await
    }
    async fn put_worker(&self, worker: &Worker) -> Result<(), StoreError> {
        self.inner.put_worker(worker).await
    }
    async fn drop_worker(&self, worker: &WorkerName) -> Result<(), StoreError> {
        self.inner.drop_worker(worker).await
    }
    async fn put_run(&self, run: &RunRecord) -> Result<(), StoreError> {
        self.survive().await;
        let last = self.left.fetch_sub(1, Ordering::SeqCst) == 1;
        if last && self.before_the_write {
            self.dead.send_replace(true);
            self.survive().await;
        }
        self.inner.put_run(run).await?;
        if last {
            self.dead.send_replace(true);
            self.survive().await;
        }
        Ok(())
    }
    async fn drop_run(&self, run: &RunId) -> Result<(), StoreError> {
        self.survive().await;
        self.inner.drop_run(run).await
    }
    async fn put_draining(&self, draining: bool) -> Result<(), StoreError> {
        self.inner.put_draining(draining).await
    }
    async fn put_health(&self, health: &Health) -> Result<(), StoreError> {
        self.survive().await;
        self.inner.put_health(health).await
    }
    async fn put_reservations(&self, all: &Reservations) -> Result<(), StoreError> {
        self.inner.put_reservations(all).await
    }
    async fn prepare(&self, spec: &RunSpec, secrets: &Secrets, token: &PayloadToken) -> Result<(), StoreError> {
        self.survive().await;
        self.inner.prepare(spec, secrets, token).await
    }
    async fn spec(&self, run: &RunId) -> Option<RunSpec> {
        self.inner.spec(run).await
    }
    async fn note(&self, run: &RunId, line: &str) -> Result<(), StoreError> {
        self.survive().await;
        self.inner.note(run, line).await
    }
    async fn progress(&self, run: &RunId) -> Option<Progress> {
        self.inner.progress(run).await
    }
    async fn exit(&self, run: &RunId) -> Result<Option<ExitRecord>, StoreError> {
        self.survive().await;
        self.inner.exit(run).await
    }
    async fn put_stop(&self, run: &RunId, stop: &StopRequest) -> Result<(), StoreError> {
        self.inner.put_stop(run, stop).await
    }
    async fn read_spool(&self, run: &RunId, offset: u64, most: usize) -> Result<Vec<u8>, StoreError> {
        self.survive().await;
        self.inner.read_spool(run, offset, most).await
    }
    async fn trim_spool(&self, run: &RunId, offset: u64) -> Result<(), StoreError> {
        self.inner.trim_spool(run, offset).await
    }
    async fn delivery(&self, run: &RunId) -> Delivery {
        self.inner.delivery(run).await
    }
    async fn put_delivery(&self, run: &RunId, delivery: &Delivery) -> Result<(), StoreError> {
        self.survive().await;
        self.inner.put_delivery(run, delivery).await
    }
    async fn token(&self, run: &RunId) -> Option<PayloadToken> {
        self.inner.token(run).await
    }
    async fn discard_work(&self, run: &RunId) -> Result<(), StoreError> {
        self.inner.discard_work(run).await
    }
    async fn room(&self) -> Option<Room> {
        self.inner.room().await
    }
    async fn clear(&self, run: &RunId) -> Result<(), StoreError> {
        self.survive().await;
        self.inner.clear(run).await
    }
}

/// Plays one task to its end with a daemon that dies at its `commit`-th commit. Whether it died at all.
async fn die_at(commit: u32, before_the_write: bool) -> bool {
    let host = Host::new();
    host.clearml.queue("default");
    let daemon = host.start().await;
    daemon.add(&["default"]).await;
    daemon.stop().await;

    let dead = watch::Sender::new(false);
    let store = Dying::new(host.store(), commit, before_the_write, dead.clone());
    let daemon = host.start_with(Arc::new(store)).await;
    let task = host.clearml.enqueue("default", "t1");
    let died = play(&host, &dead).await;
    daemon.kill().await;

    let daemon = host.start().await;
    play_to_the_end(&host, &daemon).await;
    let launches = host.launcher.launches();
    assert_eq!(launches.values().sum::<u32>(), 1, "commit {commit}: the program ran once: {launches:?}");
    let log = log_of(&host, "t1");
    for line in ["one\n", "two\n", "process completed successfully\n"] {
        assert_eq!(log.matches(line).count(), 1, "commit {commit}: {log}");
    }
    {
        let state = host.clearml.lock();
        assert_eq!(state.tasks[&task].status, Some(TaskStatus::Completed), "commit {commit}");
        assert_eq!(state.tasks[&task].ends, 1, "commit {commit}: told once");
    }
    let workers = daemon.handle.workers().await.expect("workers");
    assert_eq!(workers[0].activity, WorkerActivity::Idle, "commit {commit}: the lease came back");
    died
}

/// The program prints, ends well; the daemon may die meanwhile.
async fn play(host: &Host, dead: &watch::Sender<bool>) -> bool {
    for _ in 0..600 {
        advance(host);
        tokio::time::sleep(Duration::from_millis(200)).await;
        if *dead.borrow() {
            return true;
        }
    }
    false
}

async fn play_to_the_end(host: &Host, daemon: &Daemon) {
    for _ in 0..3000 {
        advance(host);
        tokio::time::sleep(Duration::from_millis(200)).await;
        let runs = daemon.handle.runs().await.expect("runs");
        let over = |run: &RunView| matches!(run.record.phase, Phase::Settled(_));
        if !host.launcher.launches().is_empty() && runs.iter().all(over) {
            return;
        }
    }
    panic!("it never ended: {:#?}", daemon.handle.runs().await);
}

fn advance(host: &Host) {
    for run in host.launcher.live() {
        host.launcher.print(&run, "one\ntwo\n");
        host.launcher.exit(&run, End::Exited { code: 0 });
    }
}

#[tokio::test(start_paused = true)]
async fn from_every_commit_a_new_daemon_reaches_the_same_end() {
    for before_the_write in [false, true] {
        let mut deaths = 0;
        for commit in 1..=9 {
            deaths += u32::from(die_at(commit, before_the_write).await);
        }
        // Claimed, popped, announced, Prepared, Running, Exited, Settled.
        assert_eq!(deaths, 7, "each commit of a life was one at which the daemon died");
    }
}
