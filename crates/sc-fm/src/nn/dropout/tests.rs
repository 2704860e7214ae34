use candle_core::{DType, Device, Var};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::*;
use crate::nn::simd::every_arch;
use crate::nn::testing::{numbers, on_threads, same_bits};

fn matrix(seed: u64, rows: usize, width: usize) -> Tensor {
    Tensor::from_vec(numbers(seed, rows * width), (rows, width), &Device::Cpu).unwrap()
}

fn vector(x: &Tensor) -> Vec<f32> {
    x.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Dropout of ones.
fn factors(step: &TrainingStep, rate: f64, lengths: &[usize], width: usize) -> Vec<f32> {
    let packing = Packing::new(lengths.iter().copied());
    let ones = Tensor::ones((packing.n_rows(), width), DType::F32, &Device::Cpu).unwrap();
    vector(&step.dropout(3, rate).forward(&ones, &packing).unwrap())
}

#[test]
fn words_are_those_of_the_published_generator() {
    struct Fill<'a>(Draws, &'a mut [u32]);
    impl WithSimd for Fill<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            // The second group begins behind the first 2³² blocks, where the counter carries.
            self.0.fill(simd, (1 << 28) - 1, self.1);
        }
    }
    let draws = Draws { key: [1, 2, 3, 4, 5, 6, 7, u32::MAX], cell: 0x0123_4567_89ab_cdef };
    let mut seed = [0; 32];
    for (bytes, word) in seed.chunks_exact_mut(4).zip(draws.key) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    let mut rng = ChaCha8Rng::from_seed(seed);
    rng.set_stream(draws.cell);
    rng.set_word_pos(((1 << 28) - 1) * GROUP as u128);
    let blocks: Vec<[u32; 16]> = (0..2 * LANES).map(|_| std::array::from_fn(|_| rng.next_u32())).collect();
    for arch in every_arch() {
        let mut words = [0; 2 * GROUP];
        arch.dispatch(Fill(draws, &mut words));
        for (i, word) in words.into_iter().enumerate() {
            let (group, w, l) = (i / GROUP, i % GROUP / LANES, i % LANES);
            assert_eq!(word, blocks[group * LANES + l][w], "{arch:?}, word {i}");
        }
    }
}

#[test]
fn the_share_that_is_dropped_is_the_rate_and_the_rest_grows() {
    let step = TrainingStep::new(7, 1, [5, 6]);
    for rate in [0.02, 0.1, 0.5, 0.9] {
        let found = factors(&step, rate, &[300, 200], 401);
        let dropped = found.iter().filter(|&&x| x == 0.0).count();
        let share = dropped as f64 / found.len() as f64;
        // Five standard deviations.
        let allowed = 5.0 * (rate * (1.0 - rate) / found.len() as f64).sqrt() + 1e-5;
        assert!((share - rate).abs() < allowed, "{rate}: {share}");
        let scale = (1.0 / (1.0 - rate)) as f32;
        assert!(found.iter().all(|&x| x == 0.0 || (x / scale - 1.0).abs() < 1e-4), "{rate}");
    }
}

#[test]
fn a_cell_drops_the_same_in_any_batch_on_any_number_of_threads() {
    let width = 33;
    let together = factors(&TrainingStep::new(1, 2, [10, 20, 30]), 0.3, &[7, 700, 2], width);
    let alone = factors(&TrainingStep::new(1, 2, [20]), 0.3, &[700], width);
    assert!(same_bits(&alone, &together[7 * width..707 * width]));
    let turned = factors(&TrainingStep::new(1, 2, [30, 20]), 0.3, &[2, 700], width);
    assert!(same_bits(&alone, &turned[2 * width..]));
    for threads in [1, 2, 4] {
        let again = on_threads(threads, || factors(&TrainingStep::new(1, 2, [20]), 0.3, &[700], width));
        assert!(same_bits(&alone, &again));
    }
}

