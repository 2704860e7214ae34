use super::*;
use crate::nn::testing::{numbers, on_threads, same_bits};

fn variables(n: usize) -> (Weights, Variables) {
    let tensor = |seed, shape: &[usize]| {
        Tensor::from_vec(numbers(seed, shape.iter().product()), shape, &Device::Cpu).unwrap()
    };
    let mut weights =
        Weights::new([("a.weight".to_owned(), tensor(1, &[n, 3])), ("b.bias".to_owned(), tensor(2, &[n]))]);
    let variables = Variables::of(&mut weights, |_| true).unwrap();
    (weights, variables)
}

fn values(variables: &Variables, index: usize) -> Vec<f32> {
    variables.variable(index).flatten_all().unwrap().to_vec1().unwrap()
}

/// Of a loss whose gradient changes with the values.
fn gradients(variables: &Variables) -> Gradients {
    let [a, b] = [0, 1].map(|index| variables.variable(index).as_tensor().clone());
    let loss = (a.sqr().unwrap().sum_all().unwrap() + b.exp().unwrap().sum_all().unwrap()).unwrap();
    Gradients::of(&loss, variables).unwrap()
}

/// The textbook's formulas in f64, for one value with gradients of its own.
fn textbook(params: &AdamParams, decay: f64, mut x: f64, steps: u32, gradient: impl Fn(f64) -> f64) -> f64 {
    let (mut m, mut v, rate) = (0.0, 0.0, 0.01);
    for step in 1..=steps {
        let g = gradient(x) + if params.decoupled { 0.0 } else { decay * x };
        m = params.beta1 * m + (1.0 - params.beta1) * g;
        v = params.beta2 * v + (1.0 - params.beta2) * g * g;
        let m_hat = m / (1.0 - params.beta1.powi(step as i32));
        let v_hat: f64 = v / (1.0 - params.beta2.powi(step as i32));
        let shrunk = if params.decoupled { rate * decay * x } else { 0.0 };
        x -= shrunk + rate * m_hat / (v_hat.sqrt() + params.eps);
    }
    x
}

#[test]
fn steps_are_those_of_the_textbook_and_vectors_do_not_decay() {
    let all = AdamParams { decay_vectors: true, ..AdamParams::adamw(0.1) };
    let coupled = AdamParams { weight_decay: 0.1, ..AdamParams::adam(1e-4) };
    for params in [AdamParams::adamw(0.1), all, coupled] {
        let (_, variables) = variables(5);
        let start = [0, 1].map(|index| values(&variables, index));
        let mut adam = Adam::new(&variables, params.clone()).unwrap();
        for _ in 0..7 {
            adam.step(&variables, &gradients(&variables), 0.01).unwrap();
        }
        let slopes: [fn(f64) -> f64; 2] = [|x| 2.0 * x, f64::exp];
        for (index, slope) in slopes.into_iter().enumerate() {
            let decay = if index == 0 || params.decay_vectors { 0.1 } else { 0.0 };
            for (&x, found) in start[index].iter().zip(values(&variables, index)) {
                let expected = textbook(&params, decay, f64::from(x), 7, slope);
                assert!((f64::from(found) - expected).abs() < 1e-6, "{found} instead of {expected}");
            }
        }
    }
}

#[test]
fn a_variable_without_a_gradient_is_left_alone() {
    let (_, variables) = variables(4);
    let before = values(&variables, 1);
    let loss = variables.variable(0).sqr().unwrap().sum_all().unwrap();
    let mut adam =
        Adam::new(&variables, AdamParams { decay_vectors: true, ..AdamParams::adamw(0.5) }).unwrap();
    adam.step(&variables, &Gradients::of(&loss, &variables).unwrap(), 0.1).unwrap();
    assert_eq!(values(&variables, 1), before);
    assert_eq!((adam.moments[0].steps, adam.moments[1].steps), (1, 0));
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let run = || {
        let (_, variables) = variables(20_001);
        let mut adam = Adam::new(&variables, AdamParams::adamw(0.01)).unwrap();
        for _ in 0..3 {
            adam.step(&variables, &gradients(&variables), 1e-3).unwrap();
        }
        values(&variables, 0)
    };
    assert!(same_bits(&on_threads(1, run), &on_threads(4, run)));
}

#[test]
fn every_processor_gives_the_same_bits() {
    let run = |arch| {
        let (_, variables) = variables(33);
        let mut moments = Adam::new(&variables, AdamParams::default()).unwrap().moments;
        let gradient = numbers(9, 99);
        for step in 1..4 {
            let factors = Factors::new(&AdamParams::default(), 0.1, 1e-2, step);
            let update = Step::new(arch, factors, &gradient, &mut moments[0]);
            variables.variable(0).inplace_op1(&update).unwrap();
        }
        values(&variables, 0)
    };
    let first = run(Arch::Scalar);
    assert!(crate::nn::every_arch().into_iter().all(|arch| same_bits(&first, &run(arch))));
}

#[test]
fn a_state_that_was_written_goes_on_with_the_same_bits() {
    let (_, variables) = variables(6);
    let mut adam = Adam::new(&variables, AdamParams::adamw(0.01)).unwrap();
    let step = |adam: &mut Adam| adam.step(&variables, &gradients(&variables), 0.01).unwrap();
    step(&mut adam);
    let (state, snapshot) = (adam.state(&variables).unwrap(), variables.snapshot().unwrap());
    assert_eq!(
        state.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>()[..3],
        ["a.weight.exp_avg", "a.weight.exp_avg_sq", "a.weight.step"]
    );
    step(&mut adam);
    let expected = [values(&variables, 0), values(&variables, 1)];
    variables.restore(&snapshot).unwrap();
    let mut again = Adam::new(&variables, AdamParams::adamw(0.01)).unwrap();
    again.read(&variables, &mut Weights::new(state)).unwrap();
    step(&mut again);
    assert!(
        same_bits(&expected[0], &values(&variables, 0)) && same_bits(&expected[1], &values(&variables, 1))
    );
    assert_eq!(again.moments, adam.moments);

    let (name, tensor) = adam.state(&variables).unwrap().remove(0);
    let error = again.read(&variables, &mut Weights::new([(name, tensor)])).unwrap_err();
    assert!(error.to_string().contains("a.weight.step"), "{error}");
    assert_eq!(again.moments, adam.moments);
}

#[test]
fn what_does_not_fit_is_refused() {
    let (_, variables) = variables(2);
    let message = |params: AdamParams| Adam::new(&variables, params).unwrap_err().to_string();
    let params = AdamParams::default();
    assert_eq!(
        message(AdamParams { beta2: 1.0, ..params.clone() }),
        "`beta2` is 1, expected at least 0 and below 1"
    );
    assert!(message(AdamParams { eps: f64::NAN, ..params.clone() }).starts_with("`eps` is NaN"));
    assert!(message(AdamParams::adamw(-1.0)).contains("`weight_decay` is -1"));
    let mut adam = Adam::new(&variables, params).unwrap();
    let error = adam.step(&variables, &Gradients::default(), 0.1).unwrap_err();
    assert_eq!(error.to_string(), "gradients of 0 variables, expected 2");
}
