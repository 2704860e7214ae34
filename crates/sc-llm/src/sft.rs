//! Supervised training of a language model: prompts, and the answers that it shall give.
//!
//! The loss is the mean of `−log p(token | what stands before)` over the tokens of the answers, the end token included; the
//! prompt is read and not learnt. Texts lie one after another without padding, and only rows before a token of an answer
//! reach the head. A step of several batches is weighted by their numbers of answer tokens, so it is that of one large batch
//! (as `num_items_in_batch` in transformers since 4.46). A matrix that is embedding and head has one gradient.
//!
//! [`train`] takes any model of [`models`](crate::models) and all of its tensors, [`train_adapter`] an adapter of low rank
//! beside a model that stays as it is; [`small_decoder`] makes a small one to be trained from scratch on the cells at hand.
//! What comes out is a folder that [`models::open`](crate::models::open) and Hugging Face's `from_pretrained` load, or an
//! adapter for [`models::open_with_adapter`](crate::models::open_with_adapter) and `peft`; [`gguf::write`](crate::gguf::write())
//! makes a file for llama.cpp of the former.
//!
//! ```
//! use sc_fm::train::unwatched;
//! use sc_llm::sft::{Example, SmallParams, small_decoder, sft_params, train};
//!
//! let pairs = [("CD3D CD3E\nAnswer:", " T cell"), ("MS4A1 CD79A\nAnswer:", " B cell")];
//! let texts = pairs.map(|(prompt, answer)| format!("{prompt}{answer}\n"));
//! let params = SmallParams { width: 16, n_heads: 2, n_layers: 1, max_positions: 32, ..SmallParams::default() };
//! let (tokenizer, base) = small_decoder(&texts, &params)?;
//! let mut examples = Vec::new();
//! for (prompt, answer) in pairs {
//!     let prompt = tokenizer.encode(prompt, true)?;
//!     examples.push(Example { prompt, answer: tokenizer.encode(&format!("{answer}\n"), false)? });
//! }
//! let trained = train(&base, &examples, &[], &sft_params(), None, &mut unwatched)?;
//! assert!(trained.history()[2].train_loss < trained.history()[0].train_loss);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod base;
mod error;
mod loss;
mod small;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use candle_core::Tensor;
use sc_fm::checkpoint::Weights;
use sc_fm::models::{LoraAdapter, LoraParams};
use sc_fm::train::{
    AdamParams, Decline, EpochRecord, LoopParams, Outcome, Schedule, Select, Trainer, Variables, Warmup,
    Watch, hash_tensors,
};
use sha2::{Digest, Sha256};

pub use base::Base;
pub use error::Error;
pub use loss::loss;
pub use small::{SmallParams, small_decoder};

use crate::Result;
use crate::models::{LanguageModel, OpenParams};
use loss::Answers;

/// A prompt and its answer, in tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// What is read, with the tokens that the model expects around a text.
    pub prompt: Vec<u32>,
    /// What shall be said, up to the token that ends an answer.
    pub answer: Vec<u32>,
}

/// A usual way to train: 3 epochs, 8 examples a step, AdamW without decay at 1e-4, a tenth of the steps to warm up and then
/// along the cosine, gradients of length 1 at most.
pub fn sft_params() -> LoopParams {
    LoopParams {
        epochs: 3,
        batch_size: 1,
        accumulate: 8,
        schedule: Schedule { learning_rate: 1e-4, warmup: Warmup::Ratio(0.1), decline: Decline::Cosine },
        optimizer: AdamParams::adamw(0.0),
        select: Select::Last,
        ..LoopParams::default()
    }
}

/// A model after training.
#[derive(Debug)]
pub struct Trained {
    base: Base,
    history: Vec<EpochRecord>,
    best: usize,
}

impl Trained {
    /// Every epoch.
    pub fn history(&self) -> &[EpochRecord] {
        &self.history
    }

    /// The epoch whose weights were kept.
    pub fn best_epoch(&self) -> &EpochRecord {
        &self.history[self.best]
    }

    /// Configuration and tensors, to be saved or trained further.
    pub fn base(&self) -> &Base {
        &self.base
    }

    /// The model.
    ///
    /// # Errors
    /// As [`Base::model`].
    pub fn model(&self, params: &OpenParams) -> Result<LanguageModel> {
        self.base.model(params)
    }
}

/// Trains all tensors of a model.
///
/// * `base`: to begin with; it stays as it is.
/// * `validation`: examples to choose the epoch by; with none, `params.select` has no meaning and the last is kept. The
///   accuracy of an epoch is the share of answers of which every token is the most probable one.
/// * `params`: [`sft_params`]; `checkpointing` and `memory` are not for language models.
/// * `state`: a folder in which the training is kept while it runs, and goes on after whatever cut it off, to the same bits.
/// * `watch`: hears of every step, and can stop the training.
///
/// # Errors
/// [`Error`] names the example; those of [`sc_fm::train`] for parameters, numbers that are not finite, the state of another
/// training and a callback that stopped it.
pub fn train(
    base: &Base,
    examples: &[Example],
    validation: &[Example],
    params: &LoopParams,
    state: Option<&Path>,
    watch: &mut Watch<'_>,
) -> Result<Trained> {
    let fit = Fit { base, examples, validation, params, state, drops: false };
    let open = OpenParams { trainable: true, ..OpenParams::default() };
    let (variables, outcome) = fit.run(base.weights(), |_| true, &open, BTreeMap::new(), watch)?;
    let tensors = variables.all().map(|(name, tensor)| Ok((name.to_owned(), tensor.copy()?.detach())));
    let tensors = tensors.collect::<Result<_, candle_core::Error>>()?;
    Ok(Trained { base: base.with(tensors), history: outcome.history, best: outcome.best })
}

