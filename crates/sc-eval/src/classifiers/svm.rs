//! Support vector machines: linear (one against the rest) and with a radial basis kernel (one against one).

mod linear;
mod platt;
mod rbf;
mod smo;

pub use linear::{LinearSvm, LinearSvmParams};
pub use rbf::{RbfSvm, RbfSvmParams};
