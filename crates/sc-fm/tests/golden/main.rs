//! What the reference implementations compute, on small models and on released files.

mod checkpoint;
mod models;
mod registry;
mod support;
mod tokenize;
