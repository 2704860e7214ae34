//! Cells made worse on purpose, and models that are asked about them.

use anyhow::Result;
use clap::Args;
use indicatif::ProgressBar;
use sc_eval::classifiers::Model;
use sc_eval::protocol::robustness::PerturbationKind;
use sc_eval::protocol::{Perturbation, Robustness, RobustnessParams, robustness_all};
use sc_eval::split::Split;
use sc_eval::{Labels, Prediction};
use sc_io::Csr;
use sc_prep::simulate::{
    BatchEffectParams, GaussianNoise, MaskParams, ThinParams, batch_effect_counts, gaussian_noise, gene_sd,
    mask_counts, thin_counts,
};
use sc_prep::{Counts, LogNormalized, NormalizeTotalParams, Subset, log1p, normalize_total};

use crate::cells::Cells;
use crate::fold::{Failure, FoldParams};
use crate::pipeline::{Pipeline, choose_genes, only_genes};

/// What to do to cells, and how much of it.
#[derive(Args, Clone, Debug)]
pub struct LevelArgs {
    /// Gaussian noise on log-normalised values, in standard deviations of each gene [default: 0,.1,.2,.5]
    #[arg(long, value_name = "LEVELS", value_delimiter = ',', value_parser = size)]
    pub noise_levels: Vec<f64>,
    /// Share of the counts above 0 that are lost, from 0 to 1 [default: 0,.1,.2,.5]
    #[arg(long, value_name = "LEVELS", value_delimiter = ',', value_parser = share)]
    pub mask_levels: Vec<f64>,
    /// Share of the molecules that are kept, from 1 to 0 [default: 1,.9,.8,.5]
    #[arg(long, value_name = "LEVELS", value_delimiter = ',', value_parser = share)]
    pub depth_levels: Vec<f64>,
    /// Another batch: standard deviation of the logarithm of each gene's factor [default: 0,.1,.2,.5]
    #[arg(long, value_name = "LEVELS", value_delimiter = ',', value_parser = size)]
    pub batch_levels: Vec<f64>,
}

/// A kind of perturbation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Gaussian noise on log-normalised values.
    Noise,
    /// Counts that are lost.
    Mask,
    /// Molecules that are lost.
    Depth,
    /// A factor for each gene.
    Batch,
}

impl Kind {
    /// All kinds, in the order of reports.
    pub const ALL: [Self; 4] = [Self::Noise, Self::Mask, Self::Depth, Self::Batch];

    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Noise => "noise",
            Self::Mask => "masking",
            Self::Depth => "depth",
            Self::Batch => "batch",
        }
    }

    /// What its levels measure.
    pub fn axis(self) -> &'static str {
        match self {
            Self::Noise => "noise, in standard deviations of each gene",
            Self::Mask => "share of the counts above 0 that are lost",
            Self::Depth => "share of the molecules that are lost",
            Self::Batch => "batch effect, sd of the log factor of each gene",
        }
    }

    /// The kind called `name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl LevelArgs {
    /// The kinds asked for, or all four with their usual levels; levels ascending, each once.
    ///
    /// Depth is counted in molecules lost, so that clean cells are at 0 as for the other kinds.
    pub fn kinds(&self) -> Vec<PerturbationKind> {
        let lost = self.depth_levels.iter().map(|kept| 1.0 - kept).map(|lost| (lost * 1e9).round() / 1e9);
        let asked =
            [&self.noise_levels, &self.mask_levels, &lost.collect(), &self.batch_levels].map(Vec::clone);
        let none = asked.iter().all(Vec::is_empty);
        let levels = |mut levels: Vec<f64>| {
            levels.sort_by(f64::total_cmp);
            levels.dedup();
            levels
        };
        let named = Kind::ALL.into_iter().zip(asked);
        named
            .filter(|(_, levels)| none || !levels.is_empty())
            .map(|(kind, asked)| {
                let usual = || vec![0.0, 0.1, 0.2, 0.5];
                PerturbationKind::new(kind.name(), levels(if asked.is_empty() { usual() } else { asked }))
            })
            .collect()
    }
}

/// Cells, and what is fitted on them.
pub struct Perturbed<'a> {
    counts: Counts<'a>,
    x: LogNormalized,
    labels: &'a Labels,
    models: &'a [Model],
    params: &'a FoldParams,
}

/// What was learnt from the training cells of a fold.
struct Learnt {
    genes: Vec<usize>,
    /// All cells as they are, the chosen genes only.
    clean: LogNormalized,
    /// Standard deviation of each chosen gene.
    sd: Vec<f64>,
    pipeline: Pipeline,
}

impl<'a> Perturbed<'a> {
    /// Models for `cells`.
    ///
    /// # Errors
    /// None for counts that were proven before.
    pub fn new(cells: &'a Cells, models: &'a [Model], params: &'a FoldParams) -> Result<Self> {
        let counts = Counts::new(&cells.counts)?;
        Ok(Self { counts, x: normalized(counts)?, labels: &cells.labels, models, params })
    }

