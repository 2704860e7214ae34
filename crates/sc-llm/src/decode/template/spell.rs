//! A template in tokens.
//!
//! A tokeniser may join the end of one piece and the beginning of the next in one token. So a text is encoded between its
//! neighbours, and pieces meet at places where a token ends whatever stands on either side.

use std::collections::BTreeMap;

use super::text::{Free, Kind, Lead};
use super::{Error, Labels, Plan, Slot, Template};
use crate::decode::trie::Trie;
use crate::tokenizer::{Encoded, Tokenizer};

/// A hole for one of some texts.
#[derive(Debug)]
pub(super) struct Choice {
    /// The tokens of each text, up to the first that reaches into the text behind the hole.
    pub(super) trie: Trie,
    /// In the order of the trie's labels.
    pub(super) leaves: Vec<Leaf>,
    pub(super) texts: Vec<String>,
}

/// One of the texts.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) text: usize,
    /// Its tokens, as in the trie.
    pub(super) tokens: Vec<u32>,
    /// The tokens between those and the next hole.
    pub(super) behind: Vec<u32>,
}

impl Choice {
    pub(super) fn max_tokens(&self) -> usize {
        let behind = self.leaves.iter().map(|leaf| leaf.behind.len()).max();
        self.trie.max_len() + behind.unwrap_or(0)
    }
}

/// A text between two others.
struct Between {
    encoded: Encoded,
    /// Where it ends, in bytes.
    end: usize,
    /// The token that ends it: the first beyond it, or the end of text.
    close: usize,
}

pub(super) fn template(
    tokenizer: &Tokenizer,
    prefix: &str,
    texts: Vec<String>,
    plans: Vec<Plan>,
    labels: Option<Labels>,
) -> Result<Template, Error> {
    // What the model reads: the prefix is part of the text before the first hole.
    let mut shown = texts.iter().map(|text| writable(tokenizer, text)).collect::<Result<Vec<_>, _>>()?;
    shown[0].insert_str(0, prefix);
    let leads =
        shown.iter().map(|text| tokenizer.encode_with_offsets(text, false)).collect::<Result<Vec<_>, _>>()?;

    let mut between: Vec<Vec<Between>> = Vec::with_capacity(plans.len());
    for (hole, plan) in plans.iter().enumerate() {
        let around = (shown[hole].as_str(), shown[hole + 1].as_str());
        let is_last = hole + 1 == plans.len();
        between.push(match plan {
            Plan::Choice(texts) => placed(tokenizer, hole, around, texts, is_last)?,
            _ => Vec::new(),
        });
    }

    // How many tokens of the text before each hole stay, whatever is in the hole and before the text.
    let mut kept: Vec<usize> = Vec::with_capacity(plans.len());
    for (hole, lead) in leads.iter().enumerate().take(plans.len()) {
        let common =
            |text: &Between| lead.ids.iter().zip(&text.encoded.ids).take_while(|(a, b)| a == b).count();
        let mut n = between[hole].iter().map(common).min().unwrap_or(lead.ids.len());
        if hole > 0 {
            let meets = |n: usize| {
                is_boundary(lead, n)
                    && between[hole - 1].iter().all(|text| joint(text, lead.offsets[n - 1].end).is_some())
            };
            while n > 0 && !meets(n) {
                n -= 1;
            }
            if n == 0 {
                return Err(Error::NoJoint { hole });
            }
        }
        kept.push(n);
    }

    let prefix_ids = tokenizer.encode(prefix, false)?;
    let same = |n: usize| prefix_ids.iter().zip(&leads[0].ids[..n]).take_while(|(a, b)| a == b).count();
    let from_prompt = same(kept[0]);
    let start = leads[0].ids[from_prompt..kept[0]].to_vec();

    let has_free = plans.iter().any(|plan| !matches!(plan, Plan::Choice(_)));
    let n_tokens = tokenizer.n_tokens();
    let of_text = |id: u32| match tokenizer.is_special(id) {
        true => None,
        false => tokenizer.token_bytes(id).filter(|bytes| !bytes.is_empty()),
    };
    let bytes: Vec<Option<Vec<u8>>> =
        if has_free { (0..n_tokens as u32).map(of_text).collect() } else { Vec::new() };

    let mut slots = Vec::with_capacity(plans.len());
    for (hole, (plan, texts)) in plans.into_iter().zip(between).enumerate() {
        let next = kept.get(hole + 1).copied();
        slots.push(match plan {
            Plan::Choice(names) => {
                // Where the next hole starts, in bytes of the text before it.
                let meets = next.map(|n| leads[hole + 1].offsets[n - 1].end);
                let labels = labels.as_ref().filter(|labels| labels.slot == hole);
                let label_of = labels.map(|labels| labels.label_of.as_slice());
                Slot::Choice(choice(hole, names, label_of, &texts, kept[hole], meets)?)
            }
            Plan::Text { max_tokens } => {
                let lead = Lead::new(tokenizer, &shown[hole + 1], &leads[hole + 1], next)?;
                Slot::Free(Free::new(Kind::Json, max_tokens, lead, &bytes))
            }
            Plan::Thoughts { stop, max_tokens } => {
                let lead = Lead::new(tokenizer, &shown[hole + 1], &leads[hole + 1], next)?;
                Slot::Free(Free::new(Kind::Thoughts { stop }, max_tokens, lead, &bytes))
            }
        });
    }
    let eos = tokenizer.special().eos.clone();
    Ok(Template { prefix: prefix_ids, kept: from_prompt, start, texts, slots, labels, n_tokens, eos, bytes })
}

