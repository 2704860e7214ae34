//! A figure with its interval.

use crate::statistics::Interval;

/// A figure and the interval that holds it with the stated confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// Percentile interval by resampling test cells.
    pub interval: Interval,
}

/// One figure for each of the scores that have intervals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimates {
    /// Of accuracy.
    pub accuracy: Estimate,
    /// Of balanced accuracy.
    pub balanced_accuracy: Estimate,
    /// Of macro F1.
    pub f1_macro: Estimate,
}

impl Estimates {
    /// Names and figures, in the order of the fields.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Estimate)> {
        let figures = [self.accuracy, self.balanced_accuracy, self.f1_macro];
        ["accuracy", "balanced_accuracy", "f1_macro"].into_iter().zip(figures)
    }

    pub(crate) fn from_array([accuracy, balanced_accuracy, f1_macro]: [Estimate; 3]) -> Self {
        Self { accuracy, balanced_accuracy, f1_macro }
    }
}