    /// Runs the protocol for all models; `bar` moves on by one for each fit and each question.
    ///
    /// # Errors
    /// As [`robustness_all`].
    pub fn run(
        &self,
        splits: &[Split],
        params: &RobustnessParams,
        bar: &ProgressBar,
    ) -> Result<Vec<Robustness>, sc_eval::Error> {
        let say = |doing: &str, p: Option<&Perturbation<'_>>| match p {
            None => bar.set_message(format!("{doing}: clean")),
            Some(p) => bar.set_message(format!("{doing}: {} {}", p.kind, p.level)),
        };
        robustness_all(
            self.labels,
            splits,
            self.models.len(),
            params,
            |train, p| {
                say("fit", p);
                self.fit(train, p).inspect(|_| bar.inc(1))
            },
            |learnt, test, p| {
                say("ask", p);
                self.ask(learnt, test, p).inspect(|_| bar.inc(1))
            },
        )
    }

    /// Steps of the bar.
    pub fn n_steps(n_folds: usize, params: &RobustnessParams) -> usize {
        let levels = params.kinds.iter().flat_map(|kind| &kind.levels).filter(|&&level| level > 0.0).count();
        let asked = levels * params.n_repeats;
        n_folds * (2 + asked * if params.perturb_training { 2 } else { 1 })
    }

    /// Genes are chosen on clean training cells; scale, components and models are learnt from those cells as `p` leaves
    /// them.
    fn fit(&self, train: &[usize], p: Option<&Perturbation<'_>>) -> Result<Learnt, Failure> {
        let genes = choose_genes(&self.x, train, self.params)?;
        let clean = only_genes(&self.x, &genes)?;
        let sd = gene_sd(&clean, Subset::rows(train))?;
        let truth = self.labels.select(train);
        let known = (&truth[..], self.labels.n_classes());
        let fit =
            |x: &LogNormalized, rows: &[usize]| Pipeline::fit(x, rows, rows, known, self.models, self.params);
        let pipeline = match p {
            None => fit(&clean, train)?,
            Some(p) => {
                let all: Vec<usize> = (0..train.len()).collect();
                fit(&self.made_worse((&genes, &clean, &sd), train, p)?, &all)?
            }
        };
        Ok(Learnt { genes, clean, sd, pipeline })
    }

    fn ask(
        &self,
        learnt: &Learnt,
        test: &[usize],
        p: Option<&Perturbation<'_>>,
    ) -> Result<Vec<Prediction>, Failure> {
        let Some(p) = p else { return learnt.pipeline.predict(&learnt.clean, test) };
        let worse = self.made_worse((&learnt.genes, &learnt.clean, &learnt.sd), test, p)?;
        learnt.pipeline.predict(&worse, &(0..test.len()).collect::<Vec<_>>())
    }

    /// The cells `rows`, perturbed, the chosen genes only. What is done to counts is followed by the same normalisation
    /// as before.
    fn made_worse(
        &self,
        (genes, clean, sd): (&[usize], &LogNormalized, &[f64]),
        rows: &[usize],
        p: &Perturbation<'_>,
    ) -> Result<LogNormalized, Failure> {
        let subset = Subset::rows(rows);
        let &Perturbation { level, seed, .. } = p;
        let kind = Kind::named(p.kind).ok_or_else(|| format!("there is no kind {:?}", p.kind))?;
        let counts: Csr = match kind {
            Kind::Noise => {
                let noise = GaussianNoise::relative(level, sd).with_seed(seed);
                return Ok(gaussian_noise(clean, subset, &noise)?);
            }
            Kind::Mask => mask_counts(self.counts, subset, &MaskParams { share: level, seed })?.into_csr(),
            Kind::Depth => {
                thin_counts(self.counts, subset, &ThinParams { share: 1.0 - level, seed })?.into_csr()
            }
            Kind::Batch => {
                let params = BatchEffectParams { sigma: level, share: 1.0, seed };
                batch_effect_counts(self.counts, subset, &params)?.x.into_csr()
            }
        };
        only_genes(&normalized(Counts::new(&counts)?)?, genes)
    }
}

fn normalized(counts: Counts<'_>) -> Result<LogNormalized, sc_prep::Error> {
    Ok(log1p(normalize_total(counts, &NormalizeTotalParams::to(1e4))?))
}

fn size(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        Ok(_) => Err("a level is finite, 0 or more".to_owned()),
        Err(error) => Err(format!("{error}")),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match size(text)? {
        value if value <= 1.0 => Ok(value),
        _ => Err("a share is from 0 to 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(noise: &[f64], depth: &[f64]) -> LevelArgs {
        let (noise_levels, depth_levels) = (noise.to_vec(), depth.to_vec());
        LevelArgs { noise_levels, depth_levels, mask_levels: vec![], batch_levels: vec![] }
    }

    #[test]
    fn without_levels_all_four_kinds_have_the_usual_ones() {
        let kinds = asked(&[], &[]).kinds();
        let names: Vec<&str> = kinds.iter().map(|kind| kind.name.as_str()).collect();
        assert_eq!(names, ["noise", "masking", "depth", "batch"]);
        assert!(kinds.iter().all(|kind| kind.levels == [0.0, 0.1, 0.2, 0.5]));
    }

    #[test]
    fn only_kinds_with_levels_are_tried_and_depth_is_told_in_molecules_lost() {
        let kinds = asked(&[0.5, 0.1, 0.5], &[1.0, 0.9, 0.3]).kinds();
        assert_eq!(kinds[0], PerturbationKind::new("noise", [0.1, 0.5]));
        assert_eq!(kinds[1], PerturbationKind::new("depth", [0.0, 0.1, 0.7]));
        assert_eq!(kinds.len(), 2);
    }

    #[test]
    fn levels_are_numbers_that_can_be() {
        assert_eq!((size(" .5"), share("1")), (Ok(0.5), Ok(1.0)));
        assert!(size("-1").is_err() && size("inf").is_err() && size("x").is_err() && share("1.1").is_err());
    }
}
