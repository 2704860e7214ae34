//! What to run, from flags, a configuration, and defaults, in this order.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use sc_eval::classifiers::{Engine, Model};
use sc_prep::FeatureSpaceParams;

use crate::cells::CellArgs;
use crate::config::{Config, DatasetConfig};
use crate::end::Usage;
use crate::fold::FoldParams;
use crate::models::NamedModel;
use crate::run::{RunArgs, at_least_1, model};
use crate::splits::Rule;

/// The flags of a study.
#[derive(Args, Clone, Debug)]
pub struct StudyArgs {
    /// A file with all that the flags below say, and data sets and models each with settings of their own; flags go before it
    #[arg(long, value_name = "FILE.yaml")]
    config: Option<PathBuf>,
    /// .h5ad files and 10x folders with raw counts, each a data set; without any, the 700 embedded PBMCs
    #[arg(long, value_name = "FILE|FOLDER", num_args = 1..)]
    input: Vec<PathBuf>,
    /// The column of obs with the cell types
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// A CSV file with the labels, for a folder that has none: cell name in the first column, COLUMN among the others
    #[arg(long, value_name = "FILE.csv")]
    labels: Option<PathBuf>,
    /// Where the raw counts are: X, raw (the file's raw.X), or the name of a layer [default: X]
    #[arg(long, value_name = "SLOT")]
    layer: Option<String>,
    /// Tissues that take part; all without it
    #[arg(long, value_name = "TISSUE", num_args = 1.., value_delimiter = ',')]
    tissues: Vec<String>,
    /// The column of obs with the tissue [default: tissue]
    #[arg(long, value_name = "COLUMN")]
    tissue_column: Option<String>,
    /// A column of obs, such as the donor: its cells are trained on or tested together, never both
    #[arg(long, value_name = "COLUMN")]
    group: Option<String>,
    /// Draw so many cells of each data set, classes keeping their shares
    #[arg(long, value_name = "N", value_parser = at_least_1)]
    max_cells: Option<usize>,
    /// Leave out classes with fewer cells [default: 1]
    #[arg(long, value_name = "N")]
    min_cells_per_class: Option<usize>,
    /// Classifiers; without it majority, logistic_regression, random_forest, xgboost, svm_linear, svm_rbf and knn. There
    /// are also gradient_boosting, random_by_prior, gaussian_naive_bayes and nearest_centroid
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',', value_parser = model)]
    models: Vec<Model>,
    /// Who fits the classifiers of --models: own, linfa or smartcore, the latter two where they are built in (cargo
    /// features); their results are called `svm_rbf (linfa)` [default: own]
    #[arg(long, value_name = "NAME", requires = "models")]
    engine: Option<Engine>,
    /// Highly variable genes to keep, chosen on the training cells of each fold [default: 2000]
    #[arg(long, value_name = "N", value_parser = at_least_1)]
    n_genes: Option<usize>,
    /// Show principal components to every model; otherwise to nearest neighbours only
    #[arg(long)]
    use_pca: bool,
    /// Number of principal components [default: 50]
    #[arg(long, value_name = "N", value_parser = at_least_1)]
    pca_components: Option<usize>,
    /// Folds, stratified by label [default: 5]
    #[arg(long, value_name = "K", conflicts_with = "test_size")]
    cv: Option<usize>,
    /// One test set with this share of the cells, instead of folds
    #[arg(long, value_name = "SHARE")]
    test_size: Option<f64>,
    /// Seeds of folds and models; each makes all folds again [default: 42]
    #[arg(long, value_name = "SEED", num_args = 1.., value_delimiter = ',')]
    seeds: Vec<u64>,
    /// Folds that are worked on at once. The number changes no result, but times that are measured
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_1)]
    jobs: usize,
    /// Threads; all processors without it. The number changes no result
    #[arg(long, value_name = "N", value_parser = at_least_1)]
    threads: Option<usize>,
    /// Go on with a run that was interrupted, or failed in part
    #[arg(long, conflicts_with = "force")]
    resume: bool,
    /// Start anew in a folder that holds results
    #[arg(long)]
    force: bool,
    /// Leave out the UMAP of all cells (it takes long above about 50,000)
    #[arg(long)]
    no_map: bool,
    /// Folder of the results
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the run.
    pub name: String,
    /// Where each data set comes from.
    pub datasets: Vec<CellArgs>,
    /// The models; no name twice.
    pub models: Vec<NamedModel>,
    /// How cells are divided.
    pub rule: Rule,
    /// Seeds; at least one.
    pub seeds: Vec<u64>,
    /// How the features of a fold are made.
    pub fold: FoldParams,
    /// Whether all models see principal components.
    pub use_pca: bool,
    /// Folds at once.
    pub jobs: usize,
    /// Whether to go on with a run that is there.
    pub resume: bool,
    /// The first seed, threads, permission to start anew.
    pub run: RunArgs,
    /// Whether to draw a map.
    pub map: bool,
    /// Folder of the results.
    pub out: PathBuf,
}

