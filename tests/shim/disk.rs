//! No Run fills the disk of the state directory. The disks here are small ones of the test's own, in memory.

use std::fs;

use clearmld::domain::cause::Cause;
use clearmld::domain::handover::{End, ExitRecord, file};
use clearmld::domain::limits::{Limits, Written};

use super::stand::{Script, Stand, until};

const MIB: u64 = 1 << 20;
/// Writes without end, as fast as a slow disk.
const FILLER: &str =
    "i=0; while dd if=/dev/zero of=/tmp/f$i bs=1M count=8 2>/dev/null; do i=$((i+1)); sleep 0.02; done";

fn free(stand: &Stand) -> u64 {
    let disk = rustix::fs::statvfs(stand.state.path()).expect("asked");
    disk.f_bavail * disk.f_frsize
}

fn disk_full(record: &ExitRecord) -> String {
    assert_eq!((&record.stop, Cause::of(record, None).word()), (&None, "disk_full"), "{record:?}");
    let End::DiskFull { reason } = &record.end else { panic!("{record:?}") };
    reason.clone()
}

#[test]
fn a_run_that_fills_the_disk_is_killed_before_it_is_full_and_its_files_are_gone() {
    let stand = Stand::on_small_disk(512);
    let mut run = stand.program(FILLER);
    run.spec.disk_reserve = Some(256 * MIB);
    let (record, output) = run.carry_out();
    let reason = disk_full(&record);
    assert!(reason.contains("was the largest") && output.contains(&reason), "{reason}\n{output}");
    let left: u64 = reason.split(' ').next().and_then(|mib| mib.parse().ok()).expect("a figure");
    assert!((32..256).contains(&left), "{reason}");
    assert!(free(&stand) > 480 * MIB && !run.directory.join(file::WORK).exists(), "{}", free(&stand) / MIB);
}

#[test]
fn a_file_without_a_name_counts_for_whoever_has_it_open() {
    let stand = Stand::on_small_disk(512);
    let program = "exec 5>/tmp/x; rm /tmp/x; while dd if=/dev/zero bs=1M count=8 >&5 2>/dev/null; do sleep 0.02; done";
    let mut run = stand.program(program);
    run.spec.disk_reserve = Some(256 * MIB);
    let (record, _) = run.carry_out();
    assert!(disk_full(&record).contains("was the largest"), "{record:?}");
}

#[test]
fn many_empty_files_fill_a_disk_too() {
    let stand = Stand::on_small_disk(64);
    let mut run = stand.program(
        "python3 -c '\nimport os\nfor i in range(10000000): os.close(os.open(f\"/tmp/{i}\", os.O_CREAT))\n'; sleep 60",
    );
    run.spec.disk_reserve = Some(MIB);
    let (record, _) = run.carry_out();
    let reason = disk_full(&record);
    assert!(reason.contains("was the largest") && free(&stand) > 60 * MIB, "{reason}");
}

#[test]
fn the_largest_goes_and_a_small_one_beside_it_never_hears_of_it() {
    let stand = Stand::on_small_disk(512);
    let mut large = stand.run("large", &Script { program: FILLER, ..Script::default() });
    let slow = "dd if=/dev/zero of=/tmp/x bs=1M count=20 2>/dev/null; echo up; sleep 6; echo over";
    let mut small = stand.run("small", &Script { program: slow, ..Script::default() });
    (large.spec.disk_reserve, small.spec.disk_reserve) = (Some(256 * MIB), Some(256 * MIB));
    let mut beside = small.start();
    beside.until_printed("up");
    disk_full(&large.carry_out().0);
    let record = beside.record();
    assert_eq!((record.end, record.stop), (End::Exited { code: 0 }, None));
    assert_eq!(beside.output(), "up\nover\n");
}

#[test]
fn a_disk_that_others_fill_is_a_line_in_the_log_and_ends_no_run_that_stays_small() {
    let stand = Stand::on_small_disk(512);
    let filler = fs::File::create(stand.state.path().join("filler")).expect("made");
    rustix::fs::fallocate(&filler, rustix::fs::FallocateFlags::empty(), 0, 450 * MIB).expect("allocated");
    let mut run = stand.program("echo up; while [ ! -e /tmp/go ]; do sleep 0.1; done; exit 5");
    run.spec.disk_reserve = Some(128 * MIB);
    let mut shim = run.start();
    until("the line", || shim.output().contains("but not by this task"));
    fs::File::create(run.directory.join(file::WORK).join("tmp/go")).expect("made");
    assert_eq!(shim.record().end, End::Exited { code: 5 });
    assert_eq!(shim.output().matches("[clearmld]").count(), 1, "{}", shim.output());
}

#[test]
fn a_run_beyond_its_workers_limit_of_disk_is_told_so_and_stopped() {
    let stand = Stand::new();
    let mut run = stand.program(
        "trap 'echo told; exit 5' TERM; dd if=/dev/zero of=/tmp/x bs=1M count=80 2>/dev/null; while :; do sleep 0.1; done",
    );
    run.spec.limits = Limits::parse(&Written { disk: Some("64M"), ..Written::default() }).expect("limits");
    let (record, output) = run.carry_out();
    let reason = disk_full(&record);
    assert!(reason.contains("its limit is 64 MiB") && reason.contains("--disk"), "{reason}");
    assert!(output.contains(&reason) && output.ends_with("told\n"), "{output}");
}
