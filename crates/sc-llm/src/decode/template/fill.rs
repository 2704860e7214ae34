//! A template on its way from a prompt to a text.

use super::spell::{Choice, Leaf};
use super::text::{At, Effect, Free, Kind};
use super::{Slot, Template};
use crate::decode::generate::{Chooser, GenerateParams, penalise};
use crate::decode::trie::{Cursor, Posterior, Trie};
use crate::{Error, Result};

/// A template with its holes filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    /// The whole text, as the template has it: characters that the model could not be shown are there.
    pub text: String,
    /// What is in each hole.
    pub values: Vec<Value>,
    /// Tokens of the text as the model read or chose them.
    pub n_tokens: usize,
    /// Those of them that were chosen among several.
    pub n_chosen: usize,
}

/// What is in a hole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A label, by its place.
    Label(usize),
    /// Another text, by its place; of numbers the smallest is the first.
    Text(usize),
    /// Free text.
    Free {
        /// The text, without escapes.
        text: String,
        /// Whether the model ended it, not the budget.
        is_complete: bool,
    },
}

/// A template that is being filled; what is asked for logits, and of how many texts at a time, is the caller's business.
#[derive(Clone, Debug)]
pub(crate) struct Filling<'t> {
    template: &'t Template,
    chooser: Chooser,
    penalty: f32,
    /// Whether the label comes from [`choose_label`](Self::choose_label) and not from logits.
    is_scored: bool,
    place: Place<'t>,
    unread: Vec<u32>,
    filled: Filled,
}

#[derive(Clone, Debug)]
enum Place<'t> {
    Choice(&'t Choice, Cursor<'t>),
    Free(&'t Free, Writing),
    Over,
}

/// Free text so far.
#[derive(Clone, Debug)]
struct Writing {
    bytes: Vec<u8>,
    /// Those of them after which nothing stands open.
    n_whole: usize,
    tokens: Vec<u32>,
    at: At,
}

impl Template {
    /// Fills the template.
    ///
    /// * `params`: how tokens are chosen; of these `sampling` counts, and for free text `repetition_penalty`, which falls on
    ///   the text in the hole alone. Greedy where the default is.
    /// * `item`: number of the text, which picks its stream of chance.
    /// * `logits`: given the tokens that the model has not seen yet, the logits of the next one. The prompt up to
    ///   [`start_of`](Self::start_of) has been read before; the first question may be for what follows that, with no token.
    ///
    /// # Errors
    /// [`Error::Sampling`]; [`Error::NoToken`] where a logit is NaN; what `logits` returns.
    pub fn fill<E: From<Error>>(
        &self,
        params: &GenerateParams,
        item: u64,
        mut logits: impl FnMut(&[u32]) -> Result<Vec<f32>, E>,
    ) -> Result<Filled, E> {
        let mut filling = Filling::new(self, params, item, false)?;
        while !filling.is_over() {
            let logits = logits(filling.unread())?;
            filling.step(logits)?;
        }
        Ok(filling.finish())
    }
}

impl<'t> Filling<'t> {
    /// Behind a prompt.
    ///
    /// * `is_scored`: the label will come from [`choose_label`](Self::choose_label).
    pub(crate) fn new(
        template: &'t Template,
        params: &GenerateParams,
        item: u64,
        is_scored: bool,
    ) -> Result<Self> {
        params.validate()?;
        let filled = Filled {
            text: template.texts[0].clone(),
            values: Vec::with_capacity(template.slots.len()),
            n_tokens: template.start.len(),
            n_chosen: 0,
        };
        let mut filling = Self {
            template,
            chooser: Chooser::new(params.sampling, item),
            penalty: params.repetition_penalty,
            is_scored,
            place: Place::Over,
            unread: template.start.clone(),
            filled,
        };
        filling.enter();
        Ok(filling)
    }

