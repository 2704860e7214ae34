//! The models that take part, opened, with the cells as they see them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use indicatif::ProgressBar;
use sc_fm::embed::FoundationModel;
use sc_fm::models::LoadOptions;
use sc_io::DataFrame;

use super::embeddings::{Data, Embedded, identity};
use super::prepared::Sets;
use super::published::Published;
use super::sources::{Source, Weights};
use super::tuning::{Trainee, Tuning};
use super::{Settings, own_genes};
use crate::genes;
use sc_examples::cells::Cells;
use sc_examples::progress::{bar, say, thousands};

/// A model and the cells as it sees them.
pub(super) struct Model {
    /// Its name in tables.
    pub(super) name: String,
    /// What it is.
    pub(super) words: String,
    /// What its weights are, for tables.
    pub(super) weights: String,
    /// The files that it was made of.
    pub(super) files: Vec<PathBuf>,
    /// What is trained of it.
    pub(super) tunings: Vec<Tuning>,
    /// One for all seeds, or one for each.
    pub(super) embedded: Vec<Embedded>,
    /// What the trainings begin with, if there are any: one for all seeds, or one for each.
    trainees: Vec<Trainee>,
}

impl Model {
    /// The embeddings of the seed at that place.
    pub(super) fn of(&self, seed: usize) -> &Embedded {
        self.embedded.get(seed).unwrap_or(&self.embedded[0])
    }

    /// What is trained with the seed at that place.
    pub(super) fn trainee(&self, seed: usize) -> Option<&Trainee> {
        self.trainees.get(seed).or(self.trainees.first())
    }

    /// What embedding took.
    pub(super) fn spent(&self) -> Duration {
        self.embedded.iter().map(|embedded| embedded.spent.0).sum()
    }
}

/// Every model with its embeddings of all cells.
///
/// # Errors
/// As opening the models, all of which are opened before the first embeds a cell; as [`Data::embed`].
pub(super) fn embed(
    cells: &Cells,
    published: Option<&Published>,
    sets: &BTreeMap<u64, Sets>,
    settings: &Settings,
) -> Result<Vec<Model>> {
    let bar = bar(cells.names.len());
    let mut opened = Vec::new();
    for source in &settings.sources {
        bar.set_message(format!("{}: loading", source.name));
        let load = LoadOptions { precision: settings.precision.gemm(), ..Default::default() };
        let model = source.open(load)?;
        if let Some(model) = &model {
            say(&format!("{}: {}", source.name, model.report().to_string().trim_end().replace('\n', "\n  ")));
        }
        opened.push(model);
    }
    let work = Work { cells, published, sets, settings, bar: &bar };
    let mut all = None;
    let mut models = Vec::new();
    for (source, model) in settings.sources.iter().zip(opened) {
        models.push(match model {
            Some(model) => work.of_files(source, model, &mut all)?,
            None => work.of_own_genes(source)?,
        });
    }
    bar.finish_and_clear();
    Ok(models)
}

struct Work<'w> {
    cells: &'w Cells,
    published: Option<&'w Published>,
    sets: &'w BTreeMap<u64, Sets>,
    settings: &'w Settings,
    bar: &'w ProgressBar,
}

impl Work<'_> {
    /// * `all`: the cells, made when first needed.
    fn of_files(&self, source: &Source, model: FoundationModel, all: &mut Option<Data>) -> Result<Model> {
        let (cells, settings) = (self.cells, self.settings);
        let data = match self.published {
            Some(made) => &Data::new(made.as_the_reference_sees_it(&model)?, made.var.clone())?,
            None => match all {
                Some(data) => data,
                None => all.insert(Data::new(cells.counts.clone(), cells.var.clone())?),
            },
        };
        let embedded = data.embed(source, &model, &identity(source)?, settings, self.bar)?;
        let kind = model.kind();
        let words = match model.report().weights.n_parameters {
            0 => kind.to_string(),
            n => format!("{kind} of {} parameters", thousands(n)),
        };
        let weights = match (source.is_random(), model.report().releases.as_slice()) {
            (true, _) => "random, not pretrained".to_owned(),
            (false, []) => "as loaded, of no known release".to_owned(),
            (false, names) => names.join(" or "),
        };
        let (files, tunings) = (source.files(&model), self.tunings(source, &model));
        let trainees = if tunings.is_empty() { vec![] } else { vec![data.trainee(source, model, settings)?] };
        let name = source.name.clone();
        Ok(Model { name, words, weights, files, tunings, embedded: vec![embedded], trainees })
    }

    /// A model for each seed, whose genes are those of its training cells.
    fn of_own_genes(&self, source: &Source) -> Result<Model> {
        let (cells, settings) = (self.cells, self.settings);
        let data = Data::new(cells.counts.clone(), DataFrame::new(cells.genes.clone()))?;
        let (mut embedded, mut trainees, mut tunings) = (Vec::new(), Vec::new(), Vec::new());
        for &seed in &settings.seeds {
            let train = &self.sets[&seed].train;
            let medians = genes::medians(&cells.counts, &cells.genes, train);
            let mut identity = format!("{} {medians:?}", own_genes::WORDS);
            let mut model = own_genes::model(&medians, settings.precision.gemm())?;
            if let Weights::OwnGenes { pretrained: true } = source.weights {
                let tokens = data.tokens(source, &model, Some(train), settings)?;
                identity += &format!(" pretrained {} {seed} {train:?}", settings.pretrain_epochs);
                model = own_genes::pretrained(&model, &tokens, (&identity, seed), settings, self.bar)?;
            }
            embedded.push(data.embed(source, &model, &identity, settings, self.bar)?);
            tunings = self.tunings(source, &model);
            if !tunings.is_empty() {
                trainees.push(data.trainee(source, model, settings)?);
            }
        }
        let weights = match source.is_random() {
            true => "random, not pretrained".to_owned(),
            false => "pretrained here".to_owned(),
        };
        Ok(Model {
            name: source.name.clone(),
            words: match source.is_random() {
                true => format!("Geneformer, {}", own_genes::WORDS),
                false => format!(
                    "Geneformer, {}, pretrained on the training cells of each seed for {} epochs, without labels",
                    own_genes::WORDS,
                    settings.pretrain_epochs
                ),
            },
            weights,
            files: Vec::new(),
            tunings,
            embedded,
            trainees,
        })
    }

    /// The small model without pretraining is a control: nothing of it is trained.
    fn tunings(&self, source: &Source, model: &FoundationModel) -> Vec<Tuning> {
        match source.weights {
            Weights::OwnGenes { pretrained: false } => Vec::new(),
            _ => self.settings.tuning.of(model.kind()).collect(),
        }
    }
}
