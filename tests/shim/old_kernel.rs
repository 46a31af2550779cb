//! The fallbacks for older kernels, forced: a filter answers ENOSYS to what such a kernel lacks.

use std::process::Command;

use clearmld::domain::handover::End;

use super::stand::{Stand, the_shim};

/// Starts its arguments where mount_setattr (5.12) and close_range (5.9) do not exist.
const WITHOUT: &str = "
import ctypes, os, struct, sys
rules = [(0x20, 0, 0, 0)]                      # load the number of the system call
for number in (442, 436):
    rules += [(0x15, 0, 1, number), (0x06, 0, 0, 0x00050000 | 38)]   # equal: ENOSYS
rules += [(0x06, 0, 0, 0x7fff0000)]            # allow
code = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *rule) for rule in rules))
class Program(ctypes.Structure):
    _fields_ = [('count', ctypes.c_ushort), ('code', ctypes.c_void_p)]
program = Program(len(rules), ctypes.addressof(code))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(22, 2, ctypes.byref(program), 0, 0):
    sys.exit('no seccomp: ' + os.strerror(ctypes.get_errno()))
os.execv(sys.argv[1], sys.argv[1:])
";

#[test]
fn without_mount_setattr_and_close_range_the_host_is_as_read_only_and_no_descriptor_leaks() {
    let stand = Stand::new();
    let open = tempfile::tempdir_in("/var/lib").expect("a directory");
    std::fs::set_permissions(open.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("set");
    let run = stand.program(&format!(
        "touch {}/x; touch /clearml/tools/0/x; touch /tmp/x && echo wrote; ls -l /proc/self/fd | grep -c -- '->'\n\
         grep ' /usr ' /proc/self/mountinfo; exit 3",
        open.path().display()
    ));
    run.write_orders();
    let mut command = Command::new("python3");
    command.arg("-c").arg(WITHOUT).arg(the_shim());
    let mut shim = run.start_with(command);
    let record = shim.record();
    let output = shim.output();
    assert_eq!(record.end, End::Exited { code: 3 }, "{output}");
    assert_eq!(output.matches("Read-only file system").count(), 2, "{output}");
    assert!(output.contains("wrote\n4\n"), "{output}");
    assert!(output.lines().any(|line| line.contains(" /usr ro,nosuid,nodev")), "{output}");
}
