//! AnnData in memory, `.h5ad` files and 10x matrices on disk.
//!
//! The first step of the flow: **read** ► qc · normalise · select ► reduce · cluster ► embed ► annotate ►
//! evaluate ► report.
//!
//! [`open`] reads whatever is at a path; [`AnnData`] holds it, with every slot checked against the two axes;
//! [`h5ad::write()`] writes it back. Values are single precision, names are scanpy's.
//!
//! ```
//! use sc_io::Matrix;
//!
//! let adata = sc_io::datasets::pbmc68k_reduced();
//! let Some(Matrix::Csr(counts)) = adata.x() else { panic!("sparse by row") };
//! let total: f32 = counts.values().iter().sum();
//! assert_eq!((adata.n_obs(), adata.n_vars(), total), (700, 765, 486_651.0));
//!
//! let error = adata.obs().column("bulk_label").unwrap_err();
//! assert!(error.to_string().contains("did you mean \"bulk_labels\"?"));
//! # Ok::<(), sc_io::Error>(())
//! ```

pub mod address;
pub mod anndata;
pub mod atomic;
pub mod datasets;
pub mod delimited;
mod error;
pub mod expression;
#[cfg(feature = "fetch")]
pub mod fetch;
pub mod frame;
pub mod h5ad;
mod hdf5;
pub mod keys;
pub mod matrix;
pub mod named_matrix;
pub mod nearest;
mod open;
#[cfg(feature = "rds")]
pub mod rds;
pub mod row_store;
pub mod tenx;

pub use anndata::{AnnData, Value};
pub use error::{Error, Problem, Result};
pub use expression::{Counts, NotCounts};
pub use frame::{Categorical, Column, DataFrame};
pub use matrix::{Csc, Csr, InvalidSparse, Matrix};
pub use open::open;

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
