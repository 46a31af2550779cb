//! Findings for people: a line a thing, and below it what to do. The word tells how it is; colour only helps.

use super::table::Look;
use super::text::cell;
use super::words;
use crate::rpc::v1;

/// The longest word of a verdict.
const WIDTH: usize = "not applicable".len();

pub(in crate::ctl) fn render(look: Look, findings: &[v1::Finding]) -> String {
    let name = findings.iter().map(|finding| finding.check.chars().count()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for finding in findings {
        let word = format!("{:WIDTH$}", words::verdict(finding));
        lines.push(format!(
            "{}  {:name$}  {}",
            painted(look, finding, &word),
            cell(&finding.check),
            cell(&finding.detail)
        ));
        if let Some(fix) = &finding.fix {
            lines.push(format!("{:WIDTH$}  {:name$}  fix: {}", "", "", cell(fix)));
        }
    }
    lines.join("\n")
}

fn painted(look: Look, finding: &v1::Finding, word: &str) -> String {
    let code = match finding.verdict() {
        v1::Verdict::Ok => 32,
        v1::Verdict::Warning => 33,
        v1::Verdict::Failed => 31,
        v1::Verdict::NotApplicable | v1::Verdict::Unspecified => 2,
    };
    if look.colour { format!("\u{1b}[{code}m{word}\u{1b}[0m") } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fix_stands_below_what_it_mends_and_colour_is_only_where_it_may_be() {
        let finding = v1::Finding {
            check: "disk".into(),
            verdict: v1::Verdict::Failed.into(),
            detail: "full\u{1b}[2J".into(),
            fix: Some("free space".into()),
        };
        let plain = render(Look { terminal: false, colour: false }, std::slice::from_ref(&finding));
        assert_eq!(plain, "failed          disk  full\\u{1b}[2J\n                      fix: free space");
        let coloured = render(Look { terminal: true, colour: true }, &[finding]);
        assert!(coloured.starts_with("\u{1b}[31mfailed"), "{coloured:?}");
    }
}
