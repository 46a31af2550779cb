//! `explain …`.

use super::{Desk, LARGEST_ANSWER};
use crate::ctl::args::explain::Explain;
use crate::ctl::failure::Failure;
use crate::ctl::render::reasons;
use crate::rpc::v1;
use crate::rpc::v1::explain_request::Subject;

pub(super) async fn run(desk: &Desk<'_>, asked: &Explain) -> Result<(), Failure> {
    let mut client = v1::explanations_client::ExplanationsClient::new(desk.channel.clone())
        .max_decoding_message_size(LARGEST_ANSWER);
    let subject = match asked.clone() {
        Explain::Worker { name } => Subject::Worker(name),
        Explain::Task { task } => Subject::Task(task),
        Explain::Gpu { gpu } => Subject::Gpu(gpu),
    };
    let answer = client.explain(v1::ExplainRequest { subject: Some(subject) }).await?.into_inner().reasons;
    desk.show(|_| reasons::text(&answer), || reasons::json(&answer))
}
