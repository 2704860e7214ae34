//! Files of a report, put in place together, without touching anybody else's.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// The file that lists the others with their SHA-256.
pub(super) const INDEX: &str = "metrics.json";

/// A file of a report that is not yet on disk.
#[derive(Clone, PartialEq, Eq)]
pub struct OutputFile {
    /// Its name, without a folder.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// A file by name and content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileRecord {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

impl fmt::Debug for OutputFile {
    /// The name and the size: the content is mostly pictures.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({} bytes)", self.name, self.bytes.len())
    }
}

impl OutputFile {
    pub(super) fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), bytes: bytes.into() }
    }

    pub(super) fn record(&self) -> FileRecord {
        let (name, bytes) = (self.name.clone(), self.bytes.len() as u64);
        FileRecord { name, bytes, sha256: hex(&self.bytes) }
    }
}

/// Whether [`write_files`] may write into `dir`: for a program to ask before hours of work.
///
/// # Errors
/// [`Error::NotEmpty`] for a folder with files and no `overwrite`; [`Error::Io`] for a folder that cannot be read, or
/// something else of that name.
pub fn check_folder(dir: &Path, overwrite: bool) -> Result<()> {
    match fs::read_dir(dir) {
        Ok(mut entries) => match entries.next() {
            Some(_) if !overwrite => Err(Error::NotEmpty { path: dir.to_owned() }),
            _ => Ok(()),
        },
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Error::Io { action: "read", path: dir.to_owned(), source }),
    }
}

/// Writes files into a folder: first aside, all of them, then each renamed to its name.
///
/// * A folder that does not exist, or is empty, is filled; parents are made as needed.
/// * With `overwrite`, files of these names are replaced in a folder that is not empty. Files that an earlier report
///   put there and this one has no more (such as the figure of a model that is now left out) are removed if they are
///   unchanged: their SHA-256 is the one in the earlier `metrics.json`. Nothing else is touched.
///
/// A crash before the renaming leaves the folder as it was, and a folder `.report-…` beside its files. Should one of
/// `files` be `metrics.json`, it is renamed last: whoever reads it finds the files it lists.
///
/// # Errors
/// [`Error::NotEmpty`] for a folder with files and no `overwrite`; [`Error::Parameter`] for a name that is not just
/// letters, digits, `.`, `_` and `-`; [`Error::Io`].
pub fn write_files(dir: &Path, files: &[OutputFile], overwrite: bool) -> Result<()> {
    if let Some(file) = files.iter().find(|file| !is_plain(&file.name)) {
        let expected = "names of letters, digits, `.`, `_` and `-`";
        return Err(Error::Parameter { name: "files", value: file.name.clone(), expected });
    }
    let at = |action, path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { action, path, source }
    };
    fs::create_dir_all(dir).map_err(at("create", dir))?;
    check_folder(dir, overwrite)?;
    let stale = stale(dir, files);
    let aside = tempfile::Builder::new().prefix(".report-").tempdir_in(dir).map_err(at("write into", dir))?;
    for file in files {
        let path = aside.path().join(&file.name);
        let write = || -> std::io::Result<()> {
            let mut out = File::create(&path)?;
            out.write_all(&file.bytes)?;
            out.sync_all()
        };
        write().map_err(at("write", &path))?;
    }
    let (index, others): (Vec<_>, Vec<_>) = files.iter().partition(|file| file.name == INDEX);
    for file in others.into_iter().chain(index) {
        let path = dir.join(&file.name);
        fs::rename(aside.path().join(&file.name), &path).map_err(at("replace", &path))?;
    }
    for path in stale {
        fs::remove_file(&path).map_err(at("remove", &path))?;
    }
    aside.close().map_err(at("remove a temporary folder in", dir))?;
    // The names are on disk once the folder is; not every system can open a folder, and none needs to.
    if let Ok(folder) = File::open(dir) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// Files of an earlier report in `dir` that are unchanged since and that `files` does not replace.
///
/// The earlier index is read as what it is: a file that anybody may have written. A name with a folder in it, a link,
/// or a file with another content is left alone.
fn stale(dir: &Path, files: &[OutputFile]) -> Vec<PathBuf> {
    #[derive(Deserialize)]
    struct Index {
        files: Vec<FileRecord>,
    }
    let Some(bytes) = read_regular(&dir.join(INDEX)) else { return Vec::new() };
    let Ok(index) = serde_json::from_slice::<Index>(&bytes) else { return Vec::new() };
    let replaced: BTreeSet<&str> = files.iter().map(|file| file.name.as_str()).collect();
    let ours = |record: &FileRecord| {
        is_plain(&record.name)
            && !replaced.contains(record.name.as_str())
            && read_regular(&dir.join(&record.name)).is_some_and(|bytes| hex(&bytes) == record.sha256)
    };
    index.files.iter().filter(|record| ours(record)).map(|record| dir.join(&record.name)).collect()
}

/// Whether a name stays in its folder on every system.
fn is_plain(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    name.bytes().all(plain) && name.bytes().any(|b| b.is_ascii_alphanumeric())
}

