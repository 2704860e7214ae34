//! Standardised genes with a ceiling.

use serde::{Deserialize, Serialize};

use crate::Features;
use crate::features::Store;

/// Largest standardised value.
const CEILING: f64 = 10.0;

/// Mean and standard deviation of the columns that are used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scaling {
    /// Ascending.
    columns: Vec<u32>,
    mean: Vec<f64>,
    /// Population standard deviation; 1 for a constant column.
    scale: Vec<f64>,
}

impl Scaling {
    /// Of all columns that are not zero in every row, as scikit-learn's `StandardScaler`.
    pub(super) fn fit(x: &Features) -> Self {
        let (lines, background) = x.columns();
        let n = x.n_rows() as f64;
        let mut scaling = Self { columns: Vec::new(), mean: Vec::new(), scale: Vec::new() };
        for (column, &background) in background.iter().enumerate() {
            // Dense features write their zeros out; without them the sums have the same bits.
            let values = || lines.line(column).1.iter().filter(|&&v| v != background).map(|&v| f64::from(v));
            let n_background = n - values().count() as f64;
            let background = f64::from(background);
            if values().all(|v| v == 0.0) && (n_background == 0.0 || background == 0.0) {
                continue;
            }
            let mean = (values().sum::<f64>() + n_background * background) / n;
            let square = |v: f64| (v - mean) * (v - mean);
            let squares: f64 = values().map(square).sum();
            let variance = (squares + n_background * square(background)) / n;
            // What rounding alone can make of a constant column.
            let noise = n * f64::EPSILON * variance + (n * mean * f64::EPSILON) * (n * mean * f64::EPSILON);
            scaling.columns.push(column as u32);
            scaling.mean.push(mean);
            scaling.scale.push(if variance <= noise { 1.0 } else { variance.sqrt() });
        }
        scaling
    }

    pub(super) fn columns(&self) -> &[u32] {
        &self.columns
    }

    /// The columns at `kept`, which ascend.
    pub(super) fn select(&self, kept: &[usize]) -> Self {
        Self {
            columns: kept.iter().map(|&at| self.columns[at]).collect(),
            mean: kept.iter().map(|&at| self.mean[at]).collect(),
            scale: kept.iter().map(|&at| self.scale[at]).collect(),
        }
    }

    /// The columns that are used, standardised.
    pub(super) fn transform(&self, x: &Features) -> Features {
        let scaled =
            |at: usize, v: f32| ((f64::from(v) - self.mean[at]) / self.scale[at]).min(CEILING) as f32;
        let mut place = vec![u32::MAX; x.n_cols()];
        for (at, &column) in self.columns.iter().enumerate() {
            place[column as usize] = at as u32;
        }
        let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
        let mut push = |column: usize, v: f32| {
            if place[column] != u32::MAX {
                indices.push(place[column]);
                values.push(scaled(place[column] as usize, v));
            }
            indices.len()
        };
        let unwritten: Vec<f32> = match x.store() {
            Store::Dense(dense) => {
                for row in dense.chunks_exact(x.n_cols().max(1)) {
                    let mut end = *indptr.last().expect("the first offset");
                    for (column, &v) in row.iter().enumerate().filter(|(_, v)| **v != 0.0) {
                        end = push(column, v);
                    }
                    indptr.push(end);
                }
                // A matrix without columns has rows all the same.
                indptr.resize(x.n_rows() + 1, 0);
                vec![0.0; self.columns.len()]
            }
            Store::Sparse { indptr: start, indices: columns, values: stored, background } => {
                for span in start.windows(2) {
                    let mut end = *indptr.last().expect("the first offset");
                    for at in span[0]..span[1] {
                        end = push(columns[at] as usize, stored[at]);
                    }
                    indptr.push(end);
                }
                self.columns.iter().map(|&column| background[column as usize]).collect()
            }
        };
        let background = unwritten.iter().enumerate().map(|(at, &v)| scaled(at, v)).collect();
        Features::sparse(indptr, indices, values, background)
            .expect("columns ascend, and a finite value less a mean over a positive scale is finite")
    }

    /// Proves what [`Scaling::transform`] relies on, for a value that was read from a file.
    pub(super) fn check(&self, n_features: usize) -> Result<(), String> {
        let n = self.columns.len();
        let ascending = self.columns.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascending || self.columns.last().is_some_and(|&column| column as usize >= n_features) {
            return Err(format!("{n} columns are not an ascending choice of {n_features}"));
        }
        if self.mean.len() != n || self.scale.len() != n {
            return Err(format!("{} means and {} scales for {n} columns", self.mean.len(), self.scale.len()));
        }
        // Within these bounds no finite f32 becomes anything else.
        let mean = self.mean.iter().all(|mean| mean.abs() <= f64::from(f32::MAX));
        match mean && self.scale.iter().all(|&scale| scale.is_finite() && scale > 0.0) {
            true => Ok(()),
            false => Err("a mean or a scale is not a finite number above its bound".to_owned()),
        }
    }
}
