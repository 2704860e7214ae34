//! The poison test: other test cells must not matter.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{Finding, Severity};
use crate::protocol::prediction_check::check_prediction;
use crate::split::{Split, check_splits};
use crate::statistics::below;
use crate::{Error, Prediction, Result};

/// Replaces half of the test cells by copies of others: what is said of the rest must stay the same to the last bit.
///
/// * `n_cells`, `n_classes`: cells of the matrix, classes of the answers.
/// * `split`: needs at least two test cells.
/// * `pipeline`: gets a row for each cell of the matrix, and the split. It must take the values of cell `i` from row
///   `cells[i]`, run **everything** from there on, and answer about the test cells, in their order. Labels stay with the
///   cells.
///
/// The pipeline runs four times: twice on the cells as they are, to know that it repeats itself; once with half of the
/// test cells replaced by copies of random other test cells; once with copies of a single one. If the answer about an
/// untouched cell changes, some step was fitted on test cells, or answers about cells together: scores then depend on
/// which cells are tested. Probabilities make the test sharp; classes alone may hide a small leak. What leaves no trace,
/// such as scaling for a decision tree, is not found, and does no harm.
///
/// Numbers: `changed` (untouched cells whose answer differs), `untouched`, `largest_change` (of a probability).
///
/// # Errors
/// [`Error::Fold`] for a split that is not valid; [`Error::Parameter`] for fewer than two test cells; [`Error::Run`] with
/// the run and the pipeline's own error; [`Error::Answer`] around what is wrong with an answer.
pub fn poison<E>(
    n_cells: usize,
    n_classes: usize,
    split: &Split,
    seed: u64,
    mut pipeline: impl FnMut(&[usize], &Split) -> Result<Prediction, E>,
) -> Result<Finding>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    check_splits(std::slice::from_ref(split), n_cells)?;
    let test = &split.test;
    if test.len() < 2 {
        let (value, expected) = (format!("{} test cell", test.len()), "at least 2 test cells");
        return Err(Error::Parameter { name: "split", value, expected });
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = |n: usize| below(&mut rng, u32::try_from(n).unwrap_or(u32::MAX)) as usize;
    let mut order: Vec<usize> = (0..test.len()).collect();
    for i in (1..order.len()).rev() {
        order.swap(i, draw(i + 1));
    }
    let (replaced, untouched) = order.split_at(test.len() / 2);

    let clean: Vec<usize> = (0..n_cells).collect();
    let (mut random, mut single) = (clean.clone(), clean.clone());
    for &at in replaced {
        // Any other test cell: a step of 1 to n - 1 around the list.
        random[test[at]] = test[(at + 1 + draw(test.len() - 1)) % test.len()];
        single[test[at]] = test[untouched[0]];
    }
    let mut run = |what: &str, cells: &[usize]| {
        let answer = pipeline(cells, split).map_err(|source| Error::run(what.to_owned(), source))?;
        check_prediction(&answer, test.len(), n_classes)
            .map_err(|source| Error::answer(what.to_owned(), source))?;
        Ok::<_, Error>(answer)
    };
    let first = run("clean cells", &clean)?;
    let again = run("clean cells again", &clean)?;
    let all: Vec<usize> = (0..test.len()).collect();
    let unsteady = differences(&first, &again, &all);
    if unsteady.n > 0 {
        let words = format!(
            "two runs on the same cells differ for {} of {} test cells: the pipeline does not repeat itself, so nothing can \
             be said; give every random step a seed",
            unsteady.n,
            test.len()
        );
        return Ok(unsteady.finding(Severity::Notice, words, test.len()));
    }
    let by_random =
        differences(&first, &run("half of the test cells replaced by random ones", &random)?, untouched);
    let by_single =
        differences(&first, &run("half of the test cells replaced by a single one", &single)?, untouched);
    let worse = if by_single.n > by_random.n { by_single } else { by_random };
    let n = untouched.len();
    Ok(match worse.n {
        0 => {
            let words = format!(
                "with half of the test cells replaced, the answers about the other {n} stay the same to the last bit"
            );
            worse.finding(Severity::Passed, words, n)
        }
        changed => {
            let words = format!(
                "with half of the test cells replaced, the answers about {changed} of the other {n} change: a step was \
                 fitted on test cells, or answers about cells together"
            );
            worse.finding(Severity::Leak, words, n)
        }
    })
}

/// How two answers about the same cells differ.
struct Differences {
    n: usize,
    largest: f64,
}

impl Differences {
    fn finding(&self, severity: Severity, words: String, n_compared: usize) -> Finding {
        let numbers = vec![
            ("changed", self.n as f64),
            ("untouched", n_compared as f64),
            ("largest_change", self.largest),
        ];
        Finding { test: "poisoned test cells", severity, words, numbers }
    }
}

fn differences(a: &Prediction, b: &Prediction, cells: &[usize]) -> Differences {
    let mut found = Differences { n: 0, largest: 0.0 };
    for &i in cells {
        let mut differs = a.codes[i] != b.codes[i];
        match (&a.probabilities, &b.probabilities) {
            (Some(a), Some(b)) => {
                for (a, b) in a.row(i).iter().zip(b.row(i)) {
                    differs |= a.to_bits() != b.to_bits();
                    found.largest = found.largest.max((f64::from(*a) - f64::from(*b)).abs());
                }
            }
            (None, None) => {}
            _ => differs = true,
        }
        found.n += usize::from(differs);
    }
    found
}
