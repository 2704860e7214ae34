//! The layers that every model here is made of, each once.
//!
//! Hidden states are matrices of `rows × width`: the tokens of all cells one after another, without padding, with a
//! [`Packing`] that says where each cell begins. Only [`attention`] looks at the packing, so a cell's result cannot
//! depend on its neighbours.

mod activation;
mod attention;
mod cpu;
mod cross_entropy;
mod dropout;
mod embedding;
mod encoder_layer;
mod feed_forward;
pub(crate) mod gather;
pub mod gemm;
mod kv_cache;
mod linear;
mod norm;
mod packing;
mod rotary;
mod simd;
mod softmax;
mod sum;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use activation::Activation;
pub use attention::{
    AttentionParams, CausalAttention, Group, Query, Relative, Run, attend, attention, attention_weights,
    attention_with_dropout, causal_attention, cross_attention,
};
pub use cross_entropy::{cross_entropy, weighted_cross_entropy};
pub use dropout::{Dropout, Site, TrainingStep};
pub use embedding::embedding;
pub use encoder_layer::{EncoderLayer, LayerDropout, NormOrder, Projection};
pub use feed_forward::{FeedForward, feed_forward};
pub use kv_cache::{CacheRows, KvCache, cached_attention};
pub use linear::Linear;
pub use norm::{LayerNorm, RmsNorm};
pub use packing::Packing;
pub use rotary::{Rotary, Turns};
#[cfg(test)]
pub(crate) use simd::every_arch;
pub use softmax::{log_sum_exp, softmax};
pub use sum::sum;
