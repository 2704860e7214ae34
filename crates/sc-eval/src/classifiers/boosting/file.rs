//! XGBoost's own model files.

mod read;
mod ubjson;
mod write;

use std::fs;
use std::io::Write;
use std::path::Path;

use super::xgboost::Xgboost;
use crate::{Error, Result};

/// Attribute of XGBoost's files that keeps the caller's class indices, where some class had no training cells.
const CLASSES: &str = "sc_eval.classes";

impl Xgboost {
    /// Reads a model that XGBoost wrote as `model.json` or `model.ubj` (its `Booster.save_model`), or
    /// [`Xgboost::write_json`].
    ///
    /// Probabilities are those of XGBoost to 1e-6 (it sums leaves in `f32`). All trees count, as in `Booster.predict`;
    /// `XGBClassifier.predict` uses those up to `best_iteration` after early stopping.
    ///
    /// Features are finite here and zero is a value, so that default directions decide nothing; they are kept for
    /// writing. Objectives `multi:softprob`, `multi:softmax` and `binary:logistic` of booster `gbtree` are read; trees
    /// with categorical splits or vector leaves are refused.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::XgboostSyntax`] for bytes that are no JSON or UBJSON of that form;
    /// [`Error::XgboostModel`] for a model that contradicts itself or is of another kind.
    pub fn read_json(path: &Path) -> Result<Self> {
        let bytes =
            fs::read(path).map_err(|source| Error::Io { action: "read", path: path.into(), source })?;
        // UBJSON begins with the key of its first field, a length marked by `L`.
        if bytes.starts_with(b"{L") { Self::from_ubj(&bytes) } else { Self::from_json(&bytes) }
    }

    /// The model in the bytes of XGBoost's JSON file; see [`Xgboost::read_json`].
    ///
    /// # Errors
    /// [`Error::XgboostSyntax`], [`Error::XgboostModel`].
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        read::model(&read::Source::Json(bytes))
    }

    /// The model in the bytes of XGBoost's UBJSON file; see [`Xgboost::read_json`].
    ///
    /// # Errors
    /// [`Error::XgboostSyntax`], [`Error::XgboostModel`].
    pub fn from_ubj(bytes: &[u8]) -> Result<Self> {
        let syntax =
            |source: ubjson::Malformed| Error::XgboostSyntax { format: "UBJSON", source: source.into() };
        read::model(&read::Source::Ubjson(ubjson::parse(bytes).map_err(syntax)?))
    }

    /// The model as XGBoost 3 writes it (`multi:softprob`, for two classes `binary:logistic`).
    ///
    /// The file has the classes that occur in training, in order. Where a class of the caller does not, the attribute
    /// `sc_eval.classes` says which do, and [`Xgboost::from_json`] restores them. Threshold and leaf values are exact;
    /// the start value of two classes is rounded to XGBoost's `f32` probability.
    pub fn to_json(&self) -> String {
        write::json(self)
    }

    /// Writes [`Xgboost::to_json`] to a file, first aside, then renamed: `path` holds all of it or what it held before.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_json(&self, path: &Path) -> Result<()> {
        let failed = |action: &'static str| move |source| Error::Io { action, path: path.to_owned(), source };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // A folder of its own, so that the file gets the permissions of any new file.
        let aside =
            tempfile::Builder::new().prefix(".xgboost-").tempdir_in(folder).map_err(failed("write"))?;
        let draft = aside.path().join("model.json");
        let write = || -> std::io::Result<()> {
            let mut out = fs::File::create(&draft)?;
            out.write_all(self.to_json().as_bytes())?;
            out.sync_all()
        };
        write().map_err(failed("write"))?;
        fs::rename(&draft, path).map_err(failed("rename a finished file to"))
    }
}

#[cfg(test)]
mod tests;
