//! Training: which tensors are trained, how they change at each step, and what is minimised.
//!
//! A model is trained where it stands: [`Variables::of`] turns tensors of [`Weights`](crate::checkpoint::Weights) into
//! variables, and the model that is built of these weights sees every step of the optimizer. A [`Task`] says what is
//! minimised over which items, and a [`Trainer`] takes it through epochs, with a state on disk to go on from.
//!
//! ```
//! use candle_core::Device;
//! use sc_fm::models::{Geneformer, GeneformerConfig, Layer, TokenBatch, geneformer::InputFormat};
//! use sc_fm::nn::gemm::Precision;
//! use sc_fm::train::{Adam, AdamParams, Gradients, Trainable, Variables, loss};
//!
//! let config: GeneformerConfig = serde_json::from_str(
//!     r#"{"model_type": "bert", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
//!         "intermediate_size": 16, "vocab_size": 10, "max_position_embeddings": 6, "hidden_act": "relu"}"#,
//! )?;
//! let mut weights = Geneformer::random_weights(&config, 0, &Device::Cpu)?;
//! let variables = Variables::of(&mut weights, |name| Trainable::All.includes(name))?;
//! let model = Geneformer::from_weights(config, InputFormat::V1, &mut weights, Precision::default())?;
//! let mut optimizer = Adam::new(&variables, AdamParams::adamw(0.01))?;
//!
//! // The second gene of three is masked (token 1): which was it?
//! let batch = TokenBatch::new(&[[5, 1, 7]]);
//! let mut losses = vec![];
//! for _ in 0..5 {
//!     let last = model.forward(&batch, Layer::Last)?;
//!     let loss = loss::cross_entropy(&model.mlm_logits(&last)?, &[None, Some(6), None], None)?;
//!     losses.push(loss.to_scalar::<f32>()?);
//!     let mut gradients = Gradients::of(&loss, &variables)?;
//!     gradients.clip_norm(1.0);
//!     optimizer.step(&variables, &gradients, 1e-2)?;
//! }
//! assert!(losses[4] < losses[0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod adam;
mod error;
mod fingerprint;
mod gradients;
mod history;
mod loop_params;
pub mod loss;
mod memory;
mod progress;
mod sampler;
mod schedule;
mod state;
mod trainable;
mod trainer;
mod variables;

pub use adam::{Adam, AdamParams};
pub use error::Error;
pub use fingerprint::{Fingerprint, hash_tensors};
pub(crate) use fingerprint::{hash_tokens, hex};
pub use gradients::Gradients;
pub use history::{EpochRecord, Scores, Select};
pub use loop_params::LoopParams;
pub(crate) use memory::MemoryPlan;
pub use progress::{TrainProgress, unwatched};
pub(crate) use sampler::below;
pub use schedule::{Decline, Schedule, Warmup};
pub use trainable::Trainable;
pub use trainer::{At, Outcome, Task, Trainer, Watch};
pub(crate) use trainer::{backward, checkpointed};
pub use variables::Variables;
