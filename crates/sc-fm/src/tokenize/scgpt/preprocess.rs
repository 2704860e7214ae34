use rayon::prelude::*;
use sc_io::{Counts, Csr};

use crate::tokenize::bins::{Ties, bin_values, edges};
use crate::tokenize::{Error, Result};

/// A matrix as the fine-tuning recipes of scGPT prepare it.
#[derive(Clone, Debug, PartialEq)]
pub struct Preprocessed {
    /// Counts per `target_sum`, logarithm of one more, cells × genes.
    pub log1p: Csr,
    /// The bin of every stored value, by row, cells × genes.
    pub binned: Csr,
    /// The `n_bins - 1` edges of each cell; none for a cell without counts.
    pub edges: Vec<Vec<f64>>,
}

/// Counts scaled to a common total, their logarithm, and its bins, cell by cell.
///
/// * `counts`: cells × genes; genes and cells are filtered, and genes selected, before.
/// * `target_sum`: total of each cell afterwards, 1e4 in the recipes.
/// * `ties`: by row; see [`Ties`].
///
/// The logarithm is taken in f64 and rounded once, 1e-6 relative from scanpy's; its bins are those of the counts,
/// for both have the same order. A cell without counts stays all zero.
///
/// # Errors
/// [`Error::Parameter`] if `n_bins` is outside 2..=65,536; [`Error::Draws`] and [`Error::Draw`] if draws do not fit;
/// [`Error::Number`] if `target_sum` is no finite number above 0.
pub fn preprocess<'a>(
    counts: Counts<'_>,
    target_sum: f64,
    n_bins: usize,
    ties: impl Fn(usize) -> Ties<'a> + Sync,
) -> Result<Preprocessed> {
    if !(target_sum.is_finite() && target_sum > 0.0) {
        let expected = "a finite number above 0";
        return Err(Error::Number { name: "target_sum", value: target_sum, expected });
    }
    let x = counts.csr();
    let row = |row: usize| -> Result<(Vec<f32>, Vec<f32>, Vec<f64>)> {
        let values = x.row(row).1;
        let total: f64 = values.iter().map(|&v| f64::from(v)).sum();
        if total == 0.0 {
            return Ok((values.to_vec(), vec![0.0; values.len()], Vec::new()));
        }
        let log = |&v: &f32| libm::log1p(f64::from(v) * (target_sum / total)) as f32;
        let logs: Vec<f32> = values.iter().map(log).collect();
        let bins = bin_values(&logs, n_bins, ties(row))?.into_iter().map(|bin| bin as f32).collect();
        let edges = edges(&logs, n_bins)?;
        Ok((logs, bins, edges))
    };
    let rows: Vec<Result<_>> = (0..x.n_rows()).into_par_iter().map(row).collect();
    let (mut logs, mut bins, mut all_edges) =
        (Vec::with_capacity(x.nnz()), Vec::with_capacity(x.nnz()), Vec::new());
    for row in rows {
        let (row_logs, row_bins, row_edges) = row?;
        logs.extend_from_slice(&row_logs);
        bins.extend_from_slice(&row_bins);
        all_edges.push(row_edges);
    }
    let like_x = |values| {
        Csr::new(x.n_rows(), x.n_cols(), x.indptr().to_vec(), x.indices().to_vec(), values)
            .expect("the indices are those of a matrix")
    };
    Ok(Preprocessed { log1p: like_x(logs), binned: like_x(bins), edges: all_edges })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn logarithms_bins_and_edges_stand_row_by_row() {
        let x = Csr::from_dense(array![[1.0, 0.0, 3.0], [0.0, 0.0, 0.0], [0.0, 2.0, 0.0]].view());
        let out = preprocess(Counts::new(&x).unwrap(), 4.0, 11, |_| Ties::Middle).unwrap();
        assert_eq!(out.log1p.row(0).1, [2.0_f32.ln(), 4.0_f32.ln()]);
        assert_eq!(out.binned.row(0).1, [1.0, 10.0]);
        assert_eq!(out.edges.iter().map(Vec::len).collect::<Vec<_>>(), [10, 0, 10]);
        assert_eq!(out.edges[0][9], f64::from(4.0_f32.ln()));
    }

    #[test]
    fn targets_and_bins_out_of_range_are_refused() {
        let x = Csr::from_dense(array![[1.0, 2.0]].view());
        for target in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = preprocess(Counts::new(&x).unwrap(), target, 11, |_| Ties::Middle).unwrap_err();
            assert!(matches!(error, Error::Number { name: "target_sum", .. }), "{error}");
        }
        assert!(preprocess(Counts::new(&x).unwrap(), 1e4, 1, |_| Ties::Middle).is_err());
    }
}
