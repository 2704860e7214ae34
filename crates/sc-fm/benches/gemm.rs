//! Times products of the shapes of transformers, for every kernel of this processor.
//!
//! `cargo bench -p sc-fm --bench gemm` prints billions of operations per second (GOP/s), the median of 5 runs and the best, for each shape, number of
//! threads and kernel. `-- --m 852 --k 768 --n 3072` times one shape, `--threads 2` one number of threads, `--kernel
//! f32-avx512` one kernel, `--pack` the packing of the weight with each product, `--copies 20` products with 20 copies of
//! the weight in turn, so that it comes from memory and not from a cache. An operation is a multiplication or an addition.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::time::Instant;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sc_fm::nn::gemm::{Epilogue, Kernel, Packed, View, gemm_vec};

const SHAPES: [[usize; 3]; 10] = [
    [852, 768, 3072],
    [2048, 768, 768],
    [512, 2048, 8192],
    [850, 256, 512],
    [16, 768, 768],
    [4, 768, 3072],
    [1, 768, 3072],
    [512, 1536, 8960],
    [100, 1536, 8960],
    [1, 1536, 8960],
];

fn values(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| (rng.next_u32() >> 8) as f32 / 8_388_608.0 - 1.0).collect()
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let text = |name: &str| args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1));
    let number = |name: &str| text(name).and_then(|value| value.parse::<usize>().ok());
    let shapes = match (number("--m"), number("--k"), number("--n")) {
        (Some(m), Some(k), Some(n)) => vec![[m, k, n]],
        _ => SHAPES.to_vec(),
    };
    let threads = number("--threads").map_or(vec![1, 2], |n| vec![n]);
    let pack = args.iter().any(|arg| arg == "--pack");
    println!("{:>20}  threads  {:<16} {:>9} {:>9}  GOP/s", "m x k x n", "kernel", "median", "best");
    for [m, k, n] in shapes {
        let (a, w, bias) = (values(m * k, 1), values(n * k, 2), values(n, 3));
        let (a, w) = (View::new(&a, m, k), View::new(&w, n, k));
        let epilogue = Epilogue { bias: Some(&bias), ..Default::default() };
        for &threads in &threads {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let pool = pool.expect("a small pool can be had");
            for kernel in Kernel::available() {
                if text("--kernel").map_or(kernel.name().ends_with("scalar"), |name| name != kernel.name()) {
                    continue;
                }
                let packed = vec![Packed::new(w, kernel); number("--copies").unwrap_or(1).max(1)];
                let repeats = (200_000_000 / (m * k * n)).max(1);
                let run = || {
                    let start = Instant::now();
                    for i in 0..repeats {
                        match pack {
                            true => std::hint::black_box(gemm_vec(a, &Packed::new(w, kernel), epilogue)),
                            false => std::hint::black_box(gemm_vec(a, &packed[i % packed.len()], epilogue)),
                        };
                    }
                    start.elapsed().as_secs_f64() / repeats as f64
                };
                let mut seconds: Vec<f64> = pool.install(|| (0..6).map(|_| run()).skip(1).collect());
                seconds.sort_by(f64::total_cmp);
                let rate = |seconds: f64| 2e-9 * (m * k * n) as f64 / seconds;
                let shape = format!("{m} x {k} x {n}");
                let (median, best) = (rate(seconds[2]), rate(seconds[0]));
                println!("{shape:>20}  {threads:>7}  {:<16} {median:>9.1} {best:>9.1}", kernel.name());
            }
        }
    }
}
