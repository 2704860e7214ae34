//! Runs: whole, interrupted, in parallel, failing, refused.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::Error;
use crate::grid::{clear, merge};

#[test]
fn jobs_change_no_byte() {
    let dir = tempfile::tempdir().unwrap();
    let grid = grid();
    let [one, four] = ["one", "four"].map(|name| dir.path().join(name));
    let outcome = run(&grid, &one, 1).unwrap();
    assert_eq!((outcome.n_kept, outcome.n_done, outcome.failed.len()), (0, 36, 0));
    assert_eq!(run(&grid, &four, 4).unwrap().n_done, 36);
    for dir in [&one, &four] {
        merge(dir, false).unwrap().write(dir).unwrap();
    }
    let files = contents(&one);
    assert!(files.contains_key("cells/_lung/wrong_every_5/seed2-fold0.json"), "{:?}", files.keys());
    assert_eq!(files, contents(&four));
}

#[test]
fn a_run_that_failed_half_way_is_resumed_to_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let grid = grid();
    let [whole, broken] = ["whole", "broken"].map(|name| dir.path().join(name));
    assert_eq!(run(&grid, &whole, 1).unwrap().n_done, 36);

    let asked = AtomicUsize::new(0);
    let outcome = grid.run(
        &broken,
        2,
        |group| match group.fold {
            2 => Err("no genes are left"),
            _ => Ok(()),
        },
        |(), group, model| match asked.fetch_add(1, Ordering::Relaxed) % 4 {
            0 => Err("it did not converge"),
            1 => panic!("index {} out of bounds", 7),
            _ => Ok(answer(&grid, group, model)),
        },
        |_| (),
    );
    let outcome = outcome.unwrap();
    assert_eq!((outcome.n_done, outcome.failed.len()), (12, 24));
    assert!(outcome.failed.is_sorted_by_key(|failure| failure.key));
    let texts: Vec<String> = outcome.failed.iter().map(|failure| failure.error.to_string()).collect();
    for (text, n) in [
        ("no genes are left", 12),
        ("it did not converge", 6),
        ("the model panicked: index 7 out of bounds", 6),
    ] {
        assert_eq!(texts.iter().filter(|found| *found == text).count(), n, "{text}: {texts:?}");
    }
    let record = fs::read_to_string(broken.join("errors/blood/right/seed1-fold2.json")).unwrap();
    assert!(record.contains("no genes are left"), "{record}");

    let resumed = run(&grid, &broken, 2).unwrap();
    assert_eq!((resumed.n_kept, resumed.n_done), (12, 24));
    assert_eq!(contents(&whole), contents(&broken));
}

#[test]
fn features_are_made_once_for_the_models_of_a_fold_and_not_at_all_for_cells_that_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let grid = grid();
    assert_eq!(run(&grid, dir.path(), 1).unwrap().n_done, 36);
    fs::remove_file(dir.path().join("cells/blood/right/seed2-fold1.json")).unwrap();
    fs::remove_file(dir.path().join("cells/blood/_t/seed2-fold1.json")).unwrap();
    let prepared = Mutex::new(Vec::new());
    let outcome = grid.run(
        dir.path(),
        1,
        |group| {
            prepared.lock().unwrap().push((group.dataset, group.seed, group.fold));
            Ok::<_, Infallible>(())
        },
        |(), group, model| Ok(answer(&grid, group, model)),
        |_| (),
    );
    assert_eq!(outcome.unwrap().n_done, 2);
    assert_eq!(prepared.into_inner().unwrap(), [(0, 2, 1)]);
}

#[test]
fn an_answer_that_is_none_is_recorded_as_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let grid = grid();
    let outcome = grid.run(
        dir.path(),
        1,
        |_| Ok::<_, Infallible>(()),
        |(), group, model| {
            let mut output = answer(&grid, group, model);
            output.prediction.codes[0] = 9;
            Ok(output)
        },
        |_| (),
    );
    let failed = outcome.unwrap().failed;
    assert_eq!(failed.len(), 36);
    assert_eq!(failed[0].error.to_string(), "the prediction holds class 9, but there are 3 classes");
    assert_eq!(failed[0].key.words(grid.plan()), "right on blood, seed 1, fold 0");
}

#[test]
fn two_runs_in_one_folder_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let grid = grid();
    let refused = AtomicUsize::new(0);
    let watch = |event: Event<'_>| {
        if let Event::Done(_) = event {
            let second = run(&grid, dir.path(), 1);
            assert!(matches!(second, Err(Error::Locked { .. })));
            refused.fetch_add(1, Ordering::Relaxed);
        }
    };
    assert_eq!(run_watched(&grid, dir.path(), 1, watch).unwrap().n_done, 36);
    assert_eq!(refused.into_inner(), 36);
}

