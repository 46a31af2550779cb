use std::process::Command;
use std::time::{Duration, Instant};

use clearmld::domain::handover::End;

use super::stand::Stand;

#[test]
fn fifty_megabytes_arrive_whole_and_in_order() {
    let stand = Stand::new();
    let began = Instant::now();
    let (record, output) = stand.program("seq 1 6500000; echo done >&2").carry_out();
    let took = began.elapsed();
    assert_eq!((record.end, record.dropped), (End::Exited { code: 0 }, 0));
    assert!(output.len() > 48_000_000);
    let mut lines = output.lines();
    for number in 1..=6_500_000u32 {
        assert_eq!(lines.next().and_then(|line| line.parse().ok()), Some(number));
    }
    assert_eq!((lines.next(), lines.next()), (Some("done"), None));
    assert_eq!(record.last_line.as_deref(), Some("done"));
    assert!(took.as_secs() < 20, "{took:?}");
}

#[test]
fn beyond_the_budget_output_is_dropped_and_counted_and_the_program_goes_on() {
    let stand = Stand::new();
    let mut run = stand.program("seq 1 650000; echo the end; exit 4");
    run.spec.spool_budget = 1 << 20;
    let (record, output) = run.carry_out();
    assert_eq!(record.end, End::Exited { code: 4 });
    let marker = output.lines().filter(|line| line.starts_with("[clearmld]")).map(|line| line.len() + 2).sum::<usize>();
    let printed = (1..=650_000u32).map(|number| number.to_string().len() + 1).sum::<usize>() + "the end\n".len();
    assert_eq!(output.len() - marker + usize::try_from(record.dropped).expect("small"), printed);
    assert_eq!(output.matches("[clearmld]").count(), 1);
    assert_eq!(record.last_line.as_deref(), Some("the end"));
}

#[test]
fn a_program_that_closes_its_output_is_still_waited_for_and_without_a_busy_loop() {
    let stand = Stand::new();
    let mut shim = stand.program("echo x; exec >/dev/null 2>&1; sleep 1.5; exit 6").start();
    shim.until_printed("x");
    std::thread::sleep(Duration::from_millis(200));
    let before = ticks(shim.process.id());
    std::thread::sleep(Duration::from_millis(800));
    let burnt = ticks(shim.process.id()) - before;
    // A loop over the closed pipe would burn 80 of them.
    assert!(burnt < 20, "{burnt}");
    assert_eq!(shim.record().end, End::Exited { code: 6 });
}

/// Hundredths of a second of processor time that a process has used.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("alive");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_ascii_whitespace().collect();
    fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime")
}

#[test]
fn a_full_disk_loses_neither_the_end_nor_the_program() {
    let stand = Stand::new();
    let run = stand.program("seq 1 400000; echo the end; exit 4");
    let disk = SmallDisk::mount(&run.directory);
    let (record, output) = run.carry_out();
    drop(disk);
    assert_eq!((record.end, record.disk_full), (End::Exited { code: 4 }, true));
    assert!(record.dropped > 1_000_000 && output.starts_with("1\n2\n"), "{}", record.dropped);
    assert_eq!(record.last_line.as_deref(), Some("the end"));
}

/// A file system of 1 MiB.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(at: &std::path::Path) -> Self {
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m,mode=0700", "disk"]).arg(at).status();
        assert!(status.expect("started").success(), "mounting needs root and CAP_SYS_ADMIN");
        Self(at.to_owned())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_program_may_open_its_output_by_name_but_not_read_it_back() {
    let stand = Stand::new();
    let program = "echo one > /dev/stdout; echo two > /dev/stderr; cat < /dev/stdout || echo three";
    let (record, output) = stand.program(program).carry_out();
    assert_eq!(record.end, End::Exited { code: 0 }, "{output}");
    for line in ["one", "two", "three"] {
        assert!(output.lines().any(|found| found == line), "{line}: {output}");
    }
}
