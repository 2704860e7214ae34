//! Reading texts, all at once or further and further.

use std::ops::Range;
use std::sync::Arc;

use candle_core::Tensor;
use ndarray::Array2;
use sc_fm::nn::{Activation, CacheRows, KvCache, Linear, Packing, TrainingStep, embedding};

use super::checks::check_logits;
use super::decoder::Rows;
use super::drops::{Drops, HEAD};
use super::t5::{Cross, Side};
use super::{Error, LanguageModel, Network};
use crate::Result;
use crate::decode::generate::{GenerateParams, Generated, generate};

/// Tokens that go through the layers at a time: enough for fast products, and little memory. No part of any result.
const MOST_ROWS: usize = 1024;

/// Rows of logits that are computed at a time.
pub(super) const LOGIT_ROWS: usize = 64;

/// A text that a model has read so far. A clone shares its memory, and can be read on by itself.
#[derive(Clone, Debug)]
pub struct State {
    cache: KvCache,
    /// What the prompt became, for a model with an encoder.
    cross: Option<Arc<Cross>>,
}

impl State {
    /// Number of tokens; of a model with an encoder those of the answer.
    pub fn len(&self) -> usize {
        self.cache.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.cache.is_empty()
    }

    /// Whether it answers a prompt, of a model with an encoder.
    pub(super) fn has_prompt(&self) -> bool {
        self.cross.is_some()
    }

    /// Forgets all tokens but the first `len`, as when the last token of a prompt is to be another one.
    ///
    /// # Errors
    /// As [`KvCache::truncate`]: of a model whose layers see the latest tokens alone, no more than the last 64 tokens of a
    /// long text can be taken back.
    pub fn truncate(&mut self, len: usize) -> Result<()> {
        Ok(self.cache.truncate(len)?)
    }
}

/// The tokens whose logits are wanted.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    head: Linear,
    scale: Option<f64>,
    n_tokens: usize,
}

impl Vocabulary {
    /// Number of tokens, and of logits after each text.
    pub fn n_tokens(&self) -> usize {
        self.n_tokens
    }
}

/// Some tokens of a text on their way through the layers.
struct Chunk {
    text: usize,
    /// Their rows.
    rows: Range<usize>,
    /// Number of the tokens given up to the last of them.
    end: usize,
}

impl LanguageModel {
    /// A text without tokens. A model with an encoder can only go on from a prompt: [`LanguageModel::encode`].
    pub fn empty(&self) -> State {
        let cache = match &self.network {
            Network::Decoder(decoder) => decoder.cache(),
            Network::T5(model) => model.cache(),
        };
        State { cache, cross: None }
    }

    /// Answers without tokens to prompts, for a model with an encoder.
    ///
    /// # Errors
    /// [`Error::NoEncoder`]; as [`LanguageModel::read`].
    pub fn encode(&self, prompts: &[&[u32]]) -> Result<Vec<State>> {
        let Network::T5(model) = &self.network else {
            return Err(Error::NoEncoder { architecture: self.architecture.name() }.into());
        };
        let _scope = self.compute.enter();
        for (text, prompt) in prompts.iter().enumerate() {
            self.check_text(text, 0, prompt)?;
        }
        let mut states = Vec::with_capacity(prompts.len());
        let mut rest = prompts;
        while !rest.is_empty() {
            let mut room = MOST_ROWS;
            let fits = |prompt: &&&[u32]| {
                let fits = prompt.len() <= room;
                room = room.saturating_sub(prompt.len());
                fits
            };
            let n = rest.iter().take_while(fits).count().max(1);
            let crosses = model.encode(&rest[..n])?;
            states
                .extend(crosses.into_iter().map(|cross| State { cache: model.cache(), cross: Some(cross) }));
            rest = &rest[n..];
        }
        Ok(states)
    }

    /// The token that every answer begins with, for a model with an encoder.
    pub fn answer_start(&self) -> Option<u32> {
        match &self.network {
            Network::Decoder(_) => None,
            Network::T5(model) => Some(model.start),
        }
    }

    /// All tokens.
    pub fn vocabulary(&self) -> Vocabulary {
        let (head, scale) = self.head();
        Vocabulary { head: head.clone(), scale, n_tokens: self.limits.vocab_size }
    }

    /// Some tokens, in the order given: their logits alone cost less than those of all, and have the same bits.
    ///
    /// # Errors
    /// [`Error::Token`].
    pub fn vocabulary_of(&self, tokens: &[u32]) -> Result<Vocabulary> {
        self.check_tokens(0, tokens)?;
        let _scope = self.compute.enter();
        let (head, scale) = self.head();
        Ok(Vocabulary { head: head.select(tokens)?, scale, n_tokens: tokens.len() })
    }

