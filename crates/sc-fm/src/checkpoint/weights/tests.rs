use super::*;

fn tensor(shape: &[usize]) -> Tensor {
    Tensor::ones(shape, DType::F32, &Device::Cpu).unwrap()
}

fn weights(tensors: &[(&str, &[usize])]) -> Weights {
    Weights::new(tensors.iter().map(|(name, shape)| ((*name).to_owned(), tensor(shape))))
}

/// Takes all of a list, as a model does.
fn take(weights: &mut Weights, wanted: &[(&str, &[usize])]) -> Result<Vec<Tensor>, Error> {
    wanted.iter().map(|(name, shape)| weights.take(name, shape)).collect()
}

#[test]
fn a_model_that_fits_uses_every_tensor_and_the_report_counts_them() {
    let mut w = weights(&[("a", &[2, 3]), ("b", &[3])]);
    let model = w.build(|w| take(w, &[("a", &[2, 3]), ("b", &[3])])).unwrap();
    assert_eq!(model.len(), 2);
    let report = w.report();
    assert_eq!((report.n_taken, report.n_parameters), (2, 9));
    assert!(report.files.is_empty() && report.renamed.is_empty() && report.ignored.is_empty());
    w.finish().unwrap();
}

#[test]
fn all_that_does_not_fit_is_told_at_once() {
    let mut w = weights(&[("layer.0.Wqkv.weight", &[6, 2]), ("norm.weight", &[3]), ("extra", &[1])]);
    let wanted: [(&str, &[usize]); 3] =
        [("norm.weight", &[2]), ("norm.bias", &[2]), ("layer.0.in_proj_weight", &[6, 2])];
    let error = w.build(|w| take(w, &wanted)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the checkpoint does not fit the model; 2 tensors are missing: layer.0.in_proj_weight [6, 2] (near: \
         layer.0.Wqkv.weight), norm.bias [2]; 1 tensor has another shape: norm.weight [3] for [2]; 2 tensors are not \
         used: extra, layer.0.Wqkv.weight"
    );
    assert!(error.help().unwrap().contains("config.json"));
}

#[test]
fn a_model_that_is_much_larger_than_its_file_is_given_up() {
    let mut w = weights(&[("layer.0", &[4])]);
    let mut n_layers = 0;
    let build = |w: &mut Weights| -> Result<(), Error> {
        for layer in 0..1 << 30 {
            w.take(&format!("layer.{layer}"), &[FEW_VALUES / 4])?;
            n_layers += 1;
        }
        Ok(())
    };
    let error = w.build(build).unwrap_err();
    assert!(matches!(&error, Error::Mismatch { misfits, .. } if misfits.len() == 5), "{error}");
    assert_eq!(n_layers, 4);
    let error = w.build(|w| take(w, &[("layer.9", &[1 << 40, 1 << 40])])).unwrap_err();
    assert!(matches!(&error, Error::Mismatch { misfits, .. } if misfits.len() == 1), "{error}");
}

#[test]
fn long_lists_are_cut() {
    let names: Vec<String> = (10..40).map(|i| format!("layer.{i}")).collect();
    let mut w = Weights::new(names.iter().map(|name| (name.clone(), tensor(&[1]))));
    let error = w.build(|_| Ok::<_, Error>(())).unwrap_err().to_string();
    assert!(
        error.starts_with("the checkpoint holds 30 tensors that the model does not use: layer.10, layer.11"),
        "{error}"
    );
    assert!(error.ends_with("layer.21 and 18 more"), "{error}");
}

#[test]
fn an_error_of_the_model_itself_comes_through() {
    let mut w = weights(&[("a", &[1])]);
    let own = || Error::NoFile { path: "own".into() };
    assert!(matches!(w.build(|_| Err::<(), _>(own())), Err(Error::NoFile { .. })));
    // Unless something was missing before it, which is then the cause.
    let error = w.build(|w| w.take("b", &[1]).and_then(|_| Err::<(), _>(own()))).unwrap_err();
    assert!(
        matches!(&error, Error::Mismatch { misfits, unused } if misfits.len() == 1 && unused.is_empty()),
        "{error}"
    );
}

