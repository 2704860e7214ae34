//! Times steps of masked-language training of a Geneformer of random weights:
//! `cargo bench -p sc-fm --bench train -- --length 512`.
//!
//! `--layers`, `--width`, `--heads`, `--inner`, `--tokens` give the shape (default V1-10M), `--cells` and `--length` the
//! batch, `--steps` how many are timed, `--threads` on how many threads, `--dropout` the rate, `--precision f32` products
//! in f32 alone, `--checkpointing` that layers are computed twice to save memory. A step is forward, loss, the gradients
//! of all parameters and AdamW. Printed are the median seconds of a step, by the clock and of all threads, with the parts
//! of the forward pass and of AdamW, and the peak of the memory. `train.py --gather` does the same with Hugging Face's
//! transformers.

use std::io::Write;
use std::time::Instant;

use candle_core::Device;
use sc_fm::models::geneformer::{GeneformerConfig, InputFormat};
use sc_fm::models::{Geneformer, Hidden, Layer, TokenBatch};
use sc_fm::nn::TrainingStep;
use sc_fm::nn::gemm::Precision;
use sc_fm::train::{Adam, AdamParams, Gradients, Variables};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| words.iter().position(|word| word == name).and_then(|at| words.get(at + 1));
    let number = |name: &str, default: usize| {
        option(name).and_then(|value| value.parse::<usize>().ok()).unwrap_or(default)
    };
    let checkpointing = words.iter().any(|word| word == "--checkpointing");
    let rate: f64 = option("--dropout").and_then(|value| value.parse().ok()).unwrap_or(0.0);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(number("--threads", 2)).build()?;
    let (cells, length, steps) = (number("--cells", 4), number("--length", 512), number("--steps", 5).max(1));
    let (tokens, heads) = (number("--tokens", 25_426), number("--heads", 4));
    let (layers, width, inner) = (number("--layers", 6), number("--width", 256), number("--inner", 512));
    let json = format!(
        r#"{{"model_type": "bert", "hidden_size": {width}, "num_hidden_layers": {layers}, "num_attention_heads": {heads},
        "intermediate_size": {inner}, "vocab_size": {tokens}, "max_position_embeddings": {length},
        "hidden_dropout_prob": {rate}, "attention_probs_dropout_prob": {rate}, "hidden_act": "relu"}}"#
    );
    let config: GeneformerConfig = serde_json::from_str(&json)?;
    let mut weights = Geneformer::random_weights(&config, 1, &Device::Cpu)?;
    let variables = Variables::of(&mut weights, |_| true)?;
    let mut optimizer = Adam::new(&variables, AdamParams::adamw(0.01))?;
    let precision = match option("--precision").map(String::as_str) {
        Some("f32") => Precision::F32,
        _ => Precision::default(),
    };
    let model = Geneformer::from_weights(config, InputFormat::V1, &mut weights, precision)?;
    // Without the same token twice in a cell, as in ranks of genes; every seventh token is masked.
    let ids: Vec<Vec<u32>> = (0..cells as u32)
        .map(|cell| {
            (0..length as u32).map(|i| 2 + (i * 7919 + cell * 104_729) % (tokens as u32 - 2)).collect()
        })
        .collect();
    let masked: Vec<Vec<u32>> = ids
        .iter()
        .map(|cell| cell.iter().enumerate().map(|(i, &id)| if i % 7 == 3 { 1 } else { id }).collect())
        .collect();
    let batch = TokenBatch::new(&masked);
    let labels: Vec<Option<u32>> = ids
        .iter()
        .flat_map(|cell| cell.iter().enumerate().map(|(i, &id)| (i % 7 == 3).then_some(id)))
        .collect();

    let (mut clock, mut cpu, mut forwards, mut updates, mut loss) = (vec![], vec![], vec![], vec![], 0.0);
    for step in 0..=steps {
        let training = TrainingStep::new(1, step as u64, (0..cells as u64).collect::<Vec<_>>());
        let (start, before) = (Instant::now(), cpu_seconds());
        let (gradients, forward, update, value) = pool.install(|| -> Outcome<_> {
            let training = (rate > 0.0).then_some(&training);
            let (gradients, forward, loss) = if checkpointing {
                let loss = |last: &Hidden| model.mlm_loss(last, &labels);
                let (loss, mut store) = model.checkpointed_gradients(&batch, Layer::Last, training, loss)?;
                (Gradients::from_store(&mut store, &variables)?, 0.0, loss)
            } else {
                let last = model.forward_with(&batch, Layer::Last, training)?;
                let loss = model.mlm_loss(&last, &labels)?;
                drop(last);
                let forward = start.elapsed().as_secs_f64();
                (Gradients::of(&loss, &variables)?, forward, loss)
            };
            let loss = loss.to_scalar::<f32>()?;
            let start = Instant::now();
            optimizer.step(&variables, &gradients, 1e-4)?;
            Ok((gradients, forward, start.elapsed().as_secs_f64(), loss))
        })?;
        // The first step only warms up.
        if step > 0 {
            clock.push(start.elapsed().as_secs_f64());
            cpu.push(cpu_seconds() - before);
            forwards.push(forward);
            updates.push(update);
        }
        if (0..variables.len()).any(|variable| gradients.get(variable).is_none()) {
            return Err("a parameter has no gradient".into());
        }
        loss = value;
    }
    let line = format!(
        "sc-fm {cells} x {length}, dropout {rate}, {} threads{}: {:.3} s a step ({:.3} s of CPU; forward {:.3} s, AdamW {:.3} s), \
         loss {loss:.4}, peak {} MiB",
        pool.current_num_threads(),
        if checkpointing { ", checkpointed" } else { "" },
        median(&mut clock),
        median(&mut cpu),
        median(&mut forwards),
        median(&mut updates),
        peak_mib().unwrap_or_default()
    );
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

fn median(seconds: &mut [f64]) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// Seconds that all threads have computed, which other processes do not disturb as they do the clock; 0 where the system
/// does not tell.
fn cpu_seconds() -> f64 {
    // User and system time are the 14th and 15th field, in hundredths; the second field may hold spaces.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields.split_whitespace()).into_iter().flatten();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Most memory that this process has held, where the system tells.
fn peak_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? / 1024)
}
