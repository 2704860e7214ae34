use super::*;

/// Two features that tell three classes apart, and one that does not.
fn corners() -> (Features, Vec<u32>) {
    let y: Vec<u32> = (0..90).map(|i| i % 3).collect();
    let x = Array2::from_shape_fn((90, 3), |(i, j)| match j {
        0 => (i % 3) as f32 + (i % 7) as f32 * 0.02,
        1 => ((i + 1) % 3) as f32 - (i % 5) as f32 * 0.03,
        _ => (i % 11) as f32 * 0.1,
    });
    (Features::dense(x.view()).unwrap(), y)
}

fn quick() -> MlpParams {
    MlpParams { hidden_layer_sizes: vec![20], learning_rate: 0.02, batch_size: 16, ..Default::default() }
}

#[test]
fn corners_are_learnt_and_the_loss_falls() {
    let (x, y) = corners();
    let model = quick().fit(&x, &y, 5).unwrap();
    let answer = model.predict(&x).unwrap();
    assert_eq!(answer.codes, y);
    assert!(model.loss_curve()[model.n_iter() - 1] < 0.1 * model.loss_curve()[0]);
    // Classes that the training cells lack have probability 0, and the others share 1.
    let p = answer.probabilities.unwrap();
    assert!(p.rows().into_iter().all(|row| row[3] == 0.0 && (row.sum() - 1.0).abs() < 1e-6));
    model.check().unwrap();
}

#[test]
fn early_stopping_returns_the_best_pass() {
    let (x, y) = corners();
    for n_classes in [3, 2] {
        let y: Vec<u32> = y.iter().map(|&code| code.min(n_classes - 1)).collect();
        let params = MlpParams { early_stopping: true, n_iter_no_change: 5, ..quick() };
        let model = params.fit(&x, &y, n_classes as usize).unwrap();
        assert!(model.converged());
        assert_eq!(model.validation_scores().len(), model.n_iter());
        let scores = model.validation_scores();
        let best = scores.iter().copied().fold(0.0, f64::max);
        assert!(scores[scores.len() - 1] <= best && best >= 0.8, "{scores:?}");
    }
}

#[test]
fn one_class_is_always_said() {
    let (x, _) = corners();
    let model = MlpParams { max_iter: 2, ..quick() }.fit(&x, &[1; 90], 3).unwrap();
    let answer = model.predict(&x).unwrap();
    assert!(answer.codes.iter().all(|&code| code == 1));
    assert!(answer.probabilities.unwrap().column(1).iter().all(|&p| p == 1.0));
    assert!(!model.converged());
}

#[test]
fn no_hidden_layer_is_a_logistic_regression() {
    let (x, y) = corners();
    let model = MlpParams { hidden_layer_sizes: Vec::new(), ..quick() }.fit(&x, &y, 3).unwrap();
    assert_eq!(model.layers().len(), 1);
    let right = model.predict(&x).unwrap().codes.iter().zip(&y).filter(|(a, b)| a == b).count();
    assert!(right >= 85, "{right} of 90");
}

#[test]
fn weights_of_classes_move_the_border() {
    let x = Features::dense(Array2::from_shape_fn((60, 1), |(i, _)| (i % 10) as f32).view()).unwrap();
    // Half of the cells of every value belong to each class: only the weights decide.
    let y: Vec<u32> = (0..60).map(|i| (i / 10) % 2).collect();
    for (weights, winner) in [(vec![3.0, 1.0], 0), (vec![1.0, 3.0], 1)] {
        let params = MlpParams { class_weight: ClassWeight::Given(weights), ..quick() };
        let answer = params.fit(&x, &y, 2).unwrap().predict(&x).unwrap();
        assert!(answer.codes.iter().all(|&code| code == winner), "{winner}");
    }
}

#[test]
fn a_fit_goes_on_from_given_weights() {
    let (x, y) = corners();
    let params = MlpParams { max_iter: 1, shuffle: false, ..quick() };
    let first = params.fit(&x, &y, 3).unwrap();
    let next = params.fit_from(&x, &y, 3, &first.layers()).unwrap();
    assert!(next.loss_curve()[0] < first.loss_curve()[0]);
    let short = params.fit_from(&x, &y, 3, &first.layers()[..1]).unwrap_err();
    assert_eq!(short.to_string(), "the list of first layers has 1 entries, expected 2");
    let mut layers = first.layers();
    layers[1].intercepts = ndarray::array![0.0];
    let narrow = params.fit_from(&x, &y, 3, &layers).unwrap_err();
    assert_eq!(narrow.to_string(), "the intercepts of a first layer has 1 entries, expected 3");
}

#[test]
fn parameters_out_of_range_are_refused() {
    let (x, y) = corners();
    let cases = [
        (MlpParams { alpha: -1.0, ..quick() }, "`alpha` is -1, expected at least 0"),
        (MlpParams { learning_rate: f64::NAN, ..quick() }, "`learning_rate` is NaN, expected above 0"),
        (MlpParams { batch_size: 0, ..quick() }, "`batch_size` is 0, expected at least 1"),
        (MlpParams { max_iter: 0, ..quick() }, "`max_iter` is 0, expected at least 1"),
        (
            MlpParams { hidden_layer_sizes: vec![3, 0], ..quick() },
            "`hidden_layer_sizes` is 0, expected layers of 1 to 1,048,576 units",
        ),
        (
            MlpParams { early_stopping: true, validation_fraction: 1.0, ..quick() },
            "`validation_fraction` is 1, expected between 0 and 1",
        ),
        (
            MlpParams { early_stopping: true, validation_fraction: 0.01, ..quick() },
            "`validation_fraction` is 0.01 of 90 cells, expected at least 2 cells, and not all",
        ),
        (
            MlpParams { learning_rate: 1e300, ..quick() },
            "`learning_rate` is 1e300, expected so small that the weights stay finite",
        ),
    ];
    for (params, message) in cases {
        let found = params.fit(&x, &y, 3).unwrap_err().to_string();
        // A float that large prints with all its digits.
        assert_eq!(found.replace(&format!("1{}", "0".repeat(300)), "1e300"), message);
    }
}

#[test]
fn parameters_are_read_from_a_part_of_them() {
    let params: MlpParams =
        serde_json::from_str(r#"{"hidden_layer_sizes": [8], "class_weight": "balanced"}"#).unwrap();
    assert_eq!(params.hidden_layer_sizes, [8]);
    assert_eq!(params.max_iter, 200);
    assert!(serde_json::from_str::<MlpParams>(r#"{"hidden": [8]}"#).is_err());
}

#[test]
fn a_model_that_lies_about_its_shape_is_found() {
    let (x, y) = corners();
    let model = MlpParams { max_iter: 1, ..quick() }.fit(&x, &y, 3).unwrap();
    let text = serde_json::to_string(&model).unwrap();
    let read: Mlp = serde_json::from_str(&text).unwrap();
    assert_eq!(read.check(), Ok(()));
    assert_eq!(read.predict(&x).unwrap(), model.predict(&x).unwrap());
    let lying: Mlp =
        serde_json::from_str(&text.replace("\"hidden_layer_sizes\":[20]", "\"hidden_layer_sizes\":[21]"))
            .unwrap();
    assert_eq!(lying.check().unwrap_err(), "a layer maps 3 values to 20, expected 3 to 21");
}
