//! Cells a second through Geneformer, with random weights: `cargo bench -p sc-fm --bench forward -- --lengths 512,2048`.
//!
//! `--models v1-10m,v2-104m` chooses; `--cells` is the number of cells of each length, `--repeats` how often each is
//! timed (the median counts), `--precision f32|f32-grade|bf16` how products are computed, `--threads` on how many
//! threads.

use std::io::Write;
use std::time::Instant;

use sc_fm::models::geneformer::{GeneformerConfig, InputFormat, Pooling};
use sc_fm::models::{Geneformer, Layer, embed};
use sc_fm::nn::gemm::Precision;

/// A released shape: name, layers, width, heads, inner width, tokens, positions.
const MODELS: [(&str, usize, usize, usize, usize, usize, usize); 3] = [
    ("v1-10m", 6, 256, 4, 512, 25_426, 2048),
    ("v2-104m", 12, 768, 12, 3072, 20_275, 4096),
    ("v2-316m", 18, 1152, 18, 4608, 20_275, 4096),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout().lock();
    let flags: Vec<String> = std::env::args().collect();
    let flag =
        |name: &str| flags.iter().position(|flag| flag == name).and_then(|at| flags.get(at + 1).cloned());
    let number = |name: &str, default: usize| {
        flag(name).map_or(default, |text| {
            text.parse().unwrap_or_else(|_| panic!("{name} {text}: a number is expected"))
        })
    };
    let lengths = flag("--lengths").unwrap_or_else(|| "128,850,2048".to_owned());
    let models = flag("--models").unwrap_or_else(|| "v1-10m,v2-104m".to_owned());
    let precision = match flag("--precision").as_deref() {
        None | Some("f32-grade") => Precision::F32Grade,
        Some("f32") => Precision::F32,
        Some("bf16") => Precision::Bf16,
        Some(other) => panic!("--precision {other}: f32, f32-grade or bf16 is expected"),
    };
    let (n_cells, repeats) = (number("--cells", 8), number("--repeats", 3).max(1));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(number("--threads", 0)).build();
    let pool = pool.expect("threads can be started");
    writeln!(out, "{:<10}{:>8}{:>8}{:>12}{:>12}", "model", "length", "threads", "cells/s", "tokens/s")?;
    for shape in MODELS.iter().filter(|shape| models.split(',').any(|name| name == shape.0)) {
        let model = random(shape, precision)?;
        for length in lengths.split(',').map(|text| text.parse::<usize>().expect("lengths are numbers")) {
            let n_genes = shape.5 as u32 - 2;
            let cells: Vec<Vec<u32>> = (0..n_cells as u32)
                .map(|cell| (0..length as u32).map(|i| 2 + (i * 7919 + cell * 104_729) % n_genes).collect())
                .collect();
            let cells: Vec<&[u32]> = cells.iter().map(Vec::as_slice).collect();
            let encoder = model.encoder(Pooling::Cell, Layer::SecondToLast)?;
            let mut seconds = Vec::with_capacity(repeats);
            for _ in 0..repeats {
                let start = Instant::now();
                pool.install(|| embed(&encoder, &cells, 8192))?;
                seconds.push(start.elapsed().as_secs_f64());
            }
            seconds.sort_by(f64::total_cmp);
            let rate = n_cells as f64 / seconds[repeats / 2];
            let threads = pool.current_num_threads();
            writeln!(
                out,
                "{:<10}{length:>8}{threads:>8}{rate:>12.3}{:>12.0}",
                shape.0,
                rate * length as f64
            )?;
        }
    }
    Ok(())
}

fn random(
    &(_, layers, width, heads, inner, tokens, positions): &(&str, usize, usize, usize, usize, usize, usize),
    precision: Precision,
) -> sc_fm::Result<Geneformer> {
    let json = format!(
        r#"{{"model_type": "bert", "hidden_size": {width}, "num_hidden_layers": {layers}, "num_attention_heads": {heads},
        "intermediate_size": {inner}, "vocab_size": {tokens}, "max_position_embeddings": {positions},
        "hidden_act": "relu"}}"#
    );
    let config: GeneformerConfig = serde_json::from_str(&json).expect("the shape is complete");
    let mut weights = Geneformer::random_weights(&config, 1, &candle_core::Device::Cpu)?;
    Geneformer::from_weights(config, InputFormat::V1, &mut weights, precision)
}
