//! A small decoder that is trained on the spot: what the programs ask where no model is named.

use std::ops::ControlFlow;
use std::path::Path;

use anyhow::Result;
use sc_examples::progress::{bar, say, thousands};
use sc_fm::train::{AdamParams, Decline, LoopParams, Schedule, TrainProgress, Warmup};
use sc_llm::models::{LanguageModel, OpenParams};
use sc_llm::sft::{Example, SmallParams, sft_params, small_decoder, train};
use sc_llm::tokenizer::Tokenizer;

use crate::lines::sweep;

/// What it is called in tables.
pub(crate) const NAME: &str = "small decoder";

/// Tokens of a text at most.
pub(crate) const POSITIONS: usize = 1024;

/// How it is trained.
pub(crate) struct Training<'a> {
    /// What it is for, in a word or two.
    pub(crate) what: &'a str,
    pub(crate) epochs: usize,
    pub(crate) seed: u64,
    /// Holds the decoder in the end, and before that what was trained when the run was cut off.
    pub(crate) folder: &'a Path,
}

impl Training<'_> {
    /// Trains a decoder of random weights.
    ///
    /// * `texts`: prompts with their answers, whose words become its tokens.
    /// * `examples`: the same in tokens, at most [`POSITIONS`] together.
    pub(crate) fn run(
        &self,
        texts: &[String],
        examples: impl FnOnce(&Tokenizer) -> Result<Vec<Example>>,
    ) -> Result<(LanguageModel, Tokenizer)> {
        sweep(self.folder)?;
        let shape = SmallParams { max_positions: POSITIONS, seed: self.seed, ..SmallParams::default() };
        let (tokenizer, base) = small_decoder(texts, &shape)?;
        let examples = examples(&tokenizer)?;
        say(&format!(
            "{}: trains a small decoder ({} numbers, {} tokens) on {} examples",
            self.what,
            thousands(base.n_parameters()),
            thousands(tokenizer.n_tokens()),
            thousands(examples.len())
        ));
        let params = LoopParams {
            epochs: self.epochs,
            batch_size: 8,
            accumulate: 1,
            schedule: Schedule { learning_rate: 3e-3, warmup: Warmup::Ratio(0.1), decline: Decline::Cosine },
            optimizer: AdamParams::adamw(0.01),
            seed: self.seed,
            save_every: Some(50),
            ..sft_params()
        };
        let steps = bar(1);
        let mut watch = |now: &TrainProgress| {
            steps.set_length(now.n_steps as u64);
            steps.set_position(now.step as u64);
            steps.set_message(format!("epoch {}/{}, loss {:.3}", now.epoch, now.n_epochs, now.loss));
            ControlFlow::Continue(())
        };
        let state = self.folder.join("state");
        let trained = train(&base, &examples, &[], &params, Some(&state), &mut watch)?;
        steps.finish_and_clear();
        trained.base().save(self.folder, true)?;
        tokenizer.save(self.folder).map_err(sc_llm::Error::from)?;
        Ok((trained.model(&OpenParams::default())?, tokenizer))
    }
}
