//! Seconds of attention on random rows, forward and with gradients: medians of five.
//!
//! ```text
//! cargo bench -p sc-fm --bench attention [-- LENGTH HEADS]
//! ```
//!
//! `GFLOP/s` counts two products a head forward (`4 L² d`) and five more backward.

#![allow(clippy::print_stdout, reason = "the table is the result")]

use std::time::Instant;

use candle_core::{Device, Result, Tensor, Var};
use sc_fm::nn::{AttentionParams, Packing, attention};

const HEAD: usize = 64;

fn main() -> Result<()> {
    let given: Vec<usize> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let cases: Vec<(usize, usize)> = match given[..] {
        [length, heads] => vec![(length, heads)],
        _ => [128, 850, 2048, 4096].into_iter().flat_map(|length| [(length, 4), (length, 12)]).collect(),
    };
    println!(
        "{:>6} {:>5} {:>12} {:>9} {:>12} {:>9}",
        "length", "heads", "forward s", "GFLOP/s", "both s", "GFLOP/s"
    );
    for (length, heads) in cases {
        // Short cells come in numbers, as in a batch.
        let n_cells = (2048 / length).max(1);
        let packing = Packing::new(vec![length; n_cells]);
        let params = AttentionParams { n_heads: heads, causal: false };
        let random = || Tensor::randn(0.0_f32, 1.0, (n_cells * length, heads * HEAD), &Device::Cpu);
        let (q, k, v) = (random()?, random()?, random()?);
        let forward = median(|| attention(&q, &k, &v, &packing, params).map(drop))?;
        let (q, k, v) = (Var::from_tensor(&q)?, Var::from_tensor(&k)?, Var::from_tensor(&v)?);
        let both = median(|| attention(&q, &k, &v, &packing, params)?.sum_all()?.backward().map(drop))?;
        let product = 2e-9 * (n_cells * heads * length * length * HEAD) as f64;
        println!(
            "{length:6} {heads:5} {forward:12.5} {:9.1} {both:12.5} {:9.1}",
            2.0 * product / forward,
            7.0 * product / both
        );
    }
    Ok(())
}

/// Median of five runs, after one that is not counted.
fn median(mut task: impl FnMut() -> Result<()>) -> Result<f64> {
    task()?;
    let mut seconds = [0.0; 5];
    for seconds in &mut seconds {
        let start = Instant::now();
        task()?;
        *seconds = start.elapsed().as_secs_f64();
    }
    seconds.sort_unstable_by(f64::total_cmp);
    Ok(seconds[2])
}
