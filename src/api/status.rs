//! From our errors to gRPC's. A message is "what and why. Next: the step to take"; the trailer `clearmld-reason` says
//! it in a word.

use std::fmt;

use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use crate::engine::handle::EngineError;
use crate::engine::ports::ServerError;

/// The trailer.
const REASON: &str = "clearmld-reason";

/// Why a call failed, in a word that programs may rely on; the list is in host.proto.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    NotFound,
    Conflict,
    AlreadyExists,
    Invalid,
    ServerUnreachable,
    ServerCredentials,
    ServerRejected(Code),
    ServerAnswer,
    ServerNotConfigured,
    Ledger,
    Spool,
    Closing,
    InsideRun,
    PeerUnknown,
}

impl Reason {
    fn word(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Conflict | Self::AlreadyExists => "conflict",
            Self::Invalid => "invalid",
            Self::ServerUnreachable => "server_unreachable",
            Self::ServerCredentials => "server_credentials",
            Self::ServerRejected(_) => "server_rejected",
            Self::ServerAnswer => "server_answer",
            Self::ServerNotConfigured => "server_not_configured",
            Self::Ledger => "ledger",
            Self::Spool => "spool",
            Self::Closing => "closing",
            Self::InsideRun => "inside_run",
            Self::PeerUnknown => "peer_unknown",
        }
    }

    fn code(self) -> Code {
        match self {
            Self::NotFound => Code::NotFound,
            Self::Conflict => Code::FailedPrecondition,
            Self::AlreadyExists => Code::AlreadyExists,
            Self::Invalid => Code::InvalidArgument,
            Self::ServerUnreachable | Self::ServerNotConfigured | Self::Closing => Code::Unavailable,
            Self::ServerCredentials => Code::Unauthenticated,
            Self::ServerRejected(code) => code,
            Self::ServerAnswer | Self::Ledger | Self::Spool => Code::Internal,
            Self::InsideRun | Self::PeerUnknown => Code::PermissionDenied,
        }
    }
}

/// A status with its reason, its message and the next step.
pub(super) fn refuse(reason: Reason, what: impl fmt::Display, next: &str) -> Status {
    let mut status = Status::new(reason.code(), format!("{what}. Next: {next}"));
    status.metadata_mut().insert(REASON, MetadataValue::from_static(reason.word()));
    status
}

/// A field of a request that makes no sense.
pub(super) fn invalid(field: &'static str, why: impl fmt::Display) -> Status {
    refuse(Reason::Invalid, format_args!("{field}: {why}"), "correct the request")
}

/// `Workers.Add`: a contradiction there is a name or a GPU that is another's.
pub(super) fn of_addition(error: EngineError) -> Status {
    match error {
        EngineError::Conflict { reason } => refuse(
            Reason::AlreadyExists,
            reason,
            "see `clearmlctl worker list`, then choose another name or other GPUs, or remove that worker",
        ),
        error @ (EngineError::NotFound { .. }
        | EngineError::Invalid { .. }
        | EngineError::Server(_)
        | EngineError::Ledger { .. }
        | EngineError::Closing) => error.into(),
    }
}

impl From<EngineError> for Status {
    fn from(error: EngineError) -> Self {
        let what = error.to_string();
        match error {
            EngineError::NotFound { kind, .. } => refuse(Reason::NotFound, what, where_to_look(kind)),
            EngineError::Conflict { .. } => {
                refuse(Reason::Conflict, what, "see `clearmlctl worker list` and `run list`")
            }
            EngineError::Invalid { .. } => refuse(Reason::Invalid, what, "correct the request"),
            EngineError::Server(error) => error.into(),
            EngineError::Ledger { .. } => {
                refuse(Reason::Ledger, what, "free space or correct the permissions there; nothing has changed")
            }
            EngineError::Closing => {
                refuse(Reason::Closing, what, "try again when it is up (`systemctl status clearmld`)")
            }
        }
    }
}

fn where_to_look(kind: &str) -> &'static str {
    match kind {
        "worker" => "list them with `clearmlctl worker list`",
        "run" => "list them with `clearmlctl run list`",
        "gpu" => "list them with `clearmlctl gpu list`",
        "queue" => "list them with `clearmlctl queue list`, or make it with --create-queue",
        "task" => "list them with `clearmlctl task list`",
        _ => "see `clearmlctl status`",
    }
}

