//! What the answer from inside the sandbox means.

use std::fs;
use std::path::Path;

use crate::domain::diagnosis::Finding;
use crate::domain::handover::{Answer, Isolation, Question, Target};

pub(super) const SANDBOX: &str = "sandbox";
const DNS: &str = "sandbox_dns";
const SERVER: &str = "sandbox_server";
const GPU: &str = "gpu";

/// What the PCI bus has, whether or not a driver serves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NvidiaCards {
    pub(super) count: usize,
}

impl NvidiaCards {
    pub(super) fn look() -> Self {
        let devices = fs::read_dir("/sys/bus/pci/devices").into_iter().flatten().flatten();
        let is_card = |path: &Path| {
            let text = |name: &str| fs::read_to_string(path.join(name)).unwrap_or_default();
            text("vendor").trim() == "0x10de" && text("class").starts_with("0x03")
        };
        Self { count: devices.filter(|device| is_card(&device.path())).count() }
    }
}

/// When there is no answer.
pub(super) fn none(reason: &str) -> Vec<Finding> {
    let detail = format!("no program can be run in a sandbox: {reason}");
    vec![Finding::failed(SANDBOX, detail, "look at `journalctl -u clearmld` and at the checks beside this one")]
}

pub(super) fn all(
    question: &Question,
    answer: &Answer,
    missing: &[String],
    isolation: Isolation,
    cards: NvidiaCards,
) -> Vec<Finding> {
    let mut findings = vec![sandbox(answer, missing, isolation)];
    match &question.target {
        Some(target) => findings.extend([dns(answer, target), server(answer, target)]),
        None => findings.push(Finding::not_applicable(SERVER, "no server is configured")),
    }
    findings.push(gpu(answer, cards));
    findings
}

fn sandbox(answer: &Answer, missing: &[String], isolation: Isolation) -> Finding {
    let seen = format!("a program runs in it as uid {} ({})", answer.uid, answer.confinement.join(", "));
    if isolation == Isolation::Subreaper {
        let detail =
            format!("{seen}, but without namespaces: it sees the host's files and processes as that user does");
        return Finding::warning(SANDBOX, detail, "run clearmld as root: `systemctl enable --now clearmld`");
    }
    if missing.is_empty() {
        return Finding::ok(SANDBOX, seen);
    }
    let detail = format!("{seen}, but the shim says: {}", missing.join("; "));
    Finding::warning(SANDBOX, detail, "look at the checks cgroup and kernel")
}

fn dns(answer: &Answer, target: &Target) -> Finding {
    match &answer.unresolved {
        Some(reason) => Finding::failed(
            DNS,
            format!("names are not resolved inside the sandbox: {reason}"),
            "compare `getent ahosts` on the host, and look at /etc/resolv.conf and /etc/nsswitch.conf",
        ),
        None => Finding::ok(DNS, format!("{} is {}", target.host, answer.addresses.join(", "))),
    }
}

fn server(answer: &Answer, target: &Target) -> Finding {
    let place = format!("{}:{}", target.host, target.port);
    match (&answer.unresolved, &answer.unreachable) {
        (Some(_), _) => Finding::not_applicable(SERVER, format!("{place} has no address to connect to")),
        (None, Some(reason)) => Finding::failed(
            SERVER,
            format!("a program in the sandbox cannot connect to {place}: {reason}"),
            "let tasks through the firewall (rules by user too), or correct api.api_server in clearml.conf",
        ),
        (None, None) => Finding::ok(SERVER, format!("a program in the sandbox connects to {place}")),
    }
}

fn gpu(answer: &Answer, cards: NvidiaCards) -> Finding {
    let closed: Vec<String> = answer
        .devices
        .iter()
        .filter_map(|(path, error)| Some(format!("{}: {}", path.display(), error.as_ref()?)))
        .collect();
    if !closed.is_empty() {
        let detail = format!("a program in the sandbox cannot open {}", closed.join("; "));
        return Finding::failed(
            GPU,
            detail,
            "`ls -l /dev/nvidia*` must be crw-rw-rw-; `nvidia-modprobe -u -c=0` makes them",
        );
    }
    match (answer.devices.len(), cards.count) {
        (0, 0) => Finding::not_applicable(GPU, "this host has no NVIDIA GPU"),
        (0, count) => Finding::failed(
            GPU,
            format!("the PCI bus has {count} NVIDIA GPUs, but there are no device nodes: the driver is not loaded"),
            "install the NVIDIA driver, `modprobe nvidia`, then `nvidia-smi`",
        ),
        (nodes, _) => Finding::ok(GPU, format!("{nodes} device nodes can be opened inside the sandbox")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::diagnosis::Verdict;

    fn answered(change: impl FnOnce(&mut Answer)) -> Vec<(&'static str, Verdict)> {
        let target = Target { host: "api.example".into(), port: 443 };
        let mut answer = Answer { uid: 900_000, addresses: vec!["192.0.2.1".into()], ..Answer::default() };
        change(&mut answer);
        let question = Question { target: Some(target), devices: Vec::new() };
        let found = all(&question, &answer, &[], Isolation::Namespaces, NvidiaCards { count: 0 });
        found.into_iter().map(|finding| (finding.check, finding.verdict)).collect()
    }

    #[test]
    fn each_thing_has_a_verdict_of_its_own() {
        use Verdict::{Failed, NotApplicable, Ok};
        let na = (GPU, NotApplicable);
        assert_eq!(answered(|_| {}), [(SANDBOX, Ok), (DNS, Ok), (SERVER, Ok), na]);
        let unresolved = answered(|answer| answer.unresolved = Some("getent finds no address".into()));
        assert_eq!(unresolved, [(SANDBOX, Ok), (DNS, Failed), (SERVER, NotApplicable), na]);
        let unreachable = answered(|answer| answer.unreachable = Some("refused".into()));
        assert_eq!(unreachable, [(SANDBOX, Ok), (DNS, Ok), (SERVER, Failed), na]);
    }

    #[test]
    fn a_gpu_without_nodes_or_with_closed_ones_is_a_failure() {
        let open = Answer { devices: vec![("/dev/nvidia0".into(), None)], ..Answer::default() };
        assert_eq!(gpu(&open, NvidiaCards { count: 1 }).verdict, Verdict::Ok);
        let denied = vec![("/dev/nvidia0".into(), Some("Permission denied".into()))];
        let closed = gpu(&Answer { devices: denied, ..Answer::default() }, NvidiaCards { count: 1 });
        assert_eq!(closed.verdict, Verdict::Failed);
        assert!(closed.detail.contains("/dev/nvidia0: Permission denied"));
        assert_eq!(gpu(&Answer::default(), NvidiaCards { count: 2 }).verdict, Verdict::Failed);
    }

    #[test]
    fn what_the_sandbox_lacks_is_a_warning() {
        let answer = Answer::default();
        assert_eq!(sandbox(&answer, &["no cgroup".into()], Isolation::Namespaces).verdict, Verdict::Warning);
        assert_eq!(sandbox(&answer, &[], Isolation::Subreaper).verdict, Verdict::Warning);
        assert_eq!(none("no room").first().map(|finding| finding.verdict), Some(Verdict::Failed));
    }
}
