//! One fold: features learnt from its training cells, and what a model says of its test cells.

use std::time::Instant;

use sc_eval::Features;
use sc_eval::classifiers::Model;
use sc_eval::protocol::FoldOutput;
use sc_prep::{FeatureSpace, FeatureSpaceParams, LogNormalized, Pca, PcaParams, Scaled};

/// What can go wrong in a fold: the error of the library that failed, kept as it is so that its advice is found.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The features of a fold's cells; everything in them is learnt from the training cells.
pub struct Fold<'a> {
    labels: &'a [u32],
    n_classes: usize,
    scaled: [Scaled; 2],
    features: [Features; 2],
    n_components: usize,
}

impl<'a> Fold<'a> {
    /// Chooses genes and scales them on the cells `train`, and applies that to `train` and `test`.
    ///
    /// * `labels`: class of each training cell, in the order of `train`.
    /// * `n_components`: principal components that a nearest-neighbour model sees.
    ///
    /// # Errors
    /// As [`FeatureSpace::fit`].
    pub fn new(
        x: &LogNormalized,
        (train, test): (&[usize], &[usize]),
        (labels, n_classes): (&'a [u32], usize),
        params: &FeatureSpaceParams,
        n_components: usize,
    ) -> Result<Self, Failure> {
        let space = FeatureSpace::fit(x, train, params)?;
        let scaled = [space.transform(x, train)?, space.transform(x, test)?];
        let [a, b] = &scaled;
        let features = [features(a.clone())?, features(b.clone())?];
        // There cannot be more components than genes, or than training cells less one.
        let most = space.genes().len().min(train.len().saturating_sub(1)).max(1);
        Ok(Self { labels, n_classes, scaled, features, n_components: n_components.min(most) })
    }

    /// Fits a model on the training cells and asks it about the test cells.
    ///
    /// Nearest neighbours are looked for among principal components, which are part of that fit.
    ///
    /// # Errors
    /// As the fit of the model.
    pub fn run(&self, model: &Model) -> Result<FoldOutput, Failure> {
        let start = Instant::now();
        let [train, test] = &self.features;
        if let Model::Knn(_) = model {
            let pca = Pca::fit(&self.scaled[0], &PcaParams::components(self.n_components))?;
            let train = Features::dense(pca.transform(&self.scaled[0])?.view())?;
            let fitted = model.fit(&train, self.labels, self.n_classes)?;
            let fit_seconds = start.elapsed().as_secs_f64();
            let start = Instant::now();
            let test = Features::dense(pca.transform(&self.scaled[1])?.view())?;
            let prediction = fitted.predict(&test)?;
            return Ok(FoldOutput {
                prediction,
                fit_seconds,
                predict_seconds: start.elapsed().as_secs_f64(),
            });
        }
        let fitted = model.fit(train, self.labels, self.n_classes)?;
        let fit_seconds = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let prediction = fitted.predict(test)?;
        Ok(FoldOutput { prediction, fit_seconds, predict_seconds: start.elapsed().as_secs_f64() })
    }
}

fn features(scaled: Scaled) -> Result<Features, sc_eval::Error> {
    let (indptr, indices, values, background) = scaled.into_parts();
    Features::sparse(indptr, indices, values, background)
}
