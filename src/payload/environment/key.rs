//! The content address of an environment.

use sha2::{Digest, Sha256};

/// Raised when the way environments are made changes, so that none of the old way is used.
const RECIPE: &str = "clearmld environment 1";

/// Everything that makes one environment differ from another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ingredients<'a> {
    pub(super) installer: &'a str,
    pub(super) python: &'a str,
    pub(super) version: &'a str,
    pub(super) platform: &'a str,
    pub(super) system_site_packages: bool,
    pub(super) lines: &'a [String],
    pub(super) fingerprint: &'a str,
    pub(super) indexes: &'a [String],
    pub(super) arguments: &'a [String],
}

impl Ingredients<'_> {
    /// 64 hexadecimal digits.
    pub(super) fn key(&self) -> String {
        let mut hash = Sha256::new();
        // Each part with its length: no two lists of parts read the same.
        let mut part = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        for text in [RECIPE, self.installer, self.python, self.version, self.platform, self.fingerprint] {
            part(text);
        }
        part(if self.system_site_packages { "system" } else { "own" });
        for list in [normalised(self.lines), self.indexes.to_vec(), self.arguments.to_vec()] {
            part(&list.len().to_string());
            list.iter().for_each(|text| part(text));
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Options in their order, then requirements without regard to order, blanks and repetition.
fn normalised(lines: &[String]) -> Vec<String> {
    let (options, mut packages): (Vec<String>, Vec<String>) =
        lines.iter().map(|line| squeezed(line)).partition(|line| line.starts_with('-'));
    packages.sort();
    packages.dedup();
    options.into_iter().chain(packages).collect()
}

/// `six == 1.16` and `six==1.16` are one; blanks that part words of a marker or an option stay.
fn squeezed(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    if line.starts_with('-') || line.contains(';') || line.contains('@') { words.join(" ") } else { words.concat() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str], arguments: &[&str]) -> String {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Ingredients {
            installer: "uv",
            python: "/usr/bin/python3.11",
            version: "3.11.2",
            platform: "linux-x86_64",
            system_site_packages: false,
            lines: &owned(lines),
            fingerprint: "",
            indexes: &[],
            arguments: &owned(arguments),
        }
        .key()
    }

    #[test]
    fn blanks_and_order_do_not_make_another_environment() {
        assert_eq!(of(&["six == 1.16", "numpy"], &[]), of(&["numpy", "six==1.16", "numpy"], &[]));
        assert_eq!(of(&[], &[]).len(), 64);
    }

    #[test]
    fn versions_markers_and_options_do() {
        let keys = [
            of(&["six==1.16"], &[]),
            of(&["six==1.17"], &[]),
            of(&["six==1.16; python_version < '3'"], &[]),
            of(&["--pre", "six==1.16"], &[]),
            of(&[], &["six==1.16"]),
        ];
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[index + 1..].contains(key), "{index}");
        }
    }
}
