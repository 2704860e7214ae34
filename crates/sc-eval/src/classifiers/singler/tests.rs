use super::*;

/// Each label has two genes of its own; the first two labels share a third.
fn marked() -> (Array2<f32>, Vec<u32>) {
    let y: Vec<u32> = (0..45).map(|i| i % 3).collect();
    let x = Array2::from_shape_fn((45, 8), |(i, j)| {
        let own = j as u32 / 2 == y[i] || (j == 6 && y[i] < 2);
        let noise = ((i * 13 + j * 5) % 7) as f32 * 0.05;
        if own { 2.0 + noise } else { noise }
    });
    (x, y)
}

fn features(x: &Array2<f32>) -> Features {
    Features::dense(x.view()).unwrap()
}

#[test]
fn cells_get_the_label_whose_genes_they_have() {
    let (x, y) = marked();
    for markers in [SingleRMarkers::Classic, SingleRMarkers::CohensD] {
        let model = SingleRParams { markers, ..Default::default() }.fit(&features(&x), &y, 4).unwrap();
        let answer = model.classify(&features(&x)).unwrap();
        assert_eq!(answer.codes, y);
        assert!(answer.scores.column(3).iter().all(|score| score.is_nan()));
        assert!(answer.delta.iter().all(|&delta| delta > 0.0));
        assert_eq!(
            model.predict(&features(&x)).unwrap(),
            Prediction { codes: y.clone(), probabilities: None }
        );
    }
}

#[test]
fn markers_are_the_genes_that_differ_most() {
    let (x, y) = marked();
    let model = SingleRParams { n_markers: Some(2), ..Default::default() }.fit(&features(&x), &y, 4).unwrap();
    let mut found = model.markers(2, 0);
    found.sort_unstable();
    assert_eq!(found, [4, 5]);
    assert!(model.markers(0, 0).is_empty() && model.markers(0, 3).is_empty());
    assert!(model.genes().contains(&0));
}

#[test]
fn the_order_of_genes_within_a_cell_is_all_that_counts() {
    let (x, y) = marked();
    let model = SingleRParams::default().fit(&features(&x), &y, 3).unwrap();
    let cubed = x.mapv(|v| v * v * v + 5.0);
    assert_eq!(model.classify(&features(&x)).unwrap(), model.classify(&features(&cubed)).unwrap());
}

#[test]
fn one_label_needs_no_markers() {
    let (x, _) = marked();
    let model = SingleRParams::default().fit(&features(&x), &[1; 45], 2).unwrap();
    let answer = model.classify(&features(&x)).unwrap();
    assert!(answer.codes.iter().all(|&code| code == 1) && answer.delta[0].is_nan());
    assert!(answer.pruned(3.0).unwrap().iter().all(Option::is_some));
}

#[test]
fn what_cannot_be_a_reference_is_refused() {
    let (x, y) = marked();
    let fit = |params: SingleRParams| params.fit(&features(&x), &y, 3).unwrap_err().to_string();
    let base = SingleRParams::default;
    assert_eq!(fit(SingleRParams { quantile: 1.5, ..base() }), "`quantile` is 1.5, expected 0 to 1");
    assert_eq!(
        fit(SingleRParams { tune_threshold: -0.5, ..base() }),
        "`tune_threshold` is -0.5, expected 0 to 1"
    );
    assert_eq!(fit(SingleRParams { n_markers: Some(0), ..base() }), "`n_markers` is 0, expected at least 1");
    let flat = base().fit(&features(&Array2::ones((45, 8))), &y, 3).unwrap_err();
    assert_eq!(flat.to_string(), "the set of marker genes is empty");
    let model = base().fit(&features(&x), &y, 3).unwrap();
    assert!(matches!(model.classify(&features(&Array2::ones((1, 3)))), Err(Error::Length { .. })));
}

#[test]
fn a_model_that_lies_about_its_shape_is_found() {
    let (x, y) = marked();
    let model = SingleRParams { n_markers: Some(1), ..Default::default() }.fit(&features(&x), &y, 3).unwrap();
    let text = serde_json::to_string(&model).unwrap();
    let read: SingleR = serde_json::from_str(&text).unwrap();
    assert_eq!((read.check(), &read), (Ok(()), &model));
    for (from, to) in [
        ("\"start\":[0,15,", "\"start\":[0,50,"),
        ("\"quantile\":0.8", "\"quantile\":8"),
        ("\"genes\":[", "\"genes\":[9,"),
        ("\"cells\":[", "\"cells\":[1.5,"),
    ] {
        let lying: SingleR = serde_json::from_str(&text.replacen(from, to, 1)).unwrap();
        assert!(lying.check().is_err(), "{to}");
    }
}
