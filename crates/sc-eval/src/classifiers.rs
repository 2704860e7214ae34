//! Classifiers over [`Features`]: the field's baselines, each equal in definition to the reference
//! implementation named in its page.
//!
//! ```
//! use ndarray::array;
//! use sc_eval::classifiers::{Classifier, LogisticRegressionParams};
//! use sc_eval::Features;
//!
//! let x = Features::dense(array![[0.0, 1.0], [0.2, 0.9], [1.0, 0.1], [0.9, 0.0]].view())?;
//! let model = LogisticRegressionParams::default().fit(&x, &[0, 0, 1, 1], 2)?;
//! assert_eq!(model.predict(&x)?.codes, [0, 0, 1, 1]);
//! # Ok::<(), sc_eval::Error>(())
//! ```
//!
//! [`Model`] chooses one by name, with parameters from a configuration file; what it fits is a [`Fitted`], which can be
//! saved and loaded.
//!
//! [`Engine`] has some of them fitted by the crates linfa and smartcore instead, to compare.
//!
//! Every fit is deterministic: the same features, labels and seed give the same bits on any number of threads and on
//! any machine. A class that is absent from the training cells keeps its index and is never predicted.

mod autoencoder;
mod binned;
mod boosting;
mod celltypist;
mod class_weight;
mod design;
mod draw;
mod engines;
mod fitted;
mod forest;
mod knn;
mod logistic;
mod majority;
mod majority_vote;
mod metric;
mod mlp;
mod model;
mod moments;
mod naive_bayes;
mod nearest_centroid;
mod nn;
mod planes;
mod quadratic;
mod random_by_prior;
mod singler;
mod svm;
mod training;
mod tree;

pub use autoencoder::{Autoencoder, AutoencoderClassifier, AutoencoderClassifierParams, AutoencoderParams};
pub use boosting::{GradientBoosting, GradientBoostingParams, ImportanceType, Xgboost, XgboostParams};
pub use celltypist::{CellTypist, CellTypistParams};
pub use class_weight::ClassWeight;
pub use engines::{Engine, EngineFit};
pub use fitted::Fitted;
pub use forest::{MaxFeatures, RandomForest, RandomForestParams};
pub use knn::{Knn, KnnParams, NeighborWeights};
pub use logistic::{LogisticRegression, LogisticRegressionParams};
pub use majority::Majority;
pub use majority_vote::majority_vote;
pub use metric::Metric;
pub use mlp::{Mlp, MlpLayer, MlpParams};
pub use model::Model;
pub use naive_bayes::{GaussianNaiveBayes, GaussianNaiveBayesParams};
pub use nearest_centroid::{NearestCentroid, NearestCentroidParams, Priors};
pub use random_by_prior::{RandomByPrior, RandomByPriorParams};
pub use singler::{SingleR, SingleRMarkers, SingleRParams, SingleRScores};
pub use svm::{LinearSvm, LinearSvmParams, RbfSvm, RbfSvmParams};

use crate::{Features, Prediction, Result};

/// A fitted classifier.
pub trait Classifier: Send + Sync {
    /// Predicts a class for every row of `x`.
    ///
    /// # Errors
    /// [`Error::Length`](crate::Error::Length) if `x` has another number of features than the training cells had.
    fn predict(&self, x: &Features) -> Result<Prediction>;
}
