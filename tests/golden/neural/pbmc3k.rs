//! One fold of PBMC 3k: as right as the references on the same cells and genes.

use ndarray::Array2;
use sc_eval::Features;
use sc_eval::classifiers::{
    AutoencoderClassifierParams, CellTypistParams, Classifier, MlpParams, Model, SingleRMarkers,
    SingleRParams,
};
use sc_eval::metrics::classification::accuracy;
use sc_prep::{Counts, FeatureSpace, FeatureSpaceParams, NormalizeTotalParams, log1p, normalize_total};

use crate::support;

struct Fold {
    n_classes: usize,
    train: Vec<u32>,
    test: Vec<u32>,
    /// Training and test cells.
    standardised: [Features; 2],
    logs: [Features; 2],
}

/// The first of five folds, stratified by `louvain` with seed 42, 2,000 genes chosen on the training cells.
fn first_fold() -> Option<Fold> {
    let adata = sc_io::open(support::data("pbmc3k/pbmc3k.h5ad")?).expect("a readable file");
    let labels = adata.obs().labels("louvain").expect("a column of labels");
    let labelled: Vec<usize> = (0..labels.len()).filter(|&i| labels[i].is_some()).collect();
    let names: Vec<&str> = labelled.iter().map(|&i| labels[i].as_deref().expect("a label")).collect();
    let labels = sc_eval::Labels::new(&names).unwrap();
    let counts = adata.x().expect("counts").to_csr().select_rows(&labelled);
    let counts = Counts::new(&counts).expect("raw counts");
    let logs = log1p(normalize_total(counts, &NormalizeTotalParams::to(1e4)).expect("a positive target"));
    let folds = sc_eval::split::StratifiedKFold::default().split(&labels).unwrap();
    let sides = [&folds[0].train, &folds[0].test];
    let space = FeatureSpace::fit(&logs, sides[0], &FeatureSpaceParams::default()).unwrap();
    let standardised = sides.map(|rows| {
        let (indptr, indices, values, background) = space.transform(&logs, rows).unwrap().into_parts();
        Features::sparse(indptr, indices, values, background).unwrap()
    });
    let logs = sides.map(|rows| {
        let (indptr, indices, values) =
            logs.csr().select_rows(rows).select_columns(space.genes()).into_parts();
        Features::sparse(indptr, indices, values, vec![0.0; space.genes().len()]).unwrap()
    });
    let [train, test] = sides.map(|rows| labels.select(rows));
    Some(Fold { n_classes: labels.n_classes(), train, test, standardised, logs })
}

#[test]
fn accuracies_are_those_of_the_references() {
    let Some(fold) = first_fold() else { return };
    let expected = support::golden("neural/pbmc3k.json");
    let by_effect = SingleRParams { markers: SingleRMarkers::CohensD, ..Default::default() };
    let models = [
        ("mlp", Model::Mlp(MlpParams::default()), 0.01),
        ("celltypist", Model::CellTypist(CellTypistParams::default()), 0.002),
        ("singler_cohens_d", Model::SingleR(by_effect), 0.005),
        ("singler_classic", Model::SingleR(SingleRParams::default()), 0.005),
    ];
    for (name, model, tolerance) in models {
        let [train, test] = if model.takes_log_normalized() { &fold.logs } else { &fold.standardised };
        let fitted = model.fit(train, &fold.train, fold.n_classes).unwrap();
        let found = accuracy(&fold.test, &fitted.predict(test).unwrap().codes).unwrap();
        let expected = expected[name].as_f64().expect("an accuracy");
        assert!((found - expected).abs() <= tolerance, "{name}: {found} instead of {expected}");
    }
}

#[test]
fn the_code_of_an_autoencoder_tells_types_apart() {
    let Some(fold) = first_fold() else { return };
    let mut params = AutoencoderClassifierParams::default();
    params.autoencoder.max_iter = 5;
    let [train, test] = &fold.standardised;
    let model = params.fit(train, &fold.train, fold.n_classes).unwrap();
    let answer = model.predict(test).unwrap();
    let found = accuracy(&fold.test, &answer.codes).unwrap();
    assert!(found > 0.85, "{found}");
    let code: Array2<f32> = model.autoencoder().encode(test).unwrap();
    assert_eq!(code.dim(), (fold.test.len(), 32));
    // The mean of every gene explains none of the variance, the code some.
    let errors = model.autoencoder().reconstruction_error(train).unwrap();
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    assert!(mean < 0.97, "{mean}");
}
