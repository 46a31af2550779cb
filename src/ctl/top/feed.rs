//! Asks the daemon: for the whole picture once a second, for a log as it grows, and for what the keys want. A daemon that
//! goes away is asked for until it comes back.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;

use super::model::{Asked, Picture};
use crate::ctl::commands::LARGEST_ANSWER;
use crate::ctl::connection;
use crate::ctl::failure::Failure;
use crate::ctl::render::stream::Filter;
use crate::rpc::v1;
use v1::stream_logs_request::Start;

/// Between two pictures, and between two attempts to reach the daemon.
const PAUSE: Duration = Duration::from_secs(1);
/// For one picture. A daemon that takes longer is as good as away.
const LIMIT: Duration = Duration::from_secs(10);
/// Lines of a log to begin with.
const TAIL: i64 = 200;

/// What the daemon says.
#[derive(Debug)]
pub(super) enum News {
    Picture(Box<Picture>),
    Lost(String),
    /// An order was carried out or refused.
    Done(String),
    Log {
        run: String,
        text: String,
    },
    LogEnded {
        run: String,
        reason: String,
    },
}

/// What runs beside the screen; it ends with it.
#[derive(Debug)]
pub(super) struct Feed {
    socket: Option<PathBuf>,
    news: mpsc::Sender<News>,
    _pictures: JoinSet<()>,
    orders: JoinSet<()>,
    log: JoinSet<()>,
}

impl Feed {
    pub(super) fn start(socket: Option<PathBuf>, news: mpsc::Sender<News>) -> Self {
        let mut pictures = JoinSet::new();
        pictures.spawn(paint(socket.clone(), news.clone()));
        Self { socket, news, _pictures: pictures, orders: JoinSet::new(), log: JoinSet::new() }
    }

    /// Begins to carry it out; what comes of it is news.
    pub(super) async fn ask(&mut self, asked: Asked) {
        while self.orders.try_join_next().is_some() {}
        let (socket, news) = (self.socket.clone(), self.news.clone());
        match asked {
            Asked::Follow(run) => {
                self.log.shutdown().await;
                self.log.spawn(follow(socket, run, news));
            }
            Asked::Unfollow => self.log.shutdown().await,
            order @ (Asked::StopRun(_) | Asked::StopWorker(_) | Asked::Drain | Asked::Resume) => {
                self.orders.spawn(async move {
                    let done = carry_out(socket, order).await;
                    let _ = news.send(News::Done(done.unwrap_or_else(|failure| told(&failure)))).await;
                });
            }
        }
    }
}

fn told(failure: &Failure) -> String {
    let (what, next) = failure.words();
    format!("{what}; {next}")
}

/// Until nobody looks any more.
async fn paint(socket: Option<PathBuf>, news: mpsc::Sender<News>) {
    loop {
        let lost = match connect(&socket).await {
            Ok(channel) => loop {
                match timeout(LIMIT, picture(&channel)).await {
                    Ok(Ok(picture)) => {
                        if news.send(News::Picture(Box::new(picture))).await.is_err() {
                            return;
                        }
                    }
                    Ok(Err(failure)) => break failure.words().0,
                    Err(_) => break format!("clearmld has not answered for {} s", LIMIT.as_secs()),
                }
                sleep(PAUSE).await;
            },
            Err(failure) => failure.words().0,
        };
        if news.send(News::Lost(lost)).await.is_err() {
            return;
        }
        sleep(PAUSE).await;
    }
}

async fn connect(socket: &Option<PathBuf>) -> Result<Channel, Failure> {
    connection::connect(socket.as_deref()).await
}

async fn picture(channel: &Channel) -> Result<Picture, Failure> {
    let mut host = v1::host_client::HostClient::new(channel.clone());
    let mut workers = v1::workers_client::WorkersClient::new(channel.clone()).max_decoding_message_size(LARGEST_ANSWER);
    let mut runs = v1::runs_client::RunsClient::new(channel.clone()).max_decoding_message_size(LARGEST_ANSWER);
    let mut diagnosis = v1::diagnosis_client::DiagnosisClient::new(channel.clone());
    let mut gpus = v1::gpus_client::GpusClient::new(channel.clone());
    Ok(Picture {
        status: host.get_status(v1::GetStatusRequest {}).await?.into_inner(),
        workers: workers.list(v1::ListWorkersRequest {}).await?.into_inner().workers,
        runs: runs.list(v1::ListRunsRequest {}).await?.into_inner().runs,
        figures: diagnosis.get_figures(v1::GetFiguresRequest {}).await?.into_inner(),
        gpus: gpus.list(v1::ListGpusRequest {}).await?.into_inner().gpus,
    })
}

async fn carry_out(socket: Option<PathBuf>, order: Asked) -> Result<String, Failure> {
    let channel = connect(&socket).await?;
    let mut host = v1::host_client::HostClient::new(channel.clone());
    Ok(match order {
        Asked::StopRun(key) => {
            let request = v1::StopRunRequest { key: key.clone(), grace_ms: None };
            v1::runs_client::RunsClient::new(channel).stop(request).await?;
            format!("run {key} is being stopped")
        }
        Asked::StopWorker(name) => {
            let request = v1::StopWorkerRequest { name: name.clone(), now: false };
            v1::workers_client::WorkersClient::new(channel).stop(request).await?;
            format!("worker {name} takes no more tasks")
        }
        Asked::Drain => {
            host.drain(v1::DrainRequest {}).await?;
            "the host takes no more tasks; d again resumes".to_owned()
        }
        Asked::Resume => {
            host.resume(v1::ResumeRequest {}).await?;
            "the host takes tasks again".to_owned()
        }
        Asked::Follow(_) | Asked::Unfollow => String::new(),
    })
}

async fn follow(socket: Option<PathBuf>, run: String, news: mpsc::Sender<News>) {
    let reason = match stream(&socket, &run, &news).await {
        Ok(()) => "— the run has ended; Esc goes back —".to_owned(),
        Err(failure) => format!("— {}; Esc goes back —", told(&failure)),
    };
    let _ = news.send(News::LogEnded { run, reason }).await;
}

async fn stream(socket: &Option<PathBuf>, run: &str, news: &mpsc::Sender<News>) -> Result<(), Failure> {
    let mut client = v1::runs_client::RunsClient::new(connect(socket).await?).max_decoding_message_size(LARGEST_ANSWER);
    let request = v1::StreamLogsRequest { key: run.to_owned(), start: Some(Start::LastLines(TAIL)), follow: true };
    let mut chunks = client.stream_logs(request).await?.into_inner();
    let mut filter = Filter::default();
    while let Some(chunk) = chunks.message().await? {
        let text = filter.pass(&chunk.data).to_string();
        if news.send(News::Log { run: run.to_owned(), text }).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}
