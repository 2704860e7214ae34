//! Small fully connected networks in `f32`, trained by Adam.
//!
//! A batch is worked in two parallel sweeps: forward and backward by blocks of cells, then gradient and Adam by blocks of
//! weights. Every sum has one owner and a fixed order, so the bits depend neither on threads nor on the SIMD width; all
//! products are fused (`mul_add`), which rounds the same with and without an instruction for it.

mod descent;
mod kernel;
mod layer;
mod network;
mod objective;
mod update;

pub(crate) use descent::{Descent, History, draw, rectified};
pub(crate) use layer::Layer;
pub(crate) use network::{Activation, Network, Source};
pub(crate) use objective::{Objective, logistic};

#[cfg(test)]
mod tests;
