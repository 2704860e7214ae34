//! Cosines between the states of perturbed and original cells.

use super::edit::Edited;
use super::states::Targets;
use crate::models::geneformer::Pooling;

/// The states of one cell: a row of `width` values for each token.
#[derive(Clone, Copy)]
pub(crate) struct States<'s> {
    pub(crate) values: &'s [f32],
    pub(crate) width: usize,
    /// Special tokens at either end.
    pub(crate) ends: usize,
}

impl<'s> States<'s> {
    fn row(&self, row: usize) -> &'s [f32] {
        &self.values[row * self.width..(row + 1) * self.width]
    }

    /// What stands for the cell.
    fn cell(&self, pooling: Pooling) -> Vec<f64> {
        match pooling {
            Pooling::Cls => self.row(0).iter().map(|&value| f64::from(value)).collect(),
            Pooling::Cell => {
                let genes = self.ends..self.values.len() / self.width - self.ends;
                let (mut sums, n) = (vec![0.0; self.width], genes.len() as f64);
                for row in genes {
                    sums.iter_mut().zip(self.row(row)).for_each(|(sum, &value)| *sum += f64::from(value));
                }
                sums.iter_mut().for_each(|sum| *sum /= n);
                sums
            }
        }
    }
}

/// An original cell.
pub(crate) struct Original {
    /// Its states; the first row alone where no other is looked at.
    values: Vec<f32>,
    /// The cosine of what stands for it with each state.
    to_targets: Vec<f64>,
}

impl Original {
    pub(crate) fn new(states: States<'_>, pooling: Pooling, affected: bool, targets: &Targets) -> Self {
        let rows = match (pooling, affected) {
            (Pooling::Cls, false) => 1,
            _ => states.values.len() / states.width,
        };
        let to_targets = to_targets(&states.cell(pooling), targets);
        Self { values: states.values[..rows * states.width].to_vec(), to_targets }
    }
}

/// What came of a perturbed cell.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Compared {
    pub(crate) cosine: f32,
    pub(crate) shifts: Vec<f32>,
    pub(crate) affected: Vec<(u32, f32)>,
}

/// All sums run in double precision, in the order of the tokens.
pub(crate) fn compare(
    perturbed: States<'_>,
    edited: &Edited,
    original: &Original,
    pooling: Pooling,
    affected: bool,
    targets: &Targets,
) -> Compared {
    let before = States { values: &original.values, ..perturbed };
    let needs_genes = affected || pooling == Pooling::Cell;
    let kept: &[(usize, usize)] = if needs_genes { &edited.kept } else { &[] };
    let of_genes: Vec<f64> =
        kept.iter().map(|&(now, then)| cosine(wide(perturbed.row(now)), wide(before.row(then)))).collect();
    let cosine = match pooling {
        Pooling::Cls => cosine(wide(perturbed.row(0)), wide(before.row(0))),
        Pooling::Cell => of_genes.iter().sum::<f64>() / of_genes.len() as f64,
    };
    let now = to_targets(&perturbed.cell(pooling), targets);
    let shifts = now.iter().zip(&original.to_targets).map(|(now, then)| (now - then) as f32).collect();
    let of_genes = kept.iter().zip(&of_genes).map(|(&(now, _), &cosine)| (edited.ids[now], cosine as f32));
    let affected = if affected { of_genes.collect() } else { vec![] };
    Compared { cosine: cosine as f32, shifts, affected }
}

fn to_targets(cell: &[f64], targets: &Targets) -> Vec<f64> {
    targets.vectors.iter().map(|target| cosine(cell.iter().copied(), wide(target))).collect()
}

fn wide(values: &[f32]) -> impl Iterator<Item = f64> {
    values.iter().map(|&value| f64::from(value))
}

/// Lengths below 1e-8 count as that, as in PyTorch.
fn cosine(a: impl Iterator<Item = f64>, b: impl Iterator<Item = f64>) -> f64 {
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in a.zip(b) {
        ab += a * b;
        aa += a * a;
        bb += b * b;
    }
    ab / (length(aa) * length(bb))
}

fn length(square: f64) -> f64 {
    // `max` would swallow what is no number.
    let length = square.sqrt();
    if length < 1e-8 { 1e-8 } else { length }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cosine_of_nothing_is_zero_and_what_is_no_number_stays_so() {
        let of = |a: &[f32], b: &[f32]| cosine(wide(a), wide(b));
        assert_eq!(of(&[0.0, 0.0], &[1.0, 2.0]), 0.0);
        assert!((of(&[1.0, 2.0], &[2.0, 4.0]) - 1.0).abs() < 1e-15);
        assert!(of(&[f32::NAN, 2.0], &[2.0, 4.0]).is_nan());
    }

    #[test]
    fn a_cell_is_the_mean_of_its_genes_or_its_first_token() {
        let values = [9.0, 9.0, 1.0, 0.0, 3.0, 2.0, 7.0, 7.0];
        let states = States { values: &values, width: 2, ends: 1 };
        assert_eq!(states.cell(Pooling::Cell), [2.0, 1.0]);
        assert_eq!(states.cell(Pooling::Cls), [9.0, 9.0]);
    }
}
