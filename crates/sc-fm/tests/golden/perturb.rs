//! In-silico perturbation beside Geneformer's `InSilicoPerturber`.

mod stats;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use ndarray::Array2;
use sc_fm::embed::StateEmbedding;
use sc_fm::models::geneformer::{GeneformerConfig, InputFormat, Pooling};
use sc_fm::models::{CellEncoder, Geneformer, Layer};
use sc_fm::nn::gemm::Precision;
use sc_fm::perturb::{Genes, GoalStates, PerturbCells, PerturbParams, Perturbation, Perturber, Table};
use sc_fm::tokenize::vocabulary::Vocabulary;
use serde_json::Value;

use crate::models::compare::{self, TOLERANCE};
use crate::support;

/// The id that the reference's dictionary gives a gene.
fn id(token: u32) -> String {
    format!("ENSG{token:011}")
}

fn model(folder: &Path, format: InputFormat) -> Geneformer {
    let config = GeneformerConfig::read(&folder.join("config.json")).unwrap();
    let mut weights = compare::weights(&folder.join("model.safetensors"));
    Geneformer::from_weights(config, format, &mut weights, Precision::default()).unwrap()
}

fn vocabulary(n_tokens: usize, format: InputFormat) -> Vocabulary {
    let name = |token: u32| match (token, format) {
        (0, _) => "<pad>".to_owned(),
        (1, _) => "<mask>".to_owned(),
        (token, InputFormat::V2 { cls, .. }) if token == cls => "<cls>".to_owned(),
        (token, InputFormat::V2 { eos, .. }) if token == eos => "<eos>".to_owned(),
        (token, _) => id(token),
    };
    let tokens = (0..n_tokens as u32).map(|token| (name(token), token));
    Vocabulary::new(tokens, (0..n_tokens as u32).map(|token| (name(token), 1.0))).unwrap()
}

/// A set of plans for one model, cells longest first, as the reference's results are.
struct Set {
    name: String,
    model: Geneformer,
    vocabulary: Vocabulary,
    cells: Vec<Vec<u32>>,
    labels: Vec<Option<String>>,
}

impl Set {
    fn open(root: &Path, plans: &Value, name: &str) -> Self {
        let set = &plans[name];
        let mut cells: Vec<Vec<u32>> = serde_json::from_value(set["cells"].clone()).unwrap();
        let labels: Vec<String> = serde_json::from_value(set["state"].clone()).unwrap();
        let sorted: Vec<Vec<u32>> = serde_json::from_value(set["sorted_input_ids"].clone()).unwrap();
        let label_of: BTreeMap<&Vec<u32>, &String> = cells.iter().zip(&labels).collect();
        let labels = sorted.iter().map(|cell| Some(label_of[cell].clone())).collect();
        cells = sorted;
        let is_v1 = set["order"].is_string() && name == "V1";
        // Every cell of V2 begins and ends with the special tokens.
        let ends = (cells[0][0], cells[0][cells[0].len() - 1]);
        let format = if is_v1 { InputFormat::V1 } else { InputFormat::V2 { cls: ends.0, eos: ends.1 } };
        let model = model(&root.join(set["model"].as_str().unwrap()), format);
        let vocabulary = vocabulary(model.config().vocab_size, format);
        Self { name: name.to_owned(), model, vocabulary, cells, labels }
    }

    /// The means of the states, as the reference's extractor gives them for the default mode.
    fn states(&self, pooling: Pooling, layer: Layer) -> StateEmbedding {
        let cells: Vec<&[u32]> = self.cells.iter().map(Vec::as_slice).collect();
        let rows = self.model.encoder(pooling, layer).unwrap().encode(&cells).unwrap();
        let rows = rows.to_vec2::<f32>().unwrap();
        let mut labels: Vec<String> = self.labels.iter().flatten().cloned().collect();
        labels.sort();
        labels.dedup();
        let mut values = Array2::zeros((labels.len(), rows[0].len()));
        let mut n_cells = vec![0; labels.len()];
        for (row, label) in rows.iter().zip(&self.labels) {
            let state = labels.iter().position(|name| Some(name) == label.as_ref()).unwrap();
            n_cells[state] += 1;
            row.iter().enumerate().for_each(|(j, value)| values[[state, j]] += value);
        }
        for (mut row, &n) in values.rows_mut().into_iter().zip(&n_cells) {
            row /= n as f32;
        }
        StateEmbedding { labels, n_cells, values }
    }
}

