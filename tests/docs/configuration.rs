//! docs/configuration.md is what the tables of settings say. `UPDATE_DOCS=1 cargo test --test docs` writes it anew.

use std::fmt::Write as _;

use clearmld::config::settings::{HONOURED, SETTINGS};

use crate::reader::is_written;

const INTRODUCTION: &str = "# Configuration

Generated from src/config/settings.rs by `UPDATE_DOCS=1 cargo test --test docs`.

Four places, each optional; `clearmlctl init` writes what a first worker needs.

| place | what |
|---|---|
| /etc/clearmld/clearml.conf | the file of clearml-agent and the SDK (HOCON): server, credentials, git, packages |
| /etc/clearmld/credentials.conf (or .cred) | what `clearmlctl init` stored: server and key pair; lies over clearml.conf |
| /etc/clearmld/clearmld.toml | settings of this daemon |
| /etc/clearmld/workers.d/*.toml | declared workers: clearmld-workers(5) |

Variables of the daemon's environment win over all of them. A mistake is named with its file, line and key, all of them at once. A setting
of clearml.conf that has no effect here is named too, in `clearmlctl status` and in the journal.

";

#[test]
fn the_configuration_reference_says_what_the_tables_say() {
    let mut text = INTRODUCTION.to_owned();
    text.push_str("## clearmld.toml\n\n| key | takes | default | meaning |\n|---|---|---|---|\n");
    for setting in SETTINGS {
        let default = setting.default.map(|default| format!("`{default}`")).unwrap_or_default();
        let _ = writeln!(text, "| `{}` | {} | {default} | {} |", setting.key, setting.takes, setting.meaning);
    }
    text.push_str("\n## clearml.conf: what has an effect\n\n| key | variable that wins | meaning |\n|---|---|---|\n");
    for key in HONOURED {
        let variable = key.variable.map(|name| format!("`{name}`")).unwrap_or_default();
        let _ = writeln!(text, "| `{}` | {variable} | {} |", key.key, key.meaning);
    }
    is_written("docs/configuration.md", &text);
}
