use candle_core::Var;

use super::*;
use crate::nn::testing::numbers;

fn tensor(values: &[f32]) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap()
}

fn number(x: Result<Tensor>) -> f32 {
    x.unwrap().to_scalar().unwrap()
}

/// The gradient by the first argument beside differences of the loss.
#[track_caller]
fn gradient_is_the_slope(x: &[f32], shape: &[usize], loss: impl Fn(&Tensor) -> Result<Tensor>) {
    let at = |x: Vec<f32>| Tensor::from_vec(x, shape, &Device::Cpu).unwrap();
    let variable = Var::from_tensor(&at(x.to_vec())).unwrap();
    let store = loss(&variable).unwrap().backward().unwrap();
    let gradient: Vec<f32> = store.get(&variable).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    for (i, &found) in gradient.iter().enumerate() {
        let step = 1e-2;
        let moved = |by: f32| {
            let mut x = x.to_vec();
            x[i] += by;
            number(loss(&at(x)))
        };
        let slope = (moved(step) - moved(-step)) / (2.0 * step);
        assert!((slope - found).abs() < 2e-3 * slope.abs().max(1.0), "{i}: {found} instead of {slope}");
    }
}

#[test]
fn weights_make_a_weighted_mean() {
    let logits = Tensor::from_vec(numbers(3, 12), (4, 3), &Device::Cpu).unwrap();
    let labels = [Some(0), None, Some(2), Some(0)];
    let weights = [2.0, 5.0, 0.5];
    let alone = |row: usize| {
        let label = [labels[row]];
        number(cross_entropy(&logits.narrow(0, row, 1).unwrap(), &label, None))
    };
    let expected = (2.0 * alone(0) + 0.5 * alone(2) + 2.0 * alone(3)) / 4.5;
    let found = number(cross_entropy(&logits, &labels, Some(&weights)));
    assert!((found - expected).abs() < 1e-6, "{found} instead of {expected}");
    assert_eq!(label_weight(&labels, Some(&weights)), 4.5);
    assert_eq!(label_weight(&labels, None), 3.0);
    gradient_is_the_slope(&numbers(3, 12), &[4, 3], |x| cross_entropy(x, &labels, Some(&weights)));
    let error = cross_entropy(&logits, &labels, Some(&[1.0])).unwrap_err();
    assert!(error.to_string().contains("1 weights for 3 classes"), "{error}");
    let error = cross_entropy(&logits, &labels, Some(&[1.0, -1.0, 0.0])).unwrap_err();
    assert!(error.to_string().contains("the weight of class 1 is -1"), "{error}");
    assert_eq!(number(cross_entropy(&logits, &labels, Some(&[0.0; 3]))), 0.0);
}

#[test]
fn balanced_classes_count_alike() {
    let labels = [Some(0), Some(0), Some(0), None, Some(2)];
    let weights = balanced_weights(&labels, 3);
    assert_eq!(weights, [4.0 / 6.0, 0.0, 2.0]);
    assert!((label_weight(&labels, Some(&weights)) - 4.0).abs() < 1e-6);
}

#[test]
fn squares_are_averaged_over_the_mask_alone() {
    let (target, mask) = ([1.0, 9.0, 3.0], [true, false, true]);
    assert_eq!(number(masked_mse(&tensor(&[2.0, 0.0, 6.0]), &target, &mask)), 5.0);
    gradient_is_the_slope(&[2.0, 0.0, 6.0], &[3], |x| masked_mse(x, &target, &mask));
    assert_eq!(number(masked_mse(&tensor(&[2.0]), &[1.0], &[false])), 0.0);
    let error = masked_mse(&tensor(&[2.0]), &[1.0], &[]).unwrap_err();
    assert!(error.to_string().contains("1 targets and a mask of 0 places for 1 values"), "{error}");
}

#[test]
fn probabilities_are_judged_by_what_is_zero() {
    let (target, mask) = ([2.0, 0.0, 1.0, 0.0], [true, true, false, true]);
    let p = [0.8, 0.3, 0.5, 0.4];
    let expected = -(0.8f32.ln() + 0.7f32.ln() + 0.6f32.ln()) / 3.0;
    let found = number(zero_nll(&tensor(&p), &target, &mask));
    assert!((found - expected).abs() < 1e-6, "{found} instead of {expected}");
    gradient_is_the_slope(&p, &[4], |x| zero_nll(x, &target, &mask));
    let certain = number(zero_nll(&tensor(&[0.0]), &[1.0], &[true]));
    assert!((certain - 15.942_385).abs() < 1e-4, "{certain}");
}

#[test]
fn similarity_is_that_of_pairs() {
    let cells = tensor(&[3.0, 0.0, 1.0, 1.0, -2.0, 0.0]).reshape((3, 2)).unwrap();
    let found = number(elastic_similarity(&cells, 0.3));
    // Of nine pairs only the first two cells have a cosine above 0.
    let (near, far) = (1.0 - (0.5f32.sqrt() - 0.3).powi(2), 1.0 - 0.09);
    assert!((found - (2.0 * near + 7.0 * far) / 9.0).abs() < 1e-6, "{found}");
    gradient_is_the_slope(&numbers(8, 12), &[4, 3], |x| elastic_similarity(x, 0.3));
    assert_eq!(number(elastic_similarity(&cells.narrow(0, 0, 0).unwrap(), 0.3)), 0.0);
}
