//! The dictionaries of a release, as the files it comes with.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Vocabulary;
use crate::checkpoint::dictionary;
use crate::tokenize::{Error, Result};

/// Each dictionary: what it is, and how its file starts.
const TOKENS: (&str, &str) = ("token dictionary", "token_dictionary");
const MEDIANS: (&str, &str) = ("dictionary of medians", "gene_median_dictionary");
const MAPPING: (&str, &str) = ("mapping to Ensembl ids", "ensembl_mapping_dict");

impl Vocabulary {
    /// Reads the three dictionaries of a release from a folder: `token_dictionary*`, `gene_median_dictionary*` and
    /// `ensembl_mapping_dict*`, each as the released pickle (`.pkl`, of which nothing is executed) or as `.json`.
    ///
    /// # Errors
    /// [`Error::NoDictionary`] if one is not there, [`Error::SeveralDictionaries`] if the folder has those of several
    /// releases, [`Error::Checkpoint`] if a file cannot be read, and the errors of [`Vocabulary::new`].
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        Self::open_series(folder, "")
    }

    /// As [`Vocabulary::open`], for a folder with several releases.
    ///
    /// * `series`: what the names of the files end in, such as `gc104M` or `gc30M`.
    ///
    /// # Errors
    /// As [`Vocabulary::open`].
    pub fn open_series(folder: impl AsRef<Path>, series: &str) -> Result<Self> {
        let folder = folder.as_ref();
        let [tokens, medians, mapping] = [TOKENS, MEDIANS, MAPPING].map(|kind| find(folder, kind, series));
        Self::open_files(tokens?, medians?, Some(mapping?))
    }

    /// Reads the dictionaries from files of any name. Without a mapping, only the Ensembl ids of the token dictionary
    /// are known.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if a file cannot be read, and the errors of [`Vocabulary::new`].
    pub fn open_files(
        tokens: impl AsRef<Path>,
        medians: impl AsRef<Path>,
        mapping: Option<impl AsRef<Path>>,
    ) -> Result<Self> {
        let vocabulary = Self::new(dictionary::tokens(tokens)?, dictionary::numbers(medians)?)?;
        Ok(match mapping {
            Some(mapping) => vocabulary.with_mapping(dictionary::texts(mapping)?),
            None => vocabulary,
        })
    }

    /// Writes the three dictionaries into a folder as `token_dictionary.json`, `gene_median_dictionary.json` and
    /// `ensembl_mapping_dict.json`: [`Vocabulary::open`] knows the same ids. Without a mapping, each gene is mapped to
    /// itself.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be written or, with `overwrite` false, is there.
    pub fn save(&self, folder: impl AsRef<Path>, overwrite: bool) -> Result<()> {
        let write = |(_, start): (&str, &str), entries: BTreeMap<&str, Value>| {
            let path = folder.as_ref().join(format!("{start}.json"));
            let text = serde_json::json!(entries).to_string();
            sc_io::atomic::write_aside(path, overwrite, |file| file.write_all(text.as_bytes()))
        };
        let genes = || self.genes.iter().map(|(id, gene)| (id.as_str(), gene));
        let by_token: HashMap<u32, &str> = genes().map(|(id, gene)| (gene.token, id)).collect();
        write(TOKENS, self.keys().map(|(id, token)| (id, token.into())).collect())?;
        write(MEDIANS, genes().map(|(id, gene)| (id, gene.median.into())).collect())?;
        let mapping = self.mapping.as_ref().unwrap_or(&self.genes).iter();
        write(MAPPING, mapping.map(|(id, gene)| (id.as_str(), by_token[&gene.token].into())).collect())?;
        Ok(())
    }

    /// The same vocabulary with a mapping of each gene to itself, if it has none.
    #[cfg(test)]
    pub(crate) fn with_own_ids(mut self) -> Self {
        self.mapping = self.mapping.or_else(|| Some(self.genes.clone()));
        self
    }
}

/// The one file of a folder that starts as it should and ends in the series.
fn find(folder: &Path, (what, start): (&'static str, &str), series: &str) -> Result<PathBuf> {
    let unreadable = |source| sc_io::Error::Io { path: folder.to_owned(), doing: "read", source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned();
        let stem = [".pkl", ".json"].iter().find_map(|end| name.strip_suffix(end));
        if stem.is_some_and(|stem| stem.starts_with(start) && stem.ends_with(series)) {
            found.push(name);
        }
    }
    found.sort();
    match found.as_slice() {
        [one] => Ok(folder.join(one)),
        [] => {
            let pattern = format!("{start}*{series}.pkl or .json");
            Err(Error::NoDictionary { folder: folder.to_owned(), what, pattern })
        }
        _ => Err(Error::SeveralDictionaries { folder: folder.to_owned(), what, found }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, series: &str) {
        for (name, text) in [
            ("token_dictionary", r#"{"<pad>": 0, "ENSG1": 1}"#),
            ("gene_median_dictionary", r#"{"ENSG1": 2.5}"#),
            ("ensembl_mapping_dict", r#"{"CD3E": "ENSG1"}"#),
        ] {
            std::fs::write(folder.join(format!("{name}{series}.json")), text).unwrap();
        }
    }

    #[test]
    fn a_folder_of_one_release_needs_no_name_and_one_of_two_does() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "_gc30M");
        let one = Vocabulary::open(folder.path()).unwrap();
        assert_eq!((one.n_tokens(), one.gene("CD3E").unwrap().0.token), (2, 1));

        write(folder.path(), "_gc104M");
        let error = Vocabulary::open(folder.path()).unwrap_err();
        assert!(
            error.to_string().contains("token_dictionary_gc104M.json, token_dictionary_gc30M.json"),
            "{error}"
        );
        assert!(error.help().unwrap().contains("open_series"));
        assert_eq!(Vocabulary::open_series(folder.path(), "gc104M").unwrap(), one);
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = Vocabulary::open_series(folder.path(), "gc95M").unwrap_err();
        assert!(
            error.to_string().contains("no token dictionary (`token_dictionary*gc95M.pkl or .json`)"),
            "{error}"
        );
        assert!(error.help().unwrap().contains("ensembl_mapping_dict"));
        let error = Vocabulary::open(folder.path().join("nowhere")).unwrap_err();
        assert!(matches!(error, Error::Io(_)), "{error}");
    }
}