impl StudyArgs {
    /// Puts flags, configuration and defaults together.
    ///
    /// # Errors
    /// For a configuration that cannot be read, and for values that do not go together.
    pub fn settings(&self, name: &str) -> Result<Settings> {
        let config = self.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
        let seeds = match (self.seeds.as_slice(), &config.seeds) {
            ([], Some(seeds)) => seeds.clone(),
            ([], None) => vec![42],
            (seeds, _) => seeds.to_vec(),
        };
        let Some(&seed) = seeds.first() else { return Err(Usage("`seeds` is empty".into()).into()) };
        let rule = match (self.cv, self.test_size) {
            (Some(k), _) => Rule::Folds(k),
            (None, Some(share)) => Rule::TestSize(share),
            (None, None) => match config.test_size {
                Some(share) => Rule::TestSize(share),
                None => Rule::Folds(config.cv.unwrap_or(5)),
            },
        };
        let genes = FeatureSpaceParams {
            n_top_genes: self.n_genes.or(config.n_genes).unwrap_or(2000),
            ..Default::default()
        };
        let n_components = self.pca_components.or(config.pca_components).unwrap_or(50);
        let name = config.name.clone().unwrap_or_else(|| name.to_owned());
        let out = self.out.clone().or_else(|| config.out.clone());
        Ok(Settings {
            datasets: self.datasets(&config, seed)?,
            models: self.models(&config)?,
            rule,
            fold: FoldParams { genes, n_components },
            use_pca: self.use_pca || config.use_pca.unwrap_or(false),
            jobs: self.jobs,
            resume: self.resume,
            run: RunArgs { seed, threads: self.threads, force: self.force },
            map: !self.no_map,
            out: out.unwrap_or_else(|| PathBuf::from("results").join(&name)),
            name,
            seeds,
        })
    }

    /// The data sets of the flags or, without any, of the configuration; other flags are about all of them.
    fn datasets(&self, config: &Config, seed: u64) -> Result<Vec<CellArgs>> {
        let of_flags = |path: &PathBuf| DatasetConfig { path: Some(path.clone()), ..Default::default() };
        let mut sets: Vec<DatasetConfig> = match self.input.as_slice() {
            [] => config.datasets.clone(),
            paths => paths.iter().map(of_flags).collect(),
        };
        if sets.is_empty() {
            sets.push(DatasetConfig::default());
        }
        let max_cells = self.max_cells.or(config.max_cells).map(|n| (n, seed));
        let min_cells_per_class = self.min_cells_per_class.or(config.min_cells_per_class).unwrap_or(1);
        let cells = |set: DatasetConfig| {
            let tissues = if self.tissues.is_empty() { set.tissues } else { self.tissues.clone() };
            let column = self.tissue_column.clone().or(set.tissue_column);
            if tissues.is_empty() && column.is_some() {
                let text = "a tissue column without tissues chooses nothing: name tissues (--tissues)";
                return Err(Usage(text.into()).into());
            }
            Ok(CellArgs {
                input: set.path,
                label: self.label.clone().or(set.label),
                labels: self.labels.clone().or(set.labels),
                layer: self.layer.clone().or(set.layer).unwrap_or_else(|| "X".to_owned()),
                min_cells_per_class,
                name: set.name,
                only: (!tissues.is_empty()).then(|| (column.unwrap_or_else(|| "tissue".into()), tissues)),
                group: self.group.clone().or(set.group),
                max_cells,
            })
        };
        sets.into_iter().map(cells).collect()
    }

