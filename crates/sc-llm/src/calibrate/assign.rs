use ndarray::ArrayView2;

use super::Error;
use super::error::check_scores;

/// The label of each cell where every label is given once at most and the sum of the scores is the largest: for clusters
/// that are known to be of different types.
///
/// * `scores`: cells × labels, log-probabilities; minus infinity excludes a label. At most as many cells as labels.
///
/// The Hungarian method with shortest augmenting paths (Jonker and Volgenant 1987), in `O(cells² × labels)`. Of equal
/// assignments always the same one is found.
///
/// # Errors
/// [`Error::Score`], [`Error::TooManyCells`], [`Error::NoAssignment`].
pub fn assign(scores: ArrayView2<'_, f64>) -> Result<Vec<usize>, Error> {
    let (n_cells, n_labels) = scores.dim();
    if n_cells == 0 {
        return Ok(Vec::new());
    }
    check_scores(scores)?;
    if n_cells > n_labels {
        return Err(Error::TooManyCells { n_cells, n_labels });
    }
    // Costs are reduced by potentials, so that the cheapest way is found among costs that are not negative.
    let (mut of_cell, mut of_label) = (vec![0.0; n_cells], vec![0.0; n_labels]);
    let mut owner: Vec<Option<usize>> = vec![None; n_labels];
    for first in 0..n_cells {
        let mut cost = vec![f64::INFINITY; n_labels];
        // The label from which each label was reached, none for those reached from `first`.
        let mut before: Vec<Option<usize>> = vec![None; n_labels];
        let mut done = vec![false; n_labels];
        let (mut cell, mut from, mut length) = (first, None, 0.0);
        let end = loop {
            for label in (0..n_labels).filter(|&label| !done[label]) {
                let next = length - scores[[cell, label]] - of_cell[cell] - of_label[label];
                if next < cost[label] {
                    (cost[label], before[label]) = (next, from);
                }
            }
            let open = (0..n_labels).filter(|&label| !done[label] && cost[label] < f64::INFINITY);
            let Some(nearest) = open.min_by(|&a, &b| cost[a].total_cmp(&cost[b])) else {
                return Err(Error::NoAssignment { cell: first });
            };
            (length, done[nearest]) = (cost[nearest], true);
            match owner[nearest] {
                Some(next) => (cell, from) = (next, Some(nearest)),
                None => break nearest,
            }
        };
        of_cell[first] += length;
        for label in (0..n_labels).filter(|&label| done[label]) {
            of_label[label] += cost[label] - length;
            if let Some(cell) = owner[label] {
                of_cell[cell] += length - cost[label];
            }
        }
        // Every label on the way changes hands.
        let mut label = end;
        loop {
            match before[label] {
                Some(previous) => {
                    owner[label] = owner[previous];
                    label = previous;
                }
                None => {
                    owner[label] = Some(first);
                    break;
                }
            }
        }
    }
    let mut labels = vec![0; n_cells];
    for (label, cell) in owner.iter().enumerate() {
        if let Some(cell) = cell {
            labels[*cell] = label;
        }
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};
    use proptest::prelude::*;

    use super::*;

    const NONE: f64 = f64::NEG_INFINITY;

    #[test]
    fn the_surer_cell_keeps_the_label() {
        assert_eq!(assign(array![[-0.1, -2.0], [-0.2, -9.0]].view()).expect("two cells"), [1, 0]);
        assert_eq!(assign(array![[-1.0, -5.0, -2.0]].view()).expect("one cell"), [0]);
        assert!(assign(Array2::zeros((0, 3)).view()).expect("no cells").is_empty());
    }

    #[test]
    fn excluded_labels_are_not_given() {
        assert_eq!(assign(array![[-1.0, NONE], [-1.0, -50.0]].view()).expect("two cells"), [0, 1]);
        let message = assign(array![[-1.0, NONE], [-1.0, NONE]].view()).unwrap_err().to_string();
        assert_eq!(message, "no assignment gives cell 1 a label of its own that is possible for it");
    }

    #[test]
    fn more_cells_than_labels_are_refused() {
        let error = assign(array![[0.0], [0.0]].view()).unwrap_err();
        assert_eq!(error.to_string(), "2 cells for 1 labels that are to be given once each");
        assert!(error.help().is_some());
    }

    /// The best of all assignments, one after another.
    fn best(scores: &Array2<f64>, cell: usize, free: &mut Vec<bool>) -> f64 {
        if cell == scores.nrows() {
            return 0.0;
        }
        let mut highest = NONE;
        for label in 0..scores.ncols() {
            if free[label] {
                free[label] = false;
                highest = highest.max(scores[[cell, label]] + best(scores, cell + 1, free));
                free[label] = true;
            }
        }
        highest
    }

    proptest! {
        #[test]
        fn no_assignment_is_better(
            values in proptest::collection::vec(prop_oneof![4 => -9.0..0.0f64, 1 => Just(NONE), 1 => Just(-1.0)], 20),
            n_cells in 1usize..=4,
        ) {
            let scores = Array2::from_shape_vec((4, 5), values).expect("20 values");
            let scores = scores.slice(ndarray::s![..n_cells, ..]).to_owned();
            let expected = best(&scores, 0, &mut vec![true; 5]);
            match assign(scores.view()) {
                Ok(labels) => {
                    let mut seen = labels.clone();
                    seen.sort_unstable();
                    seen.dedup();
                    prop_assert_eq!(seen.len(), n_cells);
                    let sum: f64 = labels.iter().enumerate().map(|(cell, &label)| scores[[cell, label]]).sum();
                    prop_assert!((sum - expected).abs() < 1e-9, "{} {}", sum, expected);
                }
                Err(Error::NoAssignment { .. }) => prop_assert_eq!(expected, NONE),
                Err(other) => prop_assert!(false, "{}", other),
            }
        }
    }
}
