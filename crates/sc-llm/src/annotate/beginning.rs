//! What prompts begin with, read once.

use std::sync::{Mutex, PoisonError};

use crate::Result;
use crate::models::{LanguageModel, State};

/// The beginning of all prompts of a run.
pub(super) struct Shared {
    pub(super) state: State,
    pub(super) n_tokens: usize,
}

/// The beginning that was read last, for runs to come.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<Option<(Vec<u32>, State)>>);

impl Kept {
    /// What all prompts begin with, but the last token of none: what is kept is not read again, and what several prompts
    /// share is kept.
    ///
    /// # Errors
    /// What the model reports.
    pub(super) fn shared(&self, model: &LanguageModel, prompts: &[&[u32]]) -> Result<Shared> {
        let nothing = || Shared { state: model.empty(), n_tokens: 0 };
        let Some((first, rest)) = prompts.split_first().filter(|_| model.answer_start().is_none()) else {
            return Ok(nothing());
        };
        let n_common =
            rest.iter().fold(first.len() - 1, |n, prompt| common(&first[..n], &prompt[..prompt.len() - 1]));
        // A run beside this one reads for itself.
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut shared = match &kept {
            Some((tokens, state)) => {
                let (mut state, n_tokens) = (state.clone(), common(tokens, &first[..n_common]));
                // A layer with a window may have let go of what the next token would see.
                state.truncate(n_tokens).map_or_else(|_| nothing(), |()| Shared { state, n_tokens })
            }
            None => nothing(),
        };
        if n_common > shared.n_tokens && !rest.is_empty() {
            // Their logits are not wanted: those of one token are the least.
            let vocabulary = model.vocabulary_of(&first[..1])?;
            let next = &first[shared.n_tokens..n_common];
            model.read_for(std::slice::from_mut(&mut shared.state), &[next], &vocabulary)?;
            shared.n_tokens = n_common;
        }
        let is_new = !rest.is_empty() && shared.n_tokens > 0;
        let keep = if is_new { Some((first[..n_common].to_vec(), shared.state.clone())) } else { kept };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = keep;
        Ok(shared)
    }
}

/// How many tokens two texts begin with alike.
fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
