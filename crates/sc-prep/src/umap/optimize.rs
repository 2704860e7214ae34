//! The optimisation: every cell is pulled by its neighbours and pushed by cells drawn at random.

use rayon::prelude::*;

use super::UmapParams;
use super::forces::Forces;
use super::graph::KeptEdges;
use super::random::{CellRng, Purpose, stream};
use super::schedule::{Due, Schedule};

/// Cells that one task moves. Fixed, though no result depends on it.
const CHUNK: usize = 64;

/// Cells that take turns. Each step of a cell waits for the one before; between them a processor has time for others.
const LANES: usize = 4;

/// umap-learn's bound of a gradient's coordinate.
const CLIP: f32 = 4.0;

/// Cells that one task moves, with all state that only they need.
struct Task {
    schedule: Schedule,
    rngs: Vec<CellRng>,
    due: [Vec<Due>; LANES],
}

/// Moves `points` through all epochs.
pub(super) fn optimize<const D: usize>(
    points: &mut Vec<[f32; D]>,
    edges: &KeptEdges,
    forces: &Forces,
    params: &UmapParams,
    n_epochs: usize,
    progress: &mut dyn FnMut(usize, usize),
) {
    let n = points.len();
    let mut rng = stream(params.seed, Purpose::NegativeSamples);
    let mut tasks: Vec<Task> = (0..n)
        .step_by(CHUNK)
        .map(|first| {
            let cells = first..n.min(first + CHUNK);
            Task {
                rngs: cells.clone().map(|_| CellRng::new(&mut rng)).collect(),
                schedule: Schedule::new(
                    cells.map(|i| edges.row(i)),
                    edges.largest,
                    params.negative_sample_rate,
                ),
                due: std::array::from_fn(|_| Vec::new()),
            }
        })
        .collect();
    let mut moved = points.clone();
    for epoch in 0..n_epochs {
        // As in umap-learn, the rate falls behind by one epoch.
        let alpha = params.alpha * (1.0 - epoch.saturating_sub(1) as f64 / n_epochs as f64);
        let (before, alpha) = (&*points, alpha as f32);
        moved.par_chunks_mut(CHUNK).zip(&mut tasks).enumerate().for_each(|(chunk, (moved, task))| {
            task.epoch(chunk * CHUNK, epoch as f32, alpha, before, moved, forces);
        });
        std::mem::swap(points, &mut moved);
        progress(epoch + 1, n_epochs);
    }
}

impl Task {
    fn epoch<const D: usize>(
        &mut self,
        first: usize,
        epoch: f32,
        alpha: f32,
        before: &[[f32; D]],
        moved: &mut [[f32; D]],
        forces: &Forces,
    ) {
        for cell in (0..self.schedule.n_cells()).step_by(LANES) {
            let lanes = LANES.min(self.schedule.n_cells() - cell);
            let own = first + cell;
            let mut at = [[0f32; D]; LANES];
            for lane in 0..lanes {
                at[lane] = before[own + lane];
                self.schedule.advance(cell + lane, epoch, &mut self.due[lane]);
            }
            let due = &self.due[..lanes];
            let longest = due.iter().map(Vec::len).max().unwrap_or(0);
            for turn in 0..longest {
                for (lane, due) in due.iter().enumerate() {
                    let Some(edge) = due.get(turn) else { continue };
                    let push = repulsion(
                        edge.n_negative,
                        own + lane,
                        &at[lane],
                        before,
                        &mut self.rngs[cell + lane],
                        forces,
                    );
                    let pull = attraction(&at[lane], &before[edge.tail as usize], alpha, forces);
                    for d in 0..D {
                        at[lane][d] += alpha * (push[d] - pull[d]);
                    }
                }
            }
            moved[cell..cell + lanes].copy_from_slice(&at[..lanes]);
        }
    }
}

/// The sum of the pushes of `n_negative` random cells.
#[inline(always)]
fn repulsion<const D: usize>(
    n_negative: u32,
    own: usize,
    at: &[f32; D],
    before: &[[f32; D]],
    rng: &mut CellRng,
    forces: &Forces,
) -> [f32; D] {
    let mut push = [0f32; D];
    for _ in 0..n_negative {
        let other = rng.below(before.len() as u64);
        let (r, delta) = displacement(at, &before[other]);
        let force = if other == own { 0.0 } else { forces.repulsion(r) };
        for d in 0..D {
            push[d] += clip(force * delta[d]);
        }
    }
    push
}

/// What pulls a cell along an edge in an epoch, in units of the learning rate.
///
/// umap-learn stores an edge from both ends and moves both cells each time it meets it, so a cell is pulled twice. Between
/// the pulls the other cell has come closer by the same step; taking it where it was would overdo the second pull, and the
/// layout would come out too tight.
#[inline(always)]
fn attraction<const D: usize>(at: &[f32; D], other: &[f32; D], alpha: f32, forces: &Forces) -> [f32; D] {
    let (r, delta) = displacement(at, other);
    let force = forces.attraction(r);
    let first = delta.map(|delta| clip(force * delta));
    let mut r = 0f32;
    let mut closer = [0f32; D];
    for d in 0..D {
        closer[d] = delta[d] - 2.0 * alpha * first[d];
        r += closer[d] * closer[d];
    }
    let force = forces.attraction(r);
    std::array::from_fn(|d| first[d] + clip(force * closer[d]))
}

/// Squared distance and difference.
#[inline(always)]
fn displacement<const D: usize>(at: &[f32; D], other: &[f32; D]) -> (f32, [f32; D]) {
    let mut r = 0f32;
    let mut delta = [0f32; D];
    for d in 0..D {
        delta[d] = at[d] - other[d];
        r += delta[d] * delta[d];
    }
    (r, delta)
}

#[inline(always)]
fn clip(gradient: f32) -> f32 {
    gradient.clamp(-CLIP, CLIP)
}
