//! `run …`.

use super::{Desk, LARGEST_ANSWER};
use crate::ctl::args::{Output, Run, RunLogs};
use crate::ctl::failure::Failure;
use crate::ctl::render::stream::Filter;
use crate::ctl::render::{json, table};
use crate::rpc::v1;
use v1::stream_logs_request::Start;

type Client = v1::runs_client::RunsClient<tonic::transport::Channel>;

pub(super) async fn run(desk: &Desk<'_>, asked: &Run) -> Result<(), Failure> {
    let mut client = Client::new(desk.channel.clone()).max_decoding_message_size(LARGEST_ANSWER);
    let run = match asked {
        Run::List => {
            let runs = client.list(v1::ListRunsRequest {}).await?.into_inner().runs;
            return desk.show(|look| table::runs(look, &runs), || json::runs(&runs));
        }
        Run::Logs(asked) => return logs(desk, client, asked).await,
        Run::Show { run } => client.get(v1::GetRunRequest { key: run.clone() }).await?,
        Run::Stop { run, grace } => {
            let grace_ms = grace.map(|grace| i64::try_from(grace.as_millis()).unwrap_or(i64::MAX));
            client.stop(v1::StopRunRequest { key: run.clone(), grace_ms }).await?
        }
    };
    desk.show(|look| table::run(look, run.get_ref()), || json::run(run.get_ref()))
}

async fn logs(desk: &Desk<'_>, mut client: Client, asked: &RunLogs) -> Result<(), Failure> {
    let start = asked.tail.map(|lines| Start::LastLines(i64::from(lines)));
    let request = v1::StreamLogsRequest { key: asked.run.clone(), start, follow: asked.follow };
    let mut chunks = client.stream_logs(request).await?.into_inner();
    let mut filter = Filter::default();
    let mut told = false;
    while let Some(chunk) = chunks.message().await? {
        if desk.console.output == Output::Json {
            desk.console.line(&json::chunk(&chunk))?;
            continue;
        }
        if chunk.skipped > 0 {
            desk.console.say(&format!(
                "note: {} bytes before this are at the server only: `clearmlctl task log TASK` has them",
                chunk.skipped
            ));
        }
        if chunk.from_server && !told {
            told = true;
            desk.console.say("note: the run's output is no longer on this host; this is the server's copy");
        }
        if desk.console.terminal {
            desk.console.raw(filter.pass(&chunk.data).as_bytes())?;
        } else {
            desk.console.raw(&chunk.data)?;
        }
    }
    Ok(())
}
