"""Answers of scikit-learn for linear.json; run with scikit-learn 1.9.1 and NumPy 2.4.6."""

import json
import sys
import warnings

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.svm import SVC, LinearSVC

warnings.filterwarnings("ignore")
cases = json.load(open(sys.argv[1]))
folds = StratifiedKFold(5)


def objective(model, x, y, c, l1_ratio):
    p = model.predict_proba(x)
    loss = -np.log(p[np.arange(len(y)), y]).sum()
    w = model.coef_
    return c * loss + l1_ratio * np.abs(w).sum() + (1 - l1_ratio) / 2 * (w**2).sum()


out = []
for case in cases:
    x, y, test = (np.array(case[k], dtype=float) for k in ("x", "y", "test"))
    x, test = x.astype(np.float32).astype(float), test.astype(np.float32).astype(float)
    y = y.astype(int)
    k = len(np.unique(y))
    answer = {}
    for name, c, l1_ratio in [("l1", 0.2, 1.0), ("elastic_net", 0.5, 0.4)]:
        m = LogisticRegression(C=c, l1_ratio=l1_ratio, solver="saga", tol=1e-12, max_iter=1_000_000).fit(x, y)
        answer[name] = {
            "c": c,
            "l1_ratio": l1_ratio,
            "objective": objective(m, x, y, c, l1_ratio),
            "coefficients": m.coef_.tolist(),
            "probabilities": m.predict_proba(test).tolist(),
        }
    m = LogisticRegression(C=1, class_weight="balanced", solver="newton-cg", tol=1e-10, max_iter=10000).fit(x, y)
    answer["logistic_balanced"] = m.predict_proba(test).tolist()
    answer["logistic_coefficients"] = m.coef_.tolist()
    answer["logistic_intercepts"] = m.intercept_.tolist()
    m = LinearSVC(C=0.1, class_weight="balanced", tol=1e-10, max_iter=1_000_000).fit(x, y)
    answer["svm_linear_balanced"] = m.coef_.tolist()
    m = LinearSVC(C=0.1, tol=1e-10, max_iter=1_000_000)
    m = CalibratedClassifierCV(m, cv=folds, ensemble=False).fit(x, y)
    answer["svm_linear_probabilities"] = m.predict_proba(test).tolist()
    weights = {i: 1.0 + 2 * i for i in range(k)}
    m = SVC(tol=1e-8, class_weight=weights).fit(x, y)
    answer["svm_rbf_weighted"] = m.predict(test).tolist()
    # Held-out parts are random in LIBSVM: log losses of 20 seeds on cells with known classes.
    svcs = [SVC(tol=1e-6, probability=True, random_state=s).fit(x[:100], y[:100]) for s in range(20)]
    answer["svm_rbf_log_losses"] = sorted(log_loss(y[100:], m.predict_proba(x[100:]), labels=range(k)) for m in svcs)
    m = GaussianNB().fit(x, y)
    answer["naive_bayes"] = m.predict_proba(test).tolist()
    answer["naive_bayes_means"] = m.theta_.tolist()
    answer["naive_bayes_variances"] = m.var_.tolist()
    for name, threshold, priors in [("plain", None, "uniform"), ("shrunk", 1.5, "uniform"), ("empirical", None, "empirical")]:
        m = NearestCentroid(shrink_threshold=threshold, priors=priors).fit(x, y)
        answer["centroid_" + name] = {
            "codes": m.predict(test).tolist(),
            "probabilities": m.predict_proba(test).tolist(),
            "centroids": m.centroids_.tolist(),
        }
    for name, weights, metric in [("distance", "distance", "euclidean"), ("cosine", "uniform", "cosine"), ("cosine_distance", "distance", "cosine")]:
        m = KNeighborsClassifier(7, weights=weights, metric=metric).fit(x, y)
        # Some training cells among the test cells: neighbours at distance 0.
        answer["knn_" + name] = m.predict_proba(np.vstack([test[:20], x[:5]])).tolist()
    out.append(answer)

round6 = lambda v: [round6(u) for u in v] if isinstance(v, list) else {a: round6(b) for a, b in v.items()} if isinstance(v, dict) else float(f"{v:.9g}") if isinstance(v, float) else v
json.dump(round6(out), open(sys.argv[2], "w"), separators=(",", ":"))
