//! Geneformer beside Hugging Face's BERT: pretraining and the classifiers.

use std::path::Path;

use candle_core::Tensor;
use sc_fm::models::geneformer::GeneformerConfig;
use sc_fm::models::{Geneformer, Layer, TokenBatch};
use sc_fm::nn::gemm::Precision;
use sc_fm::train::{Gradients, Trainable, Variables, loss};

use super::steps::{close_gradients, close_number, close_values, number, run};
use crate::models::compare::{self, TOLERANCE, Tensors, close};
use crate::models::geneformer::{cells, format};

/// A model of a part of the folder, with its variables.
pub(crate) fn trainable(
    folder: &Path,
    part: &str,
    is_trained: impl Fn(&str) -> bool,
) -> (Geneformer, Variables) {
    let directory = folder.join(part);
    let config = GeneformerConfig::read(&directory.join("config.json")).unwrap();
    let mut weights = compare::weights(&directory.join("model.safetensors"));
    let variables = Variables::of(&mut weights, is_trained).unwrap();
    let model = Geneformer::from_weights(config, format(folder), &mut weights, Precision::default());
    (model.unwrap(), variables)
}

/// Labels of rows, −100 for none.
pub(crate) fn labels(row: &[i64]) -> Vec<Option<u32>> {
    row.iter().map(|&label| u32::try_from(label).ok()).collect()
}

/// The masked batch: cells and the label of each token, without padding.
fn masked(file: &Tensors) -> (Vec<Vec<u32>>, Vec<Option<u32>>) {
    let lengths: Vec<usize> =
        file.ids("mlm.batch.attention_mask").iter().map(|row| row.iter().sum::<u32>() as usize).collect();
    let all: Vec<Vec<i64>> = file.get("mlm.batch.labels").to_vec2().unwrap();
    let (mut ids, mut targets) = (file.ids("mlm.batch.input_ids"), vec![]);
    for ((ids, row), &length) in ids.iter_mut().zip(&all).zip(&lengths) {
        ids.truncate(length);
        assert!(row[length..].iter().all(|&label| label == -100), "padding has no label");
        targets.extend(labels(&row[..length]));
    }
    (ids, targets)
}

#[test]
fn masked_tokens_loss_gradients_and_steps() {
    compare::for_each("geneformer_tiny", |folder| {
        let path = folder.join("mlm_train.safetensors");
        if !path.is_file() {
            return;
        }
        let file = Tensors::open(path);
        let scalars = &compare::json(&folder.join("meta.json"))["scalars"];
        let (cells, targets) = masked(&file);
        let (batch, lengths) = (TokenBatch::new(&cells), cells.iter().map(Vec::len).collect::<Vec<_>>());
        let logits =
            |model: &Geneformer| model.mlm_logits(&model.forward(&batch, Layer::Last).unwrap()).unwrap();
        let loss = |model: &Geneformer| loss::cross_entropy(&logits(model), &targets, None).unwrap();

        let (model, variables) = trainable(folder, "mlm", |_| true);
        close("mlm.logits", &logits(&model), &file.packed("mlm.logits", &lengths), TOLERANCE);
        let now = loss(&model);
        close_number("mlm.loss", number(&now), &scalars["mlm.loss"], 1e-5);
        let gradients = Gradients::of(&now, &variables).unwrap();
        let n = close_gradients(&variables, &gradients, &file, |name| format!("mlm.plain.grad.{name}"));
        assert_eq!(n, variables.len(), "the reference has a gradient of every tensor");

        for style in ["plain", "trainer_linear", "trainer_cosine"] {
            let (model, variables) = trainable(folder, "mlm", |_| true);
            let what = format!("{}, {style}", folder.display());
            let way = run(&what, &scalars[format!("mlm.{style}")], &variables, || loss(&model));
            let n = close_values(&variables, &file, way, |name| format!("mlm.{style}.final.{name}"));
            assert!(n > 1, "{style}: final values of {n} tensors");
        }
    });
}

