use super::*;

#[test]
fn different_values_have_bins_that_rise_with_them() {
    let values: Vec<f64> = (1..=200).map(|i| f64::from(i * i)).collect();
    let bins = bin_values(&values, N_BINS, Ties::Middle).unwrap();
    assert!(bins.is_sorted());
    assert_eq!((bins[0], bins[199]), (1, 50));
    for bin in 1..=50 {
        let n = bins.iter().filter(|&&b| b == bin).count();
        assert!((1..=5).contains(&n), "bin {bin} has {n} of 200 values");
    }
}

#[test]
fn a_value_between_edges_has_one_bin_whatever_the_draw() {
    let edges = [1.0, 2.0, 2.0, 2.0, 5.0];
    assert_eq!(Sides::of(&edges, 3.0), Sides { left: 4, right: 4 });
    assert_eq!(Sides::of(&edges, 3.0).bin(0.0), 4);
    assert_eq!(Sides::of(&edges, 3.0).bin(0.999), 4);
}

#[test]
fn a_value_on_equal_edges_has_every_bin_above_the_edges_below_it() {
    let sides = Sides::of(&[1.0, 2.0, 2.0, 2.0, 5.0], 2.0);
    assert_eq!(sides, Sides { left: 4, right: 1 });
    let bins: Vec<u32> = [0.0, 0.3, 0.4, 0.6, 0.7, 1.0 - f64::EPSILON / 2.0].map(|u| sides.bin(u)).into();
    assert_eq!(bins, [4, 4, 3, 3, 2, 2]);
}

#[test]
fn the_largest_draw_below_one_never_gives_the_bin_of_zero() {
    let largest = 1.0 - f64::EPSILON / 2.0;
    for left in 1..=65_535 {
        assert!(Sides { left, right: 0 }.bin(largest) >= 1, "{left} edges");
    }
}

#[test]
fn equal_values_spread_over_all_bins_by_their_draws() {
    let draws: Vec<f64> = (0..50).map(|i| (f64::from(i) + 0.5) / 50.0).collect();
    let mut bins = bin_values(&[3.0_f32; 50], N_BINS, Ties::Draws(&draws)).unwrap();
    bins.sort_unstable();
    bins.dedup();
    assert_eq!(bins.len(), 50);
    assert_eq!(bin_values(&[3.0_f32; 50], N_BINS, Ties::Middle).unwrap(), [25; 50]);
}

#[test]
fn seeded_draws_are_the_same_for_the_same_cell_and_spread_over_the_bins() {
    let values = [1.0_f32; 200];
    let bins = |seed| bin_values(&values, N_BINS, Ties::Seeded(seed)).unwrap();
    assert_eq!(bins(3), bins(3));
    assert_ne!(bins(3), bins(4));
    let mean = f64::from(bins(3).iter().sum::<u32>()) / 200.0;
    // Uniform on 1..=50: mean 25.5, standard error 1.02.
    assert!((22.0..29.0).contains(&mean), "{mean}");
    let untied = [0.5, 7.0, 2.0, 3.0];
    let middle = bin_values(&untied, 11, Ties::Middle).unwrap();
    assert_eq!(bin_values(&untied, 11, Ties::Seeded(0)).unwrap(), middle);
}

#[test]
fn zeros_stay_zero_and_take_no_draw() {
    let bins = bin_values(&[0.0, 4.0, 0.0, 8.0], 11, Ties::Draws(&[0.0, 0.0])).unwrap();
    assert_eq!(bins, [0, 1, 0, 10]);
    assert_eq!(bin_values(&[0.0_f32; 3], 11, Ties::Middle).unwrap(), [0; 3]);
    assert_eq!(bin_values::<f32>(&[], 11, Ties::Middle).unwrap(), [0; 0]);
}

#[test]
fn order_of_the_entries_and_a_power_of_two_do_not_change_the_bins() {
    let values: Vec<f32> = (0..97).map(|i| ((i * 61) % 97 / 3) as f32).collect();
    let bins = bin_values(&values, N_BINS, Ties::Middle).unwrap();
    let scaled: Vec<f32> = values.iter().map(|v| v * 0.25).collect();
    assert_eq!(bin_values(&scaled, N_BINS, Ties::Middle).unwrap(), bins);
    let reversed: Vec<f32> = values.iter().rev().copied().collect();
    assert!(bin_values(&reversed, N_BINS, Ties::Middle).unwrap().iter().eq(bins.iter().rev()));
}

#[test]
fn every_number_of_bins_has_that_many_bins() {
    let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0_f64];
    for n_bins in [2, 3, 51, 65_536] {
        assert_eq!(edges(&values, n_bins).unwrap().len(), n_bins - 1);
        let bins = bin_values(&values, n_bins, Ties::Middle).unwrap();
        assert_eq!((bins[0], bins[6] as usize), (1, n_bins - 1));
    }
    for n_bins in [0, 1, 65_537, usize::MAX] {
        assert!(matches!(edges(&values, n_bins), Err(Error::Parameter { name: "n_bins", .. })));
        assert!(matches!(bin_values(&values, n_bins, Ties::Middle), Err(Error::Parameter { .. })));
    }
}

#[test]
fn values_of_a_scaled_matrix_and_draws_that_do_not_fit_are_refused() {
    for value in [-0.1, f64::NAN, f64::INFINITY] {
        let error = bin_values(&[1.0, value], N_BINS, Ties::Middle).unwrap_err();
        assert!(matches!(error, Error::NotExpression { position: 1, .. }));
        assert!(error.help().unwrap().contains("scaled"));
    }
    assert!(matches!(edges(&[0.0_f32], N_BINS), Err(Error::NoValues)));
    let bin = |draws| bin_values(&[1.0, 0.0, 2.0], N_BINS, Ties::Draws(draws));
    assert!(matches!(bin(&[0.1; 3]), Err(Error::Draws { found: 3, expected: 2 })));
    assert!(matches!(bin(&[0.1, 1.0]), Err(Error::Draw { position: 1, .. })));
    assert!(matches!(bin(&[f64::NAN, 0.0]), Err(Error::Draw { position: 0, .. })));
}

#[test]
fn edges_of_f32_and_f64_differ_as_they_do_in_numpy() {
    // numpy.quantile(values, linspace(0, 1, 5)) of NumPy 2.4.6, in both types.
    let values = [0.1_f32, 3.0, 1e-3, 7.7];
    let narrow = [
        0.0010000000474974513,
        0.07525000162422657,
        1.5499999523162842,
        4.174999952316284,
        7.699999809265137,
    ];
    let wide =
        [0.0010000000474974513, 0.07525000112946145, 1.550000000745058, 4.174999952316284, 7.699999809265137];
    assert_eq!(edges(&values, 6).unwrap(), narrow);
    assert_eq!(edges(&values.map(f64::from), 6).unwrap(), wide);
}
