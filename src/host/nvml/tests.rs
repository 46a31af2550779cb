//! The real crate and its real calls, on a library of ours with GPUs that a file describes.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::*;
use crate::domain::inventory::{Driver, EccCounts, Gpu};
use crate::sys::durable;

mod faults;

/// A library, and a host round it.
struct Host {
    directory: tempfile::TempDir,
}

const TWO: &str = "driver version=550.54.15 cuda=12040\n\
    gpu uuid=GPU-aa name=NVIDIA_A100 bus=7 minor=1 total=4294967296 used=1073741824 usage=35 temp=41 power=61000 limit=400000 ecc=2 uncorrected=1\n\
    gpu uuid=GPU-bb name=NVIDIA_T4 bus=8 minor=0 total=1024 used=0\n";

impl Host {
    fn new(script: &str) -> Self {
        let host = Self { directory: tempfile::tempdir().expect("a directory") };
        for directory in ["dev", "sys/bus/pci/devices/0000:07:00.0", "proc/driver/nvidia-caps"] {
            std::fs::create_dir_all(host.path(directory)).expect("made");
        }
        for node in ["dev/nvidia0", "dev/nvidia1", "dev/nvidia-uvm"] {
            host.write(node, "");
        }
        host.write("sys/bus/pci/devices/0000:07:00.0/numa_node", "1\n");
        host.script(script);
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nvml/stub.c");
        let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(host.library()).arg(source).status();
        assert!(built.expect("a C compiler").success(), "the library is built");
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn library(&self) -> PathBuf {
        self.path("libnvidia-ml-stub.so")
    }

    fn write(&self, name: &str, text: &str) {
        durable::write(&self.path(name), text.as_bytes(), 0o644).expect("written");
    }

    fn script(&self, text: &str) {
        self.write("libnvidia-ml-stub.so.conf", text);
    }

    fn places(&self) -> Places {
        Places { dev: self.path("dev"), sys: self.path("sys"), proc: self.path("proc") }
    }

    fn start(&self) -> NvmlGpus {
        NvmlGpus::start(Some(self.library()), self.places()).expect("a thread")
    }
}

async fn look(gpus: &NvmlGpus) -> Arc<Inventory> {
    gpus.look(Duration::ZERO).await
}

#[tokio::test]
async fn nvlinks_lead_to_gpus_and_switches_and_a_card_without_any_has_none() {
    let host = Host::new(&format!("{TWO}link gpu=0 bus=8\nlink gpu=0 bus=8\nlink gpu=0 bus=192\n"));
    let seen = look(&host.start()).await;
    assert_eq!(seen.gpus[0].links, ["0000:08:00.0", "0000:08:00.0", "0000:c0:00.0"]);
    assert_eq!(seen.gpus[1].links, [""; 0]);
}

#[tokio::test]
async fn everything_that_a_card_tells_is_known_and_what_it_does_not_support_is_not() {
    let host = Host::new(TWO);
    let seen = look(&host.start()).await;
    assert_eq!(seen.driver, Driver::Up { version: Some("550.54.15".into()), cuda: Some("12.4".into()) });
    assert_eq!((seen.remarks.clone(), seen.silent_seconds), (Vec::new(), None));
    let [first, second] = seen.gpus.as_slice() else { panic!("{seen:?}") };
    assert_eq!((first.index, first.uuid.as_str(), first.name.as_str()), (0, "GPU-aa", "NVIDIA A100"));
    assert_eq!((first.pci.as_str(), first.minor, first.numa_node), ("0000:07:00.0", Some(1), Some(1)));
    assert_eq!((first.figures.memory_total, first.figures.memory_used), (Some(4 << 30), Some(1 << 30)));
    assert_eq!((first.figures.usage, first.figures.temperature), (Some(35), Some(41)));
    assert_eq!((first.power.draw, first.power.limit), (Some(61_000), Some(400_000)));
    assert_eq!(first.ecc, Some(EccCounts { corrected: 2, uncorrected: 1 }));
    assert_eq!((first.mig, &first.unusable), (false, &None));
    assert_eq!((second.ecc, second.figures.usage, second.numa_node), (None, None, None));
}

#[tokio::test]
async fn slices_have_names_memory_and_nodes_of_their_own() {
    let host = Host::new(
        "gpu uuid=GPU-aa name=A100 minor=0 mig=1 total=40 temp=50\n\
         slice gpu=0 index=0 uuid=MIG-1 profile=1g.5gb gi=7 ci=0 total=5 used=2\n\
         slice gpu=0 index=3 uuid=MIG-2 profile=1c.2g.10gb gi=3 ci=1 total=10\n",
    );
    host.write("proc/driver/nvidia-caps/mig-minors", "gpu0/gi7/access 66\ngpu0/gi7/ci0/access 67\n");
    std::fs::create_dir(host.path("dev/nvidia-caps")).expect("made");
    host.write("dev/nvidia-caps/nvidia-cap66", "");
    host.write("dev/nvidia-caps/nvidia-cap67", "");
    let seen = look(&host.start()).await;
    let [one, other] = seen.gpus[0].slices.as_slice() else { panic!("{seen:?}") };
    assert_eq!((one.index, one.uuid.as_str(), one.profile.as_str()), (0, "MIG-1", "1g.5gb"));
    assert_eq!(one.nodes, ["/dev/nvidia-caps/nvidia-cap66", "/dev/nvidia-caps/nvidia-cap67"].map(PathBuf::from));
    assert_eq!((one.figures.memory_used, one.figures.temperature, one.figures.usage), (Some(2), Some(50), None));
    assert_eq!((other.index, other.profile.as_str()), (3, "1c.2g.10gb"));
    assert!(one.unusable.is_none() && other.unusable.is_some(), "{seen:?}");
}

#[tokio::test]
async fn a_host_without_a_driver_is_quiet_and_one_that_gets_it_later_is_seen() {
    let host = Host::new(TWO);
    let absent = NvmlGpus::start(None, host.places()).expect("a thread");
    let seen = look(&absent).await;
    assert_eq!((&seen.driver, seen.remarks.len()), (&Driver::Absent, 0), "a machine for tests has no driver");
    host.script("fail call=init code=9\n");
    let gpus = host.start();
    let Driver::Failing { reason } = look(&gpus).await.driver.clone() else { panic!("the module is not loaded") };
    assert!(reason.contains("driver is not loaded; load it"), "{reason}");
    host.script(TWO);
    assert_eq!(look(&gpus).await.gpus.len(), 2);
}

#[tokio::test]
async fn a_card_that_is_lost_keeps_its_name_and_says_that_it_cannot_be_used() {
    let host = Host::new(TWO);
    let gpus = host.start();
    look(&gpus).await;
    host.script(&format!("{TWO}fail call=gpu gpu=1 code=15\n"));
    let seen = look(&gpus).await;
    let unusable = |gpu: &Gpu| gpu.unusable.clone();
    assert_eq!(unusable(&seen.gpus[0]), None);
    assert_eq!(seen.gpus[1].uuid, "GPU-bb");
    let reason = unusable(&seen.gpus[1]).expect("lost");
    assert!(reason.contains("fell off the bus"), "{reason}");
    // A daemon that starts only now cannot name it, and says so.
    let seen = look(&host.start()).await;
    assert_eq!(seen.gpus.len(), 1);
    assert!(seen.remarks[0].contains("GPU 1 does not answer and is left out"), "{:?}", seen.remarks);
    host.script(TWO);
    assert_eq!(unusable(&look(&gpus).await.gpus[1]), None, "after a reset");
}

#[tokio::test]
async fn a_card_that_needs_a_reset_is_not_lost() {
    let host = Host::new(TWO);
    let gpus = host.start();
    look(&gpus).await;
    host.script(&format!("{TWO}fail call=gpu gpu=1 code=16\n"));
    let seen = look(&gpus).await;
    assert_eq!((seen.gpus[1].reset, seen.gpus[1].lost, seen.gpus[0].reset), (true, false, false));
    assert!(seen.gpus[1].unusable.as_ref().is_some_and(|why| why.contains("nvidia-smi -r")), "{seen:?}");
    host.script(TWO);
    assert!(!look(&gpus).await.gpus[1].reset, "after the reset");
}

#[tokio::test]
async fn a_card_that_the_driver_does_not_list_any_more_is_lost() {
    let host = Host::new(TWO);
    let gpus = host.start();
    look(&gpus).await;
    // The other one takes its index.
    let (driver, second) = (TWO.lines().next().expect("a line"), TWO.lines().last().expect("a line"));
    host.script(&format!("{driver}\n{second}\n"));
    for _ in 0..2 {
        let seen = look(&gpus).await;
        let of = |uuid: &str| seen.gpus.iter().filter(|gpu| gpu.uuid == uuid).cloned().collect::<Vec<_>>();
        assert_eq!((of("GPU-bb").len(), of("GPU-bb")[0].index, of("GPU-bb")[0].lost), (1, 0, false), "{seen:?}");
        let [gone] = of("GPU-aa").try_into().expect("once");
        assert!(gone.lost && gone.unusable.expect("why").contains("does not list it any more"));
    }
    host.script(&format!("{driver}\n{second}\nfail call=gpu gpu=0 code=15\n"));
    let seen = look(&gpus).await;
    assert_eq!(seen.gpus.iter().map(|gpu| gpu.uuid.as_str()).collect::<Vec<_>>(), ["GPU-bb", "GPU-aa"]);
    host.script(TWO);
    assert!(look(&gpus).await.gpus.iter().all(|gpu| !gpu.lost && gpu.unusable.is_none()), "it is back");
}

#[tokio::test]
async fn a_driver_that_was_exchanged_is_asked_anew_and_what_was_there_stays_to_be_seen() {
    let host = Host::new(TWO);
    let gpus = host.start();
    look(&gpus).await;
    host.script(&format!("{TWO}fail call=count code=18\n"));
    let seen = look(&gpus).await;
    assert!(matches!(&seen.driver, Driver::Failing { reason } if reason.contains("upgraded")), "{seen:?}");
    assert_eq!((seen.gpus.len(), seen.known()), (2, false));
    host.script(&TWO.replace("550.54.15", "560.1"));
    assert!(matches!(&look(&gpus).await.driver, Driver::Up { version, .. } if version.as_deref() == Some("560.1")));
}

#[tokio::test]
async fn a_missing_node_is_named_with_what_makes_it() {
    let host = Host::new(TWO);
    for node in ["dev/nvidia0", "dev/nvidia-uvm"] {
        std::fs::remove_file(host.path(node)).expect("removed");
    }
    let seen = look(&host.start()).await;
    assert!(seen.remarks[0].contains("nvidia-modprobe -u -c0"), "{:?}", seen.remarks);
    let reason = seen.gpus[1].unusable.clone().expect("unusable");
    assert!(reason.contains("/dev/nvidia0 does not exist"), "{reason}");
    assert_eq!(seen.gpus[0].unusable, None);
}

#[tokio::test]
async fn a_driver_that_hangs_is_waited_for_a_moment_and_what_was_seen_before_is_answered() {
    let host = Host::new(TWO);
    let gpus = host.start();
    look(&gpus).await;
    host.script(&format!("{TWO}hang\n"));
    let began = Instant::now();
    let seen = look(&gpus).await;
    assert_eq!(seen.gpus.len(), 2);
    assert!((PATIENCE..PATIENCE + Duration::from_secs(2)).contains(&began.elapsed()), "{:?}", began.elapsed());
    while gpus.seen().silent_seconds.is_none() {
        assert!(began.elapsed() < OVERDUE + Duration::from_secs(5), "it is not said that the driver is silent");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let asked = Instant::now();
    assert!(look(&gpus).await.silent_seconds.is_some_and(|seconds| seconds >= OVERDUE.as_secs()));
    assert!(asked.elapsed() < Duration::from_secs(1), "nobody waits for it any more");
    host.script(&TWO.replace("used=0", "used=512"));
    while gpus.seen().gpus[1].figures.memory_used != Some(512) {
        assert!(asked.elapsed() < Duration::from_secs(5), "it does not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
        gpus.look(Duration::from_millis(10)).await;
    }
    assert_eq!(gpus.seen().silent_seconds, None);
}

#[tokio::test]
async fn many_who_ask_at_once_are_one_look() {
    let host = Host::new(TWO);
    let gpus = host.start();
    look(&gpus).await;
    let before = gpus.shared.seen.borrow().began;
    for _ in 0..50 {
        gpus.look(Duration::from_secs(60)).await;
    }
    assert_eq!(gpus.shared.seen.borrow().began, before, "it was young enough for all of them");
}

#[tokio::test]
async fn processes_are_described_with_who_started_them() {
    let mut child = Command::new("sleep").arg("60").spawn().expect("started");
    let line = format!("process gpu=0 pid={} used=4096\nprocess gpu=1 pid=4194303\n", child.id());
    let host = Host::new(&format!("{TWO}{line}"));
    let seen = look(&host.start()).await;
    child.kill().expect("killed");
    child.wait().expect("reaped");
    let process = &seen.gpus[0].processes[0];
    assert_eq!((process.pid, process.name.as_str(), process.memory), (child.id(), "sleep", Some(4096)));
    assert_eq!(process.uid, Some(rustix::process::getuid().as_raw()));
    assert_eq!(process.ancestors.first(), Some(&std::process::id()));
    // One that has ended between the two looks.
    let gone = &seen.gpus[1].processes[0];
    assert_eq!((gone.name.as_str(), gone.uid, gone.ancestors.len()), ("", None, 0));
}

#[tokio::test]
async fn a_file_that_is_no_library_is_a_fault_with_its_path() {
    let host = Host::new(TWO);
    std::fs::remove_file(host.library()).expect("removed");
    symlink("/etc/passwd", host.library()).expect("linked");
    let seen = look(&host.start()).await;
    assert!(matches!(&seen.driver, Driver::Failing { reason } if reason.contains("libnvidia-ml-stub.so")), "{seen:?}");
}
