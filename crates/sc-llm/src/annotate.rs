//! Cells or clusters named by a model in this process.
//!
//! An [`Annotator`] gets prompts as tokens and labels as tokens, and gives each item a label or the reason why it has none.
//! What all prompts begin with is read once, in the first of several runs; items go through the model in batches; and an
//! item has the same answer, to the last bit of its probabilities, in any company and any order, so a run that was cut off
//! can go on with the items left.
//!
//! | [`Decoding`] | the answer is | it is a label |
//! |---|---|---|
//! | `Free` | what the model says up to the end token, other case and white space allowed | if it happens to be one |
//! | `Strict` | the same, word for word and ended by the model itself | if it happens to be one |
//! | `Constrained` | the way through the label trie along the most probable tokens | always |
//! | `Posterior` | the label with the highest exact probability | always |
//!
//! With a [`Template`], the answer is a text of ours whose holes the model fills: JSON with label, confidence and reason, or
//! thoughts of limited length before the label ([`Annotator::with_template`]).
//!
//! ```
//! use std::ops::ControlFlow;
//! use sc_llm::annotate::{AnnotateParams, Annotator, Item};
//! use sc_llm::models::{Config, LanguageModel, OpenParams};
//! use sc_llm::tokenizer::{End, LabelTokens, Tokenizer};
//!
//! let tokenizer = Tokenizer::of_words(&["CD3D MS4A1 Answer: T cell\n", "Answer: B cell\n"], 1000)?;
//! let config: Config = Config::from_json(&serde_json::json!({
//!     "model_type": "qwen2", "vocab_size": tokenizer.n_tokens(), "hidden_size": 16, "intermediate_size": 32,
//!     "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 64,
//! }))?;
//! let model = LanguageModel::random(&config, 0, &OpenParams::default())?;
//! let names = [["T cell"], ["B cell"]];
//! let labels = LabelTokens::new(&tokenizer, "Answer:", &[" T cell", " B cell"], &[End::Text("\n")])?;
//! let annotator = Annotator::new(&model, &tokenizer, &names, &labels, AnnotateParams::default())?;
//! let items = [Item { id: "cell 1".into(), tokens: tokenizer.encode("CD3D\nAnswer:", true)? }];
//! let named = annotator.run(&items, &mut |_| ControlFlow::Continue(()))?;
//! assert_eq!(named.compliance(), 1.0, "a constrained answer is always a label");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod batch;
mod beginning;
mod error;
mod results;

use std::ops::ControlFlow;
use std::time::Instant;

use beginning::{Kept, Shared};
pub use error::Error;
pub use results::{Annotation, Annotations};

use crate::Result;
use crate::answer::LabelSet;
use crate::calibrate;
use crate::decode::generate::GenerateParams;
use crate::decode::template::Template;
use crate::decode::trie::Posterior;
use crate::models::{LanguageModel, Scoring};
use crate::tokenizer::{LabelTokens, Tokenizer};

/// How an answer is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Decoding {
    /// Free text up to the end token, parsed by [`LabelSet::parse`].
    Free,
    /// Free text that counts only word for word or as JSON, and if the model ended it by itself.
    Strict,
    /// Greedy along the trie of labels.
    #[default]
    Constrained,
    /// The probability of every label, exact over the whole vocabulary.
    Posterior,
}

impl Decoding {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Free, Self::Strict, Self::Constrained, Self::Posterior];

    /// A word for tables and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Strict => "strict",
            Self::Constrained => "constrained",
            Self::Posterior => "posterior",
        }
    }
}

/// How items are named.
#[derive(Clone, Debug)]
pub struct AnnotateParams {
    /// How an answer is found. Default: constrained.
    pub decoding: Decoding,
    /// How the posterior is computed; no part of its value. Default: by the tree.
    pub scoring: Scoring,
    /// How free text is generated, and how the holes of a template are filled. The end of a label and the ends of text are
    /// added to `stop`, and `n_tokens` is that of the tokeniser. Default: greedy, 32 tokens at most.
    pub generate: GenerateParams,
    /// Tokens of prompts that are read together, the shared beginning aside; a longer prompt is read by itself. No part of
    /// any answer. At least 1. Default: 2048.
    pub batch_tokens: usize,
}

