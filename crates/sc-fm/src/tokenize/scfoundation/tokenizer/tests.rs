use super::*;
use ndarray::array;

fn genes() -> GeneList {
    GeneList::new(["A", "B", "C", "D"].map(str::to_owned)).unwrap()
}

fn run(symbols: &[&str], x: &Csr, input: Input, resolution: Resolution) -> Result<Tokens> {
    let params = ScfoundationParams { input, resolution, min_known: 0.5 };
    ScfoundationTokenizer::new(&genes(), symbols, &params)?.tokenize(x)
}

#[test]
fn genes_go_to_their_positions_and_depth_stands_behind_them() {
    let x = Csr::from_dense(array![[3.0, 9.0, 2.0], [0.0, 9.0, 0.0]].view());
    let tokens = run(&["C", "ERCC", "A"], &x, Input::Counts, Resolution::Target(4.0)).unwrap();
    assert_eq!((tokens.rows(), tokens.ids()), ([0].as_slice(), [0, 2, 4, 5].as_slice()));
    let expected = [(4_000.0_f64).ln_1p(), (6_000.0_f64).ln_1p(), 4.0, 5.0_f64.log10()];
    for (found, expected) in tokens.values().unwrap().iter().zip(expected) {
        assert!((f64::from(*found) - expected).abs() < 1e-6, "{found}, {expected}");
    }
    assert_eq!((tokens.report().cells.n_empty, tokens.report().share_of_counts()), (1, 5.0 / 23.0));
}

#[test]
fn every_resolution_has_its_target() {
    let x = Csr::from_dense(array![[40.0, 60.0]].view());
    let target = |resolution| {
        let tokens = run(&["A", "B"], &x, Input::Counts, resolution).unwrap();
        tokens.values().unwrap()[2..].to_vec()
    };
    assert_eq!(target(Resolution::Target(4.0)), [4.0, 2.0]);
    assert_eq!(target(Resolution::Fold(10.0)), [3.0, 2.0]);
    assert_eq!(target(Resolution::Add(5.0)), [7.0, 2.0]);
}

#[test]
fn logarithms_are_taken_as_they_are_with_their_sum_or_a_total_given() {
    let x = Csr::from_dense(array![[4.5, 5.5]].view());
    let values =
        |input| run(&["B", "A"], &x, input, Resolution::Fold(10.0)).unwrap().values().unwrap().to_vec();
    assert_eq!(values(Input::LogNormalized), [5.5, 4.5, 2.0, 1.0]);
    assert_eq!(values(Input::LogNormalizedWithTotals(vec![1_000.0])), [5.5, 4.5, 4.0, 3.0]);
    assert_eq!(values(Input::BulkLogNormalized), [5.5, 4.5, 10.0, 10.0]);
}

#[test]
fn bulk_counts_are_scaled_to_the_median_total() {
    let x = Csr::from_dense(array![[10.0, 10.0], [30.0, 30.0], [100.0, 0.0]].view());
    let tokens = run(&["A", "B"], &x, Input::BulkCounts, Resolution::Target(4.0)).unwrap();
    let log = 30.0_f64.ln_1p();
    let expected = [log, log, (2.0 * log).log10(), (2.0 * log).log10()];
    for cell in [0, 1] {
        for (found, expected) in tokens.cell_values(cell).unwrap().iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-6, "{found}, {expected}");
        }
    }
}

#[test]
fn counts_of_one_gene_are_summed_and_logarithms_are_not() {
    let x = Csr::from_dense(array![[1.0, 5.0, 2.0]].view());
    let tokens = run(&["B", "A", "B"], &x, Input::Counts, Resolution::Target(4.0)).unwrap();
    assert_eq!((tokens.ids(), tokens.n_genes()), ([0, 1, 4, 5].as_slice(), [2].as_slice()));
    assert!((tokens.values().unwrap()[1] - (3.0_f32 / 8.0 * 1e4).ln_1p()).abs() < 1e-6);
    let error = run(&["B", "A", "B"], &x, Input::LogNormalized, Resolution::Target(4.0)).unwrap_err();
    assert_eq!(error.to_string(), "columns 0 and 2 are both gene \"B\", and logarithms cannot be summed");
    assert!(error.help().unwrap().contains("counts"));
}

#[test]
fn cells_whose_depth_the_model_would_not_see_are_refused() {
    let x = Csr::from_dense(array![[2.0, 3.0], [1.0, 0.0]].view());
    let error = run(&["A", "B"], &x, Input::Counts, Resolution::Target(4.0)).unwrap_err();
    assert!(matches!(error, Error::FewCounts { row: 1, .. }), "{error}");
    assert!(error.help().unwrap().contains("drop"));
    let totals = Input::LogNormalizedWithTotals(vec![f64::NAN, 5.0]);
    let logs = Csr::from_dense(array![[2.5, 3.5], [1.5, 0.0]].view());
    assert!(matches!(
        run(&["A", "B"], &logs, totals, Resolution::Fold(5.0)),
        Err(Error::FewCounts { row: 0, .. })
    ));
}

#[test]
fn values_that_mean_something_else_are_refused() {
    let x = Csr::from_dense(array![[2.5, 100.5]].view());
    let error = run(&["A", "B"], &x, Input::BulkLogNormalized, Resolution::Target(4.0)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cell 0 has the value 103 at position 4, which the model takes for padding"
    );
    assert!(error.help().unwrap().contains("102"));
    let x = Csr::from_dense(array![[2.5, 102.0]].view());
    let error = run(&["A", "B"], &x, Input::LogNormalized, Resolution::Target(4.0)).unwrap_err();
    assert!(matches!(error, Error::Reserved { position: 1, meaning: "a mask", .. }), "{error}");
}

#[test]
fn matrices_of_another_kind_or_shape_are_refused() {
    let x = Csr::from_dense(array![[2.5, 1.0]].view());
    let t4 = Resolution::Target(4.0);
    assert!(matches!(run(&["A", "B"], &x, Input::Counts, t4), Err(Error::NotCounts(_))));
    let scaled = Csr::from_dense(array![[-2.5, 1.0]].view());
    assert!(matches!(run(&["A", "B"], &scaled, Input::LogNormalized, t4), Err(Error::Scaled { .. })));
    assert!(matches!(run(&["A"], &x, Input::LogNormalized, t4), Err(Error::Columns { .. })));
    let none = Input::LogNormalizedWithTotals(vec![]);
    assert!(matches!(run(&["A", "B"], &x, none, t4), Err(Error::Length { what: "totals", .. })));
    for fold in [0.0, -1.0, f64::NAN] {
        let error = run(&["A", "B"], &x, Input::LogNormalized, Resolution::Fold(fold)).unwrap_err();
        assert!(matches!(error, Error::Number { name: "resolution", .. }), "{error}");
    }
}
