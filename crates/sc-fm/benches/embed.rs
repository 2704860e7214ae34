//! Times the embedding of a data set with a Geneformer of random weights.
//!
//! `cargo bench -p sc-fm --bench embed -- MATRIX --config CONFIG --dictionaries FOLDER [--series gc104M] [--cells N]
//! [--threads N] [--memory MIB] [--dtype bf16] [--write FOLDER]` prints cells and tokens a second, by the clock, seconds
//! of all threads, and the peak of the memory. MATRIX is anything that `sc_io::open` reads, CONFIG a `config.json`;
//! without it, the bench says what it wants. `--write` keeps model, tokens and embeddings for `embed.py`, which does the
//! same with Hugging Face's transformers.

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use sc_fm::checkpoint::{Weights, write_safetensors};
use sc_fm::embed::{EmbedParams, FoundationModel, Mode};
use sc_fm::models::Layer;
use sc_fm::models::geneformer::{Geneformer, GeneformerConfig, InputFormat};
use sc_fm::nn::gemm::Precision;
use sc_fm::tokenize::Tokens;
use sc_fm::tokenize::vocabulary::Vocabulary;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn say(line: &str) -> Outcome<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let option = |name: &str| words.iter().position(|word| word == name).and_then(|at| words.get(at + 1));
    let number = |name: &str| option(name).and_then(|value| value.parse::<usize>().ok());
    let (Some(matrix), Some(config), Some(dictionaries)) =
        (words.first(), option("--config"), option("--dictionaries"))
    else {
        return say("nothing is timed without MATRIX, --config and --dictionaries");
    };
    if let Some(n) = number("--threads") {
        rayon::ThreadPoolBuilder::new().num_threads(n).build_global()?;
    }
    let mut adata = sc_io::open(matrix)?;
    if let Some(n) = number("--cells") {
        // Every k-th, so that few cells are like all of them.
        let step = adata.n_obs().div_ceil(n.max(1)).max(1);
        adata = adata.select_obs(&(0..adata.n_obs()).step_by(step).collect::<Vec<_>>())?;
    }
    let series = option("--series").map(String::as_str).unwrap_or_default();
    let vocabulary = Vocabulary::open_series(dictionaries, series)?;
    let config = GeneformerConfig::read(config.as_ref())?;
    let mut weights = Geneformer::random_weights(&config, 0, &Device::Cpu)?;
    let names: Vec<String> = weights.names().map(str::to_owned).collect();
    let mut tensors = Vec::with_capacity(names.len());
    for name in names {
        let shape = weights.shape(&name).map(<[usize]>::to_vec).unwrap_or_default();
        tensors.push((name.clone(), weights.take(&name, &shape)?));
    }
    if let Some(folder) = option("--write").map(PathBuf::from) {
        let tensors = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
        write_safetensors(folder.join("model.safetensors"), tensors, &[("format", "pt")], true)?;
        std::fs::write(folder.join("config.json"), serde_json::to_vec(&config)?)?;
    }
    let dtype = if option("--dtype").is_some_and(|name| name == "bf16") { DType::BF16 } else { DType::F32 };
    for (_, tensor) in &mut tensors {
        *tensor = tensor.to_dtype(dtype)?;
    }
    let precision = match option("--precision").map(String::as_str) {
        Some("bf16") => Precision::Bf16,
        Some("f32") => Precision::F32,
        _ => Precision::default(),
    };
    let mut weights = Weights::new(tensors);
    let model = Geneformer::from_weights(config, InputFormat::of(&vocabulary), &mut weights, precision)?;
    let model = FoundationModel::geneformer(model, vocabulary)?;
    let memory = number("--memory").unwrap_or(1024) << 20;
    let params =
        EmbedParams { mode: Some(Mode::Cell), layer: Some(Layer::Last), memory, ..Default::default() };

    let clock = Instant::now();
    let tokens = model.tokenize(&adata, &params)?;
    let tokenized = clock.elapsed().as_secs_f64();
    let (clock, cpu) = (Instant::now(), cpu_seconds());
    let embedding = model.embed_tokens(&tokens, adata.n_obs(), &params)?;
    let seconds = clock.elapsed().as_secs_f64();
    let cpu = cpu_seconds() - cpu;
    let (n_cells, n_tokens) = (tokens.n_cells(), tokens.ids().len());
    say(&format!(
        "{n_cells} cells, {n_tokens} tokens, {} threads: tokens {tokenized:.3} s, embedding {seconds:.2} s \
         ({cpu:.2} s of CPU): {:.2} cells/s, {:.0} tokens/s, peak {} MiB",
        rayon::current_num_threads(),
        n_cells as f64 / seconds,
        n_tokens as f64 / seconds,
        peak_mib().unwrap_or_default()
    ))?;
    if let Some(folder) = option("--write").map(PathBuf::from) {
        write_cells(&folder, &tokens, &embedding.values)?;
    }
    Ok(())
}

/// Ids, lengths and embeddings, in order.
fn write_cells(folder: &std::path::Path, tokens: &Tokens, values: &ndarray::Array2<f32>) -> Outcome<()> {
    let lengths: Vec<u32> = tokens.lengths().map(|n| n as u32).collect();
    let lengths = Tensor::new(lengths, &Device::Cpu)?;
    let ids = Tensor::new(tokens.ids(), &Device::Cpu)?;
    let values = Tensor::from_vec(values.iter().copied().collect::<Vec<f32>>(), values.dim(), &Device::Cpu)?;
    let tensors = [("lengths", &lengths), ("ids", &ids), ("embedding", &values)];
    Ok(write_safetensors(folder.join("cells.safetensors"), tensors, &[], true)?)
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
