//! AnnData in memory, `.h5ad` files and 10x folders on disk.
//!
//! The first step of the flow: **read** ► qc · normalise · select ► reduce · cluster ► embed ► annotate ►
//! evaluate ► report.

pub mod anndata;
pub mod atomic;
pub mod datasets;
pub mod delimited;
mod error;
pub mod frame;
pub mod h5ad;
mod hdf5;
pub mod keys;
pub mod matrix;
mod open;
pub mod tenx;

pub use anndata::{AnnData, Value};
pub use error::{Error, Problem, Result};
pub use frame::{Categorical, Column, DataFrame};
pub use matrix::{Csc, Csr, InvalidSparse, Matrix};
pub use open::open;