/// What one run on the classifier of cells is compared with.
fn classifier(folder: &Path, style: &str, is_trained: impl Fn(&str) -> bool) -> Option<usize> {
    let path = folder.join("cell_classifier_io.safetensors");
    if !path.is_file() || !folder.join("cell_classifier").is_dir() {
        return None;
    }
    let file = Tensors::open(path);
    let scalars = &compare::json(&folder.join("meta.json"))["scalars"];
    let cells = cells(&Tensors::open(folder.join("io.safetensors")));
    let batch = TokenBatch::new(&cells);
    let targets: Vec<Option<u32>> = file.id_row("labels").into_iter().map(Some).collect();
    let (model, variables) = trainable(folder, "cell_classifier", is_trained);
    let loss = || {
        let logits = model.cell_logits(&model.forward_checked(&batch, Layer::Last).unwrap()).unwrap();
        loss::cross_entropy(&logits, &targets, None).unwrap()
    };
    let now = loss();
    close_number("cls.loss", number(&now), &scalars["cls.loss"], 1e-5);
    let gradients = Gradients::of(&now, &variables).unwrap();
    let n = close_gradients(&variables, &gradients, &file, |name| format!("trainer.grad.{name}"));
    assert_eq!(n, variables.len());
    let way =
        run(&format!("{}, {style}", folder.display()), &scalars[format!("cls.{style}")], &variables, loss);
    let n = close_values(&variables, &file, way, |name| format!("{style}.final.{name}"));
    assert!(n > 1, "{style}: final values of {n} tensors");
    Some(variables.len())
}

#[test]
fn the_classifier_of_cells() {
    compare::for_each("geneformer_tiny", |folder| _ = classifier(folder, "trainer", |_| true));
}

#[test]
fn the_classifier_of_cells_with_its_first_layer_frozen() {
    compare::for_each("geneformer_tiny", |folder| {
        let Some(n) = classifier(folder, "freeze1", |name| Trainable::FromLayer(1).includes(name)) else {
            return;
        };
        let (_, all) = trainable(folder, "cell_classifier", |_| true);
        let of_layer = |name: &str| name.starts_with("bert.encoder.layer.0.");
        let frozen = all.iter().filter(|(name, _)| of_layer(name)).count();
        assert_eq!((frozen > 0, n), (true, all.len() - frozen));
        // The reference's frozen tensors are at the end what they were.
        let file = Tensors::open(folder.join("cell_classifier_io.safetensors"));
        for (name, tensor) in all.iter().filter(|(name, _)| of_layer(name)) {
            let key = format!("freeze1.final.{name}");
            if file.has(&key) {
                close(&key, tensor, &file.floats(&key), 0.0);
            }
        }
    });
}

#[test]
fn the_classifier_of_genes() {
    compare::for_each("geneformer_tiny", |folder| {
        if !folder.join("gene_classifier").is_dir() {
            return;
        }
        let file = Tensors::open(folder.join("gene_classifier_io.safetensors"));
        let scalars = &compare::json(&folder.join("meta.json"))["scalars"];
        let cells = cells(&Tensors::open(folder.join("io.safetensors")));
        let rows: Vec<Vec<i64>> = file.get("labels").to_vec2().unwrap();
        let targets: Vec<Option<u32>> =
            rows.iter().zip(&cells).flat_map(|(row, cell)| labels(&row[..cell.len()])).collect();
        let (model, variables) = trainable(folder, "gene_classifier", |_| true);
        let last = model.forward_checked(&TokenBatch::new(&cells), Layer::Last).unwrap();
        let loss: Tensor = loss::cross_entropy(&model.gene_logits(&last).unwrap(), &targets, None).unwrap();
        close_number("gene.loss", number(&loss), &scalars["gene.loss"], 1e-5);
        let gradients = Gradients::of(&loss, &variables).unwrap();
        assert!((0..variables.len()).all(|index| gradients.get(index).is_some()));
    });
}
