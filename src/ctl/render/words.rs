//! Words for enumerations, the same in tables and JSON.

use crate::rpc::v1;

/// A value of a newer daemon.
const UNKNOWN: &str = "unknown";

pub(in crate::ctl) fn link(server: &v1::Server) -> &'static str {
    match server.link() {
        v1::Link::Unspecified | v1::Link::Unknown => UNKNOWN,
        v1::Link::Up => "up",
        v1::Link::Down => "down",
    }
}

pub(in crate::ctl) fn driver(driver: &v1::GpuDriver) -> &'static str {
    match driver.state() {
        v1::GpuDriverState::Unspecified => UNKNOWN,
        v1::GpuDriverState::Asked => "asked",
        v1::GpuDriverState::Absent => "absent",
        v1::GpuDriverState::Failing => "failing",
        v1::GpuDriverState::Up => "up",
    }
}

pub(in crate::ctl) fn intent(worker: &v1::Worker) -> &'static str {
    match worker.intent() {
        v1::WorkerIntent::Unspecified => UNKNOWN,
        v1::WorkerIntent::Active => "active",
        v1::WorkerIntent::Stopped => "stopped",
    }
}

pub(in crate::ctl) fn activity(worker: &v1::Worker) -> &'static str {
    match worker.activity() {
        v1::WorkerActivity::Unspecified => UNKNOWN,
        v1::WorkerActivity::Idle => "idle",
        v1::WorkerActivity::Busy => "busy",
        v1::WorkerActivity::Finishing => "finishing",
        v1::WorkerActivity::Stopped => "stopped",
    }
}

pub(in crate::ctl) fn phase(run: &v1::Run) -> &'static str {
    match run.phase() {
        v1::RunPhase::Unspecified => UNKNOWN,
        v1::RunPhase::Claimed => "claimed",
        v1::RunPhase::Prepared => "prepared",
        v1::RunPhase::Running => "running",
        v1::RunPhase::Exited => "exited",
        v1::RunPhase::Settled => "settled",
    }
}

pub(in crate::ctl) fn verdict(finding: &v1::Finding) -> &'static str {
    match finding.verdict() {
        v1::Verdict::Unspecified => UNKNOWN,
        v1::Verdict::Ok => "ok",
        v1::Verdict::Warning => "warning",
        v1::Verdict::Failed => "failed",
        v1::Verdict::NotApplicable => "not applicable",
    }
}

pub(in crate::ctl) fn stage(run: &v1::Run) -> Option<&'static str> {
    run.stage.map(|_| match run.stage() {
        v1::RunStage::Unspecified => UNKNOWN,
        v1::RunStage::Source => "source",
        v1::RunStage::Environment => "environment",
        v1::RunStage::Program => "program",
    })
}
