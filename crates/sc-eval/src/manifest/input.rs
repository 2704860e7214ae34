//! Input files, known by their content.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFile {
    /// The path as the caller gave it; for a file of a folder, the folder's path and the file's name.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its content, 64 lowercase hexadecimal digits.
    pub sha256: String,
}

/// Sizes and SHA-256 of a file, or of every file that lies directly in a folder (a 10x folder), sorted by name.
///
/// Files are read in blocks: the memory needed does not depend on their size.
///
/// # Errors
/// [`Error::Io`] for a file that cannot be read, or that is neither a regular file nor a folder (a pipe has no content
/// to be known by).
pub fn hash_input(path: &Path) -> Result<Vec<InputFile>> {
    let at = |source| Error::Io { action: "read", path: path.to_owned(), source };
    if !fs::metadata(path).map_err(at)?.is_dir() {
        return Ok(vec![hash_file(path)?]);
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(at)? {
        let name = path.join(entry.map_err(at)?.file_name());
        if fs::metadata(&name).map_err(at)?.is_file() {
            names.push(name);
        }
    }
    names.sort();
    names.iter().map(|name| hash_file(name)).collect()
}

fn hash_file(path: &Path) -> Result<InputFile> {
    let at = |source| Error::Io { action: "read", path: path.to_owned(), source };
    if !fs::metadata(path).map_err(at)?.is_file() {
        return Err(at(std::io::Error::other("not a regular file")));
    }
    let mut file = File::open(path).map_err(at)?;
    let mut block = vec![0; 1 << 16];
    let mut digest = Sha256::new();
    let mut bytes = 0;
    loop {
        match file.read(&mut block) {
            Ok(0) => break,
            Ok(n) => {
                digest.update(&block[..n]);
                bytes += n as u64;
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(at(e)),
        }
    }
    let sha256 = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(InputFile { path: path.display().to_string(), bytes, sha256 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_a_file_is_that_of_the_standard_s_example() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("abc.txt");
        fs::write(&path, "abc").unwrap();
        let [file] = hash_input(&path).unwrap().try_into().unwrap();
        // FIPS 180-4, example of SHA-256 on "abc".
        assert_eq!(file.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(file.bytes, 3);
        assert_eq!(file.path, path.display().to_string());
    }

    #[test]
    fn a_folder_is_each_of_its_files_in_order_of_name() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["matrix.mtx", "barcodes.tsv", "genes.tsv"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        fs::create_dir(dir.path().join("deeper")).unwrap();
        let files = hash_input(dir.path()).unwrap();
        let names: Vec<_> = files.iter().map(|f| f.path.rsplit(['/', '\\']).next().unwrap()).collect();
        assert_eq!(names, ["barcodes.tsv", "genes.tsv", "matrix.mtx"]);
    }

    #[test]
    fn a_file_larger_than_a_block_is_hashed_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, vec![b'a'; 1_000_000]).unwrap();
        // FIPS 180-2, example B.3: a million times "a".
        let expected = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
        assert_eq!(hash_input(&path).unwrap()[0].sha256, expected);
    }

    #[test]
    fn a_missing_file_is_named() {
        let missing = hash_input(Path::new("no/such/file.h5ad")).unwrap_err();
        assert_eq!(missing.to_string(), "cannot read `no/such/file.h5ad`");
    }
}
