//! One fold: features learnt from its training cells, and what a model says of its test cells.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use ndarray::Array2;
use sc_eval::classifiers::{Classifier, Engine, Model};
use sc_eval::protocol::{CrossValidation, FoldOutput, cross_validate_all};
use sc_eval::split::Split;
use sc_eval::{Features, Labels};
use sc_io::Csr;
use sc_prep::{FeatureSpace, FeatureSpaceParams, LogNormalized, Pca, PcaParams, Scaled};

/// What can go wrong in a fold: the error of the library that failed, kept as it is so that its advice is found.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How the features of a fold are made.
#[derive(Clone, Debug)]
pub struct FoldParams {
    /// Genes and their scale.
    pub genes: FeatureSpaceParams,
    /// Principal components that a nearest-neighbour model sees.
    pub n_components: usize,
}

/// Cross-validates all models, fold by fold, on features learnt from the training cells of the fold. Returns their
/// results, and the wall time of making the features, which the models share.
///
/// `bar` moves on by one for the features of a fold and by one for each model.
///
/// # Errors
/// As [`cross_validate_all`].
pub fn compare(
    x: &LogNormalized,
    labels: &Labels,
    splits: &[Split],
    models: &[Model],
    params: &FoldParams,
    bar: &ProgressBar,
) -> Result<(Vec<CrossValidation>, Duration), sc_eval::Error> {
    let (mut fold, mut preparing) = (0, Duration::ZERO);
    let results = cross_validate_all(labels, splits, models.len(), |train, test| {
        fold += 1;
        let step = |what: &str| bar.set_message(format!("fold {fold}/{}: {what}", splits.len()));
        step("genes");
        let start = Instant::now();
        let truth = labels.select(train);
        let features = Fold::new(x, (train, test), (&truth, labels.n_classes()), params)?;
        preparing += start.elapsed();
        bar.inc(1);
        let run = |model: &Model| {
            step(model.name());
            features.run(model).inspect(|_| bar.inc(1))
        };
        models.iter().map(run).collect::<Result<Vec<_>, Failure>>()
    })?;
    Ok((results, preparing))
}

/// The features of a fold's cells; everything in them is learnt from the training cells.
pub struct Fold<'a> {
    labels: Cow<'a, [u32]>,
    n_classes: usize,
    scaled: [Scaled; 2],
    features: [Features; 2],
    log_normalized: [Features; 2],
    n_components: usize,
    reduced: bool,
}

impl<'a> Fold<'a> {
    /// Chooses genes and scales them on the cells `train`, and applies that to `train` and `test`.
    ///
    /// * `labels`: class of each training cell, in the order of `train`.
    ///
    /// # Errors
    /// As [`FeatureSpace::fit`].
    pub fn new(
        x: &LogNormalized,
        (train, test): (&[usize], &[usize]),
        (labels, n_classes): (&'a [u32], usize),
        params: &FoldParams,
    ) -> Result<Self, Failure> {
        let space = FeatureSpace::fit(x, train, &params.genes)?;
        let scaled = [space.transform(x, train)?, space.transform(x, test)?];
        let [a, b] = &scaled;
        let features = [features(a.clone())?, features(b.clone())?];
        let genes = x.csr().select_columns(space.genes());
        let log_normalized = [as_it_is(&genes, train)?, as_it_is(&genes, test)?];
        // There cannot be more components than genes, or than training cells less one.
        let most = space.genes().len().min(train.len().saturating_sub(1)).max(1);
        let n_components = params.n_components.min(most);
        Ok(Self {
            labels: labels.into(),
            n_classes,
            scaled,
            features,
            log_normalized,
            n_components,
            reduced: false,
        })
    }

    /// As [`Fold::new`], with the labels of all cells, of which those of the training cells are taken.
    ///
    /// * `use_pca`: whether every model sees principal components instead of genes.
    ///
    /// # Errors
    /// As [`FeatureSpace::fit`] and [`Pca::fit`].
    pub fn of_split(
        x: &LogNormalized,
        split: &Split,
        labels: &Labels,
        params: &FoldParams,
        use_pca: bool,
    ) -> Result<Fold<'static>, Failure> {
        let truth = labels.select(&split.train);
        let made = Fold::new(x, (&split.train, &split.test), (&truth, labels.n_classes()), params)?;
        let mut fold = Fold { labels: made.labels.into_owned().into(), ..made };
        if use_pca {
            let [train, test] = fold.components()?;
            fold.features = [Features::dense(train.view())?, Features::dense(test.view())?];
            fold.reduced = true;
        }
        Ok(fold)
    }

    /// Training and test cells in the principal components of the training cells, cells × components each.
    ///
    /// # Errors
    /// As [`Pca::fit`].
    pub fn components(&self) -> Result<[Array2<f32>; 2], Failure> {
        let [train, test] = &self.scaled;
        let pca = Pca::fit(train, &PcaParams::components(self.n_components))?;
        Ok([pca.transform(train)?, pca.transform(test)?])
    }

    /// Training and test cells as most models see them.
    pub fn features(&self) -> &[Features; 2] {
        &self.features
    }

    /// As [`Fold::run_with`], with this project's own engine.
    ///
    /// # Errors
    /// As the fit of the model.
    pub fn run(&self, model: &Model) -> Result<FoldOutput, Failure> {
        self.run_with(Engine::Own, model)
    }

    /// Fits a model on the training cells and asks it about the test cells.
    ///
    /// Nearest neighbours are looked for among principal components, which are part of that fit. A model that compares
    /// genes within a cell, or standardises them itself, sees log-normalised expression as it is.
    ///
    /// # Errors
    /// As the fit of the model by `engine`.
    pub fn run_with(&self, engine: Engine, model: &Model) -> Result<FoldOutput, Failure> {
        let start = Instant::now();
        let [train, test] = if model.takes_log_normalized() { &self.log_normalized } else { &self.features };
        if matches!(model, Model::Knn(_)) && !self.reduced {
            let pca = Pca::fit(&self.scaled[0], &PcaParams::components(self.n_components))?;
            let train = Features::dense(pca.transform(&self.scaled[0])?.view())?;
            let fitted = engine.fit(model, &train, &self.labels, self.n_classes)?;
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
        let fitted = engine.fit(model, train, &self.labels, self.n_classes)?;
        let fit_seconds = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let prediction = fitted.predict(test)?;
        Ok(FoldOutput { prediction, fit_seconds, predict_seconds: start.elapsed().as_secs_f64() })
    }
}

/// The rows of a matrix as they are.
pub fn as_it_is(x: &Csr, rows: &[usize]) -> Result<Features, sc_eval::Error> {
    let (indptr, indices, values) = x.select_rows(rows).into_parts();
    Features::sparse(indptr, indices, values, vec![0.0; x.n_cols()])
}

/// Features of a matrix that is scaled already.
pub fn features(scaled: Scaled) -> Result<Features, sc_eval::Error> {
    let (indptr, indices, values, background) = scaled.into_parts();
    Features::sparse(indptr, indices, values, background)
}
