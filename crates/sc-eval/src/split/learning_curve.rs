//! Training sets of growing size.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::statistics::below;
use crate::{Error, Labels, Result};

/// Knobs of the subsets of a learning curve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearningCurve {
    /// Numbers of training cells, ascending. Default 100, 500, 1000, 5000, 10,000.
    pub sizes: Vec<usize>,
    /// Cells of each class that even the smallest set holds, fewer where the class has fewer. Default 1, so that every
    /// class can be learned at every size.
    pub min_per_class: usize,
    /// Seed of the draw; each class has a stream of its own. Default 0.
    pub seed: u64,
}

impl Default for LearningCurve {
    fn default() -> Self {
        Self { sizes: vec![100, 500, 1000, 5000, 10_000], min_per_class: 1, seed: 0 }
    }
}

/// Draws training sets of several sizes, each within the next, with nearly the class shares of the whole.
///
/// * `train`: the cells to draw from, e.g. the training side of a split.
/// * returns: the cells of each size; each set begins with the one before.
///
/// The cells of each class are put in random order, and the classes are merged so that any number of first cells has
/// their shares to within a cell of each class; `min_per_class` cells of each go first. What a model gains from more
/// cells is thus not mixed with what it gains from other cells.
///
/// # Errors
/// [`Error::Empty`]; [`Error::CellOutOfBounds`]; [`Error::Parameter`] for sizes that do not ascend, that are beyond the
/// training cells, or too small for `min_per_class` cells of each class.
///
/// ```
/// use sc_eval::Labels;
/// use sc_eval::split::{LearningCurve, learning_curve_subsets};
///
/// let labels = Labels::new(&(0..100).map(|i| if i % 10 == 0 { "NK" } else { "T" }).collect::<Vec<_>>())?;
/// let train: Vec<usize> = (0..80).collect();
/// let curve = LearningCurve { sizes: vec![10, 40], ..Default::default() };
/// let sets = learning_curve_subsets(&labels, &train, &curve)?;
/// assert_eq!(sets[0], sets[1][..10]);
/// assert_eq!(sets[1].iter().filter(|&&cell| cell % 10 == 0).count(), 4);
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn learning_curve_subsets(
    labels: &Labels,
    train: &[usize],
    params: &LearningCurve,
) -> Result<Vec<Vec<usize>>> {
    let n_cells = labels.len();
    if let Some(&cell) = train.iter().find(|&&cell| cell >= n_cells) {
        return Err(Error::CellOutOfBounds { what: "the training set", cell, n_cells });
    }
    for (what, n) in [("the training set", train.len()), ("sizes", params.sizes.len())] {
        if n == 0 {
            return Err(Error::Empty { what });
        }
    }
    if u32::try_from(train.len()).is_err() {
        let (value, expected) = (train.len().to_string(), "at most 4294967295 training cells");
        return Err(Error::Parameter { name: "train", value, expected });
    }
    let mut by_class = vec![Vec::new(); labels.n_classes()];
    for &cell in train {
        by_class[labels.codes()[cell] as usize].push(cell);
    }
    let first = by_class.iter().map(|cells| cells.len().min(params.min_per_class)).sum();
    check_sizes(&params.sizes, first, train.len())?;
    // A cell's place: among the first, else the share of its class that goes before it, its own half included.
    let mut order: Vec<(f64, usize)> = Vec::with_capacity(train.len());
    for (class, cells) in by_class.iter_mut().enumerate() {
        shuffle(cells, params.seed, class as u64);
        let n = cells.len() as f64;
        order.extend(
            cells
                .iter()
                .enumerate()
                .map(|(i, &cell)| (if i < params.min_per_class { -1.0 } else { (i as f64 + 0.5) / n }, cell)),
        );
    }
    // Stable: of equal places the lower class goes first.
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let first_cells = |&size: &usize| order[..size].iter().map(|&(_, cell)| cell).collect();
    Ok(params.sizes.iter().map(first_cells).collect())
}

fn check_sizes(sizes: &[usize], least: usize, most: usize) -> Result<()> {
    let refused =
        |value: usize, expected| Err(Error::Parameter { name: "sizes", value: value.to_string(), expected });
    if let Some(pair) = sizes.windows(2).find(|pair| pair[0] >= pair[1]) {
        return refused(pair[1], "sizes that ascend");
    }
    match sizes {
        [smallest, ..] if *smallest == 0 || *smallest < least => {
            refused(*smallest, "room for `min_per_class` cells of each class")
        }
        [.., largest] if *largest > most => refused(*largest, "at most the number of training cells"),
        _ => Ok(()),
    }
}

/// Fisher and Yates' shuffle.
fn shuffle(cells: &mut [usize], seed: u64, stream: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    for i in (1..cells.len()).rev() {
        let bound = u32::try_from(i + 1).expect("the number of training cells was checked");
        cells.swap(i, below(&mut rng, bound) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Labels {
        let name = |i: usize| if i < 3 { "rare" } else { ["a", "b", "b"][i % 3] };
        Labels::new(&(0..300).map(name).collect::<Vec<_>>()).unwrap()
    }

    fn draw(sizes: &[usize], min_per_class: usize, seed: u64) -> Result<Vec<Vec<usize>>> {
        let train: Vec<usize> = (0..300).rev().collect();
        let params = LearningCurve { sizes: sizes.to_vec(), min_per_class, seed };
        learning_curve_subsets(&labels(), &train, &params)
    }

    #[test]
    fn each_set_holds_the_one_before_and_no_cell_twice() {
        let sets = draw(&[10, 50, 299, 300], 2, 4).unwrap();
        assert!(sets.windows(2).all(|pair| pair[1].starts_with(&pair[0])));
        let mut all = sets[3].clone();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..300));
    }

    #[test]
    fn shares_hold_at_every_size_and_rare_classes_are_there_from_the_start() {
        let labels = labels();
        for set in draw(&[6, 30, 60, 150], 1, 0).unwrap() {
            let count = |class: u32| labels.select(&set).iter().filter(|&&code| code == class).count() as f64;
            assert!(count(2) >= 1.0);
            assert!((count(1) - 198.0 / 300.0 * set.len() as f64).abs() < 2.5, "{}", set.len());
        }
        let without = draw(&[6], 0, 0).unwrap();
        assert!(!labels.select(&without[0]).contains(&2));
    }

    #[test]
    fn the_seed_decides() {
        assert_eq!(draw(&[20], 1, 7).unwrap(), draw(&[20], 1, 7).unwrap());
        assert_ne!(draw(&[20], 1, 7).unwrap(), draw(&[20], 1, 8).unwrap());
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let message = |sizes: &[usize]| draw(sizes, 1, 0).unwrap_err().to_string();
        assert_eq!(message(&[5, 5]), "`sizes` is 5, expected sizes that ascend");
        assert_eq!(message(&[301]), "`sizes` is 301, expected at most the number of training cells");
        assert_eq!(message(&[2]), "`sizes` is 2, expected room for `min_per_class` cells of each class");
        assert_eq!(message(&[]), "sizes is empty");
        let beyond = learning_curve_subsets(&labels(), &[300], &LearningCurve::default()).unwrap_err();
        assert_eq!(beyond.to_string(), "the training set holds cell 300, but there are 300 cells");
        assert!(learning_curve_subsets(&labels(), &[], &LearningCurve::default()).is_err());
    }
}
