use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::*;

fn choices() -> ScriptChoices {
    ScriptChoices {
        installer: Installer::Pip,
        extra_index_urls: Vec::new(),
        extra_arguments: Vec::new(),
        system_site_packages: false,
        python_search: Vec::new(),
        force_repo_requirements_txt: false,
        force_original_requirements: false,
        ignore_requested_python_version: false,
        default_python: None,
    }
}

fn literal(entry: Option<&str>) -> TaskScript {
    TaskScript { diff: Some("print(1)\n".into()), entry_point: entry.map(str::to_owned), ..TaskScript::default() }
}

fn in_repository(entry: &str, working_dir: &str) -> TaskScript {
    TaskScript {
        repository: Some("https://example.org/a.git".into()),
        entry_point: Some(entry.into()),
        working_dir: Some(working_dir.into()),
        ..TaskScript::default()
    }
}

fn plan(script: &TaskScript) -> ScriptPlan {
    read(script, &choices()).expect("a plan")
}

fn refusal(script: &TaskScript) -> ScriptError {
    read(script, &choices()).expect_err("refused")
}

#[test]
fn a_literal_script_becomes_a_file_named_by_its_entry_point() {
    for (entry, file, arguments) in [
        (None, "untitled.py", &[][..]),
        (Some("train.py"), "train.py", &[]),
        (Some("train.py --lr 0.1"), "train.py", &["--lr", "0.1"]),
        (Some("my train.py"), "my train.py", &[]),
        (Some("a/train.py"), "a/train.py", &[]),
    ] {
        let plan = plan(&literal(entry));
        assert_eq!(plan.source.overlay, Overlay::Script { file: file.into(), text: "print(1)\n".into() });
        assert_eq!(plan.program.entry, Entry::PythonFile { file: file.into() });
        assert_eq!(plan.program.arguments, arguments);
    }
}

#[test]
fn without_a_repository_the_working_directory_means_nothing() {
    let script = TaskScript { working_dir: Some("/home/me/project".into()), ..literal(Some("train.py")) };
    assert_eq!(plan(&script).program.working_dir, PathBuf::new());
}

#[test]
fn a_diff_is_told_from_a_program() {
    assert!(!is_literal("diff --git a/x b/x\n"));
    assert!(!is_literal("\nDIFF --git a/x b/x\n"));
    assert!(!is_literal("Submodule s 1..2:\ndiff --git a/s/x b/s/x\n"));
    assert!(is_literal("Submodule = 1\nprint(Submodule)\n"));
    assert!(is_literal("differ = 1\n"));
    let script = TaskScript { diff: Some("diff --git a/x b/x\n".into()), ..in_repository("x.py", ".") };
    assert!(matches!(plan(&script).source.overlay, Overlay::Diff { .. }));
    let script = TaskScript { repository: None, ..script };
    assert_eq!(refusal(&script), ScriptError::DiffWithoutRepository);
}

#[test]
fn modules_and_code_are_entry_points_too() {
    let plan_of = |entry: &str, binary: &str| {
        plan(&TaskScript { binary: Some(binary.into()), ..in_repository(entry, "src") }).program
    };
    let program = plan_of("-m torch.distributed.run --nproc 2 'my train.py'", "python3.10");
    assert_eq!(program.entry, Entry::PythonModule { module: "torch.distributed.run".into() });
    assert_eq!(program.arguments, ["--nproc", "2", "my train.py"]);
    assert_eq!(plan_of("-c 'import a; a.b()'", "python").entry, Entry::PythonCode { code: "import a; a.b()".into() });
    assert_eq!(
        plan_of("-c 'make run' x", "/bin/bash").entry,
        Entry::OtherCode { command: vec!["bash".into(), "-c".into()], code: "make run".into() }
    );
    assert_eq!(
        plan_of("run.sh 1", "/bin/bash").entry,
        Entry::Other { command: vec!["bash".into()], file: "run.sh".into() }
    );
}

