//! What a reload would do, or has done: `+` add, `~` change, `-` remove, `!` refused, and how many stay as they are.

use serde_json::{Value, json};

use super::text::{cell, safe};
use crate::rpc::v1;
use v1::WorkerChangeKind as Kind;

/// How many things are done by a reload, or wait for a Run or a restart.
pub(in crate::ctl) fn changes(plan: &v1::ReloadPlan) -> usize {
    let moves = |change: &&v1::WorkerChange| matches!(change.kind(), Kind::Add | Kind::Change | Kind::Remove);
    plan.workers.iter().filter(moves).count() + plan.settings.len()
}

/// How many files cannot be followed.
pub(in crate::ctl) fn refused(plan: &v1::ReloadPlan) -> usize {
    plan.workers.iter().filter(|change| change.kind() == Kind::Refuse).count() + plan.problems.len()
}

/// For people.
pub(in crate::ctl) fn text(plan: &v1::ReloadPlan) -> String {
    let mut lines: Vec<String> = Vec::new();
    for change in &plan.workers {
        worker(change, &mut lines);
    }
    for setting in &plan.settings {
        let value = |value: &Option<String>| value.as_deref().map_or_else(|| "(unset)".to_owned(), cell);
        let restart = if setting.live { "" } else { "  (restart clearmld to use it; runs go on)" };
        let (from, to) = (value(&setting.from), value(&setting.to));
        lines.push(format!("~ {}: {from} -> {to}{restart}", cell(&setting.key)));
    }
    lines.extend(plan.problems.iter().map(|problem| format!("! {}", safe(problem))));
    let kept = plan.workers.iter().filter(|change| change.kind() == Kind::Keep).count();
    lines.push(format!("= {kept} declared {} unchanged", if kept == 1 { "worker" } else { "workers" }));
    lines.join("\n")
}

fn worker(change: &v1::WorkerChange, lines: &mut Vec<String>) {
    let (name, file) = (cell(&change.name), cell(&change.file));
    let after = change.after_run_id.as_deref().map(|run| format!("  (after run {})", cell(run))).unwrap_or_default();
    match change.kind() {
        Kind::Add => lines.push(format!("+ {name}  {file}")),
        Kind::Remove => lines.push(format!("- {name}  {file} is gone{after}")),
        Kind::Change => {
            lines.push(format!("~ {name}  {file}{after}"));
            let fields = change.fields.iter();
            lines.extend(
                fields.map(|field| format!("    {}: {} -> {}", cell(&field.field), cell(&field.from), cell(&field.to))),
            );
        }
        Kind::Refuse => {
            lines.push(if name.is_empty() { format!("! {file}") } else { format!("! {name}  {file}") });
            lines.extend(change.reasons.iter().map(|reason| format!("    {}", cell(reason))));
        }
        Kind::Keep | Kind::Unspecified => {}
    }
}

/// For programs: `plan` and `reload`.
pub(in crate::ctl) fn json(plan: &v1::ReloadPlan) -> Value {
    let word = |kind: Kind| match kind {
        Kind::Unspecified => "unknown",
        Kind::Add => "add",
        Kind::Change => "change",
        Kind::Remove => "remove",
        Kind::Keep => "keep",
        Kind::Refuse => "refuse",
    };
    let worker = |change: &v1::WorkerChange| {
        let fields = change.fields.iter();
        let fields = fields.map(|field| json!({"field": field.field, "from": field.from, "to": field.to}));
        json!({
            "change": word(change.kind()),
            "name": Some(&change.name).filter(|name| !name.is_empty()),
            "file": change.file,
            "fields": fields.collect::<Vec<_>>(),
            "after_run_id": change.after_run_id,
            "reasons": change.reasons,
        })
    };
    let setting = |change: &v1::SettingChange| json!({"key": change.key, "from": change.from, "to": change.to, "needs_restart": !change.live});
    json!({
        "workers": plan.workers.iter().map(worker).collect::<Vec<_>>(),
        "settings": plan.settings.iter().map(setting).collect::<Vec<_>>(),
        "problems": plan.problems,
        "changes": changes(plan),
        "refused": refused(plan),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_has_its_sign_and_says_in_what_and_when() {
        let change = |kind: Kind, name: &str| v1::WorkerChange {
            kind: kind.into(),
            name: name.into(),
            file: format!("{name}.toml"),
            ..Default::default()
        };
        let field = v1::FieldChange { field: "gpus".into(), from: "0".into(), to: "1".into() };
        let plan = v1::ReloadPlan {
            workers: vec![
                v1::WorkerChange { after_run_id: Some("r1".into()), ..change(Kind::Remove, "gone") },
                change(Kind::Add, "new"),
                v1::WorkerChange { fields: vec![field], ..change(Kind::Change, "other") },
                change(Kind::Keep, "same"),
                v1::WorkerChange {
                    name: String::new(),
                    reasons: vec!["line 1: \u{1b}[2J".into()],
                    ..change(Kind::Refuse, "bad")
                },
            ],
            settings: vec![v1::SettingChange {
                key: "clearmld.run_as".into(),
                to: Some("b".into()),
                ..Default::default()
            }],
            problems: Vec::new(),
        };
        let lines: Vec<String> = text(&plan).lines().map(str::to_owned).collect();
        let wanted = [
            "- gone  gone.toml is gone  (after run r1)",
            "+ new  new.toml",
            "~ other  other.toml",
            "    gpus: 0 -> 1",
            "! bad.toml",
        ];
        assert_eq!(lines[..5], wanted);
        assert!(!lines[5].contains('\u{1b}'), "{lines:?}");
        assert_eq!(lines[6], "~ clearmld.run_as: (unset) -> b  (restart clearmld to use it; runs go on)");
        assert_eq!(lines[7], "= 1 declared worker unchanged");
        assert_eq!((changes(&plan), refused(&plan)), (4, 1));
    }
}