/// A usual adapter: rank 8, `alpha` twice the rank, on every linear layer but the head.
pub fn adapter_params() -> LoraParams {
    LoraParams { rank: 8, alpha: 16.0, dropout: 0.0, targets: vec!["all-linear".to_owned()] }
}

/// An adapter after training.
#[derive(Debug)]
pub struct TrainedAdapter {
    adapter: LoraAdapter,
    history: Vec<EpochRecord>,
    best: usize,
}

impl TrainedAdapter {
    /// Every epoch.
    pub fn history(&self) -> &[EpochRecord] {
        &self.history
    }

    /// The epoch whose weights were kept.
    pub fn best_epoch(&self) -> &EpochRecord {
        &self.history[self.best]
    }

    /// The adapter: [`LoraAdapter::save`] writes it for Hugging Face's `peft` and for
    /// [`open_with_adapter`](crate::models::open_with_adapter), and [`Base::merged`] adds it to the weights.
    pub fn adapter(&self) -> &LoraAdapter {
        &self.adapter
    }
}

/// Trains an adapter of low rank (Hu et al. 2021, <https://arxiv.org/abs/2106.09685>) beside a model that stays as it is.
///
/// An adapter with [dropout](LoraParams::dropout) loses that share of the input of each of its layers, as in `peft`. What it
/// loses of an example follows from `params.seed`, the number of the step, the example and the layer, so it is the same in any
/// batch, and after a training was cut off. Nothing is dropped where examples are evaluated.
///
/// * `adapter`: to begin with, such as a new one ([`Base::new_adapter`] with [`adapter_params`]).
/// * All others: as for [`train`].
///
/// # Errors
/// As [`train`], and those of [`LoraAdapter::put_on`] for an adapter of another model.
pub fn train_adapter(
    base: &Base,
    adapter: &LoraAdapter,
    examples: &[Example],
    validation: &[Example],
    params: &LoopParams,
    state: Option<&Path>,
    watch: &mut Watch<'_>,
) -> Result<TrainedAdapter> {
    let mut weights = base.weights();
    adapter.clone().put_on(&mut weights)?;
    let names: BTreeSet<String> = adapter.tensors().map(|(name, _)| name).collect();
    let tensors: Vec<(String, &Tensor)> = adapter.tensors().collect();
    let scales: Vec<String> = adapter.scales().map(|scale| scale.to_string()).collect();
    let own = BTreeMap::from([
        ("adapter".to_owned(), hash_tensors(tensors.iter().map(|(name, tensor)| (name.as_str(), *tensor)))?),
        ("scales".to_owned(), scales.join(" ")),
        ("dropout".to_owned(), adapter.dropout().to_string()),
    ]);
    let drops = adapter.dropout() > 0.0;
    let fit = Fit { base, examples, validation, params, state, drops };
    let is_trained = |name: &str| names.contains(name);
    let (variables, outcome) = fit.run(weights, is_trained, &OpenParams::default(), own, watch)?;
    Ok(TrainedAdapter { adapter: adapter.trained(&variables)?, history: outcome.history, best: outcome.best })
}

/// A training, whatever of the model is trained.
struct Fit<'a> {
    base: &'a Base,
    examples: &'a [Example],
    validation: &'a [Example],
    params: &'a LoopParams,
    state: Option<&'a Path>,
    /// Whether adapters drop some of their input.
    drops: bool,
}

impl Fit<'_> {
    /// * `own`: what tells the training from others, beside model, examples and parameters.
    fn run(
        self,
        mut weights: Weights,
        is_trained: impl Fn(&str) -> bool,
        open: &OpenParams,
        own: BTreeMap<String, String>,
        watch: &mut Watch<'_>,
    ) -> Result<(Variables, Outcome)> {
        let Self { base, examples, validation, params, state, drops } = self;
        params.validate().map_err(sc_fm::Error::from)?;
        for (field, is_set) in [("checkpointing", params.checkpointing), ("memory", params.memory.is_some())]
        {
            if is_set {
                return Err(Error::Unsupported { field }.into());
            }
        }
        if examples.is_empty() {
            return Err(Error::NoExamples.into());
        }
        let mut fingerprint = params.fingerprint();
        fingerprint.insert("model".to_owned(), hash_tensors(base.tensors())?);
        fingerprint.insert("config".to_owned(), base.config().to_string());
        fingerprint.insert("examples".to_owned(), hash(examples));
        fingerprint.insert("validation".to_owned(), hash(validation));
        fingerprint.extend(own);

        let variables = Variables::of(&mut weights, is_trained)?;
        let model = LanguageModel::new(&base.parsed()?, weights, open)?;
        for (set, examples) in [("training", examples), ("validation", validation)] {
            examples
                .iter()
                .enumerate()
                .try_for_each(|(place, example)| loss::check(&model, example, set, place))?;
        }
        let lengths: Vec<usize> =
            examples.iter().map(|example| example.prompt.len() + example.answer.len()).collect();
        // One chunk: all of them are in memory.
        let whole = 0..examples.len();
        let chunks = std::slice::from_ref(&whole);
        let trainer = Trainer { params, variables: &variables, lengths: &lengths, chunks };
        let mut task = Answers { model, examples, validation, batch_size: params.batch_size, drops };
        let outcome = trainer.run(&mut task, state.map(|folder| (folder, fingerprint)), watch)?;
        Ok((variables, outcome))
    }
}

/// SHA-256 of examples.
fn hash(examples: &[Example]) -> String {
    let mut sha = Sha256::new();
    for tokens in examples.iter().flat_map(|example| [&example.prompt, &example.answer]) {
        sha.update((tokens.len() as u64).to_le_bytes());
        tokens.iter().for_each(|token| sha.update(token.to_le_bytes()));
    }
    sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
