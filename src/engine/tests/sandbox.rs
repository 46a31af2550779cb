//! What Workers may have of the sandbox: the policy is asked when they are added, at a reload, and before each task.

use super::*;
use crate::domain::policy::{Grant, Policy};
use crate::domain::sandbox::{Part, Sandbox};
use crate::engine::handle::Subject;

fn relaxing(parts: &[Part]) -> Policy {
    let default = Grant { relax: parts.iter().copied().collect(), ..Grant::default() };
    Policy { default: Some(default), ..Policy::absent("policy.toml".into(), "clearml-run".into()) }
}

fn draft(binds: &[&str], relax: &[Part]) -> WorkerDraft {
    let binds: Vec<String> = binds.iter().map(|bind| (*bind).to_owned()).collect();
    let relax: Vec<String> = relax.iter().map(ToString::to_string).collect();
    let sandbox = Sandbox::parse(&binds, &[], None, &relax).expect("a sandbox");
    let gpus = Some(GpuClaim::None);
    WorkerDraft { queues: vec!["default".into()], gpus, sandbox, ..WorkerDraft::default() }
}

async fn refused(daemon: &Daemon, draft: WorkerDraft) -> String {
    match daemon.handle.add_worker(draft).await {
        Err(EngineError::Invalid { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_policy_does_not_allow_or_is_not_there_is_refused_and_changes_nothing() {
    let host = Host::new();
    host.declarations.allow(Ok(relaxing(&[Part::IoUring])));
    let daemon = host.start().await;
    let user = WorkerDraft { user: Some("alice".into()), create_queue: true, ..draft(&[], &[]) };
    for (draft, reason) in [
        (draft(&["/etc:rw"], &[]), "bind `/etc:rw` is not allowed for queue `default`"),
        (draft(&[], &[Part::IoUring, Part::Seccomp]), "relaxing `seccomp` is not allowed"),
        (draft(&["/nowhere"], &[]), "/nowhere does not exist"),
        (user, "user `alice` is not allowed"),
    ] {
        let said = refused(&daemon, draft).await;
        assert!(said.contains(reason), "{said}");
    }
    assert!(daemon.handle.workers().await.expect("asked").is_empty());
    assert!(host.clearml.lock().queues.is_empty(), "no queue was made for a worker that is refused");
}

#[tokio::test(start_paused = true)]
async fn what_is_relaxed_is_in_the_spec_the_log_the_status_and_the_events() {
    let host = Host::new();
    host.declarations.allow(Ok(relaxing(&[Part::IoUring])));
    host.clearml.enqueue("default", "t1");
    let daemon = host.start().await;
    let mut events = daemon.handle.events();
    daemon.handle.add_worker(draft(&["/data"], &[Part::IoUring])).await.expect("added");
    let added = events.recv().await.expect("an event");
    assert!(added.message.contains("bind /data:ro, relaxed io-uring"), "{added:?}");
    let run = daemon.running("t1").await;
    let spec = host.disk.path().join("state/runs").join(run.as_str()).join("spec.json");
    let spec = std::fs::read_to_string(spec).expect("a spec");
    let spec: RunSpec = serde_json::from_str(&spec).expect("a spec");
    assert!(spec.sandbox.relaxed.has(Part::IoUring) && spec.sandbox.binds.len() == 1, "{spec:?}");
    let remarks = daemon.handle.status().await.expect("asked").remarks;
    assert!(remarks.iter().any(|remark| remark.contains("its sandbox is relaxed: io-uring")), "{remarks:?}");
    host.launcher.exit(&run, End::Exited { code: 0 });
    daemon.settled("t1").await;
    assert!(log_of(&host, "t1").contains("relaxes the sandbox: io-uring"), "{}", log_of(&host, "t1"));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_the_policy_has_left_behind_takes_no_task_until_it_is_allowed_again() {
    let host = Host::new();
    host.declarations.allow(Ok(relaxing(&[Part::IoUring])));
    host.clearml.queue("default");
    let daemon = host.start().await;
    let name = daemon.handle.add_worker(draft(&[], &[Part::IoUring])).await.expect("added").worker.name;
    for (policy, reason) in [
        (Ok(relaxing(&[])), "relaxing `io-uring` is not allowed"),
        (Err("policy.toml: line 3: default.users: it names nobody".to_owned()), "line 3"),
    ] {
        host.declarations.allow(policy);
        host.clearml.enqueue("default", "t1");
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(daemon.handle.runs().await.expect("asked").is_empty(), "{reason}");
        let problem = daemon.handle.worker(&name).await.expect("there").problem.expect("a problem");
        assert!(problem.contains(reason), "{problem}");
        let found = daemon.handle.explain(Subject::Worker(name.clone())).await.expect("explained");
        assert!(found.iter().any(|finding| format!("{finding:?}").contains(reason)), "{found:?}");
    }
    let remarks = daemon.handle.status().await.expect("asked").remarks;
    assert!(remarks.iter().any(|remark| remark.contains("line 3") && remark.contains("no worker")), "{remarks:?}");
    host.declarations.allow(Ok(relaxing(&[Part::IoUring])));
    daemon.running("t1").await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_wants_more_than_the_policy_allows_is_refused_and_its_worker_stays_as_it_was() {
    let host = Host::new();
    host.clearml.queue("default");
    host.declarations.allow(Ok(relaxing(&[])));
    host.declarations.write("w", Ok(draft(&[], &[])));
    let daemon = host.start().await;
    assert_eq!(daemon.handle.workers().await.expect("asked").len(), 1);
    for (draft, reason) in
        [(draft(&[], &[Part::Seccomp]), "relaxing `seccomp`"), (draft(&["/nowhere"], &[]), "/nowhere does not exist")]
    {
        host.declarations.write("w", Ok(draft));
        daemon.handle.reload().await.expect("done");
        let remarks = daemon.handle.status().await.expect("asked").remarks;
        assert!(remarks.iter().any(|said| said.starts_with("w.toml: ") && said.contains(reason)), "{remarks:?}");
        let workers = daemon.handle.workers().await.expect("asked");
        let worker = &workers.first().unwrap_or_else(|| panic!("none: {remarks:?}")).worker;
        assert!(worker.sandbox.is_usual(), "{worker:?}");
    }
}
