//! How sure a score is, and whether two scores differ: intervals by resampling cells, folds or donors; intervals of
//! proportions; tests of two models and of many.
//!
//! Which to use:
//!
//! | question | answer |
//! |---|---|
//! | how sure is a score, cells independent | [`bootstrap`], [`bootstrap_folds`] |
//! | how sure is a score for other donors | [`bootstrap_groups`], [`bootstrap_group_counts`] |
//! | how sure is an accuracy of few cells, or of 0 or 1 | [`wilson`], [`clopper_pearson`] |
//! | two models on the same cells | [`mcnemar`] |
//! | two models on the folds of a cross-validation | [`corrected_resampled_t`] |
//! | two models on several data sets or donors | [`wilcoxon_signed_rank`], [`paired_permutation`] |
//! | many models on several data sets | [`friedman`], then [`Friedman::critical_difference`] |
//! | many tests at once | [`holm`], [`benjamini_hochberg`] |

mod adjust;
mod bootstrap;
mod difference;
pub mod distributions;
mod fold_bootstrap;
mod friedman;
mod group_bootstrap;
mod mcnemar;
mod permutation;
mod proportion;
mod quantile;
mod ranks;
mod t_test;
mod wilcoxon;

pub use adjust::{benjamini_hochberg, holm};
pub use bootstrap::{BootstrapParams, Interval, bootstrap};
pub(crate) use bootstrap::{below, check_level};
pub use difference::bootstrap_difference;
pub use fold_bootstrap::bootstrap_folds;
pub use friedman::{Friedman, friedman};
pub use group_bootstrap::{bootstrap_group_counts, bootstrap_groups};
pub use mcnemar::{Discordant, McNemar, discordant, mcnemar};
pub use permutation::{PermutationParams, paired_permutation};
pub use proportion::{clopper_pearson, wilson};
pub use quantile::quantile;
pub use t_test::{TTest, corrected_resampled_t};
pub use wilcoxon::{Wilcoxon, wilcoxon_signed_rank};
