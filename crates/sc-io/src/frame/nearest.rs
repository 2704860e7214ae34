//! The nearest of some names, for error messages.

/// The candidate with the fewest edits from `name`, ignoring case, if it is near enough to be what was meant.
pub(super) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = name.to_lowercase().chars().collect();
    candidates
        .map(|candidate| (edits(&wanted, &candidate.to_lowercase().chars().collect::<Vec<_>>()), candidate))
        .min_by_key(|&(distance, _)| distance)
        .filter(|&(distance, _)| distance <= (wanted.len() / 3).max(1))
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
        assert_eq!(nearest("celltype", names.into_iter()), Some("cell_type"));
        assert_eq!(nearest("Louvain", names.into_iter()), Some("louvain"));
        assert_eq!(nearest("donor", names.into_iter()), None);
        assert_eq!(nearest("x", [].into_iter()), None);
    }
}
