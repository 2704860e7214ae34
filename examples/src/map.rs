//! A map of all cells, to look at: no model sees it.

use anyhow::Result;
use sc_prep::neighbors::{NeighborsParams, neighbors};
use sc_prep::umap::{UmapParams, umap_with_progress};
use sc_prep::{FeatureSpace, FeatureSpaceParams, LogNormalized, Pca, PcaParams};

/// scanpy's usual way to a UMAP: variable genes, scaled, principal components, neighbours, layout; cells × 2.
///
/// Small data get fewer components and neighbours; fewer than 3 cells have no map. `progress` is told what is done.
///
/// # Errors
/// As the steps.
pub fn umap(
    x: &LogNormalized,
    params: &FeatureSpaceParams,
    seed: u64,
    mut progress: impl FnMut(&str),
) -> Result<Option<ndarray::Array2<f32>>> {
    let n = x.n_obs();
    if n < 3 {
        return Ok(None);
    }
    let all: Vec<usize> = (0..n).collect();
    let scaled = FeatureSpace::fit(x, &all, params)?.transform(x, &all)?;
    let n_components = 50.min(n - 1).min(scaled.n_cols());
    progress("principal components");
    let pcs = Pca::fit(&scaled, &PcaParams::components(n_components))?.transform(&scaled)?;
    progress("neighbours");
    let params = NeighborsParams { n_neighbors: 15.min(n) };
    let graph = neighbors(pcs.view(), &params)?;
    let params = UmapParams { seed, ..Default::default() };
    let map = umap_with_progress(&graph.connectivities, &params, |epoch, of| {
        if epoch % 25 == 0 {
            progress(&format!("layout {epoch}/{of}"));
        }
    })?;
    Ok(Some(map.embedding))
}
