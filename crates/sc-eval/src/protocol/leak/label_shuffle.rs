//! The control of shuffled labels: what cannot be learnt must not be known.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{Finding, Severity};
use crate::protocol::prediction_check::check_prediction;
use crate::split::{Split, check_splits};
use crate::statistics::below;
use crate::{Error, Labels, Prediction, Result};

/// How often to shuffle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelShuffleParams {
    /// Number of shuffles, 7 to 16: below 7 no p-value could be under 0.01. Default 10.
    pub n_shuffles: usize,
    /// Seed; each shuffle has a stream of its own. Default 0.
    pub seed: u64,
}

impl Default for LabelShuffleParams {
    fn default() -> Self {
        Self { n_shuffles: 10, seed: 0 }
    }
}

/// A p-value below this is called a leak.
const SIGNIFICANT: f64 = 0.01;

/// Quantile 0.975 of Student's t with 6 to 15 degrees of freedom: one less than the shuffles.
const STUDENT: [f64; 10] =
    [2.446_91, 2.364_62, 2.306_00, 2.262_16, 2.228_14, 2.200_99, 2.178_81, 2.160_37, 2.144_79, 2.131_45];

/// Runs a whole pipeline on shuffled labels: its accuracy must fall to chance.
///
/// * `splits`: as for [`cross_validate`](crate::protocol::cross_validate()).
/// * `pipeline`: gets labels and the splits, and answers about the test cells of every split, in their order. **Everything
///   that looks at labels must happen inside**, the choice of genes or of settings included: what is done once outside, on
///   the true labels, is not tested.
///
/// Labels are shuffled among the cells that are tested in the same split, so that every fold keeps its classes. Given
/// what an honest pipeline may know, every arrangement of the labels within a test set is then equally likely, and its
/// expected accuracy is exactly `Σ (cells of a class · cells given that class) / cells²`. What the accuracy exceeds this
/// chance by is averaged over splits, and tested over shuffles by an exact sign-flip permutation test (one-sided; a leak
/// if p < 0.01, which an honest pipeline meets about once in a hundred runs). The interval is Student's.
///
/// It does not see leaks without labels, such as scaling on all cells: see [`super::poison`].
///
/// Numbers: `accuracy`, `chance`, `excess`, `excess_low`, `excess_high`, `p`, `shuffles`.
///
/// # Errors
/// [`Error::Parameter`] for another number of shuffles; [`Error::Fold`] for a split that is not valid; [`Error::Run`] with
/// the shuffle and the pipeline's own error; [`Error::Answer`] around what is wrong with an answer.
pub fn label_shuffle<E>(
    labels: &Labels,
    splits: &[Split],
    params: &LabelShuffleParams,
    mut pipeline: impl FnMut(&Labels, &[Split]) -> Result<Vec<Prediction>, E>,
) -> Result<Finding>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let n_shuffles = params.n_shuffles;
    if !(7..=16).contains(&n_shuffles) {
        let (value, expected) = (n_shuffles.to_string(), "7 to 16 shuffles");
        return Err(Error::Parameter { name: "n_shuffles", value, expected });
    }
    let groups = groups(&check_splits(splits, labels.len())?, splits.len());
    let (mut accuracy, mut chance, mut excess) = (0.0, 0.0, Vec::with_capacity(n_shuffles));
    for shuffle in 0..n_shuffles {
        let shuffled = labels.with_codes(shuffled(labels.codes(), &groups, params.seed, shuffle));
        let place = || format!("labels shuffled for the {}. time", shuffle + 1);
        let answers = pipeline(&shuffled, splits).map_err(|source| Error::run(place(), source))?;
        let wrong = |source| Error::answer(place(), source);
        if answers.len() != splits.len() {
            let (found, expected) = (answers.len(), splits.len());
            return Err(wrong(Error::Length { what: "the list of answers", found, expected }));
        }
        let mut over = (0.0, 0.0);
        for (fold, (split, answer)) in splits.iter().zip(&answers).enumerate() {
            check_prediction(answer, split.test.len(), labels.n_classes())
                .map_err(|source| wrong(Error::in_fold(fold, source)))?;
            let (found, expected) =
                agreement(&shuffled.select(&split.test), &answer.codes, labels.n_classes());
            over = (over.0 + found / splits.len() as f64, over.1 + expected / splits.len() as f64);
        }
        accuracy += over.0 / n_shuffles as f64;
        chance += over.1 / n_shuffles as f64;
        excess.push(over.0 - over.1);
    }
    Ok(judged(accuracy, chance, &excess))
}

