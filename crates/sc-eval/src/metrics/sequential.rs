//! Whether neighbours in an embedding are neighbours in time.

use crate::metrics::compute::{mean, sum};
use crate::metrics::integration::Neighbors;
use crate::{Error, Result};

/// How near in time the neighbours of a cell are, in 0..=1: one minus the mean difference of their times over that of
/// cells drawn by chance, 0 if it is no smaller.
///
/// * `neighbors`: the cell itself first, which is left out; cz-benchmarks takes 15 others.
/// * `times`: time point of each cell, or any number with an order.
///
/// cz-benchmarks' `sequential_alignment` with its default of equally many neighbours for all. It estimates the mean
/// difference by chance from draws without a seed, so that its score changes from run to run; here that mean is exact,
/// over all pairs of different cells. 1 if all times are the same, as there.
///
/// # Errors
/// [`Error::Length`] unless there is a time for each cell; [`Error::Parameter`] at a time that is not finite or if
/// there is no neighbour but the cell itself.
pub fn sequential_alignment(neighbors: Neighbors<'_>, times: &[f64]) -> Result<f64> {
    let n = neighbors.n_cells();
    if times.len() != n {
        return Err(Error::Length { what: "times", found: times.len(), expected: n });
    }
    if let Some(time) = times.iter().find(|time| !time.is_finite()) {
        return Err(Error::Parameter {
            name: "a time",
            value: time.to_string(),
            expected: "a finite number",
        });
    }
    if neighbors.n_neighbors() < 2 {
        let expected = "at least 2: the cell itself and another";
        return Err(Error::Parameter { name: "the number of neighbours", value: "1".into(), expected });
    }
    let by_chance = mean_difference(times);
    if by_chance == 0.0 {
        return Ok(1.0);
    }
    let others = (neighbors.n_neighbors() - 1) as f64;
    let own = |cell: usize| {
        let differences = neighbors.indices(cell).skip(1).map(|other| (times[cell] - times[other]).abs());
        differences.sum::<f64>() / others
    };
    let differences: Vec<f64> = (0..n).map(own).collect();
    Ok((1.0 - mean(&differences) / by_chance).clamp(0.0, 1.0))
}

/// Mean absolute difference over all pairs of different cells, from the sorted times.
fn mean_difference(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let n = sorted.len() as f64;
    // A step from one time to the next lies between `below` cells and the rest.
    let steps = sorted.windows(2).zip(1..).map(|(pair, below)| {
        let below = f64::from(below);
        (pair[1] - pair[0]) * below * (n - below)
    });
    let total = sum(&steps.collect::<Vec<f64>>());
    total / (n * (n - 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn the_mean_difference_is_that_of_all_pairs() {
        let times = [4.0, 1.0, 1.0, 9.0, -2.0];
        let pairs = (0..5).flat_map(|i| (0..i).map(move |j| (i, j)));
        let all: Vec<f64> = pairs.map(|(i, j)| f64::abs(times[i] - times[j])).collect();
        assert!((mean_difference(&times) - mean(&all)).abs() < 1e-14);
    }

    #[test]
    fn neighbours_of_the_same_time_score_one_and_by_chance_nought() {
        let n = 40;
        let times: Vec<f64> = (0..n).map(|i| f64::from(i as u8 % 4)).collect();
        let distances = Array2::zeros((n, 6));
        let same = Array2::from_shape_fn((n, 6), |(i, j)| ((i + 4 * j) % n) as u32);
        let neighbors = Neighbors::new(same.view(), distances.view()).unwrap();
        assert_eq!(sequential_alignment(neighbors, &times).unwrap(), 1.0);
        assert_eq!(sequential_alignment(neighbors, &vec![7.0; n]).unwrap(), 1.0);
        let far = Array2::from_shape_fn((n, 6), |(i, j)| ((i + j.min(1) * (4 * j + 2)) % n) as u32);
        let neighbors = Neighbors::new(far.view(), distances.view()).unwrap();
        assert_eq!(sequential_alignment(neighbors, &times).unwrap(), 0.0);
    }

    #[test]
    fn faults_are_named() {
        let (indices, distances) = (Array2::zeros((2, 1)), Array2::zeros((2, 1)));
        let neighbors = Neighbors::new(indices.view(), distances.view()).unwrap();
        let message = |times: &[f64]| sequential_alignment(neighbors, times).unwrap_err().to_string();
        assert_eq!(message(&[1.0]), "times has 1 entries, expected 2");
        assert_eq!(message(&[1.0, f64::NAN]), "`a time` is NaN, expected a finite number");
        let alone = "`the number of neighbours` is 1, expected at least 2: the cell itself and another";
        assert_eq!(message(&[1.0, 2.0]), alone);
    }
}
