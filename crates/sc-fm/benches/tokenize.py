"""Rank value encoding as the reference tokeniser goes about it: chunks of 512 cells, one sort a cell.

usage: tokenize.py PBMC3K.h5ad DICTIONARIES gc30M|gc104M
"""
import pickle, sys, time
import anndata, numpy as np, scipy.sparse as sp

def rank_genes(values, tokens):
    return tokens[np.argsort(-values)]

def main(h5ad, folder, series):
    load = lambda name: pickle.load(open(f"{folder}/{name}_{series}.pkl", "rb"))
    adata = anndata.read_h5ad(h5ad)
    adata.obs["n_counts"] = np.asarray(adata.X.sum(axis=1)).ravel()
    size, special = {"gc30M": (2048, False), "gc104M": (4096, True)}[series]
    for repeat in range(3):
        wall0, cpu0 = time.perf_counter(), time.process_time()
        tokens, medians, mapping = load("token_dictionary"), load("gene_median_dictionary"), load("ensembl_mapping_dict")
        mapping = {k: v for k, v in mapping.items() if v in tokens}
        ids = [mapping.get(i.upper()) for i in adata.var["gene_ids"]]
        setup = time.process_time() - cpu0
        cpu1 = time.process_time()
        loc = np.array([i for i, g in enumerate(ids) if g is not None])
        norm = np.array([float(medians[ids[i]]) for i in loc])
        gene_tokens = np.array([int(tokens[ids[i]]) for i in loc])
        out = []
        for start in range(0, adata.n_obs, 512):
            idx = np.arange(start, min(start + 512, adata.n_obs))
            n_counts = adata[idx].obs["n_counts"].values[:, None]
            view = adata[idx, :][:, loc].X
            normed = sp.csr_matrix(view / n_counts * 10_000 / norm)
            cells = [rank_genes(normed[i].data, gene_tokens[normed[i].indices]) for i in range(normed.shape[0])]
            out += [list(c[: size - 2 if special else size]) for c in cells]
        if special:
            out = [[tokens["<cls>"], *c, tokens["<eos>"]] for c in out]
        print(f"{series}: dictionaries {setup:.3f} s, tokens {time.process_time() - cpu1:.3f} s CPU; wall {time.perf_counter() - wall0:.3f} s; {sum(map(len, out))} tokens")

main(*sys.argv[1:])
