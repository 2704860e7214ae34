//! The run: cells, tasks, models, their answers, the report.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use anyhow::{Context, Result, bail};
use sc_eval::split::{Size, StratifiedShuffleSplit};
use sc_examples::cells::Cells;
use sc_examples::end::Usage;
use sc_examples::progress::{bar, say};
use sc_llm::annotate::{AnnotateParams, Annotation, Annotator, Item};
use sc_llm::answer::{Answer, Form, Reason};
use sc_llm::decode::generate::GenerateParams;
use serde_json::json;

use super::args::{Decoding, LlmArgs, TaskName};
use super::baselines::baselines;
use super::models::Asker;
use super::records::{Line, Records};
use super::report::Findings;
use super::scores::Row;
use super::tasks::{Asked, Task};

/// Runs all of it; returns the comparison as text, and the page.
///
/// # Errors
/// As the steps.
pub fn run(args: &LlmArgs) -> Result<(String, PathBuf)> {
    let (started, clock) = (SystemTime::now(), Instant::now());
    let out = &args.out;
    let begun = args.resume && out.join("plan.json").is_file();
    sc_eval::report::check_folder(out, args.run.force || begun)?;
    args.run.set_threads()?;
    check(args)?;
    let cells = Cells::load(&args.cells)?;
    let normalized = cells.log_normalized()?;
    let rule = StratifiedShuffleSplit {
        test_size: Size::Share(0.2),
        seed: args.run.seed,
        ..StratifiedShuffleSplit::default()
    };
    let mut split = rule.split(&cells.labels)?.remove(0);
    if let Some(most) = args.max_test.filter(|most| *most < split.test.len()) {
        let labels: Vec<&str> = split.test.iter().map(|&row| cells.labels.name(row)).collect();
        let drawn = sc_examples::subset::stratified(&labels, most, args.run.seed);
        split.test = drawn.into_iter().map(|place| split.test[place]).collect();
    }
    let mut manifest = args.run.manifest("llm_benchmark", &cells)?;
    manifest.started(started);
    for named in &args.model {
        let config = named.folder.join("config.json");
        if config.is_file() {
            manifest.input(&config)?;
        }
    }
    let inputs: Vec<_> = manifest.inputs.iter().map(|input| json!(input)).collect();
    let mut plan = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "dataset": cells.dataset, "label": cells.label_column, "inputs": inputs,
        "models": args.model.iter().map(|named| [&named.name, &named.folder.display().to_string()].map(String::clone))
            .collect::<Vec<_>>(),
        "tissue": args.tissue, "species": args.species, "n_genes": args.n_genes, "n_markers": args.n_markers,
        "n_test": split.test.len(), "max_new_tokens": args.max_new_tokens, "epochs": args.epochs,
        "calibrate": args.calibrate, "seed": args.run.seed,
    });
    plan.sort_all_objects();
    keep_plan(args, begun, &plan)?;
    let mut records = Records::open(&out.join("records.jsonl"), begun)?;
    let askers: Vec<Asker> = args.model.iter().map(Asker::open).collect::<Result<_>>()?;

    let mut findings = Findings::new(&cells, args, &split);
    let mut done: Vec<TaskName> = Vec::new();
    for &name in &args.tasks {
        if done.contains(&name) {
            continue;
        }
        done.push(name);
        let task = Task::new(name, &cells, normalized.csr(), &split, args)?;
        if task.test.is_empty() {
            bail!(Usage(format!("task {} has nothing to ask: there are too few test cells", name.word())));
        }
        let mut rows = baselines(&task, args.run.seed)?;
        let disguised = task.disguised(&cells.genes, args.run.seed)?;
        let small = match askers.is_empty() {
            true => Some(Asker::train(&task, args, &out.join("models").join(name.word()))?),
            false => None,
        };
        for asker in askers.iter().chain(&small) {
            rows.extend(ask(asker, &task, disguised.as_deref(), args, &mut records)?);
        }
        findings.tasks.push((task, rows));
    }
    manifest.duration("all", clock.elapsed());
    findings.write(manifest, &records)
}

/// Every way of decoding, and the last once more with shuffled names.
fn ask(
    asker: &Asker,
    task: &Task,
    disguised: Option<&[Asked]>,
    args: &LlmArgs,
    records: &mut Records,
) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for &decoding in &args.decoding {
        rows.push(row(asker, task, (&task.test, &asker.name), decoding, args, records)?);
    }
    if let Some((items, &decoding)) = disguised.zip(args.decoding.last()) {
        let name = format!("{}, shuffled names", asker.name);
        rows.push(row(asker, task, (items, &name), decoding, args, records)?);
    }
    Ok(rows)
}

