//! A state directory on a disk that is full.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::world::{World, is_root};

/// A small disk of its own.
pub(crate) struct Disk {
    place: tempfile::TempDir,
}

impl Disk {
    pub(crate) fn mount() -> Self {
        assert!(is_root(), "this test mounts a small disk, which needs root: run `sudo make test`, or as root in a VM");
        let place = tempfile::Builder::new().prefix("clearmld-disk.").tempdir().expect("a directory");
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=160m,mode=0700", "clearmld-test"])
            .arg(place.path())
            .output()
            .expect("mount starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "a tmpfs cannot be mounted here ({said}): run this where root may mount");
        Self { place }
    }

    fn filler(&self) -> PathBuf {
        self.place.path().join("filler")
    }

    /// Leaves not a byte.
    pub(crate) fn fill(&self) {
        let mut file = File::create(self.filler()).expect("made");
        for piece in [1 << 20, 4096, 1] {
            let bytes = vec![0; piece];
            while file.write_all(&bytes).is_ok() {}
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.filler()).expect("removed");
    }

    fn path(&self) -> &Path {
        self.place.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.place.path()).status();
    }
}

pub(crate) async fn world_on(disk: &Disk) -> World {
    let mut world = World::without_daemon().await;
    world.state = disk.path().join("state");
    // What happens at the last byte is what is looked at here.
    world.configure("agent { }\n");
    std::fs::write(world.path().join("clearmld.toml"), "reserve_disk_mib = 0\n").expect("written");
    world.bring_uv();
    world.start_daemon();
    world.ok(&["worker", "add", "--cpu-only", "--queue", "default"]);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_fills_the_disk_fails_for_that_reason_and_the_next_task_runs() {
    let disk = Disk::mount();
    let world = world_on(&disk).await;
    let script = "import time\nprint('begun', flush=True)\ntime.sleep(1)\n\
        with open('/tmp/fill', 'wb', buffering=0) as file:\n    while True:\n        file.write(bytes(1 << 20))\n";
    let task = world.submit(script, "").await;
    let pid = world.daemon_pid();
    let reason = world.fails(&task).await;
    assert!(reason.contains("disk is full") && reason.contains("No space left"), "{reason}");
    assert_eq!(world.json(&["run", "show", task.as_str()])["end"]["cause"], "disk_full");
    let log = world.log(&task).await;
    assert!(log.contains("begun\n"), "{log}");
    let next = world.submit("print('room again')\n", "").await;
    world.completes(&next).await;
    assert_eq!(world.daemon_pid(), pid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_others_fill_is_a_line_in_status_and_all_goes_on_when_there_is_room() {
    let disk = Disk::mount();
    let world = world_on(&disk).await;
    assert!(!world.ok(&["status"]).contains("full"));
    let script =
        "import time\nfor i in range(80):\n    print('line', i, flush=True)\n    time.sleep(0.1)\nprint('over')\n";
    let running = world.submit(script, "").await;
    world.log_shows(&running, "line 3\n").await;
    let lines = world.daemon_log().lines().count();
    disk.fill();
    let waiting = world.submit("print('at last')\n", "").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let status = world.ok(&["status"]);
    let remark = status.lines().find(|line| line.contains("full"));
    let path = world.state.to_str().expect("UTF-8");
    assert!(remark.is_some_and(|line| line.contains(path)), "{status}");
    disk.free();
    let log = world.completes(&running).await;
    assert!(log.contains("line 0\n") && log.contains("over\n"), "{log}");
    world.completes(&waiting).await;
    assert!(!world.ok(&["status"]).contains("full"));
    let since = world.daemon_log().lines().count() - lines;
    assert!(since < 30, "{since} lines:\n{}", world.daemon_log());
}
