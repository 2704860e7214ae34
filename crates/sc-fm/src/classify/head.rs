//! New heads, as the references begin with them.

use candle_core::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::Result;
use crate::models::normal::normal;
use crate::models::{GeneformerConfig, ScgptConfig};

type Named = Vec<(String, Tensor)>;

/// Pooler and classifier: weights N(0, `initializer_range`²), biases 0.
pub(super) fn geneformer(config: &GeneformerConfig, n_classes: usize, seed: u64) -> Result<Named> {
    let width = config.hidden_size;
    let mut all = vec![];
    for (stream, (name, rows)) in
        (HEAD_STREAM..).zip([("bert.pooler.dense", width), ("classifier", n_classes)])
    {
        let values = normal(rows * width, config.initializer_range, seed, stream);
        all.push((format!("{name}.weight"), Tensor::from_vec(values, (rows, width), &Device::Cpu)?));
        all.push((format!("{name}.bias"), Tensor::zeros(rows, candle_core::DType::F32, &Device::Cpu)?));
    }
    Ok(all)
}

/// Three layers, as the reference's `n_layers_cls`: PyTorch's beginning of linear layers, U(±1/√inputs) for weights and
/// biases, and norms that do nothing.
pub(super) fn scgpt(config: &ScgptConfig, n_classes: usize, seed: u64) -> Result<Named> {
    let width = config.embsize;
    let mut all = vec![];
    let linears = [("_decoder.0", width), ("_decoder.3", width), ("out_layer", n_classes)];
    for (stream, (name, rows)) in (HEAD_STREAM..).zip(linears) {
        let values = uniform(rows * width + rows, 1.0 / (width as f64).sqrt(), seed, stream);
        let (weight, bias) = values.split_at(rows * width);
        all.push((
            format!("cls_decoder.{name}.weight"),
            Tensor::from_slice(weight, (rows, width), &Device::Cpu)?,
        ));
        all.push((format!("cls_decoder.{name}.bias"), Tensor::from_slice(bias, rows, &Device::Cpu)?));
    }
    for name in ["_decoder.2", "_decoder.5"] {
        all.push((
            format!("cls_decoder.{name}.weight"),
            Tensor::ones(width, candle_core::DType::F32, &Device::Cpu)?,
        ));
        all.push((
            format!("cls_decoder.{name}.bias"),
            Tensor::zeros(width, candle_core::DType::F32, &Device::Cpu)?,
        ));
    }
    Ok(all)
}

/// Streams of heads begin behind those of bodies.
const HEAD_STREAM: u64 = 1 << 32;

fn uniform(n: usize, bound: f64, seed: u64, stream: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    let mut draw = || (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
    (0..n).map(|_| ((2.0 * draw() - 1.0) * bound) as f32).collect()
}
