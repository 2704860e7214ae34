//! Mean, variance and detection of every gene, in one pass over the stored values.

use rayon::prelude::*;
use sc_io::Csr;

use crate::chunks::chunks;
use crate::subset::{Rows, Slots};

/// What is known of each gene over the rows looked at.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GeneMoments {
    /// Rows with a value that is not zero.
    pub(crate) detected: Vec<usize>,
    pub(crate) mean: Vec<f64>,
    /// With `n - 1` in the denominator; 0 for a single row.
    pub(crate) variance: Vec<f64>,
}

/// Sums over the values of one gene that are not zero, taken relative to the first of them.
///
/// The shift keeps the variance accurate where the values lie far from zero and close together, and makes it exactly
/// zero where they are all the same.
#[derive(Clone, Copy, Debug, Default)]
struct Shifted {
    count: u64,
    shift: f64,
    sum: f64,
    sum_of_squares: f64,
}

impl Shifted {
    #[inline]
    fn push(&mut self, value: f64) {
        if self.count == 0 {
            self.shift = value;
        }
        let d = value - self.shift;
        self.count += 1;
        self.sum += d;
        self.sum_of_squares += d * d;
    }

    fn centered(self) -> Centered {
        if self.count == 0 {
            return Centered::default();
        }
        let n = self.count as f64;
        let offset = self.sum / n;
        let squares = (self.sum_of_squares - self.sum * offset).max(0.0);
        Centered { count: n, mean: self.shift + offset, squares }
    }
}

/// Number, mean and sum of squared deviations from the mean.
#[derive(Clone, Copy, Debug, Default)]
struct Centered {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Centered {
    /// Both groups as one (Chan, Golub and LeVeque 1979).
    fn merge(self, other: Self) -> Self {
        if other.count == 0.0 {
            return self;
        }
        if self.count == 0.0 {
            return other;
        }
        let count = self.count + other.count;
        let gap = other.mean - self.mean;
        let share = other.count / count;
        Self {
            count,
            mean: self.mean + gap * share,
            squares: self.squares + other.squares + gap * gap * self.count * share,
        }
    }
}

/// Moments of the genes in `slots`, over `rows`; `value` is applied to each stored value first.
///
/// * `value()`: makes the function of a stored value (0 must stay 0); one per chunk of rows.
pub(crate) fn gene_moments<V: FnMut(f32) -> f64>(
    x: &Csr,
    rows: Rows<'_>,
    slots: &Slots,
    value: impl Fn() -> V + Sync,
) -> GeneMoments {
    let partials: Vec<Vec<Shifted>> = chunks(rows.len(), 512)
        .map(|range| {
            let mut sums = vec![Shifted::default(); slots.len()];
            let mut value = value();
            for i in range {
                let (genes, stored) = x.row(rows.get(i));
                for (&gene, &v) in genes.iter().zip(stored) {
                    if v != 0.0
                        && let Some(at) = slots.get(gene)
                    {
                        sums[at].push(value(v));
                    }
                }
            }
            sums
        })
        .collect();
    let n = rows.len() as f64;
    let of_gene = |gene: usize| {
        let stored =
            partials.iter().map(|sums| sums[gene].centered()).fold(Centered::default(), Centered::merge);
        let zeros = Centered { count: n - stored.count, ..Centered::default() };
        (stored.count as usize, stored.merge(zeros))
    };
    let genes: Vec<(usize, Centered)> =
        (0..slots.len()).into_par_iter().with_min_len(1024).map(of_gene).collect();
    let denominator = (n - 1.0).max(1.0);
    GeneMoments {
        detected: genes.iter().map(|g| g.0).collect(),
        mean: genes.iter().map(|g| g.1.mean).collect(),
        variance: genes.iter().map(|g| g.1.squares / denominator).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn moments(x: &Csr, rows: Rows<'_>) -> GeneMoments {
        gene_moments(x, rows, &Slots::all(x.n_cols()), || f64::from)
    }

    #[test]
    fn mean_and_variance_count_the_zeros() {
        let x = Csr::from_dense(array![[1.0, 0.0], [3.0, 0.0], [0.0, 0.0], [0.0, 4.0]].view());
        let m = moments(&x, Rows::All(4));
        assert_eq!(m.detected, [2, 1]);
        assert_eq!(m.mean, [1.0, 1.0]);
        assert_eq!(m.variance, [2.0, 4.0]);
        let m = moments(&x, Rows::Listed(&[0, 2]));
        assert_eq!((m.mean[0], m.variance[0], m.detected[1]), (0.5, 0.5, 0));
    }

    #[test]
    fn a_constant_gene_has_variance_zero_exactly() {
        let n = 5000;
        let x = Csr::new(n, 1, (0..=n).collect(), vec![0; n], vec![0.1; n]).unwrap();
        let m = moments(&x, Rows::All(n));
        assert_eq!((m.mean[0], m.variance[0]), (f64::from(0.1f32), 0.0));
    }

    #[test]
    fn a_large_mean_does_not_drown_the_variance() {
        let values: Vec<f32> = (0..1000).map(|i| 1e6 + (i % 2) as f32).collect();
        let x = Csr::new(1000, 1, (0..=1000).collect(), vec![0; 1000], values).unwrap();
        let variance = moments(&x, Rows::All(1000)).variance[0];
        assert!((variance - 250.0 / 999.0).abs() < 1e-12, "{variance}");
    }

    #[test]
    fn stored_zeros_are_zeros() {
        let x = Csr::new(2, 1, vec![0, 1, 2], vec![0, 0], vec![0.0, 2.0]).unwrap();
        let m = moments(&x, Rows::All(2));
        assert_eq!((m.detected[0], m.mean[0], m.variance[0]), (1, 1.0, 2.0));
    }
}
