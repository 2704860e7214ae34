//! Tokens per second, by the clock and of processor time: reading prompts, writing answers, scoring labels; and cells named
//! per minute, with what all prompts begin with read once, and read for each.
//!
//! ```sh
//! cargo bench -p sc-llm --bench generate -- [--shape gpt-neo|qwen2] [--precision f32|grade|f16|bf16|q8_0|q4_k] [--prompt 512] \
//!     [--shared 256] [--new 16] [--labels 50] [--cells 8] [--repeat 5] [--threads 1]
//! ```
//!
//! Weights are random: the time does not depend on them. `generate_llama.py` and `generate_transformers.py` do the same
//! with llama.cpp and transformers.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench fails where something is not there, and prints"
)]

use std::ops::ControlFlow;
use std::time::Instant;

use sc_fm::nn::gemm::{Kernel, Precision};
use sc_llm::annotate::{AnnotateParams, Annotator, Decoding, Item};
use sc_llm::models::{Config, LanguageModel, OpenParams, Scoring};
use sc_llm::tokenizer::{End, LabelTokens, Tokenizer};

const GPT_NEO: &str = r#"{"model_type": "gpt_neo", "vocab_size": 50257, "hidden_size": 2048, "num_layers": 24, "num_heads": 16,
    "attention_types": [[["global", "local"], 12]], "window_size": 256, "max_position_embeddings": 2048}"#;
const QWEN2: &str = r#"{"model_type": "qwen2", "vocab_size": 151936, "hidden_size": 1536, "intermediate_size": 8960,
    "num_hidden_layers": 28, "num_attention_heads": 12, "num_key_value_heads": 2, "max_position_embeddings": 32768,
    "rope_theta": 1000000.0, "rms_norm_eps": 1e-6, "tie_word_embeddings": true}"#;

/// Words that stand for genes.
const GENES: usize = 20_000;

fn option(name: &str, default: &str) -> String {
    let arguments: Vec<String> = std::env::args().collect();
    let place = arguments.iter().position(|argument| argument == name);
    place.and_then(|place| arguments.get(place + 1)).map_or_else(|| default.to_owned(), String::clone)
}

fn number(name: &str, default: usize) -> usize {
    option(name, &default.to_string()).parse().unwrap()
}

/// Runs a task some times and prints the medians of what it takes.
fn time<T>(what: &str, (n, unit): (usize, &str), mut task: impl FnMut(usize) -> T) -> T {
    let (mut clock, mut cpu, mut last) = (vec![], vec![], None);
    for round in 0..number("--repeat", 5) {
        let (start, before) = (Instant::now(), cpu_seconds());
        last = Some(task(round));
        clock.push(start.elapsed().as_secs_f64());
        cpu.push(cpu_seconds() - before);
    }
    let (clock, cpu) = (median(&mut clock), median(&mut cpu));
    let rate = |seconds: f64| n as f64 / seconds;
    println!(
        "{what:<44} {n:>5} {unit:<6} {clock:>7.2} s {:>8.2} a second {:>8.2} a CPU second",
        rate(clock),
        rate(cpu)
    );
    last.unwrap()
}

