//! Limits that the kernel enforces, under both launchers. They need a host with systemd and the controllers of cgroup
//! v2, which few build machines have: the VM of `make test-e2e` runs them (`shim enforced --ignored`).

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use clearmld::domain::cause::Cause;
use clearmld::domain::handover::{End, ExitRecord, file};
use clearmld::domain::ids::{RunId, StateId};
use clearmld::domain::limits::{Limits, Written, usual_pids};
use clearmld::engine::ports::Launcher;
use clearmld::host::launch::choose;
use clearmld::sys::durable;

use super::launch::{launcher, wrapper};
use super::stand::{Stand, with_argument};

fn limits(memory: Option<&str>, cpus: Option<&str>, pids: Option<u64>) -> Limits {
    Limits::parse(&Written { memory, cpus, pids, ..Written::default() }).expect("limits")
}

/// Both launchers; the direct one has the controllers that systemd uses itself, most often memory and pids.
const BOTH: [&str; 2] = ["direct", "systemd"];

/// Carries out `program` under each of these launchers; `look` is given the Run's cgroup when the program has printed `up`.
async fn under(
    kinds: &[&str],
    name: &str,
    limits: Limits,
    program: &str,
    look: impl Fn(&Path),
    judge: impl Fn(&ExitRecord, &str, f64),
) {
    for &kind in kinds {
        let stand = Stand::new();
        let mut run = stand.program(program);
        let launcher: Arc<dyn Launcher> = match kind {
            "direct" => Arc::new(launcher(&stand, &run)),
            _ => choose(&StateId::new("test").expect("an id"), wrapper(&stand, &run)).await,
        };
        let description = launcher.describe();
        assert_eq!(description.name, kind, "{:?}", description.missing);
        assert_eq!(description.controllers.lacking(&limits), Ok(()));
        run.spec.run = RunId::new(format!("{name}-{kind}-{}", std::process::id())).expect("an id");
        run.spec.limits = limits;
        run.spec.cgroup = launcher.cgroup(&run.spec.run).await;
        let cgroup = run.spec.cgroup.clone().expect("a cgroup");
        run.write_orders();
        let began = Instant::now();
        let started = launcher.launch(&run.spec.run, &run.directory).await.expect("launched");
        assert_eq!(started.missing, Vec::<String>::new(), "{kind}");
        let output =
            || String::from_utf8_lossy(&fs::read(run.directory.join(file::SPOOL)).unwrap_or_default()).into_owned();
        if program.contains("echo up") {
            while !output().contains("up") {
                assert!(began.elapsed().as_secs() < 60, "{}", output());
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            look(&cgroup);
        }
        launcher.wait(&started.shim).await;
        let log = fs::read_to_string(run.directory.join(file::SHIM_LOG)).unwrap_or_default();
        let record: ExitRecord = durable::read_json(&run.directory.join(file::EXIT))
            .unwrap_or_else(|error| panic!("{kind}: the shim did not outlive it: {error}\n{log}"));
        judge(&record, &output(), began.elapsed().as_secs_f64());
        launcher.sweep(&run.spec.run).await.expect("swept");
        assert!(!cgroup.exists(), "{kind}");
    }
}

#[tokio::test]
#[ignore = "needs systemd and the controllers of cgroup v2: run in the VM of `make test-e2e`"]
async fn a_program_beyond_its_memory_is_killed_whole_and_told_so_while_the_shim_lives() {
    let limits = limits(Some("80M"), None, None);
    // The one that eats is a child: its parent would survive a kill of that one alone.
    let program = "df -B1 --output=size /dev/shm | tail -1; python3 -c 'x = bytearray(300 << 20)'; echo survived";
    under(
        &BOTH,
        "oom",
        limits,
        program,
        |_| {},
        |record, output, _| {
            assert_eq!(record.end, End::Signaled { signal: 9 }, "{output}");
            assert!(
                !output.contains("survived") && output.trim_start().starts_with(&format!("{}\n", 40 << 20)),
                "{output}"
            );
            let usage = record.usage;
            assert!(usage.oom_kills > 0 && usage.limit_hits > 0 && usage.memory_limit == 80 << 20, "{usage:?}");
            let cause = Cause::of(record, None);
            assert_eq!(cause.word(), "out_of_memory");
            assert!(cause.reason().contains("at its limit of 80 MiB, it had used "), "{}", cause.reason());
        },
    )
    .await;
}

#[tokio::test]
#[ignore = "needs systemd and the controllers of cgroup v2: run in the VM of `make test-e2e`"]
async fn dev_shm_counts_for_the_memory() {
    // 40 MiB of it are all that there is; the rest is refused to the writer, and nobody is killed.
    let program = "dd if=/dev/zero of=/dev/shm/x bs=1M count=60 2>&1 | grep -o 'No space left'; exit 3";
    under(
        &BOTH,
        "shm",
        limits(Some("80M"), None, None),
        program,
        |_| {},
        |record, output, _| {
            assert_eq!(record.end, End::Exited { code: 3 }, "{output}");
            assert!(output.contains("No space left"), "{output}");
            assert!(record.usage.peak_memory >= 40 << 20 && record.usage.oom_kills == 0, "{:?}", record.usage);
        },
    )
    .await;
}

#[tokio::test]
#[ignore = "needs systemd and the controllers of cgroup v2: run in the VM of `make test-e2e`"]
async fn a_fork_bomb_reaches_its_limit_and_is_gone_at_the_end() {
    let program = "python3 -c '\nimport os, time\nfor _ in range(500):\n    try:\n        pid = os.fork()\n    except \
                   OSError as error:\n        print(error.errno, flush=True); break\n    if pid == 0: \
                   os.execvp(\"sleep\", [\"sleep\", \"98793\"])\n'; exit 4";
    under(
        &BOTH,
        "bomb",
        limits(None, None, Some(64)),
        program,
        |_| {},
        |record, output, _| {
            assert_eq!((&record.end, output), (&End::Exited { code: 4 }, "11\n"));
            assert!(record.usage.refused_forks > 0, "{:?}", record.usage);
            assert!(with_argument("98793").is_empty());
        },
    )
    .await;
}

#[tokio::test]
#[ignore = "needs systemd and the controllers of cgroup v2: run in the VM of `make test-e2e`"]
async fn a_part_of_a_cpu_is_all_that_two_busy_processes_get() {
    let busy = "import time\nend = time.monotonic() + 4\nwhile time.monotonic() < end: pass";
    let program = format!("python3 -c '{busy}' & python3 -c '{busy}'; wait");
    under(
        &["systemd"],
        "cpu",
        limits(None, Some("0.5"), None),
        &program,
        |_| {},
        |record, output, seconds| {
            assert_eq!(record.end, End::Exited { code: 0 }, "{output}");
            let used = record.usage.cpu_micros as f64 / 1e6;
            assert!(used < 0.6 * seconds && used > 1.0, "{used} s of CPU in {seconds} s");
            assert!(record.usage.throttled_micros > 500_000, "{:?}", record.usage);
        },
    )
    .await;
}

#[tokio::test]
#[ignore = "needs systemd and the controllers of cgroup v2: run in the VM of `make test-e2e`"]
async fn without_limits_processes_alone_are_limited_and_what_was_used_is_counted() {
    let program = "dd if=/dev/zero of=/tmp/x bs=1M count=12 conv=fsync 2>/dev/null; echo up; sleep 1; exit 0";
    let look = |cgroup: &Path| {
        let read = |name: &str| fs::read_to_string(cgroup.join("payload").join(name)).expect("read").trim().to_owned();
        assert_eq!(read("pids.max"), usual_pids(kernel_has()).to_string());
        assert_eq!((read("memory.max").as_str(), read("cpu.max").as_str()), ("max", "max 100000"));
        assert_eq!(read("memory.oom.group"), "1");
        let delegated = fs::read_to_string(cgroup.join("cgroup.controllers")).expect("read");
        for controller in ["cpu", "memory", "pids", "io"] {
            assert!(delegated.split_whitespace().any(|word| word == controller), "{delegated}");
        }
    };
    under(&["systemd"], "usage", Limits::default(), program, look, |record, output, _| {
        let usage = record.usage;
        assert_eq!(record.end, End::Exited { code: 0 }, "{output}");
        assert!(usage.written_bytes >= 12 << 20 && usage.peak_memory > 1 << 20 && usage.cpu_micros > 0, "{usage:?}");
        assert_eq!((usage.memory_limit, usage.oom_kills, usage.refused_forks, usage.throttled_micros), (0, 0, 0, 0));
    })
    .await;
}

fn kernel_has() -> u64 {
    let most = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    ["/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"].into_iter().filter_map(most).min().unwrap_or(0)
}

#[tokio::test]
#[ignore = "needs systemd and the controllers of cgroup v2: run in the VM of `make test-e2e`"]
async fn while_the_disk_is_short_a_run_is_frozen_and_the_one_that_filled_it_is_killed_all_the_same() {
    for kind in BOTH {
        let stand = Stand::on_small_disk(512);
        let program = "i=0; while dd if=/dev/zero of=/tmp/f$i bs=1M count=8 2>/dev/null; do i=$((i+1)); done; sleep 60";
        let mut run = stand.program(program);
        let launcher: Arc<dyn Launcher> = match kind {
            "direct" => Arc::new(launcher(&stand, &run)),
            _ => choose(&StateId::new("test").expect("an id"), wrapper(&stand, &run)).await,
        };
        run.spec.run = RunId::new(format!("full-{kind}-{}", std::process::id())).expect("an id");
        run.spec.disk_reserve = Some(256 << 20);
        run.spec.cgroup = launcher.cgroup(&run.spec.run).await;
        let cgroup = run.spec.cgroup.clone().expect("a cgroup");
        run.write_orders();
        let started = launcher.launch(&run.spec.run, &run.directory).await.expect("launched");
        launcher.wait(&started.shim).await;
        let record: ExitRecord = durable::read_json(&run.directory.join(file::EXIT)).expect("a record");
        assert_eq!(Cause::of(&record, None).word(), "disk_full", "{kind}: {record:?}");
        launcher.sweep(&run.spec.run).await.expect("swept");
        assert!(!cgroup.exists(), "{kind}");
    }
}
