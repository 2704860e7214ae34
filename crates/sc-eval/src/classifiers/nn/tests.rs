use ndarray::Array2;

use super::network::Trainer;
use super::*;
use crate::Features;
use crate::classifiers::design::Design;
use crate::split::RandomState;

const ROWS: usize = 37;
const COLUMNS: usize = 9;

/// Values that are mostly a background; it is 0 in no column.
fn features() -> Features {
    let mut random = RandomState::new(1).unwrap();
    let background: Vec<f32> = (0..COLUMNS).map(|j| 0.1 * j as f32 - 0.35).collect();
    let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
    for _ in 0..ROWS {
        for j in 0..COLUMNS as u32 {
            if random.uniform(0.0, 1.0) < 0.3 {
                indices.push(j);
                values.push(random.uniform(-1.0, 1.0) as f32);
            }
        }
        indptr.push(indices.len());
    }
    Features::sparse(indptr, indices, values, background).unwrap()
}

/// The sum of losses of all rows, computed plainly in f64.
fn plain_loss(network: &Network, x: &Features, objective: Objective<'_>) -> f64 {
    let mut total = 0.0;
    for row in 0..ROWS {
        let mut values = vec![0.0; COLUMNS];
        x.write_row(row, &mut values);
        let mut values: Vec<f64> = values.into_iter().map(f64::from).collect();
        let input = values.clone();
        for (l, layer) in network.layers().iter().enumerate() {
            let (w, b) = (layer.weights(), layer.intercepts());
            let output = |k: usize| {
                let z: f64 = (0..values.len()).map(|j| values[j] * f64::from(w[[j, k]])).sum();
                let z = z + f64::from(b[k]);
                if l + 1 < network.layers().len() { z.max(0.0) } else { z }
            };
            values = (0..layer.n_out()).map(output).collect();
        }
        total += match objective {
            Objective::Classes { codes, weights } => {
                let code = codes[row] as usize;
                let z = if let [z] = values[..] { vec![0.0, z] } else { values };
                let sum: f64 = z.iter().map(|z| libm::exp(*z)).sum();
                weights[row] * (libm::log(sum) - z[code])
            }
            Objective::Reconstruction(_) => {
                0.5 * values.iter().zip(&input).map(|(a, b)| (a - b) * (a - b)).sum::<f64>()
            }
        };
    }
    total
}

fn check_gradients(units: &[usize], objective: Objective<'_>) {
    let x = features();
    let source = Source::new(Design::new(&x));
    let rows = source.rows();
    let network = draw(units, rectified(units.len() - 1), &mut RandomState::new(3).unwrap());
    let mut trainer = Trainer::new(network, &source, objective);
    let loss = trainer.evaluate(&rows);
    let plain = plain_loss(&trainer.network, &x, objective);
    assert!((loss - plain).abs() < 1e-5 * plain, "{loss} instead of {plain}");
    for l in 0..units.len() - 1 {
        let gradient = trainer.gradient(&rows, l);
        for input in 0..=units[l] {
            for output in 0..units[l + 1] {
                let own = *trainer.network.layers_mut()[l].at_mut(input, output);
                let mut at = |w: f32| {
                    *trainer.network.layers_mut()[l].at_mut(input, output) = w;
                    plain_loss(&trainer.network, &x, objective)
                };
                // So near that few rectified values change sign between the two.
                let (low, high) = (own - 1e-5, own + 1e-5);
                let numeric = (at(high) - at(low)) / (f64::from(high) - f64::from(low));
                at(own);
                let found = f64::from(*gradient.clone().at_mut(input, output));
                assert!(
                    (found - numeric).abs() < 2e-3 * (1.0 + numeric.abs()),
                    "layer {l}, {input} to {output}: {found} instead of {numeric}"
                );
            }
        }
    }
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let codes: Vec<u32> = (0..ROWS as u32).map(|i| i * i % 3).collect();
    let binary: Vec<u32> = codes.iter().map(|&code| code.min(1)).collect();
    let weights: Vec<f64> = (0..ROWS).map(|i| 0.5 + 0.1 * (i % 4) as f64).collect();
    check_gradients(&[COLUMNS, 18, 5, 3], Objective::Classes { codes: &codes, weights: &weights });
    check_gradients(&[COLUMNS, 7, 1], Objective::Classes { codes: &binary, weights: &weights });
    let x = features();
    check_gradients(&[COLUMNS, 6, 2, 6, COLUMNS], Objective::Reconstruction(&x));
}

#[test]
fn a_step_is_adams_along_the_gradient() {
    let x = features();
    let source = Source::new(Design::new(&x));
    let codes: Vec<u32> = (0..ROWS as u32).map(|i| i % 3).collect();
    let weights = vec![1.0; ROWS];
    let objective = Objective::Classes { codes: &codes, weights: &weights };
    let network = draw(&[COLUMNS, 18, 3], rectified(2), &mut RandomState::new(3).unwrap());
    let mut trainer = Trainer::new(network, &source, objective);
    let rows: Vec<u32> = (0..ROWS as u32).rev().step_by(2).collect();
    let (alpha, rate) = (0.5, 0.01);
    // The first step of Adam moves every weight by the rate, against the sign of its gradient.
    let expected: Vec<(Layer, Layer)> =
        (0..2).map(|l| (trainer.network.layers()[l].clone(), trainer.gradient(&rows, l))).collect();
    trainer.step(&rows, rate, alpha);
    for (l, (before, gradient)) in expected.into_iter().enumerate() {
        let after = trainer.network.layers()[l].weights();
        for ((place, w), g) in before.weights().indexed_iter().zip(gradient.weights()) {
            let g = (f64::from(g) + alpha * f64::from(*w)) / rows.len() as f64;
            let moved = f64::from(after[place]) - f64::from(*w);
            if g.abs() > 1e-3 {
                assert!((moved + rate * g.signum()).abs() < 2e-5, "{place:?}: {moved} for {g}");
            }
        }
    }
}

#[test]
fn what_is_left_out_of_a_batch_does_not_matter() {
    let x = features();
    let source = Source::new(Design::new(&x));
    let network = draw(&[COLUMNS, 20, 4], rectified(2), &mut RandomState::new(5).unwrap());
    let all = Array2::from_shape_vec((ROWS, 4), network.outputs(&source, &source.rows(), 1)).unwrap();
    for rows in [vec![3], vec![36, 0, 17], (0..ROWS as u32).rev().collect()] {
        let some = network.outputs(&source, &rows, 1);
        for (found, &row) in some.chunks(4).zip(&rows) {
            assert_eq!(found, all.row(row as usize).as_slice().unwrap());
        }
    }
}
