//! Several tasks on one encoder, beside Geneformer's multi-task model.

use sc_fm::checkpoint::Weights;
use sc_fm::models::geneformer::MultiTask;
use sc_fm::models::{Layer, TokenBatch};
use sc_fm::nn::gemm::Precision;

use super::geneformer::trainable;
use super::steps::{close_number, number};
use crate::models::compare::{self, TOLERANCE, Tensors, close};
use crate::models::geneformer::cells;

#[test]
fn logits_and_losses_of_several_tasks() {
    compare::for_each("geneformer_tiny", |folder| {
        let path = folder.join("mtl_io.safetensors");
        if !path.is_file() {
            return;
        }
        let io = Tensors::open(path);
        let scalars = &compare::json(&folder.join("meta.json"))["scalars"]["mtl"];
        let cells = cells(&Tensors::open(folder.join("io.safetensors")));
        let longest = cells.iter().map(Vec::len).max().unwrap();
        let (model, _) = trainable(folder, "mlm", |_| true);
        let last = model.forward(&TokenBatch::new(&cells), Layer::Last).unwrap();
        for (style, scalars) in scalars.as_object().unwrap() {
            let weights: Vec<f64> = serde_json::from_value(scalars["task_weights"].clone()).unwrap();
            let prefix = format!("{style}.param.");
            let parameters = io
                .names()
                .filter_map(|name| Some((name.strip_prefix(&prefix)?.to_owned(), io.floats(&name))));
            let mut parameters = Weights::new(parameters.collect::<Vec<_>>());
            // The reference's encoder has a pooler that no task looks at.
            for name in ["bert.pooler.dense.weight", "bert.pooler.dense.bias"] {
                parameters.ignore(name, "not used");
            }
            let tasks = MultiTask::take(&mut parameters, Precision::default()).unwrap();
            parameters.finish().unwrap();
            let logits = tasks.logits(&tasks.pooled(&last).unwrap()).unwrap();
            assert_eq!(logits.len(), weights.len());
            // The reference's attention pooling takes padding in: the longest cells alone are without.
            let is_padded = |cell: usize| style == "attnpool" && cells[cell].len() < longest;
            let (mut n, mut labels, mut theirs) = (0, vec![], vec![]);
            for (task, logits) in logits.iter().enumerate() {
                let expected = io.get(&format!("{style}.logits.{task}"));
                for cell in (0..cells.len()).filter(|&cell| !is_padded(cell)) {
                    let what = format!("{style}, task {task}, cell {cell}");
                    close(&what, &logits.get(cell).unwrap(), &expected.get(cell).unwrap(), TOLERANCE);
                    n += 1;
                }
                let row = io.id_row(&format!("{style}.labels.{task}"));
                labels.push(row.into_iter().map(Some).collect::<Vec<_>>());
                theirs.push(expected);
            }
            assert!(n >= weights.len());
            let loss = tasks.loss(&theirs, &labels, &weights).unwrap();
            close_number(&format!("{style}, loss"), number(&loss), &scalars["total"], 1e-5);
            assert!(tasks.loss(&theirs, &labels, &[1.0]).is_err());
        }
    });
}
