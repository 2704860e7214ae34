use ndarray::{ArrayView1, ArrayView2};

use super::Error;
use super::error::check_labelled;

/// Sets of labels that hold the right one of a new cell with a probability that is promised, whatever the model is worth
/// (adaptive prediction sets, Romano, Sesia and Candès 2020, without the random tie-breaking, which makes sets a little
/// larger).
///
/// The promise is over cells like those of the calibration, not for each kind of cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConformalSets {
    /// Labels are taken in falling probability until they have so much of it; infinite: all labels.
    pub mass: f64,
}

impl ConformalSets {
    /// * `probabilities`: cells × labels, of cells that the model was not fitted on.
    /// * `truth`: the right label of each.
    /// * `alpha`: share of the sets that may miss the right label.
    ///
    /// The mass is the ⌈(n + 1)(1 - alpha)⌉-th smallest of the probabilities of the labels up to the right one.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Length`], [`Error::Label`], [`Error::Probability`], [`Error::Param`].
    pub fn fit(probabilities: ArrayView2<'_, f64>, truth: &[usize], alpha: f64) -> Result<Self, Error> {
        check_labelled(truth, probabilities)?;
        if !(alpha > 0.0 && alpha < 1.0) {
            return Err(Error::Param { field: "alpha", found: alpha, expected: "above 0 and below 1" });
        }
        let up_to_the_right_one = |(row, &label): (ArrayView1<'_, f64>, &usize)| {
            let mut sum = 0.0;
            for other in falling(row) {
                sum += row[other];
                if other == label {
                    break;
                }
            }
            sum
        };
        let mut masses: Vec<f64> =
            probabilities.rows().into_iter().zip(truth).map(up_to_the_right_one).collect();
        masses.sort_by(f64::total_cmp);
        let rank = libm::ceil((masses.len() + 1) as f64 * (1.0 - alpha)) as usize;
        Ok(Self { mass: masses.get(rank.max(1) - 1).copied().unwrap_or(f64::INFINITY) })
    }

    /// The labels of a cell's set, in falling probability; never empty.
    pub fn set(&self, probabilities: ArrayView1<'_, f64>) -> Vec<usize> {
        let (mut sum, mut set) = (0.0, Vec::new());
        for label in falling(probabilities) {
            sum += probabilities[label];
            set.push(label);
            if sum >= self.mass {
                break;
            }
        }
        set
    }
}

/// Labels in falling probability; equals in their order.
fn falling(row: ArrayView1<'_, f64>) -> Vec<usize> {
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
    order
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{RngCore, SeedableRng};

    use super::*;

    #[test]
    fn a_set_grows_until_it_has_the_mass() {
        let sets = ConformalSets { mass: 0.8 };
        assert_eq!(sets.set(array![0.1, 0.6, 0.3].view()), [1, 2]);
        assert_eq!(sets.set(array![0.9, 0.05, 0.05].view()), [0]);
        assert_eq!(ConformalSets { mass: f64::INFINITY }.set(array![0.5, 0.5].view()), [0, 1]);
    }

    /// Cells whose probabilities are right, and how many of the new ones have their label in the set.
    #[test]
    fn nine_in_ten_sets_hold_the_right_label() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut uniform = || f64::from(rng.next_u32()) / f64::from(u32::MAX);
        let n = 4000;
        let mut p = Array2::zeros((n, 30));
        let mut truth = Vec::new();
        for mut row in p.rows_mut() {
            // Peaked: a set is one of several sizes.
            row.mapv_inplace(|_| libm::pow(uniform(), 6.0) + 1e-6);
            let sum = row.sum();
            row.mapv_inplace(|x| x / sum);
            let (draw, mut sum) = (uniform(), 0.0);
            let label = row.iter().position(|x| {
                sum += x;
                draw <= sum
            });
            truth.push(label.unwrap_or(29));
        }
        let (fit, new) = p.view().split_at(ndarray::Axis(0), n / 2);
        let sets = ConformalSets::fit(fit, &truth[..n / 2], 0.1).expect("good probabilities");
        let hits =
            new.rows().into_iter().zip(&truth[n / 2..]).filter(|(row, label)| sets.set(*row).contains(label));
        let share = hits.count() as f64 / (n / 2) as f64;
        // A set ends with the label that fills it, so it is a little too large.
        assert!((0.88..0.97).contains(&share), "{share}");
    }

    #[test]
    fn too_few_cells_give_all_labels() {
        let p = array![[0.9, 0.1]];
        let sets = ConformalSets::fit(p.view(), &[0], 0.1).expect("one cell");
        assert_eq!(sets.mass, f64::INFINITY);
        let message = ConformalSets::fit(p.view(), &[0], 1.5).unwrap_err().to_string();
        assert_eq!(message, "`alpha` is 1.5, expected above 0 and below 1");
    }
}
