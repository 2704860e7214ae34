"""Writes singler.json: markers, scores, labels and deltas of singler on made-up counts."""

import json

import numpy as np
import singler

random = np.random.RandomState(13)


def counts(rates, y, scale):
    x = random.poisson(rates[y] * scale).astype(np.float64)
    total = x.sum(1, keepdims=True)
    total[total == 0] = 1
    return np.round(np.log1p(100 * x / total), 5).astype(np.float32).astype(np.float64)


cases = []
PROBLEMS = [(5, 60, 1.0, None, 0.3), (3, 40, 2.0, 5, 0.5), (6, 50, 1.0, 8, 0.2), (2, 30, 1.0, 4, 0.5)]
for n_classes, n_genes, scale, de, similar in PROBLEMS:
    base = random.gamma(0.6, 2.0, n_genes)
    # Classes that share much, so that fine-tuning has work to do.
    rates = np.array([base * np.exp(random.normal(0, similar, n_genes) * (1 + c % 3)) for c in range(n_classes)])
    y = np.concatenate([np.arange(n_classes), random.choice(n_classes, 70)])
    # One label has a single cell.
    y = np.concatenate([y[(y != n_classes - 1)], [n_classes - 1]]) if n_classes > 2 else y
    test_y = random.choice(n_classes, 50)
    x, test = counts(rates, y, scale), counts(rates, test_y, scale)
    genes = [str(j) for j in range(n_genes)]
    labels = [str(c) for c in y]
    built = singler.train_single(x.T, labels, genes, num_de=de)
    by_effect = singler.train_single(x.T, labels, genes, num_de=4, marker_method="cohens_d")
    plain = singler.classify_single(test.T, built, use_fine_tune=False)
    tuned = singler.classify_single(test.T, built)
    other = singler.classify_single(test.T, built, quantile=0.5, fine_tune_threshold=0.1)

    def floats(a):
        return [None if np.isnan(v) else float(f"{v:.10g}") for v in np.ravel(a)]

    def answer(r):
        return {"best": [int(b) for b in r["best"]], "delta": floats(r["delta"]),
                "scores": floats(np.array([r["scores"][str(c)] for c in range(n_classes)]).T)}

    cases.append({
        "n_classes": n_classes, "n_features": n_genes, "num_de": de,
        "x": [float(f"{v:.6g}") for v in x.ravel()], "y": y.tolist(), "test": [float(f"{v:.6g}") for v in test.ravel()],
        "markers": [[[int(g) for g in built.markers[str(a)][str(b)]] for b in range(n_classes)] for a in range(n_classes)],
        "cohens_d_markers": [[[int(g) for g in by_effect.markers[str(a)][str(b)]] for b in range(n_classes)]
                             for a in range(n_classes)],
        "cohens_d": answer(singler.classify_single(test.T, by_effect)),
        "used": sorted(int(g) for g in built.marker_subset()),
        "plain": answer(plain), "tuned": answer(tuned), "other": answer(other),
    })
    print(n_classes, len(cases[-1]["used"]), sum(a != b for a, b in zip(cases[-1]["plain"]["best"], cases[-1]["tuned"]["best"])),
          np.mean(np.array(cases[-1]["tuned"]["best"]) == test_y))

json.dump(cases, open("singler.json", "w"), separators=(",", ":"))