    /// Reads prompts, and returns for each the state and the logits of the first token of an answer.
    ///
    /// # Errors
    /// As [`LanguageModel::read`].
    pub fn start(&self, prompts: &[&[u32]]) -> Result<Vec<(State, Vec<f32>)>> {
        let (mut states, logits);
        match self.answer_start() {
            None => {
                states = vec![self.empty(); prompts.len()];
                logits = self.read(&mut states, prompts)?;
            }
            Some(token) => {
                states = self.encode(prompts)?;
                logits = self.read(&mut states, &vec![&[token][..]; prompts.len()])?;
            }
        }
        Ok(states.into_iter().zip(logits).collect())
    }

    /// Goes on from a prompt, token by token; the budget ends where the model has no more positions.
    ///
    /// * `item`: number of the text, which picks its stream of chance.
    ///
    /// # Errors
    /// As [`LanguageModel::read`] and [`generate`].
    pub fn generate(&self, prompt: &[u32], params: &GenerateParams, item: u64) -> Result<Generated> {
        let (state, logits) = self.start(&[prompt])?.pop().expect("a state for the prompt");
        // What the decoder has read: the prompt, or the token that begins an answer.
        let start = self.answer_start();
        let read = start.as_ref().map_or(prompt, std::slice::from_ref);
        let room = self.limits.max_positions.map_or(usize::MAX, |most| most + 1 - read.len());
        let params = GenerateParams { max_new_tokens: params.max_new_tokens.min(room), ..params.clone() };
        let (mut states, mut first) = ([state], Some(logits));
        generate(read, &params, item, |next| match first.take() {
            Some(logits) => Ok(logits),
            None => Ok(self.read(&mut states, &[next])?.pop().expect("logits of the text")),
        })
    }

    /// Goes on from a prompt with a text of a grammar; the budget ends where the model has no more positions.
    ///
    /// * `item`: number of the text, which picks its stream of chance.
    ///
    /// # Errors
    /// As [`LanguageModel::read`] and [`Grammar::generate`](crate::decode::schema::Grammar::generate).
    #[cfg(feature = "schema")]
    pub fn generate_in(
        &self,
        prompt: &[u32],
        grammar: &crate::decode::schema::Grammar,
        params: &GenerateParams,
        item: u64,
    ) -> Result<crate::decode::schema::Written> {
        let start = self.answer_start();
        let state = match start {
            None => self.empty(),
            Some(_) => self.encode(&[prompt])?.pop().expect("a state for the prompt"),
        };
        let read = start.as_ref().map_or(prompt, std::slice::from_ref);
        self.check_text(0, 0, read)?;
        let room = self.limits.max_positions.map_or(usize::MAX, |most| most + 1 - read.len());
        let params = GenerateParams { max_new_tokens: params.max_new_tokens.min(room), ..params.clone() };
        let mut states = [state];
        grammar.generate(read, &params, item, |next| {
            Ok(self.read(&mut states, &[next])?.pop().expect("logits of the text"))
        })
    }

    /// Reads the next tokens of texts, and returns for each the logits of the token after them.
    ///
    /// * `next`: for each state the tokens; at least one.
    ///
    /// # Errors
    /// [`Error::Count`], [`Error::NoPrompt`], [`Error::EmptyText`], [`Error::TooLong`], [`Error::Token`],
    /// [`Error::NotANumber`]. A text may have been read further by then, or not.
    pub fn read(&self, states: &mut [State], next: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
        self.read_for(states, next, &self.vocabulary())
    }

    /// [`read`](Self::read) with the logits of some tokens alone.
    ///
    /// # Errors
    /// As [`LanguageModel::read`].
    pub fn read_for(
        &self,
        states: &mut [State],
        next: &[&[u32]],
        vocabulary: &Vocabulary,
    ) -> Result<Vec<Vec<f32>>> {
        let mut all = vec![Vec::new(); next.len()];
        let _scope = self.compute.enter();
        self.read_each(states, next, |chunks, states| {
            let ended: Vec<&Chunk> =
                chunks.iter().filter(|chunk| chunk.end == next[chunk.text].len()).collect();
            if ended.is_empty() {
                return Ok(());
            }
            let rows: Vec<u32> = ended.iter().map(|chunk| chunk.rows.end as u32 - 1).collect();
            let logits = self.logits(&embedding(states, &rows)?, vocabulary)?;
            for (chunk, logits) in ended.iter().zip(logits.rows()) {
                all[chunk.text] = logits.to_vec();
            }
            Ok(())
        })?;
        for (text, (logits, state)) in all.iter().zip(states).enumerate() {
            check_logits(text, state.len(), logits)?;
        }
        Ok(all)
    }

