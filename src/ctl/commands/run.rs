//! `run …`.

use super::patience::Patience;
use super::{Desk, LARGEST_ANSWER};
use crate::ctl::args::{Output, Run, RunLogs};
use crate::ctl::failure::Failure;
use crate::ctl::render::stream::Filter;
use crate::ctl::render::{json, runs};
use crate::rpc::v1;
use v1::stream_logs_request::Start;

type Client = v1::runs_client::RunsClient<tonic::transport::Channel>;

pub(super) async fn run(desk: &Desk<'_>, asked: &Run) -> Result<(), Failure> {
    let mut client = Client::new(desk.channel.clone()).max_decoding_message_size(LARGEST_ANSWER);
    let run = match asked {
        Run::List => {
            let runs = client.list(v1::ListRunsRequest {}).await?.into_inner().runs;
            return desk.show(|look| runs::runs(look, &runs), || json::runs(&runs));
        }
        Run::Logs(asked) => return logs(desk, client, asked).await,
        Run::Show { run } => client.get(v1::GetRunRequest { key: run.clone() }).await?,
        Run::Stop { run, grace } => {
            let grace_ms = grace.map(|grace| i64::try_from(grace.as_millis()).unwrap_or(i64::MAX));
            client.stop(v1::StopRunRequest { key: run.clone(), grace_ms }).await?
        }
    };
    desk.show(|look| runs::run(look, run.get_ref()), || json::run(run.get_ref()))
}

async fn logs(desk: &Desk<'_>, mut client: Client, asked: &RunLogs) -> Result<(), Failure> {
    let start = asked.tail.map(|lines| Start::LastLines(i64::from(lines)));
    let request = v1::StreamLogsRequest { key: asked.run.clone(), start, follow: asked.follow };
    let mut reader = LogReader { desk, request, filter: Filter::default(), told: false, patience: Patience::default() };
    loop {
        match reader.read(&mut client).await {
            Err(failure) if asked.follow && !reader.told => reader.patience.wait(desk.console, failure).await?,
            ended => return ended,
        }
    }
}

struct LogReader<'a> {
    desk: &'a Desk<'a>,
    /// Begins where the last chunk ended.
    request: v1::StreamLogsRequest,
    filter: Filter,
    /// Whether the output comes from the server, where offsets mean nothing.
    told: bool,
    patience: Patience,
}

impl LogReader<'_> {
    async fn read(&mut self, client: &mut Client) -> Result<(), Failure> {
        let mut chunks = client.stream_logs(self.request.clone()).await?.into_inner();
        while let Some(chunk) = chunks.message().await? {
            self.print(&chunk)?;
            let end = chunk.offset.saturating_add(i64::try_from(chunk.data.len()).unwrap_or(i64::MAX));
            self.request.start = Some(Start::Offset(end));
            self.patience.renew();
        }
        Ok(())
    }

    fn print(&mut self, chunk: &v1::LogChunk) -> Result<(), Failure> {
        let console = self.desk.console;
        if console.output == Output::Json {
            return console.line(&json::chunk(chunk));
        }
        if chunk.skipped > 0 {
            let skipped = chunk.skipped;
            console.say(&format!(
                "note: {skipped} bytes before this are at the server: `clearmlctl task log TASK` has them"
            ));
        }
        if chunk.from_server && !self.told {
            self.told = true;
            console.say("note: the run's output is no longer on this host; this is the server's copy");
        }
        if console.terminal { console.raw(self.filter.pass(&chunk.data).as_bytes()) } else { console.raw(&chunk.data) }
    }
}
