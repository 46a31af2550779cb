use super::*;

fn bind(text: &str) -> Result<Bind, String> {
    text.parse().map_err(|error: SandboxError| error.to_string())
}

#[test]
fn a_bind_is_read_only_and_at_its_own_place_unless_it_says_otherwise() {
    for (written, whole) in [
        ("/data", "/data:ro"),
        ("/data:ro", "/data:ro"),
        ("/data:rw", "/data:rw"),
        ("/mnt/nfs/a:/data", "/mnt/nfs/a:/data:ro"),
        ("/mnt/nfs/a:/data:rw", "/mnt/nfs/a:/data:rw"),
        ("/run/munge", "/run/munge:ro"),
    ] {
        assert_eq!(bind(written).map(|bind| bind.to_string()).as_deref(), Ok(whole));
        assert_eq!(bind(whole), bind(written), "what is printed means the same");
    }
}

#[test]
fn a_bind_that_leads_elsewhere_or_lies_on_a_place_of_the_sandbox_is_refused() {
    for (text, reason) in [
        ("data", "no absolute path"),
        ("", "no absolute path"),
        ("/data/../etc", "not written plainly"),
        ("/data/", "not written plainly"),
        ("//data", "not written plainly"),
        ("/data:/x:/y:rw", "too many colons"),
        ("/data\u{1b}[2J", "control character"),
        ("/", "the whole host"),
        ("/:/host:ro", "the whole host"),
        ("/proc/1/root:/host", "no directory to be shown"),
        ("/dev", "no directory to be shown"),
        ("/sys/fs/cgroup:/x:rw", "no directory to be shown"),
        ("/data:/", "/proc"),
        ("/data:/proc/sys", "/proc"),
        ("/data:/dev/shm", "--device"),
        ("/data:/tmp/x", "/tmp"),
        ("/data:/var", "/var/tmp"),
        ("/data:/clearml/code", "where code"),
    ] {
        let error = bind(text).expect_err(text);
        assert!(error.contains(reason), "{text}: {error}");
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }
    let overlapping = ["/a:/data".to_owned(), "/b:/data/x".to_owned()];
    let (field, error) = Sandbox::parse(&overlapping, &[], None, &[]).expect_err("refused");
    assert!(field == "binds" && error.to_string().contains("on top of each other"), "{error}");
}

#[test]
fn a_device_is_a_node_below_dev_and_no_gpu() {
    let device = |text: &str| text.parse::<Device>().map_err(|error| error.to_string());
    assert_eq!(device("/dev/infiniband/uverbs0").map(String::from).as_deref(), Ok("/dev/infiniband/uverbs0"));
    for (text, reason) in [
        ("/dev", "all devices"),
        ("/etc/passwd", "below /dev"),
        ("/dev/../etc/passwd", "not written plainly"),
        ("/dev/nvidia0", "--gpus"),
        ("/dev/nvidia-caps/nvidia-cap3", "--gpus"),
        ("/dev/dri/renderD128", "--gpus"),
        ("/dev/nvhost-gpu", "--gpus"),
        ("/dev/kfd", "--gpus"),
        ("/dev/shm", "every sandbox has"),
    ] {
        assert!(device(text).expect_err(text).contains(reason), "{text}");
    }
}

#[test]
fn only_known_parts_are_relaxed_and_the_others_say_why_not() {
    let parse = |parts: &[&str]| {
        let parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
        Sandbox::parse(&[], &[], None, &parts).map_err(|(field, error)| format!("{field}: {error}"))
    };
    let sandbox = parse(&["io-uring", "seccomp", "io-uring"]).expect("parsed");
    assert_eq!(sandbox.relaxed.to_string(), "seccomp, io-uring");
    assert_eq!(sandbox.to_string(), "relaxed seccomp, io-uring");
    for part in Part::ALL {
        assert_eq!(part.to_string().parse(), Ok(part));
        let text = serde_json::to_string(&part).expect("JSON");
        assert_eq!(text, format!("\"{part}\""), "one spelling everywhere");
    }
    for (part, reason) in [
        ("capabilities", "as good as root"),
        ("uid", "never runs as root"),
        ("hidden", "tokens"),
        ("private-dev", "--device"),
        ("ptrace", "as it is"),
        ("everything", "known are seccomp, io-uring"),
    ] {
        let error = parse(&[part]).expect_err(part);
        assert!(error.starts_with("relax: ") && error.contains(reason), "{error}");
    }
}

#[test]
fn a_sandbox_is_read_back_as_it_was_written_and_none_is_the_usual_one() {
    let texts = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    let sandbox = Sandbox::parse(
        &texts(&["/data", "/scratch:/fast:rw"]),
        &texts(&["/dev/infiniband/uverbs0"]),
        Some("none"),
        &texts(&["perf-events"]),
    )
    .expect("parsed");
    let text = serde_json::to_string(&sandbox).expect("JSON");
    assert_eq!(serde_json::from_str::<Sandbox>(&text).expect("read"), sandbox);
    assert!(serde_json::from_str::<Sandbox>("{}").expect("read").is_usual());
    let escaped = text.replace("/scratch:", "/scratch/../etc:");
    assert!(serde_json::from_str::<Sandbox>(&escaped).is_err(), "a file says no more than a person may");
    assert_eq!(
        sandbox.to_string(),
        "bind /data:ro, bind /scratch:/fast:rw, device /dev/infiniband/uverbs0, network none, relaxed perf-events"
    );
    assert!(Sandbox::parse(&[], &[], Some("bridge"), &[]).is_err());
}