#[test]
fn another_plan_is_refused_with_what_differs_and_inputs_may_have_moved() {
    let dir = tempfile::tempdir().unwrap();
    let input = |path: &str, sha256: &str| crate::manifest::InputFile {
        path: path.into(),
        bytes: 3,
        sha256: sha256.into(),
    };
    let with = |change: &dyn Fn(&mut Plan)| {
        let mut plan = plan();
        plan.inputs = vec![input("here/cells.h5ad", "aa")];
        change(&mut plan);
        Grid::new(plan.clone(), vec![dataset("blood", 40, &plan.seeds)]).unwrap()
    };
    assert_eq!(run(&with(&|_| ()), dir.path(), 1).unwrap().n_done, 18);
    let moved = with(&|plan| plan.inputs = vec![input("there/cells.h5ad", "aa")]);
    assert_eq!(run(&moved, dir.path(), 1).unwrap().n_kept, 18);

    let refused = |grid: Grid| {
        let error = run(&grid, dir.path(), 1).unwrap_err();
        assert!(error.help().is_some());
        error.to_string()
    };
    let genes = refused(with(&|plan| plan.parameter("n_genes", 500)));
    assert!(genes.ends_with("parameters.n_genes is 2000 there and 500 here"), "{genes}");
    let model = refused(with(&|plan| plan.models[1].parameters = serde_json::json!({"every": 6})));
    assert!(model.ends_with("models.wrong every 5.parameters.every is 5 there and 6 here"), "{model}");
    let file = refused(with(&|plan| plan.inputs = vec![input("here/cells.h5ad", "bb")]));
    assert!(file.contains("\"aa\"") && file.contains("\"bb\""), "{file}");
    let labels = Grid::new(plan(), vec![dataset("blood", 44, &[1, 2])]).unwrap();
    assert!(refused(labels).contains("datasets.blood.n_cells is 40 there and 44 here"));
    let version = refused(with(&|plan| drop(plan.crates.insert("sc-eval".into(), "0.0.9".into()))));
    assert!(version.contains("crates.sc-eval"), "{version}");
}

#[test]
fn plans_that_make_no_grid_are_refused() {
    let refused = |change: &dyn Fn(&mut Plan, &mut Dataset)| {
        let (mut plan, mut data) = (plan(), dataset("blood", 40, &[1, 2]));
        change(&mut plan, &mut data);
        Grid::new(plan, vec![data]).unwrap_err().to_string()
    };
    assert_eq!(refused(&|plan, _| plan.models.clear()), "the list of models is empty");
    let twice = refused(&|plan, _| plan.models[0].name = "=T".into());
    assert_eq!(twice, "`models` is \"=T\", expected names that are not empty, each once");
    assert_eq!(refused(&|plan, _| plan.seeds.push(3)), "the list of folds by seed has 2 entries, expected 3");
    assert_eq!(
        refused(&|_, data| drop(data.cells.pop())),
        "the list of cell names has 39 entries, expected 40"
    );
    assert_eq!(
        refused(&|_, data| drop(data.splits[1].pop())),
        "the list of folds of a seed has 2 entries, expected 3"
    );
    let leak = refused(&|_, data| {
        let cell = data.splits[0][0].test[0];
        data.splits[0][0].train.push(cell);
    });
    assert!(leak.contains("fold 0"), "{leak}");
    let dir = tempfile::tempdir().unwrap();
    let error = run(&grid(), dir.path(), 0).unwrap_err();
    assert_eq!(error.to_string(), "`jobs` is 0, expected at least 1");
}

#[test]
fn clearing_removes_the_grid_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    clear(dir.path()).unwrap();
    let grid = grid();
    assert_eq!(run(&grid, dir.path(), 2).unwrap().n_done, 36);
    merge(dir.path(), false).unwrap().write(dir.path()).unwrap();
    fs::write(dir.path().join("cells/blood/right/notes.txt"), "mine").unwrap();
    fs::write(dir.path().join("paper.pdf"), "mine").unwrap();
    clear(dir.path()).unwrap();
    let left: Vec<String> = contents(dir.path()).into_keys().collect();
    assert_eq!(left, [".lock", "cells/blood/right/notes.txt", "paper.pdf"]);
    assert_eq!(run(&grid, dir.path(), 2).unwrap().n_done, 36);
}
