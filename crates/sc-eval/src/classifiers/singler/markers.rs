//! Genes that a label has more of than another.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Features;

/// How genes are ranked that tell one label from another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SingleRMarkers {
    /// By the difference of the medians of the two labels, where it is above 0 (SingleR's `de.method="classic"`). For
    /// references of bulk samples, or of cells with deep counts: the medians of most genes are 0 in shallow ones.
    #[default]
    Classic,
    /// By Cohen's d, where it is above 0: the difference of the means over the root mean of the two variances (`singler`'s
    /// `marker_method="cohens_d"`). For references of single cells.
    CohensD,
}

/// What is compared of a gene in one label.
#[derive(Clone, Copy, Default)]
struct Level {
    /// Median or mean.
    centre: f64,
    /// Sample variance; NaN of one cell.
    variance: f64,
}

/// The columns of the markers of each class over each other one, best first; of equal ones the earlier column.
pub(super) fn find(
    method: SingleRMarkers,
    n_markers: Option<usize>,
    x: &Features,
    codes: &[u32],
    n_classes: usize,
) -> Vec<Vec<Vec<u32>>> {
    let levels = levels(method, x, codes, n_classes);
    let n_markers = n_markers.unwrap_or(match method {
        SingleRMarkers::Classic => {
            let n = 500.0 * libm::pow(2.0 / 3.0, libm::log2(n_classes as f64));
            n.round() as usize
        }
        SingleRMarkers::CohensD => 10,
    });
    let pair = |label: usize, other: usize| {
        let effect = |gene: usize| {
            let (a, b) = (levels[gene * n_classes + label], levels[gene * n_classes + other]);
            match method {
                SingleRMarkers::Classic => a.centre - b.centre,
                SingleRMarkers::CohensD => cohens_d(a, b),
            }
        };
        let mut effects: Vec<(f64, u32)> = (0..x.n_cols()).map(|gene| (effect(gene), gene as u32)).collect();
        effects.retain(|&(effect, _)| effect > 0.0);
        let order = |a: &(f64, u32), b: &(f64, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if n_markers < effects.len() {
            effects.select_nth_unstable_by(n_markers, order);
            effects.truncate(n_markers);
        }
        effects.sort_unstable_by(order);
        effects.into_iter().map(|(_, gene)| gene).collect()
    };
    let of = |label: usize| (0..n_classes).map(|other| pair(label, other)).collect();
    (0..n_classes).into_par_iter().map(of).collect()
}

/// NaN where neither label has a variance.
fn cohens_d(a: Level, b: Level) -> f64 {
    let difference = a.centre - b.centre;
    let variance = match (a.variance.is_nan(), b.variance.is_nan()) {
        (false, false) => (a.variance + b.variance) / 2.0,
        (true, _) => b.variance,
        (_, true) => a.variance,
    };
    if variance == 0.0 && difference == 0.0 { 0.0 } else { difference / variance.sqrt() }
}

/// Genes × classes.
fn levels(method: SingleRMarkers, x: &Features, codes: &[u32], n_classes: usize) -> Vec<Level> {
    let (lines, background) = x.columns();
    let mut counts = vec![0usize; n_classes];
    codes.iter().for_each(|&code| counts[code as usize] += 1);
    let mut levels = vec![Level::default(); x.n_cols() * n_classes];
    let by_gene = levels.par_chunks_mut(n_classes).enumerate();
    by_gene.for_each_init(
        || vec![Vec::new(); n_classes],
        |written: &mut Vec<Vec<f32>>, (gene, levels)| {
            written.iter_mut().for_each(Vec::clear);
            let (cells, values) = lines.line(gene);
            for (&cell, &value) in cells.iter().zip(values) {
                written[codes[cell as usize] as usize].push(value);
            }
            for ((level, written), &n) in levels.iter_mut().zip(written).zip(&counts) {
                *level = match method {
                    SingleRMarkers::Classic => {
                        Level { centre: median(written, n, background[gene]), variance: 0.0 }
                    }
                    SingleRMarkers::CohensD => moments(written, n, background[gene]),
                };
            }
        },
    );
    levels
}

/// The median of `n` values: those written, and the background for the rest.
fn median(written: &mut [f32], n: usize, background: f32) -> f64 {
    written.sort_unstable_by(f32::total_cmp);
    let below = written.partition_point(|&v| v < background);
    let n_background = n - written.len();
    let at = |rank: usize| {
        f64::from(match rank {
            _ if rank < below => written[rank],
            _ if rank < below + n_background => background,
            _ => written[rank - n_background],
        })
    };
    if n % 2 == 1 { at(n / 2) } else { (at(n / 2 - 1) + at(n / 2)) / 2.0 }
}

/// Mean and sample variance of `n` values: those written, and the background for the rest.
fn moments(written: &[f32], n: usize, background: f32) -> Level {
    let (background, n_background) = (f64::from(background), (n - written.len()) as f64);
    let sum: f64 = written.iter().map(|&v| f64::from(v)).sum();
    let centre = (sum + n_background * background) / n as f64;
    let square = |v: f64| (v - centre) * (v - centre);
    let squares: f64 = written.iter().map(|&v| square(f64::from(v))).sum();
    let variance =
        if n > 1 { (squares + n_background * square(background)) / (n - 1) as f64 } else { f64::NAN };
    Level { centre, variance }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_count_what_is_not_written() {
        assert_eq!(median(&mut [5.0, -1.0], 5, 0.0), 0.0);
        assert_eq!(median(&mut [5.0, 1.0, 3.0], 4, 0.0), 2.0);
        assert_eq!(median(&mut [5.0, 1.0, 3.0], 5, 2.0), 2.0);
        assert_eq!(median(&mut [], 2, -1.5), -1.5);
    }

    #[test]
    fn effects_of_a_label_of_one_cell_use_the_variance_of_the_other() {
        let (a, b) = (moments(&[3.0], 1, 0.0), moments(&[1.0, 3.0], 2, 0.0));
        assert_eq!(cohens_d(a, b), 1.0 / 2f64.sqrt());
        assert_eq!(cohens_d(moments(&[], 2, 0.0), moments(&[], 2, 0.0)), 0.0);
        assert_eq!(cohens_d(moments(&[1.0; 2], 2, 0.0), moments(&[], 2, 0.0)), f64::INFINITY);
    }
}
