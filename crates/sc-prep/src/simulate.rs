//! Perturbations of cells, to see what a model does when measurements get worse: noise, lost values, shallow
//! sequencing, another batch.
//!
//! A [`Subset`](crate::Subset) names the cells that come back, in its order, and the genes that are perturbed; other genes keep their
//! values. Every cell draws from a stream of its own, numbered by its row in the matrix: what happens to it depends on
//! the seed alone, not on the other cells asked for nor on the number of threads.
//!
//! ```
//! use sc_prep::simulate::{GaussianNoise, gaussian_noise, gene_sd};
//! use sc_prep::{Counts, NormalizeTotalParams, Subset, log1p, normalize_total};
//!
//! let adata = sc_io::datasets::pbmc68k_reduced();
//! let counts = adata.x().expect("counts").to_csr();
//! let x = log1p(normalize_total(Counts::new(&counts)?, &NormalizeTotalParams::to(1e4))?);
//! let (train, test): (Vec<usize>, Vec<usize>) = (0..x.n_obs()).partition(|cell| cell % 5 != 0);
//!
//! // Half a standard deviation, which is learnt from the training cells.
//! let sd = gene_sd(&x, Subset::rows(&train))?;
//! let noisy = gaussian_noise(&x, Subset::rows(&test), &GaussianNoise::relative(0.5, &sd))?;
//! assert_eq!(noisy.n_obs(), test.len());
//! # Ok::<(), sc_prep::Error>(())
//! ```

mod batch;
mod binomial;
mod masking;
mod noise;
mod normal;
mod random;
mod rows;
mod thinning;

pub use batch::{BatchEffect, BatchEffectParams, batch_effect, batch_effect_counts};
pub use masking::{MaskParams, mask_counts, mask_values};
pub use noise::{GaussianNoise, NoiseUnit, gaussian_noise, gene_sd};
pub use rows::SimulatedCounts;
pub use thinning::{ThinParams, thin_counts};

use crate::{Error, Result};

/// Refuses a share outside 0 to 1.
fn check_share(name: &'static str, share: f64) -> Result<()> {
    if (0.0..=1.0).contains(&share) {
        return Ok(());
    }
    Err(Error::Parameter { name, value: share.to_string(), expected: "a share from 0 to 1" })
}

/// Refuses a size that is negative or not finite.
fn check_size(name: &'static str, size: f64) -> Result<()> {
    if size.is_finite() && size >= 0.0 {
        return Ok(());
    }
    Err(Error::Parameter { name, value: size.to_string(), expected: "a finite number, 0 or more" })
}

#[cfg(test)]
mod tests;
