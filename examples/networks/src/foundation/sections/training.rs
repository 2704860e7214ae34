//! How the trainings went: a line for each over its epochs.

use sc_eval::report::{Axis, Curves, Point, Section, Series};

use super::Findings;
use crate::foundation::choice::Choice;
use crate::foundation::methods::Method;

const LEDE: &str = "Mean over the seeds after each epoch. The epoch with the smallest loss of the validation cells is kept, of each \
                    seed its own; test cells play no part here.";

impl Findings<'_> {
    /// Loss and macro-F1 of the validation cells over the epochs of what was trained by epochs.
    ///
    /// * `choices`: for each method, what was chosen with each seed.
    pub(super) fn trainings(&self, choices: &[Vec<(u64, Choice)>]) -> Vec<Section> {
        let curve = |title: &str, label: &str, value: &dyn Fn(&Choice, usize) -> Option<f64>| {
            let names: Vec<&str> = self.models.iter().map(|model| model.name.as_str()).collect();
            let tuned = self.methods.iter().zip(choices);
            let tuned = tuned.filter(|(method, _)| matches!(method, Method::Tuned { .. }));
            let series: Vec<Series> = tuned
                .map(|(method, of_seeds)| Series {
                    name: method.name(&names),
                    points: points(of_seeds, value),
                })
                .filter(|series| !series.points.is_empty())
                .collect();
            let axis = |label: &str| Axis { label: label.to_owned(), ..Default::default() };
            let curves = Curves {
                x: axis("epoch"),
                y: axis(label),
                series,
                baselines: Vec::new(),
                caption: String::new(),
            };
            (!curves.series.is_empty()).then(|| Section::new(title, LEDE, curves))
        };
        let loss =
            |choice: &Choice, epoch: usize| choice.history.get(epoch)?.validation.map(|scores| scores.loss);
        let f1 = |choice: &Choice, epoch: usize| choice.history.get(epoch)?.validation?.macro_f1;
        [
            curve("Training: loss of the validation cells", "cross-entropy", &loss),
            curve("Training: macro-F1 of the validation cells", "macro-F1", &f1),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Means over the seeds that have the epoch; an early stop ends a seed's part.
fn points(of_seeds: &[(u64, Choice)], value: &dyn Fn(&Choice, usize) -> Option<f64>) -> Vec<Point> {
    let longest = of_seeds.iter().map(|(_, choice)| choice.history.len()).max().unwrap_or(0);
    (0..longest)
        .filter_map(|epoch| {
            let found: Vec<f64> = of_seeds.iter().filter_map(|(_, choice)| value(choice, epoch)).collect();
            let y = found.iter().sum::<f64>() / found.len() as f64;
            (!found.is_empty()).then(|| Point { x: (epoch + 1) as f64, y, interval: None })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use sc_fm::train::{EpochRecord, Scores};

    use super::*;

    #[test]
    fn an_epoch_is_the_mean_of_the_seeds_that_reached_it() {
        let record = |epoch, loss| EpochRecord {
            epoch,
            train_loss: 1.0,
            validation: Some(Scores { loss, accuracy: 0.5, macro_f1: Some(0.5) }),
            learning_rate: 1e-3,
            gradient_norm: 1.0,
            seconds: 1.0,
        };
        let choice = |losses: &[f64]| Choice {
            history: (1..).zip(losses).map(|(epoch, &loss)| record(epoch, loss)).collect(),
            ..Default::default()
        };
        let of_seeds = [(1, choice(&[0.5, 0.25])), (2, choice(&[1.5]))];
        let loss =
            |choice: &Choice, epoch: usize| choice.history.get(epoch)?.validation.map(|scores| scores.loss);
        let found: Vec<[f64; 2]> = points(&of_seeds, &loss).iter().map(|point| [point.x, point.y]).collect();
        assert_eq!(found, [[1.0, 1.0], [2.0, 0.25]]);
    }
}
