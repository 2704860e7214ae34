//! A small decoder of random weights, to be trained from scratch on the cells at hand.

use candle_core::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde_json::json;

use super::{Base, Error};
use crate::Result;
use crate::tokenizer::Tokenizer;

/// The shape of a small decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmallParams {
    /// Number of layers. Default: 2.
    pub n_layers: usize,
    /// Values of a token; a multiple of twice the heads. Default: 64.
    pub width: usize,
    /// Heads of the attention. Default: 4.
    pub n_heads: usize,
    /// Most tokens of a text. Default: 1024.
    pub max_positions: usize,
    /// Length of the vocabulary at most, 258 at least; rarer words are spelled in bytes. Default: 20,000.
    pub max_tokens: usize,
    /// Seed of the weights. Default: 0.
    pub seed: u64,
}

impl Default for SmallParams {
    fn default() -> Self {
        Self { n_layers: 2, width: 64, n_heads: 4, max_positions: 1024, max_tokens: 20_000, seed: 0 }
    }
}

/// A tokeniser of the words of some texts, and a Qwen2 of random weights for it, whose head is its embedding.
///
/// * `texts`: prompts with their answers; of training cells alone, if others are to be judged by it.
///
/// Matrices are normal with variance 1 / inputs, norms are 1 and biases 0. The same texts and parameters give the same bits.
///
/// # Errors
/// [`Error::Small`]; those of [`Tokenizer::of_words`].
pub fn small_decoder<S: AsRef<str>>(texts: &[S], params: &SmallParams) -> Result<(Tokenizer, Base)> {
    let small = |field, found, expected| Error::Small { field, found, expected };
    for (field, found) in [
        ("n_layers", params.n_layers),
        ("width", params.width),
        ("n_heads", params.n_heads),
        ("max_positions", params.max_positions),
    ] {
        if !(1..=1 << 16).contains(&found) {
            return Err(small(field, found, "1 to 65,536").into());
        }
    }
    if !params.width.is_multiple_of(2 * params.n_heads) {
        return Err(small("width", params.width, "a multiple of twice the heads").into());
    }
    let tokenizer = Tokenizer::of_words(texts, params.max_tokens)?;
    let (width, inner) = (params.width, 2 * params.width);
    let eos = tokenizer.special().eos.first().copied();
    let config = json!({
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "vocab_size": tokenizer.n_tokens(),
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": params.n_layers,
        "num_attention_heads": params.n_heads,
        "num_key_value_heads": params.n_heads,
        "hidden_act": "silu",
        "max_position_embeddings": params.max_positions,
        "max_window_layers": params.n_layers,
        "use_sliding_window": false,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10_000.0,
        "tie_word_embeddings": true,
        "eos_token_id": eos,
        "bos_token_id": eos,
        "pad_token_id": tokenizer.special().pad,
        "torch_dtype": "float32",
    });
    let mut tensors = Vec::new();
    let mut put = |name: String, shape: &[usize]| -> Result<()> {
        let tensor = random(params.seed, tensors.len() as u64, &name, shape)?;
        tensors.push((name, tensor));
        Ok(())
    };
    put("model.embed_tokens.weight".to_owned(), &[tokenizer.n_tokens(), width])?;
    for layer in 0..params.n_layers {
        let name = |part: &str| format!("model.layers.{layer}.{part}");
        put(name("input_layernorm.weight"), &[width])?;
        put(name("post_attention_layernorm.weight"), &[width])?;
        for part in ["q", "k", "v"] {
            put(name(&format!("self_attn.{part}_proj.weight")), &[width, width])?;
            put(name(&format!("self_attn.{part}_proj.bias")), &[width])?;
        }
        put(name("self_attn.o_proj.weight"), &[width, width])?;
        put(name("mlp.gate_proj.weight"), &[inner, width])?;
        put(name("mlp.up_proj.weight"), &[inner, width])?;
        put(name("mlp.down_proj.weight"), &[width, inner])?;
    }
    put("model.norm.weight".to_owned(), &[width])?;
    Ok((tokenizer, Base::new(config, tensors)?))
}

/// A tensor with a stream of its own.
fn random(seed: u64, stream: u64, name: &str, shape: &[usize]) -> Result<Tensor> {
    if let [n] = shape {
        let value = f32::from(u8::from(name.ends_with("weight")));
        return Ok(Tensor::from_vec(vec![value; *n], shape, &Device::Cpu)?);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    let sd = 1.0 / (shape[1] as f64).sqrt();
    // Above 0 and at most 1.
    let mut uniform = || ((rng.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
    let mut normal = || {
        let (a, b) = (uniform(), uniform());
        (sd * (-2.0 * libm::log(a)).sqrt() * libm::cos(std::f64::consts::TAU * b)) as f32
    };
    let values = (0..shape.iter().product()).map(|_| normal()).collect::<Vec<f32>>();
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}
