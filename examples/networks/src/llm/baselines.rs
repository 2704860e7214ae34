//! What needs no language model.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sc_eval::Features;
use sc_eval::classifiers::{Classifier, LogisticRegressionParams};
use sc_llm::evidence::Evidence;

use super::scores::Row;
use super::tasks::{Asked, Task};

/// What stands beside the models: those that look at no evidence, and where genes are named, those that do.
pub(super) fn baselines(task: &Task, seed: u64) -> Result<Vec<Row>> {
    let counts = (0..task.labels.len())
        .map(|label| task.train.iter().filter(|asked| asked.truth == label).count())
        .collect::<Vec<usize>>();
    let largest = (0..counts.len()).max_by_key(|&label| (counts[label], std::cmp::Reverse(label)));
    let row = |method: &str, answer: &mut dyn FnMut(&Asked) -> usize| {
        let began = Instant::now();
        let answers = task.test.iter().map(|asked| Some(answer(asked))).collect();
        Row::new(task, method, answers).took(began.elapsed().as_secs_f64())
    };
    let majority = largest.unwrap_or(0);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = |_: &Asked| {
        let mut left = (rng.next_u64() % task.train.len().max(1) as u64) as usize;
        let is_passed = |n: &&usize| {
            let is_passed = left >= **n;
            left = left.saturating_sub(**n);
            is_passed
        };
        counts.iter().take_while(is_passed).count().min(counts.len() - 1)
    };
    let mut rows = vec![row("majority", &mut |_| majority), row("random by prior", &mut draw)];
    if task.train.iter().any(|asked| genes(&asked.evidence).is_some()) {
        rows.push(row("marker overlap", &mut |asked| overlap(task, &asked.evidence, &counts)));
        let began = Instant::now();
        let answers = tf_idf(task)?.into_iter().map(Some).collect();
        rows.push(Row::new(task, "TF-IDF + LR", answers).took(began.elapsed().as_secs_f64()));
    }
    Ok(rows)
}

/// Names of genes, if there are any.
fn genes(evidence: &Evidence) -> Option<Vec<&str>> {
    match evidence {
        Evidence::Genes(genes) => Some(genes.iter().map(String::as_str).collect()),
        Evidence::Values(values) => Some(values.iter().map(|(gene, _)| gene.as_str()).collect()),
        Evidence::Barcode(_) => None,
    }
}

/// The label that shares most genes with what is said; of equals the larger, then the first.
fn overlap(task: &Task, evidence: &Evidence, counts: &[usize]) -> usize {
    let said = genes(evidence).unwrap_or_default();
    let shared =
        |label: usize| task.markers[label].iter().filter(|gene| said.contains(&gene.as_str())).count();
    let key = |&label: &usize| (shared(label), counts[label], std::cmp::Reverse(label));
    (0..task.labels.len()).max_by_key(key).unwrap_or(0)
}

/// Logistic regression on which genes are said, as scikit-learn's `TfidfVectorizer` weighs them: `ln((1 + n) / (1 + df)) + 1`
/// for a gene that is there, rows of length 1. Genes that no training item has are not looked at.
fn tf_idf(task: &Task) -> Result<Vec<usize>> {
    let mut df: BTreeMap<&str, usize> = BTreeMap::new();
    for gene in task.train.iter().flat_map(|asked| genes(&asked.evidence).unwrap_or_default()) {
        *df.entry(gene).or_default() += 1;
    }
    let n = task.train.len() as f64;
    let columns: BTreeMap<&str, (u32, f64)> = (0..)
        .zip(&df)
        .map(|(column, (&gene, &df))| (gene, (column, libm::log((1.0 + n) / (1.0 + df as f64)) + 1.0)))
        .collect();
    let features = |items: &[Asked]| {
        let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
        for asked in items {
            let said = genes(&asked.evidence).unwrap_or_default();
            let mut row: Vec<(u32, f64)> =
                said.iter().filter_map(|gene| columns.get(gene).copied()).collect();
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
    let truth: Vec<u32> = task.train.iter().map(|asked| asked.truth as u32).collect();
    let params = LogisticRegressionParams { c: 10.0, ..Default::default() };
    let fitted = params.fit(&features(&task.train)?, &truth, task.labels.len())?;
    Ok(fitted.predict(&features(&task.test)?)?.codes.into_iter().map(|code| code as usize).collect())
}
