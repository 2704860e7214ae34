//! What needs no language model: answers from the genes that prompts name.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use anyhow::Result;
use sc_eval::Features;
use sc_eval::classifiers::{Classifier, LogisticRegressionParams};

/// Genes that are named, and the number of the label.
pub(crate) struct Example<'a> {
    pub(crate) genes: Vec<&'a str>,
    pub(crate) label: usize,
}

/// How many training items there are of each label.
pub(crate) fn counts(labels: impl Iterator<Item = usize>, n_labels: usize) -> Vec<usize> {
    let mut counts = vec![0; n_labels];
    labels.for_each(|label| counts[label] += 1);
    counts
}

/// The label of most training items; of equals the first.
pub(crate) fn majority(counts: &[usize]) -> usize {
    (0..counts.len()).max_by_key(|&label| (counts[label], Reverse(label))).unwrap_or(0)
}

/// The label that shares most markers with the genes; of equals the one of more training items, then the first.
pub(crate) fn overlap(markers: &[Vec<String>], counts: &[usize], genes: &[&str]) -> usize {
    let shared = |label: usize| markers[label].iter().filter(|gene| genes.contains(&gene.as_str())).count();
    let key = |&label: &usize| (shared(label), counts[label], Reverse(label));
    (0..counts.len()).max_by_key(key).unwrap_or(0)
}

/// Logistic regression on which genes are named, as scikit-learn's `TfidfVectorizer` weighs them: `ln((1 + n) / (1 + df)) + 1`
/// for a gene that is there, rows of length 1. Genes that no training item has are not looked at.
pub(crate) fn tf_idf(train: &[Example<'_>], test: &[Vec<&str>], n_labels: usize) -> Result<Vec<usize>> {
    let mut df: BTreeMap<&str, usize> = BTreeMap::new();
    for gene in train.iter().flat_map(|example| &example.genes) {
        *df.entry(gene).or_default() += 1;
    }
    let n = train.len() as f64;
    let columns: BTreeMap<&str, (u32, f64)> = (0..)
        .zip(&df)
        .map(|(column, (&gene, &df))| (gene, (column, libm::log((1.0 + n) / (1.0 + df as f64)) + 1.0)))
        .collect();
    let features = |items: &mut dyn Iterator<Item = &Vec<&str>>| {
        let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
        for genes in items {
            let mut row: Vec<(u32, f64)> =
                genes.iter().filter_map(|gene| columns.get(gene).copied()).collect();
            row.sort_by_key(|&(column, _)| column);
            row.dedup_by_key(|&mut (column, _)| column);
            let length =
                row.iter().map(|(_, weight)| weight * weight).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
            for (column, weight) in row {
                indices.push(column);
                values.push((weight / length) as f32);
            }
            indptr.push(indices.len());
        }
        Features::sparse(indptr, indices, values, vec![0.0; columns.len()])
    };
    let labels: Vec<u32> = train.iter().map(|example| example.label as u32).collect();
    let params = LogisticRegressionParams { c: 10.0, ..Default::default() };
    let fitted =
        params.fit(&features(&mut train.iter().map(|example| &example.genes))?, &labels, n_labels)?;
    Ok(fitted.predict(&features(&mut test.iter())?)?.codes.into_iter().map(|code| code as usize).collect())
}
