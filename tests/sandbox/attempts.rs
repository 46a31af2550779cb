//! What is tried, and what must come of it: attempts.txt.

use std::collections::BTreeMap;

use serde_json::Value;

const MARK: &str = "attempt: ";

/// What may come of each attempt, in the order of the file.
pub(crate) fn expected() -> Vec<(&'static str, Vec<&'static str>)> {
    let lines = include_str!("attempts.txt").lines().map(str::trim).filter(|line| !line.is_empty());
    let attempts: Vec<_> = lines
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (outcomes, attempt) = line.split_once(": ").expect("outcomes and an attempt");
            (attempt, outcomes.split(" or ").collect())
        })
        .collect();
    let names: std::collections::BTreeSet<_> = attempts.iter().map(|(attempt, _)| *attempt).collect();
    assert_eq!(names.len(), attempts.len(), "an attempt is listed twice");
    attempts
}

/// What came of each, as the program has printed it.
pub(crate) fn outcomes(log: &str) -> BTreeMap<String, String> {
    let mut outcomes = BTreeMap::new();
    for line in log.lines().filter_map(|line| line.strip_prefix(MARK)) {
        let verdict: Value = serde_json::from_str(line).expect("JSON");
        let text = |name: &str| verdict[name].as_str().expect("text").to_owned();
        let before = outcomes.insert(text("attempt"), text("outcome"));
        assert_eq!(before, None, "it was made twice: {line}");
    }
    outcomes
}

/// Where they differ from what must come of them, a sentence each.
pub(crate) fn differences(outcomes: &BTreeMap<String, String>) -> Vec<String> {
    let expected = expected();
    let mut wrong = Vec::new();
    for (attempt, wanted) in &expected {
        match outcomes.get(*attempt) {
            None => wrong.push(format!("{attempt}: was not tried")),
            Some(outcome) if wanted.contains(&outcome.as_str()) => {}
            Some(outcome) => wrong.push(format!("{attempt}: {outcome}, not {}", wanted.join(" or "))),
        }
    }
    let listed = |name: &str| expected.iter().any(|(attempt, _)| *attempt == name);
    wrong.extend(outcomes.keys().filter(|name| !listed(name)).map(|name| format!("{name}: is not in attempts.txt")));
    wrong
}

/// For people, and for whoever keeps the output of a test.
#[expect(clippy::print_stdout, reason = "the table is this test's report")]
pub(crate) fn print(outcomes: &BTreeMap<String, String>) {
    for (attempt, _) in expected() {
        let outcome = outcomes.get(attempt).map_or("not tried", String::as_str);
        println!("a task that tries to {attempt}: {outcome}");
    }
}
