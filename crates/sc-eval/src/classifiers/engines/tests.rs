use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::*;
use crate::classifiers::{
    ClassWeight, GaussianNaiveBayesParams, KnnParams, LogisticRegressionParams, Metric, NeighborWeights,
    RandomForestParams, RbfSvmParams,
};

/// Cells of five overlapping classes, of which class 2 never occurs; the first `n_train` are for training.
fn cells(n: usize, n_features: usize) -> (Array2<f32>, Vec<u32>) {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut uniform = || f64::from(rng.next_u32()) / f64::from(u32::MAX);
    let codes: Vec<u32> = (0..n).map(|i| [0, 1, 3, 4][i % 4]).collect();
    let x = Array2::from_shape_fn((n, n_features), |(i, j)| {
        let noise: f64 = (0..6).map(|_| uniform() - 0.5).sum();
        let center = if j % 5 == codes[i] as usize { 0.7 } else { 0.0 };
        (center + noise) as f32
    });
    (x, codes)
}

fn halves(n_features: usize) -> ([Features; 2], [Vec<u32>; 2]) {
    let (x, y) = cells(400, n_features);
    let half = |rows: std::ops::Range<usize>| Features::dense(x.slice(ndarray::s![rows, ..])).unwrap();
    ([half(0..240), half(240..400)], [y[..240].to_vec(), y[240..].to_vec()])
}

fn accuracy(answer: &Prediction, truth: &[u32]) -> f64 {
    let right = answer.codes.iter().zip(truth).filter(|(a, b)| a == b).count();
    right as f64 / truth.len() as f64
}

fn model(json: &str) -> Model {
    serde_json::from_str(json).unwrap()
}

fn foreign() -> impl Iterator<Item = (Engine, Model)> {
    let built = Engine::ALL.into_iter().filter(|&engine| engine != Engine::Own && engine.is_built());
    built.flat_map(|engine| engine.models().into_iter().map(move |name| (engine, name.parse().unwrap())))
}

#[test]
fn every_engine_comes_close_to_the_own_fit() {
    let ([train, test], [y, truth]) = halves(25);
    for (engine, model) in foreign() {
        let own = Engine::Own.fit(&model, &train, &y, 5).unwrap();
        let fit = engine.fit(&model, &train, &y, 5).unwrap();
        assert_eq!((fit.engine(), fit.name().to_owned()), (engine, engine.label(&model)));
        assert!(own.fitted().is_some() && fit.fitted().is_none());
        let [own, answer] = [own, fit].map(|fit| fit.predict(&test).unwrap());
        let [ours, theirs] = [&own, &answer].map(|answer| accuracy(answer, &truth));
        let name = engine.label(&model);
        assert!(ours > 0.7, "{name}: {ours}");
        assert!((ours - theirs).abs() <= 0.03, "{name}: {theirs}, own {ours}");
        assert!(!answer.codes.contains(&2), "{name}: predicted a class that it never saw");
        if let Some(p) = answer.probabilities {
            assert_eq!(p.dim(), (160, 5));
            assert!(p.column(2).iter().all(|&p| p == 0.0));
            assert!(p.rows().into_iter().all(|row| (row.sum() - 1.0).abs() < 1e-5), "{name}");
        }
    }
}

#[test]
fn the_same_definition_gives_the_same_probabilities() {
    let ([train, test], [y, _]) = halves(25);
    let two: Vec<u32> = y.iter().map(|&code| u32::from(code > 1)).collect();
    let logistic =
        Model::LogisticRegression(LogisticRegressionParams { tolerance: 1e-8, ..Default::default() });
    let loose = Model::LogisticRegression(LogisticRegressionParams::default());
    let bayes = Model::GaussianNaiveBayes(GaussianNaiveBayesParams::default());
    let knn = Model::Knn(KnnParams { weights: NeighborWeights::Distance, ..Default::default() });
    let cases = [
        (Engine::Linfa, &logistic, &logistic, 1e-4),
        (Engine::Smartcore, &loose, &logistic, 1e-4),
        (Engine::Linfa, &bayes, &bayes, 1e-6),
        (Engine::Smartcore, &knn, &knn, 1e-5),
    ];
    for (engine, model, own, tolerance) in cases {
        for labels in [&y, &two] {
            if !engine.is_built() {
                continue;
            }
            let fits = [engine.fit(model, &train, labels, 5), Engine::Own.fit(own, &train, labels, 5)];
            let [theirs, ours] = fits.map(|fit| fit.unwrap().predict(&test).unwrap().probabilities.unwrap());
            let largest = theirs.iter().zip(&ours).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(largest <= tolerance, "{}: {largest}", engine.label(model));
        }
    }
}

