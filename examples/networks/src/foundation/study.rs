//! The run: cells, embeddings, what is fitted on them, the report.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Instant, SystemTime};

use anyhow::Result;
use sc_eval::Manifest;
use sc_eval::grid::{self, Dataset, Event, Grid, ModelPlan, Outcome, Plan, merge};
use sc_io::h5ad::backed::Backed;
use sc_prep::LogNormalized;
use serde_json::{Value, json};

use super::away::{Asker, Away, Learnt, Question, score};
use super::choice::Choice;
use super::embeddings::Embedded;
use super::maps::maps;
use super::methods::Method;
use super::models::{Model, embed};
use super::prepared::{Prepared, Sets};
use super::published::Published;
use super::sections::Findings;
use super::tuned::Tuner;
use super::tuning::{Trainee, Tuning};
use super::{Protocol, Settings};
use sc_examples::cells::Cells;
use sc_examples::fold::Failure;
use sc_examples::progress::{bar, say};
use sc_examples::record::{DatasetRecord, Record};
use sc_examples::study::{check_folder, ended, grid_at_hand};

/// Runs all of it and returns the table that compares the models, and the page.
///
/// # Errors
/// As the steps.
pub fn run(settings: &Settings) -> Result<(String, PathBuf)> {
    let (started, clock) = (SystemTime::now(), Instant::now());
    // Embeddings are there before there is a grid.
    let begun = settings.resume && settings.cache.is_dir();
    check_folder(&settings.out, settings.run.force || begun, settings.resume)?;
    settings.run.set_threads()?;
    let mut cells = Cells::load(&settings.cells)?;
    let x = cells.log_normalized()?;
    let published = match settings.protocol {
        Protocol::Corrected => None,
        Protocol::AsPublished => Some(published(&mut cells, &x, settings)?),
    };
    let sets =
        settings.seeds.iter().map(|&seed| Ok((seed, Sets::new(&cells.labels, settings.protocol, seed)?)));
    let sets: BTreeMap<u64, Sets> = sets.collect::<Result<_>>()?;
    let mut durations = vec![("read".to_owned(), clock.elapsed())];

    let file = settings.away.as_ref().map(|away| Backed::open(&away.path)).transpose()?;
    let opened = settings.away.as_ref().zip(file.as_ref());
    let away =
        opened.map(|(away, file)| Away::open(file, away, &cells, (&x, &sets), settings)).transpose()?;
    let models = embed(&cells, published.as_ref(), &sets, away.as_ref(), settings)?;
    for model in &models {
        durations.push((format!("embed: {}", model.name), model.spent()));
    }
    let tunings: Vec<Vec<Tuning>> = models.iter().map(|model| model.tunings.clone()).collect();
    let methods = Method::all(&tunings, &settings.heads);
    let mut manifest = settings.run.manifest("foundation_models", &cells)?;
    for path in models.iter().flat_map(|model| &model.files) {
        if manifest.inputs.iter().all(|input| Path::new(&input.path) != path) {
            manifest.input(path)?;
        }
    }
    manifest.started(started);
    let grid = grid(&cells, &sets, &models, &methods, &manifest, settings)?;
    // The plan is that of the figures at home: a finished run may be asked about any number of other files.
    manifest.inputs.extend(away.iter().flat_map(|away| away.inputs.iter().cloned()));
    let plan = grid.plan().sha256();
    let asker = |away| Asker::new(away, (&models, &methods), &plan, cells.labels.n_classes(), settings);
    let asker = away.as_ref().map(asker);
    let fitting = Instant::now();
    let outcome = fit(&grid, &cells, &x, &sets, (&models, &methods), asker.as_ref(), settings)?;
    ended(grid.plan(), outcome)?;
    durations.push(("fit".to_owned(), fitting.elapsed()));

    let findings = Findings { cells: &cells, models: &models, methods: &methods, published, settings };
    manifest.parameters = findings.parameters();
    manifest.parameters.extend(away.iter().flat_map(|away| away.parameters(settings)));
    manifest.durations_seconds =
        durations.iter().map(|(step, took)| (step.clone(), took.as_secs_f64())).collect();
    let record = Record {
        plan_sha256: grid.plan().sha256(),
        protocol: findings.protocol().into_iter().chain(away.iter().map(Away::protocol)).collect(),
        datasets: vec![DatasetRecord {
            notes: findings.notes().into_iter().chain(away.iter().flat_map(Away::notes)).collect(),
            manifest,
        }],
    };
    record.write(&settings.out)?;
    let maps = maps(&x, &record, (&models, &methods), settings)?;
    let merged = merge(&settings.out, false)?;
    merged.write(&settings.out)?;
    let choices = |model: usize| {
        let of_seed = |&seed: &u64| Some((seed, Choice::read(&settings.out, model, seed)?));
        settings.seeds.iter().filter_map(of_seed).collect::<Vec<_>>()
    };
    let choices: Vec<Vec<(u64, Choice)>> = (0..methods.len()).map(choices).collect();
    let report = record.report(&merged, &merged.datasets[0], 0, record.map(&settings.out, 0));
    let abroad = asker.as_ref().map(|asker| score(asker, &merged.datasets[0])).transpose()?;
    findings.write(report, &merged.datasets[0], &choices, &maps, abroad.as_ref())
}

