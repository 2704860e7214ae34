//! A grid of three models, two data sets and two seeds, run in every way that must not matter.

mod files;
mod runs;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::path::Path;

use ndarray::Array2;

use super::{Dataset, Event, Grid, Group, ModelPlan, Outcome, Plan};
use crate::protocol::FoldOutput;
use crate::split::StratifiedKFold;
use crate::{Labels, Prediction, Result};

const MODELS: [&str; 3] = ["right", "wrong every 5", "=T"];

fn dataset(name: &str, n_cells: usize, seeds: &[u64]) -> Dataset {
    let names: Vec<&str> = (0..n_cells).map(|cell| ["T", "B", "T", "NK"][cell % 4]).collect();
    let labels = Labels::new(&names).unwrap();
    let folds =
        |&seed: &u64| StratifiedKFold { n_splits: 3, seed, ..Default::default() }.split(&labels).unwrap();
    let splits = seeds.iter().map(folds).collect();
    let cells = (0..n_cells).map(|cell| format!("{name} {cell}")).collect();
    Dataset { name: name.into(), cells, labels, splits }
}

fn plan() -> Plan {
    let mut plan = Plan::new("test");
    plan.models = MODELS.map(ModelPlan::named).into();
    plan.models[1].parameters = serde_json::json!({"every": 5});
    plan.seeds = vec![1, 2];
    plan.parameter("n_genes", 2000);
    plan
}

fn grid() -> Grid {
    let plan = plan();
    let datasets = [("blood", 40), ("=lung", 24)].map(|(name, n)| dataset(name, n, &plan.seeds));
    Grid::new(plan, datasets.into()).unwrap()
}

/// What the models say: it depends on the cells alone.
fn answer(grid: &Grid, group: &Group<'_>, model: usize) -> FoldOutput {
    let labels = &grid.datasets()[group.dataset].labels;
    let n_classes = labels.n_classes() as u32;
    let code = |&cell: &usize| match model {
        0 => labels.codes()[cell],
        1 => (labels.codes()[cell] + u32::from(cell % 5 == 0)) % n_classes,
        _ => n_classes - 1,
    };
    let codes: Vec<u32> = group.split.test.iter().map(code).collect();
    let probabilities = (model < 2).then(|| {
        Array2::from_shape_fn((codes.len(), 3), |(row, class)| {
            if codes[row] == class as u32 { 0.7 } else { 0.15 + 1e-9 * row as f32 }
        })
    });
    FoldOutput { prediction: Prediction { codes, probabilities }, fit_seconds: 0.5, predict_seconds: 0.25 }
}

fn run(grid: &Grid, dir: &Path, jobs: usize) -> Result<Outcome> {
    run_watched(grid, dir, jobs, |_| ())
}

fn run_watched(grid: &Grid, dir: &Path, jobs: usize, watch: impl Fn(Event<'_>) + Sync) -> Result<Outcome> {
    let prepare = |_: &Group<'_>| Ok::<_, Infallible>(());
    grid.run(dir, jobs, prepare, |(), group, model| Ok(answer(grid, group, model)), watch)
}

/// Every file under `dir` that must be the same in every run: its path and content.
fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, dir: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            match path.is_dir() {
                true => walk(root, &path, found),
                false => drop(found.insert(name, fs::read(&path).unwrap())),
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(dir, dir, &mut found);
    found.retain(|name, _| !name.starts_with("times"));
    found
}
