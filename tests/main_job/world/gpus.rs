//! A host with two GPUs: NVML as a file describes it, and device nodes that lead nowhere in a /dev of the daemon's own.

use std::path::PathBuf;
use std::process::Command;

use super::{World, is_root};

/// Index 0 is node 1 and the other way round, as happens on real hosts.
pub(crate) const TWO: &str = "driver version=550.54.15 cuda=12040\n\
    gpu uuid=GPU-aa name=NVIDIA_A100 bus=7 minor=1 total=4294967296 used=1073741824 usage=35 temp=41\n\
    gpu uuid=GPU-bb name=NVIDIA_T4 bus=8 minor=0 total=2147483648 used=0 usage=0 temp=30\n";

/// `$1` becomes /dev for what `exec` starts, and for nobody else.
const PRIVATE_DEV: &str = "set -e; new=$1; shift; mkdir \"$new\"; mount -t tmpfs -o mode=0755 dev \"$new\"\n\
    for node in null zero full random urandom tty; do touch \"$new/$node\"; mount --bind \"/dev/$node\" \"$new/$node\"; done\n\
    for node in nvidia0 nvidia1 nvidiactl nvidia-uvm nvidia-modeset; do mknod -m 666 \"$new/$node\" c 1 3; done\n\
    mount --rbind \"$new\" /dev; exec \"$@\"";

impl World {
    /// No daemon yet, and no worker.
    pub(crate) async fn with_gpus() -> Self {
        assert!(is_root(), "this test needs root for device nodes: run `sudo make test`");
        let mut world = Self::without_daemon().await;
        world.bring_uv();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/nvml/stub.c");
        let built = Command::new("cc").args(["-shared", "-fPIC", source, "-o"]).arg(world.nvml()).status();
        assert!(built.expect("a C compiler").success(), "the library is built");
        world.gpus_are(TWO);
        world.variables.push(("CLEARMLD_NVML_LIBRARY", world.nvml().display().to_string()));
        world.variables.push(("CLEARML_AGENT_STATUS_REPORT_FREQ_SEC", "1".into()));
        world.private_dev = true;
        world
    }

    fn nvml(&self) -> PathBuf {
        self.path().join("libnvidia-ml-stub.so")
    }

    /// What the library answers from now on.
    pub(crate) fn gpus_are(&self, script: &str) {
        let file = self.nvml().with_extension("so.conf");
        let new = file.with_extension("new");
        std::fs::write(&new, script).expect("written");
        std::fs::rename(&new, &file).expect("renamed");
    }

    pub(super) fn behind_a_private_dev(&self, program: &Command) -> Command {
        // A new directory each time: what was mounted on the last one is gone with its daemon, its name is not.
        let number = std::fs::read_dir(self.path()).expect("listed").count();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", PRIVATE_DEV, "sh"]);
        command.arg(self.path().join(format!("dev{number}"))).arg(program.get_program());
        command
    }
}
