//! How a model is evaluated: which cells it learns from, which it is asked about, and what is reported.

pub mod cross_validate;
mod prediction_check;
mod scores;
mod transfer;

#[cfg(feature = "grid")]
pub(crate) use cross_validate::{Answered, from_answers, score};
pub use cross_validate::{
    CrossValidation, FoldOutput, FoldScores, Intervals, cross_validate, cross_validate_all,
};
pub use scores::Scores;
pub use transfer::{Target, Task, Transfer, Transferred, transfer};