impl From<ServerError> for Status {
    fn from(error: ServerError) -> Self {
        let what = error.to_string();
        match error {
            ServerError::Unreachable { .. } => refuse(
                Reason::ServerUnreachable,
                what,
                "see `clearmlctl status`, check the network and the server, and try again",
            ),
            ServerError::Unauthorized { .. } => refuse(
                Reason::ServerCredentials,
                what,
                "give it others with `clearmlctl init --force`, or correct api.credentials in clearml.conf and restart clearmld",
            ),
            ServerError::Rejected { code, subcode, .. } => {
                let (code, next) = rejected(code, subcode);
                refuse(Reason::ServerRejected(code), what, next)
            }
            ServerError::Incomprehensible { .. } => {
                refuse(Reason::ServerAnswer, what, "check that api.api_server is the API server, not the web server")
            }
            // The message of this one is the next step already.
            ServerError::NotConfigured => {
                refuse(Reason::ServerNotConfigured, "no ClearML server is configured", NOT_CONFIGURED)
            }
        }
    }
}

const NOT_CONFIGURED: &str =
    "run `clearmlctl init` as root, or set api.api_server and api.credentials in clearml.conf and restart clearmld";

/// The server's codes, server-api 1.5.
fn rejected(code: u16, subcode: u32) -> (Code, &'static str) {
    match (code, subcode) {
        (400, 101) => (Code::NotFound, "list them with `clearmlctl task list`"),
        (400, 701) => (Code::NotFound, "list them with `clearmlctl queue list`"),
        (400, 110 | 121 | 123) => (Code::FailedPrecondition, "look at its status with `clearmlctl task show`"),
        (400, 703 | 705) => (Code::FailedPrecondition, "look at its entries with `clearmlctl queue list`"),
        (400, 706 | 801) => (Code::AlreadyExists, "look at `clearmlctl queue list`"),
        (400, _) => (Code::InvalidArgument, "correct the request as the server says"),
        (403, _) => (Code::PermissionDenied, "ask the server's administrator for that right"),
        (500.., _) => (Code::Unavailable, "try again; the server's own log has more"),
        (_, _) => (Code::Unknown, "see the server's documentation"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_the_engine_has_a_code_a_word_and_a_next_step() {
        let server = |code, subcode| {
            EngineError::Server(ServerError::Rejected { call: "tasks.reset", code, subcode, message: "no".into() })
        };
        let unreachable = ServerError::Unreachable { call: "x", reason: "refused".into(), maybe_done: false };
        let cases = [
            (EngineError::NotFound { kind: "run", name: "x".into() }, Code::NotFound, "not_found"),
            (EngineError::Conflict { reason: "busy".into() }, Code::FailedPrecondition, "conflict"),
            (EngineError::Invalid { reason: "bad".into() }, Code::InvalidArgument, "invalid"),
            (EngineError::Ledger { path: "/x".into(), reason: "full".into() }, Code::Internal, "ledger"),
            (EngineError::Closing, Code::Unavailable, "closing"),
            (EngineError::Server(unreachable), Code::Unavailable, "server_unreachable"),
            (EngineError::Server(ServerError::NotConfigured), Code::Unavailable, "server_not_configured"),
            (server(400, 101), Code::NotFound, "server_rejected"),
            (server(400, 110), Code::FailedPrecondition, "server_rejected"),
            (server(403, 21), Code::PermissionDenied, "server_rejected"),
            (server(500, 0), Code::Unavailable, "server_rejected"),
        ];
        for (error, code, word) in cases {
            let status = Status::from(error);
            assert_eq!(status.code(), code, "{status}");
            assert_eq!(status.metadata().get(REASON).and_then(|word| word.to_str().ok()), Some(word));
            assert!(status.message().contains(". Next: "), "{status}");
        }
    }

    #[test]
    fn a_contradiction_when_a_worker_is_added_is_something_that_exists() {
        assert_eq!(of_addition(EngineError::Conflict { reason: "taken".into() }).code(), Code::AlreadyExists);
    }
}
