//! What cannot be trained, and what it is told.

use super::*;

#[test]
fn what_cannot_be_trained_is_refused_in_words() {
    let model = geneformer();
    let (adata, labels) = data(60);
    let (train, validation) = split(&labels);
    let own = params(&model, Method::Full);
    type Labels = Vec<Option<&'static str>>;
    let run = |labels: &Labels, train: &[usize], validation: &[usize], params: &FineTuneParams| {
        fine_tune(&model, &adata, labels, train, validation, params, None, &mut unwatched).unwrap_err()
    };
    let words = |error: crate::Error| (error.to_string(), error.help().unwrap_or_default().to_owned());

    let (error, help) = words(run(&labels[..59].to_vec(), &train, &validation, &own));
    assert_eq!(error, "59 labels for 60 rows, expected one for each");
    assert!(help.contains("each row"));
    let with = |rows: &[usize], row| [rows, &[row]].concat();
    let (error, _) = words(run(&labels, &with(&train, 60), &validation, &own));
    assert_eq!(error, "row 60 is among the training rows, but the data set has 60");
    let (error, _) = words(run(&labels, &with(&train, train[2]), &validation, &own));
    assert_eq!(error, format!("row {} is more than once among the training rows", train[2]));
    let (error, help) = words(run(&labels, &train, &with(&validation, train[0]), &own));
    assert_eq!(
        error,
        format!("1 rows are among both the training and the validation rows, row {} first", train[0])
    );
    assert!(help.contains("one of the two"));
    let (error, help) = words(run(&labels, &[&train[..], &[13, 6]].concat(), &validation, &own));
    assert_eq!(error, "2 of the training rows have no label, row 6 first");
    assert!(help.contains("without a label"));
    let (error, help) = words(run(&labels, &with(&train, 5), &validation, &own));
    assert_eq!(error, "1 of the training rows have no gene of the model with counts, row 5 first");
    assert!(help.contains("leave cells"));

    let mut others = labels.clone();
    others[train[0]] = Some("mast cell");
    let (error, help) = words(run(&others, &train, &validation, &own));
    assert_eq!(error, "class \"mast cell\" has 1 training cells, expected at least 2");
    assert!(help.contains("rare"));
    let mut others = labels.clone();
    others[validation[0]] = Some("mast cell");
    let (error, help) = words(run(&others, &train, &validation, &own));
    assert_eq!(error, "class \"mast cell\" is among the validation cells, but not among the training cells");
    assert!(help.contains("training cells"));
    let same: Labels = labels.iter().map(|label| label.map(|_| "cell")).collect();
    assert_eq!(
        run(&same, &train, &validation, &own).to_string(),
        "the training rows have 1 classes, expected at least 2"
    );

    let (error, help) = words(run(&labels, &train, &[], &own));
    assert_eq!(error, "there are no validation rows, by which `select` chooses an epoch");
    assert!(help.contains("Select::Last"));
    let last = change(own.clone(), |params| {
        params.train.select = Select::Last;
        params.train.early_stopping = Some(2);
    });
    assert!(run(&labels, &train, &[], &last).to_string().contains("`early_stopping`"));
    let last = change(last, |params| {
        params.train.early_stopping = None;
        params.train.epochs = 1;
    });
    let tuned = fine_tune(&model, &adata, &labels, &train, &[], &last, None, &mut unwatched).unwrap();
    assert_eq!((tuned.best_epoch().epoch, tuned.best_epoch().validation), (1, None));

    for (wrong, field) in [
        (change(own.clone(), |params| params.train.epochs = 0), "`epochs` is 0"),
        (change(own.clone(), |params| params.train.accumulate = 0), "`accumulate` is 0"),
        (
            change(own.clone(), |params| params.train.ema = Some(1.0)),
            "`ema` is 1, expected above 0 and below 1",
        ),
        (change(own.clone(), |params| params.train.early_stopping = Some(0)), "`early_stopping` is 0"),
        (change(own.clone(), |params| params.train.save_every = Some(0)), "`save_every` is 0"),
        (change(own.clone(), |params| params.train.max_grad_norm = Some(-1.0)), "`max_grad_norm` is -1"),
        (change(own.clone(), |params| params.freeze_layers = 3), "`freeze_layers` is 3, expected at most 2"),
        (
            change(own.clone(), |params| params.train.schedule = Schedule::linear(f64::NAN)),
            "`learning_rate` is NaN",
        ),
    ] {
        let error = run(&labels, &train, &validation, &wrong).to_string();
        assert!(error.starts_with(field), "{error}");
    }
    let (error, help) = words(run(
        &labels,
        &train,
        &validation,
        &change(own.clone(), |params| params.train.memory = Some(1000)),
    ));
    assert!(error.contains("tokens, but 0.0 MiB are allowed") && help.contains("batch_size"), "{error}");
}

#[test]
fn a_loss_that_is_no_number_ends_the_training_and_names_the_cells() {
    let model = geneformer();
    let wild = change(params(&model, Method::Full), |params| {
        params.train.schedule = Schedule { decline: train::Decline::Constant, ..Schedule::linear(1e38) }
    });
    let error = tune(&model, &wild, None).unwrap_err();
    assert!(error.to_string().starts_with("the l"), "{error}");
    assert!(error.to_string().contains("in epoch 1, step 2, of rows "), "{error}");
    assert!(error.help().unwrap().contains("learning rate"));
}
