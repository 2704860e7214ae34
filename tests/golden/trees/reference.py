"""Writes cases.json, the models *.xgb.json and *.ubj: trees of xgboost and scikit-learn on made-up cells."""

import json

import numpy as np
import xgboost as xgb
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.utils.class_weight import compute_sample_weight

rng = np.random.RandomState(11)


def problem(n, n_features, n_classes, zeros):
    y = rng.randint(0, n_classes, n)
    y[: n // 3] = 0
    x = rng.randn(n, n_features) + 0.7 * rng.randn(n_classes, n_features)[y]
    x[rng.rand(n, n_features) < zeros] = 0
    return x.round(2).astype(np.float32), y


def lines(x):
    return [[float(v) for v in row] for row in np.asarray(x, dtype=np.float64).round(7)]


rules = {
    "plain": dict(max_depth=4, learning_rate=0.3),
    "penalties": dict(max_depth=5, learning_rate=0.3, reg_lambda=2.0, reg_alpha=0.4, gamma=0.3, min_child_weight=0.5),
    "light": dict(max_depth=3, learning_rate=0.5, reg_lambda=0.5, min_child_weight=0.0),
}
boosting_rules = {
    "leaves": dict(n_estimators=20, max_depth=2, min_samples_leaf=12, learning_rate=0.3),
    "stumps": dict(n_estimators=40, max_depth=1),
    "balanced": dict(n_estimators=40, max_depth=1, class_weight="balanced"),
}
cases = []
for name, shape in {
    "sparse_3": (120, 8, 3, 0.8),
    "dense_3": (120, 6, 3, 0.0),
    "dense_2": (100, 5, 2, 0.0),
    "sparse_2": (100, 8, 2, 0.8),
}.items():
    x, y = problem(*shape)
    test, _ = problem(40, *shape[1:])
    test += 0.0031  # no value lies midway between two others, where rounding decides
    case = dict(name=name, n_classes=shape[2], x=lines(x), y=y.tolist(), test=lines(test), xgboost={}, gradient_boosting={})
    for rule, params in rules.items():
        for weighted in (False, True):
            model = xgb.XGBClassifier(n_estimators=15, tree_method="hist", **params)
            model.fit(x, y, sample_weight=compute_sample_weight("balanced", y) if weighted else None)
            booster = model.get_booster()
            scores = {
                kind: [round(booster.get_score(importance_type=kind).get(f"f{j}", 0.0), 5) for j in range(shape[1])]
                for kind in ("gain", "total_gain", "weight", "cover", "total_cover")
            }
            key = rule + ("_balanced" if weighted else "")
            case["xgboost"][key] = dict(params=params, training=lines(model.predict_proba(x)), importance=scores)
    if name in ("sparse_3", "dense_2"):
        booster.save_model(f"{name}.xgb.json")
        booster.save_model(f"{name}.ubj")
    case["file"] = lines(model.predict_proba(test))
    for rule, params in boosting_rules.items():
        params = dict(params)
        weights = compute_sample_weight(params.pop("class_weight", None), y)
        models = [GradientBoostingClassifier(random_state=seed, **params).fit(x, y, weights) for seed in range(3)]
        each = [np.concatenate([model.predict_proba(x), model.predict_proba(test)]) for model in models]
        luck = max(np.abs(other - each[0]).max() for other in each)
        case["gradient_boosting"][rule] = dict(
            params=boosting_rules[rule],
            training=lines(each[0][: len(x)]),
            test=lines(each[0][len(x) :]),
            importances=models[0].feature_importances_.round(7).tolist(),
            luck=round(float(luck), 6),
        )
    forests = [
        RandomForestClassifier(300, class_weight="balanced", min_samples_leaf=3, max_features=None, random_state=s).fit(x, y)
        for s in range(3)
    ]
    case["forest"] = dict(
        importances=np.mean([f.feature_importances_ for f in forests], axis=0).round(4).tolist(),
        training=lines(np.mean([f.predict_proba(x) for f in forests], axis=0).round(4)),
        spread=float(np.mean([np.abs(f.predict_proba(x) - forests[0].predict_proba(x)).max() for f in forests[1:]])),
    )
    cases.append(case)
with open("cases.json", "w") as out:
    json.dump(cases, out, separators=(",", ":"))
