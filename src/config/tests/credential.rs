//! The systemd credential beside the other sources.

use super::*;

impl Place {
    fn credential(self, text: &str) -> Self {
        let place = self.directory.path().join("credentials");
        fs::create_dir_all(&place).unwrap();
        self.file("credentials/clearml.credentials", text).variable("CREDENTIALS_DIRECTORY", place.to_str().unwrap())
    }
}

const STORED: &str = "api { api_server: \"http://stored:8008\", credentials { access_key: SAK, secret_key: hunter3 } }";

#[test]
fn the_credential_is_the_server_of_a_host_without_a_clearml_conf() {
    let config = Place::new().credential(STORED).load().unwrap();
    let server = config.server.unwrap();
    assert_eq!(server.api.value, "http://stored:8008");
    assert!(matches!(&server.credentials, Credentials::KeyPair { secret_key, .. }
        if secret_key.value.expose_secret() == "hunter3"));
    assert!(config.credential.is_some() && config.unconfigured.is_none());
}

#[test]
fn the_credential_wins_over_clearml_conf_whose_other_settings_stay() {
    let conf = format!(
        "api {{ api_server: \"http://old:8008\", verify_certificate: false, auth_token: old, {PAIR} }}\n\
         agent {{ worker_name: w }}"
    );
    let config = Place::new().file("etc/clearml.conf", &conf).credential(STORED).load().unwrap();
    let server = config.server.as_ref().unwrap();
    assert_eq!((server.api.value.as_str(), &server.verify.value), ("http://stored:8008", &Verify::Off));
    assert!(matches!(&server.credentials, Credentials::KeyPair { access_key, .. } if access_key.value == "SAK"));
    assert_eq!(config.worker_name(), "w");
    assert!(config.warnings.iter().any(|remark| remark.text.contains("this key pair has no effect")));
    let variable = Place::new().credential(STORED).variable("CLEARML_API_HOST", "http://v:8008").load().unwrap();
    assert_eq!(variable.server.unwrap().api.value, "http://v:8008");
}

#[test]
fn a_key_pair_alone_is_a_credential_for_the_server_of_clearml_conf() {
    let place = Place::new().file("etc/clearml.conf", "api { api_server: http://h:8008 }");
    let config = place.credential(&format!("api {{ {PAIR} }}")).load().unwrap();
    assert_eq!(config.server.unwrap().api.value, "http://h:8008");
}

#[test]
fn a_credential_that_cannot_be_used_leaves_the_host_unconfigured_with_the_reason() {
    for (text, said) in [
        ("missing\n", "its file is not there"),
        ("", "it has no section api"),
        ("api { api_server: \"http://h\" }", "it has no api.credentials"),
        ("api { credentials { secret_key: hunter3", "cannot be used"),
    ] {
        // The address that clearml.conf names is no error then.
        let place = Place::new().file("etc/clearml.conf", "api { api_server: http://h:8008 }").credential(text);
        let config = place.load().unwrap();
        assert!(config.server.is_none(), "{text}");
        let reason = config.unconfigured.unwrap();
        assert!(reason.contains(said) && reason.contains("`clearmlctl init"), "{text}: {reason}");
        assert!(!reason.contains("hunter3"), "{reason}");
    }
}
