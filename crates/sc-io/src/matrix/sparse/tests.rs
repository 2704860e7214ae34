//! The two sparse forms.

use super::*;

fn csr(indptr: &[usize], indices: &[u32], values: &[f32]) -> Result<Csr, InvalidSparse> {
    Csr::new(2, 3, indptr.to_vec(), indices.to_vec(), values.to_vec())
}

#[test]
fn a_well_formed_matrix_is_taken_and_transposes_back_to_itself() {
    let m = csr(&[0, 2, 3], &[0, 2, 1], &[1.0, 2.0, 3.0]).unwrap();
    assert_eq!(m.to_dense(), ndarray::array![[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]]);
    assert_eq!(m.to_csc().to_csr(), m);
    assert_eq!(m.to_csc().column(2), (&[0u32][..], &[2.0f32][..]));
    assert_eq!(Csr::from_dense(m.to_dense().view()), m);
}

#[test]
fn every_kind_of_lie_is_named() {
    use InvalidSparse::*;
    assert_eq!(csr(&[0, 2], &[0, 2], &[1.0; 2]), Err(IndptrLength { found: 2, expected: 3 }));
    assert_eq!(csr(&[1, 2, 2], &[0, 2], &[1.0; 2]), Err(IndptrStart { found: 1 }));
    assert_eq!(csr(&[0, 2, 1], &[0], &[1.0]), Err(IndptrOrder { at: 2, before: 2, after: 1 }));
    let lengths = StoredLength { found: 3, indices: 2, values: 2 };
    assert_eq!(csr(&[0, 2, 3], &[0, 2], &[1.0; 2]), Err(lengths));
    assert_eq!(csr(&[0, 1, 2], &[0, 3], &[1.0; 2]), Err(IndexBound { major: 1, index: 3, bound: 3 }));
    assert_eq!(csr(&[0, 2, 2], &[2, 0], &[1.0; 2]), Err(IndexOrder { major: 0, before: 2, after: 0 }));
    assert_eq!(csr(&[0, 2, 2], &[1, 1], &[1.0; 2]), Err(IndexOrder { major: 0, before: 1, after: 1 }));
}

#[test]
fn unsorted_rows_are_sorted_and_duplicates_are_refused() {
    let m = Csr::from_unsorted(2, 3, vec![0, 2, 3], vec![2, 0, 1], vec![2.0, 1.0, 3.0]).unwrap();
    assert_eq!(m, csr(&[0, 2, 3], &[0, 2, 1], &[1.0, 2.0, 3.0]).unwrap());
    let twice = Csr::from_unsorted(1, 3, vec![0, 3], vec![2, 0, 2], vec![1.0; 3]);
    assert_eq!(twice, Err(InvalidSparse::IndexOrder { major: 0, before: 2, after: 2 }));
}

#[test]
fn selection_keeps_the_order_that_was_asked_for() {
    let m = csr(&[0, 2, 3], &[0, 2, 1], &[1.0, 2.0, 3.0]).unwrap();
    assert_eq!(m.select_rows(&[1, 0, 1]).to_dense().column(1).to_vec(), [3.0, 0.0, 3.0]);
    let swapped = m.select_columns(&[2, 0]);
    assert_eq!(swapped.to_dense(), ndarray::array![[2.0, 1.0], [0.0, 0.0]]);
    assert_eq!(Csr::new(2, 2, vec![0, 2, 2], vec![0, 1], vec![2.0, 1.0]).unwrap(), swapped);
}
