//! Classifiers of cells for several tasks.

use super::*;
use crate::models::geneformer::TaskPooling;

/// The labels of [`data`], and whether a cell is a B cell, which every fifth cell has no label of.
fn tasks(n_cells: usize) -> (AnnData, Vec<CellTask>) {
    let (adata, labels) = data(n_cells);
    let owned = |label: &str| label.to_owned();
    let is_b = |cell: usize| (cell % 5 != 4).then(|| owned(if cell % 3 == 1 { "yes" } else { "no" }));
    let first = labels.iter().map(|label| label.map(owned)).collect();
    let second = (0..n_cells).map(is_b).collect();
    let task = |name: &str, labels, weight| CellTask { name: name.to_owned(), labels, weight };
    (adata, vec![task("type", first, 0.7), task("is B", second, 1.4)])
}

fn sets(n_cells: usize) -> (Vec<usize>, Vec<usize>) {
    split(&data(n_cells).1)
}

fn params(method: Method) -> TaskParams {
    let mut params = TaskParams::new(method);
    (params.tuning.train.epochs, params.tuning.train.batch_size) = (2, 8);
    params.tuning.train.schedule = Schedule::linear(5e-3);
    params
}

fn tune(model: &FoundationModel, params: &TaskParams, state: Option<&Path>) -> crate::Result<FineTunedTasks> {
    let ((adata, tasks), (train, validation)) = (tasks(120), sets(120));
    fine_tune_tasks(model, &adata, &tasks, &train, &validation, params, state, &mut unwatched)
}

fn bits(tuned: &FineTunedTasks) -> Vec<u64> {
    let found = tuned.predict_proba(&tasks(40).0, &[0, 9, 4, 30]).unwrap();
    let losses = tuned.training().history().iter().map(|epoch| epoch.train_loss.to_bits());
    found.iter().flat_map(|task| task.probabilities.iter().map(|p| p.to_bits())).chain(losses).collect()
}

#[test]
fn several_tasks_are_learnt_at_once() {
    let model = geneformer();
    for (method, pooling) in [
        (Method::Full, TaskPooling::Attention),
        (Method::Full, TaskPooling::First),
        (lora(), TaskPooling::Attention),
    ] {
        let long = change(params(method.clone()), |params| {
            params.pooling = pooling;
            params.tuning.train.epochs = 8;
            if method != Method::Full {
                params.tuning.train.epochs = 16;
                params.tuning.train.schedule = Schedule::linear(2e-2);
            }
        });
        let tuned = tune(&model, &long, None).unwrap();
        let named: Vec<(&str, &[String])> = tuned.tasks().collect();
        assert_eq!((named[0].0, named[0].1.len(), named[1].0), ("type", 3, "is B"));
        assert_eq!(named[1].1, ["no", "yes"]);
        let rows: Vec<usize> = (120..240).collect();
        let found = tuned.predict_proba(&tasks(240).0, &rows).unwrap();
        let right = |task: usize, truth: &dyn Fn(usize) -> &'static str| {
            let best = found[task].most_probable();
            let is_right =
                |(class, row): (&Option<usize>, &usize)| named[task].1[class.unwrap()] == truth(*row);
            best.iter().zip(&rows).filter(|&pair| is_right(pair)).count() as f64 / rows.len() as f64
        };
        let types = right(0, &|row| ["T cell", "B cell", "NK cell"][row % 3]);
        let is_b = right(1, &|row| if row % 3 == 1 { "yes" } else { "no" });
        assert!(types > 0.8 && is_b > 0.85, "{method:?} {pooling:?}: {types} {is_b}");
    }
}

#[test]
fn the_loss_is_the_weighted_sum_of_the_means_of_the_tasks() {
    let mut config = testing::config();
    (config.hidden_dropout_prob, config.attention_probs_dropout_prob) = (0.0, 0.0);
    let model = Geneformer::random(config, InputFormat::V2 { cls: 2, eos: 3 }, 1).unwrap();
    let model = FoundationModel::geneformer(model, testing::vocabulary()).unwrap();
    // One step that changes nothing, over all cells.
    let still = change(params(Method::Full), |params| {
        params.dropout = 0.0;
        params.tuning.train.epochs = 1;
        params.tuning.train.batch_size = 1000;
        params.tuning.train.schedule = Schedule::linear(1e-30);
    });
    let tuned = tune(&model, &still, None).unwrap();
    let ((adata, tasks), (train, validation)) = (tasks(120), sets(120));
    let loss = |rows: &[usize]| -> f64 {
        let found = tuned.predict_proba(&adata, rows).unwrap();
        let of = |task: usize| {
            let (mut sum, mut n) = (0.0, 0.0);
            for (&row, p) in rows.iter().zip(found[task].probabilities.rows()) {
                let Some(label) = &tasks[task].labels[row] else { continue };
                let classes = tuned.tasks().nth(task).unwrap().1;
                sum -= libm::log(p[classes.iter().position(|class| class == label).unwrap()]);
                n += 1.0;
            }
            tasks[task].weight * sum / n
        };
        of(0) + of(1)
    };
    let epoch = tuned.training().history()[0];
    assert!((epoch.train_loss - loss(&train)).abs() < 1e-5, "{epoch:?} {}", loss(&train));
    assert!((epoch.validation.unwrap().loss - loss(&validation)).abs() < 1e-9, "{epoch:?}");
    // Parts of a step make up the step, though the second task has labels of some cells alone.
    let parts = change(still, |params| {
        params.tuning.train.batch_size = 7;
        params.tuning.train.accumulate = 100;
    });
    let parts = tune(&model, &parts, None).unwrap().training().history()[0];
    assert!((parts.train_loss - epoch.train_loss).abs() < 1e-5, "{parts:?} {epoch:?}");
    assert!((parts.gradient_norm / epoch.gradient_norm - 1.0).abs() < 1e-4, "{parts:?} {epoch:?}");
}

