//! scGPT beside its reference: losses, gradients, batch norms and steps.

use candle_core::{DType, Device, Tensor};
use sc_fm::checkpoint::Weights;
use sc_fm::models::Layer;
use sc_fm::models::scgpt::{CellEmbStyle, NormStatistics, Scgpt, ScgptBatch};
use sc_fm::train::{Adam, AdamParams, Decline, Gradients, Schedule, Variables, loss};
use serde_json::Value;

use super::steps::{close_gradients, close_number, close_values, number};
use crate::models::compare::{self, Tensors, close};
use crate::models::scgpt::{Variant, for_each_variant};

/// A variant with what its training is compared with.
struct Training<'v> {
    variant: &'v Variant,
    file: Tensors,
    scalars: Value,
    target: Vec<f32>,
    mask: Vec<bool>,
}

fn for_each(mut test: impl FnMut(&Training<'_>)) {
    for_each_variant(|v| {
        let path = v.folder.join("train.safetensors");
        if !path.is_file() {
            return;
        }
        let meta = compare::json(&v.folder.parent().unwrap().join("meta.json"));
        let masked = meta["variants"][&v.name]["mask_value"].as_f64().unwrap();
        test(&Training {
            variant: v,
            file: Tensors::open(path),
            scalars: meta["variants"][&v.name].clone(),
            target: v.io.packed("target_values", &v.lengths).to_vec1().unwrap(),
            mask: v.values.iter().flatten().map(|&x| f64::from(x) == masked).collect(),
        });
    });
}

impl Training<'_> {
    fn model(&self) -> (Scgpt, Variables) {
        let mut weights = Weights::open(self.variant.folder.join("in_proj.safetensors"))
            .or_else(|_| Weights::open(self.variant.folder.join("wqkv.safetensors")))
            .unwrap()
            .renamed(|name| Some(name.replace(".Wqkv.", ".in_proj_")));
        let variables = Variables::of(&mut weights, |_| true).unwrap();
        (self.variant.model(weights), variables)
    }

    /// The reference's average pooling takes padding in, so that all that follows from the cells differs.
    fn cells_are_alike(&self) -> bool {
        self.variant.config.cell_emb_style == CellEmbStyle::Cls
    }

    /// The sum of all parts of the loss that the reference has; each is compared with its own, if asked.
    fn loss(&self, model: &Scgpt, parts: &Value, statistics: NormStatistics, compared: bool) -> Tensor {
        let batch = ScgptBatch::new(&self.variant.cells()).unwrap();
        let encoded = model.encode_observing(&batch, Layer::Last, None, statistics).unwrap();
        model.update_statistics(&encoded).unwrap();
        let cells = model.cell_embeddings(&encoded, &batch).unwrap();
        let of_states = || model.expression(&encoded, &batch).unwrap();
        let of_cells = || model.expression_of_cells(&cells, &encoded, &batch).unwrap();
        let labels = |name: &str| self.variant.io.id_row(name).into_iter().map(Some).collect::<Vec<_>>();
        let (target, mask) = (&self.target, &self.mask);
        let mut sum = Tensor::zeros((), DType::F32, &Device::Cpu).unwrap();
        for (part, expected) in parts.as_object().unwrap() {
            let loss = match part.as_str() {
                "cls" => loss::cross_entropy(&model.class_logits(&cells).unwrap(), &labels("celltype"), None),
                "dab" => {
                    loss::cross_entropy(&model.batch_logits(&cells).unwrap(), &labels("batch_labels"), None)
                }
                "mse" => loss::masked_mse(&of_states().values, target, mask),
                "mvc" => loss::masked_mse(&of_cells().values, target, mask),
                "zero_nll" => loss::zero_nll(&of_states().nonzero_probabilities.unwrap(), target, mask),
                "mvc_zero_nll" => loss::zero_nll(&of_cells().nonzero_probabilities.unwrap(), target, mask),
                "ecs_x10" => {
                    let threshold = self.scalars["kwargs"]["ecs_threshold"].as_f64().unwrap();
                    loss::elastic_similarity(&cells, threshold).and_then(|loss| loss * 10.0)
                }
                part => panic!("a loss of the name {part}"),
            };
            let loss = loss.unwrap();
            if compared && (self.cells_are_alike() || part == "mse") {
                close_number(&format!("{}, {part}", self.variant.name), number(&loss), expected, 2e-5);
            }
            sum = (sum + loss).unwrap();
        }
        sum
    }

    fn gradients(&self, model: &Scgpt, variables: &Variables, run: &str, statistics: NormStatistics) {
        let loss = self.loss(model, &self.scalars[format!("{run}.parts")], statistics, true);
        if !self.cells_are_alike() {
            return;
        }
        close_number(
            &format!("{}, {run}", self.variant.name),
            number(&loss),
            &self.scalars[format!("{run}.loss")],
            1e-5,
        );
        let gradients = Gradients::of(&loss, variables).unwrap();
        let n = close_gradients(variables, &gradients, &self.file, |name| format!("{run}.grad.{name}"));
        let without = self.scalars[format!("{run}.no_grad")].as_array().unwrap().len();
        assert_eq!(n, variables.len() - without);
    }
}

