//! The run: cells, embeddings, what is fitted on them, the report.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use ndarray::{Array2, Axis};
use sc_eval::Manifest;
use sc_eval::grid::{self, Dataset, Event, Grid, ModelPlan, Outcome, Plan, merge};
use sc_fm::models::LoadOptions;
use sc_io::DataFrame;
use sc_prep::LogNormalized;
use serde_json::json;

use super::choice::Choice;
use super::embeddings::{Data, Embedded, identity};
use super::methods::Method;
use super::prepared::{Prepared, Sets};
use super::published::Published;
use super::sections::Findings;
use super::{Protocol, Settings, own_genes};
use sc_examples::cells::Cells;
use sc_examples::fold::Failure;
use sc_examples::map;
use sc_examples::progress::{bar, say, thousands};
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

    let models = embed(&cells, published.as_ref(), &sets, settings)?;
    for model in &models {
        durations.push((format!("embed: {}", model.name), model.spent()));
    }
    let methods = Method::all(models.len(), &settings.heads);
    let mut manifest = settings.run.manifest("foundation_models", &cells)?;
    for path in models.iter().flat_map(|model| &model.files) {
        if manifest.inputs.iter().all(|input| Path::new(&input.path) != path) {
            manifest.input(path)?;
        }
    }
    manifest.started(started);
    let grid = grid(&cells, &sets, &models, &methods, &manifest, settings)?;
    let fitting = Instant::now();
    let outcome = fit(&grid, &cells, &x, &sets, (&models, &methods), settings)?;
    ended(grid.plan(), outcome)?;
    durations.push(("fit".to_owned(), fitting.elapsed()));

    let findings = Findings { cells: &cells, models: &models, methods: &methods, published, settings };
    manifest.parameters = findings.parameters();
    manifest.durations_seconds =
        durations.iter().map(|(step, took)| (step.clone(), took.as_secs_f64())).collect();
    let record = Record {
        plan_sha256: grid.plan().sha256(),
        protocol: findings.protocol(),
        datasets: vec![DatasetRecord { notes: findings.notes(), manifest }],
    };
    record.write(&settings.out)?;
    let maps = maps(&x, &record, &models, settings)?;
    let merged = merge(&settings.out, false)?;
    merged.write(&settings.out)?;
    let choices = |model: usize| {
        let of_seed = |&seed: &u64| Some((seed, Choice::read(&settings.out, model, seed)?));
        settings.seeds.iter().filter_map(of_seed).collect::<Vec<_>>()
    };
    let choices: Vec<Vec<(u64, Choice)>> = (0..methods.len()).map(choices).collect();
    let report = record.report(&merged, &merged.datasets[0], 0, record.map(&settings.out, 0));
    findings.write(report, &merged.datasets[0], &choices, &maps)
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

/// A model and the cells as it sees them.
pub(super) struct Model {
    /// Its name in tables.
    pub(super) name: String,
    /// What it is.
    pub(super) words: String,
    /// What its weights are, for tables.
    pub(super) weights: String,
    /// The files that it was made of.
    files: Vec<PathBuf>,
    /// One for all seeds, or one for each.
    pub(super) embedded: Vec<Embedded>,
}

impl Model {
    /// The embeddings of the seed at that place.
    pub(super) fn of(&self, seed: usize) -> &Embedded {
        self.embedded.get(seed).unwrap_or(&self.embedded[0])
    }

    fn spent(&self) -> Duration {
        self.embedded.iter().map(|embedded| embedded.spent.0).sum()
    }
}

