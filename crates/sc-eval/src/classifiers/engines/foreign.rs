//! What every fit by another crate shares: labels in and answers out are checked, and a panic is an error.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rayon::prelude::*;

use super::Engine;
use crate::classifiers::Model;
use crate::classifiers::planes::Planes;
use crate::classifiers::training::{Classes, ROW_CHUNK, Training, softmax};
use crate::{Error, Features, Prediction, Result};

/// What a fit says of rows, in terms of the classes that occurred in training.
pub(super) enum Answer {
    /// Rows × classes.
    Probabilities(Vec<f64>),
    /// One class per row.
    Codes(Vec<usize>),
}

/// A model of another crate, with all that predicting needs.
pub(super) trait Fitted: Send + Sync {
    fn answer(&self, x: &Features) -> Result<Answer, String>;
}

pub(super) struct Fit {
    engine: Engine,
    model: &'static str,
    classes: Classes,
    fitted: Box<dyn Fitted>,
}

impl Fit {
    /// * `fit`: makes the model from classes that all occur, `0..n`, two of them at least.
    pub(super) fn new(
        (engine, model): (Engine, &Model),
        (x, y, n_classes): (&Features, &[u32], usize),
        fit: impl FnOnce(&Training) -> Result<Box<dyn Fitted>, String>,
    ) -> Result<Self> {
        let training = Training::new(x, y, n_classes)?;
        let fitted = if training.classes.n_present() == 1 {
            let probabilities =
                !matches!(model, Model::SvmLinear(_) | Model::SvmRbf(_) | Model::RandomForest(_));
            Box::new(OneClass { probabilities })
        } else {
            guarded((engine, model.name(), "fit"), || fit(&training))?
        };
        Ok(Self { engine, model: model.name(), classes: training.classes, fitted })
    }

    pub(super) fn predict(&self, x: &Features) -> Result<Prediction> {
        self.classes.check_features(x)?;
        let k = self.classes.n_present();
        guarded((self.engine, self.model, "predict"), || match self.fitted.answer(x)? {
            Answer::Probabilities(values) => {
                // Shares that are made by division may be above 1 by their rounding.
                if let Some(at) = values.iter().position(|p| !(0.0..1.0 + 1e-9).contains(p)) {
                    return Err(format!("the probability of row {} is {}", at / k, values[at]));
                }
                Ok(self.classes.with_probabilities(&values))
            }
            Answer::Codes(codes) => Ok(self.classes.with_codes(codes.into_iter())),
        })
    }
}

/// Runs code of another crate. What it cannot do is an error here, and so is a panic.
fn guarded<T>(
    (engine, model, action): (Engine, &'static str, &'static str),
    run: impl FnOnce() -> Result<T, String>,
) -> Result<T> {
    // Whatever a panic leaves half done is dropped with it: `run` changes nothing that is there before.
    let outcome = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(words(&*panic)));
    outcome.map_err(|reason| Error::EngineFailed { engine: engine.name(), model, action, reason })
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("it panicked: {}", text.unwrap_or("no reason given"))
}

/// The one class there is.
struct OneClass {
    probabilities: bool,
}

impl Fitted for OneClass {
    fn answer(&self, x: &Features) -> Result<Answer, String> {
        Ok(match self.probabilities {
            true => Answer::Probabilities(vec![1.0; x.n_rows()]),
            false => Answer::Codes(vec![0; x.n_rows()]),
        })
    }
}

/// A logistic regression: a plane per class, or the one of the second of two classes.
pub(super) struct Logistic {
    planes: Planes,
    n_classes: usize,
}

impl Logistic {
    /// # Errors
    /// If a value is not finite, or there are not as many as there should be.
    pub(super) fn new(planes: Planes, training: &Training) -> Result<Self, String> {
        let n_classes = training.classes.n_present();
        planes.check(training.classes.n_features(), if n_classes == 2 { 1 } else { n_classes })?;
        Ok(Self { planes, n_classes })
    }
}

impl Fitted for Logistic {
    fn answer(&self, x: &Features) -> Result<Answer, String> {
        let scores = self.planes.scores(x);
        let mut values = match self.n_classes {
            2 => scores.into_iter().flat_map(|score| [0.0, score]).collect(),
            _ => scores,
        };
        values.chunks_exact_mut(self.n_classes).for_each(softmax);
        Ok(Answer::Probabilities(values))
    }
}

/// The rows of `x` from `start` on, at most `n`, written out in full, row after row.
pub(super) fn rows(x: &Features, start: usize, n: usize) -> Vec<f64> {
    let end = x.n_rows().min(start + n);
    let mut row = vec![0f32; x.n_cols()];
    let mut values = Vec::with_capacity((end - start) * x.n_cols());
    for i in start..end {
        x.write_row(i, &mut row);
        values.extend(row.iter().map(|&v| f64::from(v)));
    }
    values
}

/// What `answer` says of each chunk of rows, written out in full, one chunk after the other.
///
/// * `answer`: gets the number of rows and their values.
pub(super) fn by_chunk<T: Send>(
    x: &Features,
    answer: impl Fn(usize, Vec<f64>) -> Result<Vec<T>, String> + Sync,
) -> Result<Vec<T>, String> {
    let starts: Vec<usize> = (0..x.n_rows()).step_by(ROW_CHUNK).collect();
    let chunk = |&start: &usize| answer(ROW_CHUNK.min(x.n_rows() - start), rows(x, start, ROW_CHUNK));
    let chunks = starts.par_iter().map(chunk).collect::<Result<Vec<_>, _>>()?;
    Ok(chunks.into_iter().flatten().collect())
}