/// Labels and input as published, for which `--force` is needed.
fn published(cells: &mut Cells, x: &LogNormalized, settings: &Settings) -> Result<Published> {
    let made = Published::make(cells, x, &settings.fold)?;
    if let Err(error) = made.check(cells) {
        if !settings.run.force {
            return Err(error);
        }
        say(
            "warning: the tokenisers are given scaled values, which are no counts; the report says what is wrong with that",
        );
    }
    cells.labels = made.labels.clone();
    cells.label_column = "clusters named by marker genes".to_owned();
    Ok(made)
}

/// The plan of what is fitted.
fn grid(
    cells: &Cells,
    sets: &BTreeMap<u64, Sets>,
    models: &[Model],
    methods: &[Method],
    manifest: &Manifest,
    settings: &Settings,
) -> Result<Grid> {
    let names: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
    let mut plan = Plan::new("foundation_models");
    for name in ["sc-fm", "sc-io", "sc-prep"] {
        // All crates of the workspace have one version.
        plan.crates.insert(name.to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    }
    plan.seeds.clone_from(&settings.seeds);
    plan.inputs.clone_from(&manifest.inputs);
    plan.parameter("protocol", format!("{:?}", settings.protocol));
    plan.parameter("n_genes", settings.fold.genes.n_top_genes);
    plan.parameter("pca_components", settings.fold.n_components);
    for method in methods {
        let mut parameters = json!({ "fit": method.parameters() });
        if let Method::Tuned { source, tuning } = method {
            parameters["fit"] = tuned_plan(&models[*source], *tuning, settings);
        }
        if let Some(source) = method.source() {
            let model = &models[source];
            parameters["mode"] = model.of(0).mode.as_str().into();
            parameters["layers"] = model.of(0).layers.iter().map(|(layer, _)| layer.as_str()).collect();
            parameters["embeddings"] = model.embedded.iter().map(|embedded| embedded.key.as_str()).collect();
        }
        plan.models.push(ModelPlan { name: method.name(&names), parameters });
    }
    let dataset = Dataset {
        name: cells.dataset.clone(),
        cells: cells.names.clone(),
        labels: cells.labels.clone(),
        splits: settings.seeds.iter().map(|seed| vec![sets[seed].split()]).collect(),
    };
    Ok(Grid::new(plan, vec![dataset])?)
}

/// What a training is given, for the plan.
fn tuned_plan(model: &Model, tuning: Tuning, settings: &Settings) -> Value {
    let Some(trainee) = model.trainee(0) else { return Value::Null };
    let rates = settings.tuning.rates(tuning, trainee.small);
    let params = rates.iter().map(|&rate| {
        // The seed of a training is that of the run, which the plan has.
        let params = settings.tuning.params(tuning, rate, trainee, 0);
        json!({
            "epochs": params.train.epochs,
            "batch_size": params.train.batch_size,
            "schedule": format!("{:?}", params.train.schedule),
            "optimizer": format!("{:?}", params.train.optimizer),
            "method": format!("{:?}", params.method),
        })
    });
    params.collect()
}

/// Fits what is missing.
fn fit(
    grid: &Grid,
    cells: &Cells,
    x: &LogNormalized,
    sets: &BTreeMap<u64, Sets>,
    (models, methods): (&[Model], &[Method]),
    asker: Option<&Asker<'_>>,
    settings: &Settings,
) -> Result<Outcome> {
    if settings.run.force && grid_at_hand(&settings.out) {
        grid::clear(&settings.out)?;
        Asker::clear(&settings.out)?;
    }
    let bar = bar(grid.plan().n_cells());
    let written: Mutex<Result<()>> = Mutex::new(Ok(()));
    let tuner = Tuner {
        settings: &settings.tuning,
        labels: &cells.labels,
        names: models.iter().map(|model| model.name.as_str()).collect(),
        out: &settings.out,
        bar: &bar,
        map_seed: settings.map.then_some(settings.seeds[0]),
    };
    let prepare = |seed: u64| {
        let place = settings.seeds.iter().position(|&other| other == seed).unwrap_or(0);
        let embedded: Vec<&Embedded> = models.iter().map(|model| model.of(place)).collect();
        let trainees: Vec<Option<&Trainee>> = models.iter().map(|model| model.trainee(place)).collect();
        Prepared::new(&sets[&seed], x, &settings.fold, &embedded, trainees)
    };
    let run = |prepared: &Prepared<'_>, method: usize, seed: u64| {
        let ask = |learnt: &Learnt<'_>| match asker {
            Some(asker) => asker.ask(learnt, &Question { method, seed, prepared, tuner: &tuner, bar: &bar }),
            None => Ok(()),
        };
        let (output, choice) = methods[method].run(prepared, &cells.labels, seed, &tuner, &ask)?;
        if let (Err(error), Ok(mut written)) = (choice.write(&settings.out, method, seed), written.lock()) {
            *written = Err(error);
        }
        Ok::<_, Failure>(output)
    };
    let outcome = grid.run(
        &settings.out,
        1,
        |group| prepare(group.seed),
        |prepared, group, model| run(prepared, model, group.seed),
        |event| match event {
            Event::Start { n_kept, n_missing } => {
                if n_kept > 0 {
                    say(&format!("{n_kept} results are there, {n_missing} are missing"));
                }
                bar.set_position(n_kept as u64);
            }
            Event::Damaged(error) => say(&format!("made again: {error}")),
            Event::Preparing(group) => bar.set_message(format!("seed {}: genes", group.seed)),
            Event::Evaluating(key) => bar.set_message(key.words(grid.plan())),
            Event::Done(_) | Event::Failed(_) => bar.inc(1),
            _ => {}
        },
    );
    // What was fitted by a run that did not know the other file is fitted again, to the same answers at home.
    if let (Some(asker), Ok(Outcome { failed, .. })) = (asker, &outcome)
        && failed.is_empty()
    {
        for &seed in &settings.seeds {
            let missing = asker.missing(seed);
            if missing.is_empty() {
                continue;
            }
            let n = missing.len();
            let name = &asker.away().name;
            say(&format!("seed {seed}: {n} methods were not asked about {name} and are fitted again"));
            let prepared = prepare(seed).map_err(anyhow::Error::from_boxed)?;
            for method in missing {
                run(&prepared, method, seed).map_err(anyhow::Error::from_boxed)?;
            }
        }
    }
    bar.finish_and_clear();
    // Empty unless a training was cut off.
    let _ = std::fs::remove_dir(settings.out.join("training").join("state"));
    written.into_inner().unwrap_or(Ok(()))?;
    Ok(outcome?)
}
