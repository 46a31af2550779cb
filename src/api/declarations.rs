//! The service `Declarations`.

use tonic::{Request, Response, Status};

use super::audit::Call;
use crate::domain::declared::{Change, FieldChange};
use crate::engine::handle::{Handle, Reload, SettingChange};
use crate::rpc::v1;

pub(super) struct DeclarationsService {
    pub(super) handle: Handle,
}

#[tonic::async_trait]
impl v1::declarations_server::Declarations for DeclarationsService {
    async fn plan(&self, _: Request<v1::PlanRequest>) -> Result<Response<v1::ReloadPlan>, Status> {
        Ok(Response::new(self.handle.plan().await?.into()))
    }

    async fn reload(&self, request: Request<v1::ReloadRequest>) -> Result<Response<v1::ReloadPlan>, Status> {
        let (call, _) = Call::open(request, "Declarations.Reload", |_| String::new());
        call.close(async { Ok(self.handle.reload().await?.into()) }).await
    }
}

impl From<Reload> for v1::ReloadPlan {
    fn from(reload: Reload) -> Self {
        Self {
            workers: reload.workers.into_iter().map(Into::into).collect(),
            settings: reload.settings.into_iter().map(Into::into).collect(),
            problems: reload.problems,
        }
    }
}

impl From<Change> for v1::WorkerChange {
    fn from(change: Change) -> Self {
        use v1::WorkerChangeKind as Kind;
        let of = |kind: Kind, name: String, file: String| Self { kind: kind.into(), name, file, ..Self::default() };
        let file = |worker: &crate::domain::worker::Worker| worker.file().unwrap_or_default().to_owned();
        match change {
            Change::Add { worker } => of(Kind::Add, worker.name.to_string(), file(&worker)),
            Change::Alter { worker, fields, after } => Self {
                fields: fields.into_iter().map(Into::into).collect(),
                after_run_id: after.map(Into::into),
                ..of(Kind::Change, worker.name.to_string(), file(&worker))
            },
            Change::Remove { name, path, after } => {
                Self { after_run_id: after.map(Into::into), ..of(Kind::Remove, name.into(), path) }
            }
            Change::Keep { name, path } => of(Kind::Keep, name.into(), path),
            Change::Refuse { path, name, reasons } => {
                Self { reasons, ..of(Kind::Refuse, name.map(Into::into).unwrap_or_default(), path) }
            }
        }
    }
}

impl From<FieldChange> for v1::FieldChange {
    fn from(change: FieldChange) -> Self {
        Self { field: change.field.to_owned(), from: change.from, to: change.to }
    }
}

impl From<SettingChange> for v1::SettingChange {
    fn from(change: SettingChange) -> Self {
        Self { key: change.key, from: change.from, to: change.to, live: change.live }
    }
}
