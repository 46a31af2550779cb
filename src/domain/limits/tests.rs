use super::amount::{LEAST_MEMORY, MOST_MEMORY};
use super::*;
use proptest::prelude::*;

fn memory(text: &str) -> Result<u64, LimitError> {
    text.parse().map(Memory::bytes)
}

fn written(
    memory: Option<&str>,
    cpus: Option<&str>,
    pids: Option<u64>,
    time_limit: Option<&str>,
) -> Result<Limits, (&'static str, LimitError)> {
    Limits::parse(&Written { memory, cpus, pids, time_limit, ..Written::default() })
}

#[test]
fn memory_is_read_in_binary_units() {
    let cases =
        [("67108864", 64 << 20), ("512M", 512 << 20), ("512MiB", 512 << 20), ("32G", 32 << 30), ("32gb", 32 << 30)];
    for (text, bytes) in cases {
        assert_eq!(memory(text), Ok(bytes), "{text}");
    }
    assert_eq!(memory("1.5G"), Ok(3 << 29));
    assert_eq!(memory(" 2 T "), Ok(2 << 40));
}

#[test]
fn what_is_no_amount_is_refused_with_an_example() {
    for text in ["", "G", "32X", "-1G", "1e9", "inf", "1.2345G", "32 G B x", "0x10M", "٣G", "1G1"] {
        let error = memory(text).expect_err(text).to_string();
        assert!(error.contains("512M"), "{text}: {error}");
    }
    for text in ["0.0001", "-1", "two", "", "1,5", "NaN"] {
        assert!(text.parse::<Cpus>().is_err(), "{text}");
    }
    for text in ["-1", "many", "1.5", ""] {
        assert!(text.parse::<Pids>().is_err(), "{text}");
    }
    for text in ["", "h", "1w", "-5m", "0", "0s", "400d"] {
        assert!(text.parse::<Time>().is_err(), "{text}");
    }
}

#[test]
fn what_no_task_could_start_with_is_refused() {
    assert!(memory("1M").expect_err("too little").to_string().contains("64M"));
    assert!(memory("99999999999999999999T").is_err() && memory("18446744073709551615T").is_err());
    assert!("0.001".parse::<Cpus>().is_err() && "100000".parse::<Cpus>().is_err());
    assert!("1".parse::<Pids>().is_err() && "99999999999".parse::<Pids>().is_err());
}

#[test]
fn a_fraction_of_a_cpu_becomes_a_quota() {
    let quota = |text: &str| text.parse::<Cpus>().map(Cpus::quota);
    assert_eq!(quota("0.5").as_deref(), Ok("50000 100000"));
    assert_eq!(quota("8").as_deref(), Ok("800000 100000"));
    assert_eq!(quota("0.01").as_deref(), Ok("1000 100000"));
}

#[test]
fn times_are_read_in_their_units() {
    for (text, seconds) in [("90", 90), ("90s", 90), ("30m", 1800), ("12h", 43_200), ("7d", 604_800), ("1.5h", 5400)] {
        assert_eq!(text.parse().map(Time::seconds), Ok(seconds), "{text}");
    }
}

#[test]
fn limits_read_as_people_say_them() {
    let limits = written(Some("1536M"), Some("0.5"), Some(4096), Some("2h")).expect("read");
    assert_eq!(limits.to_string(), "memory 1536 MiB, 0.5 CPUs, 4096 processes, time 2 h");
    let disk = Limits::parse(&Written { disk: Some("100G"), ..Written::default() }).expect("read");
    assert_eq!(disk.to_string(), "disk 100 GiB");
    assert_eq!(Limits::default().to_string(), "none");
    assert_eq!(written(None, Some("x"), None, None).expect_err("no number").0, "cpus");
}

#[test]
fn a_limit_that_the_kernel_here_cannot_enforce_is_named_with_what_is_missing() {
    let limits = written(Some("1G"), Some("2"), Some(100), Some("1h")).expect("read");
    let all = Controllers::of("cpuset cpu io memory pids\n", "/sys/fs/cgroup".into());
    assert_eq!(all.lacking(&limits), Ok(()));
    let hybrid = Controllers::of("hugetlb", "/sys/fs/cgroup/unified has only hugetlb".into());
    let text = hybrid.lacking(&limits).expect_err("nothing of it").to_string();
    assert!(text.contains("memory and CPUs and processes") && text.contains("memory, cpu, pids"), "{text}");
    assert!(text.contains("has only hugetlb"), "{text}");
    let time = Limits { time: limits.time, ..Limits::default() };
    assert_eq!(hybrid.lacking(&time), Ok(()));
}

#[test]
fn more_than_the_host_has_is_no_limit() {
    let host = Capacity { memory: 8 << 30, cpus: 2 };
    let check = |memory, cpus| written(memory, cpus, None, None).expect("read").check(host);
    assert_eq!(check(Some("8G"), Some("2")), Ok(()));
    assert!(check(Some("9G"), None).expect_err("more").to_string().contains("8192 MiB"));
    assert!(check(None, Some("2.5")).expect_err("more").to_string().contains("2 CPUs"));
}

#[test]
fn without_a_limit_a_fork_bomb_gets_a_quarter_of_the_kernels_processes_and_never_more_than_32768() {
    assert_eq!(usual_pids(32_768), 8192);
    assert_eq!(usual_pids(4_194_304), 32_768);
    assert_eq!(usual_pids(0), 32);
}

#[test]
fn a_task_can_have_less_time_than_its_worker_gives_but_not_more() {
    let worker = |time| written(None, None, None, time).expect("read");
    let of = |limits: Limits, asked| {
        let (limits, told) = limits.with_time_of_task(asked);
        (limits.time.map(Time::seconds), told)
    };
    assert_eq!(of(worker(Some("2h")), None), (Some(7200), None));
    assert_eq!(of(worker(Some("2h")), Some("30m")), (Some(1800), None));
    assert_eq!(of(worker(None), Some(" 90s ")), (Some(90), None));
    let (time, told) = of(worker(Some("2h")), Some("3h"));
    assert!(time == Some(7200) && told.is_some_and(|told| told.contains("more than the worker gives; 2 h hold")));
    for hostile in ["", "0", "-1", "soon\n[clearmld] done", "1e9", "999999999999999999999d"] {
        let (time, told) = of(worker(Some("2h")), Some(hostile));
        let told = told.expect(hostile);
        assert!(time == Some(7200) && told.starts_with(TIME_PROPERTY) && !told.contains('\n'), "{told}");
    }
    assert!(of(worker(None), Some("soon")).1.expect("told").ends_with("it has no time limit"));
}

proptest! {
    #[test]
    fn no_text_breaks_a_reader(text in ".{0,24}") {
        let _ = (text.parse::<Memory>(), text.parse::<Cpus>(), text.parse::<Pids>(), text.parse::<Time>());
    }

    #[test]
    fn what_the_ledger_keeps_comes_back(memory in LEAST_MEMORY..=MOST_MEMORY, cpus in 10u32..4_096_000, pids in 32u32..1 << 22) {
        let limits = Limits {
            memory: Memory::try_from(memory).ok(), cpus: Cpus::try_from(cpus).ok(), pids: Pids::try_from(pids).ok(), ..Limits::default()
        };
        let text = serde_json::to_string(&limits).expect("written");
        prop_assert_eq!(serde_json::from_str::<Limits>(&text).expect("read"), limits);
        let said: Cpus = limits.cpus.expect("in range").to_string().parse().expect("read");
        prop_assert_eq!(Some(said), limits.cpus);
    }
}