    fn models(&self, config: &Config) -> Result<Vec<NamedModel>> {
        if !self.models.is_empty() {
            let engine = self.engine.unwrap_or_default();
            return self.models.iter().cloned().map(|model| NamedModel::new(engine, model)).collect();
        }
        if config.models.is_empty() {
            let standard = Model::standard().into_iter();
            return standard.map(|model| NamedModel::new(Engine::Own, model)).collect();
        }
        config.models.iter().cloned().map(NamedModel::from_value).collect()
    }
}

impl Settings {
    /// How cells are divided and features made, as named facts for a report.
    pub fn protocol(&self) -> Vec<(String, String)> {
        let group = self.datasets.iter().find_map(|set| set.group.as_deref());
        let mut facts = crate::facts::protocol(self.rule.words(group, &self.seeds), &self.fold, self.use_pca);
        if self.map {
            facts.push(crate::facts::map());
        }
        facts
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        study: StudyArgs,
    }

    fn settings(flags: &[&str]) -> Result<Settings> {
        Program::parse_from([&["program"], flags].concat()).study.settings("program")
    }

    #[test]
    fn without_flags_all_models_are_compared_on_the_embedded_cells() {
        let settings = settings(&[]).unwrap();
        assert_eq!((settings.rule, settings.seeds.as_slice()), (Rule::Folds(5), &[42][..]));
        assert_eq!(settings.models.len(), Model::standard().len());
        assert_eq!((settings.datasets.len(), &settings.datasets[0].input), (1, &None));
        assert_eq!(settings.out, PathBuf::from("results/program"));
    }

    #[test]
    fn flags_go_before_the_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.yaml");
        let text = "datasets: [{path: a.h5ad, label: x}, {path: b.h5ad, label: y, group: donor}]
models: [knn, {name: majority, as: nothing}]
test_size: 0.25
seeds: [7, 8]
n_genes: 300
max_cells: 500
out: results/yaml
";
        std::fs::write(&path, text).unwrap();
        let config = ["--config", path.to_str().unwrap()];
        let read = settings(&config).unwrap();
        assert_eq!((read.rule, read.seeds.as_slice()), (Rule::TestSize(0.25), &[7, 8][..]));
        assert_eq!(read.models[1].name, "nothing");
        assert_eq!(read.datasets[1].input, Some(dir.path().join("b.h5ad")));
        assert_eq!(read.datasets[1].label.as_deref(), Some("y"));
        assert_eq!(read.datasets[1].max_cells, Some((500, 7)));
        assert_eq!((read.fold.genes.n_top_genes, read.run.seed), (300, 7));

        let flags =
            ["--cv", "3", "--models", "knn", "xgboost", "--seeds", "1", "--label", "z", "--n-genes", "9"];
        let changed = settings(&[&config[..], &flags].concat()).unwrap();
        assert_eq!((changed.rule, changed.seeds.as_slice()), (Rule::Folds(3), &[1][..]));
        assert_eq!(changed.models.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["knn", "xgboost"]);
        assert_eq!(changed.datasets[0].label.as_deref(), Some("z"));
        assert_eq!(changed.datasets[1].group.as_deref(), Some("donor"));
        assert_eq!((changed.fold.genes.n_top_genes, changed.out), (9, PathBuf::from("results/yaml")));
    }

    #[test]
    fn values_that_do_not_go_together_are_refused() {
        let text = settings(&["--tissue-column", "organ"]).unwrap_err().to_string();
        assert!(text.contains("--tissues"), "{text}");
        assert!(Program::try_parse_from(["program", "--cv", "3", "--test-size", "0.2"]).is_err());
        assert!(Program::try_parse_from(["program", "--resume", "--force"]).is_err());
        assert!(Program::try_parse_from(["program", "--engine", "linfa"]).is_err());
        let majority = settings(&["--models", "majority", "--engine", "linfa"]).unwrap_err().to_string();
        assert!(majority.contains("linfa"), "{majority}");
        let tissues = settings(&["--tissues", "blood", "lung"]).unwrap();
        let only = ("tissue".to_owned(), vec!["blood".to_owned(), "lung".to_owned()]);
        assert_eq!(tissues.datasets[0].only, Some(only));
    }
}
