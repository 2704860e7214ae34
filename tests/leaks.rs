//! The leak detector on real cells and real steps: one pipeline, fitted on training cells and fitted on all cells.

use sc_eval::classifiers::Model;
use sc_eval::protocol::leak::{CellRows, DuplicateParams, Finding, Severity, duplicates, poison};
use sc_eval::split::{Split, train_test_split_stratified};
use sc_eval::{Features, Labels, Prediction};
use sc_io::Csr;
use sc_prep::{Counts, FeatureSpace, FeatureSpaceParams, NormalizeTotalParams, log1p, normalize_total};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn cells() -> (Csr, Labels, Split) {
    let adata = sc_io::datasets::pbmc68k_reduced();
    let names: Vec<String> = adata.obs().labels("bulk_labels").unwrap().into_iter().flatten().collect();
    let labels = Labels::new(&names).unwrap();
    let split = train_test_split_stratified(&labels, 0.3, 42).unwrap();
    (adata.x().expect("counts").to_csr(), labels, split)
}

/// Genes, scaling and a classifier, learnt from the training cells or from all cells.
fn pipeline(counts: &Csr, labels: &Labels, split: &Split, on_all_cells: bool) -> Result<Prediction, Failure> {
    let x = log1p(normalize_total(Counts::new(counts)?, &NormalizeTotalParams::to(1e4))?);
    let all: Vec<usize> = (0..x.n_obs()).collect();
    let fitted_on = if on_all_cells { &all } else { &split.train };
    let space =
        FeatureSpace::fit(&x, fitted_on, &FeatureSpaceParams { n_top_genes: 100, ..Default::default() })?;
    let features = |cells: &[usize]| -> Result<Features, Failure> {
        let (indptr, indices, values, background) = space.transform(&x, cells)?.into_parts();
        Ok(Features::sparse(indptr, indices, values, background)?)
    };
    let model: Model = "logistic_regression".parse()?;
    let fitted = model.fit(&features(&split.train)?, &labels.select(&split.train), labels.n_classes())?;
    Ok(fitted.predict(&features(&split.test)?)?)
}

fn poisoned(on_all_cells: bool) -> Finding {
    let (x, labels, split) = cells();
    poison(labels.len(), labels.n_classes(), &split, 0, |cells, split| {
        pipeline(&x.select_rows(cells), &labels, split, on_all_cells)
    })
    .unwrap()
}

#[test]
fn genes_and_scaling_fitted_on_all_cells_are_caught() {
    let found = poisoned(true);
    assert_eq!(found.severity, Severity::Leak, "{found}");
    assert_eq!(found.number("changed"), found.number("untouched"));
}

#[test]
fn genes_and_scaling_fitted_on_training_cells_pass() {
    let found = poisoned(false);
    assert_eq!(found.severity, Severity::Passed, "{found}");
    assert_eq!(found.number("largest_change"), Some(0.0));
}

#[test]
fn the_embedded_cells_hold_no_copies_until_one_is_made() {
    let (x, _, split) = cells();
    let search = |x: &Csr| {
        let rows = CellRows::sparse(x.indptr(), x.indices(), x.values()).unwrap();
        duplicates(&rows, std::slice::from_ref(&split), &DuplicateParams::default()).unwrap()
    };
    assert_eq!(search(&x).exact, []);
    let mut rows: Vec<usize> = (0..x.n_rows()).collect();
    rows[split.test[7]] = split.train[3];
    let found = search(&x.select_rows(&rows));
    assert_eq!(
        (found.exact.len(), found.exact[0].test, found.exact[0].train),
        (1, split.test[7], split.train[3])
    );
}
