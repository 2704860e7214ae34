//! Asks what was fitted about the cells of the other file, block by block.

use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use sc_eval::Features;
use sc_eval::classifiers::Classifier;
use sc_fm::classify::FineTuned;
use sc_fm::embed::EmbedParams;

use super::Away;
use super::answers::{Answers, clear};
use crate::foundation::Settings;
use crate::foundation::methods::Method;
use crate::foundation::models::Model;
use crate::foundation::prepared::Prepared;
use crate::foundation::tuned::Tuner;
use sc_examples::fold::{Failure, features};
use sc_examples::progress::thousands;

/// Something that was fitted on training cells, as long as it is in memory.
pub(in crate::foundation) enum Learnt<'l> {
    /// A classifier, and the layer whose embeddings it was fitted on, if it was on some.
    Classifier(&'l dyn Classifier, Option<&'l str>),
    /// A model that was trained, and how it takes cells.
    Tuned(&'l FineTuned, &'l EmbedParams),
}

/// What all questions share.
pub(in crate::foundation) struct Asker<'a> {
    away: &'a Away<'a>,
    models: &'a [Model],
    methods: &'a [Method],
    settings: &'a Settings,
    answers: Answers,
}

/// A question: the place of the method, the seed, and what was made of its training cells.
pub(in crate::foundation) struct Question<'q> {
    pub(in crate::foundation) method: usize,
    pub(in crate::foundation) seed: u64,
    pub(in crate::foundation) prepared: &'q Prepared<'q>,
    pub(in crate::foundation) tuner: &'q Tuner<'q>,
    pub(in crate::foundation) bar: &'q ProgressBar,
}

impl<'a> Asker<'a> {
    /// * `plan`: the hash of the plan by which everything is fitted.
    pub(in crate::foundation) fn new(
        away: &'a Away<'a>,
        (models, methods): (&'a [Model], &'a [Method]),
        plan: &str,
        n_classes: usize,
        settings: &'a Settings,
    ) -> Self {
        let answers = Answers::new(&settings.out, plan, away, n_classes);
        Self { away, models, methods, settings, answers }
    }

    /// The file.
    pub(in crate::foundation) fn away(&self) -> &Away<'a> {
        self.away
    }

    /// The methods that were not asked yet, or whose answer is not whole.
    pub(in crate::foundation) fn missing(&self, seed: u64) -> Vec<usize> {
        (0..self.methods.len()).filter(|&method| self.answers.read(method, seed).is_none()).collect()
    }

    /// The classes that a method with a seed gave the cells.
    ///
    /// # Errors
    /// If it was not asked.
    pub(super) fn answer(&self, method: usize, seed: u64) -> Result<Vec<u32>> {
        let lost =
            || format!("an answer about {} is gone from {}", self.away.name, self.settings.out.display());
        self.answers.read(method, seed).with_context(lost)
    }

    /// Removes the answers of an earlier run about any file.
    ///
    /// # Errors
    /// If they cannot be removed.
    pub(in crate::foundation) fn clear(out: &Path) -> Result<()> {
        clear(out)
    }

    /// Asks about all cells, unless the answer is on disk, and writes it there.
    ///
    /// # Errors
    /// As reading the file and its embeddings; as what is asked.
    pub(in crate::foundation) fn ask(
        &self,
        learnt: &Learnt<'_>,
        question: &Question<'_>,
    ) -> Result<(), Failure> {
        if self.answers.read(question.method, question.seed).is_some() {
            return Ok(());
        }
        let names: Vec<&str> = self.models.iter().map(|model| model.name.as_str()).collect();
        let name = self.methods[question.method].name(&names);
        let n_cells = self.away.n_cells();
        let mut codes = Vec::with_capacity(n_cells);
        let mut answer_about = self.answerer(learnt, question)?;
        for cells in self.away.blocks() {
            question.bar.set_message(format!(
                "{name}, seed {} on {}: cell {} of {}",
                question.seed,
                self.away.name,
                thousands(cells.start),
                thousands(n_cells)
            ));
            codes.extend(answer_about(cells)?);
        }
        Ok(self.answers.write(question.method, question.seed, codes)?)
    }

    /// What gives the classes of a block.
    #[allow(clippy::type_complexity, reason = "the type is named once")]
    fn answerer<'q>(
        &'q self,
        learnt: &'q Learnt<'_>,
        question: &'q Question<'_>,
    ) -> Result<Box<dyn FnMut(Range<usize>) -> Result<Vec<u32>, Failure> + 'q>, Failure> {
        let away = self.away;
        let method = self.methods[question.method];
        let own_genes = method.source().is_some_and(|source| self.settings.sources[source].learns_genes());
        let prepared = question.prepared;
        Ok(match (learnt, method) {
            (Learnt::Tuned(tuned, input), _) => Box::new(move |cells| {
                let rows: Vec<usize> = (0..cells.len()).collect();
                let tokens = tuned.model().tokenize(&away.adata(cells, own_genes)?, input)?;
                Ok(question.tuner.predict(tuned, &tokens, &rows)?.codes)
            }),
            (Learnt::Classifier(model, Some(layer)), Method::Embedded { source, .. }) => {
                let place = self.settings.seeds.iter().position(|&seed| seed == question.seed).unwrap_or(0);
                let mut embedded =
                    self.models[source].away(place).ok_or("the file was not embedded")?.open(layer)?;
                let scale = prepared.scale(source, layer).ok_or("the layer was not tried")?;
                Box::new(move |cells| Ok(model.predict(&scale.apply(embedded.rows(cells)?)?)?.codes))
            }
            (Learnt::Classifier(model, _), Method::Components) => Box::new(move |cells| {
                let scaled = prepared.space.transform(&away.log_normalized(cells.clone())?, &rows(&cells))?;
                Ok(model.predict(&Features::dense(prepared.pca.transform(&scaled)?.view())?)?.codes)
            }),
            (Learnt::Classifier(model, _), _) => Box::new(move |cells| {
                let scaled = prepared.space.transform(&away.log_normalized(cells.clone())?, &rows(&cells))?;
                Ok(model.predict(&features(scaled)?)?.codes)
            }),
        })
    }
}

fn rows(cells: &Range<usize>) -> Vec<usize> {
    (0..cells.len()).collect()
}