/// The text without the characters that the tokeniser does not know.
fn writable(tokenizer: &Tokenizer, text: &str) -> Result<String, Error> {
    let Some(unk) = tokenizer.special().unk else { return Ok(text.to_owned()) };
    let mut shown = String::new();
    for c in text.chars() {
        if !tokenizer.encode(c.encode_utf8(&mut [0; 4]), false)?.contains(&unk) {
            shown.push(c);
        }
    }
    Ok(shown)
}

/// Every text of a hole with the template before and behind it.
fn placed(
    tokenizer: &Tokenizer,
    hole: usize,
    (before, behind): (&str, &str),
    texts: &[String],
    is_last: bool,
) -> Result<Vec<Between>, Error> {
    if texts.is_empty() {
        return Err(Error::NoTexts { hole });
    }
    let unk = tokenizer.special().unk;
    let place = |(number, text): (usize, &String)| {
        if text.trim().is_empty() {
            return Err(Error::EmptyText { hole, text: number });
        }
        let whole = [before, text, behind].concat();
        let mut encoded = tokenizer.encode_with_offsets(&whole, false)?;
        let end = before.len() + text.len();
        if is_last && behind.is_empty() {
            encoded.ids.push(*tokenizer.special().eos.first().ok_or(crate::tokenizer::Error::NoEos)?);
            encoded.offsets.push(end..end + 1);
        }
        let close = encoded.offsets.iter().position(|offsets| offsets.end > end);
        let close = close.ok_or_else(|| Error::NoEnd { hole, text: text.clone() })?;
        for (id, offsets) in encoded.ids.iter().zip(&encoded.offsets) {
            let is_own = offsets.end > before.len() && offsets.start < end;
            if is_own && Some(*id) == unk {
                return Err(Error::Unknown { hole, text: text.clone() });
            }
            if is_own && tokenizer.is_special(*id) {
                let token = tokenizer.token(*id).unwrap_or_default().to_owned();
                return Err(Error::Special { hole, text: text.clone(), token });
            }
        }
        Ok(Between { encoded, end, close })
    };
    texts.iter().enumerate().map(place).collect()
}

/// Whether a character ends with the first `n` tokens.
fn is_boundary(encoded: &Encoded, n: usize) -> bool {
    let end = n.checked_sub(1).map_or(0, |last| encoded.offsets[last].end);
    encoded.offsets.get(n).is_none_or(|next| next.start >= end)
}

/// The number of tokens up to `at` bytes behind the text in the hole, if a token ends there, and not before its last one.
fn joint(text: &Between, at: usize) -> Option<usize> {
    let offsets = &text.encoded.offsets;
    let n = offsets.iter().rposition(|offsets| offsets.end == text.end + at)? + 1;
    (n > text.close && is_boundary(&text.encoded, n)).then_some(n)
}

/// * `label_of`: what the texts mean; two of one meaning may have the same tokens.
fn choice(
    hole: usize,
    texts: Vec<String>,
    label_of: Option<&[usize]>,
    placed: &[Between],
    kept: usize,
    meets: Option<usize>,
) -> Result<Choice, Error> {
    let mut leaves: Vec<Leaf> = Vec::with_capacity(texts.len());
    let mut first_of: BTreeMap<&[u32], usize> = BTreeMap::new();
    for (text, between) in placed.iter().enumerate() {
        let Between { encoded, close, .. } = between;
        let tokens = encoded.ids.get(kept..=*close).unwrap_or_default();
        if tokens.is_empty() {
            return Err(Error::NoEnd { hole, text: texts[text].clone() });
        }
        let first = *first_of.entry(tokens).or_insert(text);
        if first != text && label_of.is_some_and(|label_of| label_of[first] == label_of[text]) {
            continue;
        }
        let until = meets.and_then(|at| joint(between, at)).unwrap_or(close + 1);
        leaves.push(Leaf { text, tokens: tokens.to_vec(), behind: encoded.ids[close + 1..until].to_vec() });
    }
    let tokens: Vec<&[u32]> = leaves.iter().map(|leaf| leaf.tokens.as_slice()).collect();
    let trie = Trie::of_closed(&tokens).map_err(|(first, second)| Error::SameTokens {
        hole,
        first: texts[leaves[first].text].clone(),
        second: texts[leaves[second].text].clone(),
    })?;
    Ok(Choice { trie, leaves, texts })
}
