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
mod confusion_matrix;
mod encode;
mod precision_recall;
mod probability;
mod report;
mod roc_auc;
mod scores;

pub use confusion_matrix::{ConfusionMatrix, MAX_CLASSES, Normalize, confusion_matrix};
pub use encode::{EncodedPair, encode};
pub use precision_recall::{Average, AverageScores, ClassScores, ZeroDivision};
pub(crate) use probability::check_probabilities;
pub use probability::{brier_score, log_loss, top_k_accuracy};
pub use report::{ClassificationReport, classification_report};
pub use roc_auc::{RocAucAverage, roc_auc, roc_auc_ovr, roc_auc_per_class};
pub use scores::{
    accuracy, balanced_accuracy, cohen_kappa, f1_score, fbeta_score, matthews_corrcoef,
    precision_recall_fscore_support, precision_score, recall_score,
};
