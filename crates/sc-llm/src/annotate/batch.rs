//! Some items at a time, in each way of decoding.

use super::{Annotator, Decoding, Item, Shared, Way};
use crate::Result;
use crate::answer::{Answer, Form, Reason};
use crate::decode::generate::{Generated, Writing};
use crate::decode::template::{Filled, Filling, Template, Value};
use crate::decode::trie::{Cursor, Posterior, Trie};
use crate::models::{State, Vocabulary};
use crate::tokenizer::LabelTokens;

/// What was said of an item.
pub(super) struct Said {
    pub(super) answer: Answer,
    pub(super) text: String,
    pub(super) posterior: Option<Posterior>,
    pub(super) ended: bool,
    pub(super) filled: Option<Filled>,
    pub(super) n_generated: usize,
}

/// An item on its way through the trie.
struct Walker<'t> {
    place: usize,
    cursor: Cursor<'t>,
    /// Tokens that the model has not read yet.
    unread: Vec<u32>,
    n_tokens: usize,
}

impl Walker<'_> {
    fn go(&mut self, token: u32) {
        self.cursor = self.cursor.child(&token).expect("the token is one of those that may follow");
        self.unread.push(token);
        self.n_tokens += 1;
    }

    /// Goes on as long as there is no choice.
    fn follow(&mut self) {
        while let Some(token) = self.cursor.forced() {
            self.go(token);
        }
    }
}

