//! Answers on disk while a run is at work: a line of JSON for each, so that a run that was cut off goes on where it was.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sc_examples::end::Usage;
use sc_llm::cellreasoner::Record;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

#[derive(Serialize, Deserialize, PartialEq)]
struct Head {
    /// SHA-256 of everything that the answers depend on.
    run: String,
}

#[derive(Serialize, Deserialize)]
struct Line {
    /// Place of the record, from 0.
    record: usize,
    response: String,
}

/// The answers so far.
pub(super) struct Answers {
    path: PathBuf,
    file: File,
    /// For each record the answer, if there is one.
    pub(super) responses: Vec<Option<String>>,
}

impl Answers {
    /// Opens the file of a run, or begins it.
    ///
    /// * `asked`: model and parameters, in words.
    ///
    /// # Errors
    /// A file of another run; one that cannot be read or written.
    pub(super) fn open(path: PathBuf, records: &[Record], asked: &str, force: bool) -> Result<Self> {
        let head = Head { run: identity(records, asked) };
        let mut responses = vec![None; records.len()];
        let context = || format!("cannot read or write {}", path.display());
        if force && path.exists() {
            std::fs::remove_file(&path).with_context(context)?;
        }
        if path.exists() {
            let mut lines = BufReader::new(File::open(&path).with_context(context)?).split(b'\n');
            let first = lines.next().transpose().with_context(context)?.unwrap_or_default();
            let is_ours = serde_json::from_slice::<Head>(&first).is_ok_and(|found| found == head);
            // What was cut off in the first line was no answer.
            if !is_ours && serde_json::from_slice::<Head>(&first).is_ok() {
                bail!(Usage(format!(
                    "{} holds answers of another model, other records or other flags: remove it, or pass --force",
                    path.display()
                )));
            }
            for line in lines {
                let line = line.with_context(context)?;
                // The last line may be torn; its record is asked again.
                if let Ok(Line { record, response }) = serde_json::from_slice(&line)
                    && let Some(place) = responses.get_mut(record)
                {
                    *place = Some(response);
                }
            }
            if !is_ours {
                responses.fill(None);
            }
        }
        // Written anew, so that no torn line is left in the middle.
        let mut all = serde_json::to_vec(&head)?;
        all.push(b'\n');
        for (record, response) in responses.iter().enumerate() {
            if let Some(response) = response {
                serde_json::to_writer(&mut all, &Line { record, response: response.clone() })?;
                all.push(b'\n');
            }
        }
        sc_io::atomic::write_aside(&path, true, |file| file.write_all(&all))?;
        let file = OpenOptions::new().append(true).open(&path).with_context(context)?;
        Ok(Self { path, file, responses })
    }

    /// Number of answers.
    pub(super) fn n_done(&self) -> usize {
        self.responses.iter().flatten().count()
    }

    /// Adds an answer.
    pub(super) fn push(&mut self, record: usize, response: String) -> Result<()> {
        let mut line = serde_json::to_vec(&Line { record, response: response.clone() })?;
        line.push(b'\n');
        self.file.write_all(&line).with_context(|| format!("cannot write {}", self.path.display()))?;
        self.responses[record] = Some(response);
        Ok(())
    }

    /// Removes the file, when the result is written.
    pub(super) fn finish(self) -> Result<()> {
        drop(self.file);
        std::fs::remove_file(&self.path).with_context(|| format!("cannot remove {}", self.path.display()))
    }
}

fn identity(records: &[Record], asked: &str) -> String {
    let mut sha = Sha256::new();
    for text in
        [asked].into_iter().chain(records.iter().flat_map(|record| {
            [record.cell_name.as_str(), record.instruction.as_str(), record.input.as_str()]
        }))
    {
        sha.update((text.len() as u64).to_le_bytes());
        sha.update(text);
    }
    sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `NAME_CellReasoner_result.partial.jsonl` of the result's path.
pub(super) fn partial(result: &Path) -> PathBuf {
    result.with_extension("partial.jsonl")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Vec<Record> {
        let one = |name: &str| Record {
            cell_name: name.to_owned(),
            instruction: "say".to_owned(),
            input: "CD3D".to_owned(),
            output: None,
        };
        vec![one("a"), one("b"), one("c")]
    }

    #[test]
    fn goes_on_after_a_torn_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.partial.jsonl");
        let mut answers = Answers::open(path.clone(), &records(), "model", false).unwrap();
        answers.push(2, "T cell\n\"quoted\"".to_owned()).unwrap();
        answers.push(0, "B cell".to_owned()).unwrap();
        drop(answers);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 4]).unwrap();
        let mut answers = Answers::open(path.clone(), &records(), "model", false).unwrap();
        assert_eq!(answers.responses, [None, None, Some("T cell\n\"quoted\"".to_owned())]);
        answers.push(0, "B cell".to_owned()).unwrap();
        drop(answers);
        assert_eq!(std::fs::read(&path).unwrap(), whole);
        Answers::open(path.clone(), &records(), "model", false).unwrap().finish().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn answers_of_another_run_are_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.partial.jsonl");
        Answers::open(path.clone(), &records(), "model", false).unwrap().push(0, "B".to_owned()).unwrap();
        let error = Answers::open(path.clone(), &records(), "other", false).err().unwrap();
        assert!(error.to_string().contains("holds answers of another model"), "{error}");
        assert_eq!(Answers::open(path, &records(), "other", true).unwrap().n_done(), 0);
    }
}
