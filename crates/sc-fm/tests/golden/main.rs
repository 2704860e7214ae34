//! What the reference implementations compute, on small models and on released files.

mod checkpoint;
mod support;
mod tokenize;
