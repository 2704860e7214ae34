//! What it takes to hold answers to a closed set of labels: to get ready, to know at each step what may come, and to choose
//! among it; by the trie of this crate, and by llguidance, whose grammar has one terminal of all labels.
//!
//! ```sh
//! cargo bench -p sc-llm --features schema --bench constraints -- --tokenizer DIR --labels FILE [--n 50] [--repeat 5]
//! ```
//!
//! * `--tokenizer`: a folder with `tokenizer.json`, or with a vocabulary and merges.
//! * `--labels`: names, a line each.
//!
//! Every label is walked through, token by token. `constraints_xgrammar.py` does the same with XGrammar.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench fails where something is not there, and prints"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use sc_llm::decode::trie::Trie;
use sc_llm::tokenizer::{End, LabelTokens, Tokenizer};

fn option(name: &str, default: Option<&str>) -> String {
    let mut arguments = std::env::args().skip_while(|argument| argument != name).skip(1);
    let found = arguments.next().or_else(|| default.map(str::to_owned));
    found.unwrap_or_else(|| panic!("{name} is needed"))
}

/// What the steps of all walks took.
#[derive(Default)]
struct Steps {
    know: Vec<Duration>,
    choose: Vec<Duration>,
}

impl Steps {
    fn print(mut self, what: &str, ready: Duration) {
        let summary = |steps: &mut Vec<Duration>| {
            steps.sort_unstable();
            let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
            let mean = micros(steps.iter().sum()) / steps.len() as f64;
            format!("{mean:>9.3} µs, at most {:>9.1}", micros(*steps.last().unwrap()))
        };
        let (know, choose) = (summary(&mut self.know), summary(&mut self.choose));
        println!(
            "{what:<12} ready in {:>8.2} ms | what may come: {know} | chosen: {choose}",
            ready.as_secs_f64() * 1e3
        );
    }
}

fn main() {
    let tokenizer = Tokenizer::open(option("--tokenizer", None)).unwrap();
    let (n, repeat): (usize, usize) =
        (option("--n", Some("50")).parse().unwrap(), option("--repeat", Some("5")).parse().unwrap());
    let text = std::fs::read_to_string(option("--labels", None)).unwrap();
    let labels: Vec<String> = text.lines().take(n).map(|name| format!(" {name}")).collect();
    // Logits that a model could have: none is special.
    let logits: Vec<f32> = (0..tokenizer.n_tokens()).map(|i| (i * 7919 % 10_007) as f32).collect();
    println!("{} labels, {} tokens", labels.len(), tokenizer.n_tokens());
    let (mut ready, mut last) = (Vec::new(), None);
    for _ in 0..repeat {
        let start = Instant::now();
        let tokens = LabelTokens::new(&tokenizer, "Answer:", &labels, &[End::Text("\n")]).unwrap();
        ready.push(start.elapsed());
        last = Some(tokens);
    }
    let tokens = last.unwrap();
    let paths: Vec<Vec<u32>> =
        labels.iter().map(|label| tokenizer.encode(&format!("{label}\n"), false).unwrap()).collect();
    let n_tokens: usize = paths.iter().map(Vec::len).sum();
    println!("{n_tokens} steps in all, {} at most", paths.iter().map(Vec::len).max().unwrap());
    trie(tokens.trie(), &paths, &logits, repeat).print("trie", median(ready));
    grammar(&tokenizer, &labels, &paths, &logits, repeat);
}

fn trie(trie: &Trie, paths: &[Vec<u32>], logits: &[f32], repeat: usize) -> Steps {
    let mut steps = Steps::default();
    for path in paths.iter().cycle().take(repeat * paths.len()) {
        let mut cursor = trie.cursor();
        for token in path {
            let start = Instant::now();
            let allowed = black_box(cursor.allowed());
            steps.know.push(start.elapsed());
            let start = Instant::now();
            let better = |best: u32, &token: &u32| match logits[token as usize] > logits[best as usize] {
                true => token,
                false => best,
            };
            black_box(allowed.iter().fold(allowed[0], better));
            steps.choose.push(start.elapsed());
            cursor = cursor.child(token).unwrap();
        }
        assert!(cursor.label().is_some(), "the way of a label ends there");
    }
    steps
}

fn grammar(tokenizer: &Tokenizer, labels: &[String], paths: &[Vec<u32>], logits: &[f32], repeat: usize) {
    let n_tokens = tokenizer.n_tokens() as u32;
    let text = |id| tokenizer.token_bytes(id).filter(|_| !tokenizer.is_special(id)).unwrap_or_default();
    let mut words: Vec<Vec<u8>> = (0..n_tokens).map(text).collect();
    words.push(b"\xFF<|end|>".to_vec());
    let trie = TokTrie::from(&TokRxInfo::new(n_tokens + 1, n_tokens), &words);
    let env: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
    let mut factory = ParserFactory::new_simple(&env).unwrap();
    factory.quiet();
    let quoted = |label: &String| serde_json::to_string(&format!("{label}\n")).unwrap();
    let all: Vec<String> = labels.iter().map(quoted).collect();
    let lark = format!("start: LABEL\nLABEL: {}\n", all.join(" | "));
    let (mut ready, mut last) = (Vec::new(), None);
    for _ in 0..repeat {
        let start = Instant::now();
        let mut matcher = Matcher::new(factory.create_parser(TopLevelGrammar::from_lark(lark.clone())));
        // A part of its work is put off to the first question.
        matcher.compute_mask().unwrap();
        ready.push(start.elapsed());
        last = Some(matcher);
    }
    let matcher = last.unwrap();
    let mut steps = Steps::default();
    for path in paths.iter().cycle().take(repeat * paths.len()) {
        let mut matcher = matcher.deep_clone();
        matcher.reset().unwrap();
        for &token in path {
            let start = Instant::now();
            let mask = matcher.compute_mask().unwrap();
            steps.know.push(start.elapsed());
            let start = Instant::now();
            let mut best = (f32::NEG_INFINITY, 0);
            mask.iter_set_entries(|token| {
                if let Some(&logit) = logits.get(token)
                    && logit > best.0
                {
                    best = (logit, token);
                }
            });
            black_box(best);
            steps.choose.push(start.elapsed());
            matcher.consume_token(token).unwrap();
        }
    }
    steps.print("llguidance", median(ready));
}

fn median(mut values: Vec<Duration>) -> Duration {
    values.sort_unstable();
    values[values.len() / 2]
}