fn judged(accuracy: f64, chance: f64, excess: &[f64]) -> Finding {
    let n = excess.len() as f64;
    let mean = excess.iter().sum::<f64>() / n;
    let variance = excess.iter().map(|e| (e - mean) * (e - mean)).sum::<f64>() / (n - 1.0);
    let half = STUDENT[excess.len() - 7] * (variance / n).sqrt();
    let p = sign_flip(excess);
    let severity = if p < SIGNIFICANT { Severity::Leak } else { Severity::Passed };
    let figures = format!(
        "on shuffled labels accuracy is {accuracy:.3}, chance is {chance:.3} (excess {mean:.3}, 95 % interval {:.3} to \
         {:.3}, p {p:.4})",
        mean - half,
        mean + half
    );
    let words = match severity {
        Severity::Leak => format!(
            "{figures}: labels of test cells reach the model; look for a choice of genes or settings made on all cells"
        ),
        _ => format!("{figures}: nothing is learnt where nothing can be"),
    };
    let numbers = vec![
        ("accuracy", accuracy),
        ("chance", chance),
        ("excess", mean),
        ("excess_low", mean - half),
        ("excess_high", mean + half),
        ("p", p),
        ("shuffles", n),
    ];
    Finding { test: "shuffled labels", severity, words, numbers }
}

/// The cells that are tested in each split, and those that are in none.
fn groups(fold_of_cell: &[Option<usize>], n_splits: usize) -> Vec<Vec<usize>> {
    let mut groups = vec![Vec::new(); n_splits + 1];
    for (cell, fold) in fold_of_cell.iter().enumerate() {
        groups[fold.unwrap_or(n_splits)].push(cell);
    }
    groups
}

/// The codes, shuffled within each group.
fn shuffled(codes: &[u32], groups: &[Vec<usize>], seed: u64, shuffle: usize) -> Vec<u32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(shuffle as u64);
    let mut codes = codes.to_vec();
    for group in groups {
        for i in (1..group.len()).rev() {
            let j = below(&mut rng, u32::try_from(i + 1).unwrap_or(u32::MAX)) as usize;
            codes.swap(group[i], group[j]);
        }
    }
    codes
}

/// Accuracy, and what it is expected to be if the truth is arranged at random.
fn agreement(truth: &[u32], given: &[u32], n_classes: usize) -> (f64, f64) {
    let (mut of_truth, mut of_given) = (vec![0u64; n_classes], vec![0u64; n_classes]);
    truth.iter().for_each(|&code| of_truth[code as usize] += 1);
    given.iter().for_each(|&code| of_given[code as usize] += 1);
    let n = truth.len() as f64;
    let right = truth.iter().zip(given).filter(|(a, b)| a == b).count() as f64;
    let pairs: u64 = of_truth.iter().zip(&of_given).map(|(a, b)| a * b).sum();
    (right / n, pairs as f64 / (n * n))
}

/// Share of all ways to choose the signs of `values` whose sum is at least theirs.
fn sign_flip(values: &[f64]) -> f64 {
    let observed: f64 = values.iter().sum();
    // A little less, so that rounding cannot exclude the arrangement that was observed.
    let limit = observed - 1e-12;
    let sum = |signs: u32| -> f64 {
        values.iter().enumerate().map(|(i, v)| if signs >> i & 1 == 1 { -v } else { *v }).sum()
    };
    let ways = 1u32 << values.len();
    (0..ways).filter(|&signs| sum(signs) >= limit).count() as f64 / f64::from(ways)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_flipped_in_every_way() {
        assert_eq!(sign_flip(&[0.1; 7]), 1.0 / 128.0);
        assert_eq!(sign_flip(&[-0.1; 7]), 1.0);
        assert_eq!(sign_flip(&[0.0; 7]), 1.0);
        assert_eq!(sign_flip(&[3.0, 1.0, 1.0]), 1.0 / 8.0);
        assert_eq!(sign_flip(&[3.0, -1.0, 1.0]), 3.0 / 8.0);
    }

    #[test]
    fn chance_is_the_mean_over_all_arrangements() {
        let given = [0, 0, 1, 2];
        let arrangements =
            [[0, 0, 1, 1], [0, 1, 0, 1], [0, 1, 1, 0], [1, 0, 0, 1], [1, 0, 1, 0], [1, 1, 0, 0]];
        let mean = arrangements.iter().map(|truth| agreement(truth, &given, 3).0).sum::<f64>() / 6.0;
        assert!((agreement(&arrangements[0], &given, 3).1 - mean).abs() < 1e-15);
    }

    #[test]
    fn shuffling_keeps_the_classes_of_every_group() {
        let codes: Vec<u32> = (0..60).map(|i| i % 4).collect();
        let groups = [(0..20).collect::<Vec<_>>(), (20..55).collect(), (55..60).collect()];
        let moved = shuffled(&codes, &groups, 1, 0);
        assert_ne!(moved, codes);
        assert_ne!(moved, shuffled(&codes, &groups, 1, 1));
        for group in &groups {
            let sorted = |codes: &[u32]| {
                let mut of: Vec<u32> = group.iter().map(|&i| codes[i]).collect();
                of.sort_unstable();
                of
            };
            assert_eq!(sorted(&moved), sorted(&codes));
        }
    }
}
