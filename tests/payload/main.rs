//! The stages as the shim starts them, as the current user, with real git, uv, pip and PyPI.

mod packages;
mod repositories;
mod world;

use clearmld::domain::handover::*;
use clearmld::payload::exec_program;
use world::{World, file, lines, said, script};

#[test]
#[ignore = "started by other tests: this process becomes the program"]
fn becomes_the_program() {
    let path = std::env::var(world::ORDER).expect("an order");
    let order = std::fs::read(path).expect("read");
    let report = exec_program(&serde_json::from_slice(&order).expect("an order"));
    println!("{}", serde_json::to_string(&report).expect("json"));
}

#[test]
fn a_literal_script_runs_in_a_bare_environment_of_its_own() {
    let text = "import os, sys\nprint(sorted(os.environ))\nprint(sys.prefix, sys.argv, os.getcwd())\n\
                print(os.environ['CLEARML_TASK_ID'], os.environ['HOME'], os.environ['PYTHONPATH'])\nsys.exit(3)\n";
    let mut world = World::new(script(text), lines(""), file("train.py"));
    world.spec.program.arguments = vec!["--lr".into(), "0.1 x".into()];
    assert_eq!(world.source(), None);
    let plan = world.plan().expect("a plan");
    assert_eq!(world.build(&plan), Vec::<String>::new());
    let output = world.program(Some(plan));
    let said = said(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    let root = world.root.path().display();
    assert!(said.contains(&format!("{root}/venv ['train.py', '--lr', '0.1 x'] {root}/code")), "{said}");
    assert!(said.contains(&format!("task1 {root}/home {root}/code")), "{said}");
    assert!(!said.contains("LEAK") && !said.contains(world::ORDER), "{said}");
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let mut world = World::new(script("pass"), lines(""), file("other.py"));
    world.source();
    let plan = world.plan().expect("a plan");
    let output = said(&world.program(Some(plan.clone())));
    assert!(output.contains("there is no file `other.py`"), "{output}");
    world.spec.program.working_dir = "nowhere".into();
    let output = said(&world.program(Some(plan)));
    assert!(output.contains("the working directory `nowhere` cannot be entered"), "{output}");
}

#[test]
fn a_shell_script_needs_no_python() {
    let entry = Entry::Other { command: vec!["sh".into()], file: "run.sh".into() };
    let source = SourceSpec {
        repository: None,
        overlay: Overlay::Script { file: "run.sh".into(), text: "echo $0 $1 $VIRTUAL_ENV; kill -9 $$".into() },
    };
    let mut world = World::new(source, Requirements::Nothing, entry);
    world.spec.program.arguments = vec!["one".into()];
    world.source();
    assert_eq!(world.plan(), None);
    let output = said(&world.program(None));
    assert!(output.contains("run.sh one\n"), "{output}");
}