impl Default for AnnotateParams {
    fn default() -> Self {
        Self {
            decoding: Decoding::default(),
            scoring: Scoring::default(),
            generate: GenerateParams { max_new_tokens: 32, ..GenerateParams::default() },
            batch_tokens: 2048,
        }
    }
}

/// A cell or cluster to be named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its name, in records and errors. Random sampling draws by it, so that it should be of this item alone.
    pub id: String,
    /// The whole prompt, as [`Fitted::ids`](crate::prompt::Fitted).
    pub tokens: Vec<u32>,
}

/// Names items.
#[derive(Debug)]
pub struct Annotator<'a> {
    model: &'a LanguageModel,
    tokenizer: &'a Tokenizer,
    way: Way<'a>,
    /// Every way to write a label, and the label of each.
    forms: LabelSet,
    label_of: Vec<usize>,
    names: Vec<String>,
    params: AnnotateParams,
    /// The text that ends an answer, where the end is text.
    end: Option<String>,
    /// Tokens among which the model is asked to choose, rising.
    asked: Vec<u32>,
    /// `log p(label)` where no cell is shown.
    prior: Option<Vec<f64>>,
    kept: Kept,
}

/// What an answer is made of.
#[derive(Clone, Copy, Debug)]
enum Way<'a> {
    Labels(&'a LabelTokens),
    Template(&'a Template),
}

impl<'a> Annotator<'a> {
    /// An annotator with these labels.
    ///
    /// * `names`: for each label the texts that mean it, its name first.
    /// * `labels`: the same labels as tokens behind a prompt.
    ///
    /// # Errors
    /// [`Error::Labels`], [`Error::NoName`], [`Error::Param`]; [`SameLabel`](crate::Error::SameLabel) for a text that means
    /// two labels, counted over all texts; those of [`GenerateParams::validate`] and of
    /// [`LanguageModel::vocabulary_of`] for tokens of another model.
    pub fn new<L: AsRef<[S]>, S: AsRef<str>>(
        model: &'a LanguageModel,
        tokenizer: &'a Tokenizer,
        names: &[L],
        labels: &'a LabelTokens,
        params: AnnotateParams,
    ) -> Result<Self> {
        if names.len() != labels.n_labels() {
            return Err(Error::Labels { found: names.len(), expected: labels.n_labels() }.into());
        }
        let mut annotator = Self::build(model, tokenizer, names, Way::Labels(labels), params)?;
        if !tokenizer.is_special(labels.end()) {
            annotator.end =
                tokenizer.token_bytes(labels.end()).and_then(|bytes| String::from_utf8(bytes).ok());
        }
        annotator.asked = labels.trie().choices();
        if !annotator.asked.is_empty() {
            model.vocabulary_of(&annotator.asked)?;
        }
        annotator.params.generate.n_tokens = Some(tokenizer.n_tokens());
        let stop = annotator.stop(labels);
        annotator.params.generate.stop.extend(stop);
        Ok(annotator)
    }

    /// An annotator whose answers are a template with its holes filled, one of them by a label. Other holes are filled
    /// greedily or by chance, as `params.generate` has it.
    ///
    /// * `params.decoding`: the label is decoded as the other holes are (constrained), or is the one with the highest
    ///   exact probability given all before it (posterior).
    ///
    /// # Errors
    /// [`Error::NoLabelHole`], [`Error::Decoding`], [`Error::Param`], and those of [`GenerateParams::validate`].
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use sc_llm::annotate::{AnnotateParams, Annotator, Decoding, Item};
    /// use sc_llm::decode::template::{Hole, Part, Template};
    /// use sc_llm::models::{Config, LanguageModel, OpenParams};
    /// use sc_llm::tokenizer::Tokenizer;
    ///
    /// let tokenizer = Tokenizer::of_words(&["CD3D <think> </think> <answer> T cell B cell"], 1000)?;
    /// let config = Config::from_json(&serde_json::json!({
    ///     "model_type": "qwen2", "vocab_size": tokenizer.n_tokens(), "hidden_size": 16, "intermediate_size": 32,
    ///     "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 128,
    /// }))?;
    /// let model = LanguageModel::random(&config, 0, &OpenParams::default())?;
    /// // However the model rambles, after 20 tokens it has to answer.
    /// let parts = [
    ///     Part::Text("<think>".into()),
    ///     Part::Hole(Hole::Thoughts { stop: vec!["</think>".into()], max_tokens: 20 }),
    ///     Part::Text("</think>\n<answer>".into()),
    ///     Part::Hole(Hole::labels(&["T cell", "B cell"])),
    ///     Part::Text("</answer>".into()),
    /// ];
    /// let template = Template::new(&tokenizer, "\n", &parts)?;
    /// let params = AnnotateParams { decoding: Decoding::Posterior, ..AnnotateParams::default() };
    /// let annotator = Annotator::with_template(&model, &tokenizer, &template, params)?;
    /// let items = [Item { id: "cell 1".into(), tokens: tokenizer.encode("CD3D\n", true)? }];
    /// let named = annotator.run(&items, &mut |_| ControlFlow::Continue(()))?;
    /// assert!(named.items[0].label().is_some() && named.items[0].text.ends_with("</answer>"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_template(
        model: &'a LanguageModel,
        tokenizer: &'a Tokenizer,
        template: &'a Template,
        params: AnnotateParams,
    ) -> Result<Self> {
        let names = template.labels().ok_or(Error::NoLabelHole)?;
        if !matches!(params.decoding, Decoding::Constrained | Decoding::Posterior) {
            return Err(Error::Decoding { found: params.decoding.name() }.into());
        }
        Self::build(model, tokenizer, names, Way::Template(template), params)
    }

    fn build<L: AsRef<[S]>, S: AsRef<str>>(
        model: &'a LanguageModel,
        tokenizer: &'a Tokenizer,
        names: &[L],
        way: Way<'a>,
        params: AnnotateParams,
    ) -> Result<Self> {
        if params.batch_tokens == 0 {
            return Err(Error::Param { field: "batch_tokens", found: 0, expected: "at least 1" }.into());
        }
        params.generate.validate()?;
        let (mut texts, mut label_of, mut first) = (Vec::new(), Vec::new(), Vec::new());
        for (label, forms) in names.iter().map(AsRef::as_ref).enumerate() {
            let name = forms.first().ok_or(Error::NoName { label })?;
            first.push(name.as_ref().to_owned());
            texts.extend(forms.iter().map(AsRef::as_ref));
            label_of.resize(texts.len(), label);
        }
        Ok(Self {
            model,
            tokenizer,
            way,
            forms: LabelSet::new(&texts)?,
            label_of,
            names: first,
            params,
            end: None,
            asked: Vec::new(),
            prior: None,
            kept: Kept::default(),
        })
    }

    /// Takes off what the model thinks of the labels where it is shown no cell, [`calibrate::without_prior`]; of no
    /// meaning unless posteriors are asked for.
    ///
    /// * `prompt`: the same prompt with genes that say nothing.
    ///
    /// # Errors
    /// As [`run`](Self::run) of this one prompt.
    pub fn without_prior(mut self, prompt: Vec<u32>) -> Result<Self> {
        let item = Item { id: "the prompt without a cell".to_owned(), tokens: prompt };
        let prompts = self.checked(std::slice::from_ref(&item))?;
        let shared = self.kept.shared(self.model, &prompts)?;
        let prior = match self.way {
            Way::Labels(labels) => Some(self.scores(labels, &shared, &prompts)?.remove(0)),
            Way::Template(template) => {
                self.fill(template, &shared, std::slice::from_ref(&item), &prompts)?.remove(0).posterior
            }
        };
        self.prior = prior.map(|prior| prior.log_prob);
        Ok(self)
    }

    /// Names items, in their order.
    ///
    /// * `each`: hears of every answer as soon as it is there; a run that it stops returns the answers so far.
    ///
    /// # Errors
    /// [`Error::TooLong`], [`Error::Prompt`], [`Error::Empty`] and [`Error::Token`] name the item, before anything is
    /// computed; what the model reports.
    pub fn run(
        &self,
        items: &[Item],
        each: &mut dyn FnMut(&Annotation) -> ControlFlow<()>,
    ) -> Result<Annotations> {
        let prompts = self.checked(items)?;
        let began = Instant::now();
        let shared = self.kept.shared(self.model, &prompts)?;
        let mut all = Annotations { n_shared: shared.n_tokens, ..Annotations::default() };
        let mut first = 0;
        while first < items.len() {
            let clock = Instant::now();
            let mut room = self.params.batch_tokens;
            let fits = |prompt: &&&[u32]| {
                let own = prompt.len() - shared.n_tokens;
                let fits = own <= room;
                room = room.saturating_sub(own);
                fits
            };
            let n = prompts[first..].iter().take_while(fits).count().max(1);
            let batch = first..first + n;
            let answers = self.batch(&shared, &items[batch.clone()], &prompts[batch.clone()])?;
            let cost =
                |place: usize, n_generated: usize| prompts[place].len() - shared.n_tokens + n_generated;
            let total: usize = answers.iter().zip(first..).map(|(said, i)| cost(i, said.n_generated)).sum();
            let per_token = clock.elapsed().as_secs_f64() / total.max(1) as f64;
            for (said, item) in answers.into_iter().zip(batch) {
                let annotation = Annotation {
                    item,
                    id: items[item].id.clone(),
                    answer: said.answer,
                    text: said.text,
                    posterior: said.posterior,
                    ended: said.ended,
                    filled: said.filled,
                    n_prompt: prompts[item].len(),
                    n_shared: shared.n_tokens,
                    n_generated: said.n_generated,
                    seconds: per_token * cost(item, said.n_generated) as f64,
                };
                let goes_on = each(&annotation).is_continue();
                all.items.push(annotation);
                if !goes_on {
                    all.seconds = began.elapsed().as_secs_f64();
                    return Ok(all);
                }
            }
            first += n;
        }
        all.seconds = began.elapsed().as_secs_f64();
        all.is_complete = true;
        Ok(all)
    }

    /// The prompts as they are read: up to where labels or the template start.
    fn checked<'i>(&self, items: &'i [Item]) -> Result<Vec<&'i [u32]>, Error> {
        let is_free = matches!(self.params.decoding, Decoding::Free | Decoding::Strict);
        let answer = match self.way {
            _ if is_free => 0,
            // The end token is said and not read.
            Way::Labels(labels) => labels.trie().max_len() - 1,
            Way::Template(template) => template.max_tokens(),
        };
        let check = |item: &'i Item| {
            let id = || item.id.clone();
            let tokens = match self.way {
                _ if is_free => Ok(item.tokens.as_slice()),
                Way::Labels(labels) => labels.start_of(&item.tokens),
                Way::Template(template) => template.start_of(&item.tokens),
            };
            let tokens = tokens.map_err(|source| Error::Prompt { id: id(), source: Box::new(source) })?;
            if tokens.is_empty() {
                return Err(Error::Empty { id: id() });
            }
            let vocab_size = self.model.vocab_size();
            if let Some(position) = tokens.iter().position(|&token| token as usize >= vocab_size) {
                return Err(Error::Token { id: id(), position, token: tokens[position], vocab_size });
            }
            // Of a model with an encoder prompt and answer are texts of their own.
            let found = match self.model.answer_start() {
                None => tokens.len() + answer,
                Some(_) => tokens.len().max(1 + answer),
            };
            match self.model.max_positions() {
                Some(limit) if found > limit => Err(Error::TooLong { id: id(), found, answer, limit }),
                _ => Ok(tokens),
            }
        };
        items.iter().map(check).collect()
    }

    /// Tokens that end free text: the ends of text, and every token with the end of an answer inside.
    fn stop(&self, labels: &LabelTokens) -> Vec<u32> {
        let mut stop = self.tokenizer.special().eos.clone();
        stop.push(labels.end());
        if let Some(end) = &self.end {
            let ends = |&token: &u32| {
                let bytes = self.tokenizer.token_bytes(token).unwrap_or_default();
                bytes.windows(end.len().max(1)).any(|part| part == end.as_bytes())
            };
            stop.extend((0..self.tokenizer.n_tokens() as u32).filter(ends));
        }
        stop.sort_unstable();
        stop.dedup();
        stop
    }

    /// A posterior without the prior, where there is one.
    fn corrected(&self, posterior: Posterior) -> Result<Posterior> {
        let Some(prior) = &self.prior else { return Ok(posterior) };
        let scores = ndarray::ArrayView2::from_shape((1, prior.len()), &posterior.log_prob)
            .expect("a score for each label, as the prior has");
        let scores = calibrate::without_prior(scores, ndarray::ArrayView1::from(prior.as_slice()))?;
        Posterior::new(scores.into_raw_vec_and_offset().0)
    }
}

#[cfg(test)]
mod tests;
