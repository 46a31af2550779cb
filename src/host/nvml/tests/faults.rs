//! What GPUs report by themselves, and what a verification asks.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::domain::health::{Fault, Xid};

/// The next report within a few seconds.
async fn next(reports: &mut broadcast::Receiver<Report>) -> Report {
    tokio::time::timeout(Duration::from_secs(10), reports.recv()).await.expect("in time").expect("a report")
}

/// Ids go up, whatever an earlier error had: a set is deaf to those that are older than it.
fn next_id() -> u32 {
    static ID: AtomicU32 = AtomicU32::new(1);
    ID.fetch_add(1, Ordering::Relaxed)
}

/// Adds an error to the script again and again until it is heard of: nobody says when the thread listens.
async fn until_heard(host: &Host, script: &str, error: &str, reports: &mut broadcast::Receiver<Report>) -> Report {
    for _ in 0..100 {
        let id = next_id();
        host.script(&format!("{script}xid id={id} {error}\n"));
        if let Ok(report) = tokio::time::timeout(Duration::from_millis(200), reports.recv()).await {
            return report.expect("a report");
        }
    }
    panic!("nobody hears of {error}")
}

#[tokio::test]
async fn an_error_is_heard_of_with_its_number_and_its_gpu_whatever_that_gpu_answers_by_then() {
    let host = Host::new(TWO);
    let gpus = host.start();
    let mut reports = gpus.reports();
    look(&gpus).await;
    let report = until_heard(&host, TWO, "gpu=1 code=31", &mut reports).await;
    assert_eq!((report.unit.uuid.as_str(), report.fault), ("GPU-bb", Fault::Xid { xid: Xid(31) }));
    host.script(&format!("{TWO}fail call=gpu gpu=1 code=15\nxid id={} gpu=1 code=79\n", next_id()));
    let report = next(&mut reports).await;
    assert_eq!((report.unit.gpu.as_str(), report.fault), ("GPU-bb", Fault::Xid { xid: Xid(79) }));
    // And without anybody asking it is seen that the card is lost.
    let began = Instant::now();
    while !gpus.seen().gpus[1].lost {
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", gpus.seen());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!gpus.seen().gpus[0].lost, "one card is lost, not the host");
    // A set that is made now must not take that last error for a later one than the next.
    let script = format!("{TWO}fail call=gpu gpu=1 code=15\n");
    host.script(&script);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let other = until_heard(&host, &script, "gpu=0 code=13", &mut reports).await;
    assert_eq!(other.unit.uuid, "GPU-aa", "the other one is still listened to");
}

#[tokio::test]
async fn an_error_of_an_instance_is_that_slices() {
    let script = "gpu uuid=GPU-aa name=A100 minor=0 mig=1 total=40\n\
        slice gpu=0 index=0 uuid=MIG-1 profile=1g.5gb gi=7 ci=0\n\
        slice gpu=0 index=1 uuid=MIG-2 profile=1c.2g.10gb gi=3 ci=0\n\
        slice gpu=0 index=2 uuid=MIG-3 profile=1c.2g.10gb gi=3 ci=1\n";
    let host = Host::new(script);
    let gpus = host.start();
    let mut reports = gpus.reports();
    look(&gpus).await;
    let report = until_heard(&host, script, "gpu=0 gi=7 code=31", &mut reports).await;
    assert_eq!((report.unit.uuid.as_str(), report.unit.gpu.as_str()), ("MIG-1", "GPU-aa"));
    host.script(&format!("{script}xid id={} gpu=0 gi=3 code=31\n", next_id()));
    assert_eq!(next(&mut reports).await.unit.uuid, "GPU-aa", "one of two: nobody knows which");
}

#[tokio::test]
async fn a_driver_that_hangs_while_it_is_waited_for_holds_up_nobody_and_is_listened_to_again() {
    let host = Host::new(TWO);
    let gpus = host.start();
    let mut reports = gpus.reports();
    look(&gpus).await;
    until_heard(&host, TWO, "gpu=0 code=13", &mut reports).await;
    host.script(&format!("{TWO}hang\n"));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let asked = Instant::now();
    assert_eq!(gpus.seen().gpus.len(), 2);
    assert!(asked.elapsed() < Duration::from_millis(100));
    host.script(&format!("{TWO}xid id={} gpu=1 code=45\n", next_id()));
    assert_eq!(next(&mut reports).await.unit.uuid, "GPU-bb");
}

#[tokio::test]
async fn memory_that_waits_for_a_reset_is_known() {
    let host = Host::new("gpu uuid=GPU-aa name=A minor=0 pending=1\ngpu uuid=GPU-bb name=B minor=1 failed=1\n");
    let seen = look(&host.start()).await;
    let repair = |index: usize| seen.gpus[index].repair.clone().unwrap_or_default();
    assert!(repair(0).contains("nvidia-smi -r") && repair(1).contains("no spare"), "{seen:?}");
    assert!(look(&Host::new(TWO).start()).await.gpus.iter().all(|gpu| gpu.repair.is_none()));
}

#[tokio::test]
async fn what_the_driver_recommends_is_known_whatever_number_it_came_with_and_one_that_recommends_nothing_is_fine() {
    let recommended =
        |action: &str| format!("gpu uuid=GPU-aa name=A minor=0{action}\ngpu uuid=GPU-bb name=B minor=1\n");
    let host = Host::new(&recommended(" recovery=4"));
    let gpus = host.start();
    let seen = look(&gpus).await;
    let why = |seen: &Inventory| seen.gpus[0].unusable.clone().unwrap_or_default();
    assert_eq!((seen.gpus[0].reset, seen.gpus[0].lost, seen.gpus[1].reset), (true, false, false));
    assert!(why(&seen).contains("nvidia-smi -r") && seen.gpus[1].unusable.is_none(), "{seen:?}");
    for (action, said) in
        [(" recovery=1", "asks for a reset"), (" recovery=2", "reboot"), (" recovery=3", "other GPUs")]
    {
        host.script(&recommended(action));
        assert!(why(&*look(&gpus).await).contains(said), "{action}");
    }
    for nothing in ["", " recovery=0", " recovery=5", " recovery=99"] {
        host.script(&recommended(nothing));
        let seen = look(&gpus).await;
        assert!(!seen.gpus[0].reset && seen.gpus[0].unusable.is_none(), "{nothing}");
    }
}

#[tokio::test]
async fn whether_a_node_opens_is_found_out_by_opening_it() {
    let host = Host::new(TWO);
    let gpus = host.start();
    let seen = look(&gpus).await;
    assert_eq!(gpus.opens(&seen.gpus[0]).await, Ok(()));
    std::fs::remove_file(host.path("dev/nvidia1")).expect("removed");
    let error = gpus.opens(&seen.gpus[0]).await.expect_err("it is gone");
    assert!(error.starts_with("/dev/nvidia1 cannot be opened"), "{error}");
}

#[tokio::test]
async fn a_card_that_cannot_be_listened_to_silences_no_other_and_is_heard_once_it_can() {
    for call in ["handle", "register"] {
        let host = Host::new(TWO);
        let gpus = host.start();
        let mut reports = gpus.reports();
        look(&gpus).await;
        until_heard(&host, TWO, "gpu=0 code=13", &mut reports).await;
        // Another card in the second slot: whoever listens begins anew.
        let two = TWO.replace("GPU-bb", "GPU-cc");
        let script = format!("{two}fail call={call} gpu=0 code=999\n");
        host.script(&script);
        look(&gpus).await;
        // As long as one wait takes: until then the old set is listened to.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let report = until_heard(&host, &script, "gpu=1 code=31", &mut reports).await;
        assert_eq!(report.unit.uuid, "GPU-cc", "{call}");
        host.script(&two);
        assert_eq!(until_heard(&host, &two, "gpu=0 code=31", &mut reports).await.unit.uuid, "GPU-aa", "{call}");
    }
}
