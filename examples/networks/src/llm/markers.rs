//! Genes that set groups of cells apart.

use sc_io::Csr;

/// The genes of each group, the most specific first, by the z of Wilcoxon's rank sum of the group against all other cells.
///
/// The same z as scanpy's `rank_genes_groups(method="wilcoxon")` without tie correction; of equals the first gene of the
/// data. A group without cells, or with all of them, has no markers.
///
/// * `x`: cells × genes, normalised.
/// * `groups`: rows of each group; a row is in one group at most.
/// * `n`: genes of a group at most; only those with a positive z.
pub(crate) fn ranked(x: &Csr, groups: &[Vec<usize>], n: usize) -> Vec<Vec<usize>> {
    // By gene: values above 0 with their group.
    let mut columns: Vec<Vec<(f32, u32)>> = vec![Vec::new(); x.n_cols()];
    for (group, rows) in (0..).zip(groups) {
        for &row in rows {
            let (genes, values) = x.row(row);
            for (&gene, &value) in genes.iter().zip(values).filter(|(_, value)| **value != 0.0) {
                columns[gene as usize].push((value, group));
            }
        }
    }
    let sizes: Vec<f64> = groups.iter().map(|rows| rows.len() as f64).collect();
    let total: f64 = sizes.iter().sum();
    let mut scores: Vec<Vec<(f64, usize)>> = vec![Vec::new(); groups.len()];
    for (gene, column) in columns.iter_mut().enumerate() {
        column.sort_by(|a, b| a.0.total_cmp(&b.0));
        let n_zeros = total - column.len() as f64;
        let mut sums: Vec<f64> = sizes.iter().map(|size| size * (n_zeros + 1.0) / 2.0).collect();
        let mut rank = n_zeros;
        for equals in column.chunk_by(|a, b| a.0 == b.0) {
            let mean = rank + (equals.len() as f64 + 1.0) / 2.0;
            // A value above 0 leaves the rank of a zero.
            equals.iter().for_each(|&(_, group)| sums[group as usize] += mean - (n_zeros + 1.0) / 2.0);
            rank += equals.len() as f64;
        }
        for (group, (sum, size)) in sums.iter().zip(&sizes).enumerate() {
            let sd = (size * (total - size) * (total + 1.0) / 12.0).sqrt();
            let z = (sum - size * (total + 1.0) / 2.0) / sd;
            if z > 0.0 && z.is_finite() {
                scores[group].push((z, gene));
            }
        }
    }
    let top = |mut genes: Vec<(f64, usize)>| {
        genes.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        genes.into_iter().take(n).map(|(_, gene)| gene).collect()
    };
    scores.into_iter().map(top).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn the_gene_that_only_a_group_has_is_its_first() {
        // Cells of groups 0 0 1 1; gene 0 in all, gene 1 in group 0, gene 2 in group 1 and a little in group 0.
        let x = array![[1., 2., 0.], [1., 3., 1.], [1., 0., 5.], [1., 0., 4.]];
        let x = Csr::from_dense(x.view());
        assert_eq!(ranked(&x, &[vec![0, 1], vec![2, 3]], 5), [vec![1], vec![2]]);
        assert_eq!(ranked(&x, &[vec![0, 1, 2, 3], vec![]], 5), [Vec::<usize>::new(), vec![]]);
    }
}
