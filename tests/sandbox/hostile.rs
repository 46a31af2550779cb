//! The hostile program, beside another task of the same user, and what becomes of the machine meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use nix::libc::*;
use serde_json::{Value, json};

use super::attempts;
use super::gpus::{LENT, OTHER};
use super::host::{Host, installed};

const VICTIM: &str = include_str!("victim.py");
const PARTS: [&str; 8] = [
    include_str!("hostile/frame.py"),
    include_str!("hostile/secrets.py"),
    include_str!("hostile/devices.py"),
    include_str!("hostile/processes.py"),
    include_str!("hostile/rights.py"),
    include_str!("hostile/kernel.py"),
    include_str!("hostile/sockets.py"),
    include_str!("hostile/end.py"),
];

/// The numbers of system calls that are made by number, on this machine.
pub(crate) fn calls() -> Value {
    macro_rules! numbers {
        ($($name:ident),* $(,)?) => {{
            let mut all = BTreeMap::<&str, c_long>::new();
            $(all.insert(stringify!($name).strip_prefix("SYS_").expect("a prefix"), $name);)*
            all
        }};
    }
    let mut all = numbers![
        SYS_acct,
        SYS_add_key,
        SYS_bpf,
        SYS_capset,
        SYS_clone,
        SYS_clone3,
        SYS_delete_module,
        SYS_exit,
        SYS_fanotify_init,
        SYS_finit_module,
        SYS_fsconfig,
        SYS_fsmount,
        SYS_fsopen,
        SYS_fspick,
        SYS_init_module,
        SYS_io_uring_enter,
        SYS_io_uring_register,
        SYS_io_uring_setup,
        SYS_ioprio_set,
        SYS_kexec_file_load,
        SYS_kexec_load,
        SYS_keyctl,
        SYS_mount,
        SYS_mount_setattr,
        SYS_move_mount,
        SYS_move_pages,
        SYS_mq_open,
        SYS_open_by_handle_at,
        SYS_open_tree,
        SYS_perf_event_open,
        SYS_pidfd_getfd,
        SYS_pidfd_open,
        SYS_pidfd_send_signal,
        SYS_pivot_root,
        SYS_prctl,
        SYS_prlimit64,
        SYS_process_vm_readv,
        SYS_process_vm_writev,
        SYS_ptrace,
        SYS_quotactl,
        SYS_reboot,
        SYS_renameat2,
        SYS_request_key,
        SYS_setdomainname,
        SYS_sethostname,
        SYS_setns,
        SYS_swapoff,
        SYS_swapon,
        SYS_syslog,
        SYS_umount2,
        SYS_unshare,
        SYS_userfaultfd,
        SYS_vhangup,
    ];
    #[cfg(target_arch = "x86_64")]
    all.insert("iopl", SYS_iopl);
    all.insert("newer", SYS_mseal + 1);
    json!(all)
}

/// A program that has WORLD.
pub(crate) fn with_world(world: &Value, parts: &[&str]) -> String {
    format!("import json\nWORLD = json.loads(r'''{world}''')\n{}", parts.concat())
}

/// A host with the other task on it, and all that the hostile one must know to try what it tries.
pub(crate) struct Scene {
    host: Host,
    world: Value,
    victim: String,
}

impl Scene {
    pub(crate) fn set(mut host: Host) -> Self {
        let mut world = host.outside();
        // Another user's; everybody could read it, were it to be seen.
        let canary = host.state.join("cache/uid-1/packages/canary");
        fs::create_dir_all(canary.parent().expect("a parent")).expect("made");
        fs::write(&canary, "of another user").expect("written");
        let lent = if installed() { &[][..] } else { &LENT[..] };
        let marker = format!("{}-victim", host.nonce);
        let more = json!({
            "state": host.state,
            "socket": host.socket,
            "clearml_conf": host.configuration(),
            "victim_marker": marker,
            "victim_key": 0x0c1e_0000 + std::process::id(),
            "victim_socket": format!("{}-victim", host.nonce),
            "calls": calls(),
            "lent": lent,
            "other_gpu": OTHER,
        });
        merge(&mut world, more);
        host.worker("victim", &["--cpu-only"]);
        host.worker("hostile", if installed() { &["--cpu-only"] } else { &["--gpus", "0"] });
        let victim = host.submit("victim", &with_world(&world, &[VICTIM]), &[&marker]);
        host.log_shows(&victim, "victim is ready");
        let started = |host: &Host| host.run(&victim).filter(|run| run["stage_pid"].is_u64());
        let run = host.until("the pid of the other program", started);
        let program = &run["stage_pid"];
        let shim = shim_of(run["id"].as_str().expect("an id"));
        merge(&mut world, json!({ "victim_run": run["id"], "pids": [host.daemon_pid(), shim, program] }));
        Self { host, world, victim }
    }

    /// What came of each attempt.
    pub(crate) fn tried(&self) -> BTreeMap<String, String> {
        let task = self.host.submit("hostile", &with_world(&self.world, &PARTS), &[]);
        let run = self.host.settled(&task);
        let log = self.host.log(&task);
        let outcomes = attempts::outcomes(&log);
        assert!(!outcomes.is_empty(), "it tried nothing:\n{log}");
        // It has printed that it failed in a stage, and that it has completed; what it did is end with 7.
        let end = &run["end"];
        assert_eq!((&end["cause"], &end["exit_code"]), (&json!("exit_code"), &json!(7)), "{log}");
        outcomes
    }

    fn nothing_has_happened(&self, daemon: u32) {
        let host = &self.host;
        assert_eq!(host.daemon_pid(), daemon, "{}", host.daemon_log());
        host.ok(&["status"]);
        assert_eq!(host.run(&self.victim).expect("a run")["phase"], "running", "{}", host.log(&self.victim));
        let at = |name: &str| Path::new(self.world[name].as_str().expect("a path")).to_owned();
        assert_eq!(fs::read_to_string(at("open_file")).expect("there"), "as it was\n");
        let readable = fs::metadata(at("readable")).expect("there");
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&readable.permissions()) & 0o777, 0o644);
        for directory in ["/", "/usr", "/etc", "/var/lib", "/run", "/dev", "/sys"].map(Path::new) {
            assert!(!directory.join("clearmld-escaped").exists(), "{}", directory.display());
        }
        assert!(!at("open_directory").join("clearmld-escaped").exists());
        let port = u16::try_from(self.world["port"].as_u64().expect("a port")).expect("a port");
        std::net::TcpStream::connect(("127.0.0.1", port)).expect("the loopback is up");
    }
}

fn merge(world: &mut Value, more: Value) {
    let (Value::Object(world), Value::Object(more)) = (world, more) else { panic!("objects") };
    world.extend(more);
}

/// As the host sees it.
pub(crate) fn shim_of(run: &str) -> u32 {
    let shims =
        fs::read_dir("/proc").expect("/proc").filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_it = |pid: &u32| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.contains("clearmld-shim\0run\0") && line.contains(run)
    };
    shims.into_iter().find(is_it).expect("a shim")
}

#[test]
fn each_attempt_of_a_hostile_task_fails_as_it_must() {
    let scene = Scene::set(Host::new());
    let daemon = scene.host.daemon_pid();
    let outcomes = scene.tried();
    attempts::print(&outcomes);
    assert_eq!(attempts::differences(&outcomes), Vec::<String>::new());
    scene.nothing_has_happened(daemon);
}