#[test]
fn an_interruption_of_several_tasks_changes_no_bit() {
    let model = geneformer();
    let own = params(Method::Full);
    let alone = bits(&tune(&model, &own, None).unwrap());
    let checkpointed = change(own.clone(), |params| params.tuning.train.checkpointing = true);
    assert!(alone == on_threads(1, || bits(&tune(&model, &checkpointed, None).unwrap())));
    let folder = tempfile::tempdir().unwrap();
    let ((adata, tasks), (train, validation)) = (tasks(120), sets(120));
    for steps in [3, 8] {
        let mut left = steps;
        let watch = &mut |_: &TrainProgress| {
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let state = Some(folder.path());
        let error = fine_tune_tasks(&model, &adata, &tasks, &train, &validation, &own, state, watch);
        assert!(matches!(error.unwrap_err(), crate::Error::Train(train::Error::Cancelled)));
    }
    assert!(alone == bits(&tune(&model, &own, Some(folder.path())).unwrap()));
    let other = tune(&model, &change(own, |params| params.dropout = 0.2), Some(folder.path()));
    assert!(other.unwrap_err().to_string().contains("another training: labels is"));
}

#[test]
fn heads_of_several_tasks_come_back_from_their_folder() {
    let model = geneformer();
    for method in [Method::Full, lora()] {
        let tuned =
            tune(&model, &change(params(method), |params| params.tuning.train.epochs = 1), None).unwrap();
        let folder = tempfile::tempdir().unwrap();
        tuned.save(folder.path(), false).unwrap();
        let open = || FineTunedTasks::open(folder.path(), Some(&model), &OpenParams::default());
        assert!(bits(&open().unwrap()) == bits(&tuned));
        let merged = tuned.merged().unwrap();
        let first = |tuned: &FineTunedTasks| {
            tuned.predict_proba(&tasks(9).0, &[1, 2]).unwrap()[1].probabilities.clone()
        };
        assert!(first(&tuned).iter().zip(&first(&merged)).all(|(a, b)| (a - b).abs() < 1e-4));
        let error = FineTuned::open(folder.path(), Some(&model), &OpenParams::default()).unwrap_err();
        assert!(error.to_string().contains("what it classifies is cells, for several tasks"), "{error}");
        // A class less than the head has.
        for (name, from) in [("classifier.json", "\"no\","), ("labels.json", "\"no\": 0,")] {
            let path = folder.path().join(name);
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains(from), "{text}");
            std::fs::write(path, text.replace(from, "").replace("\"yes\": 1", "\"yes\": 0")).unwrap();
        }
        let error = open().unwrap_err();
        assert!(error.to_string().contains("the shape of the heads is [[3, 16], [2, 16]]"), "{error}");
        assert!(error.help().unwrap().contains("files together"));
    }
}

#[test]
fn tasks_that_cannot_be_trained_are_refused_in_words() {
    let model = geneformer();
    let ((adata, own), (train, validation)) = (tasks(60), sets(60));
    let told = |tasks: &[CellTask], params: &TaskParams| {
        let error = fine_tune_tasks(&model, &adata, tasks, &train, &validation, params, None, &mut unwatched);
        let error = error.unwrap_err();
        let why = std::error::Error::source(&error).map(|why| why.to_string()).unwrap_or_default();
        (error.to_string(), why, error.help().unwrap_or_default().to_owned())
    };
    let usual = params(Method::Full);
    let with = |change: &dyn Fn(&mut CellTask)| {
        let mut tasks = own.clone();
        change(&mut tasks[1]);
        told(&tasks, &usual)
    };
    let (error, why, help) =
        with(&|task| task.labels.iter_mut().flatten().for_each(|label| *label = "no".to_owned()));
    assert_eq!(
        (error.as_str(), why.as_str()),
        ("the task \"is B\" cannot be trained", "the training rows have 1 classes, expected at least 2")
    );
    assert!(help.contains("rare"));
    assert_eq!(with(&|task| _ = task.labels.pop()).1, "59 labels for 60 rows, expected one for each");
    assert_eq!(with(&|task| task.weight = -1.0).1, "`weight` is -1, expected a finite number above 0");
    let none = |task: &mut CellTask| validation.iter().for_each(|&row| task.labels[row] = None);
    assert_eq!(with(&none).1, "there are no validation rows, by which `select` chooses an epoch");
    let (error, _, help) = with(&|task| task.name = "type".to_owned());
    assert_eq!(error, "the tasks are [\"type\", \"type\"], expected at least one, each of its own name");
    assert!(help.contains("once"));
    assert!(told(&[], &usual).0.starts_with("the tasks are []"));
    let mut bare = own.clone();
    bare.iter_mut().for_each(|task| task.labels[train[2]] = None);
    assert_eq!(
        told(&bare, &usual).0,
        format!("1 of the training rows have no label, row {} first", train[2])
    );
    let wrong = change(usual.clone(), |params| params.dropout = 1.0);
    assert_eq!(told(&own, &wrong).0, "`dropout` is 1, expected at least 0 and below 1");
    let wrong = change(usual.clone(), |params| params.tuning.class_weights = true);
    assert_eq!(told(&own, &wrong).0, "`class_weights` is true, expected false for several tasks");
    let error = fine_tune_tasks(&scgpt(), &adata, &own, &train, &validation, &usual, None, &mut unwatched);
    assert_eq!(
        error.unwrap_err().to_string(),
        "scGPT cannot have a classifier for several tasks, expected a Geneformer"
    );
}
