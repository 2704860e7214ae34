//! What the graph algorithms ask of a graph.

use sc_io::Csr;

use crate::error::Error;

/// An undirected weighted graph: square, symmetric, weights finite and not negative.
///
/// An entry that is not stored weighs 0.
pub(crate) fn check_undirected(graph: &Csr) -> Result<(), Error> {
    let (n_rows, n_cols) = (graph.n_rows(), graph.n_cols());
    if n_rows != n_cols {
        return Err(Error::NotSquare { n_rows, n_cols });
    }
    let mut at = vec![0usize; n_rows];
    at.copy_from_slice(&graph.indptr()[..n_rows]);
    for row in 0..n_rows {
        let (columns, values) = graph.row(row);
        for (&column, &value) in columns.iter().zip(values) {
            // No range contains NaN.
            if !(0.0..f32::INFINITY).contains(&value) {
                return Err(Error::EdgeWeight { row, column: column as usize, value });
            }
        }
    }
    // Rows are met in order, so the entries (column, row) opposite to (row, column) are met in order within `column`, too.
    for row in 0..n_rows {
        let (columns, values) = graph.row(row);
        for (&column, &value) in columns.iter().zip(values) {
            let column = column as usize;
            let end = graph.indptr()[column + 1];
            // Whatever is skipped has no opposite.
            while at[column] < end && (graph.indices()[at[column]] as usize) < row {
                let skipped = at[column];
                if graph.values()[skipped] != 0.0 {
                    let (value, mirrored) = (graph.values()[skipped], 0.0);
                    let other = graph.indices()[skipped] as usize;
                    return Err(Error::NotSymmetric { row: column, column: other, value, mirrored });
                }
                at[column] += 1;
            }
            let here = at[column];
            let mirrored = match here < end && graph.indices()[here] as usize == row {
                true => {
                    at[column] += 1;
                    graph.values()[here]
                }
                false => 0.0,
            };
            if mirrored != value {
                return Err(Error::NotSymmetric { row, column, value, mirrored });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use proptest::prelude::*;

    #[test]
    fn a_symmetric_graph_passes_and_explicit_zeros_count_as_absent() {
        let graph = Csr::from_dense(array![[1.0, 2.0, 0.0], [2.0, 0.0, 0.5], [0.0, 0.5, 0.0]].view());
        assert_eq!(check_undirected(&graph), Ok(()));
        let with_zero = Csr::new(2, 2, vec![0, 1, 1], vec![1], vec![0.0]).unwrap();
        assert_eq!(check_undirected(&with_zero), Ok(()));
        let with_zero = Csr::new(2, 2, vec![0, 0, 1], vec![0], vec![0.0]).unwrap();
        assert_eq!(check_undirected(&with_zero), Ok(()));
    }

    #[test]
    fn what_is_no_undirected_graph_is_named() {
        let wide = Csr::new(1, 2, vec![0, 0], vec![], vec![]).unwrap();
        assert_eq!(check_undirected(&wide), Err(Error::NotSquare { n_rows: 1, n_cols: 2 }));
        let negative = Csr::new(1, 1, vec![0, 1], vec![0], vec![-1.0]).unwrap();
        assert_eq!(check_undirected(&negative), Err(Error::EdgeWeight { row: 0, column: 0, value: -1.0 }));
        let nan = Csr::new(1, 1, vec![0, 1], vec![0], vec![f32::NAN]).unwrap();
        assert!(matches!(check_undirected(&nan), Err(Error::EdgeWeight { value, .. }) if value.is_nan()));
    }

    proptest! {
        #[test]
        fn exactly_the_symmetric_matrices_pass(n in 1usize..7, values in prop::collection::vec(0u8..3, 49)) {
            let dense = ndarray::Array2::from_shape_fn((n, n), |(i, j)| f32::from(values[i * 7 + j]));
            let symmetric = dense == dense.t();
            let result = check_undirected(&Csr::from_dense(dense.view()));
            prop_assert_eq!(result.is_ok(), symmetric);
            if let Err(Error::NotSymmetric { row, column, value, mirrored }) = result {
                prop_assert_eq!((dense[[row, column]], dense[[column, row]]), (value, mirrored));
                prop_assert!(value != mirrored);
            }
            let together = &dense + &dense.t();
            prop_assert!(check_undirected(&Csr::from_dense(together.view())).is_ok());
        }
    }
}
