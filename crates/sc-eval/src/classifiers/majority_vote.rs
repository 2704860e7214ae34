//! One answer per cluster of cells.

use crate::{Error, Result};

/// Gives every cell the class that most cells of its cluster were predicted to be, as CellTypist's `majority_vote` does
/// with an over-clustering of the cells (Domínguez Conde et al., Science 2022).
///
/// * `predictions`: class index of each cell; `clusters`: cluster of each cell, any numbers.
/// * `min_prop`: the share of a cluster that its most frequent class must have, 0 to 1; 0 for any.
/// * returns: class index of each cell; `None` for the cells of a cluster without such a class ("Heterogeneous" there).
///
/// The lower class index wins a tie. CellTypist clusters with Leiden at resolution 5 below 5,000 cells, 10 below 20,000,
/// 15 below 40,000, 20 below 100,000, 25 below 200,000, and 30 above.
///
/// ```
/// use sc_eval::classifiers::majority_vote;
///
/// let voted = majority_vote(&[0, 0, 2, 1, 2], &[7, 7, 7, 3, 3], 0.6)?;
/// assert_eq!(voted, [Some(0), Some(0), Some(0), None, None]);
/// # Ok::<(), sc_eval::Error>(())
/// ```
///
/// # Errors
/// [`Error::Length`] unless there is one cluster per prediction, [`Error::Parameter`] for a share outside 0 to 1.
pub fn majority_vote(predictions: &[u32], clusters: &[u32], min_prop: f64) -> Result<Vec<Option<u32>>> {
    if clusters.len() != predictions.len() {
        let (found, expected) = (clusters.len(), predictions.len());
        return Err(Error::Length { what: "the list of clusters", found, expected });
    }
    if !(0.0..=1.0).contains(&min_prop) {
        let value = min_prop.to_string();
        return Err(Error::Parameter { name: "min_prop", value, expected: "0 to 1" });
    }
    let mut by_cluster: Vec<usize> = (0..clusters.len()).collect();
    by_cluster.sort_unstable_by_key(|&cell| (clusters[cell], predictions[cell]));
    let mut voted = vec![None; clusters.len()];
    for cells in by_cluster.chunk_by(|&a, &b| clusters[a] == clusters[b]) {
        let mut best: &[usize] = &[];
        for same in cells.chunk_by(|&a, &b| predictions[a] == predictions[b]) {
            if same.len() > best.len() {
                best = same;
            }
        }
        if best.len() as f64 / cells.len() as f64 >= min_prop {
            cells.iter().for_each(|&cell| voted[cell] = Some(predictions[best[0]]));
        }
    }
    Ok(voted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_class_wins_a_tie() {
        assert_eq!(majority_vote(&[2, 1, 2, 1], &[0; 4], 0.5).unwrap(), [Some(1); 4]);
        assert_eq!(majority_vote(&[2, 1, 2, 1], &[0; 4], 0.6).unwrap(), [None; 4]);
        assert!(majority_vote(&[], &[], 0.0).unwrap().is_empty());
    }

    #[test]
    fn lists_and_shares_that_do_not_fit_are_refused() {
        let short = majority_vote(&[0, 1], &[0], 0.0).unwrap_err();
        assert_eq!(short.to_string(), "the list of clusters has 1 entries, expected 2");
        let share = majority_vote(&[0], &[0], f64::NAN).unwrap_err();
        assert_eq!(share.to_string(), "`min_prop` is NaN, expected 0 to 1");
    }
}
