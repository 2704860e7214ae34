"""Reference values of the graph steps. Run: python golden.py <pbmc3k.h5ad> <folder>."""
import json, random, sys
import igraph, leidenalg
import numpy as np, scanpy as sc, scipy.sparse as sp
from scipy.spatial.distance import cdist
from umap.umap_ import fuzzy_simplicial_set
from sklearn.manifold import trustworthiness

source, out = sys.argv[1:]
a = sc.read_h5ad(source)
sc.pp.normalize_total(a, target_sum=1e4)
sc.pp.log1p(a)
sc.pp.highly_variable_genes(a, n_top_genes=2000)
sc.pp.pca(a, n_comps=50)
x = a.obsm["X_pca"]
x.astype("<f4").tofile(f"{out}/pbmc3k_pca.f32")

sc.pp.neighbors(a)
n, k = a.n_obs, 14
indices = a.obsp["distances"].indices.reshape(n, k)
indices.astype("<u2").tofile(f"{out}/pbmc3k_neighbors.u16")
w = a.obsp["connectivities"].tocsr().copy()

# umap's connectivities on distances that are exact: scanpy's are rounded to about 1e-6.
exact = np.sqrt(((x[:, None, :].astype(float) - x[indices].astype(float)) ** 2).sum(-1))
with_self = np.hstack([np.arange(n)[:, None], indices]), np.hstack([np.zeros((n, 1)), exact])
of_exact, _, _ = fuzzy_simplicial_set(sp.coo_matrix((n, 1)), 15, None, None, knn_indices=with_self[0], knn_dists=with_self[1])
some = range(0, n, 60)
short = lambda v: float(str(np.float32(v)))

def modularity(membership, resolution=1.0):
    m = sp.csr_matrix((np.ones(n), (np.arange(n), membership)))
    wd, deg = w.astype(float), np.asarray(w.astype(float).sum(1)).ravel()
    return float((m.T @ wd @ m).diagonal().sum() / wd.sum() - resolution * ((m.T @ deg) ** 2).sum() / wd.sum() ** 2)

directed, undirected = (sc._utils.get_igraph_from_adjacency(w, directed=d) for d in (True, False))
leiden = []
for resolution in (0.5, 1.0, 2.0):
    la, ig = [], []
    for seed in range(10):
        la.append(modularity(leidenalg.find_partition(directed, leidenalg.RBConfigurationVertexPartition, weights="weight",
            n_iterations=-1, seed=seed, resolution_parameter=resolution).membership, resolution))
        random.seed(seed); igraph.set_random_number_generator(random)
        ig.append(modularity(undirected.community_leiden(objective_function="modularity", weights="weight",
            resolution=resolution, n_iterations=2).membership, resolution))
    leiden.append({"resolution": resolution, "leidenalg": la, "igraph": ig})
sc.tl.leiden(a, key_added="la"); sc.tl.leiden(a, key_added="ig", flavor="igraph", n_iterations=2, directed=False)
stored = {key: modularity(a.obs[key].astype(int).to_numpy()) for key in ("la", "ig")}
fixed = (np.arange(n) * 7 // 3) % 11

# After the clusterings: tl.umap of this version changes the connectivities in place.
trust, entropy = [], []
fuzzy = np.asarray(w.todense(), float)
for seed in range(3):
    a.obsp["connectivities"] = w.copy()
    sc.tl.umap(a, random_state=seed)
    trust.append(float(trustworthiness(x, a.obsm["X_umap"], n_neighbors=15)))
    d = cdist(a.obsm["X_umap"].astype(float), a.obsm["X_umap"].astype(float))
    q = np.clip(1 / (1 + 0.5830300203414425 * d ** (2 * 1.3341669924314914)), 1e-6, 1 - 1e-6)
    pairs = fuzzy * np.log(q) + (1 - fuzzy) * np.log(1 - q)
    entropy.append(float(-pairs[~np.eye(n, dtype=bool)].sum()))
values = {
    "n_neighbors": 15,
    "nnz": int(w.nnz),
    "connectivities_sum": float(w.astype(float).sum()),
    "rows": [{"cell": i, "columns": sorted(w[i].indices.tolist()),
              "scanpy": [short(w[i, j]) for j in sorted(w[i].indices)],
              "exact": [short(of_exact[i, j]) for j in sorted(w[i].indices)]} for i in some],
    "distances": [[short(v) for v in exact[i]] for i in some],
    "trustworthiness": trust, "cross_entropy": entropy,
    "leiden": leiden, "scanpy_leiden": stored,
    "modularity_of_fixed_membership": {str(r): modularity(fixed, r) for r in (0.5, 1.0, 2.0)},
}
json.dump(values, open(f"{out}/pbmc3k.json", "w"), separators=(",", ":"))
