//! A task that takes all there is of the disk that the state is on.

use serde_json::json;

use super::host::{Host, Setting};

fn on_a_small_disk(program: &str) -> (serde_json::Value, String) {
    let disk = Some("size=96m,nr_inodes=3000,mode=0755");
    let mut host = Host::with(&Setting { disk, ..Setting::default() });
    host.worker("filler", &["--cpu-only"]);
    let daemon = host.daemon_pid();
    let task = host.submit("filler", program, &[]);
    let run = host.settled(&task);
    let log = host.log(&task);
    let next = host.submit("filler", "print('room again')\n", &[]);
    assert_eq!(host.settled(&next)["end"]["cause"], "completed", "{}", host.daemon_log());
    assert!(host.log(&next).contains("room again"));
    assert_eq!(host.daemon_pid(), daemon);
    (run, log)
}

#[test]
fn a_program_that_takes_every_inode_ends_is_reported_and_the_next_one_runs() {
    let program = "import itertools, os, sys\nprint('begun', flush=True)\ntry:\n    for number in itertools.count():\n        \
        os.mkdir(f'/tmp/{number}')\nexcept OSError as error:\n    print('refused', error.errno, number > 500, flush=True)\n    sys.exit(6)\n";
    let (run, log) = on_a_small_disk(program);
    assert_eq!(run["end"]["exit_code"], 6, "{run}");
    assert!(log.contains("refused 28 True"), "{log}");
}

#[test]
fn a_program_that_takes_every_byte_and_stays_is_stopped_and_the_next_one_runs() {
    let program = "import os, sys\nprint('begun', flush=True)\nfile = os.open('/tmp/fill', os.O_WRONLY | os.O_CREAT)\ntry:\n    \
        while True:\n        os.write(file, bytes(1 << 16))\nexcept OSError as error:\n    print('refused', error.errno, flush=True)\n    sys.exit(6)\n";
    let (run, log) = on_a_small_disk(program);
    assert_eq!(run["end"]["cause"], json!("disk_full"), "{run}");
    assert!(log.contains("begun"), "{log}");
}
