//! A reliability diagram: right answers by confidence, with the number of cells in each bin below.

use super::scale::Scale;
use super::svg::{Hold, Svg};
use crate::report::number;
use crate::report::section::{Axis, ReliabilityCurve};

const WIDTH: f64 = 268.0;
const HEIGHT: f64 = 306.0;
const LEFT: f64 = 46.0;
const TOP: f64 = 8.0;
const SIDE: f64 = 212.0;
/// The bars of the counts: their lower end and their greatest height.
const FOOT: f64 = HEIGHT - 38.0;
const BARS: f64 = 34.0;

/// The diagram of one model.
pub(in crate::report) fn reliability(curve: &ReliabilityCurve) -> String {
    let label = format!("Reliability of {}: expected calibration error {:.3}", curve.name, curve.ece);
    let mut svg = Svg::new((WIDTH, HEIGHT), &label);
    let axis = Axis::share("");
    let x = Scale::new(&axis, std::iter::empty(), (LEFT, LEFT + SIDE));
    let y = Scale::new(&axis, std::iter::empty(), (TOP + SIDE, TOP));
    for (value, text) in [(0.0, "0"), (0.25, ""), (0.5, "0.5"), (0.75, ""), (1.0, "1")] {
        let at = y.clamped(value);
        svg.line("grid", (LEFT, at), (LEFT + SIDE, at));
        svg.text((LEFT - 6.0, at + 4.0), Hold::End, text);
        svg.text((x.clamped(value), FOOT + 16.0), Hold::Middle, text);
    }
    svg.line("base", (x.clamped(0.0), y.clamped(0.0)), (x.clamped(1.0), y.clamped(1.0)));
    let bins = || curve.bins.iter().filter(|bin| bin.n > 0);
    let most = bins().map(|bin| bin.n).max().unwrap_or(1) as f64;
    let mut points = Vec::new();
    for bin in bins() {
        let (low, high) = (x.clamped(bin.low), x.clamped(bin.high));
        // A bin of few cells is still a line that can be seen.
        let height = (BARS * bin.n as f64 / most).max(1.0);
        let count = number::cells(bin.n);
        svg.rect("count", (low + 0.5, FOOT - height), ((high - low - 1.0).max(0.5), height), &count);
        points.push((x.clamped(bin.confidence), y.clamped(bin.accuracy)));
    }
    svg.line("axis", (LEFT, FOOT), (LEFT + SIDE, FOOT));
    svg.path("line c0 d0", &points, false);
    for (&at, bin) in points.iter().zip(bins()) {
        let (sure, right) = (number::percent(bin.confidence), number::percent(bin.accuracy));
        let title = format!("{}: {sure} sure on average, {right} right", number::cells(bin.n));
        svg.dot("dot c0 d0", at, 3.2, &title);
    }
    svg.text((LEFT + SIDE / 2.0, HEIGHT - 6.0), Hold::Middle, "confidence");
    svg.upright((11.0, TOP + SIDE / 2.0), "share right");
    svg.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::section::ReliabilityBin;

    #[test]
    fn empty_bins_are_left_out_and_full_ones_lie_at_their_confidence() {
        let bin =
            |low, n, confidence, accuracy| ReliabilityBin { low, high: low + 0.5, n, confidence, accuracy };
        let bins = vec![bin(0.0, 0, f64::NAN, f64::NAN), bin(0.5, 8, 0.75, 0.5)];
        let markup = reliability(&ReliabilityCurve { name: "a<b".into(), bins, ece: 0.25 });
        assert!(!markup.contains("NaN") && markup.contains("a&lt;b: expected calibration error 0.250"));
        assert!(markup.contains("cx=\"205.0\" cy=\"114.0\""), "{markup}");
        assert_eq!(markup.matches("<rect").count(), 1);
    }
}
