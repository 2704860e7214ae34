//! The groups of cells, numbered.

use crate::{Error, Result};

/// The place of each cell's group among the sorted groups, and the number of groups.
///
/// # Errors
/// [`Error::Empty`] without cells, [`Error::FewGroups`] with fewer than `at_least` groups.
pub(super) fn group_of_cell(groups: &[u32], at_least: usize) -> Result<(Vec<usize>, usize)> {
    if groups.is_empty() {
        return Err(Error::Empty { what: "groups" });
    }
    let mut unique = groups.to_vec();
    unique.sort_unstable();
    unique.dedup();
    if unique.len() < at_least {
        return Err(Error::FewGroups { n_groups: unique.len(), expected: at_least });
    }
    let place = |group| unique.partition_point(|other| other < group);
    Ok((groups.iter().map(place).collect(), unique.len()))
}

/// Number of cells of each group.
pub(super) fn group_sizes(group_of_cell: &[usize], n_groups: usize) -> Vec<usize> {
    let mut sizes = vec![0; n_groups];
    for &group in group_of_cell {
        sizes[group] += 1;
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_numbered_in_order() {
        let (places, n) = group_of_cell(&[7, 2, 7, 900], 3).unwrap();
        assert_eq!((places.as_slice(), n), (&[1, 0, 1, 2][..], 3));
        assert_eq!(group_sizes(&places, n), [1, 2, 1]);
    }

    #[test]
    fn too_few_groups_are_counted_in_the_message() {
        let error = group_of_cell(&[3, 3], 2).unwrap_err();
        assert_eq!(error.to_string(), "there are 1 groups, fewer than the 2 that the split needs");
        assert!(error.help().is_some());
        assert_eq!(group_of_cell(&[], 2).unwrap_err().to_string(), "groups is empty");
    }
}
