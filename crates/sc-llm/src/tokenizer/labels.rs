//! The tokens of labels, as they stand behind a prompt.

use super::{Error, Tokenizer};
use crate::decode::trie::{Posterior, Trie};

/// What ends an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End<'a> {
    /// The text that the template puts behind it, `"\n"` or `"\"}"`: its first token ends the answer.
    Text(&'a str),
    /// The model's end of text, [`SpecialTokens::eos`](super::SpecialTokens::eos)`[0]`.
    Eos,
}

/// The labels of a closed set as the tokens that a model would say behind a prompt.
///
/// A label's tokens depend on its neighbours: `" T cell"` and `"T cell"` differ, and a prompt that ends in a space may
/// have another last token once a word follows. So prefix, label and end are encoded as one text and compared with the
/// prefix alone; where the last tokens of the prefix change, all labels start that much earlier (token healing).
///
/// ```
/// use sc_llm::tokenizer::{End, LabelTokens, Tokenizer};
///
/// let tokenizer = Tokenizer::of_words(&["Answer: T cell\n", "Answer: B cell\n"], 1000)?;
/// let labels = LabelTokens::new(&tokenizer, "Answer:", &[" T cell", " B cell"], &[End::Text("\n")])?;
/// let prompt = tokenizer.encode("CD3D\nAnswer:", true)?;
/// assert_eq!(labels.start_of(&prompt)?, prompt, "no token changes when a label follows");
/// let behind = labels.trie().walk(|_, allowed| Ok::<_, sc_llm::Error>(vec![0.0; allowed.len()]))?;
/// assert_eq!(tokenizer.decode(&behind.tokens, true)?, " B cell\n");
/// # Ok::<(), sc_llm::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LabelTokens {
    trie: Trie,
    /// The label of each form, in the trie's order.
    label_of: Vec<usize>,
    n_labels: usize,
    prefix: Vec<u32>,
    kept: usize,
    end: u32,
    end_place: usize,
}

struct Form<'a> {
    label: usize,
    text: &'a str,
}

/// The tokens of all forms behind `kept` tokens of the prefix.
struct Spelled {
    tokens: Vec<Vec<u32>>,
    kept: usize,
    end: u32,
}

impl LabelTokens {
    /// The tokens of labels with one text each.
    ///
    /// * `prefix`: the text before every answer, from a place on where the tokens do not depend on what stands before it
    ///   (a line break). Empty for the decoder of T5.
    /// * `labels`: each as it follows the prefix, with the space before it where the template has one.
    /// * `ends`: what may end an answer, the first choice first; an end that runs into a label (`)` and `"` are one token
    ///   of GPT-2) is passed over for all.
    ///
    /// # Errors
    /// [`Error::UnknownInLabel`], [`Error::SpecialInLabel`] and [`Error::SameTokens`] name the labels; [`Error::NoEnd`],
    /// [`Error::NoEos`], those of [`Tokenizer::encode`], and [`crate::Error::NoLabels`].
    pub fn new<S: AsRef<str>>(
        tokenizer: &Tokenizer,
        prefix: &str,
        labels: &[S],
        ends: &[End<'_>],
    ) -> crate::Result<Self> {
        let forms: Vec<[&str; 1]> = labels.iter().map(|label| [label.as_ref()]).collect();
        Self::with_synonyms(tokenizer, prefix, &forms, ends)
    }

    /// The tokens of labels that may be said in several ways; [`LabelTokens::merge`] adds up what the model thinks of
    /// them. Ways that become the same tokens count once.
    ///
    /// # Errors
    /// Those of [`LabelTokens::new`], and [`Error::NoForms`].
    pub fn with_synonyms<L: AsRef<[S]>, S: AsRef<str>>(
        tokenizer: &Tokenizer,
        prefix: &str,
        labels: &[L],
        ends: &[End<'_>],
    ) -> crate::Result<Self> {
        let mut forms = Vec::new();
        for (label, texts) in labels.iter().map(AsRef::as_ref).enumerate() {
            if texts.is_empty() {
                return Err(Error::NoForms { label }.into());
            }
            forms.extend(texts.iter().map(|text| Form { label, text: text.as_ref() }));
        }
        if let Some(form) = forms.iter().find(|form| form.text.trim().is_empty()) {
            return Err(Error::EmptyForm { label: form.label }.into());
        }
        let prefix_ids = tokenizer.encode(prefix, false)?;
        let mut failed = Error::NoEos;
        for (end_place, &end) in ends.iter().enumerate() {
            let spelled = match spell(tokenizer, prefix, &prefix_ids, &forms, end) {
                Err(error @ (Error::NoEnd { .. } | Error::NoEos)) => {
                    failed = error;
                    continue;
                }
                spelled => spelled?,
            };
            let Spelled { tokens, kept, end } = spelled;
            let (tokens, label_of) = distinct(&forms, tokens)?;
            let trie = Trie::new(&tokens, end)?;
            return Ok(Self {
                trie,
                label_of,
                n_labels: labels.len(),
                prefix: prefix_ids,
                kept,
                end,
                end_place,
            });
        }
        Err(failed.into())
    }

    /// The trie of all forms, which starts behind [`LabelTokens::start_of`] the prompt.
    pub fn trie(&self) -> &Trie {
        &self.trie
    }

    /// Number of labels, however many forms they have.
    pub fn n_labels(&self) -> usize {
        self.n_labels
    }

    /// The label of a leaf of the trie.
    pub fn label_of(&self, form: usize) -> Option<usize> {
        self.label_of.get(form).copied()
    }

    /// How many tokens at the end of the prompt change when a label follows: the trie starts before them.
    pub fn n_rolled_back(&self) -> usize {
        self.prefix.len() - self.kept
    }

    /// The token that ends an answer.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// Which of the ends it is, as they were given.
    pub fn end_place(&self) -> usize {
        self.end_place
    }

    /// The part of a prompt's tokens behind which the trie starts.
    ///
    /// # Errors
    /// [`Error::OtherPrefix`] if the prompt does not end in the tokens of the prefix.
    pub fn start_of<'a>(&self, prompt: &'a [u32]) -> Result<&'a [u32], Error> {
        if !prompt.ends_with(&self.prefix) {
            let start = prompt.len().saturating_sub(self.prefix.len());
            return Err(Error::OtherPrefix {
                found: prompt[start..].to_vec(),
                expected: self.prefix.clone(),
            });
        }
        Ok(&prompt[..prompt.len() - self.n_rolled_back()])
    }

