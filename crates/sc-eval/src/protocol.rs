//! How a model is evaluated: which cells it learns from, which it is asked about, and what is reported.

pub mod anomaly;
pub mod clustering;
pub mod cross_validate;
mod estimate;
#[cfg(feature = "classifiers")]
mod label_prediction;
pub mod leak;
mod prediction_check;
mod replicates;
pub mod robustness;
pub mod sample_efficiency;
mod scores;
mod transfer;

pub use anomaly::{Anomaly, AnomalyParams, anomaly};
pub use clustering::{Clustering, ClusteringParams, clustering};
#[cfg(feature = "grid")]
pub(crate) use cross_validate::{Answered, from_answers, score};
pub use cross_validate::{
    CrossValidation, FoldOutput, FoldScores, Intervals, cross_validate, cross_validate_all,
};
pub use estimate::{Estimate, Estimates};
#[cfg(feature = "classifiers")]
pub use label_prediction::{LabelPrediction, LabelPredictionFold, LabelPredictionParams, label_prediction};
pub use robustness::{Perturbation, Robustness, RobustnessParams, robustness, robustness_all};
pub use sample_efficiency::{
    SampleEfficiency, SampleEfficiencyParams, sample_efficiency, sample_efficiency_all,
};
pub use scores::Scores;
pub use transfer::{Target, Task, Transfer, Transferred, transfer};
