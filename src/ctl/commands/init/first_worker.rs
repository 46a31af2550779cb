//! The first worker, on the queue that was given or is asked for.

use tonic::transport::Channel;

use super::super::LARGEST_ANSWER;
use super::answers::Answers;
use crate::ctl::args::init::Init;
use crate::ctl::console::Console;
use crate::ctl::failure::Failure;
use crate::rpc::v1;

/// Declares it, unless there is one for that queue. Returns its name.
pub(super) async fn declare(
    channel: Channel,
    asked: &Init,
    answers: &Answers<'_>,
    console: &Console,
) -> Result<Option<String>, Failure> {
    let mut client = v1::workers_client::WorkersClient::new(channel.clone()).max_decoding_message_size(LARGEST_ANSWER);
    let workers = client.list(v1::ListWorkersRequest {}).await?.into_inner().workers;
    let Some((queue, create_queue)) = queue(channel, asked, answers, &workers).await? else { return Ok(None) };
    let serves = |worker: &&v1::Worker| worker.queues.iter().any(|found| found.name == queue || found.id == queue);
    if let Some(worker) = workers.iter().find(serves) {
        console.say(&format!("worker {} serves queue {queue} already", worker.name));
        return Ok(Some(worker.name.clone()));
    }
    let request = v1::AddWorkerRequest {
        queues: vec![queue.clone()],
        gpus: asked.gpus.clone(),
        create_queue,
        ..v1::AddWorkerRequest::default()
    };
    let worker = client.add(request).await?.into_inner();
    console.say(&format!("worker {} takes tasks of queue {queue}", worker.name));
    Ok(Some(worker.name))
}

/// The queue and whether to make it; none where no worker is wanted.
async fn queue(
    channel: Channel,
    asked: &Init,
    answers: &Answers<'_>,
    workers: &[v1::Worker],
) -> Result<Option<(String, bool)>, Failure> {
    if asked.no_worker {
        return Ok(None);
    }
    if let Some(queue) = &asked.queue {
        return Ok(Some((queue.clone(), asked.create_queue)));
    }
    if !answers.can_ask() || !workers.is_empty() {
        return Ok(None);
    }
    let queue = answers.line("Queue of the first worker, or - for none", "default").await?;
    if queue == "-" {
        return Ok(None);
    }
    let mut client = v1::queues_client::QueuesClient::new(channel).max_decoding_message_size(LARGEST_ANSWER);
    let queues = client.list(v1::ListQueuesRequest {}).await?.into_inner().queues;
    let known = queues.iter().any(|found| found.name == queue || found.id == queue);
    let make = !known && answers.yes(&format!("The server has no queue {queue}. Make it?"), true).await?;
    Ok((known || make).then_some((queue, make)))
}
