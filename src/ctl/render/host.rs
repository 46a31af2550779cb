//! The host and what happens on it, for people.

use super::table::{Look, some};
use super::text::cell;
use super::time::{now, rfc3339, span};
use super::words;
use crate::rpc::v1;

/// `status`.
pub(in crate::ctl) fn status(look: Look, status: &v1::HostStatus) -> String {
    let now = now();
    let up = span(now - status.since_unix_ms);
    let mut fields = vec![
        ("host", Some(format!("{} (clearmld {}, up {up})", cell(&status.host), cell(&status.version)))),
        ("state", Some(format!("{} ({})", cell(&status.state_dir), cell(&status.state_id)))),
        ("server", Some(status.server.as_ref().map_or_else(String::new, |found| server(now, found)))),
        ("web", status.server.as_ref().and_then(|server| some(&server.web_url))),
        ("launcher", some(&status.launcher)),
        (
            "tasks",
            Some(
                if status.draining { "none are taken: draining (end it with `clearmlctl resume`)" } else { "taken" }
                    .into(),
            ),
        ),
        ("workers", Some(status.workers.to_string())),
        (
            "runs",
            Some(match status.unsettled_runs {
                0 => format!("{} live", status.live_runs),
                unsettled => format!("{} live, {unsettled} not reported to the server yet", status.live_runs),
            }),
        ),
    ];
    fields.push(("all runs", some(&status.all_runs)));
    fields.extend(status.missing.iter().map(|text| ("missing", some(text))));
    fields.extend(status.remarks.iter().map(|text| ("remark", some(text))));
    look.fields(fields)
}

fn server(now: i64, server: &v1::Server) -> String {
    if server.api_url.is_empty() {
        return "not configured: run `clearmlctl init`".to_owned();
    }
    let mut text = cell(&server.api_url);
    if let Some(version) = &server.version {
        text.push_str(&format!(" {}", cell(version)));
    }
    if let Some(version) = &server.api_version {
        text.push_str(&format!(" (API {})", cell(version)));
    }
    let since = server.since_unix_ms.map(|since| format!(" for {}", span(now - since))).unwrap_or_default();
    match words::link(server) {
        "unknown" => text.push_str(", not asked yet"),
        link => text.push_str(&format!(", {link}{since}")),
    }
    if let Some(reason) = &server.reason {
        text.push_str(&format!(": {}", cell(reason)));
    }
    text
}

/// A line of `events`.
pub(in crate::ctl) fn event(event: &v1::Event) -> String {
    let of = event.worker.as_deref().map(|worker| format!(" {}", cell(worker))).unwrap_or_default();
    let time = rfc3339(event.at_unix_ms);
    format!("{time} {}{of}: {}", cell(&event.kind), cell(&event.message))
}
