//! Curves, calibration, selective risk, open-set scores, tests and splits by group against scikit-learn and scipy; see
//! `scores/PROVENANCE.md`.

mod calibration;
mod curves;
mod multiclass;
mod splits;
mod statistics;

/// The tolerance for what goes through logarithms or long sums.
const CLOSE: f64 = 1e-9;
