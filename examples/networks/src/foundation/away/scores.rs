//! What the methods are worth on the cells of the other file, beside what they are worth at home.

use anyhow::Result;
use rayon::prelude::*;
use sc_eval::grid::{MergedDataset, MergedModel};
use sc_eval::metrics::classification::{ConfusionMatrix, ZeroDivision, confusion_matrix};
use sc_eval::statistics::{BootstrapParams, Interval, bootstrap_difference, bootstrap_folds};

use super::Asker;
use super::comparison::Comparison;
use super::sections::Abroad;

/// A figure and its 95 % interval, both means over the seeds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sure {
    pub(super) value: f64,
    pub(super) interval: Interval,
}

/// A method at home and on the other file, on cells of the classes that both have; means over the seeds.
#[derive(Clone, Debug)]
pub(super) struct Score {
    pub(super) name: String,
    pub(super) accuracy: Sure,
    /// Standard deviation over the seeds; none with one.
    pub(super) sd: Option<f64>,
    /// F1, mean over the shared classes.
    pub(super) f1_macro: f64,
    /// Accuracy of the test cells at home; none if none of them is of a shared class.
    pub(super) home: Option<f64>,
    /// Accuracy at home less accuracy on the file.
    pub(super) loss: Option<Sure>,
    /// Share of the cells of each shared class that were named rightly.
    pub(super) recall: Vec<f64>,
}

/// One seed of a method.
struct OfSeed {
    accuracy: Sure,
    f1_macro: f64,
    home: Option<f64>,
    loss: Option<Sure>,
    recall: Vec<f64>,
}

/// What all methods are worth on the file.
///
/// * `data`: the answers at home.
///
/// # Errors
/// If an answer is gone.
pub(in crate::foundation) fn score(asker: &Asker<'_>, data: &MergedDataset) -> Result<Abroad> {
    let comparison = &asker.away().comparison;
    let of_method = |(method, model): (usize, &MergedModel)| {
        let seeds: Vec<(Vec<u32>, Vec<f64>)> = model
            .seeds
            .iter()
            .map(|seed| {
                let answers = asker.answer(method, seed.seed)?;
                let cells = seed.result.truth.iter().zip(&seed.result.predicted);
                let cells = cells.filter_map(|(&truth, &said)| Some((truth, said?)));
                Ok((answers, hits_at_home(comparison, cells)))
            })
            .collect::<Result<_>>()?;
        let seeds: Vec<OfSeed> = seeds
            .par_iter()
            .map(|(answers, home)| of_seed(comparison, answers, home))
            .collect::<Result<_>>()?;
        Ok(mean(&model.plan.name, &seeds))
    };
    let scores = data.models.iter().enumerate().map(of_method).collect::<Result<Vec<Score>>>()?;
    Ok(Abroad::new(
        asker.away(),
        &data.name,
        &scores,
        data.models.first().map_or(0, |model| model.seeds.len()),
    ))
}

/// 1 or 0 for each test cell at home of a class that the file has.
fn hits_at_home(comparison: &Comparison, cells: impl Iterator<Item = (u32, u32)>) -> Vec<f64> {
    let class = |code: u32| comparison.of_home[code as usize];
    let comparable = cells.filter(|&(truth, _)| comparison.is_shared(class(truth)));
    comparable.map(|(truth, said)| f64::from(u8::from(class(truth) == class(said)))).collect()
}

fn of_seed(comparison: &Comparison, answers: &[u32], home: &[f64]) -> Result<OfSeed> {
    let known = comparison.truth.iter().zip(answers);
    let (truth, said): (Vec<u32>, Vec<u32>) =
        known.filter_map(|(truth, &said)| Some(((*truth)?, comparison.of_home[said as usize]))).unzip();
    let confusion = confusion_matrix(&truth, &said, comparison.classes.len())?;
    let params = BootstrapParams::default();
    let [interval] = bootstrap_folds(std::slice::from_ref(&confusion), &params, [ConfusionMatrix::accuracy])?;
    let accuracy = Sure { value: confusion.accuracy(), interval };
    let classes = confusion.per_class(ZeroDivision::Zero);
    let shared = || comparison.shared.iter().map(|&class| classes[class as usize]);
    let f1_macro = shared().map(|class| class.f1).sum::<f64>() / comparison.shared.len() as f64;
    let at_home = (!home.is_empty()).then(|| home.iter().sum::<f64>() / home.len() as f64);
    let loss = match at_home {
        None => None,
        Some(at_home) => {
            let right = truth.iter().zip(&said).map(|(truth, said)| f64::from(u8::from(truth == said)));
            let interval = bootstrap_difference(home, &right.collect::<Vec<_>>(), &params)?;
            Some(Sure { value: at_home - accuracy.value, interval })
        }
    };
    Ok(OfSeed {
        accuracy,
        f1_macro,
        home: at_home,
        loss,
        recall: shared().map(|class| class.recall).collect(),
    })
}

