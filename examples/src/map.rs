//! A map of all cells, to look at: no model sees it.

use anyhow::Result;
use ndarray::{Array2, ArrayView2};
use sc_io::Csr;
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
) -> Result<Option<Array2<f32>>> {
    if x.n_obs() < 3 {
        return Ok(None);
    }
    progress("principal components");
    let pcs = components(x, params, 50)?;
    progress("neighbours");
    layout(&graph(pcs.view())?, seed, progress).map(Some)
}

/// Principal components of all cells on their variable genes, scaled; cells × components, of which small data get fewer.
///
/// # Errors
/// As the steps.
pub fn components(
    x: &LogNormalized,
    params: &FeatureSpaceParams,
    n_components: usize,
) -> Result<Array2<f32>> {
    let all: Vec<usize> = (0..x.n_obs()).collect();
    let scaled = FeatureSpace::fit(x, &all, params)?.transform(x, &all)?;
    let n_components = n_components.min(x.n_obs() - 1).min(scaled.n_cols());
    Ok(Pca::fit(&scaled, &PcaParams::components(n_components))?.transform(&scaled)?)
}

/// Connectivities of 15 neighbours, the cell itself among them; fewer for fewer cells.
///
/// # Errors
/// As [`neighbors`].
pub fn graph(embedding: ArrayView2<'_, f32>) -> Result<Csr> {
    let params = NeighborsParams { n_neighbors: 15.min(embedding.nrows()) };
    Ok(neighbors(embedding, &params)?.connectivities)
}

/// The UMAP of a graph; cells × 2.
///
/// # Errors
/// As [`umap_with_progress`].
pub fn layout(graph: &Csr, seed: u64, mut progress: impl FnMut(&str)) -> Result<Array2<f32>> {
    let params = UmapParams { seed, ..Default::default() };
    let map = umap_with_progress(graph, &params, |epoch, of| {
        if epoch % 25 == 0 {
            progress(&format!("layout {epoch}/{of}"));
        }
    })?;
    Ok(map.embedding)
}
