//! Distributions, intervals and tests.

use ndarray::Array2;
use sc_eval::statistics::{
    Discordant, McNemar, PermutationParams, benjamini_hochberg, clopper_pearson, corrected_resampled_t,
    distributions::{
        beta_cdf, beta_quantile, beta_sf, chi2_sf, f_sf, normal_cdf, normal_quantile, normal_sf,
        studentized_range_quantile, studentized_range_sf, t_sf, t_two_sided,
    },
    friedman, holm, mcnemar, paired_permutation, wilcoxon_signed_rank, wilson,
};
use serde_json::Value;

use super::CLOSE;
use crate::golden::eval::{EXACT, assert_all_close, assert_close, items, number, numbers, size};
use crate::support::golden;

/// What the distributions promise, relative to the value.
const DISTRIBUTION: f64 = 1e-10;

#[track_caller]
fn assert_relative(what: &str, found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance * expected.abs(), "{what}: {found}, scipy {expected}");
}

fn count(value: &Value) -> u64 {
    value.as_u64().expect("a count")
}

#[test]
fn distributions_equal_scipy_in_the_tails_too() {
    let cases = golden("scores/distributions.json");
    assert!(items(&cases["functions"]).len() > 150);
    for case in items(&cases["functions"]) {
        let (name, x) = (case[0].as_str().unwrap(), numbers(&case[1]));
        let found = match name {
            "normal_cdf" => normal_cdf(x[0]),
            "normal_sf" => normal_sf(x[0]),
            "normal_quantile" => normal_quantile(x[0]),
            "beta_cdf" => beta_cdf(x[0], x[1], x[2]),
            "beta_sf" => beta_sf(x[0], x[1], x[2]),
            "beta_quantile" => beta_quantile(x[0], x[1], x[2]),
            "t_sf" => t_sf(x[0], x[1]),
            "t_two_sided" => t_two_sided(x[0], x[1]),
            "chi2_sf" => chi2_sf(x[0], x[1]),
            "f_sf" => f_sf(x[0], x[1], x[2]),
            _ => panic!("{name} is not known"),
        };
        assert_relative(&format!("{name} {x:?}"), found, number(&case[2]), DISTRIBUTION);
    }
}

#[test]
fn the_studentised_range_equals_scipy() {
    for case in items(&golden("scores/distributions.json")["studentized_range"]) {
        let (x, k, dof) = (number(&case[1]), size(&case[2]), number(&case[3]));
        let found = match case[0].as_str() {
            Some("sf") => studentized_range_sf(x, k, dof),
            _ => studentized_range_quantile(x, k, dof),
        };
        assert_close(&case.to_string(), found, number(&case[4]), 1e-6);
    }
}

#[test]
fn mcnemar_equals_the_binomial_and_chi_squared_distributions_of_scipy() {
    let methods = [
        ("exact", McNemar::Exact),
        ("mid_p", McNemar::MidP),
        ("chi2", McNemar::ChiSquared),
        ("corrected", McNemar::Corrected),
    ];
    for case in items(&golden("scores/statistics.json")["mcnemar"]) {
        let cells = Discordant { only_first: count(&case["b"]), only_second: count(&case["c"]) };
        for (key, method) in methods {
            assert_relative(&format!("{cells:?} {key}"), mcnemar(cells, method), number(&case[key]), CLOSE);
        }
    }
}

#[test]
fn intervals_of_proportions_equal_scipy() {
    for case in items(&golden("scores/statistics.json")["proportions"]) {
        let (k, n, level) = (count(&case["k"]), count(&case["n"]), number(&case["level"]));
        for (key, interval) in [("wilson", wilson(k, n, level)), ("exact", clopper_pearson(k, n, level))] {
            let found = interval.unwrap();
            let what = format!("{k} of {n} {key}");
            assert_all_close(&what, &[found.low, found.high], &numbers(&case[key]), 1e-10);
        }
    }
}

#[test]
fn tests_of_differences_equal_scipy() {
    let cases = golden("scores/statistics.json");
    for case in items(&cases["t_tests"]) {
        let found = corrected_resampled_t(&numbers(&case["d"]), number(&case["share"])).unwrap();
        assert_all_close("t", &[found.t, found.p], &[number(&case["t"]), number(&case["p"])], CLOSE);
    }
    for case in items(&cases["wilcoxon"]) {
        let found = wilcoxon_signed_rank(&numbers(&case["d"])).unwrap();
        let what = format!("Wilcoxon of {}", found.n);
        assert_close(&what, found.w_plus.min(found.w_minus), number(&case["statistic"]), EXACT);
        assert_close(&what, found.p, number(&case["p"]), CLOSE);
    }
    for case in items(&cases["permutation"]) {
        let found = paired_permutation(&numbers(&case["d"]), &PermutationParams::default()).unwrap();
        assert_close("permutation", found, number(&case["p"]), EXACT);
    }
}

#[test]
fn adjusted_p_values_equal_scipy() {
    for case in items(&golden("scores/statistics.json")["adjust"]) {
        let p = numbers(&case["p"]);
        assert_all_close("Benjamini-Hochberg", &benjamini_hochberg(&p), &numbers(&case["bh"]), EXACT);
        assert_all_close("Holm", &holm(&p), &numbers(&case["holm"]), EXACT);
    }
}

#[test]
fn ranks_over_data_sets_equal_scipy() {
    for case in items(&golden("scores/statistics.json")["friedman"]) {
        let shape = (size(&case["shape"][0]), size(&case["shape"][1]));
        let scores = Array2::from_shape_vec(shape, numbers(&case["scores"])).unwrap();
        let found = friedman(scores.view()).unwrap();
        assert_all_close("ranks", &found.average_ranks, &numbers(&case["ranks"]), EXACT);
        let values =
            [("chi2", found.chi_squared), ("p_chi2", found.p_chi_squared), ("f", found.f), ("p", found.p)];
        for (key, found) in values {
            assert_close(key, found, number(&case[key]), CLOSE);
        }
        let critical = found.critical_difference(0.05).unwrap();
        assert_close("critical difference", critical, number(&case["cd"]), 1e-6);
        let p = found.nemenyi_p(0, shape.1 - 1);
        assert_close("Nemenyi", p, number(&case["nemenyi_first_last"]), 1e-6);
    }
}
