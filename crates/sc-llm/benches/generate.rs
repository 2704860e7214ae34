//! Tokens per second of processor time: reading prompts, writing answers, and scoring labels.
//!
//! ```sh
//! cargo bench -p sc-llm --bench generate -- [--shape gpt-neo|qwen2] [--precision f32|grade|bf16|q8_0|q4_k] [--prompt 512] \
//!     [--new 16] [--labels 28] [--threads 1]
//! ```
//!
//! Weights are random: the time does not depend on them.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench fails where something is not there, and prints"
)]

use std::time::Instant;

use sc_fm::nn::gemm::{Kernel, Precision};
use sc_llm::decode::trie::Trie;
use sc_llm::models::{Config, LanguageModel, OpenParams, Scoring};

const GPT_NEO: &str = r#"{"model_type": "gpt_neo", "vocab_size": 50257, "hidden_size": 2048, "num_layers": 24, "num_heads": 16,
    "attention_types": [[["global", "local"], 12]], "window_size": 256, "max_position_embeddings": 2048}"#;
const QWEN2: &str = r#"{"model_type": "qwen2", "vocab_size": 151936, "hidden_size": 1536, "intermediate_size": 8960,
    "num_hidden_layers": 28, "num_attention_heads": 12, "num_key_value_heads": 2, "max_position_embeddings": 32768,
    "rope_theta": 1000000.0, "rms_norm_eps": 1e-6, "tie_word_embeddings": true}"#;

fn option(name: &str, default: &str) -> String {
    let arguments: Vec<String> = std::env::args().collect();
    let place = arguments.iter().position(|argument| argument == name);
    place.and_then(|place| arguments.get(place + 1)).map_or_else(|| default.to_owned(), String::clone)
}

fn number(name: &str, default: usize) -> usize {
    option(name, &default.to_string()).parse().unwrap()
}

/// Runs a task and says how many tokens a second it read.
fn time<T>(what: &str, tokens: usize, task: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = task();
    let seconds = start.elapsed().as_secs_f64();
    println!("{what:<28} {tokens:>6} tokens {seconds:>8.2} s {:>8.1} tokens/s", tokens as f64 / seconds);
    result
}

fn main() {
    let precision = match option("--precision", "bf16").as_str() {
        "f32" => Precision::F32,
        "grade" => Precision::F32Grade,
        "q8_0" => Precision::Q8_0,
        "q4_k" => Precision::Q4_K,
        _ => Precision::Bf16,
    };
    let shape = option("--shape", "qwen2");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    std::fs::write(&path, if shape == "qwen2" { QWEN2 } else { GPT_NEO }).unwrap();
    let config = Config::read(&path).unwrap();
    let threads = number("--threads", 1);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| run(&shape, &config, precision));
}

fn run(shape: &str, config: &Config, precision: Precision) {
    let (n_prompt, n_new, n_labels) = (number("--prompt", 512), number("--new", 16), number("--labels", 28));
    println!("{shape}, {} on {} threads", Kernel::new(precision).name(), rayon::current_num_threads());
    let params = OpenParams { precision, ..OpenParams::default() };
    let model = time("build", 0, || LanguageModel::random(config, 1, &params).unwrap());
    let token = |i: usize| (i * 7919 % 50_000) as u32;
    let prompt: Vec<u32> = (0..n_prompt).map(token).collect();
    let (state, logits) = time("read a prompt", n_prompt, || model.start(&[&prompt]).unwrap().remove(0));
    let mut states = [state.clone()];
    time("write, token by token", n_new, || {
        (0..n_new).for_each(|i| _ = model.read(&mut states, &[&[token(i)]]).unwrap());
    });
    // Labels of one to four tokens, some of which begin alike.
    let labels: Vec<Vec<u32>> = (0..n_labels)
        .map(|i| [i % 9 + 1, i + 100, i + 500, i + 900].iter().take(2 + i % 3).map(|&i| token(i)).collect())
        .collect();
    let trie = Trie::new(&labels, 1).unwrap();
    let score = |scoring| model.label_scores(&state, &logits, &trie, model.vocab_size(), scoring).unwrap();
    let tree = time("score labels, one pass", trie.n_inner_nodes() - 1, || score(Scoring::Tree));
    let n_tokens = labels.iter().map(Vec::len).sum();
    let batched = time("score labels, each", n_tokens, || score(Scoring::Batched));
    assert_eq!(tree, batched);
}
