//! uv and pip against the real index.

use std::path::PathBuf;
use std::sync::OnceLock;

use clearmld::domain::handover::*;
use clearmld::host::uv::Uv;

use crate::world::{World, file, lines, said, script, write};

/// Installed as the daemon does it, once for all tests and kept beside the build.
fn uv() -> Installer {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let path = PATH.get_or_init(|| {
        let state = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("state");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let uv = Uv::new(state, std::env::var_os("PATH").unwrap_or_default());
        runtime.block_on(uv.provide()).expect("uv: needs python3 with pip or venv, and PyPI")
    });
    Installer::Uv { path: path.clone() }
}

fn world(installer: Installer, requirements: &str) -> World {
    let mut world =
        World::new(script("import six\nprint('six is', six.__version__)\n"), lines(requirements), file("train.py"));
    world.spec.environment.installer = installer;
    world.source();
    world
}

fn installs_just_what_is_asked(installer: Installer) {
    let world = world(installer, "# Python 3.11\nsix == 1.16.0\n");
    let plan = world.plan().expect("a plan");
    assert_eq!(world.build(&plan), ["six==1.16.0"]);
    let output = world.program(Some(plan));
    assert!(said(&output).contains("six is 1.16.0"), "{}", said(&output));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn uv_installs_just_what_is_asked() {
    installs_just_what_is_asked(uv());
}

#[test]
fn pip_installs_just_what_is_asked() {
    installs_just_what_is_asked(Installer::Pip);
}

#[test]
fn an_empty_list_makes_a_bare_environment() {
    let world = world(uv(), "");
    let plan = world.plan().expect("a plan");
    assert_eq!(world.build(&plan), Vec::<String>::new());
    assert!(said(&world.program(Some(plan))).contains("No module named 'six'"));
}

#[test]
fn what_cannot_be_installed_is_said_in_the_installers_own_words() {
    for installer in [uv(), Installer::Pip] {
        let world = world(installer, "six==99.99\n");
        let plan = world.plan().expect("a plan");
        let reason = world.failure(Act::Build { plan });
        assert!(reason.contains("could not install the task's packages"), "{reason}");
        assert!(reason.contains("six==99.99"), "{reason}");
    }
}

#[test]
fn requirements_of_the_repository_are_taken_from_its_root_down_to_the_working_directory() {
    let mut world = World::new(script("pass"), Requirements::FromRepository, file("train.py"));
    world.spec.program.working_dir = "a/b".into();
    write(&world.code().join("requirements.txt"), "six==1.16.0 # outer\n");
    write(&world.code().join("a/b/requirements.txt"), "-r more.txt\n");
    write(&world.code().join("a/b/more.txt"), "idna\n");
    write(&world.code().join("a/c/requirements.txt"), "numpy\n");
    assert_eq!(world.plan().expect("a plan").requirements, "six==1.16.0\nidna\n");
}

#[test]
fn the_same_wish_has_the_same_key_and_another_wish_another() {
    let key = |requirements: &str| world(Installer::Pip, requirements).plan().expect("a plan").key;
    assert_eq!(key("six == 1.16.0"), key("# a remark\nsix==1.16.0\n\n"));
    assert_ne!(key("six==1.16.0"), key("six==1.17.0"));
}

#[test]
fn a_python_that_is_not_here_is_replaced_with_a_warning_that_names_both() {
    let mut world = world(Installer::Pip, "");
    world.spec.environment.python = Some("3.1".into());
    let plan = world.plan().expect("the first one that is found");
    assert!(plan.python_version.starts_with("3."));
}

#[test]
fn the_secret_of_an_index_is_in_no_plan() {
    let mut world = world(uv(), "six");
    world.secrets.index_urls = vec!["https://me:hunter2@index.invalid/simple".to_owned().into()];
    let plan = world.plan().expect("a plan");
    assert!(!format!("{plan:?}").contains("hunter2"));
    let reason = world.failure(Act::Build { plan });
    assert!(!reason.contains("hunter2"), "{reason}");
    assert!(reason.contains("check the worker's network"), "{reason}");
}

#[test]
fn who_forbids_indexes_in_pips_configuration_is_obeyed_by_both_installers() {
    for installer in [uv(), Installer::Pip] {
        let world = world(installer, "six==1.16.0\n");
        write(&world.root.path().join("home/.pip/pip.conf"), "[global]\nno-index = true\n");
        let plan = world.plan().expect("a plan");
        let reason = world.failure(Act::Build { plan });
        assert!(reason.contains("six") && !reason.contains("network"), "{reason}");
    }
}

#[test]
fn packages_are_compiled_unless_the_operator_says_otherwise() {
    for installer in [uv(), Installer::Pip] {
        for (flags, compiled) in [(Vec::new(), true), (vec!["--no-compile".to_owned()], false)] {
            let mut world = world(installer.clone(), "six==1.16.0\n");
            world.spec.environment.extra_arguments = flags;
            world.build(&world.plan().expect("a plan"));
            let found = std::fs::read_dir(world.root.path().join("venv/lib")).expect("read").map(Result::unwrap);
            let caches: Vec<_> = found
                .map(|python| python.path().join("site-packages/__pycache__"))
                .flat_map(|path| std::fs::read_dir(path).into_iter().flatten())
                .map(|entry| entry.expect("read").file_name().into_string().expect("text"))
                .filter(|name| name.starts_with("six."))
                .collect();
            assert_eq!(!caches.is_empty(), compiled, "{installer:?}: {caches:?}");
        }
    }
}
