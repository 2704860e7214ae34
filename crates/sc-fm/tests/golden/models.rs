//! What the reference implementations compute from the same weights.

pub(crate) mod compare;
mod geneformer;
mod scfoundation;
mod scgpt;
mod sizes;
