//! From the stored entries of one cell to what a model takes in.

pub mod bins;
pub mod rank;
pub mod vocabulary;
