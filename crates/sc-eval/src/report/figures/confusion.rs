//! A confusion matrix: rows are labels, columns what the cells were called.

use super::canvas::{Anchor, Canvas};
use super::palette::{self, INK, MUTED, RULE};
use super::text::{fit, width};
use crate::metrics::classification::ConfusionMatrix;
use crate::report::number::count as thousands;

/// Longest name that is written out.
const NAME: f64 = 210.0;
/// Sine of 45 degrees, at which the names of the columns stand.
const SLOPE: f64 = std::f64::consts::FRAC_1_SQRT_2;
/// The picture's extent with as many classes as there may be.
const LARGEST: f64 = 2_400.0;
/// Sides of a square below which names, or lines between squares, would only be a blur.
const LEGIBLE: f64 = 14.0;
const APART: f64 = 6.0;

/// The matrix of one model; the colour of a square is its share of the row, right answers blue, wrong ones orange.
pub(crate) fn confusion(
    model: &str,
    classes: &[String],
    counts: &ConfusionMatrix,
) -> Result<Vec<u8>, String> {
    let n = classes.len();
    let side = (620.0 / n as f64).clamp(22.0, 54.0).min(LARGEST / n as f64);
    let named: &[String] = if side >= LEGIBLE { classes } else { &[] };
    let size = if side < 24.0 { 11 } else { 13 };
    let widest = |names: &[String]| names.iter().map(|c| width(c, size)).fold(0.0, f64::max).min(NAME);
    let left = 64.0 + widest(named);
    let top = 84.0 + widest(named) * SLOPE;
    let extent = n as f64 * side;
    let overhang = named.last().map_or(0.0, |last| width(last, size).min(NAME) * SLOPE);
    let total = (left + extent + overhang.max(40.0) + 40.0).max(480.0);
    let mut canvas = Canvas::new(total, top + extent + 52.0);
    let (right, all) = (counts.correct() as usize, counts.total() as usize);
    canvas.bold((28.0, 34.0), &fit(model, 17, total - 56.0), 18, Anchor::Start, INK);
    let subtitle =
        format!("{} of {} cells right; colour: share of the row", thousands(right), thousands(all));
    canvas.text((28.0, 56.0), &subtitle, 13, Anchor::Start, MUTED);
    canvas.rect((left, top), extent, extent, [250, 251, 252]);
    for i in 0..n {
        squares(&mut canvas, counts.row(i), i, side, (left, top + i as f64 * side));
    }
    for (i, name) in named.iter().enumerate() {
        let middle = (i as f64 + 0.5) * side;
        let name = fit(name, size, NAME);
        canvas.turned((left + middle + 3.0, top - 7.0), &name, size, -45.0, Anchor::Start);
        canvas.text((left - 12.0, top + middle + 4.5), &name, size, Anchor::End, INK);
        let support = thousands(counts.row(i).iter().sum::<u64>() as usize);
        canvas.text((left + extent + 10.0, top + middle + 4.5), &support, size - 1, Anchor::Start, MUTED);
    }
    let step = if side >= APART { 1 } else { n };
    for i in (0..=n).step_by(step) {
        let at = i as f64 * side;
        canvas.line((left, top + at), (left + extent, top + at), 1.0, RULE, None);
        canvas.line((left + at, top), (left + at, top + extent), 1.0, RULE, None);
    }
    canvas.turned((34.0, top + extent / 2.0), "label", 13, -90.0, Anchor::Middle);
    canvas.text((left + extent / 2.0, top + extent + 28.0), "called", 13, Anchor::Middle, INK);
    canvas.png()
}

/// One row; a count of zero is left to the ground.
fn squares(canvas: &mut Canvas, row: &[u64], truth: usize, side: f64, (left, top): (f64, f64)) {
    let total = row.iter().sum::<u64>() as f64;
    for (called, &count) in row.iter().enumerate().filter(|&(_, &count)| count > 0) {
        let share = count as f64 / total;
        let fill = if called == truth { palette::right(share) } else { palette::wrong(share) };
        let x = left + called as f64 * side;
        canvas.rect((x, top), side, side, fill);
        let text = count.to_string();
        let size = if side > 34.0 { 13 } else { 10 };
        if width(&text, size) + 2.0 <= side {
            let at = (x + side / 2.0, top + side / 2.0 + f64::from(size) * 0.36);
            canvas.text(at, &text, size, Anchor::Middle, palette::on(fill));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_of_any_size_is_drawn() {
        for n in [2usize, 30, 400] {
            let mut counts = vec![0; n * n];
            for class in 0..n {
                counts[class * n + class] = 50;
                counts[class * n + (class * 7 + 1) % n] += 3;
            }
            let counts = ConfusionMatrix::from_counts(n, counts).unwrap();
            let classes: Vec<String> = (0..n).map(|i| format!("type {i}")).collect();
            let png = confusion("model", &classes, &counts).unwrap();
            assert_eq!(&png[1..4], b"PNG");
            let width = u32::from_be_bytes(png[16..20].try_into().unwrap());
            assert!((900..6_000).contains(&width), "{n}: {width}");
        }
    }
}
