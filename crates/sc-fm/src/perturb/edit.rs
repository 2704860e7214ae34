//! Perturbed token lists.

use std::collections::HashMap;

use super::Perturbation;

/// The tokens of a perturbed cell, and where each stood in the original.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edited {
    pub(crate) ids: Vec<u32>,
    /// For each gene that was not perturbed: its place in `ids` and in the original.
    pub(crate) kept: Vec<(usize, usize)>,
}

/// Perturbs the genes at `places` of a cell.
///
/// * `ends`: special tokens at either end, 0 or 1.
/// * `places`: rising.
pub(crate) fn at(cell: &[u32], ends: usize, places: &[usize], perturbation: Perturbation) -> Edited {
    let front: Vec<u32> = match perturbation {
        Perturbation::Delete => vec![],
        Perturbation::Overexpress => places.iter().map(|&place| cell[place]).collect(),
    };
    let others = (ends..cell.len() - ends).filter(|place| places.binary_search(place).is_err());
    assemble(cell, ends, &front, others)
}

/// Puts `tokens` in front of a cell's other genes, of which as many stay as fit into `longest` tokens. Also gives the
/// original without those that do not.
pub(crate) fn insert(cell: &[u32], ends: usize, tokens: &[u32], longest: usize) -> (Vec<u32>, Edited) {
    let genes = ends..cell.len() - ends;
    let room = longest - 2 * ends - tokens.len();
    let is_listed = |place: &usize| tokens.contains(&cell[*place]);
    let others: Vec<usize> = genes.clone().filter(|place| !is_listed(place)).take(room).collect();
    // Places of the original without those that were pushed out at the end.
    let original: Vec<usize> =
        genes.filter(|place| is_listed(place) || others.binary_search(place).is_ok()).collect();
    let place_of: HashMap<usize, usize> =
        original.iter().enumerate().map(|(i, &place)| (place, i + ends)).collect();
    let mut edited = assemble(cell, ends, tokens, others.into_iter());
    edited.kept.iter_mut().for_each(|(_, place)| *place = place_of[place]);
    (assemble(cell, ends, &[], original.into_iter()).ids, edited)
}

fn assemble(cell: &[u32], ends: usize, front: &[u32], others: impl Iterator<Item = usize>) -> Edited {
    let mut ids = Vec::with_capacity(cell.len() + front.len());
    ids.extend_from_slice(&cell[..ends]);
    ids.extend_from_slice(front);
    let mut kept = Vec::with_capacity(cell.len());
    for place in others {
        kept.push((ids.len(), place));
        ids.push(cell[place]);
    }
    ids.extend_from_slice(&cell[cell.len() - ends..]);
    Edited { ids, kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deleted_gene_is_gone_and_the_others_know_where_they_stood() {
        let edited = at(&[2, 10, 11, 12, 3], 1, &[2], Perturbation::Delete);
        assert_eq!(edited.ids, [2, 10, 12, 3]);
        assert_eq!(edited.kept, [(1, 1), (2, 3)]);
    }

    #[test]
    fn overexpressed_genes_stand_in_front_in_the_order_of_their_ranks() {
        let edited = at(&[10, 11, 12, 13], 0, &[1, 3], Perturbation::Overexpress);
        assert_eq!(edited.ids, [11, 13, 10, 12]);
        assert_eq!(edited.kept, [(2, 0), (3, 2)]);
    }

    #[test]
    fn inserted_genes_push_out_the_last_ones_of_a_full_cell_in_both() {
        let (original, edited) = insert(&[2, 10, 11, 12, 13, 3], 1, &[20, 12], 6);
        assert_eq!(edited.ids, [2, 20, 12, 10, 11, 3]);
        assert_eq!(original, [2, 10, 11, 12, 3], "13 is pushed out, 12 is only moved");
        assert_eq!(edited.kept, [(3, 1), (4, 2)]);
        let (original, edited) = insert(&[10, 11], 0, &[20], 6);
        assert_eq!((original.as_slice(), edited.ids.as_slice()), (&[10, 11][..], &[20, 10, 11][..]));
    }
}
