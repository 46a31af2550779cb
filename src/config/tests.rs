use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::*;
use crate::domain::hours::KeptHours;

mod credential;
mod hours;
mod tables;

/// A directory with the files of a host, and its environment.
struct Place {
    directory: tempfile::TempDir,
    variables: Vec<(String, String)>,
    is_root: bool,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("etc")).unwrap();
        let home = directory.path().to_string_lossy().into_owned();
        Self { directory, variables: vec![("HOME".to_owned(), home)], is_root: false }
    }

    #[expect(clippy::disallowed_methods, reason = "a scratch file of a test")]
    fn file(self, name: &str, text: &str) -> Self {
        let path = self.directory.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    fn load_with(&self, flags: &Flags) -> Result<Config, ConfigErrors> {
        let host = Host { is_root: self.is_root, etc: self.directory.path().join("etc"), name: "this-host".to_owned() };
        load_on(&host, flags, &self.variables.iter().cloned().collect())
    }

    fn load(&self) -> Result<Config, ConfigErrors> {
        self.load_with(&Flags::default())
    }

    /// With the directory's own name taken out.
    fn errors(&self) -> String {
        self.load().unwrap_err().to_string().replace(&format!("{}/", self.directory.path().display()), "")
    }
}

const PAIR: &str = "credentials { access_key: AK, secret_key: \"hunter2\" }";

#[test]
fn nothing_configured_is_no_error_and_no_server() {
    let config = Place::new().load().unwrap();
    assert!(config.server.is_none());
    assert_eq!(config.worker_name(), "this-host");
    assert_eq!(config.own.stop_grace.as_secs(), 10);
    assert_eq!(config.own.spool_budget, 1 << 30);
}

#[test]
fn an_nvml_that_is_not_the_systems_is_named_by_its_whole_path() {
    let place = Place::new().file("etc/clearmld.toml", "nvml_library = \"/opt/nvml.so\"\n");
    assert_eq!(place.load().unwrap().own.nvml_library.as_deref(), Some(Path::new("/opt/nvml.so")));
    let place = place.variable("CLEARMLD_NVML_LIBRARY", "nvml.so");
    assert!(place.errors().contains("CLEARMLD_NVML_LIBRARY: it is no absolute path"), "{}", place.errors());
}

#[test]
fn a_clearml_conf_as_clearml_init_writes_it_configures_a_server() {
    let place = Place::new().file("clearml.conf", include_str!("../../tests/config/clearml.conf"));
    let config = place.load().unwrap();
    let server = config.server.as_ref().unwrap();
    assert_eq!(server.api.value, "https://api.clearml.example.org");
    assert_eq!(server.web.as_ref().unwrap().value, "https://app.clearml.example.org:443");
    assert_eq!(server.files.as_ref().unwrap().value, "http://10.1.2.3:8081");
    let Credentials::KeyPair { access_key, secret_key } = &server.credentials else { panic!("no key pair") };
    assert_eq!(access_key.value, "EXAMPLEKEY0123456789");
    assert_eq!(secret_key.value.expose_secret(), "example/secret+key=with#signs");
    assert_eq!(config.agent.git[0].host.as_deref(), Some("git.example.org"));
    assert_eq!(config.agent.packages.extra_index_urls[0].expose_secret(), "https://user:pass@pypi.example.org/simple");
}

#[test]
fn web_and_files_servers_are_guessed_from_name_or_port() {
    for (api, web, files) in [
        ("https://api.clear.ml", "https://app.clear.ml", "https://files.clear.ml"),
        ("http://10.0.0.1:8008", "http://10.0.0.1:8080", "http://10.0.0.1:8081"),
        ("http://[::1]:8008/", "http://[::1]:8080", "http://[::1]:8081"),
    ] {
        let place = Place::new().file("clearml.conf", &format!("api {{ api_server: \"{api}\", {PAIR} }}"));
        let server = place.load().unwrap().server.unwrap();
        assert_eq!((server.web.unwrap().value.as_str(), server.files.unwrap().value.as_str()), (web, files));
    }
}

#[test]
fn all_errors_are_told_at_once_each_with_its_place_and_without_secrets() {
    let place = Place::new()
        .file(
            "clearml.conf",
            "api {\n  api_server: ftp://host\n  credentials { secret_key: hunter2 }\n}\nagent {\n  git_pass: hunter3\n  \
             enable_task_env: maybe\n}\n",
        )
        .file("clearmld.toml", "stop_grace_seconds = -1\ngrace = 5\n")
        .variable("CLEARML_WEB_HOST", "app.example.org");
    let errors = place.errors();
    for expected in [
        "clearml.conf:2: api.api_server: its scheme is neither",
        "CLEARML_WEB_HOST: it is no URL",
        "clearml.conf:3: api.credentials.secret_key: its access key is missing",
        "clearml.conf:6: agent.git_pass: its user is missing",
        "clearml.conf:7: agent.enable_task_env: it is neither true nor false",
        "clearmld.toml:2: grace: there is no such setting",
    ] {
        assert!(errors.lines().any(|line| line.starts_with(expected)), "{expected}\n--\n{errors}");
    }
    assert!(!errors.contains("hunter"), "{errors}");
}

