//! Any fitted classifier, and its file.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::training::Classes;
use super::{
    AutoencoderClassifier, CellTypist, Classifier, GaussianNaiveBayes, GradientBoosting, Knn, LinearSvm,
    LogisticRegression, Majority, Mlp, NearestCentroid, RandomByPrior, RandomForest, RbfSvm, SingleR,
    Xgboost,
};
use crate::{Error, Features, Prediction, Result};

/// What a file of this crate says of itself.
const FORMAT: &str = "sc-eval classifier";
/// Version of the files that are written, and the one that can be read.
const VERSION: u64 = 1;

/// The models with their names in files, which are those of [`Model`](super::Model).
macro_rules! fitted {
    ($($variant:ident = $name:literal),* $(,)?) => {
        /// A fitted classifier of any kind, as [`Model::fit`](super::Model::fit) returns it; it can be saved and loaded.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "model", content = "fitted", deny_unknown_fields)]
        #[non_exhaustive]
        pub enum Fitted {
            $(
                #[doc = concat!("A fitted [`", stringify!($variant), "`], `", $name, "` in files.")]
                #[serde(rename = $name)]
                $variant($variant),
            )*
        }

        impl Fitted {
            /// Its name in files, in tables and on command lines.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name),* }
            }

            /// Predicts a class for every row of `x`.
            ///
            /// # Errors
            /// As [`Classifier::predict`].
            pub fn predict(&self, x: &Features) -> Result<Prediction> {
                match self { $(Self::$variant(model) => model.predict(x)),* }
            }

            fn classes(&self) -> &Classes {
                match self { $(Self::$variant(model) => &model.classes),* }
            }

            fn classes_mut(&mut self) -> &mut Classes {
                match self { $(Self::$variant(model) => &mut model.classes),* }
            }

            /// Proves that a prediction cannot fail, for a model that was read from a file.
            fn check(&self) -> Result<(), String> {
                match self { $(Self::$variant(model) => model.check()),* }
            }
        }

        impl Classifier for Fitted {
            fn predict(&self, x: &Features) -> Result<Prediction> {
                Fitted::predict(self, x)
            }
        }

        $(
            impl From<$variant> for Fitted {
                fn from(model: $variant) -> Self {
                    Self::$variant(model)
                }
            }
        )*
    };
}

fitted! {
    Majority = "majority",
    RandomByPrior = "random_by_prior",
    LogisticRegression = "logistic_regression",
    RandomForest = "random_forest",
    Xgboost = "xgboost",
    GradientBoosting = "gradient_boosting",
    LinearSvm = "svm_linear",
    RbfSvm = "svm_rbf",
    Knn = "knn",
    GaussianNaiveBayes = "gaussian_naive_bayes",
    NearestCentroid = "nearest_centroid",
    Mlp = "mlp",
    AutoencoderClassifier = "autoencoder",
    SingleR = "singler",
    CellTypist = "celltypist",
}

/// The first fields of a file: whether the rest can be understood.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    #[serde(rename = "format")]
    _format: String,
    #[serde(rename = "version")]
    _version: u64,
    classifier: Fitted,
}

#[derive(Serialize)]
struct Written<'a> {
    format: &'a str,
    version: u64,
    classifier: &'a Fitted,
}

impl Fitted {
    /// Number of features that it was fitted on.
    pub fn n_features(&self) -> usize {
        self.classes().n_features()
    }

    /// Number of classes that the caller knew, with those that did not occur in training.
    pub fn n_classes(&self) -> usize {
        self.classes().n_classes()
    }

    /// Indices of the classes that occurred in training, ascending: those that can be predicted.
    pub fn present_classes(&self) -> &[u32] {
        self.classes().present()
    }

    /// Names of the features, if those of training had names ([`Features::with_names`]).
    pub fn feature_names(&self) -> Option<&[String]> {
        self.classes().feature_names()
    }

    /// Names of the classes, if they were given.
    pub fn class_names(&self) -> Option<&[String]> {
        self.classes().class_names()
    }

    /// The same model with a name for each class, which is then in its file, too.
    ///
    /// # Errors
    /// [`Error::Length`] unless there is one name per class.
    pub fn with_class_names(mut self, names: Vec<String>) -> Result<Self> {
        self.classes_mut().set_class_names(names)?;
        Ok(self)
    }

    /// Writes the model to a file (JSON), first aside, then renamed: `path` holds all of it or what it held before.
    ///
    /// # Errors
    /// [`Error::ModelNotSavable`] if a fitted value is NaN or infinite, [`Error::Io`].
    pub fn save(&self, path: &Path) -> Result<()> {
        self.check().map_err(|reason| Error::ModelNotSavable { model: self.name(), reason })?;
        let failed = |action: &'static str| move |source| Error::Io { action, path: path.to_owned(), source };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // A folder of its own, so that the file gets the permissions of any new file.
        let aside = tempfile::Builder::new().prefix(".model-").tempdir_in(folder).map_err(failed("write"))?;
        let draft = aside.path().join("model.json");
        let mut out = BufWriter::new(File::create(&draft).map_err(failed("write"))?);
        let written = Written { format: FORMAT, version: VERSION, classifier: self };
        serde_json::to_writer(&mut out, &written).map_err(|e| failed("write")(e.into()))?;
        out.flush().map_err(failed("write"))?;
        out.into_inner().map_err(|e| failed("write")(e.into_error()))?.sync_all().map_err(failed("write"))?;
        fs::rename(&draft, path).map_err(failed("rename a finished file to"))
    }

    /// Reads a model that [`Fitted::save`] wrote. Its predictions are those of the model that was saved, bit for bit.
    ///
    /// Every shape, index and value is checked here, so that a file that lies cannot make a prediction fail.
    ///
    /// # Errors
    /// [`Error::ModelVersion`] for a file of another format version, [`Error::ModelFile`] for anything else that is no
    /// model, [`Error::Io`].
    pub fn load(path: &Path) -> Result<Self> {
        let bytes =
            fs::read(path).map_err(|source| Error::Io { action: "read", path: path.to_owned(), source })?;
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::ModelFile {
            path: path.to_owned(),
            source,
        };
        let head: Head = serde_json::from_slice(&bytes).map_err(|e| failed(e.into()))?;
        if head.format != FORMAT {
            return Err(failed(format!("its format is {:?}, expected {FORMAT:?}", head.format).into()));
        }
        if head.version != VERSION {
            let path = path.to_owned();
            return Err(Error::ModelVersion { path, found: head.version, expected: VERSION });
        }
        let Whole { classifier, .. } = serde_json::from_slice(&bytes).map_err(|e| failed(e.into()))?;
        classifier.check().map_err(|reason| failed(format!("{}: {reason}", classifier.name()).into()))?;
        Ok(classifier)
    }
}

#[cfg(test)]
mod tests;
