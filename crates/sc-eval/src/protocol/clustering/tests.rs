//! Tests of [`super::clustering`].

use std::convert::Infallible;
use std::error::Error as _;

use ndarray::Array2;

use super::*;
use crate::metrics::clustering::{
    adjusted_mutual_info, adjusted_rand_index, homogeneity_completeness_v_measure, silhouette_score,
};

fn labels() -> Labels {
    Labels::new(&(0..120).map(|i| ["B", "NK", "T"][i % 3]).collect::<Vec<_>>()).unwrap()
}

/// The classes, with some cells in the next cluster.
fn clusters(method: &str, seed: u64) -> Vec<u32> {
    let one_in = if method == "good" { 20 } else { 4 };
    (0..120u32)
        .map(|i| if (i + seed as u32).is_multiple_of(one_in) { (i + 1) % 3 + 7 } else { i % 3 + 7 })
        .collect()
}

fn params() -> ClusteringParams {
    ClusteringParams {
        methods: vec!["good".into(), "bad".into()],
        bootstrap: BootstrapParams { n_replicates: 200, ..Default::default() },
        ..Default::default()
    }
}

#[test]
fn scores_are_those_of_the_metrics_and_lie_in_their_intervals() {
    let labels = labels();
    let x =
        Array2::from_shape_fn((120, 2), |(i, j)| if j == 0 { (i % 3) as f32 } else { (i % 7) as f32 * 0.1 });
    let result =
        clustering(&labels, Some(x.view()), &params(), |m, seed| Ok::<_, Infallible>(clusters(m, seed)))
            .unwrap();
    for method in &result.methods {
        assert_eq!(method.runs.len(), 5);
        for run in &method.runs {
            assert_eq!((&run.assignments, run.n_clusters), (&clusters(&method.method, run.seed), 3));
            let (truth, found) = (labels.codes(), &run.assignments);
            assert_eq!(run.scores.adjusted_rand_index, adjusted_rand_index(truth, found).unwrap());
            assert_eq!(run.scores.adjusted_mutual_info, adjusted_mutual_info(truth, found).unwrap());
            let hcv = homogeneity_completeness_v_measure(truth, found).unwrap();
            assert_eq!(
                (run.scores.homogeneity, run.scores.completeness),
                (hcv.homogeneity, hcv.completeness)
            );
            assert_eq!(run.scores.silhouette, Some(silhouette_score(x.view(), found).unwrap()));
        }
        for (name, estimate) in method.scores.iter() {
            let Estimate { value, interval } = estimate.expect(name);
            assert!(interval.low < value && value < interval.high, "{} {name}: {estimate:?}", method.method);
        }
        assert!(method.sd_adjusted_rand_index.unwrap() >= 0.0);
    }
    let [good, bad] = &result.methods[..] else { panic!("two methods") };
    assert!(good.scores.adjusted_rand_index.interval.low > bad.scores.adjusted_rand_index.interval.high);
    assert_eq!(result.silhouette_of_labels, Some(silhouette_score(x.view(), labels.codes()).unwrap()));
}

#[test]
fn one_cluster_has_no_silhouette_and_says_nothing() {
    let labels = labels();
    let x = Array2::<f32>::zeros((120, 1));
    let params = ClusteringParams { seeds: vec![1], ..params() };
    let one = clustering(&labels, Some(x.view()), &params, |_, _| Ok::<_, Infallible>(vec![3; 120])).unwrap();
    let method = &one.methods[0];
    assert_eq!((method.scores.silhouette, method.scores.adjusted_rand_index.value), (None, 0.0));
    assert_eq!((method.runs[0].n_clusters, method.sd_adjusted_rand_index), (1, None));
}

#[test]
fn what_cannot_be_scored_is_refused_with_its_place() {
    let labels = labels();
    let run = |params: &ClusteringParams, n: usize| {
        clustering(&labels, None, params, |_, _| Ok::<_, Infallible>(vec![0; n])).unwrap_err()
    };
    let short = run(&params(), 7);
    assert_eq!(short.to_string(), "good, seed 0: the answer is not valid");
    assert_eq!(short.source().unwrap().to_string(), "the list of clusters has 7 entries, expected 120");
    let none = ClusteringParams { methods: vec![], ..params() };
    assert_eq!(run(&none, 120).to_string(), "methods is empty");
    let twice = ClusteringParams { seeds: vec![3, 3], ..params() };
    assert_eq!(run(&twice, 120).to_string(), "`seeds` is 3 twice, expected each once");
    let failed = clustering(&labels, None, &params(), |_, _| Err("no")).unwrap_err();
    assert_eq!(failed.to_string(), "good, seed 0: the model failed");
    let x = Array2::<f32>::zeros((7, 1));
    let other = clustering(&labels, Some(x.view()), &params(), |_, _| Ok::<_, Infallible>(vec![0; 120]));
    assert_eq!(other.unwrap_err().to_string(), "the embedding has 7 entries, expected 120");
}
