//! Golden values: what the reference tools compute, written once, with a stated tolerance.

mod classifiers;
mod cz;
mod eval;
mod graph;
mod integration;
mod io;
mod kmeans;
mod llm;
mod neural;
mod ontology;
mod prep;
mod protocol;
mod report;
mod scores;
mod trees;
