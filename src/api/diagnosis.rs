//! The service `Diagnosis`.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::time::timeout;
use tonic::{Request, Response, Status};

use super::status;
use crate::domain::diagnosis::{Finding, Verdict};
use crate::domain::run::Phase;
use crate::engine::handle::{Handle, RunView};
use crate::engine::ports::{Check, Figures};
use crate::redaction::Redaction;
use crate::rpc::v1;

/// More than a piece of a debug bundle, less than what takes noticeable time.
const LONGEST_TEXT: usize = 2 << 20;

/// What the daemon shows of itself to an operator who looks into a problem.
#[derive(Debug, Default)]
pub struct Seeing {
    /// What `clearmlctl doctor` looks at, in the order in which it shows it.
    pub checks: Vec<Arc<dyn Check>>,
    /// What the host and its Runs use.
    pub figures: Option<Arc<dyn Figures>>,
    /// Every setting in force.
    pub settings: Vec<Setting>,
    /// The files that they come from.
    pub files: Vec<String>,
    /// What has no effect or should be looked at.
    pub remarks: Vec<String>,
    /// Knows the daemon's secrets.
    pub redaction: Redaction,
}

/// A setting, printable: a secret is `****`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Such as `api.api_server`.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Where it comes from.
    pub origin: String,
}

pub(super) struct DiagnosisService {
    pub(super) handle: Handle,
    pub(super) seeing: Seeing,
}

#[tonic::async_trait]
impl v1::diagnosis_server::Diagnosis for DiagnosisService {
    async fn check(&self, _: Request<v1::CheckRequest>) -> Result<Response<v1::CheckResponse>, Status> {
        let findings = join_all(self.seeing.checks.iter().map(limited)).await;
        let findings = findings.into_iter().flatten().map(Into::into).collect();
        Ok(Response::new(v1::CheckResponse { findings }))
    }

    async fn describe_configuration(
        &self,
        _: Request<v1::DescribeConfigurationRequest>,
    ) -> Result<Response<v1::Configuration>, Status> {
        let Seeing { settings, files, remarks, .. } = &self.seeing;
        let settings = settings.iter().cloned().map(Into::into).collect();
        Ok(Response::new(v1::Configuration { settings, files: files.clone(), remarks: remarks.clone() }))
    }

    async fn redact(&self, request: Request<v1::RedactRequest>) -> Result<Response<v1::RedactResponse>, Status> {
        let text = request.into_inner().text;
        if text.len() > LONGEST_TEXT {
            return Err(status::invalid("text", "it is longer than 2 MiB"));
        }
        Ok(Response::new(v1::RedactResponse { text: self.seeing.redaction.apply(&text) }))
    }

    async fn get_figures(&self, _: Request<v1::GetFiguresRequest>) -> Result<Response<v1::HostFigures>, Status> {
        let runs = self.handle.runs().await?;
        Ok(Response::new(self.seeing.figures(&runs).await))
    }
}

impl Seeing {
    async fn figures(&self, runs: &[RunView]) -> v1::HostFigures {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let at_unix_ms = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        let Some(figures) = &self.figures else { return v1::HostFigures { at_unix_ms, ..Default::default() } };
        let host = figures.host().await;
        let of_run = async |run: &RunView| {
            let Phase::Running(running) = &run.record.phase else { return None };
            let found = figures.run(&running.shim).await;
            let run_id = run.record.id.to_string();
            let (cpu_seconds, memory, processes) = (found.cpu_seconds, found.memory, found.processes);
            Some(v1::RunFigures { run_id, cpu_seconds, memory, processes })
        };
        v1::HostFigures {
            at_unix_ms,
            cpu_busy_seconds: host.cpu_busy_seconds,
            cpus: host.cpus,
            load: host.load,
            memory_size: host.memory_size,
            memory_available: host.memory_available,
            disk_size: host.disk_size,
            disk_free: host.disk_free,
            runs: join_all(runs.iter().map(of_run)).await.into_iter().flatten().collect(),
        }
    }
}

/// One that hangs is a finding, too.
async fn limited(check: &Arc<dyn Check>) -> Vec<Finding> {
    let limit = check.limit();
    timeout(limit, check.look()).await.unwrap_or_else(|_| {
        let detail = format!("the check did not end within {} s: what it looks at hangs", limit.as_secs());
        vec![Finding::failed(check.name(), detail, "look at `dmesg | tail`, and for processes in state D (`ps aux`)")]
    })
}

impl From<Finding> for v1::Finding {
    fn from(finding: Finding) -> Self {
        let verdict = match finding.verdict {
            Verdict::Ok => v1::Verdict::Ok,
            Verdict::Warning => v1::Verdict::Warning,
            Verdict::Failed => v1::Verdict::Failed,
            Verdict::NotApplicable => v1::Verdict::NotApplicable,
        };
        Self { check: finding.check.to_owned(), verdict: verdict.into(), detail: finding.detail, fix: finding.fix }
    }
}

impl From<Setting> for v1::Setting {
    fn from(setting: Setting) -> Self {
        let Setting { key, value, origin } = setting;
        Self { key, value, origin }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[derive(Debug)]
    struct Hanging;

    #[async_trait::async_trait]
    impl Check for Hanging {
        fn name(&self) -> &'static str {
            "disk"
        }

        async fn look(&self) -> Vec<Finding> {
            std::future::pending().await
        }
    }

    #[derive(Debug)]
    struct Well;

    #[async_trait::async_trait]
    impl Check for Well {
        fn name(&self) -> &'static str {
            "kernel"
        }

        fn limit(&self) -> Duration {
            Duration::from_millis(1)
        }

        async fn look(&self) -> Vec<Finding> {
            vec![Finding::ok("kernel", "x")]
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_is_reported_as_such_and_holds_up_no_other() {
        use v1::diagnosis_server::Diagnosis as _;
        let (commands, _) = tokio::sync::mpsc::channel(1);
        let (events, _) = tokio::sync::broadcast::channel(1);
        let service = DiagnosisService {
            handle: Handle::new(commands, events),
            seeing: Seeing { checks: vec![Arc::new(Hanging), Arc::new(Well)], ..Seeing::default() },
        };
        let answer = service.check(Request::new(v1::CheckRequest {})).await.expect("answered").into_inner();
        let found: Vec<_> = answer.findings.iter().map(|one| (one.check.as_str(), one.verdict())).collect();
        assert_eq!(found, [("disk", v1::Verdict::Failed), ("kernel", v1::Verdict::Ok)]);
        assert!(answer.findings[0].detail.contains("did not end within 10 s"));
    }
}
