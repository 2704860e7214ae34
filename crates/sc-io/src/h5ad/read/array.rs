//! Dense arrays.

use ndarray::{Array2, ArrayD, IxDyn};

use super::Read;
use crate::Problem;
use crate::hdf5::{Dataset, Number, Object};

/// An array of two axes, as `f32`.
pub(super) fn dense(object: &Object<'_>) -> Read<Array2<f32>> {
    let dataset = object.dataset()?;
    let shape = shape(&dataset)?;
    let values = dataset.numbers::<f32>()?;
    Array2::from_shape_vec(shape, values).map_err(|_| wrong_shape(&dataset))
}

/// The shape of an array of two axes.
pub(in crate::h5ad) fn shape(dataset: &Dataset<'_>) -> Read<(usize, usize)> {
    let &[rows, columns] = dataset.dims() else {
        let found = dataset.dims().to_vec();
        return Err(dataset.fault(Problem::Shape { found, expected: "two axes".to_owned() }));
    };
    Ok((axis(dataset, rows)?, axis(dataset, columns)?))
}

/// An array of any number of axes.
pub(super) fn any<T: Number>(dataset: &Dataset<'_>) -> Read<ArrayD<T>> {
    shaped(dataset, dataset.numbers::<T>()?)
}

/// Values in the shape of `dataset`.
pub(super) fn shaped<T>(dataset: &Dataset<'_>, values: Vec<T>) -> Read<ArrayD<T>> {
    let shape = dataset.dims().iter().map(|&d| axis(dataset, d)).collect::<Read<Vec<usize>>>()?;
    ArrayD::from_shape_vec(IxDyn(&shape), values).map_err(|_| wrong_shape(dataset))
}

fn axis(dataset: &Dataset<'_>, length: u64) -> Read<usize> {
    usize::try_from(length).map_err(|_| wrong_shape(dataset))
}

fn wrong_shape(dataset: &Dataset<'_>) -> crate::hdf5::Fault {
    let found = dataset.dims().to_vec();
    dataset.fault(Problem::Shape { found, expected: "as many values as were read".to_owned() })
}

/// The length of a list.
pub(super) fn one_axis(dataset: &Dataset<'_>) -> Read<()> {
    match dataset.dims() {
        [_] => Ok(()),
        dims => {
            let found = dims.to_vec();
            Err(dataset.fault(Problem::Shape { found, expected: "one axis".to_owned() }))
        }
    }
}
