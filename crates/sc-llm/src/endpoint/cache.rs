//! Answers that are kept, so that none is paid for twice and a run can be repeated without the server.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Error, Mode, Result};

/// What the files say that they are.
const FORMAT: &str = "sc-llm answer 1";
/// Larger files are not read.
const MAX_BYTES: u64 = 64 << 20;

/// A folder of kept answers.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    mode: Mode,
}

/// A question as it is kept: everything that the answer depends on, and no key.
#[derive(Debug)]
pub(super) struct Question {
    request: Value,
    pub(super) key: String,
}

/// An answer as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// What the server sent.
    pub(super) body: String,
    /// When it did, as RFC 3339 has it.
    pub(super) date: String,
    /// How long it took.
    pub(super) seconds: f64,
    /// Some of its headers. The first files had none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) headers: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    format: String,
    key: String,
    request: Value,
    #[serde(flatten)]
    kept: Kept,
    /// Of the answer and its circumstances.
    sha256: String,
}

impl Question {
    /// * `what`: `answer` or `probe`.
    /// * `sample`: number of this answer among several to the same question.
    pub(super) fn new(what: &str, base: &str, body: &Value, sample: u32) -> Self {
        let mut request = json!({ "what": what, "base": base, "body": body, "sample": sample });
        request.sort_all_objects();
        let key = sha256(canonical(&request).as_bytes());
        Self { request, key }
    }
}

impl Cache {
    /// Makes the folder, unless nothing will be written.
    pub(super) fn new(folder: &Path, mode: Mode) -> Result<Self> {
        if mode != Mode::Offline {
            std::fs::create_dir_all(folder).map_err(|source| Error::Io {
                path: folder.to_owned(),
                doing: "create the folder",
                source,
            })?;
        }
        Ok(Self { folder: folder.to_owned(), mode })
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.json"))
    }

    /// The kept answer, if it may be used. One that is torn, or of another question, is none.
    ///
    /// # Errors
    /// Offline: [`Error::NotKept`], [`Error::Damaged`].
    pub(super) fn find(&self, id: &str, question: &Question) -> Result<Option<Kept>> {
        if self.mode == Mode::Refresh {
            return Ok(None);
        }
        let path = self.path(&question.key);
        let found = match read(&path) {
            Ok(None) if self.mode == Mode::Offline => {
                let (folder, key) = (self.folder.clone(), question.key.clone());
                return Err(Error::NotKept { folder, id: id.to_owned(), key });
            }
            Ok(None) => return Ok(None),
            Ok(Some(text)) => check(&text, question),
            Err(why) => Err(why),
        };
        match found {
            Ok(kept) => Ok(Some(kept)),
            Err(why) if self.mode == Mode::Offline => Err(Error::Damaged { path, id: id.to_owned(), why }),
            // It is asked for again, and the file replaced.
            Err(_) => Ok(None),
        }
    }

    /// Keeps an answer, whole or not at all.
    pub(super) fn keep(&self, question: &Question, kept: &Kept) -> Result<()> {
        let entry = Entry {
            format: FORMAT.to_owned(),
            key: question.key.clone(),
            request: question.request.clone(),
            sha256: digest(kept),
            kept: kept.clone(),
        };
        let text = serde_json::to_string(&entry).expect("strings, numbers and lists of them make JSON");
        let path = self.path(&question.key);
        sc_io::atomic::write_aside(path, true, |file| file.write_all(text.as_bytes())).map_err(Error::Keep)
    }
}

fn read(path: &Path) -> Result<Option<String>, &'static str> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(_) => return Err("it cannot be opened"),
    };
    let mut text = String::new();
    match file.take(MAX_BYTES + 1).read_to_string(&mut text) {
        Ok(n) if n as u64 > MAX_BYTES => Err("it is too large"),
        Ok(_) => Ok(Some(text)),
        Err(_) => Err("it cannot be read as text"),
    }
}

fn check(text: &str, question: &Question) -> Result<Kept, &'static str> {
    let entry: Entry = serde_json::from_str(text).map_err(|_| "it is torn, or of another program")?;
    if entry.format != FORMAT {
        return Err("it is of another version");
    }
    // The question is compared and not only its key, which is what the file says of itself.
    if entry.key != question.key || canonical(&entry.request) != canonical(&question.request) {
        return Err("it answers another question");
    }
    if entry.sha256 != digest(&entry.kept) {
        return Err("the answer was changed");
    }
    Ok(entry.kept)
}

