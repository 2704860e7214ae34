//! The loop: steps of the optimizer over epochs, evaluation, the choice of an epoch, saving and going on.

use std::ops::ControlFlow;
use std::time::Instant;

use candle_core::Tensor;

use super::sampler::Sampler;
use super::state::{Cursor, StateFolder};
use super::{
    Adam, EpochRecord, Error, Fingerprint, Gradients, LoopParams, Scores, Select, TrainProgress, Variables,
};
use crate::Result;
use crate::checkpoint::Weights;
use crate::models::{Geneformer, Hidden, Layer, TokenBatch};
use crate::nn::TrainingStep;

/// What a caller is told, and answers.
pub type Watch<'w> = dyn FnMut(&TrainProgress) -> ControlFlow<()> + 'w;

/// Which step it is; random numbers of the step belong to it and to the items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Seed of the training.
    pub seed: u64,
    /// Epochs that are complete.
    pub epoch: usize,
    /// Steps of all epochs that are done.
    pub step: usize,
}

/// What is trained, and on what: whatever has items with a loss. Items are numbered from 0, as the lengths of a [`Trainer`].
///
/// Random numbers of a loss should belong to the seed, the step and the item alone, so that a training that goes on where
/// another was cut off has the same bits.
pub trait Task {
    /// What the mean loss of some items counts for beside that of others: how many they are, unless some have no say or
    /// more say. With tokens for items of a mean, their number: then a step of several batches is that of one large batch.
    ///
    /// # Errors
    /// What keeps the items from being read.
    fn weight(&mut self, items: &[usize], at: At) -> Result<f64>;

    /// Hears of all items of a step before their parts are asked for.
    fn begin(&mut self, _items: &[usize]) {}

    /// The mean loss of some items, a single number with its graph.
    ///
    /// # Errors
    /// What the model reports.
    fn loss(&mut self, items: &[usize], at: At) -> Result<Tensor>;

    /// The loss, and the gradient of `factor` times the loss.
    ///
    /// # Errors
    /// As [`loss`](Self::loss), and what the tensor library reports on the way back.
    fn gradients(
        &mut self,
        variables: &Variables,
        items: &[usize],
        factor: f64,
        at: At,
    ) -> Result<(f64, Gradients)> {
        backward(&self.loss(items, at)?, variables, factor)
    }

    /// How the model does with the variables as they are; `None` without validation items.
    ///
    /// # Errors
    /// What the model reports.
    fn evaluate(&mut self, variables: &Variables) -> Result<Option<Scores>>;

    /// The row of the data set that an item is, for messages.
    fn row(&self, item: usize) -> usize;
}

/// A loss, and the gradient of `factor` times the loss.
pub(crate) fn backward(loss: &Tensor, variables: &Variables, factor: f64) -> Result<(f64, Gradients)> {
    let value = f64::from(loss.to_scalar::<f32>()?);
    Ok((value, Gradients::of(&times(loss, factor)?, variables)?))
}

/// As [`backward`], of what `loss` makes of the last states of some cells, the layers of which keep their inputs alone.
pub(crate) fn checkpointed(
    model: &Geneformer,
    cells: &[&[u32]],
    step: &TrainingStep,
    variables: &Variables,
    factor: f64,
    loss: impl FnOnce(&Hidden) -> Result<Tensor>,
) -> Result<(f64, Gradients)> {
    let mut value = f64::NAN;
    let (_, mut store) =
        model.checkpointed_gradients(&TokenBatch::new(cells), Layer::Last, Some(step), |last| {
            let loss = loss(last)?;
            value = f64::from(loss.to_scalar::<f32>()?);
            Ok(times(&loss, factor)?)
        })?;
    Ok((value, Gradients::from_store(&mut store, variables)?))
}

/// Without a factor the gradient is that of the loss, to the last bit.
fn times(loss: &Tensor, factor: f64) -> candle_core::Result<Tensor> {
    if factor == 1.0 { Ok(loss.clone()) } else { loss * factor }
}

