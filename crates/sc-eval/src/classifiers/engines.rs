//! Who fits a classifier: this crate, or another one behind the same interface.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Classifier, Fitted, Model};
use crate::{Error, Features, Prediction, Result};

mod parameters;

#[cfg(any(feature = "linfa", feature = "smartcore"))]
mod foreign;
#[cfg(feature = "linfa")]
mod linfa;
#[cfg(feature = "smartcore")]
mod smartcore;

/// Who fits a [`Model`].
///
/// [`Engine::Own`] is this crate and has every classifier. The others are crates for machine learning in Rust that are
/// there to compare with; each needs the cargo feature of its name. They take the same features, labels and parameters,
/// and give the same kind of answer. A parameter that an engine does not know must keep its default.
///
/// | model | `linfa` 0.8 | `smartcore` 0.7 |
/// |---|---|---|
/// | `logistic_regression` | no `l1_ratio`, `class_weight`; stops when the norm of the gradient is below `n tolerance` | no `l1_ratio`, `class_weight`, `max_iter`, `tolerance`: at most 1,000 iterations, to a gradient of 1e-8 |
/// | `svm_linear` | hinge instead of squared hinge, pairs of classes instead of one against the rest, free intercepts (scikit-learn's `SVC(kernel="linear")`); no `class_weight`, `probability`, `max_iter` | |
/// | `svm_rbf` | no `class_weight`, `probability`, `cache_bytes`: holds the kernel of each pair of classes | |
/// | `gaussian_naive_bayes` | all | |
/// | `random_forest` | | no `class_weight`, `max_bins`: splits exactly; the bootstrap keeps the size of each class; no probabilities |
/// | `knn` | | Euclidean only |
///
/// Engines write the features out in full, in f64: eight bytes for every cell and feature. They use the exponential and
/// logarithm of the platform, so that bits may differ between machines; on one machine they do not differ, whatever the
/// number of threads.
///
/// Left out is what cannot be relied on: the trees of linfa break ties in the order of a hash map, so that two fits
/// differ; naive Bayes of smartcore does not smooth, and a gene that is silent in a class makes it NaN; the support vector
/// machine of smartcore reads no more features than there are cells.
///
/// ```
/// use sc_eval::classifiers::{Engine, Model};
///
/// let model: Model = "logistic_regression".parse()?;
/// assert_eq!(Engine::Linfa.label(&model), "logistic_regression (linfa)");
/// assert!(Engine::Linfa.models().contains(&"svm_rbf"));
/// # Ok::<(), sc_eval::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Engine {
    /// This crate.
    #[default]
    Own,
    /// The crates linfa-logistic, linfa-svm and linfa-bayes.
    Linfa,
    /// The crate smartcore.
    Smartcore,
}

impl Engine {
    /// Every engine, whether it is part of this build or not.
    pub const ALL: [Self; 3] = [Self::Own, Self::Linfa, Self::Smartcore];

    /// Its name in configurations and on command lines, which is that of its cargo feature, too.
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Linfa => "linfa",
            Self::Smartcore => "smartcore",
        }
    }

    /// Whether it is part of this build.
    pub fn is_built(self) -> bool {
        match self {
            Self::Own => true,
            Self::Linfa => cfg!(feature = "linfa"),
            Self::Smartcore => cfg!(feature = "smartcore"),
        }
    }

    /// Names of the classifiers that it has.
    pub fn models(self) -> Vec<&'static str> {
        match self {
            Self::Own => Model::all().iter().map(Model::name).collect(),
            Self::Linfa => vec!["logistic_regression", "svm_linear", "svm_rbf", "gaussian_naive_bayes"],
            Self::Smartcore => vec!["logistic_regression", "random_forest", "knn"],
        }
    }

    /// The name of a model of this engine in tables: `logistic_regression (linfa)`, or the plain name for
    /// [`Engine::Own`].
    pub fn label(self, model: &Model) -> String {
        match self {
            Self::Own => model.name().to_owned(),
            _ => format!("{} ({})", model.name(), self.name()),
        }
    }

    /// Whether this engine could fit `model`, before there are any cells.
    ///
    /// # Errors
    /// [`Error::EngineNotBuilt`], [`Error::EngineModel`] for a classifier that it does not have,
    /// [`Error::EngineParameter`] for a parameter that it does not know and that is not at its default.
    pub fn check(self, model: &Model) -> Result<()> {
        let (engine, known) = (self.name(), self.models());
        if !self.is_built() {
            let built: Vec<_> = Self::ALL.into_iter().filter(|e| e.is_built()).map(Self::name).collect();
            return Err(Error::EngineNotBuilt { engine, built: built.join(", ") });
        }
        let model_name = model.name();
        if !known.contains(&model_name) {
            return Err(Error::EngineModel { engine, model: model_name, known: known.join(", ") });
        }
        match parameters::unknown(self, model) {
            None => Ok(()),
            Some(parameter) => Err(Error::EngineParameter { engine, model: model_name, parameter }),
        }
    }

    /// Fits `model` on the rows of `x` with class indices `y`, all below `n_classes`.
    ///
    /// If all training cells are of one class, it is predicted for everybody, and no engine is asked.
    ///
    /// # Errors
    /// As [`Engine::check`] and [`Model::fit`]; [`Error::EngineFailed`] if the engine returns an error, panics, or fits a
    /// value that is NaN or infinite.
    pub fn fit(self, model: &Model, x: &Features, y: &[u32], n_classes: usize) -> Result<EngineFit> {
        self.check(model)?;
        let fit = match self {
            Self::Own => Fit::Own(Box::new(model.fit(x, y, n_classes)?)),
            #[cfg(feature = "linfa")]
            Self::Linfa => Fit::Foreign(linfa::fit(model, x, y, n_classes)?),
            #[cfg(feature = "smartcore")]
            Self::Smartcore => Fit::Foreign(smartcore::fit(model, x, y, n_classes)?),
            #[cfg(not(all(feature = "linfa", feature = "smartcore")))]
            _ => unreachable!("an engine that is not built did not pass the check"),
        };
        Ok(EngineFit { engine: self, name: self.label(model), fit })
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Engine {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|engine| engine.name() == name)
            .ok_or_else(|| Error::UnknownEngine { name: name.to_owned(), known: known() })
    }
}

/// A classifier that an [`Engine`] fitted.
pub struct EngineFit {
    engine: Engine,
    name: String,
    fit: Fit,
}

enum Fit {
    Own(Box<Fitted>),
    #[cfg(any(feature = "linfa", feature = "smartcore"))]
    Foreign(foreign::Fit),
}

impl EngineFit {
    /// Who fitted it.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Its name in tables, as [`Engine::label`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The fit of [`Engine::Own`], which can be saved; `None` for those of other engines, for which there are no files.
    pub fn fitted(&self) -> Option<&Fitted> {
        match &self.fit {
            Fit::Own(fitted) => Some(fitted),
            #[cfg(any(feature = "linfa", feature = "smartcore"))]
            Fit::Foreign(_) => None,
        }
    }
}

impl fmt::Debug for EngineFit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineFit").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Classifier for EngineFit {
    fn predict(&self, x: &Features) -> Result<Prediction> {
        match &self.fit {
            Fit::Own(fitted) => fitted.predict(x),
            #[cfg(any(feature = "linfa", feature = "smartcore"))]
            Fit::Foreign(fit) => fit.predict(x),
        }
    }
}

#[cfg(test)]
mod tests;