    /// The logits after every token of texts, `tokens × vocabulary` for each.
    ///
    /// # Errors
    /// As [`LanguageModel::read`].
    pub fn all_logits(&self, states: &mut [State], next: &[&[u32]]) -> Result<Vec<Array2<f32>>> {
        let vocabulary = self.vocabulary();
        let mut all: Vec<Vec<f32>> = vec![Vec::new(); next.len()];
        self.read_each(states, next, |chunks, states| {
            for Chunk { text, rows, .. } in chunks {
                all[*text].extend(self.logits(&states.narrow(0, rows.start, rows.len())?, &vocabulary)?);
            }
            Ok(())
        })?;
        let shaped = all.into_iter().zip(next).map(|(logits, tokens)| {
            let shape = (tokens.len(), vocabulary.n_tokens);
            Array2::from_shape_vec(shape, logits).expect("a row of logits for each token")
        });
        Ok(shaped.collect())
    }

    /// The states of whole texts after the last norm, one text after another: `rows × width`, differentiable. The head has
    /// not seen them: [`LanguageModel::logits_of`].
    ///
    /// * `inspect`: called with the number of each layer and its result.
    ///
    /// # Errors
    /// As [`LanguageModel::read`].
    pub fn hidden(&self, texts: &[&[u32]], inspect: &mut dyn FnMut(usize, &Tensor)) -> Result<Tensor> {
        self.hidden_with(texts, None, inspect)
    }

    /// * `step`: in training, what adapters drop of the texts.
    pub(crate) fn hidden_with(
        &self,
        texts: &[&[u32]],
        step: Option<&TrainingStep>,
        inspect: &mut dyn FnMut(usize, &Tensor),
    ) -> Result<Tensor> {
        for (text, tokens) in texts.iter().enumerate() {
            self.check_text(text, 0, tokens)?;
        }
        let Network::Decoder(decoder) = &self.network else {
            return Err(Error::NoPrompt { text: 0 }.into());
        };
        let packing = Packing::new(texts.iter().map(|tokens| tokens.len()));
        let _scope = self.compute.enter();
        Ok(decoder.forward(&texts.concat(), Rows::Whole(&packing, step), inspect)?)
    }

    /// [`hidden`](Self::hidden) of a model with an encoder: the states of whole answers, which begin with
    /// [`answer_start`](Self::answer_start), to prompts.
    ///
    /// * `inspect`: called with the side and number of each layer and its result; the number of layers means the last norm.
    ///
    /// # Errors
    /// [`Error::NoEncoder`]; as [`LanguageModel::read`].
    pub fn hidden_of_answers(
        &self,
        prompts: &[&[u32]],
        answers: &[&[u32]],
        inspect: &mut dyn FnMut(Side, usize, &Tensor),
    ) -> Result<Tensor> {
        self.hidden_of_answers_with(prompts, answers, None, inspect)
    }

    /// * `step`: in training, what adapters drop of the texts.
    pub(crate) fn hidden_of_answers_with(
        &self,
        prompts: &[&[u32]],
        answers: &[&[u32]],
        step: Option<&TrainingStep>,
        inspect: &mut dyn FnMut(Side, usize, &Tensor),
    ) -> Result<Tensor> {
        if prompts.len() != answers.len() {
            return Err(
                Error::Count { what: "answers", found: answers.len(), expected: prompts.len() }.into()
            );
        }
        for (text, tokens) in prompts.iter().chain(answers).enumerate() {
            self.check_text(text % prompts.len(), 0, tokens)?;
        }
        let _scope = self.compute.enter();
        match &self.network {
            Network::Decoder(_) => Err(Error::NoEncoder { architecture: self.architecture.name() }.into()),
            Network::T5(model) => Ok(model.whole(prompts, answers, step, inspect)?),
        }
    }

