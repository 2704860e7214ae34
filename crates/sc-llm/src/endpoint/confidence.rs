//! How sure a model is of the label it named.

use std::collections::BTreeMap;

use super::reply::Token;
use super::{ConfidenceFrom, FirstToken, LabelGroup};

/// How sure it is, and what that is taken from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Confidence {
    pub(super) value: f64,
    pub(super) from: ConfidenceFrom,
    pub(super) first: Option<FirstToken>,
}

/// The probability of the tokens in which the label stands: the product over the tokens that hold a part of it. Where the
/// server lists what else the first of them could have been, that one counts with the probability of its group of labels
/// among all groups, see [`FirstToken`]. None if the label is not found in the tokens, or a logarithm is no logarithm of a
/// probability.
///
/// * `said`: the label as the model wrote it; where it stands more than once, the last one counts, as reasoning comes first.
/// * `label`: its place in `labels`, which are all labels as an answer has them.
pub(super) fn of_label(
    tokens: &[Token],
    said: &str,
    (labels, label): (&[String], usize),
) -> Option<Confidence> {
    let text: Vec<u8> = tokens.iter().flat_map(|token| &token.bytes).copied().collect();
    let escaped = serde_json::to_string(said).ok()?;
    let quote = rfind(&text, escaped.as_bytes());
    let start = quote.map(|quote| quote + 1).or_else(|| rfind(&text, said.as_bytes()))?;
    let length = if text[start..].starts_with(said.as_bytes()) { said.len() } else { escaped.len() - 2 };
    let mut at = 0;
    let mut sum = 0.0;
    let mut first = None;
    for token in tokens {
        let (from, to) = (at, at + token.bytes.len());
        at = to;
        if from < start + length && to > start {
            let logprob = logarithm(token.logprob)?;
            // The bytes before the label, for the first token that has a part of it.
            match first {
                None => first = Some((token, &token.bytes[..start.saturating_sub(from)])),
                Some(_) => sum += logprob,
            }
        }
    }
    let (token, before) = first?;
    let in_json = quote.is_some();
    let whole = Confidence {
        value: f64::exp(sum + logarithm(token.logprob)?),
        from: ConfidenceFrom::Logprobs,
        first: None,
    };
    Some(match first_token(token, before, in_json, labels, label) {
        Some((first, share)) => {
            Confidence { value: share * f64::exp(sum), from: ConfidenceFrom::TopLogprobs, first: Some(first) }
        }
        None => whole,
    })
}

/// The groups of labels that a first token leads to, and the share of the group in which `label` is.
fn first_token(
    token: &Token,
    before: &[u8],
    in_json: bool,
    labels: &[String],
    label: usize,
) -> Option<(FirstToken, f64)> {
    if token.top.is_empty() {
        return None;
    }
    let labels: Vec<Vec<u8>> = labels.iter().map(|label| written(label, in_json)).collect();
    let mut groups: BTreeMap<Vec<usize>, f64> = BTreeMap::new();
    let mut own = None;
    let mut seen: Vec<&[u8]> = Vec::new();
    // The token itself first: some servers do not list it among the others.
    let itself = (&token.bytes, token.logprob);
    for (bytes, logprob) in std::iter::once(itself).chain(token.top.iter().map(|(bytes, p)| (bytes, *p))) {
        if seen.contains(&bytes.as_slice()) {
            continue;
        }
        let group: Vec<usize> = match begun(bytes, before) {
            Some(begun) => {
                (0..labels.len()).filter(|&label| leads_to(begun, &labels[label], in_json)).collect()
            }
            None => Vec::new(),
        };
        if seen.is_empty() {
            own = Some(group.clone()).filter(|group| group.contains(&label));
        }
        seen.push(bytes);
        if !group.is_empty() {
            *groups.entry(group).or_default() += f64::exp(logarithm(logprob)?);
        }
    }
    let own = own?;
    let sum: f64 = groups.values().sum();
    // What is more than certain was made up.
    if sum <= 0.0 || sum > 1.01 {
        return None;
    }
    let share = groups[&own] / sum;
    let mut groups: Vec<LabelGroup> =
        groups.into_iter().map(|(labels, p)| LabelGroup { labels, probability: p / sum }).collect();
    // Stable: of groups that are as probable, the first by its labels.
    groups.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    Some((FirstToken { groups, seen: sum.min(1.0) }, share))
}