    /// Whether all holes are filled.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.place, Place::Over)
    }

    /// The tokens that the model reads before the next step.
    pub(crate) fn unread(&self) -> &[u32] {
        &self.unread
    }

    /// The trie of the labels' texts, where these are to be scored.
    pub(crate) fn scores_wanted(&self) -> Option<&'t Trie> {
        match self.place {
            Place::Choice(choice, _) if self.is_scored_here() => Some(&choice.trie),
            _ => None,
        }
    }

    /// What the model thinks of the labels, given what it thinks of the leaves of that trie.
    pub(crate) fn merged(&self, leaves: &Posterior) -> Posterior {
        let (Place::Choice(choice, _), Some(labels)) = (&self.place, &self.template.labels) else {
            return leaves.clone();
        };
        let label_of: Vec<usize> = choice.leaves.iter().map(|leaf| labels.label_of[leaf.text]).collect();
        leaves.merge(&label_of, labels.names.len())
    }

    /// Fills the hole with the most probable text of a label.
    pub(crate) fn choose_label(&mut self, label: usize, leaves: &Posterior) {
        let (Place::Choice(choice, _), Some(labels)) = (&self.place, &self.template.labels) else { return };
        let choice = *choice;
        let of_label =
            (0..choice.leaves.len()).filter(|&leaf| labels.label_of[choice.leaves[leaf].text] == label);
        let better = |best: usize, leaf: usize| match leaves.log_prob[leaf] > leaves.log_prob[best] {
            true => leaf,
            false => best,
        };
        let Some(leaf) = of_label.reduce(better) else { return };
        self.unread.clear();
        self.push_all(&choice.leaves[leaf].tokens);
        self.filled.n_chosen += 1;
        self.close(choice, leaf);
    }

    /// Takes the token that these logits mean, and all that must follow it.
    pub(crate) fn step(&mut self, mut logits: Vec<f32>) -> Result<()> {
        let step = self.filled.n_chosen;
        logits.truncate(self.template.n_tokens);
        if logits.iter().any(|logit| logit.is_nan()) {
            return Err(Error::NoToken { step, problem: "a logit is NaN" });
        }
        self.unread.clear();
        self.filled.n_chosen += 1;
        match std::mem::replace(&mut self.place, Place::Over) {
            Place::Choice(choice, cursor) => {
                let logit = |&token: &u32| logits.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY);
                let allowed: Vec<f32> = cursor.allowed().iter().map(logit).collect();
                // Where nothing is possible, something has to be said all the same.
                let place = self.chooser.choose(&allowed).unwrap_or(0);
                let token = cursor.allowed()[place as usize];
                let cursor = cursor.child(&token).expect("the token is one of those that may follow");
                self.push(token);
                self.follow(choice, cursor);
            }
            Place::Free(free, writing) => self.write(free, writing, logits),
            Place::Over => {}
        }
        Ok(())
    }

    /// The template as it is filled.
    pub(crate) fn finish(self) -> Filled {
        self.filled
    }

    fn is_scored_here(&self) -> bool {
        let labels = self.template.labels.as_ref();
        self.is_scored && labels.is_some_and(|labels| labels.slot == self.filled.values.len())
    }

    fn push(&mut self, token: u32) {
        self.unread.push(token);
        self.filled.n_tokens += 1;
    }

    fn push_all(&mut self, tokens: &[u32]) {
        self.unread.extend_from_slice(tokens);
        self.filled.n_tokens += tokens.len();
    }

    /// Goes into the next hole, at whose beginning the tokens stand.
    fn enter(&mut self) {
        match self.template.slots.get(self.filled.values.len()) {
            None => self.place = Place::Over,
            Some(Slot::Choice(choice)) => match self.is_scored_here() {
                true => self.place = Place::Choice(choice, choice.trie.cursor()),
                false => self.follow(choice, choice.trie.cursor()),
            },
            Some(Slot::Free(free)) => {
                let writing = Writing { bytes: Vec::new(), n_whole: 0, tokens: Vec::new(), at: At::Plain };
                match free.max_tokens {
                    0 => self.close_free(free, &writing, None, false),
                    _ => self.place = Place::Free(free, writing),
                }
            }
        }
    }

    /// Goes on in a trie as long as there is no choice.
    fn follow(&mut self, choice: &'t Choice, mut cursor: Cursor<'t>) {
        while let Some(token) = cursor.forced() {
            self.push(token);
            cursor = cursor.child(&token).expect("the token is the one that may follow");
        }
        match cursor.label() {
            Some(leaf) => self.close(choice, leaf),
            None => self.place = Place::Choice(choice, cursor),
        }
    }

    /// Leaves a hole behind the tokens of one of its texts.
    fn close(&mut self, choice: &'t Choice, leaf: usize) {
        let hole = self.filled.values.len();
        let Leaf { text, behind, .. } = &choice.leaves[leaf];
        self.push_all(behind);
        self.filled.text += &choice.texts[*text];
        self.filled.text += &self.template.texts[hole + 1];
        self.filled.values.push(match &self.template.labels {
            Some(labels) if labels.slot == hole => Value::Label(labels.label_of[*text]),
            _ => Value::Text(*text),
        });
        self.enter();
    }

    /// One token of free text.
    fn write(&mut self, free: &'t Free, mut writing: Writing, mut logits: Vec<f32>) {
        let Template { bytes, eos, .. } = self.template;
        let left = free.max_tokens - writing.tokens.len();
        penalise(&mut logits, &writing.tokens, self.penalty);
        // Where the model may end its text, the hole is complete.
        let ends = |token: u32| writing.at == At::Plain && eos.contains(&token);
        let effect = |token: u32| match (&bytes[token as usize], &free.kind) {
            (None, _) => Effect::None,
            (Some(bytes), Kind::Json) => free.effect(token, bytes, writing.at, left),
            (Some(_), Kind::Thoughts { .. }) => Effect::Goes(At::Plain),
        };
        for (token, logit) in (0..).zip(&mut logits) {
            if !ends(token) && effect(token) == Effect::None {
                *logit = f32::NEG_INFINITY;
            }
        }
        let Some(token) = self.chooser.choose(&logits) else {
            writing.bytes.truncate(writing.n_whole);
            return self.close_free(free, &writing, None, false);
        };
        if ends(token) {
            return self.close_free(free, &writing, None, true);
        }
        let before = writing.bytes.len();
        let effect = effect(token);
        writing.bytes.extend_from_slice(bytes[token as usize].as_deref().unwrap_or_default());
        if let Effect::Closes(n) = effect {
            writing.bytes.truncate(writing.bytes.len() - n);
            self.push(token);
            return self.close_free(free, &writing, Some(n), true);
        }
        if let Some(place) = free.first_stop(&writing.bytes, before) {
            // The token that ends the thoughts is not read: the template says in its place what comes now.
            let begun = free.lead.begun(&writing.bytes[..before]);
            writing.bytes.truncate(place);
            return self.close_free(free, &writing, Some(begun), true);
        }
        if let Effect::Goes(at) = effect {
            writing.at = at;
        }
        if writing.at == At::Plain {
            writing.n_whole = writing.bytes.len();
        }
        writing.tokens.push(token);
        self.push(token);
        match writing.tokens.len() == free.max_tokens {
            true => self.close_free(free, &writing, None, false),
            false => self.place = Place::Free(free, writing),
        }
    }

    /// Leaves a hole of free text.
    ///
    /// * `begun`: bytes of the text behind it that the model has said or read already; `None` if that is to be found out.
    fn close_free(&mut self, free: &'t Free, writing: &Writing, begun: Option<usize>, is_complete: bool) {
        let hole = self.filled.values.len();
        let mut said = writing.bytes.as_slice();
        let begun = begun.unwrap_or_else(|| match &free.kind {
            Kind::Json => 0,
            Kind::Thoughts { .. } => {
                let begun = free.lead.begun(said);
                said = &said[..said.len() - begun];
                begun
            }
        });
        self.push_all(free.lead.rest(begun));
        let said = String::from_utf8_lossy(said);
        self.filled.text += &said;
        self.filled.text += &self.template.texts[hole + 1];
        let text = match &free.kind {
            Kind::Json => serde_json::from_str(&format!("\"{said}\"")).expect("no token breaks the string"),
            Kind::Thoughts { .. } => said.into_owned(),
        };
        self.filled.values.push(Value::Free { text, is_complete });
        self.enter();
    }
}
