//! The environment, read once at the door.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

/// Variables of the process, as they were when it started.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
}

impl fmt::Debug for Environment {
    // Names only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        Self { variables: variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }
}

impl Environment {
    /// That of this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        std::env::vars_os().collect()
    }

    /// A variable; one that is set but empty is as good as unset.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&OsString> {
        self.variables.get(std::ffi::OsStr::new(name)).filter(|value| !value.is_empty())
    }

    /// A variable as text; none where it is no UTF-8.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name).and_then(|value| value.to_str()).map(str::to_owned)
    }

    /// `CLEARML_X`, else its twin `TRAINS_X`; with the name that was found.
    #[must_use]
    pub fn twin(&self, name: &str) -> Option<(String, &OsString)> {
        let old = name.strip_prefix("CLEARML_").map(|rest| format!("TRAINS_{rest}"));
        std::iter::once(name.to_owned()).chain(old).find_map(|name| self.get(&name).map(|value| (name.clone(), value)))
    }

    /// All whose name begins with `prefix`, by name.
    pub fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a OsString)> {
        self.variables.iter().filter_map(move |(name, value)| {
            name.to_str().filter(|name| name.starts_with(prefix)).map(|name| (name, value))
        })
    }
}
