//! `clearmld-shim check`: looks about inside the sandbox as a program of a task would, for `clearmlctl doctor`. It
//! changes nothing and leaves nothing behind.

use std::fs::File;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::domain::handover::{Answer, MARK, Question, Target};

/// For one address.
const CONNECT: Duration = Duration::from_secs(5);
/// More addresses of a name tell nothing new.
const MOST_ADDRESSES: usize = 4;
/// What confines the payload, in /proc/self/status.
const CONFINEMENT: [&str; 3] = ["NoNewPrivs:", "Seccomp:", "CapBnd:"];

/// Answers on standard output.
///
/// # Errors
/// When the question makes no sense or the answer cannot be written.
pub fn answer(question: &str) -> io::Result<()> {
    let question: Question = serde_json::from_str(question)?;
    let line = serde_json::to_string(&look(&question))?;
    writeln!(io::stdout(), "{MARK}{line}")
}

fn look(question: &Question) -> Answer {
    let mut answer = Answer { uid: nix::unistd::geteuid().as_raw(), confinement: confinement(), ..Answer::default() };
    if let Some(target) = &question.target {
        match resolve(&target.host) {
            Ok(addresses) => {
                answer.unreachable = connect(&addresses, target).err();
                answer.addresses = addresses.iter().map(ToString::to_string).collect();
            }
            Err(reason) => answer.unresolved = Some(reason),
        }
    }
    answer.devices = question.devices.iter().map(|path| (path.clone(), unopened(path))).collect();
    answer
}

fn confinement() -> Vec<String> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let lines = status.lines().filter(|line| CONFINEMENT.iter().any(|name| line.starts_with(name)));
    lines.map(|line| line.replace('\t', " ")).collect()
}

/// By the host's own libc, as programs do it: ours is linked statically and may know less of nsswitch.conf.
fn resolve(host: &str) -> Result<Vec<IpAddr>, String> {
    if let Ok(address) = host.trim_matches(['[', ']']).parse() {
        return Ok(vec![address]);
    }
    let by_python = "import socket, sys\nfor found in socket.getaddrinfo(sys.argv[1], None): print(found[4][0])";
    let tools: [(&str, &[&str]); 2] = [("getent", &["ahosts"]), ("python3", &["-c", by_python])];
    for (tool, arguments) in tools {
        let asked = Command::new(tool).args(arguments).arg(host).stdin(Stdio::null()).output();
        let Ok(output) = asked else { continue };
        let text = String::from_utf8_lossy(&output.stdout);
        let mut found: Vec<IpAddr> =
            text.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
        found.dedup();
        found.truncate(MOST_ADDRESSES);
        return if found.is_empty() { Err(format!("{tool} finds no address of {host}")) } else { Ok(found) };
    }
    Err("there is neither getent nor python3 in the sandbox to resolve names with".to_owned())
}

fn connect(addresses: &[IpAddr], target: &Target) -> Result<(), String> {
    let mut reasons = Vec::new();
    for address in addresses {
        match TcpStream::connect_timeout(&SocketAddr::new(*address, target.port), CONNECT) {
            Ok(_) => return Ok(()),
            Err(error) => reasons.push(format!("{address}: {error}")),
        }
    }
    Err(reasons.join("; "))
}

fn unopened(path: &Path) -> Option<String> {
    File::options().read(true).write(true).open(path).err().map(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_no_name_service_and_a_closed_port_is_told() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let question = |port| Question { target: Some(Target { host: "127.0.0.1".into(), port }), devices: Vec::new() };
        let answer = look(&question(port));
        assert_eq!((answer.unreachable, answer.unresolved), (None, None));
        drop(listener);
        assert!(look(&question(port)).unreachable.expect("closed").contains("refused"));
    }

    #[test]
    fn a_name_that_nobody_has_is_told() {
        let target = Target { host: "no-such-host.invalid".into(), port: 1 };
        let answer = look(&Question { target: Some(target), devices: vec!["/nowhere/nvidia0".into()] });
        assert!(answer.unresolved.expect("unresolved").contains("no-such-host.invalid"));
        assert!(answer.devices[0].1.as_deref().expect("not there").contains("No such file"));
    }
}
