//! How wide a text is in the font of the figures, and texts cut to fit.

/// Advance widths of the printable ASCII characters of DejaVu Sans, from space, in 1/2048 em.
const ADVANCES: [u16; 95] = [
    651, 821, 942, 1716, 1303, 1946, 1597, 563, 799, 799, 1024, 1716, 651, 739, 651, 690, 1303, 1303, 1303,
    1303, 1303, 1303, 1303, 1303, 1303, 1303, 690, 690, 1716, 1716, 1716, 1087, 2048, 1401, 1405, 1430, 1577,
    1294, 1178, 1587, 1540, 604, 604, 1343, 1141, 1767, 1532, 1612, 1235, 1612, 1423, 1300, 1251, 1499, 1401,
    2025, 1403, 1251, 1403, 799, 690, 799, 1716, 1024, 1024, 1255, 1300, 1126, 1300, 1260, 721, 1300, 1298,
    569, 569, 1186, 569, 1995, 1298, 1253, 1300, 1300, 842, 1067, 803, 1298, 1212, 1675, 1212, 1212, 1075,
    1303, 690, 1303, 1716,
];

/// Width of a text of a font size, in the unit of that size.
///
/// Exact for ASCII; any other character counts as one em, which is at least its width in this font.
pub(super) fn width(text: &str, size: u32) -> f64 {
    text.chars().map(|c| advance(c, size)).sum()
}

fn advance(c: char, size: u32) -> f64 {
    let units = match (c as usize).checked_sub(32).and_then(|at| ADVANCES.get(at)) {
        Some(&advance) => f64::from(advance),
        None => 2048.0,
    };
    units * f64::from(size) / 2048.0
}

/// A text on one line without control characters, cut with an ellipsis where it would be wider than `limit`.
pub(in crate::report) fn fit(text: &str, size: u32, limit: f64) -> String {
    let mut line = String::new();
    // Where to cut, should the text be too long: the last place that leaves room for the ellipsis.
    let (mut used, mut cut) = (0.0, 0);
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        used += advance(c, size);
        if used > limit {
            line.truncate(cut);
            line.truncate(line.trim_end().len());
            line.push('…');
            return line;
        }
        line.push(c);
        if used + advance('…', size) <= limit {
            cut = line.len();
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_to_the_width() {
        let name = "CD14+ monocytes of the peripheral blood";
        let cut = fit(name, 13, 120.0);
        assert!(cut.ends_with('…') && name.starts_with(cut.trim_end_matches('…')));
        assert!(width(&cut, 13) <= 120.0);
        assert_eq!(fit("B cells", 13, 120.0), "B cells");
        assert_eq!(fit(&"long ".repeat(1_000_000), 13, 50.0), "long l…");
        assert_eq!(fit("two\nlines", 13, 120.0), "two lines");
    }
}
