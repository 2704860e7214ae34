//! Tests of the perturbations on embedded cells.

use sc_io::Csr;

use super::*;
use crate::{Counts, LogNormalized, NormalizeTotalParams, Subset, log1p, normalize_total};

fn counts() -> Csr {
    sc_io::datasets::pbmc68k_reduced()
        .x()
        .expect("counts")
        .to_csr()
        .select_rows(&(0..120).collect::<Vec<_>>())
}

fn logs(x: &Csr) -> LogNormalized {
    log1p(normalize_total(Counts::new(x).unwrap(), &NormalizeTotalParams::to(1e4)).unwrap())
}

/// Runs on one thread and on four, and compares.
fn on_any_threads<T: PartialEq + std::fmt::Debug + Send>(run: impl Fn() -> T + Sync) -> T {
    let with = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap().install(&run);
    let one = with(1);
    assert_eq!(one, with(4));
    one
}

#[test]
fn a_cell_is_perturbed_the_same_whoever_is_asked_for_beside_it() {
    let x = counts();
    let (c, l) = (Counts::new(&x).unwrap(), logs(&x));
    let noise = GaussianNoise::absolute(0.3).with_seed(5);
    let (mask, thin, batch) = (MaskParams::default(), ThinParams::default(), BatchEffectParams::default());
    let some = [77, 3, 3, 119];
    let run = |subset: Subset<'_>| {
        let counts_batch = batch_effect_counts(c, subset, &batch).unwrap();
        let logs_batch = batch_effect(&l, subset, &batch).unwrap();
        assert_eq!(counts_batch.in_batch, logs_batch.in_batch);
        assert_eq!(counts_batch.factors, logs_batch.factors);
        [
            gaussian_noise(&l, subset, &noise).unwrap().into_csr(),
            mask_values(&l, subset, &mask).unwrap().into_csr(),
            mask_counts(c, subset, &mask).unwrap().into_csr(),
            thin_counts(c, subset, &thin).unwrap().into_csr(),
            counts_batch.x.into_csr(),
            logs_batch.x.into_csr(),
        ]
    };
    let all = on_any_threads(|| run(Subset::all()));
    for (all, some_rows) in all.iter().zip(run(Subset::rows(&some))) {
        assert_eq!(all.select_rows(&some), some_rows);
        assert_ne!(*all, x);
    }
}

#[test]
fn a_level_of_zero_changes_nothing_and_genes_outside_the_mask_stay() {
    let x = counts();
    let (c, l) = (Counts::new(&x).unwrap(), logs(&x));
    let sd = gene_sd(&l, Subset::all()).unwrap();
    let same = gaussian_noise(&l, Subset::all(), &GaussianNoise::relative(0.0, &sd)).unwrap();
    assert_eq!(same.csr(), l.csr());
    assert_eq!(mask_values(&l, Subset::all(), &MaskParams { share: 0.0, seed: 0 }).unwrap(), l);
    assert_eq!(thin_counts(c, Subset::all(), &ThinParams { share: 1.0, seed: 0 }).unwrap().into_csr(), x);
    let still = BatchEffectParams { sigma: 0.0, ..Default::default() };
    assert_eq!(batch_effect(&l, Subset::all(), &still).unwrap().x, l);

    let mask: Vec<bool> = (0..l.n_vars()).map(|gene| gene % 3 == 0).collect();
    let subset = Subset::all().genes(&mask);
    let outside: Vec<usize> = (0..l.n_vars()).filter(|gene| gene % 3 != 0).collect();
    let inside: Vec<usize> = (0..l.n_vars()).step_by(3).collect();
    let whole = gaussian_noise(&l, Subset::all(), &GaussianNoise::absolute(0.3)).unwrap();
    let part = gaussian_noise(&l, subset, &GaussianNoise::absolute(0.3)).unwrap();
    assert_eq!(part.csr().select_columns(&outside), l.csr().select_columns(&outside));
    assert_eq!(part.csr().select_columns(&inside), whole.csr().select_columns(&inside));
    let masked = mask_values(&l, subset, &MaskParams { share: 1.0, seed: 0 }).unwrap();
    assert_eq!(masked.csr().select_columns(&inside).nnz(), 0);
    assert_eq!(masked.csr().select_columns(&outside), l.csr().select_columns(&outside));
}

#[test]
fn noise_has_the_size_asked_for_and_never_falls_below_zero() {
    let n = 20_000;
    let x = Csr::new(n, 2, (0..=n).collect(), vec![0; n], vec![5.0; n]).unwrap();
    let x = LogNormalized::new(x).unwrap();
    let noisy = gaussian_noise(&x, Subset::all(), &GaussianNoise::relative(0.5, &[0.8, 2.0])).unwrap();
    let dense = noisy.csr().to_dense();
    let moments = |gene: usize| {
        let values: Vec<f64> = dense.column(gene).iter().map(|&v| f64::from(v)).collect();
        let mean = values.iter().sum::<f64>() / n as f64;
        (mean, (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n as f64).sqrt())
    };
    let (mean, sd) = moments(0);
    assert!((mean - 5.0).abs() < 0.015 && (sd - 0.4).abs() < 0.01, "{mean} {sd}");
    // A zero becomes the positive half of a normal number of standard deviation 1, of mean 1 / sqrt(2 pi).
    let (mean, _) = moments(1);
    assert!((mean - 0.398_94).abs() < 0.015, "{mean}");
    assert!(dense.iter().all(|&v| v >= 0.0));
    let positive = dense.column(1).iter().filter(|&&v| v > 0.0).count() as f64 / n as f64;
    assert!((positive - 0.5).abs() < 0.015, "{positive}");
}

