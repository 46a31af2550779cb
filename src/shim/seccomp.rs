//! Which system calls a payload has.
//!
//! A list of what is denied, over a closed range: each number up to [`NEWEST`] is either named below or has been looked
//! at and left; later ones do not exist for a payload. So it is as tight as a list of what is allowed, and yet cannot
//! break a program that uses an old call which nobody thought of. ML programs use more than servers do: NUMA policies,
//! memory of their neighbours (MPI's CMA), pinned and shared memory, drivers' ioctls, debuggers.
//!
//! | what | answer | why |
//! |---|---|---|
//! | mounts, namespaces | EPERM | the way to nearly every local privilege escalation of the last years begins in a user namespace |
//! | modules, kexec, bpf, swap, the kernel log, accounting, quota | EPERM | they administer a host |
//! | keyrings | EPERM | not separated by namespaces: those of the payload's user are all Runs' |
//! | userfaultfd, perf_event_open, LDT and I/O ports, file handles, fanotify | EPERM | much attack surface, or a way around the sandbox |
//! | io_uring | EPERM | as Docker: the richest source of kernel holes, and it works past a filter like this one. Programs take EPERM for `kernel.io_uring_disabled` and do without |
//! | clone3 | ENOSYS | its flags are in memory, where a filter cannot look; C libraries fall back to clone |
//! | numbers after [`NEWEST`], x32 | ENOSYS | what nobody has looked at; programs fall back as on an older kernel |
//! | calls of another architecture (32-bit programs) | SIGSYS | they end in any case, and an error code would end them less plainly |
//!
//! ptrace and process_vm_readv stay: they reach no further than the Run's own pid namespace.
//!
//! A Worker's definition can relax io_uring, perf_event_open, namespaces with mounts in them, or all of it ([`Part`]).

use std::collections::BTreeMap;
use std::io;

use nix::libc;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

use crate::domain::sandbox::{Part, Relaxed};
use crate::sys::seccomp::install;

/// The last system call that has been looked at (mseal, Linux 6.10).
const NEWEST: libc::c_long = libc::SYS_mseal;

/// Mounts and namespaces; unshare and clone by their flags.
const APART: [libc::c_long; 11] = [
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_setns,
];

const DENIED: [libc::c_long; 18] = [
    // The host's administration.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_bpf,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_quotactl,
    // Keyrings.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Attack surface.
    libc::SYS_userfaultfd,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
];

#[cfg(target_arch = "x86_64")]
const DENIED_HERE: [libc::c_long; 5] =
    [libc::SYS_quotactl_fd, libc::SYS_modify_ldt, libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_uselib];
#[cfg(not(target_arch = "x86_64"))]
const DENIED_HERE: [libc::c_long; 1] = [libc::SYS_quotactl_fd];

const PERF: [libc::c_long; 1] = [libc::SYS_perf_event_open];
const IO_URING: [libc::c_long; 3] = [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register];

/// Each makes a namespace. (CLONE_NEWTIME shares its bit with clone's exit signal: unshare alone takes it.)
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];
const NEW_TIME: libc::c_int = 0x80;

/// The programs for the kernel; every one of them is asked, and the strictest answer holds.
#[derive(Debug)]
pub(super) struct Filter(Vec<BpfProgram>);

impl Filter {
    /// Made before the payload is forked, so that a defect here is a launch that failed, with its reason.
    ///
    /// # Errors
    /// On an architecture that nobody has made a filter for.
    pub(super) fn make(relaxed: &Relaxed) -> io::Result<Self> {
        if relaxed.has(Part::Seccomp) {
            return Ok(Self(Vec::new()));
        }
        let program = denied(relaxed).map_err(|error| io::Error::other(format!("no system call filter: {error}")))?;
        Ok(Self(vec![program, unknown().to_vec()]))
    }

    /// For this process and whatever it starts. Wants no_new_privs.
    ///
    /// # Errors
    /// When the kernel has no seccomp.
    pub(super) fn install(&self) -> io::Result<()> {
        self.0.iter().try_for_each(|program| install(program))
    }
}

fn denied(relaxed: &Relaxed) -> Result<BpfProgram, BackendError> {
    let unless = |part, numbers: &'static [libc::c_long]| if relaxed.has(part) { &[][..] } else { numbers };
    let further =
        [unless(Part::IoUring, &IO_URING), unless(Part::PerfEvents, &PERF), unless(Part::UserNamespaces, &APART)];
    let numbers = DENIED.iter().chain(&DENIED_HERE).chain(further.into_iter().flatten());
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = numbers.map(|number| (*number, Vec::new())).collect();
    if !relaxed.has(Part::UserNamespaces) {
        rules.insert(libc::SYS_clone, NAMESPACES.iter().map(flag).collect::<Result<_, _>>()?);
        rules.insert(libc::SYS_unshare, NAMESPACES.iter().chain([&NEW_TIME]).map(flag).collect::<Result<_, _>>()?);
    }
    rules.insert(libc::SYS_socket, UNCONTAINED.iter().map(family).collect::<Result<_, _>>()?);
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    // It ends who calls in another architecture.
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, architecture)?.try_into()
}

/// Families of sockets that no namespace holds: vsock leads to the hypervisor and what it serves, AF_ALG into the kernel.
const UNCONTAINED: [libc::c_int; 2] = [libc::AF_VSOCK, libc::AF_ALG];

/// True when the first argument is this.
fn family(family: &libc::c_int) -> Result<SeccompRule, BackendError> {
    let family = u64::from(family.unsigned_abs());
    SeccompRule::new(vec![SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, family)?])
}

/// True when the first argument has this flag.
fn flag(flag: &libc::c_int) -> Result<SeccompRule, BackendError> {
    let flag = u64::from(flag.unsigned_abs());
    let condition = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(flag), flag)?;
    SeccompRule::new(vec![condition])
}

/// What seccompiler cannot say: a range. Numbers of x32 are above it, too.
fn unknown() -> [sock_filter; 6] {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const GREATER: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
    const ANSWER: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let line = |code, k, jt, jf| sock_filter { code, jt, jf, k };
    let no_such_call = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();
    [
        // The number is the first field of what a filter sees.
        line(LOAD, 0, 0, 0),
        // A debugger that skips a call makes its number -1, and sets the answer itself.
        line(EQUAL, u32::MAX, 2, 0),
        line(EQUAL, libc::SYS_clone3 as u32, 2, 0),
        line(GREATER, NEWEST as u32, 1, 0),
        line(ANSWER, libc::SECCOMP_RET_ALLOW, 0, 0),
        line(ANSWER, no_such_call, 0, 0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_fits_into_the_kernel_with_room_to_spare_and_off_is_none() {
        let sizes = |parts: &[Part]| {
            let relaxed = parts.iter().copied().collect();
            Filter::make(&relaxed).expect("made").0.iter().map(Vec::len).collect::<Vec<_>>()
        };
        let default = sizes(&[]);
        assert!(default.len() == 2 && default.iter().all(|size| *size < 1000), "{default:?}");
        for part in [Part::IoUring, Part::PerfEvents, Part::UserNamespaces] {
            assert!(sizes(&[part])[0] < default[0], "{part}");
        }
        assert!(sizes(&[Part::Seccomp]).is_empty());
    }

    #[test]
    fn nothing_is_denied_twice_or_beyond_the_range() {
        let mut all: Vec<_> = DENIED.iter().chain(&APART).chain(&DENIED_HERE).chain(&IO_URING).chain(&PERF).collect();
        assert!(all.iter().all(|number| (0..=NEWEST).contains(*number)));
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
