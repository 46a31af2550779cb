//! GPUs: what is shown of them, and orders.

use super::*;

#[tokio::test]
async fn gpus_are_listed_with_who_has_them_and_whatever_else_computes_there() {
    let daemon = Daemon::open(outside);
    let said = ctl(&daemon, &["gpu", "list"]).await;
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(lines.len(), 4, "a header, two GPUs, a slice: {}", said.out);
    for part in ["GPU-aa", "10240/40960 MiB", "73%", "61°C", BUSY, LIVE_RUN, r"800 (jupy\u{1b}[31m)"] {
        assert!(lines[1].contains(part), "{part} in {}", said.out);
    }
    assert!(!lines[1].contains("700"), "a run's own process is no stranger: {}", said.out);
    assert!(lines[2].contains("UNUSABLE") && lines[3].starts_with("1:0"), "{}", said.out);
    assert!(said.err.contains("nvidia-uvm does not exist"), "{}", said.err);
    let json = ctl(&daemon, &["gpu", "list", "-o", "json"]).await.json();
    assert_eq!((&json["driver"]["state"], &json["driver"]["cuda_version"]), (&"up".into(), &"12.4".into()));
    assert_eq!(
        (&json["gpus"][0]["memory_used"], &json["gpus"][0]["run_ids"][0]),
        (&(10u64 << 30).into(), &LIVE_RUN.into())
    );
    assert_eq!(json["gpus"][0]["processes"][1]["foreign"], true);
    assert_eq!(json["gpus"][1]["slices"][0]["uuid"], "MIG-bb");
    assert_eq!(daemon.asked(), ["gpus 2", "gpus 2"]);
    ctl(&daemon, &["gpu", "rescan"]).await;
    assert_eq!(daemon.asked().last().map(String::as_str), Some("gpus 0"));
}

#[tokio::test]
async fn a_gpu_is_taken_out_of_use_with_a_reason_and_what_cannot_be_is_refused() {
    let daemon = Daemon::open(outside);
    let said = ctl(&daemon, &["gpu", "quarantine", "0", "--reason", "a fan is loud"]).await;
    for part in ["GPU 0: quarantined since 2023-", "a fan is loud", "clearmlctl gpu verify 0"] {
        assert!(said.out.contains(part), "{part} in {}", said.out);
    }
    assert_eq!(daemon.asked().last().map(String::as_str), Some("Quarantine 0 a fan is loud"));
    let json = ctl(&daemon, &["gpu", "quarantine", "0", "--reason", "x", "-o", "json"]).await.json();
    assert_eq!((&json["state"], &json["reason"]), (&"quarantined".into(), &"x".into()));
    ctl(&daemon, &["gpu", "quarantine", "0", "--reason", " "]).await.fails(2, "reason: ");
    ctl(&daemon, &["gpu", "quarantine", "7", "--reason", "x"]).await.fails(3, "there is no gpu `7`");
    ctl(&daemon, &["gpu", "verify", "0"]).await.fails(7, "is healthy");
    ctl(&daemon, &["gpu", "readmit", "0", "--reason", "sure"]).await.fails(7, "is healthy");
    assert_eq!(daemon.asked().last().map(String::as_str), Some("Readmit 0 sure"));
}

#[tokio::test]
async fn a_gpu_is_reserved_for_a_time_with_a_reason_and_given_back() {
    let daemon = Daemon::open(outside);
    let reserve = ["gpu", "reserve", "0", "--for", "2h", "--reason", "a demo"];
    ctl(&daemon, &reserve).await.fails(7, "--when-free");
    let said = ctl(&daemon, &[&reserve[..], &["--when-free"]].concat()).await;
    assert!(said.out.contains("not lent") && said.out.contains("is held by run"), "{}", said.out);
    ctl(&daemon, &["gpu", "reserve", "0", "--for", "soon", "--reason", "x"]).await.fails(2, "duration: ");
    ctl(&daemon, &["gpu", "reserve", "0", "--for", "2h", "--reason", " "]).await.fails(2, "reason: ");
    ctl(&daemon, &["gpu", "release", "0"]).await;
    let asked = daemon.asked();
    assert!(asked.contains(&"reserve 0 for 7200000 ms when_free=true: a demo".to_owned()), "{asked:?}");
    assert_eq!(asked.last().map(String::as_str), Some("release 0"));
    let list = ctl(&daemon, &["gpu", "list"]).await.out;
    assert!(list.contains("RESERVED") && list.contains("alice, "), "{list}");
    let json = ctl(&daemon, &["gpu", "show", "1", "-o", "json"]).await.json();
    assert_eq!((&json["reservation"]["by"], &json["reservation"]["reason"]), (&"alice".into(), &"a demo".into()));
    assert_eq!(json["withheld"], "cannot be used: it fell off the bus");
}

#[tokio::test]
async fn one_gpu_is_shown_by_any_of_its_names() {
    let daemon = Daemon::open(outside);
    let said = ctl(&daemon, &["gpu", "show", "0"]).await;
    for part in ["/dev/nvidia1", "healthy", "0000:07:00.0", "250 of 400 W", "3 corrected, 0 not", "foreign", LIVE_RUN] {
        assert!(said.out.contains(part), "{part} in {}", said.out);
    }
    assert_eq!(ctl(&daemon, &["gpu", "show", "MIG-bb", "-o", "json"]).await.json()["uuid"], "GPU-bb");
    ctl(&daemon, &["gpu", "show", "7"]).await.fails(3, "there is no gpu `7`");
    ctl(&daemon, &["gpu", "show", "x"]).await.fails(2, "names no GPU");
}
