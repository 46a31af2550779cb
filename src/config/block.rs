//! The block that ClearML's web UI shows under Settings > Workspace > "Create new credentials", as `clearmlctl init`
//! takes it, and the document that is stored of it.

use std::fmt::Write as _;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value as Json;

use super::environment::Environment;
use super::hocon::{self, Kind, Position, Value};
use super::origin::{ConfigError, ConfigErrors, Origin};
use super::reader::Reader;
use super::server::{self, Credentials, ServerConfig, Verify};

/// What positions in a block name instead of a file.
const ORIGIN: &str = "the credentials block";

/// What is said beside the block, and wins over it.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    /// The API server's address.
    pub api_server: Option<String>,
    /// The web UI's.
    pub web_server: Option<String>,
    /// The file server's.
    pub files_server: Option<String>,
    /// `api.verify_certificate`: a file of certificate authorities.
    pub verify_certificate: Option<String>,
}

/// Reads the whole block, a clearml.conf (of which section `api` counts), a section `credentials` or the two keys alone.
///
/// # Errors
/// Everything that is wrong with it, without a secret in it.
pub fn read(text: &str, beside: &Beside) -> Result<ServerConfig, ConfigErrors> {
    let root = hocon::read_text(text, ORIGIN, &Environment::default())
        .map_err(|errors| ConfigErrors { errors: errors.into_iter().map(ConfigError::from).collect() })?;
    let mut api = api_of(root.root);
    for (key, value) in [
        ("api_server", &beside.api_server),
        ("web_server", &beside.web_server),
        ("files_server", &beside.files_server),
        ("verify_certificate", &beside.verify_certificate),
    ] {
        if let Some(value) = value {
            api.merge(object([(key, text_value(value))]));
        }
    }
    let tree = object([("api", api)]);
    let nothing = Environment::default();
    let mut reader = Reader::new(&tree, &nothing);
    let (server, keyless) = server::read(&mut reader, true);
    let mut errors = reader.errors;
    match server {
        Some(server) if errors.is_empty() => checked(server).map_err(|problem| wrong(problem).into()),
        Some(_) | None => {
            if errors.is_empty() {
                errors.push(wrong(if keyless.is_some() { NO_KEYS } else { NO_BLOCK }));
            }
            Err(ConfigErrors { errors })
        }
    }
}

const NO_KEYS: &str = "it has no key pair in it; paste the block with `credentials { \"access_key\" = … }` whole";
const NO_BLOCK: &str = "it is not what the web UI shows under Settings > Workspace > Create new credentials; paste that \
    block whole, from `api {` to its last `}`";

/// A document that [`credential`](super::credential) reads back as the same server. It holds the secret.
#[must_use]
pub fn document(server: &ServerConfig) -> SecretString {
    let mut lines = String::new();
    let mut line = |indent: &str, key: &str, value: &str| {
        // JSON's quoting is HOCON's as long as there is no control character, which `read` sees to.
        let _ = writeln!(lines, "{indent}{key}: {}", Json::from(value));
    };
    line("  ", "api_server", &server.api.value);
    for (key, url) in [("web_server", &server.web), ("files_server", &server.files)] {
        if let Some(url) = url {
            line("  ", key, &url.value);
        }
    }
    match &server.verify.value {
        Verify::System => {}
        Verify::Off => line("  ", "verify_certificate", "false"),
        Verify::Authority(file) => line("  ", "verify_certificate", &file.display().to_string()),
    }
    match &server.credentials {
        Credentials::KeyPair { access_key, secret_key } => {
            line("  ", "credentials.access_key", &access_key.value);
            line("  ", "credentials.secret_key", secret_key.value.expose_secret());
        }
        Credentials::Token(token) => line("  ", "auth_token", token.value.expose_secret()),
    }
    SecretString::from(format!("{HEAD}api {{\n{lines}}}\n"))
}

const HEAD: &str = "# The ClearML server of this host and its key pair, written by `clearmlctl init`.\n";

fn checked(server: ServerConfig) -> Result<ServerConfig, &'static str> {
    let secret = match &server.credentials {
        Credentials::KeyPair { secret_key, .. } => secret_key,
        Credentials::Token(token) => token,
    };
    if secret.value.expose_secret().chars().any(char::is_control) {
        return Err("its secret has a control character in it; copy the block again");
    }
    Ok(server)
}

