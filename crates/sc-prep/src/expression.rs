//! What a matrix holds, as a type: raw counts or log-normalised expression. Each is proven in one pass.
//!
//! A step that needs counts takes [`Counts`], a step that needs logarithms takes [`LogNormalized`]; the wrong one does
//! not compile.

mod log_normalized;

pub use log_normalized::LogNormalized;
pub use sc_io::Counts;
pub(crate) use sc_io::expression::first_offender;
