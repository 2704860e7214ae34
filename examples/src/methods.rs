//! Flags of what is fitted: models, genes, components.

use clap::Args;
use sc_eval::classifiers::Model;
use sc_prep::FeatureSpaceParams;

use crate::fold::FoldParams;
use crate::run;

/// What is fitted.
#[derive(Args, Clone, Debug)]
pub struct MethodArgs {
    /// Classifiers, separated by commas, of majority, logistic_regression, random_forest, xgboost, svm_linear, svm_rbf, knn,
    /// random_by_prior, gaussian_naive_bayes, nearest_centroid and others (a wrong name lists them)
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = run::model)]
    pub models: Vec<Model>,
    /// Highly variable genes to keep, chosen on training cells
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = run::at_least_1)]
    pub n_genes: usize,
    /// Principal components for nearest neighbours
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = run::at_least_1)]
    pub n_components: usize,
}

impl MethodArgs {
    /// The models asked for, or `otherwise`, with every random step drawn from `seed`.
    pub fn models(&self, seed: u64, otherwise: Vec<Model>) -> Vec<Model> {
        let chosen = if self.models.is_empty() { otherwise } else { self.models.clone() };
        chosen.into_iter().map(|model| model.with_seed(seed)).collect()
    }

    /// How features are made.
    pub fn fold(&self) -> FoldParams {
        let genes = FeatureSpaceParams { n_top_genes: self.n_genes, ..Default::default() };
        FoldParams { genes, n_components: self.n_components }
    }

    /// The flags as a manifest lists them.
    pub fn parameters(&self, models: &[Model]) -> Vec<(String, String)> {
        let names: Vec<&str> = models.iter().map(Model::name).collect();
        [
            ("models", names.join(",")),
            ("n_genes", self.n_genes.to_string()),
            ("n_components", self.n_components.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}
