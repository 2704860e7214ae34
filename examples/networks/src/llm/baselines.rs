//! What needs no language model.

use std::time::Instant;

use anyhow::Result;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sc_llm::evidence::Evidence;

use super::scores::Row;
use super::tasks::{Asked, Task};
use crate::baselines::{self, Example};

/// What stands beside the models: those that look at no evidence, and where genes are named, those that do.
pub(super) fn baselines(task: &Task, seed: u64) -> Result<Vec<Row>> {
    let counts = baselines::counts(task.train.iter().map(|asked| asked.truth), task.labels.len());
    let row = |method: &str, answer: &mut dyn FnMut(&Asked) -> usize| {
        let began = Instant::now();
        let answers = task.test.iter().map(|asked| Some(answer(asked))).collect();
        Row::new(task, method, answers).took(began.elapsed().as_secs_f64())
    };
    let majority = baselines::majority(&counts);
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
        rows.push(row("marker overlap", &mut |asked| {
            baselines::overlap(&task.markers, &counts, &named(asked))
        }));
        let began = Instant::now();
        let train: Vec<Example<'_>> =
            task.train.iter().map(|asked| Example { genes: named(asked), label: asked.truth }).collect();
        let test: Vec<Vec<&str>> = task.test.iter().map(named).collect();
        let answers = baselines::tf_idf(&train, &test, task.labels.len())?;
        let answers = answers.into_iter().map(Some).collect();
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

fn named(asked: &Asked) -> Vec<&str> {
    genes(&asked.evidence).unwrap_or_default()
}
