//! clearmld.toml(5) and the default clearmld.toml.

use std::fmt::Write;

use clearmld::config::settings::{HONOURED, SETTINGS, Setting};

use crate::roff;

const TEMPLATE: &str = include_str!("../../../packaging/man/clearmld.toml.5.in");
/// Of a line in the default file.
const WIDTH: usize = 100;

pub(crate) fn page() -> Vec<u8> {
    let settings: String = SETTINGS.iter().map(item).collect();
    let honoured: String = HONOURED
        .iter()
        .map(|key| {
            let variable = key.variable.map(|name| format!("The variable {name} wins over it."));
            roff::item(
                key.key,
                "",
                &[Some(format!("{}.", capitalised(key.meaning))), variable].into_iter().flatten().collect::<Vec<_>>(),
            )
        })
        .collect();
    let title = roff::title("clearmld.toml", 5);
    roff::filled(TEMPLATE, &[("TITLE", &title), ("SETTINGS", &settings), ("HONOURED", &honoured)]).into_bytes()
}

fn item(setting: &Setting) -> String {
    let default = setting.default.map(|default| format!("Default: {default}."));
    let text: Vec<String> = std::iter::once(setting.meaning.to_owned()).chain(default).collect();
    roff::item(setting.key, &roff::escaped(&setting.takes.to_string()), &text)
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().collect::<String>() + letters.as_str()).unwrap_or_default()
}

/// Every setting with its default, commented out.
pub(crate) fn default_file() -> String {
    let mut out = String::from(
        "# Settings of clearmld; clearmld.toml(5) explains them. Each line shows the default.\n\
         # After a change: `clearmlctl plan` says whether to reload or to restart clearmld (tasks go on).\n",
    );
    for setting in SETTINGS {
        out.push('\n');
        for line in wrapped(setting.meaning) {
            let _ = writeln!(out, "# {line}");
        }
        let _ = writeln!(out, "#{} = {}", setting.key, setting.default.unwrap_or("\"\""));
    }
    out
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + word.len() < WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}
