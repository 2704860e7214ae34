//! Means and variances of every feature in every class.

use rayon::prelude::*;

use super::design::Design;

/// Sums over the training rows, feature by feature.
pub(crate) struct Moments {
    pub(crate) features: Vec<FeatureMoments>,
}

/// One feature.
pub(crate) struct FeatureMoments {
    /// Mean in each class.
    pub(crate) mean: Vec<f64>,
    /// Sum of squared deviations from the mean of the class, in each class.
    pub(crate) squares: Vec<f64>,
    /// Mean over all rows.
    pub(crate) total_mean: f64,
    /// Sum of squared deviations from it.
    pub(crate) total_squares: f64,
}

impl Moments {
    /// * `codes`: class of each row; `counts`: rows of each class, none of them 0.
    pub(crate) fn new(design: &Design, codes: &[u32], counts: &[usize]) -> Self {
        let columns = design.columns();
        let feature = |j: usize| {
            let (rows, deltas) = columns.line(j);
            // What the background adds to the means: deviations do not notice it.
            of_feature(rows, deltas, codes, counts, design.background[j])
        };
        Self { features: (0..design.n_cols).into_par_iter().map(feature).collect() }
    }

    /// The means of each class, class after class.
    pub(crate) fn means(&self, n_classes: usize) -> Vec<f64> {
        (0..n_classes).flat_map(|k| self.features.iter().map(move |f| f.mean[k])).collect()
    }
}

fn of_feature(
    rows: &[u32],
    deltas: &[f32],
    codes: &[u32],
    counts: &[usize],
    background: f64,
) -> FeatureMoments {
    let k = counts.len();
    let (mut sums, mut written) = (vec![0.0; k], vec![0usize; k]);
    for (&row, &d) in rows.iter().zip(deltas) {
        let code = codes[row as usize] as usize;
        sums[code] += f64::from(d);
        written[code] += 1;
    }
    let n: usize = counts.iter().sum();
    let total_mean = sums.iter().sum::<f64>() / n as f64;
    let mean: Vec<f64> = sums.iter().zip(counts).map(|(sum, &n)| sum / n as f64).collect();
    // Deviations from means that are known: a difference of large sums would lose small variances.
    let mut squares = vec![0.0; k];
    let mut total_squares = 0.0;
    for (&row, &d) in rows.iter().zip(deltas) {
        let code = codes[row as usize] as usize;
        let (own, total) = (f64::from(d) - mean[code], f64::from(d) - total_mean);
        squares[code] += own * own;
        total_squares += total * total;
    }
    for code in 0..k {
        let unwritten = (counts[code] - written[code]) as f64;
        squares[code] += unwritten * mean[code] * mean[code];
        total_squares += unwritten * total_mean * total_mean;
    }
    let mean = mean.into_iter().map(|mean| mean + background).collect();
    FeatureMoments { mean, squares, total_mean: total_mean + background, total_squares }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Features;

    #[test]
    fn moments_over_a_background_are_those_of_the_full_matrix() {
        let x = Features::sparse(vec![0, 1, 1, 2, 3], vec![0, 0, 0], vec![3.0, 5.0, 2.0], vec![2.0]).unwrap();
        // The column is 3, 2, 5, 2.
        let moments = Moments::new(&Design::new(&x), &[0, 0, 1, 1], &[2, 2]);
        let feature = &moments.features[0];
        assert_eq!(feature.mean, [2.5, 3.5]);
        assert_eq!(feature.squares, [0.5, 4.5]);
        assert_eq!((feature.total_mean, feature.total_squares), (3.0, 6.0));
    }
}
