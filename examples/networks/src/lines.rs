//! Lines of JSON on disk, written as they come, so that a run that was cut off goes on where it was.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sc_examples::end::Usage;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The first line of a file that belongs to one run alone.
#[derive(Serialize, Deserialize, PartialEq)]
struct Head {
    /// SHA-256 of all that its lines depend on.
    run: String,
}

/// A file of lines. It is there from the first line on, so a run that never came so far leaves none.
pub(crate) struct Lines {
    path: PathBuf,
    /// To be written before the first line.
    head: Option<Head>,
    file: Option<File>,
}

impl Lines {
    /// Reads the lines of a run that was cut off. What follows the last line break is dropped; a line that is no `T` is
    /// passed over.
    ///
    /// * `run`: the [`fingerprint`] of the run, for a file that belongs to it alone.
    /// * `anew`: forgets the lines that are there.
    ///
    /// # Errors
    /// A file of another run, one that another process writes, and one that cannot be read or written.
    pub(crate) fn open<T: DeserializeOwned>(
        path: &Path,
        run: Option<String>,
        anew: bool,
    ) -> Result<(Self, Vec<T>)> {
        let context = || format!("cannot read or write {}", path.display());
        let mut lines = Self { path: path.to_owned(), head: run.map(|run| Head { run }), file: None };
        let mut file = match OpenOptions::new().read(true).write(true).open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok((lines, Vec::new())),
            opened => opened.with_context(context)?,
        };
        lines.lock(&file)?;
        let mut bytes = Vec::new();
        if !anew {
            file.read_to_end(&mut bytes).with_context(context)?;
        }
        bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1));
        let (first, mut rest) = match bytes.iter().position(|byte| *byte == b'\n') {
            Some(end) if lines.head.is_some() => (Some(&bytes[..end]), &bytes[end + 1..]),
            _ => (None, bytes.as_slice()),
        };
        let mut kept = bytes.len();
        if let (Some(head), Some(first)) = (&lines.head, first) {
            let is_ours = serde_json::from_slice::<Head>(first).is_ok_and(|found| found == *head);
            if !is_ours && !rest.is_empty() {
                bail!(Usage(format!(
                    "{} holds answers of another model, other records or other flags: remove it, or pass --force",
                    path.display()
                )));
            }
            if !is_ours {
                // Of a run that came to no line.
                (kept, rest) = (0, &[]);
            }
        }
        let found = rest.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
        let found = found.collect();
        file.set_len(kept as u64).with_context(context)?;
        file.seek(SeekFrom::Start(kept as u64)).with_context(context)?;
        if kept > 0 {
            lines.head = None;
        }
        lines.file = Some(file);
        Ok((lines, found))
    }

    /// Adds a line.
    pub(crate) fn push(&mut self, line: &impl Serialize) -> Result<()> {
        let context = || format!("cannot write {}", self.path.display());
        if self.file.is_none() {
            if let Some(folder) = self.path.parent() {
                std::fs::create_dir_all(folder).with_context(context)?;
            }
            let file =
                OpenOptions::new().write(true).create_new(true).open(&self.path).with_context(context)?;
            self.lock(&file)?;
            self.file = Some(file);
        }
        let mut text = Vec::new();
        if let Some(head) = self.head.take() {
            serde_json::to_writer(&mut text, &head)?;
            text.push(b'\n');
        }
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
        let file = self.file.as_mut().expect("it was opened above");
        file.write_all(&text).with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Removes the file, when what it held is elsewhere.
    pub(crate) fn remove(self) -> Result<()> {
        if self.file.is_some() {
            drop(self.file);
            std::fs::remove_file(&self.path)
                .with_context(|| format!("cannot remove {}", self.path.display()))?;
        }
        Ok(())
    }

    /// Keeps another process from writing the same file; where the file system knows no locks, nothing does.
    fn lock(&self, file: &File) -> Result<()> {
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            bail!(Usage(format!("{} is being written by another run", self.path.display())));
        }
        Ok(())
    }
}