/// What a model answers in one way, as far as it is not on record.
fn row(
    asker: &Asker,
    task: &Task,
    (items, method): (&[Asked], &str),
    decoding: Decoding,
    args: &LlmArgs,
    records: &mut Records,
) -> Result<Row> {
    let (word, way) = (task.name.word(), sc_llm::annotate::Decoding::from(decoding).name());
    let (prompts, labels, nothing) = asker.prompts(task, items, args)?;
    let left: Vec<(&Asked, Item)> = items
        .iter()
        .zip(prompts)
        .filter(|(asked, _)| records.get(word, method, way, &asked.id).is_none())
        .map(|(asked, fitted)| (asked, Item { id: asked.id.clone(), tokens: fitted.ids }))
        .collect();
    let params = AnnotateParams {
        decoding: decoding.into(),
        generate: GenerateParams { max_new_tokens: args.max_new_tokens, ..GenerateParams::default() },
        ..AnnotateParams::default()
    };
    let names: Vec<[&str; 1]> = task.labels.iter().map(|label| [label.as_str()]).collect();
    let mut annotator = Annotator::new(&asker.model, &asker.tokenizer, &names, &labels, params)?;
    if args.calibrate && decoding == Decoding::Posterior {
        annotator = annotator.without_prior(nothing.ids)?;
    }
    let steps = bar(left.len());
    steps.set_message(format!("{word}: {method}, {way}"));
    let questions: Vec<Item> = left.iter().map(|(_, item)| item.clone()).collect();
    let mut failure = None;
    annotator.run(&questions, &mut |said| {
        steps.inc(1);
        let truth = &task.labels[left[said.item].0.truth];
        match records.add(line(word, method, way, truth, said, &task.labels)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    steps.finish_and_clear();
    if let Some(failure) = failure {
        return Err(failure);
    }
    let places: BTreeMap<&str, usize> = task.labels.iter().map(String::as_str).zip(0..).collect();
    let (mut answers, mut n_tokens, mut n_shared, mut seconds) = (Vec::new(), 0, 0, 0.0);
    for asked in items {
        let line = records.get(word, method, way, &asked.id).context("an answer is not on record")?;
        answers.push(line.label.as_deref().and_then(|label| places.get(label).copied()));
        n_tokens += line.n_prompt - line.n_shared.min(line.n_prompt) + line.n_generated;
        n_shared = n_shared.max(line.n_shared);
        seconds += line.seconds;
    }
    let row =
        Row { decoding: way.to_owned(), n_tokens: n_tokens + n_shared, ..Row::new(task, method, answers) };
    let row = row.took(seconds);
    let scores = row.scores()?;
    say(&format!(
        "{word}: {method}, {way}: accuracy {:.3}, {:.0} % labels",
        scores.accuracy,
        100.0 * scores.compliance
    ));
    Ok(row)
}

fn line(task: &str, method: &str, way: &str, truth: &str, said: &Annotation, labels: &[String]) -> Line {
    let outcome = match said.answer {
        Answer::Label { form: Form::Exact, .. } => "exact",
        Answer::Label { form: Form::Folded, .. } => "folded",
        Answer::Label { form: Form::Json, .. } => "json",
        Answer::Unparseable(Reason::Empty) => "empty",
        Answer::Unparseable(Reason::NotALabel) => "not a label",
        Answer::Unparseable(Reason::Ambiguous) => "ambiguous",
        Answer::Unparseable(Reason::InvalidJson) => "invalid json",
        Answer::Unparseable(Reason::NoCellType) => "no cell_type",
    };
    Line {
        task: task.to_owned(),
        method: method.to_owned(),
        decoding: way.to_owned(),
        id: said.id.clone(),
        truth: truth.to_owned(),
        label: said.label().map(|label| labels[label].clone()),
        outcome: outcome.to_owned(),
        text: said.text.clone(),
        probability: said.posterior.as_ref().zip(said.label()).map(|(all, label)| all.probability[label]),
        n_prompt: said.n_prompt,
        n_shared: said.n_shared,
        n_generated: said.n_generated,
        seconds: said.seconds,
    }
}

/// Names of models and ways of decoding, each once.
fn check(args: &LlmArgs) -> Result<()> {
    let names: Vec<&str> = args.model.iter().map(|named| named.name.as_str()).collect();
    for (place, name) in names.iter().enumerate() {
        if names[..place].contains(name) {
            bail!(Usage(format!("two models are named {name:?}: name one of them, NAME=FOLDER")));
        }
    }
    for (place, decoding) in args.decoding.iter().enumerate() {
        if args.decoding[..place].contains(decoding) {
            bail!(Usage("--decoding names one way twice".to_owned()));
        }
    }
    Ok(())
}

/// Writes the plan, or compares it with that of the run that is gone on with.
fn keep_plan(args: &LlmArgs, begun: bool, plan: &serde_json::Value) -> Result<()> {
    let path = args.out.join("plan.json");
    if begun {
        let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let before: serde_json::Value =
            serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
        if before != *plan {
            let changed =
                plan.as_object().into_iter().flatten().find(|(name, value)| before[*name] != **value);
            let what = changed.map_or("something", |(name, _)| name.as_str());
            let text = format!("{} is of a run with another {what}", path.display());
            bail!(Usage(format!(
                "{text}: give the same flags, name another --out, or start anew with --force"
            )));
        }
        return Ok(());
    }
    let models = args.out.join("models");
    if models.is_dir() {
        std::fs::remove_dir_all(&models).with_context(|| format!("cannot remove {}", models.display()))?;
    }
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot create {}", args.out.display()))?;
    let text = format!("{plan:#}\n");
    Ok(sc_io::atomic::write_aside(&path, true, |file| file.write_all(text.as_bytes()))?)
}
