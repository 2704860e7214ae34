//! What is compared: classifiers on embeddings, tuned models, and the baselines that always stand beside them.

use std::time::Instant;

use sc_eval::classifiers::{LogisticRegressionParams, Model};
use sc_eval::metrics::classification::log_loss;
use sc_eval::protocol::FoldOutput;
use sc_eval::{Labels, Prediction};
use serde_json::{Value, json};

use super::args::Head;
use super::choice::Choice;
use super::prepared::{Prepared, View};
use super::tuned::Tuner;
use super::tuning::Tuning;
use sc_examples::fold::Failure;

/// Strengths of a logistic regression's penalty that are tried, the strongest first.
const C: [f64; 5] = [0.001, 0.01, 0.1, 1.0, 10.0];

/// A way to name the type of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// The largest class, for everybody.
    Majority,
    /// Logistic regression on principal components of the highly variable genes.
    Components,
    /// Logistic regression on the highly variable genes.
    Genes,
    /// A classifier on the embedding of a model.
    Embedded {
        /// The model, by its number.
        source: usize,
        /// The classifier.
        head: Head,
    },
    /// A model that was trained on the cells.
    Tuned {
        /// The model, by its number.
        source: usize,
        /// What of it was trained.
        tuning: Tuning,
    },
}

impl Method {
    /// The baselines, then every model with every classifier and everything that is trained of it.
    ///
    /// * `tunings`: those of each model.
    pub(super) fn all(tunings: &[Vec<Tuning>], heads: &[Head]) -> Vec<Self> {
        let mut methods = vec![Self::Majority, Self::Components, Self::Genes];
        for (source, tunings) in tunings.iter().enumerate() {
            methods.extend(heads.iter().map(|&head| Self::Embedded { source, head }));
            methods.extend(tunings.iter().map(|&tuning| Self::Tuned { source, tuning }));
        }
        methods
    }

    /// The model that it stands on.
    pub(super) fn source(self) -> Option<usize> {
        match self {
            Self::Embedded { source, .. } | Self::Tuned { source, .. } => Some(source),
            _ => None,
        }
    }

    /// Its name in tables.
    ///
    /// * `sources`: names of the models.
    pub(super) fn name(self, sources: &[&str]) -> String {
        match self {
            Self::Majority => "majority".to_owned(),
            Self::Components => "HVG + PCA + LR".to_owned(),
            Self::Genes => "HVG + LR".to_owned(),
            Self::Embedded { source, head } => format!("{} + {}", sources[source], head.words()),
            Self::Tuned { source, tuning } => format!("{}, {}", sources[source], tuning.words()),
        }
    }

    /// The parameters of a classifier, for the plan of the run.
    pub(super) fn parameters(self) -> Value {
        match self {
            Self::Majority | Self::Tuned { .. } => Value::Null,
            Self::Components | Self::Genes => json!({ "c": C }),
            Self::Embedded { head, .. } => json!(head.model(1.0, 0)),
        }
    }

    /// Fits on the training cells what does best on the validation cells, and asks it about the test cells.
    ///
    /// # Errors
    /// As the fit of the classifier.
    pub(super) fn run(
        self,
        prepared: &Prepared<'_>,
        labels: &Labels,
        seed: u64,
        tuner: &Tuner<'_>,
    ) -> Result<(FoldOutput, Choice), Failure> {
        if let Self::Tuned { source, tuning } = self {
            let trainee = prepared.trainees[source].ok_or("a model that is not there cannot be tuned")?;
            return Ok(tuner.run(trainee, (source, tuning), prepared.sets, seed)?);
        }
        let logistic = |c| Model::LogisticRegression(LogisticRegressionParams { c, ..Default::default() });
        let views: Vec<(Option<&str>, &View)> = match self {
            Self::Majority | Self::Genes | Self::Tuned { .. } => vec![(None, &prepared.genes)],
            Self::Components => vec![(None, &prepared.components)],
            Self::Embedded { source, .. } => {
                prepared.embedded[source].iter().map(|(layer, view)| (Some(layer.as_str()), view)).collect()
            }
        };
        let can_choose = !prepared.sets.validation.is_empty();
        let cs = |models: &dyn Fn(f64) -> Model| match can_choose {
            true => C.iter().map(|&c| (Some(c), models(c))).collect(),
            false => vec![(Some(1.0), models(1.0))],
        };
        let models: Vec<(Option<f64>, Model)> = match self {
            Self::Majority | Self::Tuned { .. } => vec![(None, Model::Majority)],
            Self::Components | Self::Genes => cs(&logistic),
            Self::Embedded { head: Head::LogisticRegression, .. } => cs(&logistic),
            Self::Embedded { head: Head::Xgboost, .. } => vec![(None, Head::Xgboost.model(1.0, seed))],
        };
        // Without validation cells the first of each is taken.
        let views = if can_choose { views } else { views.into_iter().take(1).collect() };

        let start = Instant::now();
        let truth = labels.select(&prepared.sets.train);
        let expected = labels.select(&prepared.sets.validation);
        let n_tried = views.len() * models.len();
        let mut best = None;
        for (layer, view) in views {
            for (c, model) in &models {
                let fitted = model.fit(&view.train, &truth, labels.n_classes())?;
                let loss = match &view.validation {
                    Some(cells) if n_tried > 1 => Some(cross_entropy(&fitted.predict(cells)?, &expected)?),
                    _ => None,
                };
                let is_better = match (&best, loss) {
                    (Some((_, _, Choice { loss: Some(least), .. })), Some(loss)) => loss < *least,
                    _ => true,
                };
                if is_better {
                    let layer = layer.map(str::to_owned);
                    let choice = Choice { layer, c: *c, loss, n_tried, ..Default::default() };
                    best = Some((fitted, view, choice));
                }
            }
        }
        let (fitted, view, choice) = best.expect("there is a view and a classifier at least");
        let fit_seconds = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let prediction = fitted.predict(&view.test)?;
        let predict_seconds = start.elapsed().as_secs_f64();
        Ok((FoldOutput { prediction, fit_seconds, predict_seconds }, choice))
    }
}

fn cross_entropy(prediction: &Prediction, truth: &[u32]) -> Result<f64, Failure> {
    let probabilities = prediction.probabilities.as_ref().ok_or("the classifier gives no probabilities")?;
    Ok(log_loss(truth, probabilities.view())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn baselines_stand_before_every_model_with_every_head() {
        let heads = [Head::LogisticRegression, Head::Xgboost];
        let methods = Method::all(&[vec![], vec![Tuning::LinearProbe, Tuning::FineTuned]], &heads);
        let names: Vec<String> = methods.iter().map(|method| method.name(&["a", "b"])).collect();
        let expected = [
            "majority",
            "HVG + PCA + LR",
            "HVG + LR",
            "a + LR",
            "a + XGBoost",
            "b + LR",
            "b + XGBoost",
            "b, linear probe",
            "b, fine-tuned",
        ];
        assert_eq!(names, expected);
    }
}
