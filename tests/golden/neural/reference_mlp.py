"""Writes mlp.json: loss curves and probabilities of scikit-learn's MLPClassifier and MLPRegressor."""

import json
import warnings

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor

warnings.simplefilter("ignore")
random = np.random.RandomState(7)


def problem(n_classes, n_train=180, n_test=40, n_features=12):
    """Counts of a few genes per class, standardised."""
    rates = random.gamma(0.6, 1.5, (n_classes, n_features))
    y = random.choice(n_classes, n_train + n_test, p=np.arange(1, n_classes + 1) / np.arange(1, n_classes + 1).sum())
    x = random.poisson(rates[y]).astype(np.float32)
    x = ((x - x.mean(0)) / x.std(0)).astype(np.float32)
    return x[:n_train], y[:n_train], x[n_train:]


def numbers(a):
    return [float(f"{v:.7g}") for v in np.ravel(a)]


cases = []
for n_classes, hidden in [(4, (10,)), (2, (8, 6)), (3, (20,))]:
    x, y, test = problem(n_classes)
    weights = 1.0 + 0.5 * np.arange(n_classes)
    case = {"n_classes": n_classes, "hidden": hidden, "n_features": x.shape[1], "x": numbers(x), "y": y.tolist(),
            "test": numbers(test), "class_weight": weights.tolist()}
    common = dict(hidden_layer_sizes=hidden, batch_size=50)
    plain = MLPClassifier(**common, shuffle=False, max_iter=30, random_state=1).fit(x, y)
    case["unshuffled"] = numbers(plain.loss_curve_)
    case["unshuffled_probabilities"] = numbers(plain.predict_proba(test))
    shuffled = MLPClassifier(**common, alpha=0.01, max_iter=30, random_state=2).fit(x, y)
    case["shuffled"] = numbers(shuffled.loss_curve_)
    weighted = MLPClassifier(**common, max_iter=20, random_state=3).fit(x, y, sample_weight=weights[y])
    case["weighted"] = numbers(weighted.loss_curve_)
    stopped = MLPClassifier(**common, learning_rate_init=0.01, early_stopping=True, validation_fraction=0.2,
                            n_iter_no_change=4, random_state=4).fit(x, y)
    case["stopped"] = numbers(stopped.loss_curve_)
    case["stopped_scores"] = numbers(stopped.validation_scores_)
    case["stopped_probabilities"] = numbers(stopped.predict_proba(test))
    # From weights that are written down.
    start = MLPClassifier(**common, max_iter=1, random_state=5).fit(x, y)
    case["start"] = [{"weights": numbers(w), "intercepts": numbers(b)} for w, b in zip(start.coefs_, start.intercepts_)]
    start.coefs_ = [np.array(l["weights"], np.float32).reshape(w.shape) for l, w in zip(case["start"], start.coefs_)]
    start.intercepts_ = [np.array(l["intercepts"], np.float32) for l in case["start"]]
    start.set_params(warm_start=True, shuffle=False, max_iter=10)
    start.loss_curve_, start.t_, start.n_iter_ = [], 0, 0
    del start._optimizer
    start.fit(x, y)
    case["from_start"] = numbers(start.loss_curve_)
    # A linear autoencoder is a regression of the cells on themselves.
    auto = MLPRegressor(hidden_layer_sizes=(3,), activation="identity", batch_size=50, max_iter=30, random_state=6).fit(x, x)
    case["autoencoder"] = numbers(auto.loss_curve_)
    case["autoencoder_errors"] = numbers(((auto.predict(test) - test) ** 2).mean(1))
    cases.append(case)

json.dump(cases, open("mlp.json", "w"), separators=(",", ":"))
