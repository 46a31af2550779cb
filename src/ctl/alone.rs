//! What can be seen of the daemon from outside, when it does not answer.

use std::path::Path;
use std::process::{Command, Stdio};

use super::failure::Failure;
use crate::rpc::v1;

const DAEMON: &str = "daemon";

/// What systemd says of the unit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Unit {
    load: String,
    active: String,
    result: String,
    status: String,
    exit: String,
}

/// Why there is no daemon to ask, as a finding.
pub(super) fn unanswered(failure: &Failure, installed: bool) -> v1::Finding {
    let (what, next) = failure.words();
    if let Failure::SocketDenied { .. } = failure {
        return failed(what, next);
    }
    // Another socket than the host's is somebody's own daemon, which no unit starts.
    match installed.then(unit).flatten() {
        Some(unit) => of_unit(&unit, &what, &next),
        None => failed(what, next),
    }
}

/// What was left out for want of a daemon.
pub(super) fn rest() -> v1::Finding {
    v1::Finding {
        check: "rest".to_owned(),
        verdict: v1::Verdict::NotApplicable.into(),
        detail: "server, clock, sandbox, GPUs, cgroups, disk, permissions and tools are looked at by the daemon itself"
            .to_owned(),
        fix: None,
    }
}

/// That it answers, and whether it is of our version.
pub(super) fn answered(status: &v1::HostStatus) -> v1::Finding {
    let ours = env!("CARGO_PKG_VERSION");
    if status.version == ours {
        let detail = format!("clearmld {ours} answers");
        return v1::Finding { check: DAEMON.to_owned(), verdict: v1::Verdict::Ok.into(), detail, fix: None };
    }
    let detail = format!("clearmld {} answers clearmlctl {ours}", status.version);
    let fix = Some("`systemctl restart clearmld` after an upgrade; runs go on".to_owned());
    v1::Finding { check: DAEMON.to_owned(), verdict: v1::Verdict::Warning.into(), detail, fix }
}

fn failed(detail: String, fix: String) -> v1::Finding {
    v1::Finding { check: DAEMON.to_owned(), verdict: v1::Verdict::Failed.into(), detail, fix: Some(fix) }
}

fn unit() -> Option<Unit> {
    if !Path::new("/run/systemd/system").is_dir() {
        return None;
    }
    let properties = "LoadState,ActiveState,Result,StatusText,ExecMainStatus";
    let mut command = Command::new("systemctl");
    command.args(["show", "clearmld.service", "--property", properties]).stdin(Stdio::null());
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(parse(&String::from_utf8_lossy(&output.stdout)))
}

fn parse(text: &str) -> Unit {
    let value = |name: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_default().to_owned()
    };
    Unit {
        load: value("LoadState"),
        active: value("ActiveState"),
        result: value("Result"),
        status: value("StatusText"),
        exit: value("ExecMainStatus"),
    }
}

fn of_unit(unit: &Unit, what: &str, next: &str) -> v1::Finding {
    let said = if unit.status.is_empty() { String::new() } else { format!("; it last said: {}", unit.status) };
    let journal = "`journalctl -u clearmld -b -n 50`";
    match (unit.load.as_str(), unit.active.as_str()) {
        ("not-found", _) => {
            failed(format!("{what}; systemd knows no clearmld.service"), "install the package".to_owned())
        }
        ("masked", _) => {
            failed(format!("{what}; clearmld.service is masked"), "`systemctl unmask clearmld`".to_owned())
        }
        (_, "failed") if unit.exit == "2" => failed(
            format!("{what}; clearmld.service has ended, since its configuration cannot be used"),
            format!("{journal} names each fault; correct it, then `systemctl restart clearmld`"),
        ),
        (_, "failed") => failed(
            format!("{what}; clearmld.service has failed ({}, exit code {})", unit.result, unit.exit),
            format!("{journal}, then `systemctl restart clearmld`"),
        ),
        (_, "activating") => failed(format!("{what}; clearmld.service is starting{said}"), journal.to_owned()),
        (_, "active") => failed(format!("{what}; systemd says that clearmld.service is up{said}"), journal.to_owned()),
        (_, "inactive") => {
            failed(format!("{what}; clearmld.service is not started"), "`systemctl enable --now clearmld`".to_owned())
        }
        (_, state) => failed(format!("{what}; clearmld.service is {state}"), next.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fix(text: &str) -> String {
        of_unit(&parse(text), "it does not answer", "start it").fix.expect("a fix")
    }

    #[test]
    fn what_systemd_says_decides_what_to_do() {
        assert!(fix("LoadState=not-found\nActiveState=inactive\n").contains("install"));
        assert!(fix("LoadState=masked\nActiveState=inactive\n").contains("unmask"));
        assert!(fix("LoadState=loaded\nActiveState=inactive\n").contains("enable --now"));
        assert!(fix("LoadState=loaded\nActiveState=failed\nResult=exit-code\nExecMainStatus=2\n").contains("correct"));
        assert!(fix("LoadState=loaded\nActiveState=failed\nResult=signal\nExecMainStatus=9\n").contains("journalctl"));
        let up = of_unit(&parse("LoadState=loaded\nActiveState=active\nStatusText=2 workers\n"), "no answer", "");
        assert!(up.detail.contains("2 workers"), "{up:?}");
    }

    #[test]
    fn a_daemon_of_another_version_is_a_warning() {
        let status = |version: &str| v1::HostStatus { version: version.into(), ..v1::HostStatus::default() };
        assert_eq!(answered(&status(env!("CARGO_PKG_VERSION"))).verdict(), v1::Verdict::Ok);
        assert_eq!(answered(&status("0.0.0")).verdict(), v1::Verdict::Warning);
    }
}
