//! Docker or podman.

use std::path::Path;

use async_trait::async_trait;

use crate::domain::diagnosis::Finding;
use crate::engine::ports::Check;
use crate::host::container;

const CHECK: &str = "containers";

#[derive(Debug)]
pub(super) struct Containers;

#[async_trait]
impl Check for Containers {
    fn name(&self) -> &'static str {
        CHECK
    }

    async fn look(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        for socket in container::SOCKETS.into_iter().filter(|socket| Path::new(socket).exists()) {
            found.push(verdict(socket, container::engine(Path::new(socket)).await));
        }
        if found.is_empty() {
            found.push(Finding::not_applicable(CHECK, "neither docker nor podman listens on this host"));
        }
        found
    }
}

fn verdict(socket: &str, answer: Result<String, String>) -> Finding {
    match answer {
        Ok(engine) => Finding::ok(CHECK, format!("{engine} on {socket}")),
        Err(reason) => {
            let unit = if socket.contains("podman") { "podman.socket" } else { "docker" };
            let detail = format!("{socket} is there, but the engine behind it does not answer: {reason}");
            Finding::warning(CHECK, detail, format!("`systemctl status {unit}`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::diagnosis::Verdict;

    #[test]
    fn an_engine_that_does_not_answer_is_a_warning_that_names_its_unit() {
        assert_eq!(verdict("/run/docker.sock", Ok("Docker Engine 20.10".into())).verdict, Verdict::Ok);
        let silent = verdict("/run/podman/podman.sock", Err("refused".into()));
        assert_eq!(silent.verdict, Verdict::Warning);
        assert!(silent.fix.expect("a fix").contains("podman.socket"));
    }

    #[tokio::test]
    async fn an_engine_is_asked_over_its_socket() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("docker.sock");
        let listener = tokio::net::UnixListener::bind(&path).expect("bound");
        let serving = async {
            loop {
                let (mut stream, _) = listener.accept().await.expect("accepted");
                let mut request = vec![0; 4096];
                while let Ok(length @ 1..) = tokio::io::AsyncReadExt::read(&mut stream, &mut request).await {
                    let asked = String::from_utf8_lossy(&request[..length]);
                    let body = match asked.contains("_ping") {
                        true => "OK".to_owned(),
                        false => r#"{"Version":"20.10.24","Platform":{"Name":"Docker Engine"}}"#.to_owned(),
                    };
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    tokio::io::AsyncWriteExt::write_all(&mut stream, answer.as_bytes()).await.expect("written");
                }
            }
        };
        tokio::select! {
            () = serving => {}
            said = container::engine(&path) => assert_eq!(said.as_deref(), Ok("Docker Engine 20.10.24")),
        }
        let nobody = container::engine(&directory.path().join("none.sock")).await;
        assert!(nobody.is_err(), "{nobody:?}");
    }
}
