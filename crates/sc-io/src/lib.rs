//! AnnData in memory, `.h5ad` files and 10x folders on disk.
//!
//! The first step of the flow: **read** ► qc · normalise · select ► reduce · cluster ► embed ► annotate ►
//! evaluate ► report.

pub mod matrix;

pub use matrix::{Csc, Csr, InvalidSparse, Matrix};