/// Wherever the keys are.
fn api_of(root: Value) -> Value {
    if let Some(api) = root.get(&["api"]) {
        return api.clone();
    }
    if root.get(&["access_key"]).is_some() || root.get(&["secret_key"]).is_some() {
        return object([("credentials", root)]);
    }
    // Without `api { … }` round it; another file has none of these keys, and then there is nothing of a server.
    root
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let fields = fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    Value { kind: Kind::Object(fields), at: Position::whole(ORIGIN.as_ref()) }
}

fn text_value(text: &str) -> Value {
    Value { kind: Kind::Text(text.to_owned()), at: Position::whole(ORIGIN.as_ref()) }
}

fn wrong(problem: &str) -> ConfigError {
    ConfigError { origin: Origin::File(Position::whole(ORIGIN.as_ref())), key: None, problem: problem.to_owned() }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self { errors: vec![error] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the web UI shows it (ClearML 2).
    const SHOWN: &str = r#"
api {
  # Alice's workspace
  web_server: https://app.example.org/
  api_server: https://api.example.org
  files_server: https://files.example.org
  credentials {
    "access_key" = "AK123"
    "secret_key" = "s/e+c=r#e{t}$\"x\\"
  }
}
"#;

    fn secret(server: &ServerConfig) -> String {
        match &server.credentials {
            Credentials::KeyPair { secret_key, .. } => secret_key.value.expose_secret().to_owned(),
            Credentials::Token(token) => token.value.expose_secret().to_owned(),
        }
    }

    #[test]
    fn what_is_stored_of_a_block_reads_back_as_the_same() {
        let server = read(SHOWN, &Beside::default()).expect("a block");
        assert_eq!(server.api.value, "https://api.example.org");
        assert_eq!(secret(&server), "s/e+c=r#e{t}$\"x\\");
        let stored = document(&server);
        let again = read(stored.expose_secret(), &Beside::default()).expect("what we wrote");
        assert_eq!(secret(&again), secret(&server));
        assert_eq!(again.files.map(|url| url.value).as_deref(), Some("https://files.example.org"));
        assert_eq!(again.web.map(|url| url.value).as_deref(), Some("https://app.example.org"));
    }

    #[test]
    fn parts_of_the_block_do_when_the_rest_is_said_beside_it() {
        let beside = Beside { api_server: Some("http://10.0.0.1:8008/".into()), ..Beside::default() };
        for text in [
            "credentials { access_key: AK, secret_key: SK }",
            "\"access_key\" = \"AK\"\n\"secret_key\" = \"SK\"\n",
            "{\"api\": {\"api_server\": \"http://old:8008\", \"credentials\": {\"access_key\": \"AK\", \"secret_key\": \"SK\"}}}",
        ] {
            let server = read(text, &beside).unwrap_or_else(|errors| panic!("{text}: {errors}"));
            assert_eq!((server.api.value.as_str(), secret(&server).as_str()), ("http://10.0.0.1:8008", "SK"), "{text}");
            assert_eq!(server.files.map(|url| url.value).as_deref(), Some("http://10.0.0.1:8081"));
        }
    }

    #[test]
    fn what_is_no_block_is_refused_in_words_without_the_secret() {
        for (text, said) in [
            ("", "it is not what the web UI shows"),
            ("hello { world: 1 }", "it is not what the web UI shows"),
            ("api { api_server: \"http://h:8008\" }", "it has no key pair in it"),
            ("api { credentials { access_key: AK, secret_key: hunter2 } }", "there is no API server to go with it"),
            ("api { api_server: \"http://h\", credentials { secret_key: hunter2 } }", "its access key is missing"),
            ("api { api_server: \"ftp://h\", credentials { access_key: a, secret_key: hunter2 } }", "its scheme"),
            ("api { credentials { secret_key: hunter2", "the credentials block"),
        ] {
            let errors = read(text, &Beside::default()).map(|_| ()).expect_err(text).to_string();
            assert!(errors.contains(said) && !errors.contains("hunter2"), "{text}: {errors}");
        }
    }
}
