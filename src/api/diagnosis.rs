//! The service `Diagnosis`.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::time::timeout;
use tonic::{Request, Response, Status};

use crate::domain::diagnosis::{Finding, Verdict};
use crate::engine::ports::Check;
use crate::rpc::v1;

pub(super) struct DiagnosisService {
    pub(super) checks: Vec<Arc<dyn Check>>,
}

#[tonic::async_trait]
impl v1::diagnosis_server::Diagnosis for DiagnosisService {
    async fn check(&self, _: Request<v1::CheckRequest>) -> Result<Response<v1::CheckResponse>, Status> {
        let findings = join_all(self.checks.iter().map(limited)).await;
        let findings = findings.into_iter().flatten().map(Into::into).collect();
        Ok(Response::new(v1::CheckResponse { findings }))
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
        let service = DiagnosisService { checks: vec![Arc::new(Hanging), Arc::new(Well)] };
        let answer = service.check(Request::new(v1::CheckRequest {})).await.expect("answered").into_inner();
        let found: Vec<_> = answer.findings.iter().map(|one| (one.check.as_str(), one.verdict())).collect();
        assert_eq!(found, [("disk", v1::Verdict::Failed), ("kernel", v1::Verdict::Ok)]);
        assert!(answer.findings[0].detail.contains("did not end within 10 s"));
    }
}