fn digest(kept: &Kept) -> String {
    let value = serde_json::to_value(kept).expect("strings and a number make JSON");
    sha256(canonical(&value).as_bytes())
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// JSON without white space and with sorted keys, whatever order a map keeps.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            let members: Vec<String> = keys
                .into_iter()
                .map(|key| format!("{}:{}", Value::from(key.as_str()), canonical(&map[key])))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(text: &str) -> Question {
        Question::new("answer", "http://localhost/v1", &json!({ "model": "m", "messages": [text] }), 0)
    }

    fn kept() -> Kept {
        Kept {
            body: "{\"a\": \"γδ\"}".to_owned(),
            date: "2026-01-01T00:00:00Z".to_owned(),
            seconds: 0.1,
            headers: BTreeMap::from([("x-request-id".to_owned(), "r-1".to_owned())]),
        }
    }

    #[test]
    fn keys_do_not_depend_on_the_order_of_fields_and_do_on_their_values() {
        let key = |text: &str, sample| {
            Question::new("answer", "b", &serde_json::from_str(text).unwrap(), sample).key
        };
        let first = key(r#"{"a": [1, {"x": null, "y": 0.5}], "b": "c"}"#, 0);
        assert_eq!(first, key(r#"{"b": "c", "a": [1, {"y": 0.5, "x": null}]}"#, 0));
        assert_ne!(first, key(r#"{"b": "c", "a": [{"y": 0.5, "x": null}, 1]}"#, 0));
        assert_ne!(first, key(r#"{"a": [1, {"x": null, "y": 0.5}], "b": "c"}"#, 1));
    }

    #[test]
    fn what_is_kept_is_found_again_and_refreshed_when_asked() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(&folder.path().join("new"), Mode::Online).unwrap();
        assert_eq!(cache.find("a", &question("x")).unwrap(), None);
        cache.keep(&question("x"), &kept()).unwrap();
        assert_eq!(cache.find("a", &question("x")).unwrap(), Some(kept()));
        assert_eq!(cache.find("a", &question("y")).unwrap(), None);
        let at = |mode| Cache::new(&folder.path().join("new"), mode).unwrap();
        assert_eq!(at(Mode::Refresh).find("a", &question("x")).unwrap(), None);
        assert_eq!(at(Mode::Offline).find("a", &question("x")).unwrap(), Some(kept()));
        let e = at(Mode::Offline).find("cluster 7", &question("y")).unwrap_err();
        assert!(e.to_string().contains("cluster 7") && e.help().is_some(), "{e}");
    }

    #[test]
    fn torn_changed_and_foreign_files_are_never_believed() {
        let folder = tempfile::tempdir().unwrap();
        let (online, offline) = (
            Cache::new(folder.path(), Mode::Online).unwrap(),
            Cache::new(folder.path(), Mode::Offline).unwrap(),
        );
        let (question, other) = (question("x"), question("y"));
        online.keep(&question, &kept()).unwrap();
        online.keep(&other, &kept()).unwrap();
        let path = online.path(&question.key);
        let good = std::fs::read(&path).unwrap();
        let text = String::from_utf8(good.clone()).unwrap();
        let foreign = std::fs::read(online.path(&other.key)).unwrap();
        let bad = [
            Vec::new(),
            good[..good.len() / 2].to_vec(),
            b"{}".to_vec(),
            b"\xff\xfe".to_vec(),
            foreign.clone(),
            String::from_utf8(foreign).unwrap().replace(&other.key, &question.key).into_bytes(),
            text.replace("γδ", "αβ").into_bytes(),
            text.replace("2026", "2025").into_bytes(),
            text.replace("r-1", "r-2").into_bytes(),
            text.replace(FORMAT, "sc-llm answer 0").into_bytes(),
        ];
        for bytes in bad {
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(online.find("a", &question).unwrap(), None, "{}", String::from_utf8_lossy(&bytes));
            let e = offline.find("a", &question).unwrap_err();
            assert!(matches!(&e, Error::Damaged { .. }) && e.help().is_some(), "{e}");
        }
        online.keep(&question, &kept()).unwrap();
        assert_eq!(offline.find("a", &question).unwrap(), Some(kept()));
    }
}
