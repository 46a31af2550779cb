//! What a reload does, as a value: the declared Workers' changes and the settings'. Deciding is pure; the core applies.

use std::collections::BTreeMap;

use super::Settings;
use crate::domain::declared::Change;

/// What a reload would do, or has done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reload {
    /// Of declared Workers.
    pub workers: Vec<Change>,
    /// Of settings.
    pub settings: Vec<SettingChange>,
    /// What could not be read or written, each a sentence.
    pub problems: Vec<String>,
}

/// A setting that the files have otherwise than it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingChange {
    /// `clearmld.keep_runs`.
    pub key: String,
    /// As it is in force; none where nothing was said.
    pub from: Option<String>,
    /// As the files have it; a secret is `****`.
    pub to: Option<String>,
    /// Whether a reload is enough; else clearmld must be restarted (Runs go on).
    pub live: bool,
}

/// What takes effect without a restart: nothing else keeps a copy of these.
const LIVE: [&str; 10] = [
    "clearmld.poll_interval_seconds",
    "clearmld.report_interval_seconds",
    "clearmld.keep_runs_days",
    "clearmld.keep_runs",
    "clearmld.lend_gpus_in_use",
    "clearmld.ignored_gpu_programs",
    "agent.uptime",
    "agent.downtime",
    "agent.task_ping_interval_sec",
    "agent.abort_callback_max_timeout",
];

impl Reload {
    /// Whether there is nothing to do and nothing to say.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        let keeps = self.workers.iter().all(|change| match change {
            Change::Keep { .. } => true,
            Change::Add { .. } | Change::Alter { .. } | Change::Remove { .. } | Change::Refuse { .. } => false,
        });
        keeps && self.settings.is_empty() && self.problems.is_empty()
    }
}

/// In what `found` differs from what is in force.
#[must_use]
pub fn settings(in_force: &Settings, found: &Settings) -> Vec<SettingChange> {
    let (before, after) = (&in_force.described, &found.described);
    let keys: BTreeMap<&String, ()> = before.keys().chain(after.keys()).map(|key| (key, ())).collect();
    let moved = keys.into_keys().filter(|key| before.get(*key) != after.get(*key));
    let mut changes: Vec<SettingChange> = moved
        .map(|key| SettingChange {
            key: key.clone(),
            from: before.get(key).cloned(),
            to: after.get(key).cloned(),
            live: LIVE.contains(&key.as_str()),
        })
        .collect();
    // A secret looks as before, and sections that are handed on to tasks are not described.
    if changes.is_empty() && in_force.files != found.files {
        let key = "the configuration files".to_owned();
        changes.push(SettingChange {
            key,
            from: None,
            to: Some("changed, in comments or secrets".to_owned()),
            live: false,
        });
    }
    changes
}

/// `in_force`, with what of `found` takes effect without a restart.
#[must_use]
pub fn with_live(in_force: &Settings, found: &Settings) -> Settings {
    let mut described = in_force.described.clone();
    for key in LIVE {
        match found.described.get(key) {
            Some(value) => described.insert(key.to_owned(), value.clone()),
            None => described.remove(key),
        };
    }
    Settings {
        hours: found.hours.clone(),
        poll_interval: found.poll_interval,
        report_interval: found.report_interval,
        ping_interval: found.ping_interval,
        longest_callback: found.longest_callback,
        strangers: found.strangers.clone(),
        keep_runs: found.keep_runs,
        keep_runs_for: found.keep_runs_for,
        // What waits for a restart is then told anew; what does not, is in force.
        files: if described == found.described && settings(in_force, found).iter().all(|change| change.live) {
            found.files.clone()
        } else {
            in_force.files.clone()
        },
        described,
        ..in_force.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(settings: &[(&str, &str)], files: &str) -> Settings {
        let described = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Settings { described, files: files.to_owned(), ..Settings::default() }
    }

    #[test]
    fn what_needs_a_restart_is_told_until_it_has_been_restarted_and_what_does_not_is_told_once() {
        let now = described(&[("clearmld.keep_runs", "200"), ("clearmld.run_as", "a")], "1");
        let mut found = described(&[("clearmld.keep_runs", "50"), ("clearmld.run_as", "b"), ("socket", "/s")], "2");
        found.keep_runs = 50;
        let changes = settings(&now, &found);
        let told: Vec<(&str, bool)> = changes.iter().map(|change| (change.key.as_str(), change.live)).collect();
        assert_eq!(told, [("clearmld.keep_runs", true), ("clearmld.run_as", false), ("socket", false)]);
        let after = with_live(&now, &found);
        assert_eq!((after.keep_runs, &after.described["clearmld.run_as"]), (50, &"a".to_owned()));
        let told: Vec<String> = settings(&after, &found).into_iter().map(|change| change.key).collect();
        assert_eq!(told, ["clearmld.run_as", "socket"]);
        // Only live ones: afterwards all is as the files say.
        let found = described(&[("clearmld.keep_runs", "50"), ("clearmld.run_as", "a")], "3");
        assert!(settings(&with_live(&now, &found), &found).is_empty());
    }

    #[test]
    fn a_secret_that_has_changed_is_told_without_being_shown() {
        let now = described(&[("api.credentials.secret_key", "****")], "1");
        let found = described(&[("api.credentials.secret_key", "****")], "2");
        let changes = settings(&now, &found);
        assert!(changes.len() == 1 && !changes[0].live, "{changes:?}");
        assert!(settings(&now, &now.clone()).is_empty());
    }
}
