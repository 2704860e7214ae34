use super::*;

/// Each class has a gene of its own; the last gene is expressed by nobody.
fn marked(n_classes: u32) -> (Array2<f32>, Vec<u32>) {
    let y: Vec<u32> = (0..60).map(|i| i % n_classes).collect();
    let x = Array2::from_shape_fn((60, 6), |(i, j)| {
        if j == 5 {
            0.0
        } else if j as u32 == y[i] {
            2.0 + (i % 4) as f32 * 0.1
        } else {
            ((i * 7 + j * 3) % 5 / 3) as f32 * 0.5
        }
    });
    (x, y)
}

fn sparse(x: &Array2<f32>) -> Features {
    let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
    for row in x.rows() {
        for (j, &v) in row.iter().enumerate().filter(|(_, v)| **v != 0.0) {
            indices.push(j as u32);
            values.push(v);
        }
        indptr.push(indices.len());
    }
    Features::sparse(indptr, indices, values, vec![0.0; x.ncols()]).unwrap()
}

#[test]
fn genes_of_a_class_tell_it_from_the_rest() {
    for n_classes in [1, 2, 3] {
        let (x, y) = marked(n_classes);
        let x = Features::dense(x.view()).unwrap();
        let model = CellTypistParams::default().fit(&x, &y, 4).unwrap();
        let answer = model.predict(&x).unwrap();
        assert_eq!(answer.codes, y);
        assert!(answer.probabilities.unwrap().rows().into_iter().all(|row| (row.sum() - 1.0).abs() < 1e-6));
        let odds = model.decision_matrix(&x).unwrap();
        assert!(odds.column(3).iter().all(|&z| z == f64::NEG_INFINITY));
        assert!(model.probability_matrix(&x).unwrap().column(3).iter().all(|&p| p == 0.0));
        assert_eq!(model.coefficients().0, [0, 1, 2, 3, 4]);
    }
}

#[test]
fn dense_and_sparse_features_have_the_same_scores() {
    let (x, y) = marked(3);
    let dense = Features::dense(x.view()).unwrap();
    let model = CellTypistParams::default().fit(&dense, &y, 3).unwrap();
    let again = CellTypistParams::default().fit(&sparse(&x), &y, 3).unwrap();
    assert_eq!(model, again);
    assert_eq!(model.predict(&dense).unwrap(), again.predict(&sparse(&x)).unwrap());
}

#[test]
fn a_second_fit_keeps_the_genes_that_tell_most() {
    let (x, y) = marked(3);
    let params = CellTypistParams { feature_selection: true, top_genes: 1, ..Default::default() };
    let model = params.fit(&sparse(&x), &y, 3).unwrap();
    let (genes, weights) = model.coefficients();
    assert_eq!(genes, [0, 1, 2]);
    assert_eq!(weights.dim(), (3, 3));
    assert_eq!(model.predict(&sparse(&x)).unwrap().codes, y);
    model.check().unwrap();
}

#[test]
fn values_far_above_the_mean_are_cut_off_and_those_below_are_not() {
    let mut x = Array2::from_elem((400, 1), 1.0);
    x[[0, 0]] = 1000.0;
    let x = Features::dense(x.view()).unwrap();
    let scaling = Scaling::fit(&x);
    let mut row = [0.0];
    scaling.transform(&x).write_row(0, &mut row);
    assert_eq!(row, [10.0]);
    let low = Features::dense(ndarray::array![[-2000.0f32]].view()).unwrap();
    scaling.transform(&low).write_row(0, &mut row);
    assert!(row[0] < -40.0);
}

#[test]
fn parameters_out_of_range_are_refused() {
    let (x, y) = marked(3);
    let fit = |params: CellTypistParams| params.fit(&sparse(&x), &y, 3).unwrap_err().to_string();
    let base = CellTypistParams::default;
    assert_eq!(fit(CellTypistParams { c: 0.0, ..base() }), "`c` is 0, expected above 0");
    assert_eq!(fit(CellTypistParams { alpha: -1.0, ..base() }), "`alpha` is -1, expected above 0");
    assert_eq!(fit(CellTypistParams { top_genes: 0, ..base() }), "`top_genes` is 0, expected at least 1");
    assert_eq!(
        fit(CellTypistParams { tolerance: f64::NAN, ..base() }),
        "`tolerance` is NaN, expected at least 0"
    );
    assert!(matches!(base().fit(&sparse(&x), &y[1..], 3), Err(Error::Length { .. })));
}

#[test]
fn a_model_that_lies_about_its_shape_is_found() {
    let (x, y) = marked(3);
    let model = CellTypistParams::default().fit(&sparse(&x), &y, 3).unwrap();
    let text = serde_json::to_string(&model).unwrap();
    let read: CellTypist = serde_json::from_str(&text).unwrap();
    assert_eq!((read.check(), &read), (Ok(()), &model));
    for (from, to) in
        [("[0,1,2,3,4]", "[0,1,2,3,9]"), ("[0,1,2,3,4]", "[0,1,2,3]"), ("\"n_outputs\":3", "\"n_outputs\":5")]
    {
        let lying: CellTypist = serde_json::from_str(&text.replacen(from, to, 1)).unwrap();
        assert!(lying.check().is_err(), "{to}");
    }
}
