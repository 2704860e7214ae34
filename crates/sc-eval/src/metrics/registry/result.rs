//! Values of metrics, as cz-benchmarks keeps and writes them.

use std::collections::BTreeMap;

use super::MetricType;

/// The value of a metric.
///
/// With the feature `serde`, a list of these is what cz-benchmarks' tasks return as JSON (`model_dump`):
/// `[{"metric_type": "mean_fold_accuracy", "value": 0.9, "params": {"classifier": "lr"}}]`. A NaN is written as `null`
/// and read back.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MetricResult {
    /// The metric.
    pub metric_type: MetricType,
    /// Its value.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "number"))]
    pub value: f64,
    /// What it was computed with or for, for example a `classifier`.
    #[cfg_attr(feature = "serde", serde(default))]
    pub params: BTreeMap<String, String>,
}

/// The values of a metric that was computed several times with the same parameters.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AggregatedMetricResult {
    /// The metric.
    pub metric_type: MetricType,
    /// What it was computed with or for.
    #[cfg_attr(feature = "serde", serde(default))]
    pub params: BTreeMap<String, String>,
    /// Number of values.
    pub n_values: usize,
    /// Their mean.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "number"))]
    pub value: f64,
    /// Their standard deviation, `n - 1` in the denominator; `None` for one value.
    pub value_std_dev: Option<f64>,
    /// The values.
    pub values_raw: Vec<f64>,
}

impl MetricResult {
    /// A value without parameters.
    pub fn new(metric_type: MetricType, value: f64) -> Self {
        Self { metric_type, value, params: BTreeMap::new() }
    }

    /// The same with one parameter more.
    #[must_use]
    pub fn with(mut self, param: &str, value: &str) -> Self {
        self.params.insert(param.to_owned(), value.to_owned());
        self
    }
}

/// Mean and standard deviation of the results that share metric and parameters, in order of their first; as
/// cz-benchmarks' `aggregate_results`.
pub fn aggregate_results(results: &[MetricResult]) -> Vec<AggregatedMetricResult> {
    let mut groups: Vec<AggregatedMetricResult> = Vec::new();
    for result in results {
        let same = |g: &&mut AggregatedMetricResult| {
            g.metric_type == result.metric_type && g.params == result.params
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.values_raw.push(result.value),
            None => groups.push(AggregatedMetricResult {
                metric_type: result.metric_type,
                params: result.params.clone(),
                n_values: 0,
                value: 0.0,
                value_std_dev: None,
                values_raw: vec![result.value],
            }),
        }
    }
    for group in &mut groups {
        let n = group.values_raw.len();
        let mean = group.values_raw.iter().sum::<f64>() / n as f64;
        let squares: f64 = group.values_raw.iter().map(|v| (v - mean) * (v - mean)).sum();
        group.n_values = n;
        group.value = mean;
        group.value_std_dev = (n > 1).then(|| (squares / (n - 1) as f64).sqrt());
    }
    groups
}

#[cfg(feature = "serde")]
fn number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let value: Option<f64> = serde::Deserialize::deserialize(deserializer)?;
    Ok(value.unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_the_same_metric_and_parameters_are_aggregated() {
        let result =
            |value, classifier| MetricResult::new(MetricType::Accuracy, value).with("classifier", classifier);
        let found = aggregate_results(&[result(0.5, "lr"), result(0.25, "rf"), result(1.0, "lr")]);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].value, found[0].n_values), (0.75, 2));
        assert_eq!(found[0].value_std_dev, Some(0.125f64.sqrt()));
        assert_eq!(found[0].values_raw, [0.5, 1.0]);
        assert_eq!((found[1].value, found[1].value_std_dev), (0.25, None));
    }

    #[cfg(feature = "serde")]
    #[test]
    fn results_are_written_as_cz_benchmarks_writes_them() {
        let mut results = vec![MetricResult::new(MetricType::MeanFoldF1Score, 0.75).with("classifier", "lr")];
        results.push(MetricResult::new(MetricType::PearsonCorrelation, f64::NAN));
        let json = serde_json::to_string(&results).unwrap();
        let expected = r#"[{"metric_type":"mean_fold_f1","value":0.75,"params":{"classifier":"lr"}},"#
            .to_owned()
            + r#"{"metric_type":"PEARSON_CORRELATION","value":null,"params":{}}]"#;
        assert_eq!(json, expected);
        let back: Vec<MetricResult> = serde_json::from_str(&json).unwrap();
        assert_eq!(back[0], results[0]);
        assert!(back[1].value.is_nan());
    }
}
