//! Whether probabilities mean what they say: of the cells called with 80 % confidence, are 80 % right?
//!
//! [`top_label`] turns probabilities into the confidence of each answer and whether it is right; everything else starts
//! from there, or from all classes.
//!
//! ```
//! use ndarray::array;
//! use sc_eval::metrics::calibration::{ReliabilityParams, expected_calibration_error};
//!
//! let p = array![[0.9f32, 0.1], [0.9, 0.1], [0.2, 0.8], [0.4, 0.6]];
//! let ece = expected_calibration_error(&[0, 0, 1, 0], p.view(), &ReliabilityParams::default())?;
//! // Two cells at 0.9 are right (gap 0.1), one at 0.8 is (gap 0.2), one at 0.6 is not (gap 0.6).
//! assert!((ece - (2.0 * 0.1 + 0.2 + 0.6) / 4.0).abs() < 1e-7);
//! # Ok::<(), sc_eval::Error>(())
//! ```

mod brier;
mod error;
mod reliability;
mod temperature;

pub use brier::{BrierDecomposition, brier_decomposition};
pub use error::{classwise_calibration_error, expected_calibration_error, maximum_calibration_error};
pub use reliability::{
    BinStrategy, ReliabilityBin, ReliabilityParams, TopLabel, reliability_curve, top_label,
};
pub use temperature::TemperatureScaling;
