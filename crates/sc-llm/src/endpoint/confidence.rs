//! How sure a model is of the label it named.

/// The probability of the tokens in which the label stands: the product over the tokens that hold a part of it. None if the
/// label is not found in the tokens, or a logarithm is no logarithm of a probability.
///
/// * `tokens`: bytes and natural logarithm of the probability of each token of the answer.
/// * `said`: the label as the model wrote it; where it stands more than once, the last one counts, as reasoning comes first.
pub(super) fn of_label(tokens: &[(Vec<u8>, f64)], said: &str) -> Option<f64> {
    let text: Vec<u8> = tokens.iter().flat_map(|(bytes, _)| bytes).copied().collect();
    let escaped = serde_json::to_string(said).ok()?;
    let start =
        rfind(&text, escaped.as_bytes()).map(|quote| quote + 1).or_else(|| rfind(&text, said.as_bytes()))?;
    let length = if text[start..].starts_with(said.as_bytes()) { said.len() } else { escaped.len() - 2 };
    let mut at = 0;
    let mut sum = 0.0;
    for (bytes, logprob) in tokens {
        let (from, to) = (at, at + bytes.len());
        at = to;
        if from < start + length && to > start {
            // Servers round: a little above nothing is nothing.
            if logprob.is_nan() || *logprob > 1e-3 {
                return None;
            }
            sum += logprob.min(0.0);
        }
    }
    Some(f64::exp(sum))
}

fn rfind(text: &[u8], part: &[u8]) -> Option<usize> {
    if part.is_empty() {
        return None;
    }
    text.windows(part.len()).rposition(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::of_label;

    fn tokens(parts: &[(&str, f64)]) -> Vec<(Vec<u8>, f64)> {
        parts.iter().map(|&(text, p)| (text.as_bytes().to_vec(), f64::ln(p))).collect()
    }

    #[test]
    fn only_the_tokens_of_the_label_count() {
        let plain = tokens(&[("T cell", 0.1), ("?", 0.1), (" T", 0.5), (" cell", 0.5), ("\n", 0.1)]);
        assert!((of_label(&plain, "T cell").unwrap() - 0.25).abs() < 1e-12);
        let json =
            tokens(&[("{\"cell_type\":", 0.1), (" \"T", 0.5), (" \\\"x", 0.8), ("\\\"", 0.5), ("\"}", 0.3)]);
        assert!((of_label(&json, "T \"x\"").unwrap() - 0.2).abs() < 1e-12);
        // A letter whose bytes are in two tokens.
        let split = vec![(vec![0xce], -1.0), (vec![0xb3, b'd'], -2.0)];
        assert!((of_label(&split, "γd").unwrap() - f64::exp(-3.0)).abs() < 1e-12);
    }

    #[test]
    fn nonsense_gives_no_confidence() {
        assert_eq!(of_label(&tokens(&[("B", 0.5)]), "T"), None);
        assert_eq!(of_label(&[], "T"), None);
        assert_eq!(of_label(&[(b"T".to_vec(), f64::NAN)], "T"), None);
        assert_eq!(of_label(&[(b"T".to_vec(), 0.5)], "T"), None);
        assert_eq!(of_label(&[(b"T".to_vec(), f64::NEG_INFINITY)], "T"), Some(0.0));
    }
}
