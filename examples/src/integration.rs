//! How far batches mix and labels stay apart, by the metrics of the scIB study.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use ndarray::{Array2, ArrayView2, Axis};
use sc_eval::Labels;
use sc_eval::metrics::clustering::{SilhouetteParams, adjusted_rand_index, normalized_mutual_info};
use sc_eval::metrics::integration::{
    IsolatedLabelsParams, KbetPerLabelParams, LisiParams, MetricKind, Neighbors, Scaling, aggregate, bras,
    clisi, graph_connectivity, ilisi, isolated_labels, kbet_per_label, pcr, pcr_comparison, silhouette_batch,
    silhouette_label,
};
use sc_eval::report::{Cell, Column, Kind, Section, Table};
use sc_prep::{KMeansParams, kmeans, knn};

use crate::end::Usage;

/// Metrics in the order of the table; those with a kind are what scib-metrics' benchmark weighs.
const METRICS: [(&str, Option<MetricKind>); 12] = {
    use MetricKind::{BatchCorrection, BioConservation};
    [
        ("Isolated labels", Some(BioConservation)),
        ("k-means NMI", Some(BioConservation)),
        ("k-means ARI", Some(BioConservation)),
        ("Silhouette of labels (ASW)", Some(BioConservation)),
        ("cLISI", Some(BioConservation)),
        ("BRAS", Some(BatchCorrection)),
        ("iLISI", Some(BatchCorrection)),
        ("kBET", Some(BatchCorrection)),
        ("Graph connectivity", Some(BatchCorrection)),
        ("PCR comparison", Some(BatchCorrection)),
        ("Silhouette of batches (ASW)", None),
        ("Variance between batches (PCR)", None),
    ]
};

/// Neighbours that the metrics of a graph look at, the cell itself among them; fewer for fewer cells.
const NEIGHBORS: usize = 90;

/// The batch of each cell by number.
///
/// # Errors
/// [`Usage`] if there is one only.
pub fn numbered(batches: &[String], column: &str) -> Result<Vec<u32>> {
    let names: BTreeSet<&str> = batches.iter().map(String::as_str).collect();
    if names.len() < 2 {
        let text =
            format!("all cells have the same value in column {column:?}; --batch takes one with several");
        return Err(Usage(text).into());
    }
    let number: BTreeMap<&str, u32> = names.into_iter().zip(0..).collect();
    Ok(batches.iter().map(|batch| number[batch.as_str()]).collect())
}

/// The same cells with every batch moved onto the mean of all: the simplest correction there is. It takes away what
/// batches differ in because they hold other cells, too.
pub fn without_batch_means(x: ArrayView2<'_, f32>, batches: &[u32]) -> Array2<f32> {
    let n_batches = batches.iter().max().map_or(0, |&largest| largest as usize + 1);
    let mut sums = Array2::<f64>::zeros((n_batches, x.ncols()));
    let mut sizes = vec![0f64; n_batches];
    for (row, &batch) in x.rows().into_iter().zip(batches) {
        sums.row_mut(batch as usize).zip_mut_with(&row, |sum, &v| *sum += f64::from(v));
        sizes[batch as usize] += 1.0;
    }
    let overall = sums.sum_axis(Axis(0)) / x.nrows() as f64;
    Array2::from_shape_fn(x.dim(), |(cell, dim)| {
        let batch = batches[cell] as usize;
        (f64::from(x[[cell, dim]]) - sums[[batch, dim]] / sizes[batch] + overall[dim]) as f32
    })
}

