"""What SciPy, statsmodels' procedure and scikit-learn make of random shifts (seed 7)."""
import json, sys
import numpy as np, scipy, sklearn
from scipy.stats import ranksums, false_discovery_control
from sklearn.mixture import GaussianMixture

rng = np.random.default_rng(7)
genes = []
for g in range(40):
    n = int(rng.integers(3, 30))
    loc = -0.05 if g % 5 == 0 else 0.0
    genes.append([float(np.float32(round(v, 3))) for v in rng.normal(loc, 0.02, n)])
null = [[float(np.float32(round(v, 3))) for v in rng.normal(0, 0.02, int(rng.integers(3, 30)))] for _ in genes]
pooled = np.concatenate(genes)
p = [ranksums(pooled, g).pvalue for g in genes]
pn = [ranksums(a, b).pvalue for a, b in zip(genes, null)]
means = np.array([np.mean(g) for g in genes])
gm = GaussianMixture(n_components=2, random_state=0).fit(means.reshape(-1, 1))
low = int(np.argmin(gm.means_[:, 0]))
def comp(i): return [float(gm.means_[i, 0]), float(gm.covariances_[i, 0, 0]), float(gm.weights_[i])]
def inside(v):
    if v > gm.means_[1 - low, 0]: return False
    if v < gm.means_[low, 0]: return True
    return int(gm.predict([[v]])[0]) == low
json.dump({"versions": {"numpy": np.__version__, "scipy": scipy.__version__, "scikit-learn": sklearn.__version__},
  "genes": genes, "null": null, "p": p, "fdr": false_discovery_control(p).tolist(),
  "p_null": pn, "fdr_null": false_discovery_control(pn).tolist(), "mean": means.tolist(),
  "sd": [float(np.std(g)) for g in genes], "impact": comp(low), "rest": comp(1 - low),
  "impact_fraction": [sum(inside(v) for v in g) / len(g) for g in genes], "has_impact": [inside(m) for m in means],
}, open(sys.argv[1], "w"))