    /// The logits of states, `rows × vocabulary`; differentiable.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn logits_of(&self, states: &Tensor) -> Result<Tensor> {
        self.logits_with(states, Drops::default())
    }

    /// * `drops`: of the rows of `states`.
    pub(crate) fn logits_with(&self, states: &Tensor, drops: Drops<'_>) -> Result<Tensor> {
        let _scope = self.compute.enter();
        let (head, scale) = self.head();
        Ok(drops.apply(HEAD, head, &scaled(states, scale)?)?)
    }

    /// The layer that makes logits of states, and what these are multiplied by before.
    fn head(&self) -> (&Linear, Option<f64>) {
        match &self.network {
            Network::Decoder(decoder) => (&decoder.head, None),
            Network::T5(model) => (&model.head, model.scale),
        }
    }

    /// The states of tokens that may follow each of some texts on several ways, which the texts do not remember:
    /// `texts · tokens × width`.
    ///
    /// * `parents`: for each token the one before it in the list that it follows, or `None` for the end of the text.
    pub(super) fn read_trees(
        &self,
        states: &mut [State],
        tokens: &[u32],
        parents: &[Option<usize>],
    ) -> Result<Tensor> {
        self.check_tokens(0, tokens)?;
        let ids = tokens.repeat(states.len());
        let (mut items, mut crosses) = (Vec::with_capacity(states.len()), Vec::new());
        for (text, State { cache, cross }) in states.iter_mut().enumerate() {
            let rows = CacheRows::tree(cache, parents)?;
            if let Some(last) = rows.positions().into_iter().max() {
                self.check_length(text, last + 1)?;
            }
            items.push(rows);
            crosses.extend(cross.clone());
        }
        self.step(&ids, &mut items, &crosses)
    }

    /// Logits of states, `rows × vocabulary`.
    pub(super) fn logits(&self, states: &Tensor, vocabulary: &Vocabulary) -> Result<Array2<f32>> {
        let _scope = self.compute.enter();
        let n_rows = states.dim(0)?;
        let mut values = Vec::with_capacity(n_rows * vocabulary.n_tokens);
        for first in (0..n_rows).step_by(LOGIT_ROWS) {
            let rows = states.narrow(0, first, LOGIT_ROWS.min(n_rows - first))?;
            let rows = scaled(&rows, vocabulary.scale)?;
            let logits = vocabulary.head.forward(&rows, Activation::Identity)?;
            values.extend(logits.flatten_all()?.to_vec1::<f32>()?);
        }
        Ok(Array2::from_shape_vec((n_rows, vocabulary.n_tokens), values).expect("a row for each state"))
    }

    /// Reads texts on, a limited number of tokens at a time. `each` gets parts of texts and their states.
    fn read_each(
        &self,
        states: &mut [State],
        next: &[&[u32]],
        mut each: impl FnMut(&[Chunk], &Tensor) -> Result<()>,
    ) -> Result<()> {
        if states.len() != next.len() {
            return Err(
                Error::Count { what: "texts go on", found: next.len(), expected: states.len() }.into()
            );
        }
        for (text, (state, tokens)) in states.iter().zip(next).enumerate() {
            self.check_text(text, state.len(), tokens)?;
            self.check_prompt(text, state)?;
        }
        let mut done = vec![0; next.len()];
        loop {
            let (mut chunks, mut ids) = (Vec::new(), Vec::new());
            for (text, tokens) in next.iter().enumerate() {
                let start = done[text];
                let end = tokens.len().min(start + MOST_ROWS - ids.len());
                if end > start {
                    chunks.push(Chunk { text, rows: ids.len()..ids.len() + end - start, end });
                    ids.extend_from_slice(&tokens[start..end]);
                    done[text] = end;
                }
            }
            if chunks.is_empty() {
                return Ok(());
            }
            let hidden = self.read_next(states, &chunks, &ids)?;
            each(&chunks, &hidden)?;
        }
    }

    /// The states of the next tokens of some texts, which remember them.
    fn read_next(&self, states: &mut [State], chunks: &[Chunk], ids: &[u32]) -> Result<Tensor> {
        let mut wanted = chunks.iter().peekable();
        let (mut items, mut crosses) = (Vec::with_capacity(chunks.len()), Vec::new());
        for (text, state) in states.iter_mut().enumerate() {
            if let Some(chunk) = wanted.next_if(|chunk| chunk.text == text) {
                items.push(CacheRows::next(&mut state.cache, chunk.rows.len()));
                crosses.extend(state.cross.clone());
            }
        }
        let hidden = self.step(ids, &mut items, &crosses)?;
        items.into_iter().for_each(CacheRows::finish);
        Ok(hidden)
    }

    fn step(&self, ids: &[u32], items: &mut [CacheRows<'_>], crosses: &[Arc<Cross>]) -> Result<Tensor> {
        let _scope = self.compute.enter();
        Ok(match &self.network {
            Network::Decoder(decoder) => decoder.forward(ids, Rows::Latest(items), &mut |_, _| {})?,
            Network::T5(model) => model.step(ids, items, crosses)?,
        })
    }
}

/// States as the head takes them.
fn scaled(states: &Tensor, scale: Option<f64>) -> candle_core::Result<Tensor> {
    match scale {
        Some(scale) => states * scale,
        None => Ok(states.clone()),
    }
}
