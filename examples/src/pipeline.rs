//! A fitted pipeline that can be asked about cells other than those of a fold: perturbed ones, replaced ones.

use sc_eval::classifiers::{Fitted, Model};
use sc_eval::{Features, Prediction};
use sc_prep::{FeatureSpace, LogNormalized, Pca, PcaParams, ScaleParams, Scaler};

use crate::fold::{Failure, FoldParams, as_it_is, features};

/// The scale of genes, principal components and models, all fitted.
pub struct Pipeline {
    scaler: Scaler,
    pca: Option<Pca>,
    models: Vec<(Input, Fitted)>,
}

/// What a model sees.
#[derive(Clone, Copy, PartialEq)]
enum Input {
    Scaled,
    Components,
    LogNormalized,
}

/// The highly variable genes of some cells, ascending.
///
/// # Errors
/// As [`FeatureSpace::fit`].
pub fn choose_genes(x: &LogNormalized, cells: &[usize], params: &FoldParams) -> Result<Vec<usize>, Failure> {
    Ok(FeatureSpace::fit(x, cells, &params.genes)?.genes().to_vec())
}

/// The columns of some genes.
///
/// # Errors
/// None for values that were log-normalised before.
pub fn only_genes(x: &LogNormalized, genes: &[usize]) -> Result<LogNormalized, Failure> {
    Ok(LogNormalized::new(x.csr().select_columns(genes))?)
}

impl Pipeline {
    /// Learns scale and components from the rows `prepared_on` of `x`, and the models from the rows `train`.
    ///
    /// * `x`: the chosen genes only.
    /// * `prepared_on`: the training cells, except in a pipeline that leaks on purpose.
    /// * `labels`: the class of each training cell, and the number of classes.
    ///
    /// # Errors
    /// As the fit of the steps.
    pub fn fit(
        x: &LogNormalized,
        prepared_on: &[usize],
        train: &[usize],
        (labels, n_classes): (&[u32], usize),
        models: &[Model],
        params: &FoldParams,
    ) -> Result<Self, Failure> {
        let scale = ScaleParams { max_value: params.genes.max_value };
        let scaler = Scaler::fit(x.csr(), Some(prepared_on), &scale)?;
        let pca = match models.iter().any(|model| input(model) == Input::Components) {
            false => None,
            true => {
                let most = x.n_vars().min(prepared_on.len().saturating_sub(1)).max(1);
                let components = PcaParams::components(params.n_components.min(most));
                Some(Pca::fit(&scaler.transform(x.csr(), Some(prepared_on))?, &components)?)
            }
        };
        let mut pipeline = Self { scaler, pca, models: Vec::with_capacity(models.len()) };
        let mut seen = Seen::new(&pipeline, x, train);
        let mut fitted = Vec::with_capacity(models.len());
        for model in models {
            let input = input(model);
            fitted.push((input, model.fit(seen.get(input)?, labels, n_classes)?));
        }
        pipeline.models = fitted;
        Ok(pipeline)
    }

    /// What each model says of the rows `rows` of `x`, which holds the chosen genes only.
    ///
    /// # Errors
    /// As the models.
    pub fn predict(&self, x: &LogNormalized, rows: &[usize]) -> Result<Vec<Prediction>, Failure> {
        let mut seen = Seen::new(self, x, rows);
        self.models.iter().map(|(input, model)| Ok(model.predict(seen.get(*input)?)?)).collect()
    }
}

fn input(model: &Model) -> Input {
    match model {
        Model::Knn(_) => Input::Components,
        model if model.takes_log_normalized() => Input::LogNormalized,
        _ => Input::Scaled,
    }
}

/// Some cells as the models see them, each view made when it is first needed.
struct Seen<'a> {
    pipeline: &'a Pipeline,
    x: &'a LogNormalized,
    rows: &'a [usize],
    views: [Option<Features>; 3],
}

impl<'a> Seen<'a> {
    fn new(pipeline: &'a Pipeline, x: &'a LogNormalized, rows: &'a [usize]) -> Self {
        Self { pipeline, x, rows, views: [None, None, None] }
    }

    fn get(&mut self, input: Input) -> Result<&Features, Failure> {
        let slot = &mut self.views[input as usize];
        if slot.is_none() {
            let scaled = || self.pipeline.scaler.transform(self.x.csr(), Some(self.rows));
            *slot = Some(match (input, &self.pipeline.pca) {
                (Input::LogNormalized, _) => as_it_is(self.x.csr(), self.rows)?,
                (Input::Components, Some(pca)) => Features::dense(pca.transform(&scaled()?)?.view())?,
                _ => features(scaled()?)?,
            });
        }
        Ok(slot.as_ref().expect("just made"))
    }
}

#[cfg(test)]
mod tests {
    use sc_eval::Labels;
    use sc_eval::split::{Split, StratifiedKFold};

    use super::*;
    use crate::fold::Fold;

    /// What a fold says of its test cells, step by step, is what the pipeline says of the same cells.
    #[test]
    fn it_answers_as_a_fold_does() {
        let adata = sc_io::datasets::pbmc68k_reduced();
        let counts = adata.x().unwrap().to_csr();
        let counts = sc_prep::Counts::new(&counts).unwrap();
        let to = sc_prep::NormalizeTotalParams::to(1e4);
        let x = sc_prep::log1p(sc_prep::normalize_total(counts, &to).unwrap());
        let labels = Labels::new(
            &adata.obs().labels("bulk_labels").unwrap().into_iter().flatten().collect::<Vec<_>>(),
        );
        let labels = labels.unwrap();
        let Split { train, test } = StratifiedKFold::default().split(&labels).unwrap().swap_remove(0);
        let genes = sc_prep::FeatureSpaceParams { n_top_genes: 60, ..Default::default() };
        let params = FoldParams { genes, n_components: 10 };
        let models = ["logistic_regression", "knn", "celltypist"].map(|name| name.parse::<Model>().unwrap());

        let truth = labels.select(&train);
        let learnt = (&truth[..], labels.n_classes());
        let fold = Fold::new(&x, (&train, &test), learnt, &params).unwrap();
        let chosen = only_genes(&x, &choose_genes(&x, &train, &params).unwrap()).unwrap();
        let pipeline = Pipeline::fit(&chosen, &train, &train, learnt, &models, &params).unwrap();
        let answers = pipeline.predict(&chosen, &test).unwrap();
        for (model, answer) in models.iter().zip(answers) {
            assert_eq!(answer, fold.run(model).unwrap().prediction, "{}", model.name());
        }
    }
}
