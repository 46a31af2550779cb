//! `sh host` blocks: typed into one shell a document, one after the other, beside a daemon with the embedded server.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::reader::{Document, documents};

#[test]
fn every_block_that_is_run_on_the_host_succeeds() {
    let documents: Vec<Document> = documents().into_iter().filter(has_blocks).collect();
    assert!(!documents.is_empty(), "no document has a block marked `sh host`");
    for document in documents {
        let daemon = Daemon::start();
        let blocks = document.blocks.iter().filter(|block| block.info == "sh host");
        let script: String = blocks.map(|block| block.text.as_str()).collect();
        let done = daemon.shell(&script);
        assert!(done.status.success(), "{}:\n{script}\n{done:?}", document.path.display());
    }
}

fn has_blocks(document: &Document) -> bool {
    document.blocks.iter().any(|block| block.info == "sh host")
}

/// A daemon with the embedded server, in a directory of its own.
struct Daemon {
    process: Child,
    directory: tempfile::TempDir,
}

impl Daemon {
    fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("clearmld-docs.").tempdir().expect("a directory");
        let process = Command::new(env!("CARGO_BIN_EXE_clearmld"))
            .args(["--local=127.0.0.1:0", "--state-dir"])
            .arg(directory.path().join("state"))
            .arg("--socket")
            .arg(directory.path().join("socket"))
            .arg("--local-faults")
            .arg(directory.path().join("faults.sock"))
            .env_clear()
            .env("PATH", path())
            .env("HOME", directory.path())
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(directory.path().join("log")).expect("a log"))
            .spawn()
            .expect("clearmld");
        let daemon = Self { process, directory };
        let patience = Instant::now() + Duration::from_secs(30);
        while !daemon.shell("clearmlctl status").status.success() {
            assert!(Instant::now() < patience, "the daemon does not answer: {}", daemon.log());
            std::thread::sleep(Duration::from_millis(100));
        }
        daemon
    }

    fn shell(&self, script: &str) -> std::process::Output {
        Command::new("timeout")
            .args(["--kill-after=5", "180", "bash", "-euo", "pipefail", "-c", script])
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", path())
            .env("HOME", self.directory.path())
            .env("CLEARMLD_SOCKET", self.directory.path().join("socket"))
            .stdin(Stdio::null())
            .output()
            .expect("bash")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Ours first.
fn path() -> String {
    let bin = Path::new(env!("CARGO_BIN_EXE_clearmlctl")).parent().expect("a directory");
    format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default())
}