/// A label as an answer has it.
fn written(label: &str, in_json: bool) -> Vec<u8> {
    let escaped = serde_json::to_string(label).unwrap_or_default();
    if in_json && escaped.len() >= 2 {
        escaped.as_bytes()[1..escaped.len() - 1].to_vec()
    } else {
        label.as_bytes().to_vec()
    }
}

/// What a token begins a label with that could stand in the place of one with `before` before the label. None if it leads
/// elsewhere.
fn begun<'t>(token: &'t [u8], before: &[u8]) -> Option<&'t [u8]> {
    if token.is_empty() {
        return None;
    }
    if before.trim_ascii().is_empty() {
        return Some(token.trim_ascii_start());
    }
    match token.strip_prefix(before) {
        Some(begun) => Some(begun),
        // It is a part of what comes before the label, which can be any.
        None if before.starts_with(token) => Some(&[]),
        None => None,
    }
}

fn leads_to(begun: &[u8], label: &[u8], in_json: bool) -> bool {
    if label.starts_with(begun) {
        return true;
    }
    begun.strip_prefix(label).is_some_and(|rest| match rest.first() {
        Some(b'"') => in_json,
        Some(b'\n' | b'\r' | b'.' | b',' | b'}' | b'<') => !in_json,
        _ => !in_json && rest.trim_ascii().is_empty(),
    })
}

/// The logarithm of a probability. Servers round: a little above nothing is nothing.
fn logarithm(value: f64) -> Option<f64> {
    if value.is_nan() || value > 1e-3 { None } else { Some(value.min(0.0)) }
}

