//! Times the metrics whose cost grows fastest with the number of cells.
//!
//! `cargo bench -p sc-eval --features parallel --bench metrics -- --cells 50000` prints a line for each metric: the
//! median of three runs, all runs, and the score. `RAYON_NUM_THREADS` sets the threads. `--write DIR` leaves the cells
//! as raw little-endian arrays, so that other tools can be timed on the same: `x.f32` (cells × 50), `labels.u32`,
//! `batches.u32`, and the neighbours of each cell, itself first, `indices.u32` and `distances.f32` (cells × 90).
//! These neighbours are the nearest of the next few hundred cells of the same label: quick to find, and distances as
//! real ones are.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ndarray::{Array2, ArrayView2};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sc_eval::metrics::clustering::{SilhouetteParams, silhouette_score};
use sc_eval::metrics::integration::{
    KbetParams, KbetPerLabelParams, LisiParams, Neighbors, bras, graph_connectivity, ilisi, kbet,
    kbet_per_label, pcr, silhouette_batch,
};

const DIMS: usize = 50;
const LABELS: usize = 10;
const BATCHES: u32 = 3;
const NEIGHBORS: usize = 90;
const CANDIDATES: usize = 300;

struct Cells {
    x: Array2<f32>,
    labels: Vec<u32>,
    batches: Vec<u32>,
    indices: Array2<u32>,
    distances: Array2<f32>,
}

/// Sum of four uniform numbers, centred: near enough to a normal one, and the same on every machine.
fn noise(rng: &mut ChaCha8Rng) -> f32 {
    (0..4).map(|_| (rng.next_u32() >> 8) as f32 / 16_777_216.0 - 0.5).sum()
}

fn cells(n: usize) -> Cells {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let labels: Vec<u32> = (0..n).map(|_| rng.next_u32() % LABELS as u32).collect();
    let batches: Vec<u32> = (0..n).map(|_| rng.next_u32() % BATCHES).collect();
    let centers = Array2::from_shape_simple_fn((LABELS, DIMS), || noise(&mut rng));
    let shifts = Array2::from_shape_simple_fn((BATCHES as usize, DIMS), || noise(&mut rng));
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let x = Array2::from_shape_fn((n, DIMS), |(i, j)| {
        centers[[labels[i] as usize, j]] + 0.3 * shifts[[batches[i] as usize, j]] + noise(&mut rng)
    });
    let (indices, distances) = neighbors(x.view(), &labels);
    Cells { x, labels, batches, indices, distances }
}

fn neighbors(x: ArrayView2<'_, f32>, labels: &[u32]) -> (Array2<u32>, Array2<f32>) {
    let mut by_label = vec![Vec::new(); LABELS];
    let mut place = Vec::with_capacity(labels.len());
    for (cell, &label) in labels.iter().enumerate() {
        place.push(by_label[label as usize].len());
        by_label[label as usize].push(cell);
    }
    let k = NEIGHBORS.min(by_label.iter().map(Vec::len).min().expect("there are labels"));
    let mut indices = Array2::zeros((labels.len(), k));
    let mut distances = Array2::zeros((labels.len(), k));
    for (cell, &label) in labels.iter().enumerate() {
        let same = &by_label[label as usize];
        let candidates = (0..CANDIDATES.min(same.len())).map(|step| same[(place[cell] + step) % same.len()]);
        let distance = |other: usize| (&x.row(cell) - &x.row(other)).mapv(|d| d * d).sum().sqrt();
        let mut nearest: Vec<(f32, usize)> = candidates.map(|other| (distance(other), other)).collect();
        nearest.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for (rank, &(distance, other)) in nearest[..k].iter().enumerate() {
            indices[[cell, rank]] = other as u32;
            distances[[cell, rank]] = distance;
        }
    }
    (indices, distances)
}

fn write(folder: &Path, cells: &Cells) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let file = |name: &str, bytes: Vec<u8>| std::fs::write(folder.join(name), bytes);
    file("x.f32", cells.x.iter().flat_map(|v| v.to_le_bytes()).collect())?;
    file("labels.u32", cells.labels.iter().flat_map(|v| v.to_le_bytes()).collect())?;
    file("batches.u32", cells.batches.iter().flat_map(|v| v.to_le_bytes()).collect())?;
    file("indices.u32", cells.indices.iter().flat_map(|v| v.to_le_bytes()).collect())?;
    file("distances.f32", cells.distances.iter().flat_map(|v| v.to_le_bytes()).collect())
}

fn time(name: &str, metric: impl Fn() -> sc_eval::Result<f64>) -> Result<(), Box<dyn std::error::Error>> {
    let mut seconds = Vec::new();
    let mut score = f64::NAN;
    for _ in 0..3 {
        let start = Instant::now();
        score = metric()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    writeln!(std::io::stdout(), "{name:<20} {:8.3} s  {seconds:.3?}  score {score}", seconds[1])?;
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut n_cells, mut folder) = (2_000, None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--cells" => n_cells = args.next().ok_or("--cells needs a number")?.parse()?,
            "--write" => folder = Some(PathBuf::from(args.next().ok_or("--write needs a folder")?)),
            // What cargo adds.
            "--bench" => {}
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    let cells = cells(n_cells);
    if let Some(folder) = folder {
        write(&folder, &cells)?;
    }
    let Cells { x, labels, batches, indices, distances } = &cells;
    let (x, neighbors) = (x.view(), Neighbors::new(indices.view(), distances.view())?);
    let fifty = neighbors.first(50.min(neighbors.n_neighbors()))?;
    time("silhouette", || silhouette_score(x, labels))?;
    time("silhouette_batch", || silhouette_batch(x, labels, batches, &SilhouetteParams::default()))?;
    time("bras", || bras(x, labels, batches))?;
    time("ilisi (k = 90)", || ilisi(neighbors, batches, &LisiParams::default()))?;
    time("kbet (k = 50)", || Ok(kbet(fifty, batches, &KbetParams::default())?.acceptance_rate))?;
    time("graph_connectivity", || graph_connectivity(neighbors.first(15)?, labels))?;
    time("pcr", || pcr(x, batches))?;
    time("kbet_per_label", || {
        Ok(kbet_per_label(fifty, labels, batches, &KbetPerLabelParams::default())?.score)
    })?;
    Ok(())
}
