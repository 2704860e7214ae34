//! The folders in which the hub's own programs keep what they have downloaded:
//! `<cache>/models--<owner>--<name>/{refs/<branch>, snapshots/<commit>/<file>, blobs/<hash>}`, where the files of a snapshot
//! are links to blobs.

use std::path::{Path, PathBuf};

use super::Error;
use super::source::Source;

/// A commit has 40 digits.
const MAX_REFERENCE: u64 = 256;

/// The files of one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The folder with the files.
    pub path: PathBuf,
    /// The commit.
    pub revision: String,
}

/// The files of a repository such as `ctheodoris/Geneformer` in the cache that the caller names, at a branch or a whole
/// commit.
///
/// # Errors
/// [`Error::NotCached`] if the cache does not have it, [`Error::Io`].
pub fn snapshot(cache: impl AsRef<Path>, repository: &str, revision: &str) -> Result<Snapshot, Error> {
    let is_name = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    let folder = cache.as_ref().join(format!("models--{}", repository.replace('/', "--")));
    if !repository.split('/').all(is_name) || repository.split('/').count() > 2 || !folder.is_dir() {
        return Err(Error::NotCached { path: folder, revision: revision.to_owned() });
    }
    resolve(&folder, revision)
}

/// The same, from the folder `models--<owner>--<name>`.
///
/// # Errors
/// As [`snapshot`].
pub fn resolve(folder: &Path, revision: &str) -> Result<Snapshot, Error> {
    let missing = || Error::NotCached { path: folder.to_owned(), revision: revision.to_owned() };
    let steps_inside =
        |name: &str| !name.is_empty() && name.split(['/', '\\']).all(|part| !matches!(part, "" | "." | ".."));
    if !steps_inside(revision) {
        return Err(missing());
    }
    let reference = folder.join("refs").join(revision);
    let commit = match reference.is_file() {
        true => {
            String::from_utf8_lossy(&Source::open(&reference)?.read_all(MAX_REFERENCE)?).trim().to_owned()
        }
        false => revision.to_owned(),
    };
    let path = folder.join("snapshots").join(&commit);
    match is_commit(&commit) && path.is_dir() {
        true => Ok(Snapshot { path, revision: commit }),
        false => Err(missing()),
    }
}

/// The commit that a file of a snapshot belongs to, by the names of the folders above it.
pub(crate) fn revision(file: &Path) -> Option<String> {
    let names: Vec<&str> = file.iter().filter_map(|name| name.to_str()).collect();
    let pair = names.windows(2).rev().find(|pair| pair[0] == "snapshots" && is_commit(pair[1]))?;
    Some(pair[1].to_owned())
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn a_branch_leads_to_its_commit_and_a_commit_to_itself() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("models--lab--Model");
        let files = folder.join("snapshots").join(COMMIT);
        std::fs::create_dir_all(&files).unwrap();
        std::fs::create_dir_all(folder.join("refs/pr")).unwrap();
        std::fs::write(folder.join("refs/main"), format!("{COMMIT}\n")).unwrap();
        std::fs::write(folder.join("refs/pr/1"), "../../..").unwrap();
        let expected = Snapshot { path: files.clone(), revision: COMMIT.to_owned() };
        assert_eq!(snapshot(cache.path(), "lab/Model", "main").unwrap(), expected);
        assert_eq!(snapshot(cache.path(), "lab/Model", COMMIT).unwrap(), expected);
        assert_eq!(revision(&files.join("V2/model.safetensors")).as_deref(), Some(COMMIT));
        assert_eq!(revision(Path::new("snapshots/latest/model.safetensors")), None);
        for (repository, revision) in [
            ("lab/Model", "v2"),
            ("lab/Model", "pr/1"),
            ("lab/Model", "../main"),
            ("lab/Model", ""),
            ("lab/Other", "main"),
            ("../lab", "main"),
        ] {
            let error = snapshot(cache.path(), repository, revision).unwrap_err();
            assert!(matches!(error, Error::NotCached { .. }), "{repository} {revision}: {error}");
            assert!(error.help().is_some());
        }
    }
}
