//! Entropy of the batches around a cell.

use super::Neighbors;
use super::codes::Codes;
use crate::Result;
use crate::metrics::compute::{map_blocks, mean};
use crate::metrics::math::ln;

/// Cells that one task takes.
const BLOCK: usize = 1024;

/// Mean entropy of the batches among the neighbours of a cell, over the logarithm of their number: 0 where every cell
/// has neighbours of one batch, 1 where each has all batches alike.
///
/// * `batches`: batch of each cell, any integers.
///
/// cz-benchmarks' `entropy_per_cell`, which takes 200 neighbours, the cell itself among them, from an approximate
/// index; here they come from the caller.
///
/// # Errors
/// [`Error::Length`](crate::Error::Length) unless there is a batch for each cell;
/// [`Error::Parameter`](crate::Error::Parameter) below two batches, where cz-benchmarks is NaN.
pub fn entropy_per_cell(neighbors: Neighbors<'_>, batches: &[u32]) -> Result<f64> {
    let n = neighbors.n_cells();
    let batches = Codes::new("batches", batches, n)?.at_least_two("the number of batches")?;
    let k = neighbors.n_neighbors() as f64;
    let blocks = map_blocks(n.div_ceil(BLOCK), |block| {
        let mut counts = vec![0u32; batches.len()];
        let entropy = |cell: usize| {
            counts.fill(0);
            neighbors.indices(cell).for_each(|other| counts[batches.codes[other] as usize] += 1);
            let shares = counts.iter().filter(|&&count| count > 0).map(|&count| f64::from(count) / k);
            shares.map(|share| -share * ln(share)).sum::<f64>()
        };
        (block * BLOCK..((block + 1) * BLOCK).min(n)).map(entropy).collect::<Vec<f64>>()
    });
    Ok(mean(&blocks.concat()) / ln(batches.len() as f64))
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn pure_neighbourhoods_have_no_entropy_and_even_ones_all_of_it() {
        let batches = [0, 3, 0, 3];
        let distances = Array2::zeros((4, 2));
        let next = Array2::from_shape_fn((4, 2), |(i, j)| ((i + j) % 4) as u32);
        let even =
            entropy_per_cell(Neighbors::new(next.view(), distances.view()).unwrap(), &batches).unwrap();
        assert!((even - 1.0).abs() < 1e-15);
        let same = Array2::from_shape_fn((4, 2), |(i, j)| ((i + 2 * j) % 4) as u32);
        let neighbors = Neighbors::new(same.view(), distances.view()).unwrap();
        assert_eq!(entropy_per_cell(neighbors, &batches).unwrap(), 0.0);
        let error = entropy_per_cell(neighbors, &[1; 4]).unwrap_err();
        assert_eq!(error.to_string(), "`the number of batches` is 1, expected at least 2");
    }
}
