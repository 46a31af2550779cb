//! `debug bundle`: what somebody far away needs to see of this host, in one file, without its secrets.
//!
//! Each text passes the patterns of [`Redaction`] here, and then the daemon, which also knows the values.

mod archive;
mod cgroups;
mod sources;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tonic::transport::Channel;

pub(super) use archive::Sealed;

use super::commands::LARGEST_ANSWER;
use super::failure::Failure;
use super::render::json as documents;
use crate::redaction::Redaction;
use crate::rpc::v1;

/// Runs in the bundle, the newest.
const RUNS: usize = 50;
/// A text sent to the daemon at once, well below what a message may be.
const PIECE: usize = 1 << 20;

/// A file of the bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Below the bundle's directory.
    pub(super) name: &'static str,
    pub(super) text: String,
}

/// What the daemon tells; nothing where it does not answer.
pub(super) async fn of_daemon(channel: &Channel) -> Vec<Entry> {
    let mut host = v1::host_client::HostClient::new(channel.clone());
    let mut workers = v1::workers_client::WorkersClient::new(channel.clone()).max_decoding_message_size(LARGEST_ANSWER);
    let mut runs = v1::runs_client::RunsClient::new(channel.clone()).max_decoding_message_size(LARGEST_ANSWER);
    let mut diagnosis = v1::diagnosis_client::DiagnosisClient::new(channel.clone());
    let status = host.get_status(v1::GetStatusRequest {}).await.map(|it| documents::status(it.get_ref()));
    let listed = workers.list(v1::ListWorkersRequest {}).await.map(|it| documents::workers(&it.get_ref().workers));
    let newest = runs.list(v1::ListRunsRequest {}).await.map(|it| {
        let runs = &it.get_ref().runs;
        documents::runs(&runs[..runs.len().min(RUNS)])
    });
    let configuration = diagnosis.describe_configuration(v1::DescribeConfigurationRequest {}).await;
    let configuration = configuration.map(|it| documents::configuration(it.get_ref()));
    [("status.json", status), ("workers.json", listed), ("runs.json", newest), ("configuration.json", configuration)]
        .into_iter()
        .map(|(name, answer)| Entry { name, text: document(answer) })
        .collect()
}

fn document(answer: Result<Value, tonic::Status>) -> String {
    let value = answer.unwrap_or_else(|status| json!({ "error": status.message() }));
    format!("{value:#}\n")
}

/// What the host tells anybody who may ask.
pub(super) async fn of_host() -> Vec<Entry> {
    sources::all().await
}

/// Takes the secrets out of every text: those that look like some, and, where the daemon answers, those that it knows.
pub(super) async fn redacted(entries: Vec<Entry>, channel: Option<&Channel>) -> Result<Vec<Entry>, Failure> {
    let patterns = Redaction::default();
    let mut clean = Vec::with_capacity(entries.len());
    for Entry { name, text } in entries {
        // Values first: a pattern that takes a part of one would hide the rest from the daemon.
        let text = match channel {
            Some(channel) => by_daemon(channel, &text).await?,
            None => text,
        };
        clean.push(Entry { name, text: patterns.apply(&text) });
    }
    Ok(clean)
}

async fn by_daemon(channel: &Channel, text: &str) -> Result<String, Failure> {
    let mut diagnosis = v1::diagnosis_client::DiagnosisClient::new(channel.clone());
    let mut clean = String::with_capacity(text.len());
    for piece in pieces(text) {
        let request = v1::RedactRequest { text: piece.to_owned() };
        clean.push_str(&diagnosis.redact(request).await?.into_inner().text);
    }
    Ok(clean)
}

/// Cut at ends of lines, so that no value is in two pieces; a line that is longer than a piece is cut all the same.
fn pieces(text: &str) -> Vec<&str> {
    let mut rest = text;
    let mut found = Vec::new();
    while rest.len() > PIECE {
        let most = rest.floor_char_boundary(PIECE);
        let at = rest[..most].rfind('\n').map_or(most, |end| end + 1);
        let (piece, after) = rest.split_at(at);
        found.push(piece);
        rest = after;
    }
    found.push(rest);
    found
}

/// What is in it, for who opens it first.
pub(super) fn contents(entries: &[Entry], daemon: Result<(), String>, at: &str) -> Entry {
    let mut text = format!("clearmld debug bundle, made by clearmlctl {} at {at}\n", env!("CARGO_PKG_VERSION"));
    text.push_str(&match daemon {
        Ok(()) => "Secrets were taken out by how they look and by what the daemon knows.\n\n".to_owned(),
        Err(reason) => format!(
            "The daemon did not answer ({reason}): secrets were taken out by how they look only. Read this bundle before \
             you send it.\n\n"
        ),
    });
    text.extend(entries.iter().map(|entry| format!("{:>9}  {}\n", entry.text.len(), entry.name)));
    Entry { name: "README.txt", text }
}

/// Writes the bundle.
pub(super) fn write(path: &Path, directory: &str, entries: &[Entry]) -> Result<Sealed, Failure> {
    archive::write(path, directory, entries).map_err(|error| Failure::Unwritten { path: path.to_owned(), error })
}

/// For one command.
const COMMAND: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_at_ends_of_lines_and_loses_nothing() {
        let text = format!("{}\n{}\n", "ä".repeat(PIECE / 2 - 10), "b".repeat(100));
        let cut = pieces(&text);
        assert_eq!(cut.concat(), text);
        assert!(cut[0].ends_with('\n') && cut.len() == 2);
        assert_eq!(pieces(&"c".repeat(2 * PIECE + 1)).len(), 3);
    }
}