/// The table of all metrics for the embeddings, the first of which is the one before any correction.
///
/// # Errors
/// As the metrics.
pub fn table(
    embeddings: &[(&str, ArrayView2<'_, f32>)],
    labels: &Labels,
    batches: &[u32],
    seed: u64,
) -> Result<Table> {
    let mut scores = Array2::zeros((embeddings.len(), METRICS.len()));
    for (mut row, (_, x)) in scores.rows_mut().into_iter().zip(embeddings) {
        row.assign(
            &Array2::from_shape_vec((1, METRICS.len()), of(embeddings[0].1, *x, labels, batches, seed)?)?
                .row(0),
        );
    }
    let weighed: Vec<usize> = (0..METRICS.len()).filter(|&at| METRICS[at].1.is_some()).collect();
    let kinds: Vec<MetricKind> = METRICS.iter().filter_map(|metric| metric.1).collect();
    let totals = aggregate(scores.select(Axis(1), &weighed).view(), &kinds, Scaling::None)?;

    let columns = embeddings.iter().map(|(name, _)| Column::new(*name, Kind::Number(3)));
    let mut table =
        Table::new([Column::text("Metric"), Column::text("About")].into_iter().chain(columns).collect());
    let mut row = |name: &str, about: &str, values: Vec<f64>| {
        let values = values.into_iter().map(Cell::Value);
        table.row([name.into(), about.into()].into_iter().chain(values).collect::<Vec<_>>());
    };
    for ((name, kind), values) in METRICS.iter().zip(scores.columns()) {
        let about = match kind {
            Some(MetricKind::BioConservation) => "biology",
            Some(MetricKind::BatchCorrection) => "batches",
            None => "batches (not weighed)",
        };
        row(name, about, values.to_vec());
    }
    row("Biology", "mean of five", totals.iter().map(|total| total.bio_conservation).collect());
    row("Batches", "mean of five", totals.iter().map(|total| total.batch_correction).collect());
    row("Total", "0.6 biology, 0.4 batches", totals.iter().map(|total| total.total).collect());
    Ok(table)
}

/// The section of the table.
pub fn section(column: &str, table: Table) -> Section {
    let lede = format!(
        "Labels and batches ({column:?}) in the components as they are, and after the mean of each batch is taken away, which \
         is the simplest correction. Metrics and weights are those of scib-metrics' benchmark; all are best at 1 but the \
         variance between batches, which is best at 0. A correction that is any good gains on batches without losing on \
         biology. The comparison of PCR is 0 before and 1 after by construction: look at the others."
    );
    Section::new("Batches", lede, table)
}

/// The metrics of one embedding; NaN for one that no label has the cells for.
fn of(
    before: ArrayView2<'_, f32>,
    x: ArrayView2<'_, f32>,
    labels: &Labels,
    batches: &[u32],
    seed: u64,
) -> Result<Vec<f64>> {
    let codes = labels.codes();
    let found = knn(x, x, NEIGHBORS.min(x.nrows()))?;
    let neighbors = Neighbors::new(found.indices.view(), found.distances.view())?;
    let first = |k: usize| neighbors.first(k.min(neighbors.n_neighbors()));
    let clusters = kmeans(x, &KMeansParams { seed, ..KMeansParams::clusters(labels.n_classes()) })?.labels;
    let lisi = LisiParams::default();
    let (several, tested) = usable(codes, batches);
    let [mut bras_score, mut asw, mut kbet] = [f64::NAN; 3];
    if several {
        bras_score = bras(x, codes, batches)?;
        asw = silhouette_batch(x, codes, batches, &SilhouetteParams::default())?;
    }
    if tested {
        kbet = kbet_per_label(first(50)?, codes, batches, &KbetPerLabelParams::default())?.score;
    }
    Ok(vec![
        isolated_labels(x, codes, batches, &IsolatedLabelsParams::default())?,
        normalized_mutual_info(codes, &clusters)?,
        adjusted_rand_index(codes, &clusters)?,
        silhouette_label(x, codes)?,
        clisi(neighbors, codes, &lisi)?,
        bras_score,
        ilisi(neighbors, batches, &lisi)?,
        kbet,
        graph_connectivity(first(15)?, codes)?,
        pcr_comparison(before, x, batches)?,
        asw,
        pcr(x, batches)?,
    ])
}

/// Whether some label has a silhouette of its batches, and whether some has enough cells for kBET.
fn usable(labels: &[u32], batches: &[u32]) -> (bool, bool) {
    let mut of_label: BTreeMap<u32, (usize, BTreeSet<u32>)> = BTreeMap::new();
    for (&label, &batch) in labels.iter().zip(batches) {
        let (n, own) = of_label.entry(label).or_default();
        *n += 1;
        own.insert(batch);
    }
    let several = of_label.values().any(|(n, own)| own.len() > 1 && own.len() < *n);
    (several, of_label.values().any(|(n, own)| own.len() > 1 && *n >= 10))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn batches_meet_at_the_mean_of_all() {
        let x = array![[0.0f32, 1.0], [2.0, 1.0], [10.0, 5.0], [14.0, 5.0]];
        let moved = without_batch_means(x.view(), &[0, 0, 1, 1]);
        assert_eq!(moved, array![[5.5, 3.0], [7.5, 3.0], [4.5, 3.0], [8.5, 3.0]]);
    }

    #[test]
    fn labels_must_have_several_batches_and_ten_cells() {
        assert_eq!(usable(&[0, 0, 1, 1], &[0, 0, 1, 1]), (false, false));
        assert_eq!(usable(&[0, 0], &[0, 1]), (false, false));
        assert_eq!(usable(&[0, 0, 0], &[0, 1, 1]), (true, false));
        assert_eq!(usable(&[0; 10], &[0, 1, 1, 1, 1, 1, 1, 1, 1, 1]), (true, true));
    }

    #[test]
    fn one_batch_is_refused() {
        let error = numbered(&["a".into(), "a".into()], "lane").unwrap_err();
        assert!(error.is::<Usage>() && error.to_string().contains("\"lane\""));
        assert_eq!(numbered(&["b".into(), "a".into(), "b".into()], "lane").unwrap(), [1, 0, 1]);
    }
}
