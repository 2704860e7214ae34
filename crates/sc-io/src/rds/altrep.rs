//! Vectors that R stores as a recipe, made into vectors.

use super::error::Damage;
use super::object::{NA_INTEGER, Object, Str, Value};
use super::source::{Parsed, Source};

/// * `class`: the pairs of class, package and type; `state`: what the class needs.
pub(super) fn expanded(source: &mut Source<'_>, class: &Object, state: Object) -> Parsed<Object> {
    let name = match &class.value {
        Value::Pairs(pairs) => match pairs.first() {
            Some((_, Object { value: Value::Symbol(name), .. })) => &**name,
            _ => "",
        },
        _ => "",
    };
    match name {
        "compact_intseq" => {
            let (n, start, step) = sequence(source, &state, 4)?;
            let at = |i: usize| start + i as f64 * step;
            if [0, n.saturating_sub(1)].map(at).iter().any(|x| x.abs() > f64::from(i32::MAX)) {
                return Err(damaged("a sequence of integers"));
            }
            Ok(Value::Integer((0..n).map(|i| at(i) as i32).collect()).into())
        }
        "compact_realseq" => {
            let (n, start, step) = sequence(source, &state, 8)?;
            Ok(Value::Real((0..n).map(|i| start + i as f64 * step).collect()).into())
        }
        "deferred_string" => {
            let numbers = first(state).ok_or_else(|| damaged("a vector of numbers as strings"))?;
            source.charge(numbers.len().saturating_mul(size_of::<Str>() + 16))?;
            let strings = match numbers.value {
                Value::Integer(v) => {
                    v.iter().map(|&x| (x != NA_INTEGER).then(|| x.to_string().into())).collect()
                }
                Value::Real(v) => v.iter().map(|&x| (!is_na(x)).then(|| real_as_text(x).into())).collect(),
                _ => return Err(damaged("a vector of numbers as strings")),
            };
            Ok(Value::Strings(strings).into())
        }
        "wrap_integer" | "wrap_real" | "wrap_string" | "wrap_logical" | "wrap_list" | "wrap_complex"
        | "wrap_raw" => first(state).ok_or_else(|| damaged("a wrapped vector")),
        other => Err(Damage::Refused { what: format!("a vector of the class {other:?}") }),
    }
}

fn damaged(what: &'static str) -> Damage {
    Damage::Value { what, found: "of another form".to_owned(), expected: "the form that R writes" }
}

/// The first part of a state, which is a pair or a list of two.
fn first(state: Object) -> Option<Object> {
    match state.value {
        Value::Pairs(pairs) => pairs.into_iter().next().map(|(_, object)| object),
        Value::List(list) => list.into_iter().next(),
        _ => None,
    }
}

/// Length, first value and step; the memory is taken note of.
fn sequence(source: &mut Source<'_>, state: &Object, width: usize) -> Parsed<(usize, f64, f64)> {
    let wrong = || damaged("a sequence");
    let Value::Real(state) = &state.value else { return Err(wrong()) };
    let [n, start, step] = state[..] else { return Err(wrong()) };
    if !(0.0..=(1u64 << 48) as f64).contains(&n) || !start.is_finite() || step.abs() != 1.0 {
        return Err(wrong());
    }
    source.charge((n as usize).saturating_mul(width))?;
    Ok((n as usize, start, step))
}

/// R's NA among the reals is the NaN whose lower half is 1954.
fn is_na(x: f64) -> bool {
    x.is_nan() && x.to_bits() as u32 == 1954
}

/// A real number as `as.character` writes it: the fewest digits, up to 15, that give the number back to 15 digits; plain
/// where that is not wider than with an exponent.
fn real_as_text(x: f64) -> String {
    if x.is_nan() {
        return "NaN".to_owned();
    }
    if x.is_infinite() {
        return if x > 0.0 { "Inf" } else { "-Inf" }.to_owned();
    }
    if x == 0.0 {
        return "0".to_owned();
    }
    let with = |digits: usize| format!("{x:.digits$e}");
    let full = with(14);
    let shown = full.parse::<f64>().unwrap_or(x);
    let shortest = (0..14).map(with).find(|s| s.parse() == Ok(shown)).unwrap_or(full);
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let decimals = mantissa.split_once('.').map_or(0, |(_, d)| d.len() as i32);
    let plain = format!("{x:.*}", (decimals - exponent).max(0) as usize);
    let sign = if exponent < 0 { '-' } else { '+' };
    let scientific = format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs());
    if plain.len() <= scientific.len() { plain } else { scientific }
}

#[cfg(test)]
mod tests {
    use super::real_as_text;

    #[test]
    fn numbers_are_written_as_r_writes_them() {
        let cases = [
            (1.0, "1"),
            (0.1, "0.1"),
            (100_000.0, "1e+05"),
            (123_456.0, "123456"),
            (1.0 / 3.0, "0.333333333333333"),
            (0.0001, "1e-04"),
            (0.00012, "0.00012"),
            (-2.5e-10, "-2.5e-10"),
            (1e15, "1e+15"),
            (1_234_567_890_123.0, "1234567890123"),
            (f64::NEG_INFINITY, "-Inf"),
        ];
        for (x, expected) in cases {
            assert_eq!(real_as_text(x), expected);
        }
    }
}
