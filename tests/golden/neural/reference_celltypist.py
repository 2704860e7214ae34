"""Writes celltypist.json: models, answers and votes of celltypist on made-up counts."""

import json
import warnings

import anndata
import celltypist
import numpy as np
import pandas as pd

warnings.simplefilter("ignore")
random = np.random.RandomState(11)


def counts(rates, y):
    x = random.poisson(rates[y]).astype(np.float64)
    x[:, -1] = 0
    x = np.log1p(1e4 * x / x.sum(1, keepdims=True))
    return np.round(x, 5)


cases = []
for n_classes, names in [(4, "abcd"), (2, "ab")]:
    rates = random.gamma(0.5, 2.0, (n_classes, 30))
    y, y_test = random.randint(0, n_classes, 120), random.randint(0, n_classes, 40)
    # Few cells come as classes of their own.
    y[:n_classes] = y_test[:n_classes] = range(n_classes)
    x, test = counts(rates, y), counts(rates, y_test)
    genes = [f"g{j}" for j in range(30)]
    labels = np.array(list(names))[y]
    model = celltypist.train(x, labels, genes, check_expression=False, C=0.5, max_iter=10000, tol=1e-9)
    adata = anndata.AnnData(test, var=pd.DataFrame(index=genes), obs=pd.DataFrame(index=[f"c{i}" for i in range(40)]))
    answer = celltypist.annotate(adata, model)
    clusters = random.randint(0, 7, 40)
    votes = []
    for min_prop in [0, 0.4, 0.6]:
        fresh = celltypist.annotate(adata, model)
        voted = celltypist.classifier.Classifier.majority_vote(fresh, clusters, min_prop=min_prop)
        voted = voted.predicted_labels["majority_voting"].astype(str)
        votes.append([names.index(v) if v in names else None for v in voted])
    cases.append({
        "n_classes": n_classes, "n_features": 30, "x": x.ravel().tolist(), "y": y.tolist(), "test": test.ravel().tolist(),
        "genes": [int(g[1:]) for g in model.features],
        "coefficients": np.round(model.classifier.coef_, 7).ravel().tolist(),
        "decision": np.round(answer.decision_matrix.values, 7).ravel().tolist(),
        "probability": np.round(answer.probability_matrix.values, 7).ravel().tolist(),
        "predicted": [names.index(v) for v in answer.predicted_labels["predicted_labels"]],
        "clusters": clusters.tolist(), "min_prop": [0, 0.4, 0.6], "votes": votes,
    })

json.dump(cases, open("celltypist.json", "w"), separators=(",", ":"))