#[test]
fn counts_stay_counts() {
    let x = counts();
    let c = Counts::new(&x).unwrap();
    let thin = thin_counts(c, Subset::all(), &ThinParams { share: 0.3, seed: 9 }).unwrap();
    let mask = mask_counts(c, Subset::all(), &MaskParams { share: 0.3, seed: 9 }).unwrap();
    let batch =
        batch_effect_counts(c, Subset::all(), &BatchEffectParams { sigma: 1.0, ..Default::default() })
            .unwrap();
    for made in [&thin, &mask, &batch.x] {
        assert_eq!(made.counts().n_obs(), 120);
        assert!(Counts::new(made.counts().csr()).is_ok());
    }
    let sum = |x: &Csr| x.values().iter().map(|&v| f64::from(v)).sum::<f64>();
    assert!((sum(thin.counts().csr()) / sum(&x) - 0.3).abs() < 0.01);
    assert!((mask.counts().csr().nnz() as f64 / x.nnz() as f64 - 0.7).abs() < 0.02);
    let dense = (x.to_dense(), thin.into_csr().to_dense());
    assert!(dense.0.iter().zip(&dense.1).all(|(before, after)| after <= before));
}

#[test]
fn what_is_lost_at_a_small_share_is_lost_at_a_larger_one() {
    let l = logs(&counts());
    let at =
        |share| mask_values(&l, Subset::all(), &MaskParams { share, seed: 4 }).unwrap().into_csr().to_dense();
    let (little, much) = (at(0.2), at(0.6));
    assert!(little.iter().zip(&much).all(|(little, much)| *little > 0.0 || *much == 0.0));
}

#[test]
fn a_batch_is_known_and_the_rest_untouched() {
    let x = counts();
    let l = logs(&x);
    let params = BatchEffectParams { sigma: 0.7, share: 0.4, seed: 2 };
    let made = batch_effect(&l, Subset::all(), &params).unwrap();
    let n_in = made.in_batch.iter().filter(|&&b| b).count();
    assert!((30..70).contains(&n_in), "{n_in}");
    let logs_of_factors: Vec<f64> = made.factors.iter().map(|f| f.ln()).collect();
    let n = logs_of_factors.len() as f64;
    let sd = (logs_of_factors.iter().map(|z| z * z).sum::<f64>() / n).sqrt();
    assert!((sd - 0.7).abs() < 0.08, "{sd}");
    for cell in 0..x.n_rows() {
        let (genes, before) = l.csr().row(cell);
        let (_, after) = made.x.csr().row(cell);
        for ((&gene, &before), &after) in genes.iter().zip(before).zip(after) {
            let factor = if made.in_batch[cell] { made.factors[gene as usize] } else { 1.0 };
            let ratio = f64::from(after).exp_m1() / f64::from(before).exp_m1();
            assert!((ratio / factor - 1.0).abs() < 1e-4, "{ratio} {factor}");
        }
    }
}

#[test]
fn what_cannot_be_is_refused_with_the_parameter() {
    let x = counts();
    let (c, l) = (Counts::new(&x).unwrap(), logs(&x));
    let message = |e: Error| e.to_string();
    let noise = |noise: GaussianNoise<'_>| gaussian_noise(&l, Subset::all(), &noise).unwrap_err();
    assert_eq!(
        message(noise(GaussianNoise::absolute(-0.1))),
        "`level` is -0.1, expected a finite number, 0 or more"
    );
    assert!(matches!(noise(GaussianNoise::absolute(f64::NAN)), Error::Parameter { name: "level", .. }));
    assert_eq!(message(noise(GaussianNoise::relative(0.1, &[1.0]))), "gene_sd has 1 entries, expected 765");
    let sd = vec![f64::INFINITY; l.n_vars()];
    assert!(matches!(noise(GaussianNoise::relative(0.1, &sd)), Error::Parameter { name: "gene_sd", .. }));
    let share = mask_counts(c, Subset::all(), &MaskParams { share: 1.5, seed: 0 }).unwrap_err();
    assert_eq!(message(share), "`share` is 1.5, expected a share from 0 to 1");
    assert!(mask_values(&l, Subset::all(), &MaskParams { share: f64::NAN, seed: 0 }).is_err());
    assert!(thin_counts(c, Subset::all(), &ThinParams { share: -0.5, seed: 0 }).is_err());
    assert!(thin_counts(c, Subset::rows(&[120]), &ThinParams::default()).is_err());
    let sigma = BatchEffectParams { sigma: f64::INFINITY, ..Default::default() };
    assert!(batch_effect(&l, Subset::all(), &sigma).is_err());
    assert!(batch_effect_counts(c, Subset::all().genes(&[true]), &BatchEffectParams::default()).is_err());
    assert!(gene_sd(&l, Subset::rows(&[])).is_err());
}