fn rfind(text: &[u8], part: &[u8]) -> Option<usize> {
    if part.is_empty() {
        return None;
    }
    text.windows(part.len()).rposition(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str, p: f64) -> Token {
        Token { bytes: text.as_bytes().to_vec(), logprob: f64::ln(p), top: Vec::new() }
    }

    fn tokens(parts: &[(&str, f64)]) -> Vec<Token> {
        parts.iter().map(|&(text, p)| token(text, p)).collect()
    }

    fn with_top(token: Token, top: &[(&str, f64)]) -> Token {
        let top = top.iter().map(|&(text, p)| (text.as_bytes().to_vec(), f64::ln(p))).collect();
        Token { top, ..token }
    }

    fn alone(tokens: &[Token], said: &str) -> Option<f64> {
        let found = of_label(tokens, said, (&[said.to_owned()], 0));
        assert!(found.iter().all(|found| found.from == ConfidenceFrom::Logprobs && found.first.is_none()));
        found.map(|found| found.value)
    }

    #[test]
    fn only_the_tokens_of_the_label_count() {
        let plain = tokens(&[("T cell", 0.1), ("?", 0.1), (" T", 0.5), (" cell", 0.5), ("\n", 0.1)]);
        assert!((alone(&plain, "T cell").unwrap() - 0.25).abs() < 1e-12);
        let json =
            tokens(&[("{\"cell_type\":", 0.1), (" \"T", 0.5), (" \\\"x", 0.8), ("\\\"", 0.5), ("\"}", 0.3)]);
        assert!((alone(&json, "T \"x\"").unwrap() - 0.2).abs() < 1e-12);
        // A letter whose bytes are in two tokens.
        let part = |bytes: &[u8], logprob| Token { bytes: bytes.to_vec(), logprob, top: Vec::new() };
        let split = vec![part(&[0xce], -1.0), part(&[0xb3, b'd'], -2.0)];
        assert!((alone(&split, "γd").unwrap() - f64::exp(-3.0)).abs() < 1e-12);
    }

    #[test]
    fn nonsense_gives_no_confidence() {
        assert_eq!(alone(&tokens(&[("B", 0.5)]), "T"), None);
        assert_eq!(alone(&[], "T"), None);
        let one = |logprob| [Token { bytes: b"T".to_vec(), logprob, top: Vec::new() }];
        assert_eq!([alone(&one(f64::NAN), "T"), alone(&one(0.5), "T")], [None; 2]);
        assert_eq!(alone(&one(f64::NEG_INFINITY), "T"), Some(0.0));
    }

    #[test]
    fn the_first_token_counts_among_those_that_begin_a_label() {
        let labels = ["T cell", "T helper cell", "B cell", "\"q\" cell"].map(str::to_owned);
        // In JSON, where the token has a quote before the label.
        let first = with_top(
            token(" \"T", 0.4),
            &[
                (" \"T", 0.4),
                (" \"B", 0.1),
                (" \"B cell\"}", 0.1),
                (" \"", 0.05),
                (" \"\\\"q", 0.05),
                (" null", 0.2),
            ],
        );
        let answer = [token("{\"cell_type\":", 1.0), first, token(" cell", 0.5), token("\"}", 0.1)];
        let found = of_label(&answer, "T cell", (&labels, 0)).unwrap();
        assert_eq!(found.from, ConfidenceFrom::TopLogprobs);
        assert!((found.value - 0.4 / 0.7 * 0.5).abs() < 1e-12, "{found:?}");
        let posterior = found.first.unwrap();
        assert!((posterior.seen - 0.7).abs() < 1e-12);
        let groups: Vec<(Vec<usize>, f64)> = posterior
            .groups
            .into_iter()
            .map(|group| (group.labels, (group.probability * 7e3).round() / 1e3))
            .collect();
        assert_eq!(groups, [(vec![0, 1], 4.0), (vec![2], 2.0), (vec![0, 1, 2, 3], 0.5), (vec![3], 0.5)]);

        // In text, with and without a space, and without the token itself in the list.
        let first =
            with_top(token(" B", 0.3), &[("B", 0.2), (" T helper", 0.25), ("t", 0.2), ("B cell\n", 0.0)]);
        let found = of_label(&[first, token(" cell", 1.0)], "B cell", (&labels, 2)).unwrap();
        assert!((found.value - 0.5 / 0.75).abs() < 1e-12, "{found:?}");
        assert_eq!(found.first.unwrap().groups[1].labels, [1]);

        // Numbers of labels.
        let numbers: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        let first = with_top(token("1", 0.6), &[("1", 0.6), ("12", 0.2), ("2", 0.2)]);
        let answer = [token("{\"cell_type\": ", 1.0), first, token("2", 0.9), token("}", 1.0)];
        let found = of_label(&answer, "12", (&numbers, 12)).unwrap();
        assert!((found.value - 0.6 * 0.9).abs() < 1e-12, "{found:?}");
        assert_eq!(found.first.unwrap().groups[0].labels.len(), 11, "1 and 10 to 19");
    }

    #[test]
    fn a_list_that_is_made_up_is_not_used() {
        let labels = ["T cell".to_owned(), "B cell".to_owned()];
        let value = |top: &[(&str, f64)], said: &str, label| {
            let answer = [with_top(token("T", 0.4), top), token(" cell", 0.5)];
            of_label(&answer, said, (&labels, label)).map(|found| (found.value, found.from))
        };
        let whole = Some((0.2, ConfidenceFrom::Logprobs));
        let close =
            |found: Option<(f64, ConfidenceFrom)>| found.map(|(p, from)| ((p * 1e9).round() / 1e9, from));
        assert_eq!(close(value(&[("B", 0.9)], "T cell", 0)), whole, "more than certain");
        assert_eq!(close(value(&[("B", 7.0)], "T cell", 0)), whole, "no probability");
        assert_eq!(close(value(&[("B", f64::NAN)], "T cell", 0)), whole);
        assert_eq!(close(value(&[("B", 0.1)], "T cell", 1)), whole, "the label does not begin with it");
        // The same token twice counts once.
        assert_eq!(close(value(&[("B", 0.1), ("B", 0.1), ("T", 0.4)], "T cell", 0)).unwrap().0, 0.4);
        assert_eq!(close(value(&[("", 0.3), ("x", 0.3)], "T cell", 0)).unwrap().0, 0.5);
    }
}