/// A plan's arguments as ours.
fn params(args: &Value) -> (PerturbParams, Option<Vec<String>>) {
    let text = |name: &str| args[name].as_str().map(str::to_owned);
    let mode = text("emb_mode").unwrap();
    let genes = match (&args["genes_to_perturb"], text("anchor_gene")) {
        (_, Some(anchor)) => Genes::Anchored(anchor),
        (Value::Array(genes), _) => {
            Genes::Together(genes.iter().map(|gene| gene.as_str().unwrap().to_owned()).collect())
        }
        _ => Genes::Each,
    };
    let params = PerturbParams {
        perturbation: match text("perturb_type").as_deref() {
            Some("overexpress") => Perturbation::Overexpress,
            _ => Perturbation::Delete,
        },
        genes,
        pooling: Some(if mode.starts_with("cls") { Pooling::Cls } else { Pooling::Cell }),
        layer: match args["emb_layer"].as_i64() {
            Some(0) => Layer::Last,
            _ => Layer::SecondToLast,
        },
        affected: mode.ends_with("_and_gene"),
        ..PerturbParams::default()
    };
    let states = &args["cell_states_to_model"];
    let label = |name: &str| states[name].as_str().unwrap().to_owned();
    let states = states.is_object().then(|| {
        let alternatives = states["alt_states"].as_array().unwrap().iter();
        let alternatives = alternatives.map(|label| label.as_str().unwrap().to_owned());
        [label("start_state"), label("goal_state")].into_iter().chain(alternatives).collect()
    });
    (params, states)
}

type Found = BTreeMap<(String, String), Vec<f32>>;

/// The reference's values by state and key, the files of its batches one after another in the order of cells.
fn expected(files: &serde_json::Map<String, Value>) -> Found {
    let number = |text: &str| text.parse::<i64>().unwrap();
    let place = |name: &str| {
        let Some((before, after)) = name.split_once("batch") else { return (0, 0) };
        let cell = before.rsplit('_').next().unwrap();
        (number(cell), number(after.split('_').next().unwrap()))
    };
    let mut order: Vec<_> = files.iter().collect();
    order.sort_by_key(|(name, _)| place(name));
    let mut found = Found::new();
    let mut add = |state: &str, values: &serde_json::Map<String, Value>| {
        for (key, values) in values {
            let values = values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32);
            found.entry((state.to_owned(), key.clone())).or_default().extend(values);
        }
    };
    for (_, file) in order {
        let file = file.as_object().unwrap();
        match file.values().any(Value::is_object) {
            true => file.iter().for_each(|(state, values)| add(state, values.as_object().unwrap())),
            false => add("", file),
        }
    }
    found
}

/// A table in the same form.
fn keyed(table: &Table, token: impl Fn(&str) -> String) -> Found {
    let key = |gene: usize| table.genes[gene].id.split('+').map(&token).collect::<Vec<_>>().join("+");
    let mut found = Found::new();
    for row in &table.rows {
        let affected = row.affected.map_or("cell_emb".to_owned(), key);
        let key = format!("{}|{affected}", key(row.gene));
        match table.states.is_empty() {
            true => found.entry((String::new(), key)).or_default().push(row.cosine),
            false => {
                for (state, &shift) in table.states.iter().zip(&row.shifts) {
                    found.entry((state.clone(), key.clone())).or_default().push(shift);
                }
            }
        }
    }
    found
}

fn run(set: &Set, args: &Value) -> Table {
    let (params, states) = params(args);
    let perturber = Perturber::new(&set.model, &set.vocabulary, &params).unwrap();
    let cells = PerturbCells::new(&set.cells);
    let embeddings = set.states(perturber.pooling(), params.layer);
    let states = states.unwrap_or_default();
    let names: Vec<&str> = states.iter().map(String::as_str).collect();
    let states = (!names.is_empty()).then(|| GoalStates {
        labels: &set.labels,
        start: names[0],
        goal: names[1],
        alternatives: &names[2..],
        embeddings: &embeddings,
    });
    perturber.run(&cells, states.as_ref(), &mut |_| ControlFlow::Continue(())).unwrap().0
}

#[test]
fn every_plan_of_the_reference() {
    let (mut n_plans, mut n_values) = (0, 0);
    for root in [Some(support::kept()), support::fixtures()].into_iter().flatten() {
        let plans = compare::json(&root.join("geneformer_isp/isp.json"));
        let mut sets: BTreeMap<String, Set> = BTreeMap::new();
        for (plan, described) in plans["runs"].as_object().unwrap() {
            let (name, _) = plan.split_once('.').unwrap();
            let set = sets.entry(name.to_owned()).or_insert_with(|| Set::open(&root, &plans, name));
            let found =
                keyed(&run(set, &described["args"]), |id| set.vocabulary.token(id).unwrap().to_string());
            let expected = expected(described["files"].as_object().unwrap());
            let keys = |found: &Found| found.keys().cloned().collect::<Vec<_>>();
            assert_eq!(keys(&found), keys(&expected), "{plan}: keys");
            let mut largest = (0.0, None);
            for (key, values) in &expected {
                assert_eq!(found[key].len(), values.len(), "{plan}: cells of {key:?}");
                for (found, value) in found[key].iter().zip(values) {
                    let difference = (found - value).abs();
                    if difference.total_cmp(&largest.0).is_gt() {
                        largest = (difference, Some((key, *found, *value)));
                    }
                    n_values += 1;
                }
            }
            assert!(largest.0 <= TOLERANCE, "{plan} of {}: differs by {largest:?}", set.name);
            n_plans += 1;
        }
    }
    assert!(n_plans > 0 && n_values > 0);
}
