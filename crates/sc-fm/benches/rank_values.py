"""Rank value encoding as a NumPy tokeniser goes about it: chunks of 512 cells, one sort a cell.

Prints CPU seconds; columns of one gene are not summed.

usage: rank_values.py PBMC3K.h5ad DICTIONARIES gc30M|gc104M
"""

import pickle
import sys
import time

import anndata
import numpy as np
import scipy.sparse as sp

SERIES = {"gc30M": (2048, False), "gc104M": (4096, True)}


def rank_genes(values, tokens):
    return tokens[np.argsort(-values)]


def tokenize(adata, load, size, special):
    start = time.process_time()
    tokens, medians = load("token_dictionary"), load("gene_median_dictionary")
    mapping = {k: v for k, v in load("ensembl_mapping_dict").items() if v in tokens}
    genes = [mapping.get(i.upper()) for i in adata.var["gene_ids"]]
    known = np.array([i for i, gene in enumerate(genes) if gene is not None])
    norm = np.array([float(medians[genes[i]]) for i in known])
    gene_tokens = np.array([int(tokens[genes[i]]) for i in known])
    set_up = time.process_time()
    out = []
    for first in range(0, adata.n_obs, 512):
        rows = np.arange(first, min(first + 512, adata.n_obs))
        n_counts = adata[rows].obs["n_counts"].values[:, None]
        normed = sp.csr_matrix(adata[rows, :][:, known].X / n_counts * 10_000 / norm)
        cells = [rank_genes(normed[i].data, gene_tokens[normed[i].indices]) for i in range(normed.shape[0])]
        out += [list(cell[: size - 2 if special else size]) for cell in cells]
    if special:
        out = [[tokens["<cls>"], *cell, tokens["<eos>"]] for cell in out]
    return set_up - start, time.process_time() - set_up, sum(map(len, out))


def main(h5ad, folder, series):
    def load(name):
        with open(f"{folder}/{name}_{series}.pkl", "rb") as file:
            return pickle.load(file)

    adata = anndata.read_h5ad(h5ad)
    adata.obs["n_counts"] = np.asarray(adata.X.sum(axis=1)).ravel()
    for _ in range(3):
        set_up, matrix, n_tokens = tokenize(adata, load, *SERIES[series])
        print(f"{series}: set-up {set_up:.4f} s, matrix {matrix:.4f} s, {n_tokens} tokens")


if __name__ == "__main__":
    main(*sys.argv[1:])
