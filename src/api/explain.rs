//! The service `Explanations`.

use tonic::{Request, Response, Status};

use super::parse::{gpu_id, run_key, worker_name};
use super::status::invalid;
use crate::domain::explain::Finding;
use crate::engine::handle::{Handle, Subject};
use crate::rpc::v1;
use crate::rpc::v1::explain_request::Subject as Asked;

pub(super) struct ExplanationsService {
    pub(super) handle: Handle,
}

#[tonic::async_trait]
impl v1::explanations_server::Explanations for ExplanationsService {
    async fn explain(&self, request: Request<v1::ExplainRequest>) -> Result<Response<v1::ExplainResponse>, Status> {
        let subject = match request.into_inner().subject {
            Some(Asked::Worker(name)) => Subject::Worker(worker_name(&name)?),
            Some(Asked::Task(key)) => Subject::Task(run_key(&key)?.to_owned()),
            Some(Asked::Gpu(gpu)) => Subject::Gpu(gpu_id(&gpu)?),
            None => return Err(invalid("subject", "it is missing; name a worker, a task or a gpu")),
        };
        let reasons = self.handle.explain(subject).await?.into_iter().map(Into::into).collect();
        Ok(Response::new(v1::ExplainResponse { reasons }))
    }
}

impl From<Finding> for v1::Reason {
    fn from(finding: Finding) -> Self {
        let Finding { word, says, next, hinders } = finding;
        Self { word: word.to_owned(), text: says, next, hinders }
    }
}
