//! The names nearest to one that was expected, for error messages.

/// The candidate with the fewest edits from `name`, if more than half of it stays; of equals the first.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (edits(name.as_bytes(), candidate.as_bytes()), candidate))
        .min_by_key(|&(distance, _)| distance)
        .filter(|&(distance, _)| distance <= name.len() / 2)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance.
fn edits(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_near_and_another_word_is_not() {
        let names = ["bert.encoder.layer.0.output.dense.weight", "cls.predictions.bias"];
        assert_eq!(nearest("encoder.layer.0.output.dense.weight", names.into_iter()), Some(names[0]));
        assert_eq!(nearest("pooler", names.into_iter()), None);
        assert_eq!(nearest("x", [].into_iter()), None);
    }
}
