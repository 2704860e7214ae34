//! Golden values: what the reference tools compute, written once, with a stated tolerance.

mod classifiers;
mod cz;
mod eval;
mod fm;
mod graph;
mod integration;
mod io;
mod llm;
mod prep;
mod report;
