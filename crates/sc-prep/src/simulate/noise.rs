//! Gaussian noise on log-normalised values.

use rayon::prelude::*;

use super::check_size;
use super::normal::normal_quantile;
use super::random::{Purpose, stream, uniform};
use super::rows::rewritten;
use crate::moments::gene_moments;
use crate::subset::Slots;
use crate::{Error, LogNormalized, Result, Subset};

/// What a noise level of 1 means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NoiseUnit<'a> {
    /// One unit of log-normalised expression, the same for every gene.
    Absolute,
    /// The standard deviation of each gene, `n_vars` values; see [`gene_sd`]. A level then means to every gene what it
    /// means to a standardised matrix.
    GeneSd(&'a [f64]),
}

/// How to add Gaussian noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GaussianNoise<'a> {
    /// Standard deviation of the noise, in `unit`; 0 changes nothing. 0.1, 0.2 and 0.5 are usual.
    pub level: f64,
    /// The unit of the level.
    pub unit: NoiseUnit<'a>,
    /// Seed. The same seed at another level draws the same noise, only larger.
    pub seed: u64,
}

impl<'a> GaussianNoise<'a> {
    /// Noise of `level` standard deviations of each gene, seed 0.
    pub fn relative(level: f64, gene_sd: &'a [f64]) -> Self {
        Self { level, unit: NoiseUnit::GeneSd(gene_sd), seed: 0 }
    }

    /// Noise of standard deviation `level` in log-normalised units, seed 0.
    pub fn absolute(level: f64) -> Self {
        Self { level, unit: NoiseUnit::Absolute, seed: 0 }
    }

    /// The same noise from another seed.
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    fn validate(&self, n_vars: usize) -> Result<()> {
        check_size("level", self.level)?;
        let NoiseUnit::GeneSd(sd) = self.unit else { return Ok(()) };
        if sd.len() != n_vars {
            return Err(Error::Length { what: "gene_sd", found: sd.len(), expected: n_vars });
        }
        sd.iter().try_for_each(|&sd| check_size("gene_sd", sd))
    }
}

/// Adds `level · unit · z` to every value of the genes, `z` standard normal, and sets what falls below 0 to 0.
///
/// * `x`: log-normalised, `n_obs × n_vars`. * returns: the cells of `subset`, in its order, still log-normalised.
///
/// Zeros get noise as well, as an undetected gene is a measurement too; half of them become positive. So about half of
/// the perturbed genes are stored afterwards: name the genes that the model uses in `subset` where memory matters.
///
/// # Errors
/// [`Error::Parameter`] for a level or a standard deviation that is negative or not finite; [`Error::Length`] if the
/// standard deviations or the gene mask do not fit; [`Error::OutOfBounds`] for a cell that does not exist.
pub fn gaussian_noise(
    x: &LogNormalized,
    subset: Subset<'_>,
    noise: &GaussianNoise<'_>,
) -> Result<LogNormalized> {
    noise.validate(x.n_vars())?;
    let subset = subset.within(x.n_obs(), x.n_vars())?;
    let sizes: Vec<f64> = (0..x.n_vars())
        .into_par_iter()
        .with_min_len(4096)
        .map(|gene| match noise.unit {
            _ if !subset.has_gene(gene) => 0.0,
            NoiseUnit::Absolute => noise.level,
            NoiseUnit::GeneSd(sd) => noise.level * sd[gene],
        })
        .collect();
    if noise.level == 0.0 {
        return Ok(x.with_matrix(rewritten(x.csr(), &subset, |_, columns, values, out| {
            columns.iter().zip(values).for_each(|(&column, &value)| out.push(column, value));
        })));
    }
    let noisy = rewritten(x.csr(), &subset, |row, columns, values, out| {
        let mut rng = stream(noise.seed, Purpose::Noise, row);
        let mut stored = columns.iter().copied().zip(values.iter().copied()).peekable();
        for (gene, &size) in (0u32..).zip(&sizes) {
            // Drawn for every gene, so that a gene's noise does not depend on which others have some.
            let p = uniform(&mut rng);
            let value = stored.next_if(|&(column, _)| column == gene).map_or(0.0, |(_, value)| value);
            if size == 0.0 {
                out.push(gene, value);
            } else if value > 0.0 || p > 0.5 {
                let noisy = f64::from(value) + size * normal_quantile(p);
                out.push(gene, noisy.clamp(0.0, f64::from(LogNormalized::MAX)) as f32);
            }
        }
    });
    Ok(x.with_matrix(noisy))
}

/// Standard deviation of each gene over the cells of `subset`, `n - 1` in the denominator; 0 for a gene outside its
/// mask, and for a single cell.
///
/// Learn it from training cells: the noise level is then no secret channel for what the test cells look like.
///
/// # Errors
/// [`Error::Empty`] without cells; [`Error::Length`] or [`Error::OutOfBounds`] for a subset that does not fit.
pub fn gene_sd(x: &LogNormalized, subset: Subset<'_>) -> Result<Vec<f64>> {
    let subset = subset.within(x.n_obs(), x.n_vars())?;
    if subset.rows.len() == 0 {
        return Err(Error::Empty { what: "cells" });
    }
    let genes = subset.gene_indices();
    let moments = gene_moments(x.csr(), subset.rows, &Slots::new(&genes, x.n_vars()), || f64::from);
    let mut sd = vec![0.0; x.n_vars()];
    for (gene, variance) in genes.into_iter().zip(moments.variance) {
        sd[gene] = variance.sqrt();
    }
    Ok(sd)
}
