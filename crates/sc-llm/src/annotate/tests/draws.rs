//! Labels drawn by chance from what models say.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::decode::trie::Trie;

/// Names of 3,000 cell types that start each other and share all but their last token; none is ASCII alone.
fn many() -> Vec<[String; 1]> {
    let mut names = Vec::new();
    // " B" and " T" are tokens of their own, which would be chosen far too often.
    for first in "ACDEFGHIJKLMNOPQRSUVWXY".chars() {
        let first = format!(" {} {first}", ["CD4⁺", "γδ"][names.len() % 2]);
        for second in 'a'..='l' {
            names.push(format!("{first}{second}"));
            names.extend((0..10).map(|third| format!("{first}{second}{third}")));
        }
        names.push(first);
    }
    names.truncate(3000);
    names.into_iter().map(|name| [name]).collect()
}

/// The scores of the tokens that may follow, at every node where there is a choice: each is asked for once.
fn scores(model: &LanguageModel, prompt: &[u32], trie: &Trie) -> BTreeMap<Vec<u32>, Vec<f64>> {
    let (state, logits) = model.start(&[prompt]).unwrap().remove(0);
    let labels = trie.labels();
    let mut scores = BTreeMap::new();
    let mut add = |prefix: &[u32], logits: &[f32]| {
        let allowed = trie.allowed(prefix).unwrap();
        let of = |&token: &u32| f64::from(logits[token as usize]);
        scores.insert(prefix.to_vec(), allowed.iter().map(of).collect());
    };
    add(&[], &logits);
    let texts: Vec<&[u32]> = labels.iter().map(|label| &label[..label.len() - 1]).collect();
    for texts in texts.chunks(256) {
        let mut states = vec![state.clone(); texts.len()];
        for (text, logits) in texts.iter().zip(model.all_logits(&mut states, texts).unwrap()) {
            for (end, logits) in (1..).zip(logits.rows()) {
                add(&text[..end], logits.as_slice().unwrap());
            }
        }
    }
    scores
}

/// Draws `n` labels, and returns which there were.
fn draw(model: &LanguageModel, prompt: &[u32], labels: &LabelTokens, n: u64) -> BTreeSet<usize> {
    let scores = scores(model, labels.start_of(prompt).unwrap(), labels.trie());
    // Hot enough that no label is out of reach.
    let sampling = Sampling::Random { temperature: 10.0, top_k: 0, top_p: 1.0, seed: 5 };
    let draw = |item| {
        let walk =
            labels.trie().draw(sampling, item, |prefix, _| Ok::<_, crate::Error>(scores[prefix].clone()));
        labels.label_of(walk.unwrap().label).unwrap()
    };
    (0..n).map(draw).collect()
}

#[test]
fn a_hundred_thousand_draws_from_models_are_all_labels_and_reach_every_label() {
    let tokenizer = tokenizer();
    let (items, many) = (items(&tokenizer), many());
    for (model, labels) in models() {
        for item in &items {
            let reached = draw(&model, &item.tokens, &labels, 1000);
            assert_eq!(reached.len(), NAMES.len(), "{:?} {}", model.architecture(), item.id);
        }
        let labels = match model.architecture() {
            Architecture::T5 => LabelTokens::with_synonyms(&tokenizer, "", &many, &[End::Eos]),
            _ => LabelTokens::with_synonyms(&tokenizer, "Answer:", &many, &[End::Text("\n")]),
        };
        let reached = draw(&model, &items[0].tokens, &labels.unwrap(), 45_000);
        assert_eq!(reached, (0..3000).collect(), "{:?}", model.architecture());
    }
}