    /// What the model thinks of the labels, given what it thinks of their forms: `p(label) = Σ p(form)`.
    pub fn merge(&self, forms: &Posterior) -> Posterior {
        forms.merge(&self.label_of, self.n_labels)
    }
}

fn spell(
    tokenizer: &Tokenizer,
    prefix: &str,
    prefix_ids: &[u32],
    forms: &[Form<'_>],
    end: End<'_>,
) -> Result<Spelled, Error> {
    let mut end_id = match end {
        End::Eos => Some(*tokenizer.special().eos.first().ok_or(Error::NoEos)?),
        End::Text(_) => None,
    };
    let mut kept = prefix_ids.len();
    let mut spelled = Vec::with_capacity(forms.len());
    for form in forms {
        let no_end = || Error::NoEnd { name: form.text.to_owned() };
        let text = format!("{prefix}{}", form.text);
        let ids = tokenizer.encode(&text, false)?;
        if let End::Text(end) = end {
            let closed = tokenizer.encode(&format!("{text}{end}"), false)?;
            let behind = closed.strip_prefix(ids.as_slice()).and_then(|behind| behind.first());
            if behind.is_none() || end_id.is_some() && end_id.as_ref() != behind {
                return Err(no_end());
            }
            end_id = behind.copied();
        }
        let common = ids.iter().zip(prefix_ids).take_while(|(a, b)| a == b).count();
        let own = &ids[common..];
        let unk = tokenizer.special().unk;
        if own.is_empty() || own.iter().any(|&id| Some(id) == unk) {
            return Err(Error::UnknownInLabel { name: form.text.to_owned() });
        }
        if let Some(&id) = own.iter().find(|&&id| tokenizer.is_special(id)) {
            let token = tokenizer.token(id).unwrap_or_default().to_owned();
            return Err(Error::SpecialInLabel { name: form.text.to_owned(), token });
        }
        kept = kept.min(common);
        spelled.push(ids);
    }
    let end = end_id.unwrap_or_default();
    for (ids, form) in spelled.iter_mut().zip(forms) {
        ids.drain(..kept);
        if ids.contains(&end) {
            return Err(Error::NoEnd { name: form.text.to_owned() });
        }
    }
    Ok(Spelled { tokens: spelled, kept, end })
}

/// Each sequence of tokens once, with its label.
fn distinct(forms: &[Form<'_>], tokens: Vec<Vec<u32>>) -> Result<(Vec<Vec<u32>>, Vec<usize>), Error> {
    let mut first_of = std::collections::BTreeMap::new();
    let (mut kept, mut label_of) = (Vec::new(), Vec::new());
    for (place, (form, tokens)) in forms.iter().zip(tokens).enumerate() {
        match first_of.get(&tokens).map(|&first: &usize| &forms[first]) {
            None => {
                first_of.insert(tokens.clone(), place);
                kept.push(tokens);
                label_of.push(form.label);
            }
            Some(first) if first.label == form.label => {}
            Some(first) => {
                return Err(Error::SameTokens { first: first.text.into(), second: form.text.into() });
            }
        }
    }
    Ok((kept, label_of))
}
