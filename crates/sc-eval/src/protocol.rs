//! How a model is evaluated: which cells it learns from, which it is asked about, and what is reported.

pub mod cross_validate;
#[cfg(feature = "classifiers")]
mod label_prediction;
mod prediction_check;
mod scores;

pub use cross_validate::{
    CrossValidation, FoldOutput, FoldScores, Intervals, cross_validate, cross_validate_all,
};
#[cfg(feature = "classifiers")]
pub use label_prediction::{LabelPrediction, LabelPredictionFold, LabelPredictionParams, label_prediction};
pub use scores::Scores;
