//! Where packages come from: pip's own configuration on this host (which uv does not read), the variables of pip and
//! uv, the configuration of clearmld. All of it goes to the installer by variables: an address may hold a password,
//! and arguments are there for everybody to read.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use secrecy::ExposeSecret;

use crate::domain::handover::StageOrder;
use crate::payload::tool::userinfo;

/// What pip calls index-url, extra-index-url, find-links, trusted-host, cert, no-index.
#[derive(Default)]
pub(super) struct Indexes {
    main: Option<String>,
    extra: Vec<String>,
    links: Vec<String>,
    trusted: Vec<String>,
    certificates: Option<String>,
    none: bool,
}

impl std::fmt::Debug for Indexes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Indexes").field("public", &self.public()).finish_non_exhaustive()
    }
}

impl Indexes {
    /// Files, then variables, then what clearmld is configured with: each wins over the one before, further indexes add up.
    pub(super) fn read(order: &StageOrder, variables: &BTreeMap<String, String>) -> Self {
        let mut indexes = Self::default();
        let home = &order.paths.home;
        let named = variables.get("PIP_CONFIG_FILE").map(PathBuf::from);
        let files = [PathBuf::from("/etc/pip.conf"), home.join(".pip/pip.conf"), home.join(".config/pip/pip.conf")];
        for file in files.into_iter().chain(named) {
            // A file that this user cannot read is none of his.
            indexes.file(&fs::read_to_string(file).unwrap_or_default());
        }
        for (name, value) in variables {
            if let Some(name) = name.strip_prefix("PIP_") {
                indexes.set(&name.to_ascii_lowercase().replace('_', "-"), value);
            }
        }
        indexes.main = variables.get("UV_DEFAULT_INDEX").or(variables.get("UV_INDEX_URL")).cloned().or(indexes.main);
        let uv = ["UV_INDEX", "UV_EXTRA_INDEX_URL"].iter().filter_map(|name| variables.get(*name));
        let ours = order.spec.environment.extra_index_urls.iter();
        let secret = order.secrets.index_urls.iter().map(|url| url.expose_secret().to_owned());
        indexes.extra.extend(uv.flat_map(|text| text.split_whitespace()).map(str::to_owned));
        indexes.extra.extend(ours.cloned().chain(secret));
        let mut seen = std::collections::BTreeSet::new();
        indexes.extra.retain(|url| seen.insert(url.clone()));
        indexes
    }

    fn file(&mut self, text: &str) {
        let (mut section, mut key) = (String::new(), String::new());
        for line in text.lines() {
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                section = name.trim().to_ascii_lowercase();
                key.clear();
                continue;
            }
            if section != "global" && section != "install" {
                continue;
            }
            if line.starts_with([' ', '\t']) && !key.is_empty() {
                self.set(&key, trimmed);
            } else if let Some((name, value)) = trimmed.split_once(['=', ':']) {
                key = name.trim().to_ascii_lowercase().replace('_', "-");
                self.set(&key, value.trim());
            }
        }
    }

    fn set(&mut self, key: &str, value: &str) {
        let words = || value.split_whitespace().map(str::to_owned);
        match key {
            "index-url" if !value.is_empty() => self.main = Some(value.to_owned()),
            "extra-index-url" => self.extra.extend(words()),
            "find-links" => self.links.extend(words()),
            "trusted-host" => self.trusted.extend(words()),
            "cert" if !value.is_empty() => self.certificates = Some(value.to_owned()),
            "no-index" => self.none = !matches!(value.to_ascii_lowercase().as_str(), "" | "0" | "no" | "off" | "false"),
            _ => {}
        }
    }

    /// Without credentials: what takes part in an environment's key.
    pub(super) fn public(&self) -> Vec<String> {
        let all = self.main.iter().chain(&self.extra).chain(&self.links);
        let mut list: Vec<String> = all
            .map(|url| match userinfo(url) {
                Some(info) => url.replacen(&format!("{info}@"), "", 1),
                None => url.clone(),
            })
            .collect();
        if self.none {
            list.push("no-index".to_owned());
        }
        list
    }

    /// Replaces what `variables` say about indexes by the whole, for uv.
    pub(super) fn for_uv(&self, variables: &mut BTreeMap<String, String>) {
        for name in ["UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_DEFAULT_INDEX"] {
            variables.remove(name);
        }
        let mut set = |name: &str, value: String| {
            if !value.is_empty() {
                variables.insert(name.to_owned(), value);
            }
        };
        set("UV_DEFAULT_INDEX", self.main.clone().unwrap_or_default());
        set("UV_EXTRA_INDEX_URL", self.extra.join(" "));
        if !variables.contains_key("UV_FIND_LINKS") {
            // uv refuses a directory that is not there, where pip goes on.
            let there = |link: &&String| link.contains("://") || std::path::Path::new(link.as_str()).is_dir();
            let links: Vec<&str> = self.links.iter().filter(there).map(String::as_str).collect();
            if !links.is_empty() {
                variables.insert("UV_FIND_LINKS".to_owned(), links.join(","));
            }
        }
        if !self.trusted.is_empty() {
            variables.entry("UV_INSECURE_HOST".to_owned()).or_insert_with(|| self.trusted.join(" "));
        }
        if let Some(file) = &self.certificates {
            variables.entry("SSL_CERT_FILE".to_owned()).or_insert_with(|| file.clone());
        }
        // pip looks at all indexes and takes the best version; tasks are recorded with pip.
        variables.entry("UV_INDEX_STRATEGY".to_owned()).or_insert_with(|| "unsafe-best-match".to_owned());
    }

    /// What uv has no variable for.
    pub(super) fn uv_options(&self) -> Option<String> {
        self.none.then(|| "--no-index".to_owned())
    }

    /// The same for pip, whose variable replaces what its files say.
    pub(super) fn for_pip(&self, variables: &mut BTreeMap<String, String>) {
        if let Some(main) = &self.main {
            variables.insert("PIP_INDEX_URL".to_owned(), main.clone());
        }
        if !self.extra.is_empty() {
            variables.insert("PIP_EXTRA_INDEX_URL".to_owned(), self.extra.join(" "));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pips_configuration_is_translated_for_uv() {
        let mut indexes = Indexes::default();
        indexes.file(
            "[global]\nindex-url = https://me:secret@a/simple\n# x\nextra_index_url =\n  https://b/simple\n  https://c/simple\n\
             cert: /c.pem\n[install]\ntrusted-host = b\n[list]\nindex-url = https://no/\n",
        );
        let mut variables = BTreeMap::from([("UV_INDEX".to_owned(), "https://old".to_owned())]);
        indexes.for_uv(&mut variables);
        let of = |name: &str| variables.get(name).map(String::as_str);
        assert_eq!(of("UV_DEFAULT_INDEX"), Some("https://me:secret@a/simple"));
        assert_eq!(of("UV_EXTRA_INDEX_URL"), Some("https://b/simple https://c/simple"));
        assert_eq!(of("SSL_CERT_FILE"), Some("/c.pem"));
        assert_eq!(of("UV_INSECURE_HOST"), Some("b"));
        assert_eq!(of("UV_INDEX"), None);
        assert_eq!(indexes.public(), ["https://a/simple", "https://b/simple", "https://c/simple"]);
        assert!(!format!("{indexes:?}").contains("secret"));
    }
}
