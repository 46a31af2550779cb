//! `worker …`.

use super::{Desk, LARGEST_ANSWER};
use crate::ctl::args::Output;
use crate::ctl::args::worker::{SandboxOptions, Worker, WorkerAdd};
use crate::ctl::failure::Failure;
use crate::ctl::render::{json, workers};
use crate::rpc::v1;

pub(super) async fn run(desk: &Desk<'_>, asked: &Worker) -> Result<(), Failure> {
    let mut client =
        v1::workers_client::WorkersClient::new(desk.channel.clone()).max_decoding_message_size(LARGEST_ANSWER);
    let worker = match asked.clone() {
        Worker::List => {
            let workers = client.list(v1::ListWorkersRequest {}).await?.into_inner().workers;
            if workers.is_empty() {
                desk.console.say("no workers yet; declare one with `clearmlctl worker add --queue QUEUE`");
            }
            return desk.show(|look| workers::workers(look, &workers), || json::workers(&workers));
        }
        Worker::Remove { name, now } => {
            client.remove(v1::RemoveWorkerRequest { name: name.clone(), now }).await?;
            return match desk.console.output {
                Output::Json => desk.console.document(&serde_json::json!({"name": name, "removed": true})),
                Output::Table => {
                    desk.console.say(&format!("worker {name} is removed"));
                    Ok(())
                }
            };
        }
        Worker::Add(add) => client.add(request(*add, std::env::var("NVIDIA_VISIBLE_DEVICES").ok())).await?,
        Worker::Show { name } => client.get(v1::GetWorkerRequest { name }).await?,
        Worker::Stop { name, now } => client.stop(v1::StopWorkerRequest { name, now }).await?,
        Worker::Resume { name } => client.resume(v1::ResumeWorkerRequest { name }).await?,
    };
    desk.show(|look| workers::worker(look, worker.get_ref()), || json::worker(worker.get_ref()))
}

/// `visible` is the caller's NVIDIA_VISIBLE_DEVICES; without it and without a flag the daemon decides.
fn request(add: WorkerAdd, visible: Option<String>) -> v1::AddWorkerRequest {
    let gpus = if add.cpu_only { Some("none".to_owned()) } else { add.gpus };
    v1::AddWorkerRequest {
        name: add.name,
        queues: add.queues,
        gpus: gpus.or(visible.filter(|visible| !visible.trim().is_empty())),
        share: add.share,
        dynamic_gpus: add.dynamic_gpus,
        user: add.user,
        order_fairness: add.order_fairness,
        create_queue: add.create_queue,
        memory: add.memory,
        cpus: add.cpus,
        pids: add.pids,
        time_limit: add.time_limit,
        disk: add.disk,
        requeue_on_host_loss: add.requeue_on_host_loss,
        sandbox: sandbox(add.sandbox),
        uptime: add.hours.uptime,
        downtime: add.hours.downtime,
    }
}

/// None when nothing was said, as of a client that knows nothing of it.
fn sandbox(asked: SandboxOptions) -> Option<v1::SandboxOptions> {
    let SandboxOptions { binds, devices, network, relax } = asked;
    let said = !(binds.is_empty() && devices.is_empty() && network.is_none() && relax.is_empty());
    said.then(|| v1::SandboxOptions { binds, devices, network, relax, text: String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_visible_devices_count_only_without_a_flag() {
        let add = WorkerAdd {
            queues: vec![],
            cpu_only: false,
            gpus: None,
            share: None,
            dynamic_gpus: false,
            user: None,
            memory: None,
            cpus: None,
            pids: None,
            time_limit: None,
            sandbox: SandboxOptions::default(),
            disk: None,
            hours: Default::default(),
            name: None,
            order_fairness: false,
            create_queue: false,
            requeue_on_host_loss: false,
        };
        let gpus = |add: WorkerAdd, visible: Option<&str>| request(add, visible.map(String::from)).gpus;
        assert_eq!(gpus(add.clone(), Some("0,1")).as_deref(), Some("0,1"));
        assert_eq!(gpus(add.clone(), Some("")), None);
        assert_eq!(gpus(add.clone(), None), None);
        assert_eq!(gpus(WorkerAdd { cpu_only: true, ..add.clone() }, Some("0")).as_deref(), Some("none"));
        assert_eq!(gpus(WorkerAdd { gpus: Some("2".into()), ..add }, Some("0")).as_deref(), Some("2"));
    }
}