/// Removes what a run that was killed left of files that it was writing aside. No other run may be at work in the folder.
pub(crate) fn sweep(folder: &Path) -> Result<()> {
    let context = || format!("cannot clean {}", folder.display());
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(context)?,
    };
    for entry in entries {
        let entry = entry.with_context(context)?;
        let (name, kind) = (entry.file_name(), entry.file_type().with_context(context)?);
        let name = name.to_string_lossy();
        if kind.is_file() && name.starts_with(".sc-") && name.ends_with(".part") {
            std::fs::remove_file(entry.path()).with_context(context)?;
        }
        if kind.is_dir() && name.starts_with(".report-") {
            std::fs::remove_dir_all(entry.path()).with_context(context)?;
        }
    }
    Ok(())
}

/// SHA-256 of texts, each with its length.
pub(crate) fn fingerprint<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut sha = Sha256::new();
    for text in texts {
        sha.update((text.len() as u64).to_le_bytes());
        sha.update(text);
    }
    sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path, run: Option<&str>, anew: bool) -> Result<(Lines, Vec<String>)> {
        Lines::open(path, run.map(str::to_owned), anew)
    }

    #[test]
    fn a_run_goes_on_behind_its_last_whole_line_wherever_it_was_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/when/needed.jsonl");
        for run in [None, Some("ours")] {
            let (mut lines, found) = open(&path, run, true).unwrap();
            assert!(found.is_empty());
            let words = ["one\n\"two\"", "γδ", ""];
            words.iter().for_each(|word| lines.push(word).unwrap());
            drop(lines);
            let whole = std::fs::read(&path).unwrap();
            for cut in 0..=whole.len() {
                std::fs::write(&path, &whole[..cut]).unwrap();
                let (mut lines, found) = open(&path, run, false).unwrap();
                assert_eq!(found, words[..found.len()]);
                words[found.len()..].iter().for_each(|word| lines.push(word).unwrap());
                drop(lines);
                assert_eq!(std::fs::read(&path).unwrap(), whole, "cut at {cut}");
            }
        }
    }

    #[test]
    fn only_what_was_being_written_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".sc-abc.part", ".sc-abc", "x.part", "report.html"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        for name in [".report-abc", "report-abc"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        sweep(folder.path()).unwrap();
        sweep(&folder.path().join("nowhere")).unwrap();
        let entries = std::fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, [".sc-abc", "report-abc", "report.html", "x.part"]);
    }

    #[test]
    fn there_is_a_file_from_the_first_line_to_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        drop(open(&path, Some("a"), false).unwrap());
        assert!(!path.exists());
        let (mut lines, _) = open(&path, Some("a"), false).unwrap();
        lines.push(&"one").unwrap();
        let busy = open(&path, Some("a"), false).err().unwrap();
        assert!(busy.to_string().contains("is being written by another run"), "{busy}");
        drop(lines);
        open(&path, Some("a"), false).unwrap().0.remove().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn lines_of_another_run_are_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        open(&path, Some("a"), false).unwrap().0.push(&"one").unwrap();
        for run in ["b", "{}"] {
            let error = open(&path, Some(run), false).err().unwrap();
            assert!(error.to_string().contains("holds answers of another model"), "{error}");
        }
        assert_eq!(open(&path, Some("a"), false).unwrap().1, ["one"]);
        let (mut lines, found) = open(&path, Some("b"), true).unwrap();
        assert!(found.is_empty());
        lines.push(&"two").unwrap();
        drop(lines);
        assert_eq!(open(&path, Some("b"), false).unwrap().1, ["two"]);
        // A head alone binds nobody.
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.lines().next().unwrap().to_owned() + "\n").unwrap();
        open(&path, Some("c"), false).unwrap().0.push(&"three").unwrap();
        assert_eq!(open(&path, Some("c"), false).unwrap().1, ["three"]);
    }
}
