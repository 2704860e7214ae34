//! Standardisation of genes, without writing the zeros out.

mod scaled;

pub use scaled::Scaled;

use rayon::prelude::*;
use sc_io::Csr;

use crate::chunks::chunks;
use crate::error::Place;
use crate::moments::gene_moments;
use crate::subset::{Rows, Slots};
use crate::{Error, Result};

/// Knobs of [`Scaler::fit`].
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleParams {
    /// Standardised values above this, or below its negative, are set to it. `None`: not clipped. Default `None`, as
    /// in scanpy; its tutorials and the benchmark here use 10.
    pub max_value: Option<f64>,
}

#[expect(clippy::derivable_impls, reason = "a default is easier to find where the others are")]
impl Default for ScaleParams {
    fn default() -> Self {
        Self { max_value: None }
    }
}

impl ScaleParams {
    /// Clipping at `max_value` on both sides.
    pub fn clip(max_value: f64) -> Self {
        Self { max_value: Some(max_value) }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        match self.max_value {
            Some(max) if !(max > 0.0 && max.is_finite()) => Err(Error::Parameter {
                name: "max_value",
                value: max.to_string(),
                expected: "a finite number above 0",
            }),
            _ => Ok(()),
        }
    }
}

/// Mean and standard deviation of each gene, learnt from some cells and applied to any.
///
/// `(x - mean) / sd`, clipped to `±max_value`: scanpy's `pp.scale` with `zero_center=True`. The standard deviation has
/// `n - 1` in its denominator; where it is 0 (a constant gene, a single cell) it counts as 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaler {
    mean: Vec<f64>,
    sd: Vec<f64>,
    max_value: f64,
}

impl Scaler {
    /// Learns from the rows `rows` of `x`, or from all of them.
    ///
    /// * `x`: cells × genes, log-normalised as a rule; any finite values will do.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a `max_value` that is not above 0, [`Error::OutOfBounds`] for a row that does not
    /// exist, [`Error::Empty`] without rows, [`Error::NotFinite`] for NaN and infinities.
    pub fn fit(x: &Csr, rows: Option<&[usize]>, params: &ScaleParams) -> Result<Self> {
        Self::fit_slots(x, Rows::new(rows, x.n_rows())?, &Slots::all(x.n_cols()), params)
    }

    /// As [`Scaler::fit`] on the columns that `slots` names.
    pub(crate) fn fit_slots(x: &Csr, rows: Rows<'_>, slots: &Slots, params: &ScaleParams) -> Result<Self> {
        params.validate()?;
        if rows.len() == 0 {
            return Err(Error::Empty { what: "cells" });
        }
        let moments = gene_moments(x, rows, slots, || f64::from);
        // Finite f32 values have finite moments in f64, so one look at the moments checks every value.
        if !moments.mean.iter().chain(&moments.variance).all(|m| m.is_finite()) {
            return Err(first_not_finite(x, rows, slots));
        }
        let sd = moments.variance.iter().map(|&v| if v > 0.0 { v.sqrt() } else { 1.0 }).collect();
        Ok(Self { mean: moments.mean, sd, max_value: params.max_value.unwrap_or(f64::from(f32::MAX)) })
    }

    /// Mean of each gene.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Standard deviation of each gene; 1 where it was 0.
    pub fn sd(&self) -> &[f64] {
        &self.sd
    }

    /// Standardises the rows `rows` of `x`, or all of them, in the order given.
    ///
    /// # Errors
    /// [`Error::Length`] if `x` has another number of genes, [`Error::OutOfBounds`] for a row that does not exist,
    /// [`Error::NotFinite`] for NaN and infinities.
    pub fn transform(&self, x: &Csr, rows: Option<&[usize]>) -> Result<Scaled> {
        if x.n_cols() != self.mean.len() {
            return Err(Error::Length {
                what: "a row of the matrix",
                found: x.n_cols(),
                expected: self.mean.len(),
            });
        }
        self.transform_slots(x, Rows::new(rows, x.n_rows())?, &Slots::all(x.n_cols()))
    }

