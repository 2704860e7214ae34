//! The run: cells, tasks, models, their answers, the report.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use anyhow::{Context, Result, bail};
use sc_eval::split::{Size, StratifiedShuffleSplit};
use sc_examples::cells::Cells;
use sc_examples::end::Usage;
use sc_examples::progress::say;
use serde_json::json;

use super::args::{Decoding, LlmArgs, Named, TaskName};
use super::asking;
use super::baselines::baselines;
use super::models::Asker;
use super::records::Records;
use super::report::Findings;
use super::scores::Row;
use super::servers::{self, Purse};
use super::small;
use super::tasks::{Asked, Task};
use crate::lines::sweep;
use crate::small::NAME as SMALL;
use crate::weights;

/// Runs all of it; returns the comparison as text, and the page.
///
/// # Errors
/// As the steps.
pub fn run(args: &LlmArgs) -> Result<(String, PathBuf)> {
    let (started, clock) = (SystemTime::now(), Instant::now());
    let out = &args.out;
    let begun = args.resume && out.join("plan.json").is_file();
    if out.join("plan.json").is_file() && !args.resume && !args.run.force {
        let text = format!("{} holds a run of this program", out.display());
        bail!(Usage(format!(
            "{text}: pass --resume to go on with it, --force to begin anew, or name another --out"
        )));
    }
    if args.resume && !begun {
        // A run that was killed before it had a plan.
        sweep(out)?;
    }
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
    let split = rule.split(&cells.labels)?.remove(0);
    let mut asked = split.clone();
    if let Some(most) = args.max_test {
        let labels: Vec<&str> = split.test.iter().map(|&row| cells.labels.name(row)).collect();
        let drawn = sc_examples::subset::stratified(&labels, most, args.run.seed);
        asked.test = drawn.into_iter().map(|place| split.test[place]).collect();
    }
    let mut manifest = args.run.manifest("llm_benchmark", &cells)?;
    manifest.started(started);
    for named in &args.model {
        weights::files(&named.path)?.iter().try_for_each(|file| manifest.input(file))?;
    }
    let inputs: Vec<_> = manifest.inputs.iter().map(|input| json!(input)).collect();
    let models = args.model.iter().map(|named| json!([named.name, named.path.display().to_string()]));
    let servers = args.servers.endpoint.iter().map(|server| json!([server.name, server.model, server.base]));
    let mut plan = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "dataset": cells.dataset, "label": cells.label_column, "inputs": inputs,
        "models": models.collect::<Vec<_>>(), "endpoints": servers.collect::<Vec<_>>(),
        "small_decoder": args.trains_small(), "frame": args.frame, "precision": args.weights.words(),
        "tissue": args.tissue, "species": args.species, "n_genes": args.n_genes, "n_markers": args.n_markers,
        "resolution": args.resolution, "n_test": asked.test.len(), "max_new_tokens": args.max_new_tokens,
        "max_reply_tokens": args.servers.max_reply_tokens, "epochs": args.epochs,
        "calibrate": args.calibrate, "seed": args.run.seed,
    });
    plan.sort_all_objects();
    manifest.parameters = parameters(&plan);
    if begun {
        compare(&out.join("plan.json"), &plan)?;
    }
    let askers: Vec<Asker> =
        args.model.iter().map(|named| Asker::open(named, args.weights, args.frame)).collect::<Result<_>>()?;
    // Answers of another plan are forgotten before the plan is there: no run takes them for its own.
    let mut records = Records::open(&out.join("records.jsonl"), begun)?;
    if !begun {
        begin(out, &plan)?;
    }
    sweep(out)?;
    sweep(&out.join("answers"))?;

    let mut findings = Findings::new(&cells, args, &asked);
    findings.manners = askers.iter().map(|asker| (asker.name.clone(), asker.manner_words())).collect();
    let mut purse = Purse::new(args);
    let mut done: Vec<TaskName> = Vec::new();
    for &name in &args.tasks {
        if done.contains(&name) {
            continue;
        }
        done.push(name);
        // Clusters are few, whatever the number of their cells.
        let of = if name == TaskName::Markers { &split } else { &asked };
        let task = Task::new(name, &cells, &normalized, of, args)?;
        if task.test.is_empty() {
            bail!(Usage(format!("task {} has nothing to ask: there are too few test cells", name.word())));
        }
        let mut rows = baselines(&task, &normalized, of, args.run.seed)?;
        let disguised = task.disguised(&cells.genes, args.run.seed)?;
        let small = match args.trains_small() {
            true => Some(small::train(&task, args, &out.join("models").join(name.word()))?),
            false => None,
        };
        for asker in askers.iter().chain(&small) {
            let questions = Questions { task: &task, disguised: disguised.as_deref(), method: &asker.name };
            let ask = &mut |items: &[Asked], method: &str, decoding| {
                asking::row(asker, &task, (items, method), decoding, args, &mut records).map(Some)
            };
            rows.extend(questions.ask(&args.decoding, ask)?);
        }
        for server in &args.servers.endpoint {
            let questions = Questions { task: &task, disguised: disguised.as_deref(), method: &server.name };
            let ask = &mut |items: &[Asked], method: &str, decoding| {
                server.row(&task, (items, method), decoding, args, (&mut records, &mut purse))
            };
            rows.extend(questions.ask(&args.decoding, ask)?);
        }
        findings.tasks.push((task, rows));
    }
    findings.purse = purse;
    manifest.duration("all", clock.elapsed());
    findings.write(manifest)
}

