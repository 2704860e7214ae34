//! The batch effect test within each label.

use ndarray::Array2;

use super::codes::Codes;
use super::connectivities::{Graph, Kernels};
use super::diffusion::DiffusionMap;
use super::graph_connectivity::strong_components;
use super::{KbetParams, Neighbors, kbet};
use crate::metrics::compute::map_blocks;
use crate::{Error, Result};

/// How to compute [`kbet_per_label`].
#[derive(Clone, Debug, PartialEq)]
pub struct KbetPerLabelParams {
    /// Significance level of the test, in 0..=1. Default 0.05.
    pub alpha: f64,
    /// Most components of the diffusion map of a label, at least 1. Default 100.
    pub n_comps: usize,
    /// Seed of the vector that the search for components starts from. It changes rounding errors only. Default 0.
    pub seed: u64,
}

impl Default for KbetPerLabelParams {
    fn default() -> Self {
        Self { alpha: 0.05, n_comps: 100, seed: 0 }
    }
}

/// The score of each label and of all.
#[derive(Clone, Debug, PartialEq)]
pub struct KbetPerLabel {
    /// Mean of the labels that have a score, in 0..=1; more is better mixed.
    pub score: f64,
    /// The labels that occur, ascending, each with its acceptance rate; `None` for a label of fewer than 10 cells or
    /// of a single batch.
    pub labels: Vec<(u32, Option<f64>)>,
}

/// Mean over labels of the acceptance rate of [`kbet`] among the cells of a label (Luecken et al. 2022).
///
/// * `neighbors`: of all cells; scib-metrics' pipeline takes 50.
/// * `labels`, `batches`: of each cell, any integers.
///
/// UMAP's connectivities of the neighbours, restricted to a label, span a diffusion map; the neighbours there are as
/// many as a quarter of a batch of the label on average, at least 10 and at most 70, and the cell itself. If the label
/// is in several pieces, those of fewer than three times that number of cells are left out, and if that leaves out
/// more than a quarter of its cells, it scores 0; so does a label of fewer cells than neighbours.
///
/// scib-metrics' `kbet_per_label`, but for three points: neighbours in the diffusion map are exact, where it searches
/// approximately; a label never lowers the number of components of the labels after it, as one of fewer than 100 cells
/// does there; and sums are in `f64`.
///
/// # Errors
/// [`Error::Length`] unless there are a label and a batch for each cell; [`Error::Parameter`] if a parameter is out of
/// its range or no label has a score.
pub fn kbet_per_label(
    neighbors: Neighbors<'_>,
    labels: &[u32],
    batches: &[u32],
    params: &KbetPerLabelParams,
) -> Result<KbetPerLabel> {
    let test = KbetParams { alpha: params.alpha };
    test.validate()?;
    if params.n_comps == 0 {
        return Err(Error::Parameter { name: "n_comps", value: "0".into(), expected: "at least 1" });
    }
    let labels = Codes::new("labels", labels, neighbors.n_cells())?;
    Codes::new("batches", batches, neighbors.n_cells())?;
    let kernels = Kernels::new(neighbors);
    let cells = labels.cells();
    let scores: Vec<Result<Option<f64>>> = map_blocks(cells.len(), |label| {
        let cells = &cells[label];
        let own: Vec<u32> = cells.iter().map(|&cell| batches[cell]).collect();
        let n_batches = Codes::of(&own).len();
        if cells.len() < 10 || n_batches == 1 {
            return Ok(None);
        }
        // In whole cells, as the reference rounds: the quarter of the mean size of a batch.
        let k = (cells.len() / (4 * n_batches)).clamp(10, 70);
        accepted(&kernels.graph(neighbors, cells), &own, k, params, &test).map(Some)
    });
    let scores = scores.into_iter().collect::<Result<Vec<_>>>()?;
    let known: Vec<f64> = scores.iter().copied().flatten().collect();
    if known.is_empty() {
        let (name, expected) = ("the number of labels of 10 cells in several batches", "at least 1");
        return Err(Error::Parameter { name, value: "0".into(), expected });
    }
    let score = known.iter().sum::<f64>() / known.len() as f64;
    Ok(KbetPerLabel { score, labels: labels.names.into_iter().zip(scores).collect() })
}

/// The acceptance rate among the cells of a label.
fn accepted(
    graph: &Graph,
    batches: &[u32],
    k: usize,
    params: &KbetPerLabelParams,
    test: &KbetParams,
) -> Result<f64> {
    let pieces =
        Codes::of(&strong_components(graph.n_cells(), |cell| graph.row(cell).map(|(c, _)| c).collect()));
    let whole = pieces.len() == 1;
    let large: Vec<Vec<usize>> =
        pieces.cells().into_iter().filter(|cells| whole || cells.len() >= 3 * k).collect();
    let mut kept = large.concat();
    kept.sort_unstable();
    if (kept.len() as f64) < 0.75 * batches.len() as f64 || kept.len() <= k {
        return Ok(0.0);
    }
    let place = |cell: &usize| kept.binary_search(cell).expect("the cell is one of those kept");
    let components: Vec<Vec<usize>> = large.iter().map(|cells| cells.iter().map(place).collect()).collect();
    let batches: Vec<u32> = kept.iter().map(|&cell| batches[cell]).collect();
    if Codes::of(&batches).len() == 1 {
        return Ok(0.0);
    }
    let n_comps = params.n_comps.min(kept.len() - 1);
    let map = DiffusionMap::new(&graph.of(&kept), &components, n_comps, params.seed);
    let indices = Array2::from_shape_vec((kept.len(), k + 1), map.neighbors(k + 1))
        .expect("as many neighbours for each cell");
    let distances = Array2::zeros(indices.dim());
    let neighbors = Neighbors::new(indices.view(), distances.view())?;
    Ok(kbet(neighbors, &batches, test)?.acceptance_rate)
}