/// Every model's embeddings of all cells.
fn embed(
    cells: &Cells,
    published: Option<&Published>,
    sets: &BTreeMap<u64, Sets>,
    settings: &Settings,
) -> Result<Vec<Model>> {
    let bar = bar(cells.names.len());
    let mut all = None;
    let mut models = Vec::new();
    for source in &settings.sources {
        bar.set_message(format!("{}: loading", source.name));
        let load = LoadOptions { precision: settings.precision.gemm(), ..Default::default() };
        let named = source.name.clone();
        let model = match source.open(load)? {
            Some(model) => {
                let data = match published {
                    Some(made) => &Data::new(made.as_the_reference_sees_it(&model)?, made.var.clone())?,
                    None => match &all {
                        Some(data) => data,
                        None => all.insert(Data::new(cells.counts.clone(), cells.var.clone())?),
                    },
                };
                say(&format!("{named}: {}", model.report().to_string().trim_end().replace('\n', "\n  ")));
                let embedded = data.embed(source, &model, &identity(source)?, settings, &bar)?;
                let kind = model.kind();
                let words = match model.report().weights.n_parameters {
                    0 => kind.to_string(),
                    n => format!("{kind} of {} parameters", thousands(n)),
                };
                let weights = match (source.is_random(), model.report().releases.as_slice()) {
                    (true, _) => "random, not pretrained".to_owned(),
                    (false, []) => "as loaded, of no known release".to_owned(),
                    (false, names) => names.join(" or "),
                };
                let files = source.files(&model);
                Model { name: named, words, weights, files, embedded: vec![embedded] }
            }
            None => {
                let data = Data::new(cells.counts.clone(), DataFrame::new(cells.genes.clone()))?;
                let of_seed = |set: &Sets| {
                    let medians = own_genes::medians(&cells.counts, &cells.genes, &set.train);
                    let model = own_genes::model(&medians, settings.precision.gemm())?;
                    let identity = format!("{} {medians:?}", own_genes::WORDS);
                    data.embed(source, &model, &identity, settings, &bar)
                };
                let embedded =
                    settings.seeds.iter().map(|seed| of_seed(&sets[seed])).collect::<Result<_>>()?;
                Model {
                    name: named,
                    words: format!("Geneformer, {}", own_genes::WORDS),
                    weights: "random, not pretrained".to_owned(),
                    files: Vec::new(),
                    embedded,
                }
            }
        };
        models.push(model);
    }
    bar.finish_and_clear();
    Ok(models)
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
        if let Method::Embedded { source, .. } = method {
            let model = &models[*source];
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

/// Fits what is missing.
fn fit(
    grid: &Grid,
    cells: &Cells,
    x: &LogNormalized,
    sets: &BTreeMap<u64, Sets>,
    (models, methods): (&[Model], &[Method]),
    settings: &Settings,
) -> Result<Outcome> {
    if settings.run.force && grid_at_hand(&settings.out) {
        grid::clear(&settings.out)?;
    }
    let bar = bar(grid.plan().n_cells());
    let written: Mutex<Result<()>> = Mutex::new(Ok(()));
    let outcome = grid.run(
        &settings.out,
        1,
        |group| {
            let place = settings.seeds.iter().position(|&seed| seed == group.seed).unwrap_or(0);
            let embedded: Vec<&Embedded> = models.iter().map(|model| model.of(place)).collect();
            Prepared::new(&sets[&group.seed], x, &settings.fold, &embedded)
        },
        |prepared, group, model| {
            let (output, choice) = methods[model].run(prepared, &cells.labels, group.seed)?;
            if let (Err(error), Ok(mut written)) =
                (choice.write(&settings.out, model, group.seed), written.lock())
            {
                *written = Err(error);
            }
            Ok::<_, Failure>(output)
        },
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
    bar.finish_and_clear();
    written.into_inner().unwrap_or(Ok(()))?;
    Ok(outcome?)
}

/// A map of the cells by expression, which the record keeps, and one of each model's first embedding.
fn maps(
    x: &LogNormalized,
    record: &Record,
    models: &[Model],
    settings: &Settings,
) -> Result<Vec<Option<Array2<f32>>>> {
    if !settings.map {
        return Ok(vec![None; models.len()]);
    }
    let bar = bar(models.len() + 1);
    let seed = settings.run.seed;
    if record.map(&settings.out, 0).is_none()
        && let Some(points) =
            map::umap(x, &settings.fold.genes, seed, |step| bar.set_message(step.to_owned()))?
    {
        record.write_map(&settings.out, 0, &points)?;
    }
    bar.inc(1);
    let of_model = |model: &Model| {
        let (_, values) = &model.of(0).layers[0];
        let there: Vec<usize> = (0..values.nrows()).filter(|&cell| values[[cell, 0]].is_finite()).collect();
        if there.len() < 3 {
            return Ok(None);
        }
        let graph = map::graph(values.select(Axis(0), &there).view())?;
        let points = map::layout(&graph, seed, |step| bar.set_message(format!("{}: {step}", model.name)))?;
        // A cell without an embedding has no place.
        let mut all = Array2::from_elem((values.nrows(), 2), f32::NAN);
        for (&cell, point) in there.iter().zip(points.rows()) {
            all.row_mut(cell).assign(&point);
        }
        bar.inc(1);
        Ok(Some(all))
    };
    let maps = models.iter().map(of_model).collect();
    bar.finish_and_clear();
    maps
}