#[test]
fn a_setting_of_clearmld_out_of_range_names_its_line() {
    let place = Place::new().file("etc/clearmld.toml", "# ours\nstop_grace_seconds = -1\nrun_as = \"root\"\n");
    let errors = place.errors();
    assert!(errors.contains("etc/clearmld.toml:2: clearmld.stop_grace_seconds: write seconds"), "{errors}");
    assert!(errors.contains("etc/clearmld.toml:3: clearmld.run_as: a payload never runs as root"), "{errors}");
}

#[test]
fn keys_without_a_server_are_an_error_and_a_server_without_keys_is_not_configured_yet() {
    let only_keys = Place::new().file("clearml.conf", &format!("api {{ {PAIR} }}")).errors();
    assert!(only_keys.starts_with("clearml.conf:1: api.api_server: there is no API server"), "{only_keys}");
    let only_server = Place::new().variable("CLEARML_API_HOST", "http://h:8008").load().unwrap();
    assert!(only_server.server.is_none());
    let said = only_server.unconfigured.unwrap();
    assert!(said.starts_with("there are no credentials for http://h:8008 (CLEARML_API_HOST)"), "{said}");
    assert!(said.contains("`clearmlctl init`"), "{said}");
}

// === The systemd credential ===

#[test]
fn a_broken_file_is_one_error_and_not_a_missing_server_too() {
    let place = Place::new()
        .file("clearml.conf", "api { api_server: http://h:8008\n secret_key: hunter2@x }")
        .variable("CLEARML_AUTH_TOKEN", "t");
    let errors = place.errors();
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(errors.starts_with("clearml.conf:2:21: '@'"), "{errors}");
}

#[test]
fn a_variable_wins_over_an_override_and_an_override_over_the_file() {
    let place = Place::new()
        .file("clearml.conf", "agent { worker_name: file, worker_id: file, default_python: file }")
        .variable("CLEARML_AGENT__AGENT__WORKER_NAME", "override")
        .variable("CLEARML_AGENT__AGENT__WORKER_ID", "override")
        .variable("TRAINS_WORKER_ID", "twin");
    let agent = place.load().unwrap().agent;
    let name = agent.worker_name.unwrap();
    assert_eq!(name.value, "override");
    assert_eq!(name.origin, Origin::Variable("CLEARML_AGENT__AGENT__WORKER_NAME".to_owned()));
    assert_eq!(agent.worker_id.unwrap().value, "twin");
    assert_eq!(agent.default_python.as_deref(), Some("file"));
}

#[test]
fn a_named_file_must_exist_and_is_the_only_one_read() {
    let place = Place::new().file("clearml.conf", "agent.worker_name: home").file("other.conf", "agent.worker_name: o");
    let flags = Flags { config: Some(place.directory.path().join("other.conf")), ..Flags::default() };
    assert_eq!(place.load_with(&flags).unwrap().worker_name(), "o");
    let place = place.variable("CLEARML_CONFIG_FILE", "/nowhere/clearml.conf");
    assert!(place.errors().starts_with("CLEARML_CONFIG_FILE: `/nowhere/clearml.conf` is no readable file"));
}

#[test]
fn the_host_s_file_wins_over_that_of_the_home() {
    let place =
        Place::new().file("clearml.conf", "agent.worker_name: home").file("etc/clearml.conf", "agent.worker_name: e");
    assert_eq!(place.load().unwrap().worker_name(), "e");
}

#[test]
fn places_are_those_of_flag_then_systemd_then_user() {
    let mut place = Place::new().variable("XDG_RUNTIME_DIR", "/run/user/7");
    let home = place.directory.path().join(".local/state/clearmld");
    let config = place.load().unwrap();
    assert_eq!(config.state_dir.value, home);
    assert_eq!(config.socket.value, Path::new("/run/user/7/clearmld/clearmld.sock"));

    let flags = Flags { state_dir: Some(PathBuf::from("/demo")), ..Flags::default() };
    assert_eq!(place.load_with(&flags).unwrap().socket.value, Path::new("/demo/clearmld.sock"));

    place.is_root = true;
    let config = place.load().unwrap();
    assert_eq!(config.state_dir.value, Path::new("/var/lib/clearmld"));
    assert_eq!(config.socket.value, Path::new("/run/clearmld/clearmld.sock"));

    let place = place.variable("STATE_DIRECTORY", "/s/one:/s/two");
    assert_eq!(place.load().unwrap().state_dir.value, Path::new("/s/one"));
}

