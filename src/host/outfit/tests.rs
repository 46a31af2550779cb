use secrecy::ExposeSecret;

use super::*;
use crate::domain::ids::{QueueId, RunId, TaskId, UnixMillis, WorkerName};
use crate::domain::task::{TaskScript, TaskStatus};
use crate::domain::worker::QueueRef;

fn outfits() -> Outfits {
    Outfits {
        root: "/state".into(),
        users: UserPolicy { default: "nobody".into(), fallback_uid: 64_000 },
        isolation: Isolation::Namespaces,
        hidden: vec!["/etc/clearmld".into()],
        grace_ms: 10_000,
        disk_reserve: None,
        spool_budget: 1 << 30,
        journal: None,
        server: ServerAddresses {
            api: "http://a:8008".into(),
            web: "http://a:8080".into(),
            files: "http://a:8081".into(),
        },
        unverified: false,
        choices: ScriptChoices {
            installer: Installer::Pip,
            extra_index_urls: Vec::new(),
            extra_arguments: Vec::new(),
            system_site_packages: false,
            python_search: Vec::new(),
            force_repo_requirements_txt: false,
            force_original_requirements: false,
            ignore_requested_python_version: false,
            default_python: None,
        },
        uv: None,
        git: Vec::new(),
        index_urls: Vec::new(),
        task_environment: true,
        network: BTreeMap::new(),
        variables: BTreeMap::new(),
        sdk_config: SecretString::from("{}"),
    }
}

fn record(gpus: &str) -> RunRecord {
    RunRecord::claim(
        RunId::new("r").expect("an id"),
        WorkerName::new("h:0").expect("a name"),
        QueueRef { id: QueueId::new("q").expect("an id"), name: "q".into() },
        TaskId::new("t").expect("an id"),
        gpus.parse().expect("a claim"),
        UnixMillis(0),
    )
}

fn task(environment: &[(&str, &str)]) -> TaskSnapshot {
    TaskSnapshot {
        id: TaskId::new("t").expect("an id"),
        name: "t".into(),
        status: TaskStatus::Queued,
        last_worker: None,
        script: TaskScript {
            entry_point: Some("x.py".into()),
            diff: Some("print(1)\n".into()),
            pip_requirements: Some(String::new()),
            ..TaskScript::default()
        },
        environment: environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        properties: std::collections::BTreeMap::new(),
        container_image: None,
    }
}

async fn outfit(gpus: &str, environment: &[(&str, &str)]) -> (RunSpec, Secrets) {
    let token = PayloadToken { token: SecretString::from("very-secret") };
    let user = nix::unistd::geteuid().is_root().then_some("nobody");
    outfits().outfit(&record(gpus), user, &task(environment), &token, None).await.expect("a spec")
}

#[tokio::test]
async fn the_environment_holds_what_the_sdk_needs_and_the_token_only_among_the_secrets() {
    let (spec, secrets) = outfit("0,1", &[]).await;
    let variables = &spec.program.variables;
    for name in ["TASK_ID", "API_HOST", "WEB_HOST", "FILES_HOST", "WORKER_ID"] {
        assert_eq!(variables[&format!("CLEARML_{name}")], variables[&format!("TRAINS_{name}")]);
    }
    assert_eq!(variables["CLEARML_LOG_TASK_TO_BACKEND"], "0");
    assert_eq!(variables["CUDA_VISIBLE_DEVICES"], "0,1");
    assert!(!serde_json::to_string(&spec).expect("json").contains("very-secret"));
    assert!(!format!("{secrets:?}").contains("very-secret"));
    assert_eq!(secrets.variables["CLEARML_AUTH_TOKEN"].expose_secret(), "very-secret");
}

#[tokio::test]
async fn a_cpu_worker_shows_no_gpu() {
    let (spec, _) = outfit("none", &[]).await;
    assert_eq!(spec.program.variables["CUDA_VISIBLE_DEVICES"], "");
}

#[tokio::test]
async fn a_task_sets_its_own_variables_but_none_of_ours_and_none_that_run_code_while_its_code_is_fetched() {
    let wicked = [("LD_PRELOAD", "/x"), ("GIT_SSH_COMMAND", "touch x"), ("CLEARML_TASK_ID", "other"), ("A B", "")];
    let (spec, _) = outfit("none", &[&[("SEED", "7")], &wicked[..]].concat()).await;
    assert_eq!(spec.program.variables["SEED"], "7");
    assert_eq!(spec.program.variables["CLEARML_TASK_ID"], "t");
    for name in ["LD_PRELOAD", "GIT_SSH_COMMAND", "A B"] {
        assert!(!spec.program.variables.contains_key(name), "{name}");
    }
}
