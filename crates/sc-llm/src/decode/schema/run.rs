//! A text on its way, held to a grammar.

use llguidance::Matcher;

use super::error::said;
use super::{Error, Grammar};
use crate::decode::generate::{Chooser, GenerateParams, penalise};
use crate::{Error as CrateError, Result};

/// A text of a grammar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The text, without the token that ended it. Half a character, where the budget ended in one, is U+FFFD.
    pub text: String,
    /// The tokens behind the prompt; the token that ended the text, if one did, is the last.
    pub tokens: Vec<u32>,
    /// Those of them that were chosen among several.
    pub n_chosen: usize,
    /// Whether the text belongs to the grammar; if not, the budget ended before it.
    pub is_complete: bool,
}

impl Grammar {
    /// Goes on from a prompt until an end token where the grammar lets the text end, until nothing else may come, or to the
    /// end of the budget. Text is a choice where the grammar leaves one; other tokens count for the budget all the same.
    ///
    /// * `prompt`: the tokens that were read, for the repetition penalty and as the beginning of the first question.
    /// * `params`: a token of `stop` ends a text where it may end, and is text like any other elsewhere; without any,
    ///   [`SpecialTokens::eos`](crate::tokenizer::SpecialTokens::eos).
    /// * `item`: number of the text, which picks its stream of chance.
    /// * `logits`: given the tokens that the model has not seen yet (first the prompt), the logits of the next token.
    ///
    /// Greedy texts need not end: a model that prefers to go on with a free text goes on with it.
    ///
    /// # Errors
    /// [`CrateError::Sampling`]; [`CrateError::NoToken`] where a logit is NaN or those of all tokens that may come are
    /// minus infinity; [`Error::NoEnd`], [`Error::Stuck`]; what `logits` returns.
    pub fn generate<E: From<CrateError>>(
        &self,
        prompt: &[u32],
        params: &GenerateParams,
        item: u64,
        mut logits: impl FnMut(&[u32]) -> Result<Vec<f32>, E>,
    ) -> Result<Written, E> {
        let mut run = Run::new(self, prompt, params, item)?;
        while !run.is_over() {
            let logits = logits(run.unread())?;
            run.step(logits)?;
        }
        Ok(run.finish())
    }
}

/// A text that is being generated.
struct Run<'g> {
    grammar: &'g Grammar,
    matcher: Matcher,
    chooser: Chooser,
    penalty: f32,
    n_tokens: usize,
    ends: &'g [u32],
    /// The prompt and the tokens behind it.
    text: Vec<u32>,
    n_prompt: usize,
    /// Those of them that the model has seen.
    n_seen: usize,
    n_chosen: usize,
    /// Tokens that may still come.
    left: usize,
    /// The tokens that may come next, rising.
    allowed: Vec<u32>,
    /// Whether the text belongs to the grammar, once it is over.
    is_complete: Option<bool>,
    /// Tokens behind the text: the one that ended it, or none.
    n_behind: usize,
}

impl<'g> Run<'g> {
    fn new(grammar: &'g Grammar, prompt: &[u32], params: &'g GenerateParams, item: u64) -> Result<Self> {
        params.validate()?;
        let ends = match params.stop.is_empty() {
            true => &grammar.vocabulary.ends,
            false => &params.stop,
        };
        if ends.is_empty() {
            return Err(Error::NoEnd.into());
        }
        let mut run = Self {
            grammar,
            // Its caches are its own: a text is the same whatever was generated before.
            matcher: grammar.start.deep_clone(),
            chooser: Chooser::new(params.sampling, item),
            penalty: params.repetition_penalty,
            n_tokens: params.n_tokens.unwrap_or(usize::MAX).min(grammar.vocabulary.n_tokens()),
            ends,
            text: prompt.to_vec(),
            n_prompt: prompt.len(),
            n_seen: 0,
            n_chosen: 0,
            left: params.max_new_tokens,
            allowed: Vec::new(),
            is_complete: None,
            n_behind: 0,
        };
        run.go_on()?;
        Ok(run)
    }

    fn is_over(&self) -> bool {
        self.is_complete.is_some()
    }

