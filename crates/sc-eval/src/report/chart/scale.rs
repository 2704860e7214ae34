//! From values to places, and the values at which an axis is marked.

use crate::report::number;
use crate::report::section::Axis;

/// An axis that knows its ends.
pub(super) struct Scale {
    low: f64,
    high: f64,
    log: bool,
    /// Places of the two ends.
    from: f64,
    to: f64,
}

impl Scale {
    /// The scale of an axis over its values, between two places.
    ///
    /// An axis with one value, or none, gets room around it.
    pub(super) fn new(axis: &Axis, values: impl Iterator<Item = f64>, (from, to): (f64, f64)) -> Self {
        let log = axis.log;
        let usable = |value: &f64| value.is_finite() && (*value > 0.0 || !log);
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(usable) {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = if log { (1.0, 10.0) } else { (0.0, 1.0) };
        }
        let [mut low, mut high] = axis.range.unwrap_or([low, high]);
        if low == high {
            let (below, above) = if log { (low / 2.0, low * 2.0) } else { (low - 0.5, low + 0.5) };
            // A value too large for its neighbours to differ from it.
            (low, high) = if below < above { (below, above) } else { (0.0, 1.0) };
        } else if axis.range.is_none() && !log {
            let room = (high - low) * 0.05;
            (low, high) = match low >= 0.0 && high <= 1.0 {
                true => ((low - room).max(0.0), (high + room).min(1.0)),
                false => (low - room, high + room),
            };
        }
        Self { low, high, log, from, to }
    }

    /// Place of a value; `None` where the axis has none, or it lies outside.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        let slack = (self.high - self.low) * 1e-9;
        let inside = value >= self.low - slack && value <= self.high + slack;
        (inside && (value > 0.0 || !self.log)).then(|| self.at(value))
    }

    /// Place of a value, moved to the nearer end if it lies outside.
    pub(super) fn clamped(&self, value: f64) -> f64 {
        self.at(value.clamp(self.low, self.high))
    }

    /// The ends.
    pub(super) fn ends(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    fn at(&self, value: f64) -> f64 {
        let share = match self.log {
            true => {
                (libm::log10(value) - libm::log10(self.low))
                    / (libm::log10(self.high) - libm::log10(self.low))
            }
            false => (value - self.low) / (self.high - self.low),
        };
        self.from + share * (self.to - self.from)
    }

    /// Values to mark, with their texts.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        if self.log { self.log_ticks() } else { self.linear_ticks() }
    }

    fn linear_ticks(&self) -> Vec<(f64, String)> {
        let rough = (self.high - self.low) / 6.0;
        let magnitude = libm::pow(10.0, libm::floor(libm::log10(rough)));
        let step =
            [1.0, 2.0, 5.0, 10.0].map(|m| m * magnitude).into_iter().find(|&step| step >= rough * 0.999);
        let step = step.unwrap_or(rough);
        let first = (self.low / step - 1e-9).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        let decimals = (0..12_u32).find(|&d| is_whole(step * libm::pow(10.0, f64::from(d)))).unwrap_or(12);
        let text = |value: f64| match decimals {
            0 => number::signed_count(value),
            d => format!("{:.*}", d as usize, value + 0.0),
        };
        (first..=last).take(12).map(|i| i as f64 * step).map(|value| (value, text(value))).collect()
    }

    fn log_ticks(&self) -> Vec<(f64, String)> {
        let (first, last) =
            (libm::floor(libm::log10(self.low)) as i32, libm::ceil(libm::log10(self.high)) as i32);
        let inside = |value: &f64| *value >= self.low * 0.999 && *value <= self.high * 1.001;
        let of = |steps: &'static [f64]| -> Vec<f64> {
            let decades = (first..=last).flat_map(|decade| {
                let unit = libm::pow(10.0, f64::from(decade));
                steps.iter().map(move |step| step * unit)
            });
            decades.filter(inside).collect()
        };
        let mut values = of(&[1.0, 2.0, 5.0]);
        if values.len() > 7 {
            values = of(&[1.0]);
        }
        if values.len() > 7 {
            values = values.iter().step_by(values.len().div_ceil(7)).copied().collect();
        }
        if values.len() < 2 {
            values = vec![self.low, self.high];
        }
        values.into_iter().map(|value| (value, log_text(value))).collect()
    }
}

fn is_whole(value: f64) -> bool {
    (value - value.round()).abs() < 1e-6
}

fn log_text(value: f64) -> String {
    if (1.0..1e9).contains(&value) && is_whole(value) {
        return number::signed_count(value);
    }
    if (1e-4..1e9).contains(&value) {
        // Three digits, without zeros at the end.
        let decimals = (2 - libm::floor(libm::log10(value)) as i32).clamp(0, 8) as usize;
        let text = format!("{value:.decimals$}");
        return match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => text,
        };
    }
    format!("{value:.0e}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(axis: Axis, values: &[f64]) -> Vec<String> {
        let scale = Scale::new(&axis, values.iter().copied(), (0.0, 100.0));
        scale.ticks().into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(ticks(Axis::share("x"), &[]), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(ticks(Axis::log("x"), &[10.0, 1_000.0]).join(" "), "10 20 50 100 200 500 1\u{a0}000");
        assert_eq!(ticks(Axis::log("x"), &[0.01, 1_000_000.0]).len(), 5);
        assert_eq!(ticks(Axis::log("x"), &[0.02, 0.03]), ["0.02", "0.03"]);
        assert_eq!(ticks(Axis::new("x"), &[-3.0, 7.0]), ["-2", "0", "2", "4", "6"]);
    }

    #[test]
    fn every_set_of_values_has_a_scale() {
        for values in [&[][..], &[5.0], &[f64::NAN, f64::INFINITY], &[1e300], &[-1e300, 1e300], &[0.0, 0.0]] {
            for log in [false, true] {
                let axis = Axis { log, ..Axis::new("x") };
                let scale = Scale::new(&axis, values.iter().copied(), (10.0, 20.0));
                for (value, _) in scale.ticks() {
                    let place = scale.clamped(value);
                    assert!((9.99..=20.01).contains(&place), "{values:?} {log}: {value} at {place}");
                }
            }
        }
    }

    #[test]
    fn a_logarithmic_axis_gives_each_decade_the_same_room() {
        let scale = Scale::new(&Axis::log("x"), [1.0, 100.0].into_iter(), (0.0, 100.0));
        assert!((scale.place(10.0).unwrap() - 50.0).abs() < 1e-9);
        assert_eq!(scale.place(0.0), None);
        assert_eq!(scale.place(1_000.0), None);
    }
}
