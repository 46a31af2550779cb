//! Device nodes and places of GPUs on the host: what NVML itself does not say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::sys::mig::Instances;

/// Where the host keeps things; tests have places of their own.
#[derive(Debug, Clone)]
pub struct Places {
    /// Device nodes.
    pub dev: PathBuf,
    /// sysfs.
    pub sys: PathBuf,
    /// procfs.
    pub proc: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self { dev: "/dev".into(), sys: "/sys".into(), proc: "/proc".into() }
    }
}

/// Which of /dev/nvidia-caps opens which MIG instance: `gpu0/gi7/access 12` and `gpu0/gi7/ci0/access 13`.
#[derive(Debug, Default)]
pub(super) struct Minors {
    numbers: BTreeMap<String, u32>,
}

impl Minors {
    pub(super) fn read(places: &Places) -> Self {
        let text = std::fs::read_to_string(places.proc.join("driver/nvidia-caps/mig-minors")).unwrap_or_default();
        let entry = |line: &str| {
            let (name, number) = line.split_once(' ')?;
            Some((name.to_owned(), number.trim().parse().ok()?))
        };
        Self { numbers: text.lines().filter_map(entry).collect() }
    }

    /// The nodes that open a slice of the GPU with that minor number. None where the driver has no such list.
    pub(super) fn of(&self, gpu: u32, of: Instances) -> Option<Vec<PathBuf>> {
        let node = |name: String| {
            self.numbers.get(&name).map(|number| PathBuf::from(format!("/dev/nvidia-caps/nvidia-cap{number}")))
        };
        let whole = format!("gpu{gpu}/gi{}", of.gpu);
        Some(vec![node(format!("{whole}/access"))?, node(format!("{whole}/ci{}/access", of.compute))?])
    }
}

/// By sysfs, which says -1 where there is but one.
pub(super) fn numa_node(places: &Places, pci: &str) -> Option<u32> {
    let file = places.sys.join("bus/pci/devices").join(pci).join("numa_node");
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// What is wrong when the node of a GPU is not there: the driver makes none by itself.
pub(super) fn without_node(places: &Places, minor: u32) -> Option<String> {
    let missing = !places.dev.join(format!("nvidia{minor}")).exists();
    missing.then(|| format!("/dev/nvidia{minor} does not exist; make it (nvidia-modprobe -c {minor})"))
}

/// The same for the nodes of a slice.
pub(super) fn without_caps(places: &Places, nodes: &[PathBuf]) -> Option<String> {
    if nodes.is_empty() {
        let reason = "the driver names no device node for it (/proc/driver/nvidia-caps/mig-minors)";
        return Some(reason.to_owned());
    }
    let here = |node: &Path| node.strip_prefix("/dev").is_ok_and(|name| places.dev.join(name).exists());
    let missing = nodes.iter().find(|node| !here(node))?;
    Some(format!("{} does not exist; make it (nvidia-modprobe -f …/access)", missing.display()))
}

/// Without it no CUDA program starts, and it is made by the first one of root only.
pub(super) fn without_uvm(places: &Places) -> Option<String> {
    let missing = !places.dev.join("nvidia-uvm").exists();
    missing.then(|| {
        "there are GPUs, but /dev/nvidia-uvm does not exist yet, without which CUDA does not work in a task: have \
         `nvidia-modprobe -u -c0` run at boot"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nodes_of_a_slice_are_those_that_the_driver_lists_for_both_of_its_instances() {
        let proc = tempfile::tempdir().expect("a directory");
        let caps = proc.path().join("driver/nvidia-caps");
        std::fs::create_dir_all(&caps).expect("made");
        let text = b"config 1\nmonitor 2\ngpu0/gi7/access 66\ngpu0/gi7/ci0/access 67\ngpu0/gi7/ci1/access 68\n";
        crate::sys::durable::write(&caps.join("mig-minors"), text, 0o644).expect("written");
        let places = Places { proc: proc.path().into(), ..Places::default() };
        let minors = Minors::read(&places);
        let node = |number: u32| PathBuf::from(format!("/dev/nvidia-caps/nvidia-cap{number}"));
        assert_eq!(minors.of(0, Instances { gpu: 7, compute: 1 }), Some(vec![node(66), node(68)]));
        assert_eq!(minors.of(1, Instances { gpu: 7, compute: 1 }), None);
        assert!(without_caps(&places, &[node(1234)]).is_some());
    }
}
