//! Metrics of predicted labels against true labels, from class indices or probabilities.
//!
//! Everything that depends on counts alone is a method of [`ConfusionMatrix`]; the functions of scikit-learn's names
//! count first and ask it. [`encode`] turns the label names of any tool into class indices.
//!
//! ```
//! use sc_eval::metrics::classification::{Average, ZeroDivision, encode};
//!
//! let pair = encode(&["B", "NK", "T", "T"], &["B", "T", "T", "monocyte"])?;
//! let counts = pair.confusion_matrix();
//! assert_eq!(counts.accuracy(), 0.5);
//! assert_eq!(counts.averaged(Average::Macro, ZeroDivision::Zero).f1, 0.375);
//! # Ok::<(), sc_eval::Error>(())
//! ```

mod agreement;
mod average_precision;
mod confusion_matrix;
mod curves;
mod d2;
mod encode;
mod one_against_rest;
mod precision_recall;
mod probability;
pub(crate) mod ranking;
mod report;
mod roc_auc;
mod scores;

pub use agreement::KappaWeights;
pub use average_precision::{average_precision_ovr, average_precision_per_class};
pub use confusion_matrix::{ConfusionMatrix, MAX_CLASSES, Normalize, confusion_matrix};
pub(crate) use curves::step_area;
pub use curves::{
    DetCurve, PrecisionRecallCurve, RocCurve, average_precision, det_curve, precision_recall_curve,
    roc_auc_partial, roc_curve,
};
pub use d2::{d2_brier_score, d2_log_loss_score};
pub use encode::{EncodedPair, encode};
pub use one_against_rest::ClassCounts;
pub use precision_recall::{Average, AverageScores, ClassScores, ZeroDivision};
pub use probability::{brier_score, log_loss, top_k_accuracy};
pub(crate) use probability::{check_probabilities, check_truth};
pub use report::{ClassificationReport, classification_report};
pub(crate) use roc_auc::area;
pub use roc_auc::{roc_auc, roc_auc_ovo, roc_auc_ovr, roc_auc_per_class};
pub use scores::{
    accuracy, balanced_accuracy, balanced_accuracy_adjusted, cohen_kappa, cohen_kappa_weighted, f1_score,
    fbeta_score, jaccard_score, matthews_corrcoef, multilabel_confusion_matrix,
    precision_recall_fscore_support, precision_score, recall_score, zero_one_loss,
};
