//! What became of each epoch.

use serde::{Deserialize, Serialize};

/// How a model does on cells that it was not trained on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// The loss, as in training but without dropout.
    pub loss: f64,
    /// Share of the items whose most probable class is the true one.
    pub accuracy: f64,
    /// The mean over the classes of the harmonic mean of precision and recall; over the classes that are true or
    /// predicted at least once, as scikit-learn has it. Absent where the classes are tokens.
    pub macro_f1: Option<f64>,
}

impl Scores {
    /// From the true and the most probable class of each item.
    pub(crate) fn of_classes(loss: f64, pairs: &[(u32, u32)], n_classes: usize) -> Self {
        let (mut right, mut truth, mut found) =
            (vec![0usize; n_classes], vec![0usize; n_classes], vec![0usize; n_classes]);
        for &(expected, predicted) in pairs {
            truth[expected as usize] += 1;
            found[predicted as usize] += 1;
            right[expected as usize] += usize::from(expected == predicted);
        }
        let f1 = |class: usize| 2.0 * right[class] as f64 / (truth[class] + found[class]) as f64;
        let present: Vec<usize> = (0..n_classes).filter(|&class| truth[class] + found[class] > 0).collect();
        let macro_f1 = present.iter().map(|&class| f1(class)).sum::<f64>() / present.len().max(1) as f64;
        let accuracy = right.iter().sum::<usize>() as f64 / pairs.len().max(1) as f64;
        Self { loss, accuracy, macro_f1: Some(macro_f1) }
    }
}

/// An epoch of a training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Its number, from 1 on.
    pub epoch: usize,
    /// Mean loss over the items trained on, with dropout, while the weights changed.
    pub train_loss: f64,
    /// How the model did on the validation cells afterwards, if there are any.
    pub validation: Option<Scores>,
    /// The learning rate of the last step.
    pub learning_rate: f64,
    /// Mean length of the gradient over the steps, before it was clipped.
    pub gradient_norm: f64,
    /// Seconds that it took, evaluation included. The only number here that no other run repeats.
    pub seconds: f64,
}

/// Which epoch's weights are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Select {
    /// Those of the last.
    Last,
    /// Those of the smallest validation loss; of several, the earliest.
    #[default]
    Loss,
    /// Those of the largest macro-F1 on the validation cells; of several, the earliest.
    MacroF1,
}

impl Select {
    /// Whether `new` is better than the best so far.
    pub(crate) fn prefers(self, new: &EpochRecord, best: &EpochRecord) -> bool {
        let value = |record: &EpochRecord| {
            let scores = record.validation?;
            match self {
                Self::Last => None,
                Self::Loss => Some(-scores.loss),
                Self::MacroF1 => scores.macro_f1,
            }
        };
        match (value(new), value(best)) {
            (Some(new), Some(best)) => new > best,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macro_f1_is_over_the_classes_that_occur() {
        // Class 0: precision 1/2, recall 1; class 1: 1/1 and 1/2; class 2: never right; class 3: never seen.
        let scores = Scores::of_classes(0.5, &[(0, 0), (1, 0), (1, 1), (2, 1)], 4);
        assert_eq!(scores.accuracy, 0.5);
        assert!((scores.macro_f1.unwrap() - (2.0 / 3.0 + 0.5 + 0.0) / 3.0).abs() < 1e-12);
    }

    #[test]
    fn the_earlier_of_two_equal_epochs_is_kept() {
        let record = |epoch, loss, f1| EpochRecord {
            epoch,
            train_loss: 1.0,
            validation: Some(Scores { loss, accuracy: 0.5, macro_f1: Some(f1) }),
            learning_rate: 0.1,
            gradient_norm: 1.0,
            seconds: 1.0,
        };
        let (first, second) = (record(1, 0.4, 0.7), record(2, 0.3, 0.7));
        assert!(Select::Loss.prefers(&second, &first) && !Select::Loss.prefers(&first, &second));
        assert!(!Select::MacroF1.prefers(&second, &first));
        assert!(Select::Last.prefers(&second, &first));
    }
}