#[test]
fn no_secret_is_in_debug_output_descriptions_or_what_a_payload_reads() {
    let place = Place::new().file("clearml.conf", include_str!("../../tests/config/clearml.conf"));
    let config = place.load().unwrap();
    let described = format!("{:?}", config.describe());
    for text in [format!("{config:?}"), described.clone(), config.for_payload()] {
        for secret in ["example/secret", "token with spaces", "user:pass", "storage secret", "minio secret", "MINIOKEY"]
        {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    assert!(described.contains("https://****@pypi.example.org/simple"), "{described}");
    let held_back = config.warnings.iter().any(|remark| remark.text.contains("payload_sees_sdk_secrets"));
    assert!(held_back, "{:?}", config.warnings);
}

#[test]
fn a_payload_reads_addresses_and_sdk_settings_and_storage_keys_only_where_allowed() {
    let place = Place::new().file("clearml.conf", include_str!("../../tests/config/clearml.conf"));
    let plain: serde_json::Value = serde_json::from_str(&place.load().unwrap().for_payload()).unwrap();
    assert_eq!(plain["api"]["api_server"], "https://api.clearml.example.org");
    assert_eq!(plain["sdk"]["metrics"]["images"]["quality"], 87);
    assert_eq!(plain["sdk"]["aws"]["s3"].get("secret"), None);
    assert_eq!(plain.get("agent"), None);

    let place = place.file("clearmld.toml", "payload_sees_sdk_secrets = true\n");
    let config = place.load().unwrap();
    assert!(config.for_payload().contains("storage secret"));
    assert!(!config.for_payload().contains("example/secret"));
}

#[test]
fn every_file_that_was_read_is_known_so_that_it_can_be_hidden_from_tasks() {
    let place = Place::new()
        .file("clearml.conf", "include \"keys.conf\"\ninclude \"absent.conf\"\n")
        .file("keys.conf", "agent { git_user: u, git_pass: hunter2 }\n");
    let config = place.load().unwrap();
    assert_eq!(config.included, [place.directory.path().join("keys.conf")]);
}

#[test]
fn a_file_with_secrets_that_everybody_can_read_is_warned_of() {
    let place = Place::new().file("clearml.conf", &format!("api {{ api_server: http://h:8008, {PAIR} }}"));
    assert!(place.load().unwrap().warnings.is_empty());
    let path = place.directory.path().join("clearml.conf");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(place.load().unwrap().warnings[0].text.contains("chmod 0600"));
}

#[test]
fn a_url_with_a_password_in_it_is_refused() {
    let errors = Place::new().variable("CLEARML_API_HOST", "https://u:hunter2@h").errors();
    assert!(errors.contains("api.credentials") && !errors.contains("hunter2"), "{errors}");
}

#[test]
fn an_index_url_among_the_installer_s_flags_becomes_a_secret_and_another_url_with_a_password_is_refused() {
    let flags = "agent.package_manager.extra_pip_install_flags";
    let place = Place::new()
        .file("clearml.conf", &format!("{flags}: [\"-v\", \"--extra-index-url\", \"https://u:hunter2@h/s\"]"));
    let packages = place.load().unwrap().agent.packages;
    assert_eq!(packages.extra_arguments, ["-v"]);
    assert_eq!(packages.extra_index_urls[0].expose_secret(), "https://u:hunter2@h/s");

    let errors = place.file("clearml.conf", &format!("{flags}: \"--index-url=https://u:hunter2@h/s\"")).errors();
    assert!(errors.contains("agent.package_manager.extra_index_url"), "{errors}");
    assert!(!errors.contains("hunter2"), "{errors}");
}

#[test]
fn metrics_are_served_on_loopback_or_a_unix_socket_and_nowhere_else() {
    let read = |text: &str| Place::new().file("clearml.conf", "").file("clearmld.toml", text);
    assert_eq!(read("").load().unwrap().own.metrics, None);
    assert_eq!(read("metrics = \"unix\"").load().unwrap().own.metrics, Some(MetricsChoice::Unix));
    let loopback = "[::1]:9108".parse().unwrap();
    assert_eq!(read("metrics = \"[::1]:9108\"").load().unwrap().own.metrics, Some(MetricsChoice::Loopback(loopback)));
    let open = read("metrics = \"0.0.0.0:9108\"").errors();
    assert!(open.contains("no loopback address, and metrics have no password"), "{open}");
    assert!(read("metrics = \"localhost\"").errors().contains("neither \"unix\" nor an address"));
}
