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
mod linear;
mod norm;
mod packing;
mod simd;
mod softmax;
#[cfg(test)]
pub(crate) mod testing;

pub use activation::Activation;
pub use attention::{AttentionParams, attention, attention_weights, attention_with_dropout, cross_attention};
pub use cross_entropy::{cross_entropy, weighted_cross_entropy};
pub use dropout::{Dropout, Site, TrainingStep};
pub use embedding::embedding;
pub use encoder_layer::{EncoderLayer, LayerDropout, NormOrder, Projection};
pub use feed_forward::FeedForward;
pub use linear::Linear;
pub use norm::LayerNorm;
pub use packing::Packing;
#[cfg(test)]
pub(crate) use simd::every_arch;
pub use softmax::softmax;