fn read_regular(path: &Path) -> Option<Vec<u8>> {
    let kind = fs::symlink_metadata(path).ok()?;
    if kind.is_file() { fs::read(path).ok() } else { None }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A name as part of a file's name: letters, digits, `-` and `_`, lowercase; numbered if `taken`.
pub(super) fn slug(name: &str, taken: impl Fn(&str) -> bool) -> String {
    let fold = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_alphanumeric() || c == '-' => c,
        _ => '_',
    };
    let base: String = name.chars().take(60).map(fold).collect();
    if !taken(&base) {
        return base;
    }
    (2..).map(|n| format!("{base}_{n}")).find(|name| !taken(name)).expect("some number is free")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> Vec<OutputFile> {
        let mut files: Vec<_> = names.iter().map(|&name| OutputFile::new(name, name)).collect();
        let records: Vec<_> = files.iter().map(OutputFile::record).collect();
        files.push(OutputFile::new(INDEX, serde_json::json!({ "files": records }).to_string()));
        files
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_new_folder_is_made_with_its_parents() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("results/blood");
        write_files(&dir, &files(&["report.html"]), false).unwrap();
        assert_eq!(names(&dir), ["metrics.json", "report.html"]);
    }

    #[test]
    fn a_folder_with_files_is_refused_with_advice_and_left_alone() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("thesis.docx"), "years of work").unwrap();
        let refused = write_files(root.path(), &files(&["report.html"]), false).unwrap_err();
        assert!(refused.to_string().ends_with("exists and is not empty"), "{refused}");
        assert!(refused.help().unwrap().contains("--force"));
        assert_eq!(names(root.path()), ["thesis.docx"]);
    }

    #[test]
    fn a_program_can_ask_before_its_work_whether_it_may_write() {
        let root = tempfile::tempdir().unwrap();
        let (new, file) = (root.path().join("new"), root.path().join("file"));
        check_folder(root.path(), false).unwrap();
        check_folder(&new, false).unwrap();
        assert!(!new.exists());
        fs::write(&file, "x").unwrap();
        assert!(matches!(check_folder(root.path(), false), Err(Error::NotEmpty { .. })));
        check_folder(root.path(), true).unwrap();
        assert!(matches!(check_folder(&file, true), Err(Error::Io { .. })));
    }

    #[test]
    fn overwriting_replaces_our_files_removes_our_old_ones_and_keeps_all_others() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path();
        write_files(dir, &files(&["report.html", "confusion_a.png", "confusion_b.png"]), false).unwrap();
        fs::write(dir.join("confusion_b.png"), "touched up by hand").unwrap();
        fs::write(dir.join("confusion_mine.png"), "not ours").unwrap();
        fs::create_dir(dir.join("notes")).unwrap();
        fs::write(dir.join("report.html"), "older").unwrap();
        write_files(dir, &files(&["report.html"]), true).unwrap();
        let expected = ["confusion_b.png", "confusion_mine.png", "metrics.json", "notes", "report.html"];
        assert_eq!(names(dir), expected);
        assert_eq!(fs::read(dir.join("report.html")).unwrap(), b"report.html");
    }

    #[test]
    fn a_hostile_index_removes_nothing_outside_the_folder() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("results");
        fs::create_dir(&dir).unwrap();
        let victim = root.path().join("victim.txt");
        fs::write(&victim, "v").unwrap();
        let sha256 = hex(b"v");
        for name in ["../victim.txt", victim.to_str().unwrap(), "..", ".", ""] {
            let index = serde_json::json!({ "files": [{ "name": name, "bytes": 1, "sha256": sha256 }] });
            fs::write(dir.join(INDEX), index.to_string()).unwrap();
            write_files(&dir, &files(&["report.html"]), true).unwrap();
            assert!(victim.exists(), "{name}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_under_our_name_is_replaced_and_not_written_through() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("results");
        fs::create_dir(&dir).unwrap();
        let target = root.path().join("elsewhere.html");
        fs::write(&target, "untouched").unwrap();
        std::os::unix::fs::symlink(&target, dir.join("report.html")).unwrap();
        write_files(&dir, &files(&["report.html"]), true).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "untouched");
        assert!(fs::symlink_metadata(dir.join("report.html")).unwrap().is_file());
    }

    #[test]
    fn names_become_parts_of_file_names() {
        assert_eq!(slug("SVM (RBF)", |_| false), "svm__rbf_");
        assert_eq!(slug("../../etc/passwd", |_| false), "______etc_passwd");
        assert_eq!(slug("knn", |name| name == "knn"), "knn_2");
        assert_eq!(slug("γδ", |_| false), "__");
    }

    #[test]
    fn a_file_outside_the_folder_is_refused() {
        let root = tempfile::tempdir().unwrap();
        for name in ["../x", "/x", "a/b", "..", "", "a\\b", "a\0b"] {
            let refused = write_files(root.path(), &[OutputFile::new(name, "x")], true);
            assert!(matches!(refused, Err(Error::Parameter { .. })), "{name}");
        }
    }
}
