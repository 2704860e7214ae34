//! Which files of a folder are the checkpoint.

use std::path::{Path, PathBuf};

use super::{Error, hub};

/// Names that a checkpoint has, in the order in which they are looked for.
const NAMES: [&str; 7] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "adapter_model.safetensors",
    "best_model.pt",
    "models.ckpt",
];
/// Endings of files that may be one under another name.
const ENDINGS: [&str; 4] = ["safetensors", "pt", "ckpt", "bin"];
/// Not weights, though its ending is that of weights.
const ARGUMENTS: &str = "training_args.bin";

/// A checkpoint on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) file: PathBuf,
    /// The commit, if it lies in a cache that says so.
    pub(crate) revision: Option<String>,
}

/// The file that a path means: itself; of a folder the first name on the list, else the one file with the ending of
/// weights; of a model's folder in a hub cache the file of its revision `main`.
pub(crate) fn find(path: &Path) -> Result<Found, Error> {
    if !path.is_dir() {
        return Ok(Found { file: path.to_owned(), revision: hub::revision(path) });
    }
    if path.join("snapshots").is_dir() {
        let snapshot = hub::resolve(path, "main")?;
        return Ok(Found { revision: Some(snapshot.revision), file: in_folder(&snapshot.path)? });
    }
    let file = in_folder(path)?;
    Ok(Found { revision: hub::revision(&file), file })
}

fn in_folder(folder: &Path) -> Result<PathBuf, Error> {
    // A link that leads nowhere is the checkpoint all the same: opening it says what is missing.
    let named = NAMES.iter().map(|name| folder.join(name)).find(|path| path.symlink_metadata().is_ok());
    if let Some(path) = named {
        return Ok(path);
    }
    let failed = |source| Error::Io { path: folder.to_owned(), doing: "list", source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if ENDINGS.contains(&ending)
            && path.file_name().is_some_and(|name| name != ARGUMENTS)
            && !path.is_dir()
        {
            files.push(path);
        }
    }
    files.sort_unstable();
    match files.len() {
        1 => Ok(files.remove(0)),
        _ => {
            let names =
                files.iter().filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
            Err(Error::NoCheckpoint { path: folder.to_owned(), found: names.collect() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        names.iter().for_each(|name| std::fs::write(folder.path().join(name), b"").unwrap());
        folder
    }

    fn found(names: &[&str]) -> Result<String, Error> {
        let folder = folder(names);
        find(folder.path()).map(|found| found.file.file_name().unwrap().to_str().unwrap().to_owned())
    }

    #[test]
    fn safetensors_come_before_their_shards_and_these_before_pickles() {
        let all = [
            "pytorch_model.bin",
            "model.safetensors.index.json",
            "model.safetensors",
            "best_model.pt",
            "x.pt",
        ];
        assert_eq!(found(&all).unwrap(), "model.safetensors");
        assert_eq!(found(&all[..2]).unwrap(), "model.safetensors.index.json");
        assert_eq!(found(&["best_model.pt", "pytorch_model.bin"]).unwrap(), "pytorch_model.bin");
        assert_eq!(found(&["args.json", "best_model.pt", "other.pt"]).unwrap(), "best_model.pt");
    }

    #[test]
    fn a_single_file_of_another_name_is_taken_and_of_two_none() {
        assert_eq!(found(&["scgpt.pt", "training_args.bin"]).unwrap(), "scgpt.pt");
        let error = found(&["b.pt", "a.ckpt"]).unwrap_err();
        assert!(error.to_string().ends_with("2 files could be the checkpoint: a.ckpt, b.pt"), "{error}");
        assert!(error.help().unwrap().contains("name the file"));
        let error = found(&["training_args.bin"]).unwrap_err();
        assert!(error.to_string().ends_with("no checkpoint in this folder"), "{error}");
    }
}