#[test]
fn losses_and_gradients() {
    for_each(|training| {
        let (model, variables) = training.model();
        training.gradients(&model, &variables, "eval", NormStatistics::Stored);
    });
}

#[test]
fn batch_norms_in_training() {
    for_each(|training| {
        if training.scalars["train_bn.loss"].is_null() {
            return;
        }
        let (model, variables) = training.model();
        let pad_value = training.scalars["pad_value"].as_f64().unwrap() as f32;
        training.gradients(&model, &variables, "train_bn", NormStatistics::Padded { pad_value });
        let mut n = 0;
        for (name, found) in variables.all().filter(|(name, _)| name.contains(".running_")) {
            let expected = training.file.floats(&format!("train_bn.buffer_after_1.{name}"));
            close(&format!("{}, {name}", training.variant.name), found, &expected, 1e-5);
            n += 1;
        }
        assert!(n > 0);
    });
}

#[test]
fn steps_of_adam() {
    for_each(|training| {
        for eps in ["1e-08", "0.0001"] {
            let run = &training.scalars[format!("adam_eps{eps}")];
            if run.is_null() || !training.cells_are_alike() {
                continue;
            }
            let what = format!("{}, eps {eps}", training.variant.name);
            let (model, variables) = training.model();
            let mut adam = Adam::new(&variables, AdamParams::adam(eps.parse().unwrap())).unwrap();
            let factor = run["step_lr_gamma"].as_f64().unwrap();
            let decline = Decline::EachEpoch { factor };
            let schedule = Schedule { decline, ..Schedule::linear(run["lr"].as_f64().unwrap()) };
            let losses = run["loss_gradnorm"].as_array().unwrap();
            let parts = &training.scalars["eval.parts"];
            let loss = || training.loss(&model, parts, NormStatistics::Stored, false);
            let mut way = 0.0;
            for (step, expected) in losses.iter().enumerate() {
                let now = loss();
                close_number(&format!("{what}, loss of step {step}"), number(&now), &expected[0], 1e-4);
                let mut gradients = Gradients::of(&now, &variables).unwrap();
                let norm = gradients.clip_norm(run["clip"].as_f64().unwrap());
                close_number(&format!("{what}, norm of step {step}"), norm, &expected[1], 1e-3);
                let rate = schedule.at(step, losses.len(), step);
                adam.step(&variables, &gradients, rate).unwrap();
                way += rate;
            }
            close_number(&format!("{what}, loss at the end"), number(&loss()), &run["final"], 1e-4);
            let n =
                close_values(&variables, &training.file, way, |name| format!("adam_eps{eps}.final.{name}"));
            assert!(n > 5, "{what}: final values of {n} tensors");
        }
    });
}
