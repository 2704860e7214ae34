//! Numbers that say how good an annotation is. Definitions are scikit-learn's; each page says where one differs.

pub mod anomaly;
pub mod calibration;
pub mod classification;
pub mod clustering;
mod compute;
pub mod correlation;
pub mod integration;
mod math;
#[cfg(test)]
mod properties;
pub mod registry;
pub mod selective;
pub mod sequential;
