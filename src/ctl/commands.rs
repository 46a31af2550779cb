//! One module a noun: ask, then render.

use serde_json::Value;
use tonic::transport::Channel;

use super::args::{Cli, Command, Output};
use super::connection;
use super::console::Console;
use super::failure::Failure;
use super::render::table::Look;
use super::top;

mod debug;
mod doctor;
mod explain;
mod gpu;
mod host;
mod init;
mod patience;
mod reload;
mod run;
mod submit;
mod task;
mod worker;

/// Answers can hold the requirements and hyperparameters of 500 tasks.
pub(super) const LARGEST_ANSWER: usize = 64 << 20;

/// What every command needs.
struct Desk<'a> {
    channel: Channel,
    console: &'a Console,
}

impl Desk<'_> {
    fn look(&self) -> Look {
        Look { terminal: self.console.terminal, colour: self.console.colour }
    }

    /// The answer, as table or document.
    fn show(&self, table: impl FnOnce(Look) -> String, json: impl FnOnce() -> Value) -> Result<(), Failure> {
        match self.console.output {
            Output::Table => self.console.data(&table(self.look())),
            Output::Json => self.console.document(&json()),
        }
    }
}

pub(super) async fn run(cli: &Cli, console: &Console) -> Result<(), Failure> {
    // What is wrong with the caller's own files is said before the daemon is asked.
    let submission = match &cli.command {
        Command::Submit(submit) => Some(submit::request(submit)?),
        Command::Init(_)
        | Command::Status
        | Command::Doctor
        | Command::Debug(_)
        | Command::Top
        | Command::Worker(_)
        | Command::Run(_)
        | Command::Gpu(_)
        | Command::Explain(_)
        | Command::Queue(_)
        | Command::Task(_)
        | Command::Events(_)
        | Command::Plan { .. }
        | Command::Reload
        | Command::Drain
        | Command::Resume => None,
    };
    // These can do without a daemon.
    let socket = cli.global.socket.as_deref();
    match &cli.command {
        Command::Init(asked) => return init::run(&cli.global, asked, console).await,
        Command::Doctor => return doctor::run(socket, console).await,
        Command::Debug(asked) => return debug::run(asked, socket, console).await,
        Command::Top => return top::run(socket, console.colour).await,
        Command::Status
        | Command::Worker(_)
        | Command::Run(_)
        | Command::Queue(_)
        | Command::Task(_)
        | Command::Submit(_)
        | Command::Gpu(_)
        | Command::Explain(_)
        | Command::Events(_)
        | Command::Plan { .. }
        | Command::Reload
        | Command::Drain
        | Command::Resume => {}
    }
    let channel = connection::connect(socket).await?;
    let desk = Desk { channel, console };
    match &cli.command {
        // They have had their answers above.
        Command::Init(_) | Command::Doctor | Command::Debug(_) | Command::Top => Ok(()),
        Command::Status => host::status(&desk).await,
        Command::Plan { exit_code } => reload::plan(&desk, *exit_code).await,
        Command::Reload => reload::reload(&desk).await,
        Command::Drain => host::drain(&desk).await,
        Command::Resume => host::resume(&desk).await,
        Command::Events(_) => host::events(&desk).await,
        Command::Worker(asked) => worker::run(&desk, asked).await,
        Command::Run(asked) => run::run(&desk, asked).await,
        Command::Explain(asked) => explain::run(&desk, asked).await,
        Command::Gpu(asked) => gpu::run(&desk, asked).await,
        Command::Queue(asked) => task::queue(&desk, asked).await,
        Command::Task(asked) => task::task(&desk, asked).await,
        Command::Submit(asked) => match submission {
            Some(request) => submit::submit(&desk, asked, request).await,
            None => Ok(()),
        },
    }
}
