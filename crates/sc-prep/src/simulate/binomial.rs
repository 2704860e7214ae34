//! Binomial random numbers.

use rand_chacha::ChaCha8Rng;

use super::random::uniform;

/// Above this number of trials the expectation stands for the draw.
const MANY: f64 = (1u64 << 40) as f64;

/// Number of successes in `n` trials of probability `p`; `n` is whole.
///
/// One trial at a time up to 8; then by inversion where few successes (or failures) are expected, else by transformed
/// rejection (Hörmann 1993, algorithm BTRS), whose time does not grow with `n`.
pub(super) fn binomial(rng: &mut ChaCha8Rng, n: f64, p: f64) -> f64 {
    if p <= 0.0 || n <= 0.0 {
        return 0.0;
    }
    if p >= 1.0 {
        return n;
    }
    if n > MANY {
        return (n * p).round();
    }
    if n <= 8.0 {
        return (0..n as u32).map(|_| f64::from(u8::from(uniform(rng) < p))).sum();
    }
    if p > 0.5 { n - rare(rng, n, 1.0 - p) } else { rare(rng, n, p) }
}

/// For `p` up to one half.
fn rare(rng: &mut ChaCha8Rng, n: f64, p: f64) -> f64 {
    if n * p < 10.0 { by_inversion(rng, n, p) } else { by_rejection(rng, n, p) }
}

/// Walks up the distribution function.
fn by_inversion(rng: &mut ChaCha8Rng, n: f64, p: f64) -> f64 {
    let odds = p / (1.0 - p);
    let mut probability = libm::exp(n * libm::log1p(-p));
    let mut u = uniform(rng);
    let mut k = 0.0;
    // The sum of all probabilities may fall short of 1 by rounding: n is the end.
    while u > probability && k < n {
        u -= probability;
        k += 1.0;
        probability *= odds * (n - k + 1.0) / k;
    }
    k
}

fn by_rejection(rng: &mut ChaCha8Rng, n: f64, p: f64) -> f64 {
    let odds = p / (1.0 - p);
    let spread = (n * p * (1.0 - p)).sqrt();
    let b = 1.15 + 2.53 * spread;
    let a = -0.0873 + 0.0248 * b + 0.01 * p;
    let c = n * p + 0.5;
    let v_r = 0.92 - 4.2 / b;
    let alpha = (2.83 + 5.1 / b) * spread;
    let mode = ((n + 1.0) * p).floor();
    loop {
        let u = uniform(rng) - 0.5;
        let v = uniform(rng);
        let us = 0.5 - u.abs();
        let k = ((2.0 * a / us + b) * u + c).floor();
        if us >= 0.07 && v <= v_r {
            return k.clamp(0.0, n);
        }
        if !(0.0..=n).contains(&k) {
            continue;
        }
        let v = libm::log(v * alpha / (a / (us * us) + b));
        let bound = (mode + 0.5) * libm::log((mode + 1.0) / (odds * (n - mode + 1.0)))
            + (n + 1.0) * libm::log((n - mode + 1.0) / (n - k + 1.0))
            + (k + 0.5) * libm::log(odds * (n - k + 1.0) / (k + 1.0))
            + stirling(mode)
            + stirling(n - mode)
            - stirling(k)
            - stirling(n - k);
        if v <= bound {
            return k;
        }
    }
}

/// What Stirling's formula leaves of the logarithm of `k!`.
fn stirling(k: f64) -> f64 {
    const SMALL: [f64; 10] = [
        0.081_061_466_795_327_26,
        0.041_340_695_955_409_29,
        0.027_677_925_684_998_34,
        0.020_790_672_103_765_09,
        0.016_644_691_189_821_19,
        0.013_876_128_823_070_75,
        0.011_896_709_945_891_77,
        0.010_411_265_261_972_09,
        0.009_255_462_182_712_733,
        0.008_330_563_433_362_87,
    ];
    if let Some(&known) = SMALL.get(k as usize) {
        return known;
    }
    let k = k + 1.0;
    (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / 1260.0 / (k * k)) / (k * k)) / k
}

#[cfg(test)]
mod tests {
    use super::super::random::{Purpose, stream};
    use super::*;

    /// Pearson's statistic against the exact distribution stays below a bound that chance passes once in a million.
    #[test]
    fn frequencies_are_binomial_in_every_regime() {
        for (n, p) in
            [(3.0, 0.4), (8.0, 0.9), (40.0, 0.05), (60.0, 0.9), (30.0, 0.5), (500.0, 0.3), (90.0, 0.7)]
        {
            let mut rng = stream(1, Purpose::Thin, 0);
            let draws = 60_000;
            let mut counts = vec![0.0; n as usize + 1];
            for _ in 0..draws {
                counts[binomial(&mut rng, n, p) as usize] += 1.0;
            }
            let mut probability = libm::pow(1.0 - p, n);
            let (mut statistic, mut groups, mut pooled) = (0.0, 0.0, (0.0, 0.0));
            for (k, &count) in counts.iter().enumerate() {
                let k = k as f64;
                pooled = (pooled.0 + count, pooled.1 + probability * f64::from(draws));
                if pooled.1 >= 20.0 || k == n {
                    let (found, expected) = pooled;
                    statistic += (found - expected) * (found - expected) / f64::max(expected, 1.0);
                    groups += 1.0;
                    pooled = (0.0, 0.0);
                }
                probability *= (n - k) / (k + 1.0) * p / (1.0 - p);
            }
            assert!(
                statistic < groups + 5.0 * f64::sqrt(2.0 * groups) + 12.0,
                "n {n} p {p}: {statistic} {groups}"
            );
        }
    }

    #[test]
    fn the_ends_are_certain_and_huge_counts_end() {
        let mut rng = stream(0, Purpose::Thin, 0);
        assert_eq!(binomial(&mut rng, 5.0, 0.0), 0.0);
        assert_eq!(binomial(&mut rng, 5.0, 1.0), 5.0);
        assert_eq!(binomial(&mut rng, 0.0, 0.5), 0.0);
        assert_eq!(binomial(&mut rng, 3e38, 0.5), 1.5e38);
        for n in [1e6, 1e9, 1e12] {
            for p in [1e-9, 0.3, 0.999] {
                let k = binomial(&mut rng, n, p);
                let sd = (n * p * (1.0 - p)).sqrt();
                assert!((k - n * p).abs() <= 7.0 * sd + 3.0 && k.fract() == 0.0, "{n} {p} {k}");
            }
        }
    }
}
