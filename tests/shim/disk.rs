//! No Run fills the disk of the state directory. The disks here are small ones of the test's own, in memory.

use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::Command;

use clearmld::domain::cause::Cause;
use clearmld::domain::handover::{End, ExitRecord, file};
use clearmld::domain::limits::{Limits, Written};

use super::stand::{Run, Script, Shim, Stand, UID, until};

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
fn a_file_without_a_name_counts_for_whoever_has_it_open_however_deep_it_was() {
    let fill = "while dd if=/dev/zero bs=1M count=8 >&5 2>/dev/null; do sleep 0.02; done";
    let deep = "cd /tmp; n=$(printf %0200d 0); i=0; while [ $i -lt 30 ]; do mkdir $n; cd -P $n; i=$((i+1)); done";
    for place in ["cd /tmp", deep] {
        let stand = Stand::on_small_disk(512);
        let mut run = stand.program(&format!("{place}; exec 5>x; rm x; {fill}"));
        run.spec.disk_reserve = Some(256 * MIB);
        let (record, _) = run.carry_out();
        assert!(disk_full(&record).contains("was the largest"), "{record:?}");
    }
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

/// What the shortages below leave alone unless they go on when the largest has been found.
const BYSTANDER: &str = "dd if=/dev/zero of=/tmp/x bs=1M count=90 2>/dev/null; echo up; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo over";

fn go(run: &Run) {
    fs::File::create(run.directory.join(file::WORK).join("tmp/go")).expect("made");
}

/// Takes room on the disk that belongs to no run.
fn filler(stand: &Stand, mib: u64) {
    let filler = fs::File::create(stand.state.path().join("filler")).expect("made");
    rustix::fs::fallocate(&filler, rustix::fs::FallocateFlags::empty(), 0, mib * MIB).expect("allocated");
}

fn beside(stand: &Stand, name: &str, program: &str) -> Run {
    let mut run = stand.run(name, &Script { program, ..Script::default() });
    run.spec.disk_reserve = Some(256 * MIB);
    run
}

/// A cgroup for each of some runs, without controllers, where they can be frozen.
struct Freezer {
    place: tempfile::TempDir,
    cgroups: Vec<PathBuf>,
}

impl Freezer {
    fn of<const N: usize>(runs: [&mut Run; N]) -> Self {
        let place = tempfile::Builder::new().prefix("clearmld-cgroups-").tempdir().expect("a directory");
        let mount = Command::new("mount").args(["-t", "cgroup2", "cgroups"]).arg(place.path()).status();
        assert!(mount.expect("started").success(), "cgroup v2 cannot be mounted here");
        let cgroups = runs.map(|run| {
            let name = run.directory.to_str().expect("text").replace('/', "-");
            let cgroup = place.path().join(format!("clearmld-test{name}"));
            fs::create_dir(&cgroup).expect("made");
            run.spec.cgroup = Some(cgroup.clone());
            cgroup
        });
        Self { cgroups: cgroups.into(), place }
    }

    fn is_frozen(&self, number: usize) -> bool {
        fs::read_to_string(self.cgroups[number].join("payload/cgroup.events"))
            .is_ok_and(|text| text.contains("frozen 1"))
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        for cgroup in &self.cgroups {
            for directory in [cgroup.join("payload"), cgroup.join("shim"), cgroup.clone()] {
                let _ = fs::remove_dir(directory);
            }
        }
        let _ = Command::new("umount").arg("-l").arg(self.place.path()).status();
    }
}

fn ends_well(mut shim: Shim) {
    let record = shim.record();
    assert_eq!((&record.end, &record.stop), (&End::Exited { code: 0 }, &None), "{}", shim.output());
    assert!(!shim.output().contains("[clearmld]"), "{}", shim.output());
}

#[test]
fn the_largest_goes_and_one_beside_it_that_is_not_small_never_hears_of_it() {
    for can_freeze in [false, true] {
        let stand = Stand::on_small_disk(512);
        let (mut large, mut other) = (beside(&stand, "large", FILLER), beside(&stand, "other", BYSTANDER));
        let _freezer = can_freeze.then(|| Freezer::of([&mut large, &mut other]));
        let bystander = other.start();
        bystander.until_printed("up");
        disk_full(&large.carry_out().0);
        go(&other);
        ends_well(bystander);
    }
}

#[test]
fn one_that_is_being_stopped_and_writes_on_is_killed_before_its_time_and_before_any_other() {
    for can_freeze in [false, true] {
        let stand = Stand::on_small_disk(512);
        let program = format!("trap '' TERM; echo up; while [ ! -e /tmp/go ]; do sleep 0.1; done; {FILLER}");
        let (mut large, mut other) = (beside(&stand, "large", &program), beside(&stand, "other", BYSTANDER));
        let _freezer = can_freeze.then(|| Freezer::of([&mut large, &mut other]));
        let (bystander, mut filling) = (other.start(), large.start());
        for shim in [&bystander, &filling] {
            shim.until_printed("up");
        }
        filling.stop(120_000);
        go(&large);
        let record = filling.record();
        assert_eq!((Cause::of(&record, None).word(), record.killed), ("user_abort", true), "{record:?}");
        assert!(filling.output().contains("was the largest") && !large.directory.join(file::WORK).exists());
        go(&other);
        ends_well(bystander);
    }
}

#[test]
fn of_two_that_are_as_large_only_one_goes() {
    for can_freeze in [false, true] {
        let stand = Stand::on_small_disk(512);
        let program = BYSTANDER.replace("count=90", "count=110");
        let [mut one, mut two] = ["one", "two"].map(|name| beside(&stand, name, &program));
        let _freezer = can_freeze.then(|| Freezer::of([&mut one, &mut two]));
        let shims = [one.start(), two.start()];
        shims.iter().for_each(|shim| shim.until_printed("up"));
        filler(&stand, 80);
        until("room", || free(&stand) > 256 * MIB);
        std::thread::sleep(std::time::Duration::from_secs(1));
        [&one, &two].into_iter().filter(|run| run.directory.join(file::WORK).exists()).for_each(go);
        let mut ends = shims.map(|mut shim| Cause::of(&shim.record(), None).word());
        ends.sort_unstable();
        assert_eq!(ends, ["completed", "disk_full"]);
    }
}

#[test]
fn one_that_is_not_the_reason_is_frozen_for_a_while_and_then_goes_on_beside_a_full_disk() {
    let stand = Stand::on_small_disk(512);
    let mut run = beside(&stand, "r1", "echo up; while [ ! -e /tmp/go ]; do sleep 0.1; done; exit 5");
    let freezer = Freezer::of([&mut run]);
    let mut shim = run.start();
    shim.until_printed("up");
    filler(&stand, 450);
    until("the frozen run", || freezer.is_frozen(0));
    until("the line", || shim.output().contains("but not by this task"));
    go(&run);
    assert_eq!(shim.record().end, End::Exited { code: 5 });
}

#[test]
fn one_beyond_its_workers_limit_is_not_frozen_through_its_grace_when_the_disk_is_short_too() {
    let stand = Stand::on_small_disk(1024);
    let program =
        "trap '' TERM; dd if=/dev/zero of=/tmp/x bs=1M count=70 2>/dev/null; echo up; while :; do sleep 0.1; done";
    let mut run = beside(&stand, "r1", program);
    run.spec.limits = Limits::parse(&Written { disk: Some("64M"), ..Written::default() }).expect("limits");
    run.spec.disk_reserve = Some(512 * MIB);
    run.spec.stop_grace_ms = 600_000;
    let freezer = Freezer::of([&mut run]);
    let mut shim = run.start();
    shim.until_printed("up");
    // Shortly before it is measured again, and for longer than that it is not the largest.
    std::thread::sleep(std::time::Duration::from_millis(3500));
    filler(&stand, 600);
    until("the frozen run", || freezer.is_frozen(0));
    let record = shim.record();
    assert!(disk_full(&record).contains("its limit is 64 MiB") && record.killed, "{record:?}");
}

#[test]
fn what_a_run_writes_to_a_directory_of_the_host_on_the_same_disk_counts() {
    let stand = Stand::on_small_disk(512);
    let shared = stand.state.path().join("shared");
    fs::create_dir(&shared).expect("made");
    chown(&shared, Some(UID), Some(UID)).expect("given");
    let mut run = beside(&stand, "r1", &FILLER.replace("/tmp/f", "/shared/f"));
    run.spec.hidden.clear();
    run.spec.sandbox.binds = vec![format!("{}:/shared:rw", shared.display()).parse().expect("a bind")];
    let reason = disk_full(&run.carry_out().0);
    assert!(reason.contains("was the largest"), "{reason}");
}

#[test]
fn a_disk_that_others_fill_is_a_line_in_the_log_and_ends_no_run_that_stays_small() {
    let stand = Stand::on_small_disk(512);
    filler(&stand, 450);
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
