//! A host with two GPUs: an NVML of ours, and device nodes that lead nowhere in a /dev of the daemon's own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Index 0 is node 1 and the other way round, as happens on real hosts.
const TWO: &str = "driver version=550.54.15 cuda=12040\n\
    gpu uuid=GPU-aa name=NVIDIA_A100 bus=7 minor=1 total=4294967296 used=1073741824 usage=35 temp=41\n\
    gpu uuid=GPU-bb name=NVIDIA_T4 bus=8 minor=0 total=2147483648 used=0 usage=0 temp=30\n";

/// What a worker with GPU 0 is lent, and a node of the GPU that it is not.
pub(crate) const LENT: [&str; 3] = ["nvidia1", "nvidiactl", "nvidia-uvm"];
pub(crate) const OTHER: &str = "/dev/nvidia0";

/// `$1` becomes /dev for what `exec` starts, and for nobody else; so do a /tmp and an ipc namespace, which a shim that is
/// told to separate nothing would leave things in.
const PRIVATE_DEV: &str = "set -e; new=$1; shift; mkdir \"$new\"; mount -t tmpfs -o mode=0755 dev \"$new\"\n\
    for node in null zero full random urandom tty; do touch \"$new/$node\"; mount --bind \"/dev/$node\" \"$new/$node\"; done\n\
    for node in nvidia0 nvidia1 nvidiactl nvidia-uvm nvidia-modeset; do mknod -m 666 \"$new/$node\" c 1 3; done\n\
    mkdir -m 1777 \"$new/shm\"; mount --rbind \"$new\" /dev; mount -t tmpfs tmp /tmp; exec \"$@\"";

pub(crate) fn behind_a_private_dev(place: &Path, program: &OsStr) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--ipc", "--propagation", "private", "sh", "-c", PRIVATE_DEV, "sh"]);
    command.arg(place.join("dev")).arg(program);
    command
}

/// Builds it.
pub(crate) fn library(place: &Path) -> PathBuf {
    let library = place.join("libnvidia-ml-stub.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/nvml/stub.c");
    let built = Command::new("cc").args(["-shared", "-fPIC", source, "-o"]).arg(&library).status();
    assert!(built.expect("a C compiler").success(), "the library is built");
    std::fs::write(library.with_extension("so.conf"), TWO).expect("written");
    library
}
