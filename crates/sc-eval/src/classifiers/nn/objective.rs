//! What a network is trained for: the loss of a cell and its gradient by the outputs.

use crate::Features;

/// What the outputs of a network are compared with.
#[derive(Clone, Copy)]
pub(crate) enum Objective<'a> {
    /// Cross-entropy of the softmax over classes; with one output, of the logistic function of the second class.
    Classes {
        /// Class of each row.
        codes: &'a [u32],
        /// How much each row counts.
        weights: &'a [f64],
    },
    /// Half the squared error, summed over features, of the outputs as an estimate of the row itself.
    Reconstruction(&'a Features),
}

impl Objective<'_> {
    /// Replaces the outputs `z` for row `row` by the gradient of its weighted loss, which is returned.
    pub(super) fn evaluate(&self, row: usize, z: &mut [f32]) -> f64 {
        match *self {
            Self::Classes { codes, weights } => {
                let (code, weight) = (codes[row] as usize, weights[row]);
                let loss = match z {
                    [z] => {
                        let signed = f64::from(if code == 1 { -*z } else { *z });
                        *z = logistic(*z) - code as f32;
                        signed.max(0.0) + libm::log1p(libm::exp(-signed.abs()))
                    }
                    _ => {
                        let largest = z.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                        let own = z[code] - largest;
                        let mut sum = 0.0;
                        for value in z.iter_mut() {
                            *value = libm::expf(*value - largest);
                            sum += *value;
                        }
                        z.iter_mut().for_each(|value| *value /= sum);
                        z[code] -= 1.0;
                        libm::log(f64::from(sum)) - f64::from(own)
                    }
                };
                z.iter_mut().for_each(|value| *value *= weight as f32);
                weight * loss
            }
            Self::Reconstruction(x) => {
                let mut truth = vec![0.0; z.len()];
                x.write_row(row, &mut truth);
                let mut loss = 0.0;
                for (z, truth) in z.iter_mut().zip(truth) {
                    *z -= truth;
                    loss += f64::from(*z) * f64::from(*z);
                }
                0.5 * loss
            }
        }
    }

    /// How much row `row` counts.
    pub(super) fn weight(&self, row: usize) -> f64 {
        match self {
            Self::Classes { weights, .. } => weights[row],
            Self::Reconstruction(_) => 1.0,
        }
    }
}

/// `1 / (1 + e^-z)`.
pub(crate) fn logistic(z: f32) -> f32 {
    1.0 / (1.0 + libm::expf(-z))
}
