//! Writes a language model of random weights as a GGUF file, and times how fast it comes back.
//!
//! `cargo bench -p sc-fm --bench gguf -- --path /some/where.gguf` writes a Qwen2 of 1.5 billion weights in `Q8_0` (1.6 GB)
//! that llama.cpp loads, unless the file is there, then packs every weight for the fastest kernel. `--layers 2` and
//! `--vocabulary 4096` make it smaller, `--format q4_k` or `--format f16` another kind. Without `--path`, a model of two
//! layers is written to a temporary folder.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::path::PathBuf;
use std::time::Instant;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sc_fm::checkpoint::gguf::{Array, Gguf, Kind, NewTensor, Value, write};
use sc_fm::nn::gemm::{BlockFormat, Kernel};

const WIDTH: usize = 1536;
const INNER: usize = 8960;
const KEYS: usize = 256;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let text = |name: &str| args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1));
    let number = |name: &str| text(name).and_then(|value| value.parse::<usize>().ok());
    let folder = tempfile::tempdir()?;
    let small = text("--path").is_none();
    let path = text("--path").map_or_else(|| folder.path().join("small.gguf"), PathBuf::from);
    let layers = number("--layers").unwrap_or(if small { 2 } else { 28 });
    let vocabulary = number("--vocabulary").unwrap_or(if small { 4096 } else { 151_936 });
    let kind = match text("--format").map(String::as_str) {
        None | Some("q8_0") => Kind::Blocks(BlockFormat::Q8_0),
        Some("q4_k") => Kind::Blocks(BlockFormat::Q4_K),
        Some("f16") => Kind::F16,
        Some(other) => return Err(format!("--format is q8_0, q4_k or f16, not {other}").into()),
    };
    let gigabytes = |path: &PathBuf| std::fs::metadata(path).map(|file| file.len() as f64 / 1e9);
    if !path.exists() {
        let start = Instant::now();
        write(&path, &metadata(layers, vocabulary), tensors(layers, vocabulary, kind), false)?;
        println!("wrote {:.2} GB in {:.1} s", gigabytes(&path)?, start.elapsed().as_secs_f64());
    }
    let start = Instant::now();
    let file = Gguf::open(&path)?;
    println!("opened {} tensors in {:.3} s", file.tensors().len(), start.elapsed().as_secs_f64());
    let start = Instant::now();
    let mut weights = Vec::new();
    for tensor in file.tensors().iter().filter(|tensor| tensor.shape().len() == 2) {
        weights.push(file.packed(tensor.name(), Kernel::new(file.precision(tensor.name())?))?);
    }
    println!("packed {} weights in {:.1} s", weights.len(), start.elapsed().as_secs_f64());
    Ok(())
}

fn metadata(layers: usize, vocabulary: usize) -> Vec<(&'static str, Value)> {
    let count = |n: usize| Value::U32(n as u32);
    let string = |text: &str| Value::String(text.to_owned());
    // The letters that stand for bytes, then names without meaning.
    let letters =
        ('!'..='~').chain('¡'..='¬').chain('®'..='ÿ').chain((0x100..0x144).filter_map(char::from_u32));
    let letters = letters.map(String::from);
    let tokens = letters.chain((0..).map(|i| format!("token{i}"))).take(vocabulary).collect();
    vec![
        ("general.architecture", string("qwen2")),
        ("general.name", string("random")),
        ("qwen2.block_count", count(layers)),
        ("qwen2.context_length", count(4096)),
        ("qwen2.embedding_length", count(WIDTH)),
        ("qwen2.feed_forward_length", count(INNER)),
        ("qwen2.attention.head_count", count(12)),
        ("qwen2.attention.head_count_kv", count(2)),
        ("qwen2.attention.layer_norm_rms_epsilon", Value::F32(1e-6)),
        ("qwen2.rope.freq_base", Value::F32(1e6)),
        ("tokenizer.ggml.model", string("gpt2")),
        ("tokenizer.ggml.pre", string("qwen2")),
        ("tokenizer.ggml.tokens", Value::Array(Array::String(tokens))),
        ("tokenizer.ggml.token_type", Value::Array(Array::I32(vec![1; vocabulary]))),
        ("tokenizer.ggml.merges", Value::Array(Array::String(vec!["a b".to_owned()]))),
        ("tokenizer.ggml.eos_token_id", count(vocabulary - 1)),
    ]
}

fn tensors(layers: usize, vocabulary: usize, kind: Kind) -> Vec<NewTensor<'static>> {
    let mut seed = 0;
    let mut random = |name: String, rows: usize, columns: usize| {
        seed += 1;
        NewTensor::new(name, &[rows, columns], kind, move |range, values| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(range.start as u64);
            values.fill_with(|| ((rng.next_u32() >> 8) as f32 / 8_388_608.0 - 1.0) * 0.04);
            Ok(())
        })
    };
    let same = |name: String, n: usize, value: f32| {
        NewTensor::new(name, &[n], Kind::F32, move |_, values| {
            values.fill(value);
            Ok(())
        })
    };
    let mut all = vec![
        random("token_embd.weight".to_owned(), vocabulary, WIDTH),
        same("output_norm.weight".to_owned(), WIDTH, 1.0),
    ];
    for layer in 0..layers {
        let name = |part: &str| format!("blk.{layer}.{part}");
        for part in ["attn_norm.weight", "ffn_norm.weight"] {
            all.push(same(name(part), WIDTH, 1.0));
        }
        for (part, outputs) in [("attn_q", WIDTH), ("attn_k", KEYS), ("attn_v", KEYS)] {
            all.push(random(name(&format!("{part}.weight")), outputs, WIDTH));
            all.push(same(name(&format!("{part}.bias")), outputs, 0.0));
        }
        all.push(random(name("attn_output.weight"), WIDTH, WIDTH));
        all.push(random(name("ffn_gate.weight"), INNER, WIDTH));
        all.push(random(name("ffn_up.weight"), INNER, WIDTH));
        all.push(random(name("ffn_down.weight"), WIDTH, INNER));
    }
    all
}
