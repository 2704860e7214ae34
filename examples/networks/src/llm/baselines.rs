//! What needs no language model.

use std::time::Instant;

use anyhow::Result;
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sc_eval::Features;
use sc_eval::classifiers::{Classifier, NearestCentroidParams, SingleRMarkers, SingleRParams};
use sc_eval::split::Split;
use sc_examples::fold::as_it_is;
use sc_llm::evidence::Evidence;
use sc_prep::LogNormalized;

use super::args::TaskName;
use super::scores::Row;
use super::tasks::{Asked, Task};
use crate::baselines::{self, Example};

/// Letters of a barcode that are looked at together.
const LETTERS: usize = 3;

/// What stands beside the models: those that look at no evidence, those that look at the words of the prompt, and where
/// cells are to be named, those that look at all genes.
///
/// * `x`: all cells.
pub(super) fn baselines(task: &Task, x: &LogNormalized, split: &Split, seed: u64) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut add = |method: &str, answer: &dyn Fn() -> Result<Option<Vec<usize>>>| -> Result<()> {
        let began = Instant::now();
        if let Some(answers) = answer()? {
            let answers = answers.into_iter().map(Some).collect();
            rows.push(Row::new(task, method, answers).took(began.elapsed().as_secs_f64()));
        }
        Ok(())
    };
    let counts = training_cells(task, split);
    add("majority", &|| Ok(Some(vec![baselines::majority(&counts); task.test.len()])))?;
    add("random by prior", &|| Ok(Some(by_chance(task.test.len(), &counts, seed))))?;
    if task.name == TaskName::BarcodeCluster {
        add("TF-IDF of letters + LR", &|| tf_idf(task))?;
        return Ok(rows);
    }
    add("marker overlap", &|| {
        let overlap =
            |asked: &Asked| baselines::overlap(&task.markers, &counts, &texts(&words(&asked.evidence)));
        Ok(Some(task.test.iter().map(overlap).collect()))
    })?;
    add("TF-IDF of genes + LR", &|| tf_idf(task))?;
    add("nearest centroid, all genes", &|| nearest_centroid(task, x, split).map(Some))?;
    add("SingleR, all genes", &|| singler(task, x, split))?;
    Ok(rows)
}

/// Training cells of each label.
fn training_cells(task: &Task, split: &Split) -> Vec<usize> {
    baselines::counts(split.train.iter().map(|&row| task.of_cells[row]), task.labels.len())
}

/// Labels drawn with the shares of the training cells.
fn by_chance(n: usize, counts: &[usize], seed: u64) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let total = counts.iter().sum::<usize>().max(1) as u64;
    let draw = |_| {
        let mut left = (rng.next_u64() % total) as usize;
        let is_passed = |n: &&usize| {
            let is_passed = left >= **n;
            left = left.saturating_sub(**n);
            is_passed
        };
        counts.iter().take_while(is_passed).count().min(counts.len() - 1)
    };
    (0..n).map(draw).collect()
}

/// The words of a prompt that tell items apart: names of genes, or the letters of a barcode where they stand.
fn words(evidence: &Evidence) -> Vec<String> {
    match evidence {
        Evidence::Genes(genes) => genes.clone(),
        Evidence::Values(values) => values.iter().map(|(gene, _)| gene.clone()).collect(),
        Evidence::Barcode(barcode) => {
            let letters: Vec<char> = barcode.chars().collect();
            let parts = letters.windows(LETTERS).enumerate();
            parts.map(|(place, part)| format!("{place} {}", part.iter().collect::<String>())).collect()
        }
    }
}

fn texts(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// [`baselines::tf_idf`] on these words; none where no training item has any.
fn tf_idf(task: &Task) -> Result<Option<Vec<usize>>> {
    let said = |items: &[Asked]| items.iter().map(|asked| words(&asked.evidence)).collect::<Vec<_>>();
    let (train, test) = (said(&task.train), said(&task.test));
    if train.iter().all(Vec::is_empty) {
        return Ok(None);
    }
    let examples: Vec<Example<'_>> = task
        .train
        .iter()
        .zip(&train)
        .map(|(asked, words)| Example { genes: texts(words), label: asked.truth })
        .collect();
    let test: Vec<Vec<&str>> = test.iter().map(|words| texts(words)).collect();
    baselines::tf_idf(&examples, &test, task.labels.len()).map(Some)
}

/// All genes of the training cells, and the number of each cell's label.
fn reference(task: &Task, x: &LogNormalized, split: &Split) -> Result<(Features, Vec<u32>)> {
    let codes = split.train.iter().map(|&row| task.of_cells[row] as u32).collect();
    Ok((as_it_is(x.csr(), &split.train)?, codes))
}

/// All genes of the test items: of a cluster the mean over its cells.
fn queries(task: &Task, x: &LogNormalized) -> Result<Features> {
    if let Some(rows) = task
        .test
        .iter()
        .map(|asked| <[usize; 1]>::try_from(asked.cells.as_slice()).ok())
        .collect::<Option<Vec<_>>>()
    {
        return Ok(as_it_is(x.csr(), &rows.concat())?);
    }
    let mut means = Array2::<f32>::zeros((task.test.len(), x.n_vars()));
    for (asked, mut mean) in task.test.iter().zip(means.rows_mut()) {
        let mut sums = vec![0f64; x.n_vars()];
        for &cell in &asked.cells {
            let (genes, values) = x.csr().row(cell);
            genes.iter().zip(values).for_each(|(&gene, &value)| sums[gene as usize] += f64::from(value));
        }
        mean.iter_mut().zip(sums).for_each(|(mean, sum)| *mean = (sum / asked.cells.len() as f64) as f32);
    }
    Ok(Features::dense(means.view())?)
}

fn nearest_centroid(task: &Task, x: &LogNormalized, split: &Split) -> Result<Vec<usize>> {
    let (reference, codes) = reference(task, x, split)?;
    let fitted = NearestCentroidParams::default().fit(&reference, &codes, task.labels.len())?;
    Ok(places(fitted.predict(&queries(task, x)?)?.codes))
}

/// SingleR with the training cells as its reference; none where no gene tells any two types apart.
fn singler(task: &Task, x: &LogNormalized, split: &Split) -> Result<Option<Vec<usize>>> {
    let (reference, codes) = reference(task, x, split)?;
    let params = SingleRParams { markers: SingleRMarkers::CohensD, ..Default::default() };
    match params.fit(&reference, &codes, task.labels.len()) {
        Ok(fitted) => Ok(Some(places(fitted.classify(&queries(task, x)?)?.codes))),
        Err(sc_eval::Error::Empty { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn places(codes: Vec<u32>) -> Vec<usize> {
    codes.into_iter().map(|code| code as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_has_the_shares_of_the_training_cells() {
        let drawn = by_chance(10_000, &[6000, 0, 3000, 1000], 1);
        let share = |label: usize| drawn.iter().filter(|&&l| l == label).count() as f64 / 10_000.0;
        for (label, expected) in [(0, 0.6), (1, 0.0), (2, 0.3), (3, 0.1)] {
            assert!((share(label) - expected).abs() < 0.02, "{label}: {}", share(label));
        }
    }

    #[test]
    fn letters_of_a_barcode_are_told_apart_by_where_they_stand() {
        assert_eq!(words(&sc_llm::evidence::barcode("AAAA")), ["0 AAA", "1 AAA"]);
        assert!(words(&sc_llm::evidence::barcode("AA")).is_empty());
    }
}