#[test]
fn seed_step_cell_and_site_each_give_other_draws() {
    let packing = Packing::new([40]);
    let ones = Tensor::ones((40, 8), DType::F32, &Device::Cpu).unwrap();
    let mut seen: Vec<Vec<f32>> = vec![];
    for (seed, step, cell, site) in
        [(1, 1, 1, 1), (2, 1, 1, 1), (1, 2, 1, 1), (1, 1, 2, 1), (1, 1, 1, 2), (1 << 32, 1, 1, 1)]
    {
        let dropout = TrainingStep::new(seed, step, [cell]).dropout(site, 0.5);
        let found = vector(&dropout.forward(&ones, &packing).unwrap());
        assert!(!seen.contains(&found));
        seen.push(found);
    }
}

#[test]
fn every_processor_gives_the_same_bits() {
    let packing = Packing::new([37, 0, 90]);
    let dropout = TrainingStep::new(1, 2, [3, 4, 5]).dropout(0, 0.25);
    let keep = dropout.keep(&packing).unwrap().unwrap();
    let mut results = every_arch().into_iter().map(|arch| {
        let mut values = numbers(1, 127 * 19);
        elementwise::apply(&dropout, &packing, keep, arch, &mut values);
        values
    });
    let first = results.next().unwrap();
    assert!(results.all(|other| same_bits(&first, &other)));
}

#[test]
fn the_gradient_drops_what_the_values_dropped() {
    let packing = Packing::new([11, 5]);
    let dropout = TrainingStep::new(1, 2, [3, 4]).dropout(0, 0.4);
    let x = Var::from_tensor(&matrix(1, 16, 9)).unwrap();
    let weights = matrix(2, 16, 9);
    let y = dropout.forward(&x, &packing).unwrap();
    let loss = (y * &weights).unwrap().sum_all().unwrap();
    let found = vector(loss.backward().unwrap().get(&x).unwrap());
    let ones = Tensor::ones((16, 9), DType::F32, &Device::Cpu).unwrap();
    let expected = (dropout.forward(&ones, &packing).unwrap() * weights).unwrap();
    assert_eq!(found, vector(&expected));
}

#[test]
fn other_types_and_strides_drop_the_same() {
    let packing = Packing::new([6, 10]);
    let dropout = TrainingStep::new(1, 2, [3, 4]).dropout(0, 0.5);
    let x = matrix(1, 16, 7);
    let expected = vector(&dropout.forward(&x, &packing).unwrap());
    let wide = dropout.forward(&x.to_dtype(DType::F64).unwrap(), &packing).unwrap();
    assert_eq!((wide.dtype(), vector(&wide)), (DType::F64, expected.clone()));
    let turned = x.t().unwrap().contiguous().unwrap().t().unwrap();
    assert_eq!(vector(&dropout.forward(&turned, &packing).unwrap()), expected);
}

#[test]
fn a_rate_of_zero_gives_the_same_tensor() {
    let x = matrix(1, 4, 3);
    let y = TrainingStep::new(1, 2, [3]).dropout(0, 0.0).forward(&x, &Packing::new([4])).unwrap();
    assert_eq!(y.id(), x.id());
    let empty = matrix(1, 0, 3);
    let y = TrainingStep::new(1, 2, []).dropout(0, 0.5).forward(&empty, &Packing::new([])).unwrap();
    assert_eq!(y.dims(), [0, 3]);
}

#[test]
fn what_cannot_be_is_named() {
    let x = matrix(1, 4, 3);
    let message = |cells: &[u64], rate, lengths: &[usize]| {
        let dropout = TrainingStep::new(1, 2, cells).dropout(0, rate);
        dropout.forward(&x, &Packing::new(lengths.iter().copied())).unwrap_err().to_string()
    };
    assert!(message(&[1], 1.0, &[4]).contains("the rate is 1, expected at least 0 and below 1"));
    assert!(message(&[1], f64::NAN, &[4]).contains("the rate is NaN"));
    assert!(message(&[1, 2], 0.5, &[4]).contains("numbers of 2 cells, but the batch has 1"));
    assert!(message(&[1], 0.5, &[5]).contains("4 rows, but the cells have 5"));
}
