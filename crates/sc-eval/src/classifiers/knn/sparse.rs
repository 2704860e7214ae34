//! Neighbours among cells that are mostly background, by products of what differs from it.

use serde::{Deserialize, Serialize};

use super::Visit;
use crate::Features;
use crate::classifiers::Metric;
use crate::classifiers::design::Design;
use crate::classifiers::planes::all_finite;
use crate::features::Lines;

/// Training cells: a background per feature, and what differs from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sparse {
    background: Vec<f64>,
    rows: Lines,
}

/// What a search needs of the training cells and of those to predict.
pub(super) struct Prepared<'a> {
    cells: &'a Sparse,
    /// The training deltas by feature.
    columns: Lines,
    training: Vec<Length>,
    queries: Design,
    /// Squared length of the background.
    base: f64,
}

/// Of a cell with deltas `d` over the background `b`: `d · d` and `b · d`.
#[derive(Clone, Copy)]
struct Length {
    square: f64,
    cross: f64,
}

impl Length {
    fn of(row: (&[u32], &[f32]), background: &[f64]) -> Self {
        let (mut square, mut cross) = (0.0, 0.0);
        for (&j, &d) in row.0.iter().zip(row.1) {
            square += f64::from(d) * f64::from(d);
            cross += f64::from(d) * background[j as usize];
        }
        Self { square, cross }
    }

    /// The length of the whole cell; 0 where rounding is all that keeps it from the origin.
    fn whole(self, base: f64) -> f64 {
        let square = base + 2.0 * self.cross + self.square;
        if square > 1e-13 * (base + self.square) { square.sqrt() } else { 0.0 }
    }
}

impl Sparse {
    pub(super) fn new(design: Design) -> Self {
        Self { background: design.background, rows: design.rows }
    }

    pub(super) fn check(&self, n_cells: usize, n_features: usize) -> Result<(), String> {
        self.rows.check(n_features)?;
        let [cells, background] = [self.rows.len(), self.background.len()];
        if cells != n_cells || background != n_features {
            return Err(format!(
                "{cells} rows over {background} values are not {n_cells} cells of {n_features}"
            ));
        }
        all_finite("background", &self.background)
    }

    pub(super) fn prepare(&self, x: &Features) -> Prepared<'_> {
        let n_features = self.background.len();
        let training =
            (0..self.rows.len()).map(|i| Length::of(self.rows.line(i), &self.background)).collect();
        Prepared {
            cells: self,
            columns: self.rows.transposed(n_features),
            training,
            queries: Design::over(x, &self.background),
            base: self.background.iter().map(|b| b * b).sum(),
        }
    }
}

impl Prepared<'_> {
    /// Hands out the squared or cosine distances of rows `first..first + n_queries`.
    pub(super) fn search(&self, metric: Metric, first: usize, n_queries: usize, visit: &mut Visit<'_>) {
        let n = self.training.len();
        let mut products = vec![0.0f64; n];
        let mut pairs = Vec::with_capacity(n);
        for offset in 0..n_queries {
            let own = self.queries.row(first + offset);
            products.fill(0.0);
            for (&j, &d) in own.0.iter().zip(own.1) {
                let (cells, deltas) = self.columns.line(j as usize);
                let d = f64::from(d);
                for (&i, &delta) in cells.iter().zip(deltas) {
                    products[i as usize] += d * f64::from(delta);
                }
            }
            let query = Length::of(own, &self.cells.background);
            let whole = query.whole(self.base);
            let distance = |(&product, cell): (&f64, &Length)| match metric {
                Metric::Euclidean => (query.square + cell.square - 2.0 * product).max(0.0),
                Metric::Cosine => {
                    let lengths = whole * cell.whole(self.base);
                    let product = self.base + query.cross + cell.cross + product;
                    if lengths > 0.0 { 1.0 - product / lengths } else { 1.0 }
                }
            };
            pairs.clear();
            pairs.extend(products.iter().zip(&self.training).map(distance).zip(0u32..));
            visit(offset, &mut pairs, &|i| self.distance(metric, own, whole, i as usize));
        }
    }

    /// The distance of a query to training cell `i`, by differences, so that a cell is at distance 0 from itself.
    fn distance(&self, metric: Metric, query: (&[u32], &[f32]), length: f64, i: usize) -> f64 {
        let (a_scale, b_scale) = match metric {
            Metric::Euclidean => (1.0, 1.0),
            Metric::Cosine => (length, self.training[i].whole(self.base)),
        };
        if a_scale == 0.0 || b_scale == 0.0 {
            return 1.0;
        }
        let mut differences: Vec<f64> =
            self.cells.background.iter().map(|b| b / a_scale - b / b_scale).collect();
        for ((js, ds), scale) in [(query, a_scale), (self.cells.rows.line(i), -b_scale)] {
            js.iter().zip(ds).for_each(|(&j, &d)| differences[j as usize] += f64::from(d) / scale);
        }
        let square: f64 = differences.iter().map(|d| d * d).sum();
        match metric {
            Metric::Euclidean => square.sqrt(),
            Metric::Cosine => square / 2.0,
        }
    }
}
