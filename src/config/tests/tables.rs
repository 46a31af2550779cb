//! The tables of what is read, held against the reader.

use super::*;

#[test]
fn what_has_no_effect_is_told_with_its_place_and_stock_settings_are_quiet() {
    let place = Place::new().file(
        "clearml.conf",
        "agent {\n translate_ssh: true, reload_config: false\n force_git_ssh_protocol: true\n frobnicate: 1\n}\nfiles { a { path: x } }\n",
    );
    let told: Vec<String> = place.load().unwrap().unsupported.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told.iter().any(|line| line.contains("clearml.conf:3: agent.force_git_ssh_protocol")), "{told:?}");
    assert!(told.iter().any(|line| line.contains("clearml.conf:4: agent.frobnicate")), "{told:?}");
    assert!(told.iter().any(|line| line.contains("clearml.conf:6: files")), "{told:?}");
}

#[test]
fn every_setting_that_clearml_agent_honours_and_we_do_not_is_told_when_it_says_more_than_the_stock_file() {
    let changed = [
        "enable_git_ask_pass: false",
        "git_fetch_args: [\"--depth=1\"]",
        "translate_ssh: false",
        "python_binary: /opt/python/bin/python3",
        "suppress_carriage_return: false",
        "cuda_version: 118",
        "cudnn_version: 8.1",
        "package_manager.pip_version: [\"==24.0\"]",
        "package_manager.pip_legacy_resolver: [\"<99\"]",
        "package_manager.pytorch_resolve: direct",
        "package_manager.conda_channels: [mine]",
        "package_manager.type: conda",
    ];
    for line in changed {
        let place = Place::new().file("clearml.conf", &format!("agent {{\n {line}\n}}\n"));
        let told: Vec<String> = place.load().unwrap().unsupported.iter().map(ToString::to_string).collect();
        let key = line.split(':').next().unwrap();
        assert_eq!(told.len(), 1, "{line}: {told:?}");
        assert!(told[0].contains(&format!("clearml.conf:2: agent.{key}: ")), "{told:?}");
    }
    let stock = r#"agent {
        enable_git_ask_pass: true, git_fetch_args: ["--all", "--tags", "--recurse-submodules"], translate_ssh: true
        python_binary: "", suppress_carriage_return: true
        package_manager {
            type: pip, conda_channels: ["pytorch", "conda-forge", "nvidia", "defaults", ], pip_legacy_resolver: [">=20.3,<24.3"]
            pip_version: ["<20.2 ; python_version < '3.10'", "<22.3 ; python_version >= '3.10' and python_version <= '3.11'", ">=23,<26 ; python_version >= '3.12'"]
        }
    }"#;
    let told = Place::new().file("clearml.conf", stock).load().unwrap().unsupported;
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn the_table_of_settings_says_the_defaults_and_names_nothing_that_is_not_read() {
    let nothing = Place::new().load().unwrap();
    let mut text = String::new();
    for setting in settings::SETTINGS {
        if let Some(default) = setting.default {
            text.push_str(&format!("{} = {default}\n", setting.key));
        }
    }
    let written = Place::new().file("etc/clearmld.toml", &text).load().unwrap();
    assert_eq!(written.own, nothing.own);
    for setting in settings::SETTINGS {
        let key = format!("clearmld.{}", setting.key);
        let read = written.describe().iter().any(|described| described.key == key);
        assert!(read || setting.default.is_none(), "{key} is written and nobody reads it");
    }
}

#[test]
fn the_table_of_settings_says_the_bounds() {
    let seconds = |ms: u64| (Duration::from_millis(ms)).as_secs_f64().to_string();
    for setting in settings::SETTINGS {
        let (inside, outside) = match setting.takes {
            settings::Takes::Text => continue,
            settings::Takes::OneOf(words) => {
                (words.iter().map(|word| format!("\"{word}\"")).collect(), vec!["\"other\"".to_owned()])
            }
            settings::Takes::Number(least, most) => {
                (vec![least.to_string(), most.to_string()], vec![(most + 1).to_string()])
            }
            settings::Takes::Seconds(least, most) => (vec![seconds(least), seconds(most)], vec![seconds(most + 1000)]),
            settings::Takes::Truth => (vec!["true".to_owned(), "false".to_owned()], vec!["2".to_owned()]),
        };
        let load = |value: &str| Place::new().file("etc/clearmld.toml", &format!("{} = {value}\n", setting.key)).load();
        for value in inside {
            assert!(load(&value).is_ok(), "{} = {value}", setting.key);
        }
        for value in outside {
            assert!(load(&value).is_err(), "{} = {value}", setting.key);
        }
    }
}

#[test]
fn what_of_clearml_conf_is_documented_as_honoured_is_not_told_to_have_no_effect() {
    for honoured in settings::HONOURED.iter().filter(|honoured| honoured.key.contains('.')) {
        assert!(unsupported::is_quiet(honoured.key), "{}", honoured.key);
    }
}
