//! Detection of unseen types against scikit-learn (`golden/protocol/PROVENANCE.md`).

use std::convert::Infallible;

use ndarray::Array2;
use sc_eval::Labels;
use sc_eval::protocol::anomaly::{entropy, free_energy, margin, max_probability};
use sc_eval::protocol::{AnomalyParams, anomaly};
use sc_eval::split::Split;
use sc_eval::statistics::BootstrapParams;
use serde_json::Value;

use crate::support::golden;

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|v| v.as_f64().expect("a number")).collect()
}

#[test]
fn detection_of_every_unseen_type_is_that_of_scikit_learn() {
    let golden = golden("protocol/protocol.json");
    let cases = golden["anomaly"].as_array().expect("a list");
    assert_eq!(cases.len(), 5);
    for case in cases {
        let names: Vec<String> = case["labels"].as_str().expect("text").chars().map(String::from).collect();
        let labels = Labels::new(&names).unwrap();
        let test: Vec<usize> = numbers(&case["test"]).into_iter().map(|cell| cell as usize).collect();
        let train = (0..labels.len()).filter(|cell| !test.contains(cell)).collect();
        let scores = numbers(&case["scores"]);
        let params = AnomalyParams {
            min_cells: 1,
            bootstrap: BootstrapParams { n_replicates: 20, ..Default::default() },
        };
        let found = anomaly(&labels, &[Split { train, test }], &params, |_, cells| {
            Ok::<_, Infallible>(cells.iter().map(|&cell| scores[cell] as f32).collect())
        })
        .unwrap();
        for (found, expected) in found.types.iter().zip(case["expected"].as_array().expect("a list")) {
            for ((name, found), expected) in found.scores.iter().zip(numbers(expected)) {
                let close = (found.value - expected).abs() < 1e-12;
                assert!(close, "{} {name}: {}, scikit-learn {expected}", case["name"], found.value);
            }
        }
    }
}

#[test]
fn strangeness_of_every_cell_is_that_of_numpy_and_scipy() {
    let scores = &golden("protocol/protocol.json")["scores"];
    let matrix = |name: &str| {
        let values = numbers(&scores[name]).into_iter().map(|v| v as f32).collect();
        Array2::from_shape_vec((20, 5), values).expect("20 cells, 5 classes")
    };
    let (p, logits) = (matrix("p"), matrix("logits"));
    let found = [
        ("max_probability", max_probability(p.view()).unwrap()),
        ("entropy", entropy(p.view()).unwrap()),
        ("margin", margin(p.view()).unwrap()),
        ("free_energy_2", free_energy(logits.view(), 2.0).unwrap()),
    ];
    for (name, found) in found {
        for (found, expected) in found.into_iter().zip(numbers(&scores[name])) {
            assert!(
                (f64::from(found) - expected).abs() <= 1e-6 * expected.abs().max(1.0),
                "{name}: {found}, {expected}"
            );
        }
    }
}
