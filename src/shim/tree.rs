//! The processes of one stage, from the first to the last.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::{MemfdFlags, OFlags, memfd_create};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, WaitOptions, pidfd_send_signal, wait};

use super::cgroup::Cgroup;
use super::payload::{Luggage, become_stage};
use super::rootfs::RootPlan;
use super::seccomp::Filter;
use super::word::end_of;
use super::{descendants, init};
use crate::domain::handover::{End, Identity, StageOrder};
use crate::sys::process::{Child, Namespaces, spawn};

/// See the module.
#[derive(Debug)]
pub(super) struct Tree {
    first: Child,
    shape: Shape,
    /// What the payload prints; does not block.
    pub output: OwnedFd,
    /// What the stage answers; does not block.
    pub report: OwnedFd,
    /// What init says; does not block.
    pub words: OwnedFd,
}

#[derive(Debug)]
enum Shape {
    /// `first` is an init, and lives no longer than the pipe.
    Namespace { _alive: OwnedFd },
    /// `first` is the stage; all descendants are ours.
    Descendants,
}

/// What a tree is started from.
#[derive(Debug)]
pub(super) enum Ground {
    /// In namespaces, with this view of the files.
    Namespace(Box<RootPlan>, Apart),
    /// As a plain child that execs this.
    Plain(PathBuf),
}

/// What a tree has of its own, besides processes, mounts and a host name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Apart {
    /// System V IPC and POSIX message queues.
    pub ipc: bool,
    /// The network: a loopback interface.
    pub network: bool,
}

/// What holds each process of a tree.
#[derive(Debug)]
pub(super) struct Bounds {
    /// The system calls that it has.
    pub filter: Filter,
    /// How many processes its user may have, where no cgroup holds their number.
    pub processes: Option<u32>,
}

impl Tree {
    /// Starts the processes of a stage.
    ///
    /// # Errors
    /// When the kernel gives no descriptor, process or namespace.
    pub(super) fn start(
        ground: Ground,
        identity: &Identity,
        order: &StageOrder,
        door: Option<File>,
        bounds: Bounds,
    ) -> io::Result<Self> {
        let (output, output_writer) = reading_pipe()?;
        // A program that prints much waits less often; where the limit is lower, the default does.
        let _ = rustix::pipe::fcntl_setpipe_size(&output, 1 << 20);
        open_by_name(&output_writer, identity)?;
        let (report, report_writer) = reading_pipe()?;
        let (words, words_writer) = reading_pipe()?;
        let mut luggage = Luggage {
            identity: identity.clone(),
            program: PathBuf::from(super::rootfs::fixed::STAGE),
            order: written_down(order)?,
            output: output_writer,
            report: report_writer,
            words: words_writer,
            door,
            filter: bounds.filter,
            processes: bounds.processes,
            parent: None,
        };
        let (first, shape) = match ground {
            Ground::Namespace(root, Apart { ipc, network }) => {
                let (alive, alive_writer) = pipe_with(PipeFlags::CLOEXEC)?;
                let mut alive_writer = Some(alive_writer);
                let first = spawn(Namespaces::Own { ipc, network }, || {
                    // Only the shim's copy may keep the pipe from hanging up.
                    drop(alive_writer.take());
                    init::live(&root, network, &luggage, &alive)
                })?;
                let alive = alive_writer.take().ok_or(io::ErrorKind::BrokenPipe)?;
                (first, Shape::Namespace { _alive: alive })
            }
            Ground::Plain(program) => {
                luggage.program = program;
                luggage.parent = Some(std::process::id());
                (spawn(Namespaces::Shared, || become_stage(&luggage))?, Shape::Descendants)
            }
        };
        Ok(Self { first, shape, output, report, words })
    }

    /// The pid of the stage's first process, as we see it; `inner` is what init calls it.
    #[must_use]
    pub(super) fn outer_pid(&self, inner: u32) -> Option<u32> {
        match self.shape {
            Shape::Namespace { .. } => descendants::outer_pid(self.first.pid, inner),
            Shape::Descendants => Some(self.first.pid),
        }
    }

    /// Whether [`super::word::Word::Started`] comes for it.
    #[must_use]
    pub(super) fn announces(&self) -> bool {
        matches!(self.shape, Shape::Namespace { .. })
    }

    /// Sends SIGTERM to every process.
    pub(super) fn terminate(&self) {
        match self.shape {
            Shape::Namespace { .. } => drop(pidfd_send_signal(&self.first.pidfd, init::TERMINATE)),
            Shape::Descendants => descendants::signal_each(std::process::id(), Signal::TERM),
        }
    }

    /// Sends SIGKILL to every process.
    pub(super) fn kill(&self, cgroup: Option<&Cgroup>) {
        if let Some(cgroup) = cgroup {
            cgroup.kill();
        }
        match self.shape {
            Shape::Namespace { .. } => drop(pidfd_send_signal(&self.first.pidfd, Signal::KILL)),
            Shape::Descendants => descendants::signal_each(std::process::id(), Signal::KILL),
        }
    }

    /// Reaps whoever has ended; the end of the first process, if that is among them.
    #[must_use]
    pub(super) fn reap(&self) -> Option<End> {
        let mut end = None;
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if u32::try_from(pid.as_raw_nonzero().get()) == Ok(self.first.pid) {
                end = Some(end_of(status));
            }
        }
        end
    }

    /// Ends everything that outlived the first process, and returns when nobody is left.
    pub(super) fn clear(&self, cgroup: Option<&Cgroup>) {
        let mut pause = Duration::from_millis(2);
        loop {
            // Only when the kernel says that there is no child at all is the tree empty: /proc can lag behind a fork.
            match wait(WaitOptions::NOHANG) {
                Ok(Some(_)) => continue,
                Err(Errno::CHILD) => break,
                Ok(None) | Err(_) => {}
            }
            self.kill(cgroup);
            std::thread::sleep(pause);
            // What is in an uninterruptible call may stay for long.
            pause = (pause * 2).min(Duration::from_millis(500));
        }
        if let Some(cgroup) = cgroup {
            cgroup.empty();
        }
    }
}

/// Programs open `/dev/stdout` and `/dev/stderr` by name, and the kernel asks for the pipe's owner and mode then. For
/// writing only: what is read from it would be lost to the log.
fn open_by_name(output: &OwnedFd, identity: &Identity) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    std::os::unix::fs::fchown(output, Some(identity.uid), Some(identity.gid))?;
    Ok(rustix::fs::fchmod(output, rustix::fs::Mode::from_raw_mode(0o200))?)
}

/// A pipe whose reading end does not block.
fn reading_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    rustix::fs::fcntl_setfl(&reader, OFlags::NONBLOCK)?;
    Ok((reader, writer))
}

/// The order as a file in memory: it may be larger than a pipe, and holds secrets.
fn written_down(order: &StageOrder) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create("order", MemfdFlags::CLOEXEC)?);
    io::Write::write_all(&mut file, &serde_json::to_vec(order)?)?;
    io::Seek::rewind(&mut file)?;
    Ok(file.into())
}
