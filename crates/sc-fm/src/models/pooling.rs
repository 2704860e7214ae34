//! From a row for each token to a row for each cell.

use std::ops::Range;

use candle_core::{Result, Tensor};

use crate::nn::embedding;

/// The mean of the rows of each range, in order of the rows; `ranges × width`. No range may be empty.
pub(crate) fn mean(states: &Tensor, ranges: impl IntoIterator<Item = Range<usize>>) -> Result<Tensor> {
    fold(states, ranges, |rows| rows.mean(0))
}

/// The sum of the rows of each range, in order of the rows; `ranges × width`.
pub(crate) fn sum(states: &Tensor, ranges: impl IntoIterator<Item = Range<usize>>) -> Result<Tensor> {
    fold(states, ranges, |rows| rows.sum(0))
}

/// The maximum over the rows of each range, column by column; `ranges × width`. No range may be empty.
pub(crate) fn max(states: &Tensor, ranges: impl IntoIterator<Item = Range<usize>>) -> Result<Tensor> {
    fold(states, ranges, |rows| rows.max(0))
}

fn fold(
    states: &Tensor,
    ranges: impl IntoIterator<Item = Range<usize>>,
    of: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let cells: Result<Vec<Tensor>> =
        ranges.into_iter().map(|rows| of(&states.narrow(0, rows.start, rows.len())?)).collect();
    let cells = cells?;
    match cells.is_empty() {
        true => Tensor::zeros((0, states.dim(1)?), states.dtype(), states.device()),
        false => Tensor::stack(&cells, 0),
    }
}

/// The rows `rows` of `states`, in that order.
pub(crate) fn select(states: &Tensor, rows: impl IntoIterator<Item = usize>) -> Result<Tensor> {
    let rows: Vec<u32> = rows.into_iter().map(|row| row as u32).collect();
    embedding(states, &rows)
}

/// Each row divided by its Euclidean length; rows shorter than 1e-12 are divided by that, as in PyTorch's
/// `normalize`.
pub(crate) fn unit_length(rows: &Tensor) -> Result<Tensor> {
    let length = rows.sqr()?.sum_keepdim(1)?.sqrt()?;
    rows.broadcast_div(&length.maximum(1e-12)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn each_range_is_a_cell() {
        let states = Tensor::new(&[[1f32, 2.0], [3.0, -4.0], [5.0, 6.0]], &Device::Cpu).unwrap();
        let rows = |x: Result<Tensor>| x.unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(rows(mean(&states, [0..2, 2..3])), [[2.0, -1.0], [5.0, 6.0]]);
        assert_eq!(rows(max(&states, [0..2, 2..3])), [[3.0, 2.0], [5.0, 6.0]]);
        assert_eq!(rows(sum(&states, std::iter::once(1..3))), [[8.0, 2.0]]);
        assert_eq!(rows(select(&states, [2, 0])), [[5.0, 6.0], [1.0, 2.0]]);
        assert_eq!(mean(&states, []).unwrap().dims(), [0, 2]);
        assert_eq!(rows(unit_length(&states.narrow(0, 1, 1).unwrap())), [[0.6, -0.8]]);
    }
}
