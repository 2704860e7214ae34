//! Classifiers written and read again.

use super::*;

#[test]
fn a_classifier_comes_back_from_its_folder_to_the_last_bit() {
    for model in [geneformer(), scgpt()] {
        for method in [Method::Full, Method::LinearProbe, lora()] {
            let tuned =
                tune(&model, &change(params(&model, method.clone()), |params| params.train.epochs = 1), None)
                    .unwrap();
            let folder = tempfile::tempdir().unwrap();
            tuned.save(folder.path(), false).unwrap();
            assert!(tuned.save(folder.path(), false).is_err(), "files were replaced without being asked for");
            tuned.save(folder.path(), true).unwrap();
            let open = |base| FineTuned::open(folder.path(), base, &OpenParams::default());
            let again = open(Some(&model)).unwrap();
            assert!(bits(&again) == bits(&tuned), "{} {method:?}", model.kind());
            assert_eq!((again.method(), again.history().len()), (&method, 1));
            if method != Method::Full {
                let error = open(None).unwrap_err();
                assert!(error.to_string().ends_with("which is not in this folder"), "{error}");
                assert!(error.help().unwrap().contains("give it along"));
                let other = if model.kind() == Kind::Geneformer { scgpt() } else { geneformer() };
                let error = open(Some(&other)).unwrap_err().to_string();
                assert!(error.contains("the model is"), "{error}");
            }
        }
    }
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let model = geneformer();
    let folder = tempfile::tempdir().unwrap();
    let open = |base: Option<&FoundationModel>| {
        let error = FineTuned::open(folder.path(), base, &OpenParams::default()).unwrap_err();
        (error.to_string(), error.help().unwrap_or_default().to_owned())
    };
    let (error, help) = open(None);
    assert!(error.ends_with("no classifier in this folder") && help.contains("FineTuned::save"), "{error}");
    tune(&model, &change(params(&model, Method::Full), |params| params.train.epochs = 1), None)
        .unwrap()
        .save(folder.path(), false)
        .unwrap();
    let replace = |name: &str, from: &str, to: &str| {
        let path = folder.path().join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(path, text.replace(from, to)).unwrap();
    };
    replace("labels.json", "NK cell", "NKT cell");
    let (error, help) = open(None);
    assert!(
        error.contains("`labels.json` is {\"B cell\":0,\"NKT cell\":1,\"T cell\":2}, expected {"),
        "{error}"
    );
    assert!(help.contains("files together"));
    replace("labels.json", "NKT cell", "NK cell");
    let path = folder.path().join("labels.json");
    std::fs::write(path, r#"{"B cell": 0, "T cell": 1}"#).unwrap();
    replace("classifier.json", "\"NK cell\",", "");
    let (error, _) = open(None);
    assert!(error.ends_with("the number of classes of the head is 3, expected 2"), "{error}");
    std::fs::write(folder.path().join("classifier.json"), "{").unwrap();
    assert!(open(None).0.ends_with("not the description of a classifier"));

    let other = tempfile::tempdir().unwrap();
    let probe =
        tune(&model, &change(params(&model, Method::LinearProbe), |params| params.train.epochs = 1), None)
            .unwrap();
    probe.save(other.path(), false).unwrap();
    let error = FineTuned::open(other.path(), Some(&testing::model()), &OpenParams::default()).unwrap_err();
    assert!(error.to_string().contains("SHA-256 of the model's tensors is "), "{error}");
}