    /// The tokens that the model reads before the next step.
    fn unread(&self) -> &[u32] {
        &self.text[self.n_seen..]
    }

    /// Takes the token that these logits mean, and all that must follow it.
    fn step(&mut self, mut logits: Vec<f32>) -> Result<()> {
        let step = self.text.len() - self.n_prompt;
        self.n_seen = self.text.len();
        logits.truncate(self.n_tokens);
        if logits.iter().any(|logit| logit.is_nan()) {
            return Err(CrateError::NoToken { step, problem: "a logit is NaN" });
        }
        penalise(&mut logits, &self.text, self.penalty);
        let logit = |&token: &u32| logits.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY);
        let of_allowed: Vec<f32> = self.allowed.iter().map(logit).collect();
        let Some(place) = self.chooser.choose(&of_allowed) else {
            let problem = "no logit of a token that may come is above minus infinity";
            return Err(CrateError::NoToken { step, problem });
        };
        let token = self.allowed[place as usize];
        self.n_chosen += 1;
        if self.may_end()? && self.ends.contains(&token) {
            self.text.push(token);
            self.is_complete = Some(true);
            self.n_behind = 1;
            return Ok(());
        }
        self.push(token)?;
        Ok(self.go_on()?)
    }

    /// Adds what must come, up to a choice or the end.
    fn go_on(&mut self) -> Result<(), Error> {
        loop {
            if self.left == 0 || self.matcher.is_stopped() {
                self.is_complete = Some(self.matcher.is_stopped() || self.may_end()?);
                return Ok(());
            }
            let forced = self.matcher.compute_ff_tokens();
            if !forced.is_empty() {
                for token in forced.into_iter().take(self.left) {
                    self.push(token)?;
                }
                continue;
            }
            let mask = self.matcher.compute_mask().map_err(|error| self.stuck(&error))?;
            let may_end = self.may_end()?;
            let vocabulary = &self.grammar.vocabulary;
            let n_tokens = self.n_tokens as u32;
            let is_text = |&token: &u32| token < n_tokens && !vocabulary.text_of(token).is_empty();
            self.allowed = mask.iter().filter(is_text).collect();
            match (self.allowed.as_slice(), may_end) {
                ([], true) => {
                    self.is_complete = Some(true);
                    return Ok(());
                }
                ([], false) => return Err(self.stuck(&"no token has the text that would have to come")),
                (&[token], false) => self.push(token)?,
                (_, false) => return Ok(()),
                (_, true) => {
                    let ends = self.ends.iter().copied().filter(|&token| token < n_tokens);
                    self.allowed.extend(ends);
                    self.allowed.sort_unstable();
                    self.allowed.dedup();
                    return Ok(());
                }
            }
        }
    }

    /// Adds a token of the text.
    fn push(&mut self, token: u32) -> Result<(), Error> {
        if self.grammar.vocabulary.text_of(token).is_empty() {
            return Err(self.stuck(&format_args!("token {token}, which has no text, would have to come")));
        }
        self.matcher.consume_token(token).map_err(|error| self.stuck(&error))?;
        self.text.push(token);
        self.left -= 1;
        Ok(())
    }

    /// Whether the text so far belongs to the grammar.
    fn may_end(&mut self) -> Result<bool, Error> {
        self.matcher.is_accepting().map_err(|error| self.stuck(&error))
    }

    fn stuck(&self, error: &dyn std::fmt::Display) -> Error {
        Error::Stuck { n_tokens: self.text.len() - self.n_prompt, source: said(error) }
    }

    fn finish(mut self) -> Written {
        let tokens = self.text.split_off(self.n_prompt);
        let of_text = &tokens[..tokens.len() - self.n_behind];
        let bytes: Vec<u8> =
            of_text.iter().flat_map(|&token| self.grammar.vocabulary.text_of(token)).copied().collect();
        Written {
            text: String::from_utf8_lossy(&bytes).into_owned(),
            tokens,
            n_chosen: self.n_chosen,
            is_complete: self.is_complete == Some(true),
        }
    }
}
