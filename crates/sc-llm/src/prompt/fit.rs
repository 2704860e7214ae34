//! Prompts that fit a context, by tokens.

use super::render::Shown;
use super::{Error, Form, Prompt, Prompter};
use crate::evidence::Evidence;
use crate::tokenizer::{End, LabelTokens, Tokenizer};

/// A prompt in tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fitted {
    /// The text.
    pub prompt: Prompt,
    /// Its tokens, with those that the model expects around a text.
    pub ids: Vec<u32>,
    /// How many tokens at the start are those of [`Prompt::prefix`] alone: what cells share in a cache.
    pub n_shared: usize,
    /// Tokens of the prefix that change when the genes follow; 0 where the prefix ends at a token.
    pub n_unshared: usize,
}

/// What is made of the most items that fit, of at least one; none where one is too many.
///
/// * `n`: number of items, at least 1.
/// * `make`: what is made of so many items, or none if they do not fit. More items never fit better.
///
/// # Errors
/// What `make` returns.
pub fn most<T, E>(n: usize, mut make: impl FnMut(usize) -> Result<Option<T>, E>) -> Result<Option<T>, E> {
    if let whole @ Some(_) = make(n)? {
        return Ok(whole);
    }
    // Between a number that fits and one that does not.
    let (mut fits, mut too_many, mut fitting) = (0, n, None);
    while too_many - fits > 1 {
        let half = fits + (too_many - fits) / 2;
        match make(half)? {
            made @ Some(_) => (fits, fitting) = (half, made),
            None => too_many = half,
        }
    }
    Ok(fitting)
}

impl Prompter {
    /// The prompt for one cell in at most `max_tokens` tokens. Genes are cut from the end of the list, and nothing else
    /// is; [`Prompt::n_cut`] says how many.
    ///
    /// # Errors
    /// Those of [`Prompter::prompt`]; [`Error::TooLong`] if one gene is too many, [`Error::Tokenizer`].
    pub fn fit(
        &self,
        evidence: &Evidence,
        tokenizer: &Tokenizer,
        max_tokens: usize,
    ) -> Result<Fitted, Error> {
        let shown = Shown::new(self.task, evidence)?;
        let encode = |n_genes: usize| {
            let prompt = self.prompt_of(&shown, n_genes);
            let ids = tokenizer.encode(&prompt.text(), true)?;
            Ok::<_, Error>((prompt, ids))
        };
        let fitting = most(shown.len(), |n_genes| {
            let made = encode(n_genes)?;
            Ok::<_, Error>((made.1.len() <= max_tokens).then_some(made))
        })?;
        let Some((prompt, ids)) = fitting else {
            return Err(Error::TooLong { found: encode(1)?.1.len(), limit: max_tokens });
        };
        let before = tokenizer.special().before.iter().copied();
        let prefix: Vec<u32> = before.chain(tokenizer.encode(&self.prefix, false)?).collect();
        let n_shared = prefix.iter().zip(&ids).take_while(|(a, b)| a == b).count();
        Ok(Fitted { prompt, n_shared, n_unshared: prefix.len() - n_shared, ids })
    }

    /// The tokens of the labels behind any prompt of this kind.
    ///
    /// A JSON answer ends at its quotation mark or, where that runs into a label, at the end of text; a word ends at the
    /// line break behind it, of a chat at the end of the turn.
    ///
    /// # Errors
    /// Those of [`LabelTokens::new`].
    pub fn label_tokens(&self, tokenizer: &Tokenizer) -> crate::Result<LabelTokens> {
        let texts: Vec<String> = self.labels.iter().map(|label| self.answer_text(label)).collect();
        let ends: &[End<'_>] = match self.form {
            Form::Json => &[End::Text("\""), End::Eos],
            Form::Word if self.is_spaced => &[End::Text("\n"), End::Eos],
            Form::Word => &[End::Eos],
        };
        LabelTokens::new(tokenizer, super::answer_prefix(&self.suffix), &texts, ends)
    }
}
