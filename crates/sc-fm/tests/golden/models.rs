//! What the reference implementations compute from the same weights.

mod compare;
mod geneformer;
mod scfoundation;
mod scgpt;
mod sizes;
