use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::*;
use crate::decode::generate::{GenerateParams, Sampling};

mod hostile;
mod valid;

/// Labels that begin with each other, with what JSON escapes and what is no ASCII.
fn labels() -> Vec<String> {
    let kinds =
        ["T cell", "T cell regulatory", "γδ T cell", "CD4⁺ \"helper\"", "B\\plasma", "mast\tcell", "NK"];
    let label = |i: usize| match i / kinds.len() {
        0 => kinds[i].to_owned(),
        n => format!("{} {n}", kinds[i % kinds.len()]),
    };
    (0..500).map(label).collect()
}

fn words() -> Tokenizer {
    let mut texts = labels();
    texts.push(
        "{\"cell_type\": \"T cell\", \"markers\": [{\"gene\": \"CD3D\", \"share\": 0.5, \"up\": true}]}"
            .into(),
    );
    Tokenizer::of_words(&texts, 2000).unwrap()
}

fn fixture(name: &str) -> Tokenizer {
    Tokenizer::open(format!("{}/tests/golden/tokenizer/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn random(max_new_tokens: usize) -> GenerateParams {
    let sampling = Sampling::Random { temperature: 1.0, top_k: 0, top_p: 1.0, seed: 11 };
    GenerateParams { max_new_tokens, sampling, ..GenerateParams::default() }
}

/// A model that has an opinion of its own at every step, and ids beyond the tokeniser that it likes best.
fn model(tokenizer: &Tokenizer, item: u64) -> impl FnMut(&[u32]) -> crate::Result<Vec<f32>> {
    let n_tokens = tokenizer.n_tokens();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    rng.set_stream(item);
    move |_| {
        let one = |_| (rng.next_u32() >> 8) as f32 / (1 << 22) as f32;
        Ok((0..n_tokens).map(one).chain([100.0; 3]).collect())
    }
}

/// Texts of a grammar, by chance.
fn texts(tokenizer: &Tokenizer, grammar: &Grammar, n: u64, max_new_tokens: usize) -> Vec<Written> {
    let text = |item| {
        let written =
            grammar.generate(&[3, 4], &random(max_new_tokens), item, model(tokenizer, item)).unwrap();
        let n_text =
            written.tokens.iter().take_while(|token| !tokenizer.special().eos.contains(token)).count();
        assert!(n_text + 1 >= written.tokens.len(), "an end token is the last");
        assert!(written.tokens.len() <= max_new_tokens);
        let bytes: Vec<u8> = written.tokens[..n_text]
            .iter()
            .flat_map(|&token| tokenizer.token_bytes(token).unwrap())
            .collect();
        assert_eq!(String::from_utf8_lossy(&bytes), written.text);
        written
    };
    (0..n).map(text).collect()
}
