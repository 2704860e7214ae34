//! Sparse matrices: a group of `data`, `indices` and `indptr`, and the shape in an attribute.

use super::Read;
use super::array::one_axis;
use crate::hdf5::{Dataset, Fault, Number, Object};
use crate::{Csc, Csr, InvalidSparse, Problem};

/// Columns or rows of a sparse matrix are numbered in 32 bits.
const MAX_AXIS: u64 = u32::MAX as u64;

pub(super) fn csr(group: &Object<'_>) -> Read<Csr> {
    let (rows, columns) = shape(group)?;
    let (indptr, indices, values) = parts(group)?;
    Csr::from_unsorted(rows, columns, indptr, indices, values).map_err(|e| blamed(group, e))
}

pub(super) fn csc(group: &Object<'_>) -> Read<Csc> {
    let (rows, columns) = shape(group)?;
    let (indptr, indices, values) = parts(group)?;
    Csc::from_unsorted(rows, columns, indptr, indices, values).map_err(|e| blamed(group, e))
}

/// The shape that the group declares.
pub(in crate::h5ad) fn shape(group: &Object<'_>) -> Read<(usize, usize)> {
    let attribute = match group.attribute("shape")? {
        Some(shape) => Some(shape),
        None => group.attribute("h5sparse_shape")?,
    };
    let missing = || group.fault(Problem::MissingAttribute { name: "shape".to_owned() });
    let shape = attribute.ok_or_else(missing)?.numbers::<usize>().map_err(|p| group.fault(p))?;
    match shape[..] {
        [rows, columns] if rows as u64 <= MAX_AXIS && columns as u64 <= MAX_AXIS => Ok((rows, columns)),
        _ => {
            let found = shape.iter().map(|&n| n as u64).collect();
            Err(group.fault(Problem::Shape { found, expected: "two axes, each below 2^32".to_owned() }))
        }
    }
}

fn parts(group: &Object<'_>) -> Read<(Vec<usize>, Vec<u32>, Vec<f32>)> {
    Ok((list(group, "indptr")?, list(group, "indices")?, list(group, "data")?))
}

fn list<T: Number>(group: &Object<'_>, name: &str) -> Read<Vec<T>> {
    array(group, name)?.numbers()
}

/// One of the three arrays.
pub(in crate::h5ad) fn array<'f>(group: &Object<'f>, name: &str) -> Read<Dataset<'f>> {
    let dataset = group.member(name)?.dataset()?;
    one_axis(&dataset)?;
    Ok(dataset)
}

/// Names the array that is wrong.
fn blamed(group: &Object<'_>, error: InvalidSparse) -> Fault {
    Fault::new(group.member_path(part(&error)), error)
}

/// The array that an error is about.
pub(in crate::h5ad) fn part(error: &InvalidSparse) -> &'static str {
    match error {
        InvalidSparse::IndexBound { .. } | InvalidSparse::IndexOrder { .. } => "indices",
        _ => "indptr",
    }
}