/// A training that is over; the variables have the values of the epoch that is kept.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Every epoch.
    pub history: Vec<EpochRecord>,
    /// Place in the history of the epoch that is kept.
    pub best: usize,
}

/// Items on their way through a [`Task`].
#[derive(Clone, Copy, Debug)]
pub struct Trainer<'t> {
    /// Steps, epochs, the optimizer; valid, see [`LoopParams::validate`].
    pub params: &'t LoopParams,
    /// What is trained.
    pub variables: &'t Variables,
    /// Tokens of each item, by which batches may be grouped.
    pub lengths: &'t [usize],
    /// Ranges of items that are shuffled among themselves, as those of one file; together all items. One range of all is
    /// the rule.
    pub chunks: &'t [std::ops::Range<usize>],
}

/// Weights as they change.
struct Now {
    cursor: Cursor,
    optimizer: Adam,
    /// The running mean of the weights.
    mean: Option<Vec<Tensor>>,
    /// The weights of the epoch that is kept, unless that is the last in any case.
    best: Option<Vec<Tensor>>,
}

impl Trainer<'_> {
    /// Trains, or goes on where the state on disk left off.
    ///
    /// * `state`: a folder for everything that changes, and what the training is of, each thing that decides about its bits
    ///   under its name ([`LoopParams::fingerprint`] and the data): a folder where one differs is refused.
    ///
    /// # Errors
    /// [`Error::NotFinite`], [`Error::Cancelled`]; those of the state's files and of the task.
    pub fn run(
        &self,
        task: &mut dyn Task,
        state: Option<(&std::path::Path, Fingerprint)>,
        watch: &mut Watch<'_>,
    ) -> Result<Outcome> {
        let mut now = Now {
            cursor: Cursor::default(),
            optimizer: Adam::new(self.variables, self.params.optimizer.clone())?,
            mean: self.params.ema.map(|_| self.variables.snapshot()).transpose()?,
            best: None,
        };
        let mut state = match state {
            None => None,
            Some((folder, fingerprint)) => {
                let (state, found) = StateFolder::open(folder, fingerprint)?;
                if let Some(found) = found {
                    found.cursor.check(folder, self.params.epochs, self.sampler().n_batches())?;
                    now.cursor = found.cursor;
                    self.restore(&mut now, found.now)?;
                    now.best = found.best.map(|best| self.tensors_of(best)).transpose()?;
                }
                Some(state)
            }
        };
        let sampler = self.sampler();
        let n_steps = self.n_steps();
        let (began, before) = (Instant::now(), now.cursor.step);
        let (mut n_items, mut n_tokens) = (0u64, 0u64);
        while !now.cursor.is_done {
            let epoch = now.cursor.epoch;
            let (epoch_began, seconds_before) = (Instant::now(), now.cursor.seconds);
            let batches = sampler.batches(epoch);
            for batch in &batches[now.cursor.step_of_epoch..] {
                self.step(task, batch, &mut now)?;
                now.cursor.seconds = seconds_before + epoch_began.elapsed().as_secs_f64();
                n_items += batch.len() as u64;
                n_tokens += batch.iter().map(|&item| self.lengths[item] as u64).sum::<u64>();
                let told = TrainProgress {
                    epoch: epoch + 1,
                    n_epochs: self.params.epochs,
                    step: now.cursor.step,
                    n_steps,
                    loss: now.cursor.smoothed.unwrap_or(f64::NAN),
                    learning_rate: now.cursor.learning_rate,
                    items: n_items,
                    tokens: n_tokens,
                    fraction: now.cursor.step as f64 / n_steps as f64,
                    before: before as f64 / n_steps as f64,
                    elapsed: began.elapsed(),
                };
                let is_over = watch(&told).is_break();
                let is_due =
                    self.params.save_every.is_some_and(|every| now.cursor.step.is_multiple_of(every));
                if let Some(state) = state.as_ref().filter(|_| is_over || is_due) {
                    self.save(state, &now)?;
                }
                if is_over {
                    return Err(Error::Cancelled.into());
                }
            }
            self.finish_epoch(
                task,
                &mut now,
                state.as_mut(),
                seconds_before + epoch_began.elapsed().as_secs_f64(),
            )?;
            if let Some(state) = &state {
                self.save(state, &now)?;
            }
        }
        match (&now.best, &now.mean) {
            (Some(weights), _) | (None, Some(weights)) => self.variables.restore(weights)?,
            (None, None) => {}
        }
        let best = now.cursor.best.expect("a training that is done has an epoch that is kept");
        Ok(Outcome { history: now.cursor.history, best })
    }

    /// Steps of all epochs.
    fn n_steps(&self) -> usize {
        self.sampler().n_batches() * self.params.epochs
    }

    fn sampler(&self) -> Sampler<'_> {
        Sampler {
            lengths: self.lengths,
            chunks: self.chunks,
            batch_size: self.params.batch_size * self.params.accumulate,
            by_length: self.params.group_by_length,
            seed: self.params.seed,
        }
    }

    /// One step of the optimizer.
    fn step(&self, task: &mut dyn Task, batch: &[usize], now: &mut Now) -> Result<()> {
        let cursor = &mut now.cursor;
        let at = At { seed: self.params.seed, epoch: cursor.epoch, step: cursor.step };
        task.begin(batch);
        let parts: Vec<&[usize]> = batch.chunks(self.params.batch_size).collect();
        let weights = parts.iter().map(|items| task.weight(items, at)).collect::<Result<Vec<f64>>>()?;
        let total: f64 = weights.iter().sum();
        let (mut mean, mut sum) = (0.0, None::<Gradients>);
        for (items, weight) in parts.into_iter().zip(weights).filter(|(_, weight)| *weight > 0.0) {
            let (loss, gradients) = task.gradients(self.variables, items, weight / total, at)?;
            if !loss.is_finite() {
                return Err(not_finite("loss", loss, task, items, at));
            }
            mean += loss * (weight / total);
            match &mut sum {
                None => sum = Some(gradients),
                Some(sum) => sum.add(gradients)?,
            }
        }
        let rate = self.params.schedule.at(cursor.step, self.n_steps(), cursor.epoch);
        if let Some(mut gradients) = sum {
            let norm = match self.params.max_grad_norm {
                Some(limit) => gradients.clip_norm(limit),
                None => gradients.norm(),
            };
            if !norm.is_finite() {
                return Err(not_finite("length of the gradient", norm, task, batch, at));
            }
            now.optimizer.step(self.variables, &gradients, rate)?;
            cursor.norm_sum += norm;
            cursor.smoothed = Some(cursor.smoothed.map_or(mean, |old| old + (mean - old) / SMOOTH));
            cursor.loss_sum += mean * total;
            cursor.weight_sum += total;
        }
        if let (Some(mean), Some(share)) = (&mut now.mean, self.params.ema) {
            for (mean, (_, variable)) in mean.iter_mut().zip(self.variables.iter()) {
                *mean = ((&*mean * share)? + (variable.detach() * (1.0 - share))?)?;
            }
        }
        cursor.learning_rate = rate;
        cursor.step += 1;
        cursor.step_of_epoch += 1;
        Ok(())
    }

    fn finish_epoch(
        &self,
        task: &mut dyn Task,
        now: &mut Now,
        state: Option<&mut StateFolder>,
        mut seconds: f64,
    ) -> Result<()> {
        let began = Instant::now();
        let scores = match &now.mean {
            None => task.evaluate(self.variables)?,
            Some(mean) => {
                let changing = self.variables.snapshot()?;
                self.variables.restore(mean)?;
                let scores = task.evaluate(self.variables);
                self.variables.restore(&changing)?;
                scores?
            }
        };
        seconds += began.elapsed().as_secs_f64();
        let cursor = &mut now.cursor;
        let record = EpochRecord {
            epoch: cursor.epoch + 1,
            train_loss: cursor.loss_sum / cursor.weight_sum.max(f64::MIN_POSITIVE),
            validation: scores,
            learning_rate: cursor.learning_rate,
            gradient_norm: cursor.norm_sum / cursor.step_of_epoch as f64,
            seconds,
        };
        if let Some(scores) = scores.filter(|scores| !scores.loss.is_finite()) {
            let (what, rows) = ("validation loss", vec![]);
            let (epoch, step, found) = (cursor.epoch + 1, cursor.step, scores.loss);
            return Err(Error::NotFinite { what, found, epoch, step, rows }.into());
        }
        if cursor.best.is_none_or(|best| self.params.select.prefers(&record, &cursor.history[best])) {
            cursor.best = Some(cursor.history.len());
            // The last epoch's weights need no copy: they are there in the end.
            if self.params.select != Select::Last {
                let weights = match &now.mean {
                    Some(mean) => mean.clone(),
                    None => self.variables.snapshot()?,
                };
                if let Some(state) = state {
                    state.keep(record.epoch, self.variables.iter().map(|(name, _)| name).zip(&weights))?;
                }
                now.best = Some(weights);
            }
        }
        cursor.history.push(record);
        cursor.epoch += 1;
        cursor.step_of_epoch = 0;
        (cursor.loss_sum, cursor.weight_sum, cursor.norm_sum, cursor.seconds) = (0.0, 0.0, 0.0, 0.0);
        let since = cursor.history.len() - 1 - cursor.best.expect("the first epoch is preferred to none");
        let is_stale = self.params.early_stopping.is_some_and(|patience| since >= patience);
        cursor.is_done = cursor.epoch >= self.params.epochs || is_stale;
        Ok(())
    }

    /// Puts all that changes on disk.
    fn save(&self, state: &StateFolder, now: &Now) -> Result<()> {
        let mut all: Vec<(String, Tensor)> = vec![];
        for (place, (name, variable)) in self.variables.iter().enumerate() {
            all.push((format!("{VARIABLE}{name}"), variable.detach()));
            if let Some(mean) = &now.mean {
                all.push((format!("{MEAN}{name}"), mean[place].clone()));
            }
        }
        all.extend(
            now.optimizer
                .state(self.variables)?
                .into_iter()
                .map(|(name, tensor)| (format!("{MOMENT}{name}"), tensor)),
        );
        state.save(&now.cursor, all.iter().map(|(name, tensor)| (name.as_str(), tensor)))
    }

    fn restore(&self, now: &mut Now, mut found: Weights) -> Result<()> {
        let mut values = vec![];
        for (name, variable) in self.variables.iter() {
            values.push(found.take(&format!("{VARIABLE}{name}"), variable.dims())?);
        }
        if let Some(mean) = &mut now.mean {
            for (mean, (name, variable)) in mean.iter_mut().zip(self.variables.iter()) {
                *mean = found.take(&format!("{MEAN}{name}"), variable.dims())?;
            }
        }
        self.variables.restore(&values)?;
        let mut moments = found.renamed(|name| name.strip_prefix(MOMENT).map(str::to_owned));
        now.optimizer.read(self.variables, &mut moments)
    }

    fn tensors_of(&self, mut found: Weights) -> Result<Vec<Tensor>> {
        self.variables.iter().map(|(name, variable)| Ok(found.take(name, variable.dims())?)).collect()
    }
}

/// Beginnings of the names of tensors in a state.
const VARIABLE: &str = "variable/";
const MEAN: &str = "mean/";
const MOMENT: &str = "moment/";

/// Steps over which the loss that is told is smoothed.
const SMOOTH: f64 = 20.0;

fn not_finite(what: &'static str, found: f64, task: &dyn Task, items: &[usize], at: At) -> crate::Error {
    let rows = items.iter().map(|&item| task.row(item)).collect();
    Error::NotFinite { what, found, epoch: at.epoch + 1, step: at.step + 1, rows }.into()
}
