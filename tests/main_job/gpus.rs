//! GPUs, as far as a host without any can show them: the real crate asks a library of ours, the device nodes are real
//! nodes that lead nowhere, and the sandbox is the real one.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::world::gpus::TWO;
use super::world::{World, processes_with};

#[tokio::test(flavor = "multi_thread")]
async fn a_task_sees_its_own_gpu_by_uuid_and_by_node_and_no_other_and_its_processes_are_told_from_strangers() {
    let mut world = World::with_gpus().await;
    world.start_daemon();
    world.ok(&["worker", "add", "--gpus", "1", "--queue", "default"]);
    let script = "import os, sys, time\n\
        print('nodes', sorted(name for name in os.listdir('/dev') if name.startswith('nvidia')))\n\
        for name in ('NVIDIA_VISIBLE_DEVICES', 'CUDA_VISIBLE_DEVICES', 'CUDA_DEVICE_ORDER'):\n    print(name, os.environ.get(name))\n\
        os.close(os.open('/dev/nvidia0', os.O_RDWR))\n\
        print('opened', flush=True)\n\
        os.execv(sys.executable, [sys.executable, '-c', 'import time; time.sleep(3000)', 'gpu-marker-81c2'])\n";
    let task = world.submit(script, "").await;
    let log = world.log_shows(&task, "opened").await;
    assert!(log.contains("nodes ['nvidia-uvm', 'nvidia0', 'nvidiactl']"), "{log}");
    assert!(log.contains("NVIDIA_VISIBLE_DEVICES GPU-bb\nCUDA_VISIBLE_DEVICES GPU-bb\n"), "{log}");
    assert!(log.contains("CUDA_DEVICE_ORDER PCI_BUS_ID"), "{log}");

    world.until("the program", |_| !processes_with("gpu-marker-81c2").is_empty()).await;
    let (ours, stranger) = (processes_with("gpu-marker-81c2")[0], std::process::id());
    world.gpus_are(&format!("{TWO}process gpu=1 pid={ours} used=1024\nprocess gpu=1 pid={stranger} used=1024\n"));
    let list = world.json(&["gpu", "rescan"]);
    assert_eq!((&list["driver"]["state"], &list["driver"]["version"]), (&json!("up"), &json!("550.54.15")));
    let gpus = list["gpus"].as_array().expect("a list");
    let run = world.json(&["run", "list"])[0]["id"].clone();
    assert_eq!((&gpus[0]["workers"], &gpus[0]["run_ids"]), (&json!([]), &json!([])));
    assert_eq!((&gpus[1]["workers"], &gpus[1]["run_ids"]), (&json!(["testhost:gpu1"]), &json!([run])));
    let whose = |pid: u32| {
        let processes = gpus[1]["processes"].as_array().expect("a list");
        processes.iter().find(|process| process["pid"] == pid).expect("listed")["run_id"].clone()
    };
    assert_eq!((whose(ours), whose(stranger)), (run, Value::Null));
    let table = world.ok(&["gpu", "list"]);
    assert!(table.contains(&format!("{stranger} (")) && !table.contains(&format!("{ours} (")), "{table}");

    let figures = |world: &World| -> Value {
        let workers = world.api("workers.get_all", &json!({}))["data"]["workers"].clone();
        workers[0]["machine_stats"].clone()
    };
    world
        .until("the figures of its own GPU at the server", |world| {
            let figures = figures(world);
            figures["gpu_memory_free"] == json!([2048.0]) && figures["gpu_temperature"] == json!([30.0])
        })
        .await;
    world.ok(&["task", "abort", task.as_str()]);
    world.end(&task).await;
    world.idle().await;
    assert_eq!(world.json(&["gpu", "show", "GPU-bb"])["run_ids"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_or_another_workers_by_any_name_is_refused() {
    let mut world = World::with_gpus().await;
    world.start_daemon();
    let refused = |arguments: &[&str]| {
        let output = world.ctl(&[&["worker", "add", "--queue", "default", "--gpus"], arguments].concat());
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, error) = refused(&["0,5"]);
    assert_eq!(code, Some(2), "{error}");
    assert!(
        error.contains("no GPU `5`") && error.contains("0 (NVIDIA A100, GPU-aa), 1 (NVIDIA T4, GPU-bb)"),
        "{error}"
    );
    let (_, error) = refused(&["1:0"]);
    assert!(error.contains("MIG is off on GPU 1"), "{error}");
    world.ok(&["worker", "add", "--queue", "default", "--gpus", "GPU-aa"]);
    let (code, error) = refused(&["0"]);
    assert_eq!(code, Some(7), "{error}");
    assert!(error.contains("belongs to worker `testhost:gpuGPU-aa`"), "{error}");
    assert_eq!(world.json(&["worker", "list"]).as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_hangs_holds_up_neither_the_start_nor_the_runs_that_live_nor_cpu_workers() {
    let mut world = World::with_gpus().await;
    world.start_daemon();
    world.ok(&["worker", "add", "--gpus", "1", "--queue", "default"]);
    let task = world.submit("import time\nprint('up', flush=True)\ntime.sleep(3000)\n", "").await;
    world.log_shows(&task, "up").await;
    world.kill_daemon();
    world.gpus_are(&format!("{TWO}hang\n"));
    let began = Instant::now();
    world.start_daemon();
    assert!(began.elapsed() < Duration::from_secs(5), "READY waits for nobody: {:?}", began.elapsed());
    assert_eq!(world.json(&["worker", "show", "testhost:gpu1"])["activity"], "busy");
    world.ok(&["worker", "add", "--cpu-only", "--queue", "default"]);
    let other = world.submit("print('done')\n", "").await;
    world.completes(&other).await;
    world.until("that the driver is silent", |world| !world.json(&["gpu", "list"])["silent_seconds"].is_null()).await;
    assert_eq!(world.json(&["gpu", "list"])["driver"]["state"], "asked");
    world.gpus_are(TWO);
    world.until("the driver's answer", |world| world.json(&["gpu", "list"])["gpus"][1]["run_ids"][0].is_string()).await;
    world.ok(&["task", "abort", task.as_str()]);
    world.end(&task).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gpu_that_breaks_is_named_on_its_task_and_taken_out_of_use_and_the_other_worker_goes_on() {
    let mut world = World::with_gpus().await;
    world.start_daemon();
    world.ok(&["worker", "add", "--gpus", "0", "--queue", "default"]);
    world.ok(&["worker", "add", "--gpus", "1", "--queue", "other", "--create-queue"]);
    // The daemon's thread listens once it has seen the GPUs.
    world.until("the driver's answer", |world| world.json(&["gpu", "list"])["driver"]["state"] == "up").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let script = "import sys, time\nprint('on it', flush=True)\ntime.sleep(8)\nsys.exit(1)\n";
    let task = world.submit(script, "").await;
    world.log_shows(&task, "on it").await;
    world.gpus_are(&format!("{TWO}fail call=gpu gpu=0 code=15\nxid id=1 gpu=0 code=79\n"));
    world.until("that the GPU is out of use", |world| state(world, "GPU-aa") == "quarantined").await;
    let reason = world.fails(&task).await;
    assert!(reason.starts_with("GPU fault: Xid 79 (GPU has fallen off the bus), on GPU GPU-aa"), "{reason}");
    assert!(reason.contains("exit code 1"), "{reason}");
    let run = world.json(&["run", "list"])[0].clone();
    assert_eq!(run["end"]["cause"], "gpu_fault", "{run}");

    assert_eq!(state(&world, "GPU-bb"), "healthy");
    let problem = world.json(&["worker", "show", "testhost:gpu0"])["problem"].to_string();
    assert!(problem.contains("fell off the bus"), "what the driver says of it comes first: {problem}");
    let other = world
        .submit_with(|submission| {
            submission.diff = Some("print('done')\n".into());
            submission.queue = Some("other".into());
        })
        .await;
    world.completes(&other).await;

    // It is back after a reset of the card, and still nobody's until it is verified: also for the next daemon.
    world.gpus_are(TWO);
    world.kill_daemon();
    world.start_daemon();
    world.until("the driver's answer", |world| world.json(&["gpu", "list"])["driver"]["state"] == "up").await;
    assert_eq!(state(&world, "GPU-aa"), "quarantined");
    let problem = world.json(&["worker", "show", "testhost:gpu0"])["problem"].to_string();
    assert!(problem.contains("is quarantined: Xid 79") && problem.contains("gpu verify"), "{problem}");
    let shown = world.ok(&["gpu", "show", "GPU-aa"]);
    assert!(shown.contains("Xid 79") && shown.contains("quarantined since"), "{shown}");
    world.ok(&["gpu", "verify", "0", "--reason", "reset"]);
    assert_eq!(state(&world, "GPU-aa"), "verifying");
    world.ok(&["gpu", "readmit", "0"]);
    let again = world.submit("print('again')\n", "").await;
    world.completes(&again).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_costs_one_program_only_leaves_the_gpu_in_use_until_the_driver_asks_for_a_reset() {
    let mut world = World::with_gpus().await;
    world.start_daemon();
    world.ok(&["worker", "add", "--gpus", "0", "--queue", "default"]);
    world.until("the driver's answer", |world| world.json(&["gpu", "list"])["driver"]["state"] == "up").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let script = "import sys, time\nprint('on it', flush=True)\ntime.sleep(6)\nsys.exit(1)\n";
    let task = world.submit(script, "").await;
    world.log_shows(&task, "on it").await;
    world.gpus_are(&format!("{TWO}xid id=1 gpu=0 code=94\n"));
    let reason = world.fails(&task).await;
    assert!(reason.starts_with("GPU fault: Xid 94 (contained memory error), on GPU GPU-aa"), "{reason}");
    assert_eq!(state(&world, "GPU-aa"), "healthy");
    let next = world.submit("print('done')\n", "").await;
    world.completes(&next).await;

    world.gpus_are(&TWO.replace("uuid=GPU-aa", "uuid=GPU-aa recovery=4"));
    world.until("that the GPU is out of use", |world| state(world, "GPU-aa") == "quarantined").await;
    let shown = world.ok(&["gpu", "show", "0"]);
    assert!(shown.contains("the driver asks for a reset (nvidia-smi -r)"), "{shown}");
    assert_eq!(state(&world, "GPU-bb"), "healthy");
    world.ok(&["gpu", "verify", "0"]);
    world.until("that it does not pass", |world| state(world, "GPU-aa") == "quarantined").await;
    world.gpus_are(TWO);
    world.ok(&["gpu", "rescan"]);
    world.ok(&["gpu", "verify", "0"]);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(state(&world, "GPU-aa"), "verifying", "nothing speaks against it any more");
}

fn state(world: &World, uuid: &str) -> String {
    world.json(&["gpu", "show", uuid])["health"]["state"].as_str().unwrap_or_default().to_owned()
}
