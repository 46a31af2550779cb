//! One entry in journald's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): `NAME=value` lines, and for a value
//! with a newline in it the name, the length as 64 bits little-endian, and the value.

/// Longest name that journald takes.
const LONGEST_NAME: usize = 64;

/// Fields of one entry, encoded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    bytes: Vec<u8>,
}

impl Entry {
    /// Adds a field. A name that journald would not take is left out; a value may be anything: what is in it never
    /// becomes a field of its own.
    pub fn put(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        if !is_name(name) {
            return;
        }
        self.bytes.extend_from_slice(name.as_bytes());
        if value.contains(&b'\n') {
            self.bytes.push(b'\n');
            self.bytes.extend_from_slice(&u64::try_from(value.len()).unwrap_or(u64::MAX).to_le_bytes());
        } else {
            self.bytes.push(b'=');
        }
        self.bytes.extend_from_slice(value);
        self.bytes.push(b'\n');
    }

    /// Adds all fields of another.
    pub fn append(&mut self, other: &Self) {
        self.bytes.extend_from_slice(&other.bytes);
    }

    /// Adds a field, and returns the entry.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.put(name, value);
        self
    }

    /// As it is sent.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Names that begin with `_` are journald's own.
fn is_name(name: &str) -> bool {
    name.len() <= LONGEST_NAME
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// The fields of an encoded entry, as journald would read them; for tests.
#[must_use]
pub fn decode(mut bytes: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.iter().position(|&byte| byte == b'\n')?;
        let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
        let (name, value) = match line.iter().position(|&byte| byte == b'=') {
            Some(equals) => {
                bytes = rest;
                (&line[..equals], line[equals + 1..].to_vec())
            }
            None => {
                let (length, rest) = rest.split_first_chunk::<8>()?;
                let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
                let value = rest.get(..length)?.to_vec();
                bytes = rest.get(length..)?.strip_prefix(b"\n")?;
                (line, value)
            }
        };
        fields.push((String::from_utf8(name.to_vec()).ok()?, value));
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_value_cannot_become_a_field() {
        let entry = Entry::default().with("MESSAGE", "x\nPRIORITY=0\n_UID=0\n").with("PRIORITY", "6");
        let fields = decode(entry.as_bytes()).expect("well-formed");
        let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["MESSAGE", "PRIORITY"]);
    }

    #[test]
    fn names_that_journald_keeps_for_itself_are_left_out() {
        let entry = Entry::default().with("_UID", "0").with("a", "1").with("A B", "2").with("", "3").with("OK", "4");
        assert_eq!(entry.as_bytes(), b"OK=4\n");
    }

    proptest! {
        #[test]
        fn whatever_is_put_in_comes_out(
            values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..5),
        ) {
            let mut entry = Entry::default();
            values.iter().for_each(|value| entry.put("A_FIELD", value));
            let fields = decode(entry.as_bytes()).expect("well-formed");
            prop_assert_eq!(fields.into_iter().map(|(_, value)| value).collect::<Vec<_>>(), values);
        }
    }
}
