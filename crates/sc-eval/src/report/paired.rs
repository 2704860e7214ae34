//! Two models on the same cells: who is right where the other is not.

use crate::protocol::CrossValidation;
use crate::statistics::{Discordant, McNemar, mcnemar};

/// The comparison of a model with another on the cells that both were tested on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paired {
    /// Cells that only the first model names rightly.
    pub only_first: usize,
    /// Cells that only the second model names rightly.
    pub only_second: usize,
    /// Two-sided p of the exact McNemar test: how likely a split of these cells at least so uneven is, if each were
    /// as likely to fall to either side. 1 if there are no such cells.
    pub p: f64,
}

/// Compares two models cell by cell with the exact McNemar test.
///
/// Two intervals that overlap do not show that two models are alike: both were tried on the same cells, and most
/// cells are easy or hard for both. Only the cells on which one is right and the other wrong can tell them apart.
/// Cells that either was not tested on are left out. The test takes cells to be independent; models of one
/// cross-validation share training cells, so a p close to the threshold says little.
pub fn compare(first: &CrossValidation, second: &CrossValidation) -> Paired {
    let (mut only_first, mut only_second) = (0, 0);
    for (cell, &truth) in first.truth.iter().enumerate() {
        if let (Some(a), Some(b)) = (first.predicted[cell], second.predicted[cell]) {
            only_first += usize::from(a == truth && b != truth);
            only_second += usize::from(a != truth && b == truth);
        }
    }
    let discordant = Discordant { only_first: only_first as u64, only_second: only_second as u64 };
    Paired { only_first, only_second, p: mcnemar(discordant, McNemar::Exact) }
}
