//! What no text may be.

use super::{Error, LanguageModel, State};

impl LanguageModel {
    /// Refuses the next tokens of a text that has `past` of them.
    pub(super) fn check_text(&self, text: usize, past: usize, tokens: &[u32]) -> Result<(), Error> {
        if tokens.is_empty() {
            return Err(Error::EmptyText { text });
        }
        self.check_length(text, past + tokens.len())?;
        self.check_tokens(text, tokens)
    }

    /// Refuses an answer to no prompt, of a model with an encoder.
    pub(super) fn check_prompt(&self, text: usize, state: &State) -> Result<(), Error> {
        match !state.has_prompt() && self.answer_start().is_some() {
            true => Err(Error::NoPrompt { text }),
            false => Ok(()),
        }
    }

    pub(super) fn check_length(&self, text: usize, tokens: usize) -> Result<(), Error> {
        match self.limits.max_positions {
            Some(limit) if tokens > limit => Err(Error::TooLong { text, tokens, limit }),
            _ => Ok(()),
        }
    }

    pub(super) fn check_tokens(&self, text: usize, tokens: &[u32]) -> Result<(), Error> {
        let vocab_size = self.limits.vocab_size;
        match tokens.iter().position(|&token| token as usize >= vocab_size) {
            Some(position) => Err(Error::Token { text, position, token: tokens[position], vocab_size }),
            None => Ok(()),
        }
    }
}

/// Refuses logits that are no numbers.
pub(super) fn check_logits(text: usize, tokens: usize, logits: &[f32]) -> Result<(), Error> {
    match logits.iter().position(|logit| !logit.is_finite()) {
        Some(token) => Err(Error::NotANumber { text, tokens, token, value: logits[token] }),
        None => Ok(()),
    }
}