    /// As [`Scaler::transform`] on the columns that `slots` names, ascending.
    pub(crate) fn transform_slots(&self, x: &Csr, rows: Rows<'_>, slots: &Slots) -> Result<Scaled> {
        let pieces: Vec<Piece> = chunks(rows.len(), 64)
            .map(|range| {
                let mut piece = Piece::default();
                for i in range {
                    let (genes, stored) = x.row(rows.get(i));
                    for (&gene, &v) in genes.iter().zip(stored) {
                        // A stored zero is a zero: it stays at the background.
                        if v != 0.0
                            && let Some(slot) = slots.get(gene)
                        {
                            piece.finite &= v.is_finite();
                            piece.indices.push(slot as u32);
                            piece.values.push(self.standardize(slot, v));
                        }
                    }
                    piece.ends.push(piece.indices.len());
                }
                piece
            })
            .collect();
        if !pieces.iter().all(|piece| piece.finite) {
            return Err(first_not_finite(x, rows, slots));
        }
        let background = (0..self.mean.len()).map(|slot| self.standardize(slot, 0.0)).collect();
        let (indptr, indices, values) = Piece::join(pieces);
        let x = Csr::new(rows.len(), slots.len(), indptr, indices, values)
            .expect("slots ascend with the columns, which increase within a row");
        Ok(Scaled::from_checked(x, background))
    }

    #[inline]
    fn standardize(&self, slot: usize, value: f32) -> f32 {
        let z = (f64::from(value) - self.mean[slot]) / self.sd[slot];
        z.clamp(-self.max_value, self.max_value) as f32
    }
}

/// The standardised values of some rows.
struct Piece {
    ends: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<f32>,
    finite: bool,
}

impl Default for Piece {
    fn default() -> Self {
        Self { ends: Vec::new(), indices: Vec::new(), values: Vec::new(), finite: true }
    }
}

impl Piece {
    fn join(pieces: Vec<Self>) -> (Vec<usize>, Vec<u32>, Vec<f32>) {
        let stored = pieces.iter().map(|piece| piece.indices.len()).sum();
        let (mut indices, mut values) = (Vec::with_capacity(stored), Vec::with_capacity(stored));
        let mut indptr = vec![0];
        for piece in pieces {
            let before = indices.len();
            indptr.extend(piece.ends.iter().map(|end| before + end));
            indices.extend_from_slice(&piece.indices);
            values.extend_from_slice(&piece.values);
        }
        (indptr, indices, values)
    }
}

