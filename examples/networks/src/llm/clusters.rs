//! Clusters of cells, found without their labels.

use anyhow::Result;
use sc_examples::map::components;
use sc_prep::leiden::leiden;
use sc_prep::neighbors::{NeighborsParams, neighbors};
use sc_prep::{FeatureSpaceParams, LeidenParams, LogNormalized};

/// Principal components, and neighbours of a cell with itself: those of the published benchmark.
const COMPONENTS: usize = 40;
const NEIGHBORS: usize = 10;

/// The rows of each Leiden cluster of some cells, the largest cluster first.
///
/// The usual way, on these cells alone: the 2,000 most variable genes, scaled, 40 principal components, 10 neighbours. Few
/// cells get fewer of both, and fewer than 3 are one cluster. No label is looked at.
///
/// * `x`: all cells.
/// * `rows`: the cells that are clustered.
///
/// # Errors
/// As the steps.
pub(super) fn clusters(
    x: &LogNormalized,
    rows: &[usize],
    resolution: f64,
    seed: u64,
) -> Result<Vec<Vec<usize>>> {
    if rows.len() < 3 {
        return Ok(vec![rows.to_vec()]);
    }
    let own = LogNormalized::new(x.csr().select_rows(rows))?;
    let params = FeatureSpaceParams { min_cells: 3.min(rows.len() / 3).max(1), ..Default::default() };
    let pcs = components(&own, &params, COMPONENTS)?;
    // The graph of few cells would be complete.
    let n_neighbors = NEIGHBORS.min((rows.len() / 5).max(3));
    let graph = neighbors(pcs.view(), &NeighborsParams { n_neighbors })?.connectivities;
    let found = leiden(&graph, &LeidenParams { resolution, seed, ..Default::default() })?;
    let mut clusters = vec![Vec::new(); found.n_clusters];
    for (&row, &cluster) in rows.iter().zip(&found.membership) {
        clusters[cluster as usize].push(row);
    }
    Ok(clusters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_hold_every_cell_once_and_are_mostly_of_one_type() {
        let adata = sc_io::datasets::pbmc68k_reduced();
        let counts = adata.x().unwrap().to_csr();
        let counts = sc_prep::Counts::new(&counts).unwrap();
        let x = sc_prep::log1p(
            sc_prep::normalize_total(counts, &sc_prep::NormalizeTotalParams::to(1e4)).unwrap(),
        );
        let rows: Vec<usize> = (0..700).step_by(2).collect();
        let found = clusters(&x, &rows, 1.0, 0).unwrap();
        assert!((4..20).contains(&found.len()), "{}", found.len());
        assert!(found.is_sorted_by_key(|rows| std::cmp::Reverse(rows.len())));
        let mut all = found.concat();
        all.sort_unstable();
        assert_eq!(all, rows);
        let labels: Vec<String> = adata.obs().labels("bulk_labels").unwrap().into_iter().flatten().collect();
        let most = |rows: &Vec<usize>| {
            let n = |label: &String| rows.iter().filter(|&&row| labels[row] == *label).count();
            labels.iter().map(n).max().unwrap()
        };
        let purity = found.iter().map(most).sum::<usize>() as f64 / rows.len() as f64;
        assert!(purity > 0.6, "{purity}");
        assert_eq!(clusters(&x, &rows[..2], 1.0, 0).unwrap(), [rows[..2].to_vec()]);
    }
}
