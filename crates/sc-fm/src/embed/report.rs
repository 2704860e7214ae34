use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use candle_core::DType;
use sc_io::Value;

use super::{Choice, Embedding, Kind};
use crate::Result;
use crate::checkpoint;
use crate::tokenize::Report;

/// What was loaded as a model, for a person to read.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LoadReport {
    /// The model.
    pub kind: Kind,
    /// The folder or file it came from; none for a model made in memory.
    pub source: Option<PathBuf>,
    /// What became of the tensors.
    pub weights: checkpoint::Report,
    /// Dictionaries and vocabularies.
    pub dictionaries: Vec<PathBuf>,
    /// The releases that these weights belong to, by their hash.
    pub releases: Vec<&'static str>,
}

impl LoadReport {
    pub(super) fn in_memory(kind: Kind) -> Self {
        let weights = checkpoint::Report::default();
        Self { kind, source: None, weights, dictionaries: vec![], releases: vec![] }
    }

    /// SHA-256 of the files of the weights and of the dictionaries, by file name. Every file is read for it.
    ///
    /// # Errors
    /// [`checkpoint::Error`] for a file that cannot be read or has changed since.
    pub fn hashes(&self) -> Result<Hashes> {
        let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let weights = self.weights.clone().hashed()?;
        let weights = weights.files.into_iter().filter_map(|file| Some((name(&file.path), file.sha256?)));
        let dictionaries = self.dictionaries.iter().map(|path| Ok((name(path), checkpoint::sha256(path)?)));
        Ok(Hashes { weights: weights.collect(), dictionaries: dictionaries.collect::<Result<_>>()? })
    }
}

/// SHA-256 of the files of a model, in lower-case hexadecimal, by file name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hashes {
    /// Of the weights.
    pub weights: BTreeMap<String, String>,
    /// Of dictionaries and vocabularies.
    pub dictionaries: BTreeMap<String, String>,
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(path) => writeln!(f, "{} from {}", self.kind, path.display())?,
            None => writeln!(f, "{} made in memory", self.kind)?,
        }
        let weights = &self.weights;
        for file in &weights.files {
            writeln!(f, "weights: {} ({} bytes)", file.path.display(), file.size)?;
        }
        if weights.n_taken > 0 {
            write!(f, "{} tensors, {} parameters", weights.n_taken, weights.n_parameters)?;
            write!(f, "; {} renamed, {} left out", weights.renamed.len(), weights.ignored.len())?;
            writeln!(f)?;
        }
        for path in &self.dictionaries {
            writeln!(f, "dictionary: {}", path.display())?;
        }
        match self.releases.as_slice() {
            [] => f.write_str("no release that is known here: as loaded, not pretrained as far as is known"),
            names => write!(f, "release: {}", names.join(" or ")),
        }
    }
}

/// What made an embedding.
pub(super) struct Provenance<'p> {
    pub(super) model: &'p LoadReport,
    pub(super) dtype: DType,
    pub(super) kernel: &'static str,
    pub(super) choice: Choice,
    pub(super) tokens: &'p Report,
    pub(super) n_missing: usize,
}

impl Provenance<'_> {
    /// The entries of `uns`.
    pub(super) fn entries(&self, hashes: Hashes) -> BTreeMap<String, Value> {
        let text = |text: &dyn fmt::Display| Value::String(text.to_string());
        let map = |hashes: BTreeMap<String, String>| {
            Value::Map(hashes.into_iter().map(|(name, hash)| (name, Value::String(hash))).collect())
        };
        let count = |n: usize| Value::Int(n as i64);
        let release = match self.model.releases.as_slice() {
            [] => "none that is known: as loaded".to_owned(),
            names => names.join(" or "),
        };
        let entries = [
            ("model", text(&self.model.kind)),
            ("release", Value::String(release)),
            ("mode", text(&self.choice.mode)),
            ("layer", text(&self.choice.layer)),
            ("precision", Value::String(self.dtype.as_str().to_owned())),
            ("kernel", Value::String(self.kernel.to_owned())),
            ("sha256_weights", map(hashes.weights)),
            ("sha256_dictionaries", map(hashes.dictionaries)),
            ("n_genes", count(self.tokens.genes.n_genes)),
            ("n_cropped", count(self.tokens.cells.n_cropped)),
            ("n_missing", count(self.n_missing)),
            ("written_by", Value::String(concat!("sc-fm ", env!("CARGO_PKG_VERSION")).to_owned())),
        ];
        entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }
}

impl Embedding {
    /// What made the embedding, as [`store`](Self::store) writes it into `uns`.
    ///
    /// # Errors
    /// Those of [`LoadReport::hashes`].
    pub fn provenance(&self) -> Result<Value> {
        let made = Provenance {
            model: &self.model,
            dtype: self.dtype,
            kernel: self.kernel,
            choice: self.choice,
            tokens: &self.tokens,
            n_missing: self.missing.len(),
        };
        Ok(Value::Map(made.entries(self.model.hashes()?)))
    }
}