fn main() {
    let precision = match option("--precision", "bf16").as_str() {
        "f32" => Precision::F32,
        "f16" => Precision::F16,
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
    let pool = rayon::ThreadPoolBuilder::new().num_threads(number("--threads", 1)).build().unwrap();
    pool.install(|| {
        println!("{shape}, {} on {} threads", Kernel::new(precision).name(), rayon::current_num_threads());
        let params = OpenParams { precision, ..OpenParams::default() };
        let model = LanguageModel::random(&config, 1, &params).unwrap();
        println!("weights made: at most {} MiB so far, {} MiB now", memory("VmHWM:"), memory("VmRSS:"));
        parts(&model);
        if number("--cells", 8) > 0 {
            cells(&model);
        }
        println!("at most {} MiB", memory("VmHWM:"));
    });
}

/// Reading, writing and scoring of one text.
fn parts(model: &LanguageModel) {
    let (n_prompt, n_new) = (number("--prompt", 512), number("--new", 16));
    let token = |i: usize| (i * 7919 % GENES) as u32 + 300;
    let prompt: Vec<u32> = (0..n_prompt).map(token).collect();
    let start = |_| model.start(&[&prompt]).unwrap().remove(0);
    let (state, logits) = time("a prompt is read", (n_prompt, "tokens"), start);
    time("an answer is written, token by token", (n_new, "tokens"), |_| {
        let mut states = [state.clone()];
        (0..n_new).for_each(|i| _ = model.read(&mut states, &[&[token(i)]]).unwrap());
    });
    let (tokenizer, _, labels) = words(number("--labels", 50));
    let trie = labels.trie();
    let n_nodes = trie.n_inner_nodes() - 1;
    let score = |_| model.label_scores(&state, &logits, trie, tokenizer.n_tokens(), Scoring::Tree).unwrap();
    time("all labels are scored, as nodes of a tree", (n_nodes, "tokens"), score);
}

/// Cells are named, each by a prompt of as many tokens.
fn cells(model: &LanguageModel) {
    let (n_prompt, n_shared, n_cells) =
        (number("--prompt", 512), number("--shared", 256), number("--cells", 8));
    let (tokenizer, names, labels) = words(number("--labels", 50));
    let gene = |i: usize| format!(" G{}", i % GENES);
    let answer = tokenizer.encode(" Answer:", false).unwrap();
    let items = |round: usize, is_shared: bool, n_cells: usize| -> Vec<Item> {
        let item = |cell: usize| {
            let of_cell = |i: usize| (round * n_cells + cell + 1) * 1009 + i * 7919;
            // Prompts that begin with different words share nothing, and are as long.
            let first = if is_shared { 0 } else { cell + 1 };
            let shared = (0..n_shared).map(|i| gene(first + i));
            let own = (n_shared..n_prompt - answer.len()).map(|i| gene(of_cell(i)));
            let text: String = shared.chain(own).chain([" Answer:".to_owned()]).collect();
            let tokens = tokenizer.encode(&text, false).unwrap();
            assert_eq!(tokens.len(), n_prompt);
            Item { id: format!("cell {cell}"), tokens }
        };
        (0..n_cells).map(item).collect()
    };
    for decoding in [Decoding::Constrained, Decoding::Posterior] {
        let params = AnnotateParams { decoding, ..AnnotateParams::default() };
        let annotator = Annotator::new(model, &tokenizer, &names, &labels, params).unwrap();
        for (is_shared, how) in
            [(true, format!("the first {n_shared} tokens read once")), (false, "read whole".into())]
        {
            if is_shared {
                // The beginning is there before the first cell, as it is in the run of llama.cpp.
                annotator.run(&items(9999, true, 2), &mut |_| ControlFlow::Continue(())).unwrap();
            }
            let what = format!("cells, {}, {how}", decoding.name());
            time(&what, (n_cells, "cells"), |round| {
                let items = items(round, is_shared, n_cells);
                let named = annotator.run(&items, &mut |_| ControlFlow::Continue(())).unwrap();
                assert_eq!((named.n_shared > 0, named.compliance()), (is_shared, 1.0));
            });
        }
    }
}

/// A word for each gene, and labels of one to three words, some of which begin alike.
fn words(n: usize) -> (Tokenizer, Vec<[String; 1]>, LabelTokens) {
    let label = |i: usize| {
        let words = [format!("Kind{}", i % 9), format!("Sort{i}"), format!("Form{i}")];
        words[..1 + usize::from(i >= 9) + i % 2].join(" ")
    };
    let names: Vec<String> = (0..n).map(label).collect();
    let genes: String = (0..GENES).map(|i| format!(" G{i}")).collect();
    let said: Vec<String> = names.iter().map(|name| format!(" Answer: {name}\n")).collect();
    let texts: Vec<&str> = said.iter().map(String::as_str).chain([genes.as_str()]).collect();
    let tokenizer = Tokenizer::of_words(&texts, 2 * GENES).unwrap();
    let spelled: Vec<String> = names.iter().map(|name| format!(" {name}")).collect();
    let labels = LabelTokens::new(&tokenizer, " Answer:", &spelled, &[End::Text("\n")]).unwrap();
    (tokenizer, names.into_iter().map(|name| [name]).collect(), labels)
}

/// Processor time of this process in seconds, on Linux.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / 100.0
}

/// A line of the status of this process, on Linux.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
