//! Reasons for people and for programs: a line a thing, and below it what to do.

use serde_json::{Value, json};

use super::text::cell;
use crate::rpc::v1;

/// What keeps a task from running is marked, so that the rest reads as what is beside it.
pub(in crate::ctl) fn text(reasons: &[v1::Reason]) -> String {
    let mut lines = Vec::new();
    for reason in reasons {
        let mark = if reason.hinders { '!' } else { '-' };
        lines.push(format!("{mark} {}", cell(&reason.text)));
        if let Some(next) = &reason.next {
            lines.push(format!("  next: {}", cell(next)));
        }
    }
    lines.join("\n")
}

pub(in crate::ctl) fn json(reasons: &[v1::Reason]) -> Value {
    let one = |reason: &v1::Reason| json!({"reason": reason.word, "text": reason.text, "next": reason.next, "hinders": reason.hinders});
    reasons.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_stands_below_its_reason_and_a_terminal_obeys_neither() {
        let empty = v1::Reason {
            word: "queue_empty".into(),
            text: "queue `a\u{1b}[2J` was empty".into(),
            next: Some("enqueue one".into()),
            hinders: true,
        };
        let ready = v1::Reason { word: "ready".into(), text: "nothing hinders it".into(), ..v1::Reason::default() };
        let reasons = [empty, ready];
        assert_eq!(text(&reasons), "! queue `a\\u{1b}[2J` was empty\n  next: enqueue one\n- nothing hinders it");
        assert_eq!(
            json(&reasons)[1],
            json!({"reason": "ready", "text": "nothing hinders it", "next": null, "hinders": false})
        );
    }
}
