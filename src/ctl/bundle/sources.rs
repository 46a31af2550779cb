//! What the host itself tells: files of /proc and /etc, and commands that change nothing.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;
use tokio::time::timeout;

use super::{COMMAND, Entry, cgroups};

/// What is kept of one source: the end, where the newest is.
const MOST: usize = 8 << 20;

const FILES: [(&str, &str); 6] = [
    ("os-release.txt", "/etc/os-release"),
    ("mounts.txt", "/proc/self/mountinfo"),
    ("kernel-command-line.txt", "/proc/cmdline"),
    ("memory.txt", "/proc/meminfo"),
    ("pressure-memory.txt", "/proc/pressure/memory"),
    ("nvidia-driver.txt", "/proc/driver/nvidia/version"),
];

const COMMANDS: [(&str, &[&str]); 10] = [
    ("kernel.txt", &["uname", "-a"]),
    ("disks.txt", &["df", "-hT"]),
    ("inodes.txt", &["df", "-i"]),
    ("unit.txt", &["systemctl", "cat", "--no-pager", "clearmld.service", "clearml.slice"]),
    ("unit-state.txt", &["systemctl", "show", "--no-pager", "clearmld.service"]),
    ("units.txt", &["systemctl", "list-units", "--no-pager", "--all", "--full", "clearml*"]),
    (
        "journal-daemon.txt",
        &["journalctl", "--no-pager", "-o", "short-iso-precise", "--since", "-1h", "-u", "clearmld"],
    ),
    (
        "journal-runs.txt",
        &["journalctl", "--no-pager", "-o", "short-iso-precise", "--since", "-1h", "-u", "clearml-run-*"],
    ),
    ("journal-kernel.txt", &["journalctl", "--no-pager", "-o", "short-iso-precise", "--since", "-1h", "-k"]),
    ("gpus.txt", &["nvidia-smi", "-q"]),
];

pub(super) async fn all() -> Vec<Entry> {
    let mut entries: Vec<Entry> =
        FILES.iter().map(|(name, path)| Entry { name, text: file(Path::new(path)) }).collect();
    entries.push(Entry { name: "cgroups.txt", text: cgroups::figures() });
    for (name, words) in COMMANDS {
        entries.push(Entry { name, text: command(words).await });
    }
    entries
}

fn file(path: &Path) -> String {
    match std::fs::read(path) {
        Ok(bytes) => tail(&bytes),
        Err(error) => format!("not there: {}: {error}\n", path.display()),
    }
}

async fn command(words: &[&str]) -> String {
    let [program, arguments @ ..] = words else { return String::new() };
    let mut command = Command::new(program);
    command.args(arguments).env("LC_ALL", "C.UTF-8").stdin(Stdio::null()).kill_on_drop(true);
    let said = |what: String| format!("$ {}\n{what}\n", words.join(" "));
    match timeout(COMMAND, command.output()).await {
        Ok(Ok(output)) => {
            let code = if output.status.success() { String::new() } else { format!("({})\n", output.status) };
            said(format!("{}{}{code}", tail(&output.stdout), tail(&output.stderr)))
        }
        Ok(Err(error)) => said(format!("not there: {error}")),
        Err(_) => said(format!("no end within {} s", COMMAND.as_secs())),
    }
}

fn tail(bytes: &[u8]) -> String {
    let start = bytes.len().saturating_sub(MOST);
    let text = String::from_utf8_lossy(&bytes[start..]);
    if start == 0 { text.into_owned() } else { format!("({start} bytes before this are left out)\n{text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_not_there_is_said_in_its_place() {
        assert!(file(Path::new("/nowhere")).starts_with("not there: /nowhere"));
        assert!(command(&["no-such-program-here", "x"]).await.contains("not there"));
        assert!(command(&["sh", "-c", "echo out; echo err >&2; exit 3"]).await.contains("out\nerr\n(exit status: 3)"));
    }

    #[test]
    fn of_a_flood_the_end_is_kept() {
        let text = tail(&[vec![b'a'; MOST], b"the end".to_vec()].concat());
        assert!(text.ends_with("the end") && text.starts_with("(7 bytes before"));
    }
}
