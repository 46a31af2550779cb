//! seccomp(2) with flags; seccompiler, which makes the programs, installs them without.
#![expect(unsafe_code, reason = "seccomp(2) with SECCOMP_FILTER_FLAG_SPEC_ALLOW has no safe wrapper")]

use std::io;

use seccompiler::sock_filter;

#[repr(C)]
struct Program {
    count: libc::c_ushort,
    instructions: *const sock_filter,
}

/// Puts a filter on this thread, and on whatever it starts or execs, for good. Wants no_new_privs.
///
/// Linux before 5.16 slows down every filtered process (Spectre mitigations meant for sandboxed interpreters), unless
/// it is asked not to. A payload runs machine code of its own choice in processes of its own: there is nobody in them to
/// protect from it.
///
/// # Errors
/// When the kernel has no seccomp, or finds the program wrong.
pub fn install(program: &[sock_filter]) -> io::Result<()> {
    let count = libc::c_ushort::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let argument = Program { count, instructions: program.as_ptr() };
    // SAFETY: `argument` is a `struct sock_fprog` that names `program`, both live until the call returns, and the kernel
    // only reads them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
            &raw const argument,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