#[test]
fn two_fits_are_the_same_on_any_number_of_threads() {
    let ([train, test], [y, _]) = halves(25);
    for (engine, model) in foreign() {
        let answers = [1, 3].map(|n| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
            pool.install(|| engine.fit(&model, &train, &y, 5).unwrap().predict(&test).unwrap())
        });
        assert_eq!(answers[0], answers[1], "{}", engine.label(&model));
    }
}

#[test]
fn sparse_features_are_the_same_as_dense_ones() {
    let dense = ndarray::array![[0.0f32, 2.0], [0.0, 3.0], [1.0, -1.0], [4.0, -1.0], [0.0, 2.5], [3.0, -1.0]];
    let (indptr, indices) = (vec![0, 1, 2, 3, 4, 5, 6], vec![1, 1, 0, 0, 1, 0]);
    let values = vec![2.0, 3.0, 1.0, 4.0, 2.5, 3.0];
    let sparse = Features::sparse(indptr, indices, values, vec![0.0, -1.0]).unwrap();
    let dense = Features::dense(dense.view()).unwrap();
    for (engine, model) in foreign() {
        let model =
            if model.name() == "knn" { self::model(r#"{"name": "knn", "n_neighbors": 2}"#) } else { model };
        let answers = [&dense, &sparse]
            .map(|x| engine.fit(&model, x, &[0, 0, 1, 1, 0, 1], 2).unwrap().predict(&dense).unwrap());
        assert_eq!(answers[0].codes, [0, 0, 1, 1, 0, 1], "{}", engine.label(&model));
        assert_eq!(answers[0].codes, answers[1].codes, "{}", engine.label(&model));
    }
}

#[test]
fn one_class_is_predicted_for_everybody() {
    let x = Features::dense(ndarray::array![[0.0f32], [1.0], [2.0]].view()).unwrap();
    for (engine, model) in foreign() {
        let model =
            if model.name() == "knn" { self::model(r#"{"name": "knn", "n_neighbors": 2}"#) } else { model };
        let own = Engine::Own.fit(&model, &x, &[1, 1, 1], 3).unwrap().predict(&x).unwrap();
        let answer = engine.fit(&model, &x, &[1, 1, 1], 3).unwrap().predict(&x).unwrap();
        assert_eq!(answer.codes, [1, 1, 1]);
        if answer.probabilities.is_some() {
            assert_eq!(answer, own, "{}", engine.label(&model));
        }
    }
}

#[test]
fn labels_and_features_are_checked_as_for_the_own_fit() {
    let ([train, test], [y, _]) = halves(5);
    let named = train.clone().with_names((0..5).map(|j| format!("g{j}")).collect()).unwrap();
    let other = test.with_names((0..5).map(|j| format!("h{j}")).collect()).unwrap();
    for (engine, model) in foreign() {
        let short = engine.fit(&model, &train, &y[1..], 5).unwrap_err();
        assert_eq!(short.to_string(), "training labels has 239 entries, expected 240");
        assert!(matches!(engine.fit(&model, &train, &y, 3), Err(Error::ClassCode { .. })));
        let fit = engine.fit(&model, &named, &y, 5).unwrap();
        assert!(matches!(fit.predict(&other), Err(Error::FeatureName { column: 0, .. })));
        let narrow = Features::dense(ndarray::array![[1.0f32]].view()).unwrap();
        assert!(matches!(fit.predict(&narrow), Err(Error::Length { found: 1, expected: 5, .. })));
    }
}

#[test]
fn constant_features_are_an_answer_or_an_error_and_never_nan() {
    let x = Features::dense(Array2::<f32>::ones((8, 3)).view()).unwrap();
    for (engine, model) in foreign() {
        let model =
            if model.name() == "knn" { self::model(r#"{"name": "knn", "n_neighbors": 2}"#) } else { model };
        match engine.fit(&model, &x, &[0, 1, 0, 1, 0, 1, 0, 1], 2).and_then(|fit| fit.predict(&x)) {
            Ok(answer) => assert!(answer.probabilities.is_none_or(|p| p.iter().all(|p| p.is_finite()))),
            Err(error) => {
                let text = error.to_string();
                assert!(
                    text.starts_with(&format!("{engine} cannot ")) && text.contains(model.name()),
                    "{text}"
                );
            }
        }
    }
}

#[test]
fn what_an_engine_does_not_know_is_refused() {
    let refused = |engine: Engine, json: &str| engine.check(&model(json)).unwrap_err();
    if Engine::Linfa.is_built() {
        let missing = refused(Engine::Linfa, r#""random_forest""#);
        assert_eq!(
            missing.to_string(),
            "linfa has no random_forest; it has logistic_regression, svm_linear, svm_rbf, gaussian_naive_bayes"
        );
        assert!(missing.help().is_some());
        let weights = refused(Engine::Linfa, r#"{"name": "svm_rbf", "class_weight": "balanced"}"#);
        assert_eq!(
            weights.to_string(),
            "`class_weight` is set, but the svm_rbf of linfa has no such parameter"
        );
        assert!(weights.help().is_some());
        Engine::Linfa.check(&model(r#"{"name": "logistic_regression", "c": 2, "max_iter": 5}"#)).unwrap();
    }
    if Engine::Smartcore.is_built() {
        let text = |json: &str| refused(Engine::Smartcore, json).to_string();
        assert!(text(r#"{"name": "logistic_regression", "max_iter": 5}"#).starts_with("`max_iter` is set"));
        assert!(text(r#"{"name": "random_forest", "max_bins": 5}"#).starts_with("`max_bins` is set"));
        assert!(text(r#"{"name": "knn", "metric": "cosine"}"#).starts_with("`metric` is set"));
    }
    Engine::Own.check(&model(r#"{"name": "knn", "metric": "cosine"}"#)).unwrap();
}

#[test]
fn every_parameter_that_is_refused_has_a_name_of_the_model() {
    let all = [
        Model::LogisticRegression(LogisticRegressionParams { l1_ratio: 0.5, ..Default::default() }),
        Model::SvmRbf(RbfSvmParams { class_weight: ClassWeight::Balanced, ..Default::default() }),
        Model::RandomForest(RandomForestParams { max_bins: 2, ..Default::default() }),
        Model::Knn(KnnParams { metric: Metric::Cosine, ..Default::default() }),
    ];
    for (model, engine) in all.iter().flat_map(|m| [(m, Engine::Linfa), (m, Engine::Smartcore)]) {
        let Some(parameter) = parameters::unknown(engine, model) else { continue };
        assert!(serde_json::to_value(model).unwrap().get(parameter).is_some(), "{parameter}");
    }
}

#[test]
fn parameters_out_of_range_are_named() {
    let ([train, _], [y, _]) = halves(5);
    let cases = [
        (Engine::Linfa, r#"{"name": "logistic_regression", "c": 0}"#, "`c` is 0, expected above 0"),
        (Engine::Linfa, r#"{"name": "svm_linear", "c": -1}"#, "`c` is -1, expected above 0"),
        (Engine::Linfa, r#"{"name": "svm_rbf", "gamma": 0}"#, "`gamma` is 0, expected above 0"),
        (
            Engine::Linfa,
            r#"{"name": "gaussian_naive_bayes", "var_smoothing": 0}"#,
            "`var_smoothing` is 0, expected above 0",
        ),
        (
            Engine::Smartcore,
            r#"{"name": "random_forest", "n_trees": 70000}"#,
            "`n_trees` is 70000, expected from 1 to 65535",
        ),
        (
            Engine::Smartcore,
            r#"{"name": "knn", "n_neighbors": 241}"#,
            "`n_neighbors` is 241, expected at least 1 and at most the number of training cells",
        ),
    ];
    for (engine, json, expected) in cases.into_iter().filter(|(engine, ..)| engine.is_built()) {
        assert_eq!(engine.fit(&model(json), &train, &y, 5).unwrap_err().to_string(), expected);
    }
}

#[test]
fn an_engine_that_is_not_built_says_which_are() {
    for engine in Engine::ALL.into_iter().filter(|engine| !engine.is_built()) {
        let error = engine.check(&model(r#""knn""#)).unwrap_err();
        let start = format!("the engine {engine} is not part of this build, which has own");
        assert!(error.to_string().starts_with(&start), "{error}");
        assert!(error.help().unwrap().contains("--features"));
        let x = Features::dense(ndarray::array![[0.0f32]].view()).unwrap();
        assert!(matches!(engine.fit(&Model::Majority, &x, &[0], 1), Err(Error::EngineNotBuilt { .. })));
    }
}

#[test]
fn engines_are_read_by_name_and_have_every_model_they_list() {
    for engine in Engine::ALL {
        assert_eq!(engine.name().parse::<Engine>().unwrap(), engine);
        assert_eq!(serde_json::to_value(engine).unwrap(), engine.name());
        for name in engine.models() {
            let model: Model = name.parse().unwrap();
            assert_eq!(engine.check(&model).is_ok(), engine.is_built());
        }
    }
    let unknown = "linfra".parse::<Engine>().unwrap_err();
    assert_eq!(unknown.to_string(), "no engine is called \"linfra\"; there are own, linfa, smartcore");
    assert_eq!(Engine::Own.label(&Model::Majority), "majority");
}
