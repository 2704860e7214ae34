//! What the reference implementations compute from the same weights.

pub(crate) mod compare;
pub(crate) mod geneformer;
mod scfoundation;
pub(crate) mod scgpt;
mod sizes;
