//! GPUs that several Workers would use.

use super::gpus::{draft, inventory};
use super::*;
use crate::domain::lending::Lending;

fn shared(gpus: &str, queue: &str, by: u32) -> WorkerDraft {
    let name = Some(WorkerName::new(format!("host:{queue}")).expect("a name"));
    WorkerDraft { name, lending: Lending::Shared(by.try_into().expect("a share")), ..draft(gpus, queue) }
}

#[tokio::test(start_paused = true)]
async fn two_workers_never_share_a_gpu_unasked() {
    let host = Host::new();
    host.gpus.set(inventory(2));
    let daemon = host.start().await;
    daemon.handle.add_worker(draft("1", "a")).await.expect("added");
    for gpus in ["0,1", "GPU-1", "all"] {
        for one in [draft(gpus, "b"), shared(gpus, "b", 2)] {
            let refused = daemon.handle.add_worker(one).await.expect_err("refused").to_string();
            for part in ["belongs to worker `host:gpu1`", "clearmlctl worker remove host:gpu1", "--share 2"] {
                assert!(refused.contains(part), "{gpus}: {refused}");
            }
        }
    }
    assert_eq!(daemon.handle.workers().await.expect("asked").len(), 1, "nothing has changed");
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn workers_that_all_say_so_share_a_gpu_up_to_their_number() {
    let host = Host::new();
    host.gpus.set(inventory(1));
    let daemon = host.start().await;
    daemon.handle.add_worker(shared("0", "a", 2)).await.expect("added");
    daemon.handle.add_worker(shared("GPU-0", "b", 2)).await.expect("added");
    let refused = daemon.handle.add_worker(shared("0", "c", 3)).await.expect_err("a third").to_string();
    assert!(refused.contains("host:a") && refused.contains("all 3 say --share 3"), "{refused}");
    host.clearml.enqueue("a", "one");
    host.clearml.enqueue("b", "two");
    let (one, two) = (daemon.running("one").await, daemon.running("two").await);
    let gpus = daemon.handle.gpus(Duration::ZERO).await.expect("asked").gpus;
    assert_eq!(gpus[0].runs.len(), 2, "{:?}", gpus[0].runs);
    // A daemon that comes back restores both leases of the one GPU.
    daemon.kill().await;
    let daemon = host.start().await;
    assert!(daemon.handle.status().await.expect("asked").remarks.iter().all(|remark| !remark.contains("restored")));
    for run in [one, two] {
        host.launcher.exit(&run, End::Exited { code: 0 });
    }
    daemon.settled("one").await;
    daemon.settled("two").await;
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_may_share_a_gpu_and_one_that_does_not_is_refused_by_its_name() {
    let host = Host::new();
    host.gpus.set(inventory(2));
    let of = |gpus: &str, queue: &str, by| WorkerDraft { name: None, ..shared(gpus, queue, by) };
    host.declarations.write("a", Ok(of("0", "a", 2)));
    host.declarations.write("b", Ok(of("0", "b", 2)));
    host.declarations.write("c", Ok(of("0,1", "c", 2)));
    let daemon = host.start().await;
    let names: Vec<String> =
        daemon.handle.workers().await.expect("asked").iter().map(|view| view.worker.name.to_string()).collect();
    assert_eq!(names, ["host:a", "host:b"]);
    let remarks = daemon.handle.status().await.expect("asked").remarks.join("\n");
    assert!(remarks.contains("c.toml: gpus: GPU 0 belongs to worker `host:a`"), "{remarks}");
    assert!(remarks.contains("all 3 say `share = 3`"), "{remarks}");
    daemon.stop().await;
}
