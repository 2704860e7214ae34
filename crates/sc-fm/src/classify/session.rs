//! A training of a model with a head, whatever the head is for.

use std::ops::ControlFlow;
use std::path::Path;

use super::FineTuneParams;
use super::Method;
use super::body::{Body, BodyRef, Recipe, Top};
use super::data::Cells;
use super::task::{Objective, Tuning, constants};
use super::trained::Training;
use crate::Result;
use crate::embed::FoundationModel;
use crate::tokenize::Tokens;
use crate::train::{
    Fingerprint, MemoryPlan, Outcome, Task, TrainProgress, Trainable, Trainer, Variables, hash_tensors,
    hash_tokens,
};

pub(super) type Watched<'w> = &'w mut dyn FnMut(&TrainProgress) -> ControlFlow<()>;

/// What a training needs but for its aim.
#[derive(Clone, Copy)]
pub(super) struct Session<'s> {
    pub(super) model: &'s FoundationModel,
    pub(super) tokens: &'s Tokens,
    pub(super) params: &'s FineTuneParams,
    pub(super) state: Option<&'s Path>,
}

/// A model that was trained.
pub(super) struct Tuned {
    pub(super) body: Body,
    /// All its tensors, constant.
    pub(super) weights: Variables,
    pub(super) training: Training,
}

impl Session<'_> {
    /// Trains a model with a new head, and with adapters if the method says so.
    pub(super) fn tune(
        &self,
        top: Top<'_>,
        objective: &mut dyn Objective,
        watch: Watched<'_>,
    ) -> Result<Tuned> {
        let params = self.params;
        let recipe = Recipe::new(self.model, top, &params.method)?;
        let body = BodyRef::of(self.model).expect("a recipe is of a model with a head");
        body.check(self.tokens, &objective.train().cells)?;
        body.check(self.tokens, &objective.validation().cells)?;
        let mut weights = recipe.start(params.train.seed)?;
        let mut fingerprint = self.fingerprint(objective);
        fingerprint.insert("model".to_owned(), hash_tensors(weights.iter())?);
        fingerprint.insert("cells".to_owned(), hash_tokens(self.tokens));
        let variables = Variables::of(&mut weights, |name| self.is_trained(name))?;
        let lengths = self.lengths(objective.train());
        self.memory(&variables, &lengths, objective).check(params.train.memory)?;
        let mut task = Tuning {
            body: recipe.build(&mut weights)?,
            recipe: &recipe,
            objective,
            tokens: self.tokens,
            cost: self.model.cost(),
            memory: params.embed.memory,
            checkpointing: params.train.checkpointing,
        };
        let outcome = self.train(&mut task, &variables, &lengths, fingerprint, watch)?;
        let body = recipe.build(&mut constants(&variables))?;
        Ok(Tuned { body, weights: variables, training: self.training(outcome) })
    }

    pub(super) fn train(
        &self,
        task: &mut dyn Task,
        variables: &Variables,
        lengths: &[usize],
        fingerprint: Fingerprint,
        watch: Watched<'_>,
    ) -> Result<Outcome> {
        let all = 0..lengths.len();
        let (params, chunks) = (&self.params.train, std::slice::from_ref(&all));
        let trainer = Trainer { params, variables, lengths, chunks };
        trainer.run(task, self.state.map(|folder| (folder, fingerprint)), watch)
    }

    /// Of all but the model and what it sees.
    pub(super) fn fingerprint(&self, objective: &dyn Objective) -> Fingerprint {
        let mut fingerprint = self.params.fingerprint();
        fingerprint.insert("task".to_owned(), objective.name().to_owned());
        fingerprint.insert("labels".to_owned(), objective.hash());
        fingerprint
    }

    pub(super) fn training(&self, outcome: Outcome) -> Training {
        Training {
            method: self.params.method.clone(),
            seed: self.params.train.seed,
            history: outcome.history,
            best: outcome.best,
        }
    }

    /// scGPT's norms over batches keep the statistics and factors that they came with.
    fn is_trained(&self, name: &str) -> bool {
        let is_head = Trainable::Heads.includes(name);
        match self.params.method {
            Method::Lora(_) => is_head || name.contains(".lora_"),
            _ => {
                let is_norm_of_batches = name.starts_with("bn.") || name.starts_with("dsbn.");
                Trainable::FromLayer(self.params.freeze_layers).includes(name) && !is_norm_of_batches
            }
        }
    }

    fn lengths(&self, cells: &Cells) -> Vec<usize> {
        cells.cells.iter().map(|&cell| self.tokens.cell(cell).len()).collect()
    }

    fn memory(&self, variables: &Variables, lengths: &[usize], objective: &dyn Objective) -> MemoryPlan {
        let (cost, params) = (self.model.cost(), &self.params.train);
        let mut lengths = lengths.to_vec();
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        let n_tokens = lengths.iter().take(params.batch_size).sum();
        MemoryPlan {
            n_weights: variables.all().map(|(_, tensor)| tensor.elem_count()).sum(),
            n_trained: variables.n_parameters(),
            n_copies: params.n_copies(),
            n_tokens,
            n_layers: self.model.n_layers(),
            checkpointing: params.checkpointing,
            width: cost.width,
            inner: cost.inner,
            n_logits: objective.n_logits(params.batch_size, n_tokens),
        }
    }
}
