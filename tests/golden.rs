//! Golden values: what the reference tools compute, written once, with a stated tolerance.

mod eval;
mod graph;
mod io;
mod prep;
mod report;