/// Means over the seeds, also of the ends of the intervals: more seeds ask about the same cells again, and do not make them
/// narrower.
fn mean(name: &str, seeds: &[OfSeed]) -> Score {
    let over = |of: &dyn Fn(&OfSeed) -> f64| seeds.iter().map(of).sum::<f64>() / seeds.len() as f64;
    let sure = |of: &dyn Fn(&OfSeed) -> Sure| Sure {
        value: over(&|seed| of(seed).value),
        interval: Interval {
            low: over(&|seed| of(seed).interval.low),
            high: over(&|seed| of(seed).interval.high),
            level: BootstrapParams::default().level,
        },
    };
    let accuracy = sure(&|seed| seed.accuracy);
    let squares = over(&|seed| (seed.accuracy.value - accuracy.value).powi(2));
    let n = seeds.len() as f64;
    let losses: Option<Vec<Sure>> = seeds.iter().map(|seed| seed.loss).collect();
    Score {
        name: name.to_owned(),
        accuracy,
        sd: (seeds.len() > 1).then(|| (squares * n / (n - 1.0)).sqrt()),
        f1_macro: over(&|seed| seed.f1_macro),
        home: seeds
            .iter()
            .all(|seed| seed.home.is_some())
            .then(|| over(&|seed| seed.home.unwrap_or_default())),
        loss: losses.map(|losses| Sure {
            value: losses.iter().map(|loss| loss.value).sum::<f64>() / n,
            interval: Interval {
                low: losses.iter().map(|loss| loss.interval.low).sum::<f64>() / n,
                high: losses.iter().map(|loss| loss.interval.high).sum::<f64>() / n,
                level: BootstrapParams::default().level,
            },
        }),
        recall: (0..seeds[0].recall.len()).map(|class| over(&|seed| seed.recall[class])).collect(),
    }
}

#[cfg(test)]
mod tests {
    use sc_eval::Labels;

    use super::*;

    #[test]
    fn cells_of_unknown_types_are_left_out_and_home_is_scored_on_the_shared_classes() {
        let labels = Labels::new(&["B", "NK", "T"]).unwrap();
        let names = ["b", "b", "t", "neuron", "T"];
        let comparison = Comparison::new(&labels, &names, str::to_owned, None, &[]).unwrap();
        // B, NK and T are 0, 1 and 2; NK is in no cell of the file, and what is said of the neuron is not looked at.
        let home = hits_at_home(&comparison, [(0, 0), (1, 0), (2, 2), (2, 0)].into_iter());
        assert_eq!(home, [1.0, 1.0, 0.0]);
        let first = of_seed(&comparison, &[0, 1, 2, 0, 2], &home).unwrap();
        assert_eq!((first.accuracy.value, &first.recall[..]), (0.75, &[0.5, 1.0][..]));
        // F1 of B is 2 / 3, of T 1; NK, which was said once, is no shared class.
        assert!((first.f1_macro - 5.0 / 6.0).abs() < 1e-12);
        let loss = first.loss.unwrap();
        assert!((loss.value - (2.0 / 3.0 - 0.75)).abs() < 1e-12);
        assert!(loss.interval.low < loss.value && loss.value < loss.interval.high);
        let second = of_seed(&comparison, &[0, 0, 2, 1, 2], &[]).unwrap();
        let both = mean("method", &[first, second]);
        assert_eq!((both.accuracy.value, both.home, both.loss.is_none()), (0.875, None, true));
        assert!((both.sd.unwrap() - 0.125 * 2f64.sqrt()).abs() < 1e-12);
        assert_eq!(both.recall, [0.75, 1.0]);
    }
}
