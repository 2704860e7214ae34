//! Stacked bars, each as long as the others: shares of a group.

use super::svg::{Hold, Svg};
use crate::report::figures::text::fit;
use crate::report::number;
use crate::report::section::Bars;

const WIDTH: f64 = 640.0;
const LEFT: f64 = 186.0;
const RIGHT: f64 = WIDTH - 78.0;
const TOP: f64 = 6.0;
/// From one bar to the next, and the height of a bar.
const STEP: f64 = 22.0;
const THICK: f64 = 15.0;

/// The drawing of some bars, with a name for those who do not see it.
pub(in crate::report) fn bars(bars: &Bars, label: &str) -> String {
    let foot = TOP + STEP * bars.bars.len() as f64;
    let mut svg = Svg::new((WIDTH, foot + 24.0), label);
    let place = |share: f64| LEFT + (RIGHT - LEFT) * share;
    for (share, text) in [(0.0, "0 %"), (0.25, ""), (0.5, "50 %"), (0.75, ""), (1.0, "100 %")] {
        svg.line("grid", (place(share), TOP), (place(share), foot));
        svg.text((place(share), foot + 16.0), Hold::Middle, text);
    }
    for (i, (name, counts)) in bars.bars.iter().zip(bars.counts.rows()).enumerate() {
        let top = TOP + STEP * i as f64 + (STEP - THICK) / 2.0;
        svg.text((LEFT - 8.0, top + THICK - 3.5), Hold::End, &fit(name, 12, LEFT - 12.0));
        let total = counts.sum();
        svg.text((WIDTH - 2.0, top + THICK - 3.5), Hold::End, &number::cells(total as usize));
        let mut before = 0.0;
        for ((part, tone), &n) in bars.parts.iter().zip(counts).filter(|(_, n)| **n > 0.0) {
            let (from, to) = (place(before / total), place((before + n) / total));
            let title = format!("{name}, {part}: {} of {}", n, number::cells(total as usize));
            svg.rect(&format!("part {}", tone.class()), (from, top), ((to - from).max(0.5), THICK), &title);
            before += n;
        }
    }
    svg.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::section::Tone;

    #[test]
    fn parts_fill_the_bar_in_their_order_and_an_empty_group_has_none() {
        let mut some =
            Bars::new("label", [("right", Tone::Right), ("a<b", Tone::Open), ("wrong", Tone::Wrong)]);
        some.bar("T", &[1, 0, 3]);
        some.bar("none", &[]);
        let markup = bars(&some, "shares");
        assert_eq!(markup.matches("<rect").count(), 2);
        let quarter = (RIGHT - LEFT) / 4.0;
        assert!(markup.contains(&format!("class=\"part right\" x=\"{LEFT:.1}\"")), "{markup}");
        let (at, width) = (LEFT + quarter, 3.0 * quarter);
        assert!(
            markup.contains(&format!("class=\"part wrong\" x=\"{at:.1}\" y=\"9.5\" width=\"{width:.1}\""))
        );
        assert!(!markup.contains("NaN") && markup.contains("T, wrong: 3 of 4\u{a0}cells"), "{markup}");
    }
}