impl Annotator<'_> {
    pub(super) fn batch(&self, shared: &Shared, items: &[Item], prompts: &[&[u32]]) -> Result<Vec<Said>> {
        let labels = match self.way {
            Way::Labels(labels) => labels,
            Way::Template(template) => return self.fill(template, shared, items, prompts),
        };
        match self.params.decoding {
            Decoding::Free | Decoding::Strict => self.write(shared, items, prompts),
            Decoding::Constrained => self.walk(labels, shared, prompts),
            Decoding::Posterior => {
                let n_generated = labels.trie().n_inner_nodes() - 1;
                let say = |posterior: Posterior| {
                    let label = posterior.best();
                    Said { n_generated, posterior: Some(posterior), ..self.said(label, 0) }
                };
                let scores = self.scores(labels, shared, prompts)?;
                scores.into_iter().map(|scores| Ok(say(self.corrected(scores)?))).collect()
            }
        }
    }

    /// What the model thinks of every label behind each prompt.
    pub(super) fn scores(
        &self,
        labels: &LabelTokens,
        shared: &Shared,
        prompts: &[&[u32]],
    ) -> Result<Vec<Posterior>> {
        let (states, logits) = self.begin(shared, prompts, &[], &self.model.vocabulary())?;
        let (states, logits) = (states.iter().collect::<Vec<_>>(), slices(&logits));
        let scores = self.label_scores(&states, &logits, labels.trie())?;
        Ok(scores.iter().map(|scores| labels.merge(scores)).collect())
    }

    fn label_scores(&self, states: &[&State], logits: &[&[f32]], trie: &Trie) -> Result<Vec<Posterior>> {
        let (n_tokens, scoring) = (self.tokenizer.n_tokens(), self.params.scoring);
        self.model.label_scores_of(states, logits, trie, n_tokens, scoring)
    }

    /// Greedily through the trie.
    fn walk(&self, labels: &LabelTokens, shared: &Shared, prompts: &[&[u32]]) -> Result<Vec<Said>> {
        let mut said: Vec<Option<Said>> = prompts.iter().map(|_| None).collect();
        let root = labels.trie().cursor();
        let start = |place| {
            let mut walker = Walker { place, cursor: root, unread: Vec::new(), n_tokens: 0 };
            walker.follow();
            walker
        };
        let mut walkers: Vec<Walker<'_>> = (0..prompts.len()).map(start).collect();
        if self.asked.is_empty() {
            // A single label needs no model.
            return Ok(walkers.iter().map(|walker| self.said(0, walker.n_tokens)).collect());
        }
        let vocabulary = self.model.vocabulary_of(&self.asked)?;
        let (mut states, mut logits) = match walkers.first().filter(|walker| walker.cursor.label().is_none())
        {
            Some(first) => self.begin(shared, prompts, &first.unread, &vocabulary)?,
            None => (vec![shared.state.clone(); prompts.len()], Vec::new()),
        };
        loop {
            let mut open = Vec::new();
            let mut still = Vec::new();
            for (at, (mut walker, state)) in walkers.into_iter().zip(states).enumerate() {
                if walker.cursor.label().is_none() {
                    let token = self.best(&walker.cursor, &logits[at]);
                    walker.unread.clear();
                    walker.go(token);
                    walker.follow();
                }
                match walker.cursor.label() {
                    Some(form) => {
                        let label = labels.label_of(form).expect("every form has a label");
                        said[walker.place] = Some(self.said(label, walker.n_tokens));
                    }
                    None => {
                        open.push(walker);
                        still.push(state);
                    }
                }
            }
            if open.is_empty() {
                break;
            }
            let next: Vec<&[u32]> = open.iter().map(|walker| walker.unread.as_slice()).collect();
            logits = self.model.read_for(&mut still, &next, &vocabulary)?;
            (walkers, states) = (open, still);
        }
        Ok(said.into_iter().map(|said| said.expect("every way through a trie ends in a label")).collect())
    }

    /// The allowed token with the highest logit; of equals the lowest.
    fn best(&self, cursor: &Cursor<'_>, logits: &[f32]) -> u32 {
        let logit = |token: &u32| {
            let place = self.asked.binary_search(token).expect("tokens to choose from are all asked for");
            logits[place]
        };
        let better = |best: u32, &token: &u32| if logit(&token) > logit(&best) { token } else { best };
        let allowed = cursor.allowed();
        allowed.iter().fold(allowed[0], better)
    }

    /// Free text.
    fn write(&self, shared: &Shared, items: &[Item], prompts: &[&[u32]]) -> Result<Vec<Said>> {
        let params = &self.params.generate;
        let vocabulary = self.model.vocabulary();
        let start = self.model.answer_start();
        let begin = |(item, prompt): (&Item, &&[u32])| {
            // What the decoder has read: the prompt, or the token that begins an answer.
            let read = start.as_ref().map_or(*prompt, std::slice::from_ref);
            let room = self.model.max_positions().map_or(usize::MAX, |most| most + 1 - read.len());
            Writing::new(read, params, stream_of(&item.id), room)
        };
        let mut texts = items.iter().zip(prompts).map(begin).collect::<Result<Vec<_>>>()?;
        let mut open: Vec<usize> = (0..texts.len()).filter(|&place| !texts[place].is_over()).collect();
        if !open.is_empty() {
            let (mut states, mut logits) = self.begin(shared, prompts, &[], &vocabulary)?;
            loop {
                let (mut next, mut still, mut left) = (Vec::new(), Vec::new(), Vec::new());
                for ((place, state), logits) in open.into_iter().zip(states).zip(logits) {
                    let token = texts[place].step(logits)?;
                    if !texts[place].is_over() {
                        next.push([token]);
                        still.push(state);
                        left.push(place);
                    }
                }
                if left.is_empty() {
                    break;
                }
                let slices: Vec<&[u32]> = next.iter().map(<[u32; 1]>::as_slice).collect();
                logits = self.model.read_for(&mut still, &slices, &vocabulary)?;
                (states, open) = (still, left);
            }
        }
        texts.into_iter().map(|text| self.parse(text.finish())).collect()
    }

    /// The holes of a template.
    pub(super) fn fill(
        &self,
        template: &Template,
        shared: &Shared,
        items: &[Item],
        prompts: &[&[u32]],
    ) -> Result<Vec<Said>> {
        let is_scored = self.params.decoding == Decoding::Posterior;
        let begin =
            |item: &Item| Filling::new(template, &self.params.generate, stream_of(&item.id), is_scored);
        let mut fillings = items.iter().map(begin).collect::<Result<Vec<_>>>()?;
        let mut posteriors: Vec<Option<Posterior>> = vec![None; items.len()];
        let mut open: Vec<usize> = (0..items.len()).filter(|&place| !fillings[place].is_over()).collect();
        if let Some(&first) = open.first() {
            let vocabulary = self.model.vocabulary();
            // They all begin alike.
            let (mut states, mut logits) =
                self.begin(shared, prompts, fillings[first].unread(), &vocabulary)?;
            loop {
                let mut leaves = self.leaves(&fillings, &open, &states, &logits)?.into_iter();
                let (mut still, mut left) = (Vec::new(), Vec::new());
                for ((place, state), logits) in open.into_iter().zip(states).zip(logits) {
                    let filling = &mut fillings[place];
                    match filling.scores_wanted() {
                        None => filling.step(logits)?,
                        Some(_) => {
                            let leaves = leaves.next().expect("scores of each that wants some");
                            let posterior = self.corrected(filling.merged(&leaves))?;
                            filling.choose_label(posterior.best(), &leaves);
                            posteriors[place] = Some(posterior);
                        }
                    }
                    if !filling.is_over() {
                        still.push(state);
                        left.push(place);
                    }
                }
                if left.is_empty() {
                    break;
                }
                let next: Vec<&[u32]> = left.iter().map(|&place| fillings[place].unread()).collect();
                logits = self.model.read_for(&mut still, &next, &vocabulary)?;
                (states, open) = (still, left);
            }
        }
        let say = |(filling, posterior): (Filling<'_>, Option<Posterior>)| {
            let filled = filling.finish();
            let label = filled.values.iter().find_map(|value| match value {
                Value::Label(label) => Some(*label),
                _ => None,
            });
            let index = label.expect("the template has a hole of labels");
            Said {
                answer: Answer::Label { index, form: Form::Exact },
                text: filled.text.clone(),
                posterior,
                ended: true,
                n_generated: filled.n_tokens,
                filled: Some(filled),
            }
        };
        Ok(fillings.into_iter().zip(posteriors).map(say).collect())
    }

    /// What the model thinks of every form of every label, for those that are at their hole of labels.
    fn leaves(
        &self,
        fillings: &[Filling<'_>],
        open: &[usize],
        states: &[State],
        logits: &[Vec<f32>],
    ) -> Result<Vec<Posterior>> {
        let wants = |at: &usize| fillings[open[*at]].scores_wanted().is_some();
        let wanting: Vec<usize> = (0..open.len()).filter(wants).collect();
        let Some(trie) = wanting.first().and_then(|&at| fillings[open[at]].scores_wanted()) else {
            return Ok(Vec::new());
        };
        let states: Vec<&State> = wanting.iter().map(|&at| &states[at]).collect();
        let logits: Vec<&[f32]> = wanting.iter().map(|&at| logits[at].as_slice()).collect();
        self.label_scores(&states, &logits, trie)
    }

    /// Free text as an answer.
    pub(super) fn parse(&self, generated: Generated) -> Result<Said> {
        let is_known = |token: &u32| self.tokenizer.token(*token).is_some();
        let known: Vec<u32> = generated.tokens.iter().copied().filter(is_known).collect();
        let mut text = self.tokenizer.decode(&known, true)?;
        if let Some(end) = self.end.as_ref().and_then(|end| text.find(end)) {
            text.truncate(end);
        }
        // The space belongs to the template.
        let answer = self.forms.parse(text.strip_prefix(' ').unwrap_or(&text));
        let answer = match answer {
            Answer::Label { index, form } => {
                let is_strict = generated.is_complete && form != Form::Folded;
                match self.params.decoding == Decoding::Free || is_strict {
                    true => Answer::Label { index: self.label_of[index], form },
                    false => Answer::Unparseable(Reason::NotALabel),
                }
            }
            unparseable => unparseable,
        };
        let (ended, n_generated) = (generated.is_complete, generated.tokens.len());
        Ok(Said { answer, text, posterior: None, ended, filled: None, n_generated })
    }

    /// A label that could only be chosen.
    fn said(&self, label: usize, n_generated: usize) -> Said {
        let answer = Answer::Label { index: label, form: Form::Exact };
        let text = self.names[label].clone();
        Said { answer, text, posterior: None, ended: true, filled: None, n_generated }
    }

    /// Reads prompts behind their shared beginning, and `forced` behind them.
    fn begin(
        &self,
        shared: &Shared,
        prompts: &[&[u32]],
        forced: &[u32],
        vocabulary: &Vocabulary,
    ) -> Result<(Vec<State>, Vec<Vec<f32>>)> {
        let (mut states, next): (Vec<State>, Vec<Vec<u32>>) = match self.model.answer_start() {
            Some(token) => {
                let next = [&[token], forced].concat();
                (self.model.encode(prompts)?, vec![next; prompts.len()])
            }
            None => {
                let rest = |prompt: &&[u32]| [&prompt[shared.n_tokens..], forced].concat();
                (vec![shared.state.clone(); prompts.len()], prompts.iter().map(rest).collect())
            }
        };
        let logits = self.model.read_for(&mut states, &slices(&next), vocabulary)?;
        Ok((states, logits))
    }
}

fn slices<T>(all: &[Vec<T>]) -> Vec<&[T]> {
    all.iter().map(Vec::as_slice).collect()
}

/// The stream of chance of an item: FNV-1a of its name, so that it does not matter which others are named.
fn stream_of(id: &str) -> u64 {
    id.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