#[test]
fn a_script_beside_a_module_is_named_by_the_working_directory() {
    let script = TaskScript { diff: Some("print(1)".into()), ..in_repository("-m pkg.tool", "src:pkg/tool.py") };
    let plan = plan(&script);
    assert_eq!(plan.program.working_dir, PathBuf::from("src"));
    assert_eq!(plan.source.overlay, Overlay::Script { file: "src/pkg/tool.py".into(), text: "print(1)".into() });
}

#[test]
fn an_entry_point_may_carry_the_working_directory() {
    let script = TaskScript { working_dir: None, ..in_repository("train.py:src", "") };
    let program = plan(&script).program;
    assert_eq!((program.entry, program.working_dir), (Entry::PythonFile { file: "train.py".into() }, "src".into()));
}

#[test]
fn the_binary_names_the_python_version() {
    for (binary, version) in [
        ("/usr/bin/python3.10", Some("3.10")),
        ("python3.11.4", Some("3.11.4")),
        ("python3", None),
        ("/opt/conda/bin/python", None),
        ("python3.", None),
        ("python3.99999999", None),
        ("ruby2.7", None),
    ] {
        let script = TaskScript { binary: Some(binary.into()), ..literal(None) };
        assert_eq!(plan(&script).environment.python.as_deref(), version, "{binary}");
    }
    let script = TaskScript { binary: Some("python3.10".into()), ..literal(None) };
    let ours =
        ScriptChoices { ignore_requested_python_version: true, default_python: Some("3.12".into()), ..choices() };
    assert_eq!(read(&script, &ours).expect("a plan").environment.python.as_deref(), Some("3.12"));
}

#[test]
fn no_requirements_and_empty_requirements_differ() {
    let of = |script: &TaskScript| plan(script).environment.requirements;
    let repo = in_repository("a.py", ".");
    let with = |text: &str| Some(text.to_owned());
    assert_eq!(of(&repo), Requirements::FromRepository);
    assert_eq!(
        of(&TaskScript { pip_requirements: with(""), ..repo.clone() }),
        Requirements::Lines { text: String::new() }
    );
    assert_eq!(of(&literal(None)), Requirements::Lines { text: String::new() });
    assert_eq!(of(&TaskScript { binary: with("/bin/sh"), ..literal(Some("a.sh")) }), Requirements::Nothing);
    let asked = TaskScript { pip_requirements: with("six"), original_pip_requirements: with("six>1"), ..repo };
    let forced = |original, repository| {
        let ours = ScriptChoices {
            force_original_requirements: original,
            force_repo_requirements_txt: repository,
            ..choices()
        };
        read(&asked, &ours).expect("a plan").environment.requirements
    };
    assert_eq!(forced(false, false), Requirements::Lines { text: "six".into() });
    assert_eq!(forced(true, false), Requirements::Lines { text: "six>1".into() });
    assert_eq!(forced(false, true), Requirements::FromRepository);
}

#[test]
fn what_cannot_be_run_is_said_with_a_next_step() {
    assert_eq!(refusal(&TaskScript::default()), ScriptError::NoScript);
    assert_eq!(refusal(&TaskScript { entry_point: None, ..in_repository("", ".") }), ScriptError::NoEntryPoint);
    assert!(matches!(refusal(&in_repository("a.ipynb", ".")), ScriptError::Notebook { .. }));
    assert!(matches!(refusal(&in_repository("'a.py", ".")), ScriptError::Unreadable { .. }));
    assert!(refusal(&TaskScript::default()).to_string().contains("clearmlctl submit"));
}