/// The first value that is NaN or infinite, as an error; called when one is known to be there.
fn first_not_finite(x: &Csr, rows: Rows<'_>, slots: &Slots) -> Error {
    for row in (0..rows.len()).map(|i| rows.get(i)) {
        let (genes, values) = x.row(row);
        let bad = |(gene, v): &(&u32, &f32)| !v.is_finite() && slots.get(**gene).is_some();
        if let Some((&gene, &value)) = genes.iter().zip(values).find(bad) {
            return Error::NotFinite {
                obs: Place::new(row, &[]),
                var: Place::new(gene as usize, &[]),
                value,
            };
        }
    }
    Error::Empty { what: "finite values" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};
    use proptest::prelude::*;

    /// Column by column on every value, zeros written out.
    fn dense_reference(x: &Array2<f32>, max: f64) -> Array2<f32> {
        let n = x.nrows() as f64;
        let mut out = x.clone();
        for mut column in out.columns_mut() {
            let mean = column.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
            let squares: f64 = column.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum();
            let sd = (squares / (n - 1.0)).sqrt();
            let sd = if sd > 0.0 { sd } else { 1.0 };
            column.mapv_inplace(|v| ((f64::from(v) - mean) / sd).clamp(-max, max) as f32);
        }
        out
    }

    #[test]
    fn a_constant_gene_becomes_zero_and_large_values_are_clipped() {
        let x = Csr::from_dense(array![[1.0, 0.0], [1.0, 0.0], [1.0, 9.0], [1.0, 0.0]].view());
        let scaler = Scaler::fit(&x, None, &ScaleParams::clip(1.2)).unwrap();
        assert_eq!(scaler.sd(), [1.0, 4.5]);
        let z = scaler.transform(&x, None).unwrap();
        assert_eq!(z.to_dense(), array![[0.0, -0.5], [0.0, -0.5], [0.0, 1.2], [0.0, -0.5]]);
        assert_eq!(z.background(), [-1.0, -0.5]);
    }

    #[test]
    fn what_is_learnt_from_some_cells_is_applied_to_others() {
        let x = Csr::from_dense(array![[1.0], [3.0], [100.0]].view());
        let scaler = Scaler::fit(&x, Some(&[0, 1]), &ScaleParams::default()).unwrap();
        let z = scaler.transform(&x, Some(&[2])).unwrap();
        let expected = ((100.0 - 2.0) / 2f64.sqrt()) as f32;
        assert_eq!(z.to_dense(), array![[expected]]);
    }

    #[test]
    fn stored_zeros_are_not_written_out() {
        let x = Csr::new(2, 1, vec![0, 1, 2], vec![0, 0], vec![0.0, 2.0]).unwrap();
        let z = Scaler::fit(&x, None, &ScaleParams::default()).unwrap().transform(&x, None).unwrap();
        assert_eq!(z.row(0).0.len() + z.row(1).0.len(), 1);
    }

    #[test]
    fn nan_is_refused_with_its_place_when_fitting_and_when_applying() {
        let good = Csr::from_dense(array![[1.0, 2.0], [3.0, 1.0]].view());
        let bad = Csr::from_dense(array![[1.0, 2.0], [3.0, f32::NAN]].view());
        let error = Scaler::fit(&bad, None, &ScaleParams::default()).unwrap_err();
        assert_eq!(error.to_string(), "the value of cell 1, gene 1 is NaN, expected a finite number");
        assert!(error.help().is_some());
        let scaler = Scaler::fit(&good, None, &ScaleParams::default()).unwrap();
        assert_eq!(scaler.transform(&bad, None).unwrap_err().to_string(), error.to_string());
        assert!(scaler.transform(&bad, Some(&[0])).is_ok());
    }

    #[test]
    fn shapes_and_knobs_are_checked() {
        let x = Csr::from_dense(array![[1.0, 2.0]].view());
        assert!(Scaler::fit(&x, Some(&[]), &ScaleParams::default()).is_err());
        assert!(Scaler::fit(&x, Some(&[1]), &ScaleParams::default()).is_err());
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Scaler::fit(&x, None, &ScaleParams::clip(bad)).is_err());
        }
        let scaler = Scaler::fit(&x, None, &ScaleParams::default()).unwrap();
        let other = Csr::from_dense(array![[1.0]].view());
        assert!(matches!(scaler.transform(&other, None), Err(Error::Length { found: 1, expected: 2, .. })));
    }

    proptest! {
        #[test]
        fn dense_and_sparse_agree(
            values in proptest::collection::vec(prop_oneof![3 => Just(0f32), 1 => 0f32..9.0], 12 * 7),
            max in 0.5..3.0f64,
        ) {
            let x = Array2::from_shape_vec((12, 7), values).unwrap();
            let csr = Csr::from_dense(x.view());
            let scaler = Scaler::fit(&csr, None, &ScaleParams::clip(max)).unwrap();
            let z = scaler.transform(&csr, None).unwrap().to_dense();
            for (a, b) in z.iter().zip(&dense_reference(&x, max)) {
                prop_assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{a} {b}");
            }
        }
    }
}