/// The plan as the manifest names it; inputs stand apart there.
fn parameters(plan: &serde_json::Value) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let all = plan.as_object().into_iter().flatten();
    let own = all.filter(|(name, value)| {
        !["version", "dataset", "inputs"].contains(&name.as_str()) && !value.is_null()
    });
    own.map(|(name, value)| (name.clone(), text(value))).collect()
}

/// What one model is asked.
struct Questions<'a> {
    task: &'a Task,
    disguised: Option<&'a [Asked]>,
    method: &'a str,
}

/// What a model answers to items, under a name for tables, in one way; none for a way that it does not have.
type Ask<'a> = &'a mut dyn FnMut(&[Asked], &str, Decoding) -> Result<Option<Row>>;

impl Questions<'_> {
    /// Every way of decoding, and the last once more with shuffled names.
    fn ask(&self, decodings: &[Decoding], ask: Ask<'_>) -> Result<Vec<Row>> {
        let (mut rows, mut last) = (Vec::new(), None);
        for &decoding in decodings {
            if let Some(row) = ask(&self.task.test, self.method, decoding)? {
                self.tell(&row)?;
                rows.push(row);
                last = Some(decoding);
            }
        }
        if let Some((items, decoding)) = self.disguised.zip(last)
            && let Some(row) = ask(items, &format!("{}, shuffled names", self.method), decoding)?
        {
            self.tell(&row)?;
            rows.push(Row { is_disguised: true, ..row });
        }
        Ok(rows)
    }

    fn tell(&self, row: &Row) -> Result<()> {
        let scores = row.scores(self.task)?;
        let percent = 100.0 * scores.compliance;
        say(&format!("{}: {}: accuracy {:.3}, {percent:.0} % labels", row.task, row.name(), scores.accuracy));
        Ok(())
    }
}

/// What can be refused before any work: names that are there twice, folders that are not there, servers that cannot be
/// asked.
fn check(args: &LlmArgs) -> Result<()> {
    let folders = args.model.iter().map(|named| &named.name);
    let names: Vec<&String> =
        folders.chain(args.servers.endpoint.iter().map(|server| &server.name)).collect();
    for (place, name) in names.iter().enumerate() {
        if names[..place].contains(name) || (args.trains_small() && *name == SMALL) {
            bail!(Usage(format!(
                "two models are named {name:?}: name one of them, NAME=PATH or NAME=MODEL@URL"
            )));
        }
    }
    for (place, decoding) in args.decoding.iter().enumerate() {
        if args.decoding[..place].contains(decoding) {
            bail!(Usage("--decoding names one way twice".to_owned()));
        }
    }
    let needs_weights = args.decoding.iter().all(|decoding| decoding.needs_weights());
    if needs_weights && !args.servers.endpoint.is_empty() {
        let text = "--decoding posterior and template need the weights of a model, which a server does not show: add free, \
                    strict or constrained for the models of --endpoint";
        bail!(Usage(text.to_owned()));
    }
    args.model.iter().try_for_each(Named::check)?;
    args.servers.endpoint.iter().try_for_each(|server| server.check(args))?;
    servers::tell(args)
}

/// Compares the plan with that of the run that is gone on with.
fn compare(path: &Path, plan: &serde_json::Value) -> Result<()> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let before: serde_json::Value =
        serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
    if before != *plan {
        let changed = plan.as_object().into_iter().flatten().find(|(name, value)| before[*name] != **value);
        let what = changed.map_or("something", |(name, _)| name.as_str());
        let text = format!("{} is of a run with another {what}", path.display());
        bail!(Usage(format!("{text}: give the same flags, name another --out, or start anew with --force")));
    }
    Ok(())
}

/// Writes the plan of a new run. What was trained for another one goes; answers of servers stay, for each is kept under
/// everything that it depends on.
fn begin(out: &Path, plan: &serde_json::Value) -> Result<()> {
    let models = out.join("models");
    if models.is_dir() {
        std::fs::remove_dir_all(&models).with_context(|| format!("cannot remove {}", models.display()))?;
    }
    std::fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    let text = format!("{plan:#}\n");
    Ok(sc_io::atomic::write_aside(out.join("plan.json"), true, |file| file.write_all(text.as_bytes()))?)
}
