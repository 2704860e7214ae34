//! A key that does not show.

use std::fmt;
use std::io::Read;
use std::path::Path;

use ureq::http::HeaderValue;

use super::{Error, Result};

/// A key, sent as `Authorization: Bearer` to the server of one client and to nothing else.
///
/// It prints as `***`, is in no error, record or kept answer, and has no accessor. Where a server repeats the key in an
/// answer, it is blotted out before anything else sees the answer, if it has at least 8 characters: a shorter one, such as
/// the `none` of a server that asks for no key, is no secret and could be part of a word.
pub struct Secret(String);

/// Longest key.
const MAX_BYTES: usize = 8192;
/// Shortest key that is searched for in what a server says.
const MIN_SECRET: usize = 8;

impl Secret {
    /// A key.
    ///
    /// # Errors
    /// [`Error::BadKey`] if it is empty, too long, or has characters other than visible ASCII, or quotes or backslashes.
    pub fn new(key: impl Into<String>) -> Result<Self> {
        let key = key.into();
        let why = match key.len() {
            0 => "is empty",
            n if n > MAX_BYTES => "is longer than 8192 characters",
            _ if !key.bytes().all(|b| b.is_ascii_graphic()) => {
                "has characters other than visible ones of ASCII"
            }
            _ if key.contains(['"', '\'', '\\']) => "has quotes or backslashes",
            _ => return Ok(Self(key)),
        };
        Err(Error::BadKey { why })
    }

    /// The key in the first of these environment variables that is set and not empty, such as
    /// `["SC_LLM_API_KEY", "OPENAI_API_KEY"]`.
    ///
    /// # Errors
    /// [`Error::NoKey`] if there is none; [`Error::BadKey`].
    pub fn from_env(names: &[&str]) -> Result<Self> {
        let found = names.iter().filter_map(|name| std::env::var(name).ok()).find(|key| !key.is_empty());
        found.map(Self::new).unwrap_or_else(|| {
            Err(Error::NoKey { names: names.iter().map(|&name| name.to_owned()).collect() })
        })
    }

    /// The key in a file, without white space around it. On Unix nobody but its owner may have any right to the file.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::OpenKeyFile`], [`Error::BadKey`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let failed = |source| Error::Io { path: path.to_owned(), doing: "read the key", source };
        let file = std::fs::File::open(path).map_err(failed)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                return Err(Error::OpenKeyFile { path: path.to_owned(), mode });
            }
        }
        let mut key = String::new();
        file.take(2 * MAX_BYTES as u64).read_to_string(&mut key).map_err(failed)?;
        Self::new(key.trim())
    }

    /// The header, marked so that it is not logged.
    pub(super) fn header(&self) -> HeaderValue {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0))
            .expect("visible ASCII makes a header: checked in Secret::new");
        value.set_sensitive(true);
        value
    }

    /// The text without the key, be it plain or with escapes of JSON.
    pub(super) fn blot_out(&self, text: String) -> String {
        if self.0.len() < MIN_SECRET {
            return text;
        }
        if text.contains('\\') {
            let plain = without_escapes(&text);
            if plain.contains(&self.0) {
                return plain.replace(&self.0, "***");
            }
        }
        if text.contains(&self.0) { text.replace(&self.0, "***") } else { text }
    }
}

/// JSON of the same meaning, in which the characters that a key can have are not escaped.
fn without_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let escape = &rest[at..];
        let code = escape.strip_prefix("\\u").and_then(|digits| digits.get(..4));
        let code = code.and_then(|digits| u8::from_str_radix(digits, 16).ok()).map(char::from);
        let (kept, length) = match code.filter(|c| c.is_ascii_graphic() && !['"', '\'', '\\'].contains(c)) {
            Some(c) => (c.to_string(), 6),
            None if escape.starts_with("\\/") => ("/".to_owned(), 2),
            None => {
                // A backslash that is escaped itself escapes nothing.
                let length = 1 + escape[1..].chars().next().map_or(0, char::len_utf8);
                (escape[..length].to_owned(), length)
            }
        };
        plain.push_str(&kept);
        rest = &escape[length..];
    }
    plain + rest
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_does_not_show() {
        let key = Secret::new("sk-canary-1234").unwrap();
        assert_eq!((format!("{key:?}"), format!("{key}")), ("***".to_owned(), "***".to_owned()));
        assert!(!format!("{:?}", key.header()).contains("canary"));
        assert_eq!(key.blot_out("a sk-canary-1234 b".to_owned()), "a *** b");
        let escaped = r#"{"a\\": "\u0073k\u002Dcanary-1234", "b": "\u00e9\"\\u0041\/"}"#;
        assert_eq!(key.blot_out(escaped.to_owned()), r#"{"a\\": "***", "b": "\u00e9\"\\u0041/"}"#);
        let other = r#"\u0041\"#.to_owned();
        assert_eq!(key.blot_out(other.clone()), other);
        assert_eq!(Secret::new("none").unwrap().blot_out("none".to_owned()), "none");
    }

    #[test]
    fn keys_that_would_break_a_header_are_refused_and_not_shown() {
        for key in ["", "a b", "a\r\nX: y", "clé", "a\"b", "a\\b", &"k".repeat(8193)] {
            let e = Secret::new(key).unwrap_err();
            assert!(matches!(e, Error::BadKey { .. }) && (key.is_empty() || !e.to_string().contains(key)));
        }
    }

    #[test]
    fn the_first_variable_that_is_set_gives_the_key() {
        let key = Secret::from_env(&["SC_NO_SUCH_VARIABLE", "CARGO_PKG_NAME"]).unwrap();
        assert_eq!(key.0, "sc-llm");
        let e = Secret::from_env(&["SC_NO_SUCH_VARIABLE"]).unwrap_err();
        assert!(e.to_string().contains("SC_NO_SUCH_VARIABLE") && e.help().is_some());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_gives_no_key() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "sk-canary-1234\n").unwrap();
        for (mode, good) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o610, false)] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            match Secret::from_file(&path) {
                Ok(key) => assert!(good && key.0 == "sk-canary-1234"),
                Err(e) => assert!(!good && matches!(e, Error::OpenKeyFile { .. }) && e.help().is_some()),
            }
        }
        assert!(matches!(Secret::from_file(folder.path().join("none")), Err(Error::Io { .. })));
    }
}
