//! What the comparisons of training share.

use candle_core::Tensor;
use sc_fm::train::{Adam, AdamParams, Decline, Gradients, Schedule, Variables, Warmup};
use serde_json::Value;

use crate::models::compare::Tensors;

/// Most that a loss may differ from the reference's, relative to its size.
const LOSS: f64 = 1e-5;

#[track_caller]
pub(crate) fn close_number(what: &str, found: f64, expected: &Value, tolerance: f64) {
    let expected = expected.as_f64().unwrap();
    let difference = (found - expected).abs();
    assert!(difference <= tolerance * expected.abs().max(1.0), "{what}: {found} instead of {expected}");
}

pub(crate) fn number(x: &Tensor) -> f64 {
    f64::from(x.to_scalar::<f32>().unwrap())
}

fn values(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |largest, x| largest.max(x.abs()))
}

/// Compares the gradient of every variable with `{prefix}{name}` of the file, to 1e-3 of the largest value of each; of
/// those that are 0 but for rounding (biases of keys change no softmax) to 1e-7 of the norm of all. Returns how many were compared.
#[track_caller]
pub(crate) fn close_gradients(
    variables: &Variables,
    gradients: &Gradients,
    file: &Tensors,
    expected_name: impl Fn(&str) -> String,
) -> usize {
    let all = gradients.norm() as f32;
    let mut n = 0;
    for (index, (name, _)) in variables.iter().enumerate() {
        let key = expected_name(name);
        if !file.has(&key) {
            let found = gradients.get(index).map_or(0.0, largest);
            assert_eq!(found, 0.0, "{key}: the reference has no gradient");
            continue;
        }
        let expected = values(&file.floats(&key));
        let found = gradients.get(index).unwrap_or_else(|| panic!("{key}: no gradient"));
        assert_eq!(found.len(), expected.len(), "{key}: size");
        let tolerance = 1e-3 * largest(&expected).max(1e-4 * all);
        let differences = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).enumerate();
        let (at, difference) = differences.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        let (a, b) = (found[at], expected[at]);
        assert!(difference <= tolerance, "{key}: differs by {difference:e} at {at}: {a:e} instead of {b:e}");
        n += 1;
    }
    n
}

/// Compares every variable with what the file has under its name. All but one in a hundred values must agree to 1e-5, and
/// those too to a fiftieth of the way that the steps can lead: Adam divides by the size of a gradient, even where it is
/// nothing but rounding. Of biases of keys the gradients are that alone: they may be anywhere on the way.
///
/// Returns how many were compared.
#[track_caller]
pub(crate) fn close_values(
    variables: &Variables,
    file: &Tensors,
    way: f64,
    expected_name: impl Fn(&str) -> String,
) -> usize {
    let mut n = 0;
    for (name, variable) in variables.iter() {
        let key = expected_name(name);
        if !file.has(&key) {
            continue;
        }
        let (found, expected) = (values(variable), values(&file.floats(&key)));
        let size = found.len();
        let of_keys = |i: usize| {
            name.ends_with("key.bias")
                || name.ends_with("in_proj_bias") && (size / 3..2 * size / 3).contains(&i)
        };
        let mut off = 0;
        for (i, (&a, &b)) in found.iter().zip(&expected).enumerate() {
            let difference = f64::from((a - b).abs());
            let tolerance = 1e-5f64.max(if of_keys(i) { way } else { 2e-2 * way });
            assert!(difference <= tolerance, "{key}: differs by {difference:e} at {i}: {a} instead of {b}");
            off += usize::from(difference > 1e-5 && !of_keys(i));
        }
        assert!(off * 100 <= size, "{key}: {off} of {size} values differ");
        n += 1;
    }
    n
}

/// The steps of the reference's run `scalars`: losses before each, norms of the gradients, and the loss at the end.
///
/// Returns the sum of the learning rates.
#[track_caller]
pub(crate) fn run(
    what: &str,
    scalars: &Value,
    variables: &Variables,
    mut loss: impl FnMut() -> Tensor,
) -> f64 {
    let float = |name: &str| scalars[name].as_f64().unwrap();
    let is_trainer = scalars["style"] == "trainer";
    let decay_vectors = !is_trainer;
    let params = AdamParams { decay_vectors, ..AdamParams::adamw(float("weight_decay")) };
    let mut adam = Adam::new(variables, params).unwrap();
    let decline = match scalars["scheduler"].as_str() {
        Some("linear") => Decline::Linear,
        Some("cosine") => Decline::Cosine,
        _ => Decline::Constant,
    };
    let warmup = Warmup::Steps(scalars["warmup"].as_u64().unwrap_or(0) as usize);
    let schedule = Schedule { learning_rate: float("lr"), warmup, decline };
    let steps = scalars["steps"].as_u64().unwrap() as usize;
    let mut way = 0.0;
    for step in 0..steps {
        let now = loss();
        close_number(&format!("{what}, loss of step {step}"), number(&now), &scalars["losses"][step], LOSS);
        let mut gradients = Gradients::of(&now, variables).unwrap();
        let norm = gradients.clip_norm(scalars["clip"].as_f64().unwrap_or(f64::INFINITY));
        close_number(&format!("{what}, norm of step {step}"), norm, &scalars["grad_norms"][step], 1e-4);
        let rate = schedule.at(step, steps, 0);
        close_number(&format!("{what}, learning rate of step {step}"), rate, &scalars["lrs"][step], 1e-12);
        adam.step(variables, &gradients, rate).unwrap();
        way += rate;
    }
    close_number(&format!("{what}, loss at the end"), number(&loss()), &scalars["final_loss"], LOSS);
    way
}
