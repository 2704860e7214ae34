//! Golden values: what the reference tools compute, written once, with a stated tolerance.

mod classifiers;
mod eval;
mod fm;
mod graph;
mod io;
mod kmeans;
mod llm;
mod prep;
mod protocol;
mod report;
