//! `benchmark.yaml`: what to run, in a file.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::end::Usage;

/// A larger file is no configuration.
const MOST_BYTES: u64 = 1 << 20;

/// The content of a configuration; what is left out is the program's default, and flags go before both.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Name of the run.
    pub name: Option<String>,
    /// The data sets; the embedded cells without any.
    pub datasets: Vec<DatasetConfig>,
    /// Models: a name each, or a table with a name and parameters.
    pub models: Vec<Value>,
    /// Folds of the cross-validation.
    pub cv: Option<usize>,
    /// Share of the cells in the one test set, instead of folds.
    pub test_size: Option<f64>,
    /// Seeds; each makes all folds again.
    pub seeds: Option<Vec<u64>>,
    /// Highly variable genes to keep.
    pub n_genes: Option<usize>,
    /// Whether all models see principal components.
    pub use_pca: Option<bool>,
    /// Number of principal components.
    pub pca_components: Option<usize>,
    /// Cells to draw from each data set.
    pub max_cells: Option<usize>,
    /// Leave out classes with fewer cells.
    pub min_cells_per_class: Option<usize>,
    /// Folder of the results, seen from where the program is started.
    pub out: Option<PathBuf>,
}

/// A data set of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatasetConfig {
    /// An `.h5ad` file or a 10x folder, seen from the folder of the configuration; the embedded cells without it.
    pub path: Option<PathBuf>,
    /// Its name in the results.
    pub name: Option<String>,
    /// The column of obs with the cell types.
    pub label: Option<String>,
    /// A CSV file with the labels, seen from the folder of the configuration.
    pub labels: Option<PathBuf>,
    /// Where the raw counts are: X, raw, or the name of a layer.
    pub layer: Option<String>,
    /// The column of obs whose cells stay together in folds.
    pub group: Option<String>,
    /// The column of obs with the tissue.
    pub tissue_column: Option<String>,
    /// Tissues that take part.
    pub tissues: Vec<String>,
}

impl Config {
    /// Reads a configuration, and makes its paths those from where the program is started.
    ///
    /// # Errors
    /// With the line and the key that is not known or has a value of another kind.
    pub fn read(path: &Path) -> Result<Self> {
        let mut text = String::new();
        let file = std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        file.take(MOST_BYTES + 1)
            .read_to_string(&mut text)
            .with_context(|| format!("cannot read {}", path.display()))?;
        if text.len() as u64 > MOST_BYTES {
            return Err(Usage(format!("{} is larger than {MOST_BYTES} bytes", path.display())).into());
        }
        let mut config = Self::parse(&text).map_err(|error| Usage(format!("{}: {error}", path.display())))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for dataset in &mut config.datasets {
            for path in [&mut dataset.path, &mut dataset.labels].into_iter().flatten() {
                *path = folder.join(&*path);
            }
        }
        Ok(config)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! { max_nodes: 10_000, max_depth: 16, max_aliases: 100 },
            with_snippet: false,
        };
        let config: Self = serde_saphyr::from_str_with_options(text, options).map_err(|e| e.to_string())?;
        if config.cv.is_some() && config.test_size.is_some() {
            return Err("`cv` and `test_size` are both given: folds, or one test set".into());
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_can_be_said_and_everything_left_out() {
        let text = "
name: blood
datasets:
  - path: blood.h5ad
    label: cell_type
    group: donor
    tissue_column: tissue
    tissues: [blood, lung]
models:
  - knn
  - {name: random_forest, as: forest}
cv: 3
seeds: [1, 2]
use_pca: true
";
        let config = Config::parse(text).unwrap();
        assert_eq!((config.cv, config.use_pca, config.n_genes), (Some(3), Some(true), None));
        assert_eq!(config.datasets[0].tissues, ["blood", "lung"]);
        assert_eq!(config.models.len(), 2);
        assert_eq!(Config::parse("{}").unwrap(), Config::default());
    }

    #[test]
    fn what_is_not_known_is_named_with_its_line() {
        let refused = |text: &str| Config::parse(text).unwrap_err();
        let key = refused("cv: 3\nn_gene: 200\n");
        assert!(key.contains("n_gene") && key.contains("n_genes") && key.contains("line 2"), "{key}");
        let kind = refused("seeds: [1]\ncv: five\n");
        assert!(kind.contains("u64") && kind.contains("line 2, column 5"), "{kind}");
        let nested = refused("datasets:\n  - path: a.h5ad\n    lable: x\n");
        assert!(nested.contains("lable") && nested.contains("line 3"), "{nested}");
        let twice = refused("cv: 3\ncv: 4\n");
        assert!(twice.contains("cv") && twice.contains("line 2"), "{twice}");
        assert!(refused("cv: 3\ntest_size: 0.2\n").contains("`test_size`"));
    }

    #[test]
    fn a_file_that_would_grow_or_nest_without_end_is_refused() {
        let bomb =
            "a: &a [1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nmodels: [*b,*b,*b,*b,*b,*b,*b]\n";
        assert!(Config::parse(bomb).is_err());
        assert!(Config::parse(&format!("models: {}", "[".repeat(10_000))).is_err());
        assert!(Config::parse(&format!("models: [{}]", "knn, ".repeat(20_000))).is_err());
    }

    #[test]
    fn paths_are_seen_from_the_file_and_a_missing_or_large_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.yaml");
        std::fs::write(&path, "datasets: [{path: a.h5ad, label: x}]\nout: results/x\n").unwrap();
        let config = Config::read(&path).unwrap();
        assert_eq!(config.datasets[0].path, Some(dir.path().join("a.h5ad")));
        assert_eq!(config.out, Some(PathBuf::from("results/x")));
        std::fs::write(&path, "#".repeat(MOST_BYTES as usize + 1)).unwrap();
        assert!(Config::read(&path).unwrap_err().to_string().contains("larger than"));
        let missing = Config::read(&dir.path().join("none.yaml")).unwrap_err();
        assert!(missing.to_string().contains("none.yaml"), "{missing}");
    }
}
