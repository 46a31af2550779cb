use std::fs;

use clearmld::domain::handover::End;
use clearmld::domain::sandbox::Part;
use clearmld::sys::durable;

use super::stand::{Script, Stand, UID};

/// What the program prints, a fact a line.
fn facts(stand: &Stand, program: &str) -> String {
    let (record, output) = stand.program(program).carry_out();
    assert_eq!(record.end, End::Exited { code: 0 }, "{output}");
    output
}

#[test]
fn the_payload_has_no_privileges_and_no_way_to_get_any() {
    let stand = Stand::new();
    let output = facts(
        &stand,
        "grep -E '^(Cap|NoNewPrivs|Uid|Gid|Groups)' /proc/self/status | tr '\\t' ' '; id -un; cat /proc/self/oom_score_adj",
    );
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(output.contains(&format!("{set}: 0000000000000000\n")), "{output}");
    }
    assert!(output.contains("NoNewPrivs: 1\n"), "{output}");
    let ids = format!("Uid: {UID} {UID} {UID} {UID}\nGid: {UID} {UID} {UID} {UID}\n");
    assert!(output.contains(&ids), "{output}");
    assert!(output.lines().any(|line| line.trim_end() == "Groups:"), "{output}");
    assert!(output.contains("clearml-run\n0\n"), "{output}");
}

#[test]
fn the_payload_sees_its_own_processes_only() {
    let stand = Stand::new();
    let output =
        facts(&stand, "cat /proc/1/comm; ls /proc | grep -cE '^[0-9]+$'; ls -l /proc/self/fd | grep -c -- '->'");
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[0], "clearmld-init");
    // init, the shell, and the pipeline of two.
    assert!(lines[1].parse::<u32>().expect("a number") <= 4, "{output}");
    // 0, 1, 2 and the directory that ls reads.
    assert_eq!(lines[2], "4", "{output}");
}

#[test]
fn nothing_of_the_daemon_is_in_the_payloads_environment() {
    let stand = Stand::new();
    let output = facts(&stand, "tr '\\0' '\\n' </proc/$$/environ; echo; tr '\\0' ' ' </proc/$$/cmdline");
    assert!(!output.contains("geheim") && !output.contains("CLEARML"), "{output}");
}

#[test]
fn the_state_directory_and_other_runs_are_not_there() {
    let stand = Stand::new();
    let other = stand.state.path().join("runs/other");
    fs::create_dir_all(&other).expect("made");
    durable::write(&other.join("spool"), "of another".as_bytes(), 0o644).expect("written");
    let state = stand.state.path().display();
    let output = facts(
        &stand,
        &format!(
            "ls -A {state} | wc -l; cat {state}/runs/other/spool; grep -c {state} /proc/self/mountinfo; \
             find / -xdev -name spool 2>/dev/null; cat /etc/shadow; echo over"
        ),
    );
    assert!(output.starts_with("0\n"), "{output}");
    assert!(!output.contains("of another") && !output.contains("root:"), "{output}");
    assert!(output.contains("Permission denied") && output.ends_with("over\n"), "{output}");
}

#[test]
fn the_payload_writes_to_its_own_places_only() {
    let stand = Stand::new();
    let output = facts(
        &stand,
        "for d in /tmp /var/tmp /dev/shm /clearml/code /clearml/home; do touch $d/own && echo wrote $d; done\n\
         for d in / /usr /etc /var /run /dev /sys /clearml /clearml/cache/mirrors /clearml/cache/packages /clearml/tools/0; do\n\
         touch $d/own 2>/dev/null && echo escaped $d; done; ls -A /tmp; echo x >/clearml/stage; true",
    );
    assert_eq!(output.matches("wrote").count(), 5, "{output}");
    assert!(!output.contains("escaped"), "{output}");
    assert!(!std::path::Path::new("/tmp/own").exists() && !std::path::Path::new("/dev/shm/own").exists());
    assert_eq!(output.lines().filter(|line| *line == "own").count(), 1, "{output}");
}

#[test]
fn even_a_world_writable_directory_of_the_host_is_read_only() {
    let stand = Stand::new();
    let open = tempfile::tempdir_in("/var/lib").expect("a directory");
    fs::set_permissions(open.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("set");
    let output = facts(&stand, &format!("touch {}/x; true", open.path().display()));
    assert!(output.contains("Read-only file system"), "{output}");
}

#[test]
fn there_are_few_devices_and_a_terminal_of_ones_own_works() {
    let stand = Stand::new();
    let output = facts(
        &stand,
        "ls /dev | tr '\\n' ' '; echo x >/dev/null && head -c1 /dev/urandom | wc -c; \
        script -qc 'echo in a terminal' /dev/null",
    );
    assert!(output.starts_with("fd full null ptmx pts random shm stderr stdin stdout tty urandom zero "), "{output}");
    assert!(output.contains("in a terminal"), "{output}");
}

#[test]
fn caches_are_there_in_their_stage_only() {
    let stand = Stand::new();
    let touch = "for d in mirrors packages; do touch /clearml/cache/$d/x 2>/dev/null && echo wrote $d; done\n\
                 for d in mirrors packages; do ls /clearml/cache/$d 2>/dev/null | grep -q x && echo sees $d; done";
    let (source, build) = (format!("echo source; {touch}"), format!("echo build; {touch}"));
    let program = format!("echo program; {touch}; true");
    let script = Script { source: &source, plan: Some("0123456789abcdef"), build: &build, program: &program };
    let (record, output) = stand.run("r1", &script).carry_out();
    assert_eq!(record.end, End::Exited { code: 0 }, "{output}");
    assert_eq!(output, "source\nwrote mirrors\nsees mirrors\nbuild\nwrote packages\nsees packages\nprogram\n");
}

#[test]
fn init_which_runs_as_root_cannot_be_looked_into() {
    let stand = Stand::new();
    let output = facts(
        &stand,
        "for f in environ mem maps root/etc cwd fd/0 exe; do cat /proc/1/$f >/dev/null 2>&1 && echo escaped $f; done\n\
         ls /proc/1/root /proc/1/fd && echo escaped; kill -9 1 && echo escaped; sleep 0.1; echo lives",
    );
    assert!(!output.contains("escaped") && output.ends_with("lives\n"), "{output}");
}

#[test]
fn a_user_namespace_of_its_own_uncovers_and_unlocks_nothing_even_where_it_can_be_had() {
    let stand = Stand::new();
    let state = stand.state.path();
    fs::create_dir(state.join("marker")).expect("made");
    let state = state.display();
    let mut run = stand.program(&format!(
            "unshare -Urm sh -c 'id -u; umount {state} && echo escaped; umount -l {state} && echo escaped;\n\
             mount -o remount,bind,rw /usr && echo escaped; mount -o remount,bind,rw /clearml/tools/0 && echo escaped\n\
             mount -t tmpfs x /mnt && umount /mnt; ls {state}; touch /clearml/tools/0/x && echo escaped;\n\
             mkdir /tmp/d; mount --rbind / /tmp/d; ls /tmp/d{state}; umount -R /tmp/d{state}; ls /tmp/d{state}; true'; echo over"
    ));
    // The filter of system calls forbids it; this is what holds without that.
    run.spec.sandbox.relaxed = [Part::Seccomp].into_iter().collect();
    let (record, output) = run.carry_out();
    assert_eq!(record.end, End::Exited { code: 0 }, "{output}");
    assert!(output.contains("0\n") && output.ends_with("over\n"), "{output}");
    assert!(!output.contains("escaped") && !output.contains("marker"), "{output}");
}
