//! The init system that starts Runs.

use std::path::Path;

use async_trait::async_trait;

use crate::domain::diagnosis::Finding;
use crate::engine::ports::Check;
use crate::host::launch;

const CHECK: &str = "systemd";
/// What the shipped units are written for.
const OLDEST: u32 = 247;

#[derive(Debug)]
pub(super) struct Systemd;

#[async_trait]
impl Check for Systemd {
    fn name(&self) -> &'static str {
        CHECK
    }

    async fn look(&self) -> Vec<Finding> {
        if !Path::new("/run/systemd/system").is_dir() {
            return vec![Finding::not_applicable(CHECK, "PID 1 is not systemd: runs are started by the daemon itself")];
        }
        vec![verdict(launch::systemd_version().await)]
    }
}

fn verdict(version: Result<String, String>) -> Finding {
    let version = match version {
        Ok(version) => version,
        Err(reason) => {
            let detail = format!("systemd does not answer on the system bus ({reason}): it cannot start runs");
            return Finding::failed(
                CHECK,
                detail,
                "`systemctl status dbus.service`, and restart clearmld when it is up",
            );
        }
    };
    let digits: String = version.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    match digits.parse::<u32>() {
        Ok(number) if number < OLDEST => Finding::warning(
            CHECK,
            format!("systemd {version} is older than {OLDEST}: parts of the unit's confinement have no effect"),
            "upgrade the distribution",
        ),
        Ok(_) => Finding::ok(CHECK, format!("systemd {version}")),
        Err(_) => {
            Finding::warning(CHECK, format!("systemd calls its version `{version}`"), "look at `systemctl --version`")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::diagnosis::Verdict;

    #[test]
    fn the_version_decides_and_a_silent_bus_is_a_failure() {
        for (version, verdict_wanted) in [
            ("252.39-1~deb12u1", Verdict::Ok),
            ("v256.7-3.fc41", Verdict::Ok),
            ("245.4-4ubuntu3", Verdict::Warning),
            ("odd", Verdict::Warning),
        ] {
            assert_eq!(verdict(Ok(version.into())).verdict, verdict_wanted, "{version}");
        }
        let silent = verdict(Err("no such file".into()));
        assert_eq!(silent.verdict, Verdict::Failed);
        assert!(silent.fix.expect("a fix").contains("dbus"));
    }
}
