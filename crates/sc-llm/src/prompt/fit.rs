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
        let mut fitting = encode(shown.len())?;
        if fitting.1.len() > max_tokens {
            // More genes are more tokens; the most that fit, between one that fits and one that does not.
            let (mut fits, mut too_many) = (1, shown.len());
            fitting = encode(fits)?;
            if fitting.1.len() > max_tokens {
                return Err(Error::TooLong { found: fitting.1.len(), limit: max_tokens });
            }
            while too_many - fits > 1 {
                let half = fits + (too_many - fits) / 2;
                let tried = encode(half)?;
                if tried.1.len() > max_tokens {
                    too_many = half;
                } else {
                    (fits, fitting) = (half, tried);
                }
            }
        }
        let (prompt, ids) = fitting;
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
