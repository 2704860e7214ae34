//! What each engine does not know.

use super::Engine;
use crate::classifiers::{
    KnnParams, LinearSvmParams, LogisticRegressionParams, Metric, Model, RandomForestParams, RbfSvmParams,
};

/// The first parameter of `model` that `engine` does not know and that is not at its default.
pub(super) fn unknown(engine: Engine, model: &Model) -> Option<&'static str> {
    let set: &[(&'static str, bool)] = match (engine, model) {
        (Engine::Linfa | Engine::Smartcore, Model::LogisticRegression(params)) => {
            let default = LogisticRegressionParams::default();
            let always_there = engine == Engine::Linfa;
            &[
                ("l1_ratio", params.l1_ratio != default.l1_ratio),
                ("class_weight", params.class_weight != default.class_weight),
                ("max_iter", !always_there && params.max_iter != default.max_iter),
                ("tolerance", !always_there && params.tolerance != default.tolerance),
            ]
        }
        (Engine::Linfa, Model::SvmLinear(params)) => {
            let default = LinearSvmParams::default();
            &[
                ("class_weight", params.class_weight != default.class_weight),
                ("probability", params.probability != default.probability),
                ("max_iter", params.max_iter != default.max_iter),
            ]
        }
        (Engine::Linfa, Model::SvmRbf(params)) => {
            let default = RbfSvmParams::default();
            &[
                ("class_weight", params.class_weight != default.class_weight),
                ("probability", params.probability != default.probability),
                ("cache_bytes", params.cache_bytes != default.cache_bytes),
            ]
        }
        (Engine::Smartcore, Model::RandomForest(params)) => {
            let default = RandomForestParams::default();
            &[
                ("class_weight", params.class_weight != default.class_weight),
                ("max_bins", params.max_bins != default.max_bins),
            ]
        }
        (Engine::Smartcore, Model::Knn(KnnParams { metric, .. })) => {
            &[("metric", *metric != Metric::Euclidean)]
        }
        _ => &[],
    };
    set.iter().find(|(_, is_set)| *is_set).map(|&(name, _)| name)
}