#[test]
fn hostile_fields_are_refused() {
    for url in [
        "--upload-pack=touch /tmp/x",
        "ext::sh -c touch% /tmp/x",
        "ext::sh",
        "fd::17",
        "ssh://-oProxyCommand=x/y",
        "ssh://-oProxyCommand=x@h/y",
        "-oProxyCommand=x:y",
        "git@-oProxyCommand=x:y",
        "https://h/a\0b",
        "https://h/a\nb",
        "relative/path",
        "https:///x",
    ] {
        let script = TaskScript { repository: Some(url.into()), ..in_repository("a.py", ".") };
        assert!(matches!(refusal(&script), ScriptError::Refused { field: "repository", .. }), "{url}");
    }
    for revision in ["--all", "-x", "a..b", "a b", "a\0", "main:x", "HEAD@{1}"] {
        let script = TaskScript { branch: Some(revision.into()), ..in_repository("a.py", ".") };
        assert!(matches!(refusal(&script), ScriptError::Refused { field: "branch", .. }), "{revision}");
    }
    for (entry, directory) in [
        ("../a.py", "."),
        ("/etc/passwd", "."),
        ("a.py", ".."),
        ("a.py", "/root"),
        ("a.py", "x/../../y"),
        ("~/a.py", "."),
        ("a\0.py", "."),
        ("-x.py", "."),
        ("..", "a"),
        ("-m ''", ".."),
        ("-m -c", "."),
    ] {
        let error = refusal(&in_repository(entry, directory));
        assert!(matches!(error, ScriptError::Refused { .. }), "{entry} {directory}: {error}");
    }
    assert!(matches!(plan(&in_repository("../a.py", "src")).program.entry, Entry::PythonFile { .. }));
}

#[test]
fn a_password_in_the_address_is_taken_out_of_it() {
    let of = |url: &str| {
        let plan = plan(&TaskScript { repository: Some(url.into()), ..in_repository("a.py", ".") });
        (plan.source.repository.expect("one").url, plan.git)
    };
    let (url, git) = of("https://me:s%40cret@example.org:8443/a.git");
    assert_eq!(url, "https://example.org:8443/a.git");
    assert_eq!((git[0].host.as_deref(), git[0].user.as_str()), (Some("example.org"), "me"));
    assert_eq!(git[0].password.expose_secret(), "s@cret");
    let (url, git) = of("https://ghp_0123456789012345678901@github.com/a.git");
    assert_eq!((url.as_str(), git.len()), ("https://github.com/a.git", 1));
    let (url, git) = of("https://me@bitbucket.org/a.git");
    assert_eq!((url.as_str(), git.len()), ("https://bitbucket.org/a.git", 0));
    assert_eq!(of("git@github.com:a/b.git").0, "git@github.com:a/b.git");
    assert_eq!(of("ssh://git:pw@h:22/b.git").0, "ssh://git@h:22/b.git");
    let script = TaskScript { repository: Some("https://me:hunter2@h/a b".into()), ..in_repository("a.py", ".") };
    assert!(!refusal(&script).to_string().contains("hunter2"));
}

proptest! {
    #[test]
    fn whatever_a_task_says_no_path_leaves_the_code_directory(
        entry in "[a-c./\\- :~]{0,12}", directory in "[a-c./\\- :~]{0,12}", repository: bool,
    ) {
        let mut script = in_repository(&entry, &directory);
        script.diff = Some("print(1)".into());
        if !repository {
            script.repository = None;
        }
        if let Ok(plan) = read(&script, &choices()) {
            let mut paths = vec![plan.program.working_dir.clone()];
            if let Overlay::Script { file, .. } = &plan.source.overlay {
                paths.push(file.clone());
            }
            if let Entry::PythonFile { file } = &plan.program.entry {
                paths.push(path::resolve(&plan.program.working_dir.join(file)));
            }
            for path in paths {
                prop_assert!(path.is_relative());
                prop_assert!(!path.starts_with(".."), "{}", path.display());
            }
        }
    }

    #[test]
    fn no_accepted_address_or_revision_is_an_option(url in "\\PC{0,30}", branch in "\\PC{0,12}") {
        let script = TaskScript {
            repository: Some(url), branch: Some(branch), ..in_repository("a.py", ".")
        };
        if let Ok(plan) = read(&script, &choices()) {
            let repository = plan.source.repository.expect("one");
            let transport = repository.url.split("://").next().unwrap_or_default();
            prop_assert!(!repository.url.starts_with('-') && !transport.contains("::"));
            prop_assert!(repository.branch.is_none_or(|branch| !branch.starts_with('-')));
        }
    }
}
