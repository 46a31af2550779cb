//! What a Run sees of GPUs: its own, by name and by device node.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::domain::gpu::{GpuClaim, GpuId};
use crate::domain::lease::Lease;

/// Nodes that every CUDA program needs, whichever GPU it has. Not nvidia-modeset: that is for displays.
const CONTROL: [&str; 3] = ["nvidiactl", "nvidia-uvm", "nvidia-uvm-tools"];

/// By UUID where it is known: with nothing but /dev/nvidia3 to be seen there is no ordinal 3.
pub(super) fn variables(lease: &Lease) -> BTreeMap<String, String> {
    let uuids: Vec<&str> = lease.units.iter().map(|unit| unit.uuid.as_str()).collect();
    let visible = match (&lease.claim, uuids.as_slice()) {
        (GpuClaim::None, _) => [("NVIDIA_VISIBLE_DEVICES", "none".to_owned()), ("CUDA_VISIBLE_DEVICES", String::new())],
        (GpuClaim::All, _) => {
            let all = [("NVIDIA_VISIBLE_DEVICES", "all"), ("CUDA_DEVICE_ORDER", "PCI_BUS_ID")];
            return all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        }
        (GpuClaim::Some(_), []) => both(lease.claim.to_string()),
        (GpuClaim::Some(_), uuids) => both(uuids.join(",")),
    };
    let order = ("CUDA_DEVICE_ORDER", "PCI_BUS_ID".to_owned());
    visible.into_iter().chain([order]).map(|(name, value)| (name.to_owned(), value)).collect()
}

fn both(value: String) -> [(&'static str, String); 2] {
    [("NVIDIA_VISIBLE_DEVICES", value.clone()), ("CUDA_VISIBLE_DEVICES", value)]
}

/// Device nodes of the leased GPUs, and those that all share. Where nobody says which hardware it is, an index is taken
/// for the number of its node, and anything else for all of them.
pub(super) fn devices(lease: &Lease, dev: &Path) -> Vec<PathBuf> {
    if lease.claim == GpuClaim::None {
        return Vec::new();
    }
    let control = CONTROL.iter().map(|name| Path::new("/dev").join(name));
    // A node that two slices of one GPU share is bound once.
    let mut own: Vec<PathBuf> = lease.units.iter().flat_map(|unit| unit.nodes.iter().cloned()).collect();
    if lease.units.is_empty() {
        own = by_words(&lease.claim, dev);
    }
    own.sort();
    own.dedup();
    let there = |node: &PathBuf| node.strip_prefix("/dev").is_ok_and(|name| dev.join(name).exists());
    own.into_iter().chain(control.filter(there)).collect()
}

fn by_words(claim: &GpuClaim, dev: &Path) -> Vec<PathBuf> {
    let index = |gpu: &GpuId| match gpu {
        GpuId::Index(index) => Some(*index),
        GpuId::Slice(..) | GpuId::Uuid(_) => None,
    };
    let wanted: Option<Vec<u32>> = match claim {
        GpuClaim::None => return Vec::new(),
        GpuClaim::All => None,
        GpuClaim::Some(gpus) => gpus.iter().map(index).collect(),
    };
    let nodes = std::fs::read_dir(dev).into_iter().flatten().flatten();
    let numbers = nodes.filter_map(|node| node.file_name().to_str()?.strip_prefix("nvidia")?.parse::<u32>().ok());
    let of_ours = numbers.filter(|number| wanted.as_ref().is_none_or(|wanted| wanted.contains(number)));
    of_ours.map(|number| PathBuf::from(format!("/dev/nvidia{number}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::lease::Unit;

    fn dev(names: &[&str]) -> tempfile::TempDir {
        let dev = tempfile::tempdir().expect("a directory");
        for name in names {
            std::fs::File::create(dev.path().join(name)).expect("made");
        }
        std::fs::create_dir(dev.path().join("nvidia-caps")).expect("made");
        dev
    }

    fn lease(claim: &str, units: &[(&str, &[&str])]) -> Lease {
        let units = units.iter().map(|(uuid, nodes)| Unit {
            uuid: (*uuid).into(),
            gpu: "GPU-a".into(),
            nodes: nodes.iter().map(PathBuf::from).collect(),
        });
        Lease { units: units.collect(), ..Lease::from(claim.parse::<GpuClaim>().expect("a claim")) }
    }

    #[test]
    fn a_run_is_given_the_nodes_of_its_own_gpus_and_those_that_all_share() {
        let dev = dev(&["nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-modeset"]);
        let paths = |lease: &Lease| -> Vec<String> {
            devices(lease, dev.path()).iter().map(|path| path.display().to_string()).collect()
        };
        let control = ["/dev/nvidiactl", "/dev/nvidia-uvm"];
        assert_eq!(paths(&lease("0", &[("GPU-a", &["/dev/nvidia1"])])), [&["/dev/nvidia1"], &control[..]].concat());
        let slices = [("MIG-1", &["/dev/nvidia0", "/dev/nvidia-caps/nvidia-cap3"][..]), ("MIG-2", &["/dev/nvidia0"])];
        let own = ["/dev/nvidia-caps/nvidia-cap3", "/dev/nvidia0"];
        assert_eq!(paths(&lease("0:0,0:1", &slices)), [&own[..], &control[..]].concat());
        assert_eq!(paths(&lease("none", &[])), [""; 0]);
        assert_eq!(paths(&lease("1", &[])), [&["/dev/nvidia1"], &control[..]].concat());
        assert_eq!(paths(&lease("GPU-x", &[])).len(), 4, "all GPUs, where nobody says which it is");
    }

    #[test]
    fn gpus_are_named_by_uuid_where_it_is_known() {
        let of = |lease: &Lease, name: &str| variables(lease).get(name).cloned();
        let known = lease("3,0", &[("GPU-a", &[]), ("GPU-b", &[])]);
        assert_eq!(of(&known, "CUDA_VISIBLE_DEVICES").as_deref(), Some("GPU-a,GPU-b"));
        assert_eq!(of(&known, "NVIDIA_VISIBLE_DEVICES").as_deref(), Some("GPU-a,GPU-b"));
        assert_eq!(of(&lease("0,1", &[]), "CUDA_VISIBLE_DEVICES").as_deref(), Some("0,1"));
        assert_eq!(of(&lease("none", &[]), "CUDA_VISIBLE_DEVICES").as_deref(), Some(""));
        assert_eq!(of(&lease("all", &[("GPU-a", &[])]), "CUDA_VISIBLE_DEVICES"), None);
        assert_eq!(of(&lease("all", &[("GPU-a", &[])]), "NVIDIA_VISIBLE_DEVICES").as_deref(), Some("all"));
    }
}
