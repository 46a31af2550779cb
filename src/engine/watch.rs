//! One watcher for the host: one request asks for the state of all tasks that we run, whatever their number.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::{Duration, Instant, sleep};

use super::core::News;
use super::poll::Demand;
use super::ports::ClearMl;
use super::{Backoff, Settings};
use crate::domain::ids::{RunId, TaskId};
use crate::domain::task::TaskState;
use crate::domain::verdict::Memory;

/// Watches for ever.
pub async fn run(
    clearml: Arc<dyn ClearMl>,
    settings: watch::Receiver<Arc<Settings>>,
    mut demand: watch::Receiver<Demand>,
    news: mpsc::Sender<News>,
) {
    let began = Instant::now();
    let mut memories: HashMap<RunId, Memory> = HashMap::new();
    let calm = || Backoff::new(settings.borrow().watch_interval, Duration::from_secs(60));
    let mut backoff = calm();
    loop {
        let tasks = demand.borrow_and_update().tasks.clone();
        memories.retain(|run, _| tasks.iter().any(|task| task.run == *run));
        if tasks.is_empty() {
            if demand.changed().await.is_err() {
                return;
            }
            continue;
        }
        let ids: Vec<TaskId> = tasks.iter().map(|task| task.task.clone()).collect();
        let pause = match clearml.task_states(&ids).await {
            Ok(states) => {
                backoff = calm();
                let states: HashMap<&TaskId, &TaskState> = states.iter().map(|state| (&state.id, state)).collect();
                let now = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                for task in &tasks {
                    let memory = memories.entry(task.run.clone()).or_default();
                    let state = states.get(&task.task).copied();
                    let longest = settings.borrow().longest_callback.as_secs();
                    if let Some(reason) = memory.judge(state, &task.worker, now, longest)
                        && news.send(News::Stop { run: task.run.clone(), reason }).await.is_err()
                    {
                        return;
                    }
                }
                settings.borrow().watch_interval
            }
            // The link's state says it already; the Runs go on.
            Err(_) => backoff.step(),
        };
        sleep(pause).await;
    }
}
