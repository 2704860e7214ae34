//! k-nearest-neighbour batch effect test.

use super::Neighbors;
use super::chi_square::survival;
use super::codes::Codes;
use crate::metrics::compute::map_blocks;
use crate::{Error, Result};

/// How to compute [`kbet`].
#[derive(Clone, Debug, PartialEq)]
pub struct KbetParams {
    /// Significance level of the test, in 0..=1. Default 0.05.
    pub alpha: f64,
}

impl Default for KbetParams {
    fn default() -> Self {
        Self { alpha: 0.05 }
    }
}

impl KbetParams {
    pub(super) fn validate(&self) -> Result<()> {
        if (0.0..=1.0).contains(&self.alpha) {
            return Ok(());
        }
        Err(Error::Parameter { name: "alpha", value: self.alpha.to_string(), expected: "0 to 1" })
    }
}

/// The test of each cell's neighbourhood.
#[derive(Clone, Debug, PartialEq)]
pub struct Kbet {
    /// Share of cells whose neighbourhood passes, in 0..=1; more is better mixed.
    pub acceptance_rate: f64,
    /// Chi-square statistic of each cell.
    pub statistics: Vec<f64>,
    /// p-value of each cell.
    pub p_values: Vec<f64>,
}

/// Cells that one task takes.
const BLOCK: usize = 1024;

/// Tests whether the batches of each cell's neighbours are drawn from the batches of all cells (Büttner et al. 2019).
///
/// * `batches`: batch of each cell, any integers.
///
/// Pearson's chi-square over the batches, with one degree of freedom fewer than there are; all neighbours count, the
/// cell itself among them. Equals scib-metrics' `kbet`, which has 50 neighbours in its pipeline.
///
/// # Errors
/// [`Error::Length`] unless there is a batch for each cell; [`Error::Parameter`] below two batches or if `alpha` is not
/// in 0 to 1.
pub fn kbet(neighbors: Neighbors<'_>, batches: &[u32], params: &KbetParams) -> Result<Kbet> {
    params.validate()?;
    let n = neighbors.n_cells();
    let batches = Codes::new("batches", batches, n)?.at_least_two("the number of batches")?;
    let mut expected = vec![0.0; batches.len()];
    batches.codes.iter().for_each(|&batch| expected[batch as usize] += 1.0);
    let k = neighbors.n_neighbors() as f64;
    expected.iter_mut().for_each(|count| *count *= k / n as f64);
    let blocks = map_blocks(n.div_ceil(BLOCK), |block| {
        let mut observed = vec![0.0; batches.len()];
        let statistic = |cell: usize| {
            observed.fill(0.0);
            neighbors.indices(cell).for_each(|other| observed[batches.codes[other] as usize] += 1.0);
            let terms = observed.iter().zip(&expected).map(|(o, e)| (o - e) * (o - e) / e);
            terms.sum::<f64>()
        };
        let statistics = (block * BLOCK..((block + 1) * BLOCK).min(n)).map(statistic);
        statistics.map(|x| (x, survival(batches.len() - 1, x))).collect::<Vec<_>>()
    });
    let (statistics, p_values): (Vec<f64>, Vec<f64>) = blocks.into_iter().flatten().unzip();
    let accepted = p_values.iter().filter(|&&p| p >= params.alpha).count();
    Ok(Kbet { acceptance_rate: accepted as f64 / n as f64, statistics, p_values })
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn neighbourhoods_like_the_whole_pass_and_pure_ones_do_not() {
        let n = 40;
        let batches: Vec<u32> = (0..n as u32).map(|i| i % 2).collect();
        let distances = Array2::zeros((n, 10));
        let next = Array2::from_shape_fn((n, 10), |(i, j)| ((i + j) % n) as u32);
        let mixed =
            kbet(Neighbors::new(next.view(), distances.view()).unwrap(), &batches, &KbetParams::default());
        let mixed = mixed.unwrap();
        assert_eq!(mixed.acceptance_rate, 1.0);
        assert!(mixed.statistics.iter().all(|&x| x == 0.0) && mixed.p_values.iter().all(|&p| p == 1.0));
        let same = Array2::from_shape_fn((n, 10), |(i, j)| ((i + 2 * j) % n) as u32);
        let pure =
            kbet(Neighbors::new(same.view(), distances.view()).unwrap(), &batches, &KbetParams::default());
        let pure = pure.unwrap();
        assert_eq!(pure.acceptance_rate, 0.0);
        assert_eq!(pure.statistics[0], 10.0);
    }

    #[test]
    fn faults_are_named() {
        let (indices, distances) = (Array2::zeros((3, 1)), Array2::zeros((3, 1)));
        let neighbors = Neighbors::new(indices.view(), distances.view()).unwrap();
        let alpha = kbet(neighbors, &[0, 1, 0], &KbetParams { alpha: 2.0 }).unwrap_err();
        assert_eq!(alpha.to_string(), "`alpha` is 2, expected 0 to 1");
        let one = kbet(neighbors, &[5, 5, 5], &KbetParams::default()).unwrap_err();
        assert_eq!(one.to_string(), "`the number of batches` is 1, expected at least 2");
    }
}