#[test]
fn outside_build_the_first_misfit_is_the_error() {
    let mut w = weights(&[("norm.weight", &[3])]);
    let error = w.take("norm.weigth", &[3]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the checkpoint has no tensor \"norm.weigth\", expected [3]; the nearest name is \"norm.weight\""
    );
    let error = w.take("norm.weight", &[4]).unwrap_err();
    assert_eq!(error.to_string(), "tensor \"norm.weight\" has shape [3], expected [4]");
    assert!(error.help().is_some());
}

#[test]
fn a_tensor_is_taken_once() {
    let mut w = weights(&[("a", &[1])]);
    w.take("a", &[1]).unwrap();
    assert!(matches!(w.take("a", &[1]), Err(Error::Missing { .. })));
}

#[test]
fn renaming_is_recorded_from_the_name_in_the_file() {
    let w = weights(&[("module.a", &[1]), ("module.b", &[1]), ("position_ids", &[1])]);
    let w = w.renamed(|name| Some(name.strip_prefix("module.")?.to_owned()));
    let w = w.renamed(|name| Some(if name == "a" { "c".to_owned() } else { name.to_owned() }));
    assert_eq!(w.names().collect::<Vec<_>>(), ["b", "c"]);
    let report = w.report();
    let renamed: Vec<_> = report.renamed.iter().map(|r| (r.from.as_str(), r.to.as_str())).collect();
    assert_eq!(renamed, [("module.b", "b"), ("module.a", "c")]);
    assert_eq!(report.ignored[0].name, "position_ids");
}

#[test]
fn two_tensors_under_one_name_are_an_error_not_a_choice() {
    let clash =
        || weights(&[("a", &[1]), ("module.a", &[1])]).renamed(|name| Some(name.replace("module.", "")));
    let error = clash().take("a", &[1]).unwrap_err();
    assert_eq!(error.to_string(), "more than one tensor is named a");
    assert!(matches!(clash().finish(), Err(Error::Twice { .. })));
    assert!(matches!(clash().build(|w| w.take("a", &[1])), Err(Error::Twice { .. })));
    let twice = Weights::new([("a".to_owned(), tensor(&[1])), ("a".to_owned(), tensor(&[2]))]);
    assert!(matches!(twice.finish(), Err(Error::Twice { .. })));
}

#[test]
fn what_is_ignored_is_named_with_its_reason() {
    let mut w = weights(&[("position_ids", &[4])]);
    assert!(w.ignore("position_ids", "counts from 0"));
    assert!(!w.ignore("position_ids", "counts from 0"));
    assert_eq!(w.report().ignored, [Ignored { name: "position_ids".into(), reason: "counts from 0" }]);
    w.finish().unwrap();
}

#[test]
fn a_tied_tensor_must_be_equal() {
    let mut w = weights(&[("decoder", &[2, 3]), ("shape", &[3, 2]), ("empty", &[0])]);
    w.tied("decoder", &tensor(&[2, 3]), "the embedding").unwrap();
    w.tied("decoder", &tensor(&[2, 3]), "the embedding").unwrap();
    w.tied("empty", &tensor(&[0]), "the embedding").unwrap();
    assert_eq!(w.report().ignored.len(), 2);
    let error = w.tied("shape", &tensor(&[2, 3]), "the embedding").unwrap_err();
    assert_eq!(
        error.to_string(),
        "tensor \"shape\" differs from the embedding, but the model has one for both"
    );
    assert!(error.help().is_some());
    let mut w = weights(&[("decoder", &[2])]);
    let other = Tensor::new(&[1.0_f32, 1.5], &Device::Cpu).unwrap();
    assert!(matches!(w.tied("decoder", &other, "the embedding"), Err(Error::NotTied { .. })));
}

#[test]
fn variables_stay_variables() {
    let var = candle_core::Var::from_tensor(&tensor(&[2])).unwrap();
    let mut w = Weights::new([("a".to_owned(), var.as_tensor().clone())]);
    assert!(w.take("a", &[2]).unwrap().is_variable());
}
