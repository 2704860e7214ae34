//! The nearest of some names, for error messages.

/// The candidate with the fewest edits from `name`, ignoring case, if there are at most `most`; of equals the first.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>, most: usize) -> Option<&'a str> {
    let wanted: Vec<char> = name.to_lowercase().chars().collect();
    candidates
        .map(|candidate| (edits(&wanted, &candidate.to_lowercase().chars().collect::<Vec<_>>()), candidate))
        .min_by_key(|&(distance, _)| distance)
        .filter(|&(distance, _)| distance <= most)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance.
fn edits(a: &[char], b: &[char]) -> usize {
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
    fn a_typing_error_is_near_and_another_word_is_not() {
        let names = ["cell_type", "louvain", "n_genes"];
        assert_eq!(nearest("celltype", names.into_iter(), 2), Some("cell_type"));
        assert_eq!(nearest("Louvain", names.into_iter(), 2), Some("louvain"));
        assert_eq!(nearest("donor", names.into_iter(), 1), None);
        assert_eq!(nearest("x", [].into_iter(), 1), None);
    }

    #[test]
    fn a_prefix_is_near_where_half_of_a_name_may_differ() {
        let names = ["bert.encoder.layer.0.output.dense.weight", "cls.predictions.bias"];
        let half = |name: &'static str| nearest(name, names.into_iter(), name.len() / 2);
        assert_eq!(half("encoder.layer.0.output.dense.weight"), Some(names[0]));
        assert_eq!(half("pooler"), None);
    }
}
