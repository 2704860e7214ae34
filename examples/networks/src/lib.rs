//! What the programs that run networks share. They are a package of their own, so that the others build without the
//! tensor library.

mod baselines;
pub mod end;
pub mod foundation;
mod genes;
mod lines;
pub mod llm;
mod memory;
pub mod pool;
pub mod pretraining;
pub mod reasoner;
mod small;
mod waits;
mod weights;
