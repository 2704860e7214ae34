//! Numbers as text: the same in every rendering, a point for the decimals whatever the locale.

/// A score as a share with three decimals.
pub(super) fn score(value: f64) -> String {
    format!("{value:.3}")
}

/// A share in percent with one decimal.
pub(super) fn percent(value: f64) -> String {
    format!("{:.1} %", value * 100.0)
}

/// A duration in seconds, to about three digits.
pub(super) fn seconds(value: f64) -> String {
    match value {
        v if v >= 99.95 => format!("{v:.0}"),
        v if v >= 9.995 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

/// A p value.
pub(super) fn p(value: f64) -> String {
    if value < 0.001 { "< 0.001".to_owned() } else { format!("{value:.3}") }
}

/// A whole number with thousands set apart by a no-break space.
pub(super) fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{a0}');
        }
        out.push(digit);
    }
    out
}

/// A whole number that may be below zero; decimals are rounded away.
pub(super) fn signed_count(value: f64) -> String {
    let magnitude = count(value.abs().round() as usize);
    if value <= -0.5 { format!("-{magnitude}") } else { magnitude }
}

/// "1 cell", "2 638 cells".
pub(super) fn cells(n: usize) -> String {
    format!("{}\u{a0}{}", count(n), if n == 1 { "cell" } else { "cells" })
}

/// "a", "a and b", "a, b and c".
pub(super) fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([0.004, 1.234, 12.34, 124.7].map(seconds), ["0.00", "1.23", "12.3", "125"]);
        assert_eq!([0.0004, 0.0213, 1.0].map(p), ["< 0.001", "0.021", "1.000"]);
        assert_eq!(
            [0, 999, 1_000, 2_638, 1_234_567].map(count).join(" ").replace('\u{a0}', "_"),
            "0 999 1_000 2_638 1_234_567"
        );
        assert_eq!(percent(0.9507), "95.1 %");
        assert_eq!(cells(1), "1\u{a0}cell");
        assert_eq!(list(&["a".into(), "b".into(), "c".into()]), "a, b and c");
    }
}
