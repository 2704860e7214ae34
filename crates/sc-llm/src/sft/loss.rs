//! The loss of answers.

use candle_core::{D, DType, Tensor};
use sc_fm::nn::{Packing, TrainingStep, cross_entropy, embedding, log_sum_exp};
use sc_fm::train::{At, Scores, Task, Variables};

use super::{Error, Example};
use crate::Result;
use crate::models::{Drops, LanguageModel};

/// The mean of `−log p(token | what stands before)` over all tokens of all answers; a single number, differentiable where
/// the model is trainable.
///
/// # Errors
/// As [`LanguageModel::hidden`].
pub fn loss(model: &LanguageModel, examples: &[&Example]) -> Result<Tensor> {
    loss_with(model, examples, None)
}

/// * `step`: in training, what adapters drop of the examples.
pub(super) fn loss_with(
    model: &LanguageModel,
    examples: &[&Example],
    step: Option<&TrainingStep>,
) -> Result<Tensor> {
    let labels: Vec<Option<u32>> = targets(examples).map(Some).collect();
    Ok(cross_entropy(&logits(model, examples, step)?, &labels)?)
}

/// The tokens of all answers.
fn targets<'e>(examples: &'e [&Example]) -> impl Iterator<Item = u32> + 'e {
    examples.iter().flat_map(|example| example.answer.iter().copied())
}

/// Logits before every token of every answer, `tokens × vocabulary`.
fn logits(model: &LanguageModel, examples: &[&Example], step: Option<&TrainingStep>) -> Result<Tensor> {
    let said = Packing::new(examples.iter().map(|example| example.answer.len()));
    let said = Drops::new(step, &said);
    // What is said last is not read.
    let read = |example: &Example| example.answer.len().saturating_sub(1);
    if let Some(start) = model.answer_start() {
        let prompts: Vec<&[u32]> = examples.iter().map(|example| example.prompt.as_slice()).collect();
        let answer = |example: &&Example| [&[start], &example.answer[..read(example)]].concat();
        let answers: Vec<Vec<u32>> = examples.iter().map(answer).collect();
        let answers: Vec<&[u32]> = answers.iter().map(Vec::as_slice).collect();
        let hidden = model.hidden_of_answers_with(&prompts, &answers, step, &mut |_, _, _| {})?;
        return model.logits_with(&hidden, said);
    }
    let text = |example: &&Example| [&example.prompt, &example.answer[..read(example)]].concat();
    let texts: Vec<Vec<u32>> = examples.iter().map(text).collect();
    let slices: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    let hidden = model.hidden_with(&slices, step, &mut |_, _| {})?;
    let (mut rows, mut first) = (Vec::new(), 0);
    for (example, text) in examples.iter().zip(&texts) {
        let before = (first + example.prompt.len()).saturating_sub(1);
        rows.extend((before..first + text.len()).map(|row| row as u32));
        first += text.len();
    }
    model.logits_with(&embedding(&hidden, &rows)?, said)
}

/// Refuses an example that the model cannot take.
pub(super) fn check(
    model: &LanguageModel,
    example: &Example,
    set: &'static str,
    place: usize,
) -> Result<(), Error> {
    for (part, tokens) in [("prompt", &example.prompt), ("answer", &example.answer)] {
        if tokens.is_empty() {
            return Err(Error::Empty { part, set, example: place });
        }
        let vocab_size = model.vocab_size();
        if let Some(&token) = tokens.iter().find(|&&token| token as usize >= vocab_size) {
            return Err(Error::Token { set, example: place, token, vocab_size });
        }
    }
    let found = match model.answer_start() {
        None => example.prompt.len() + example.answer.len() - 1,
        Some(_) => example.prompt.len().max(example.answer.len()),
    };
    match model.max_positions() {
        Some(limit) if found > limit => Err(Error::TooLong { set, example: place, found, limit }),
        _ => Ok(()),
    }
}

/// Examples as the loop trains on them.
pub(super) struct Answers<'t> {
    /// Built of the variables.
    pub(super) model: LanguageModel,
    pub(super) examples: &'t [Example],
    pub(super) validation: &'t [Example],
    /// Examples that are evaluated together.
    pub(super) batch_size: usize,
    /// Whether adapters drop some of their input in training.
    pub(super) drops: bool,
}

impl Task for Answers<'_> {
    fn weight(&mut self, items: &[usize], _: At) -> sc_fm::Result<f64> {
        Ok(items.iter().map(|&item| self.examples[item].answer.len()).sum::<usize>() as f64)
    }

    fn loss(&mut self, items: &[usize], at: At) -> sc_fm::Result<Tensor> {
        let examples: Vec<&Example> = items.iter().map(|&item| &self.examples[item]).collect();
        // What is dropped of an example belongs to it and to the step, whatever else is in the batch.
        let numbers: Vec<u64> = items.iter().map(|&item| item as u64).collect();
        let step = TrainingStep::new(at.seed, at.step as u64, numbers);
        loss_with(&self.model, &examples, self.drops.then_some(&step)).map_err(task_error)
    }

    fn evaluate(&mut self, _: &Variables) -> sc_fm::Result<Option<Scores>> {
        if self.validation.is_empty() {
            return Ok(None);
        }
        let (mut sum, mut n_tokens, mut n_right) = (0.0, 0usize, 0usize);
        for batch in self.validation.chunks(self.batch_size) {
            let examples: Vec<&Example> = batch.iter().collect();
            let logits =
                logits(&self.model, &examples, None).map_err(task_error)?.detach().to_dtype(DType::F32)?;
            let width = logits.dim(D::Minus1)?;
            let values = logits.flatten_all()?.to_vec1::<f32>()?;
            let mut rows = values.chunks_exact(width);
            for example in examples {
                let mut is_right = true;
                for (&token, row) in example.answer.iter().zip(rows.by_ref()) {
                    let own = row[token as usize];
                    sum += log_sum_exp(row) - f64::from(own);
                    is_right &= row.iter().all(|&other| other <= own);
                }
                n_tokens += example.answer.len();
                n_right += usize::from(is_right);
            }
        }
        let accuracy = n_right as f64 / self.validation.len() as f64;
        Ok(Some(Scores { loss: sum / n_tokens as f64, accuracy, macro_f1: None }))
    }

    fn row(&self, item: usize) -> usize {
        item
    }
}

fn task_error(error: crate::Error) -> sc_fm::Error {
    sc_fm::train::Error::Task { source: Box::new(error) }.into()
}
