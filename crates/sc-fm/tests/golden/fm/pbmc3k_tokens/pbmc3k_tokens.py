"""Rank value encoding of PBMC 3k by Geneformer's published rule, in NumPy, with a stable sort.

usage: pbmc3k_tokens.py PBMC3K.h5ad DICTIONARIES tokens.json
"""

import hashlib
import json
import pickle
import sys

import anndata
import numpy as np
import scipy.sparse as sp

BLOCK, WHOLE = 512, 2
SERIES = {"gc30M": (2048, False), "gc104M": (4096, True)}


def load(folder, name, series):
    with open(f"{folder}/{name}_{series}.pkl", "rb") as file:
        return pickle.load(file)


def ranked(x, n_counts, ids, tokens, medians, mapping):
    """Tokens of every cell, highest value first, columns of one gene summed."""
    mapped = [mapping.get(i.upper()) for i in ids]
    mapped = [m if m in tokens else None for m in mapped]
    columns = {}
    for column, gene in enumerate(mapped):
        if gene is not None:
            columns.setdefault(gene, []).append(column)
    # Genes of one column in the order of the matrix, then those of several.
    genes = sorted(columns, key=lambda g: (len(columns[g]) > 1, columns[g][0]))
    rows = [c for g in genes for c in columns[g]]
    cols = [k for k, g in enumerate(genes) for _ in columns[g]]
    collect = sp.csr_matrix((np.ones(len(rows)), (rows, cols)), shape=(x.shape[1], len(genes)))
    y = (x.astype(np.float64) @ collect).tocsr()
    y.sort_indices()
    token = np.array([int(tokens[g]) for g in genes])
    inverse = 1.0 / np.array([float(medians[g]) for g in genes])
    for cell in range(y.shape[0]):
        span = slice(y.indptr[cell], y.indptr[cell + 1])
        places = y.indices[span]
        values = y.data[span] * (1.0 / n_counts[cell]) * 10_000.0 * inverse[places]
        yield token[places[np.argsort(-values, kind="stable")]]


def main(h5ad, dictionaries, out):
    adata = anndata.read_h5ad(h5ad)
    x = sp.csr_matrix(adata.X)
    n_counts = np.asarray(x.sum(axis=1, dtype=np.float64)).ravel()
    result = {}
    for series, (size, special) in SERIES.items():
        tokens, medians, mapping = (
            load(dictionaries, name, series)
            for name in ("token_dictionary", "gene_median_dictionary", "ensembl_mapping_dict")
        )
        inputs = []
        for cell in ranked(x, n_counts, adata.var["gene_ids"], tokens, medians, mapping):
            genes = cell[: size - 2 if special else size].tolist()
            inputs.append([tokens["<cls>"], *genes, tokens["<eos>"]] if special else genes)
        digests = []
        for start in range(0, len(inputs), BLOCK):
            digest = hashlib.sha256()
            for cell in inputs[start : start + BLOCK]:
                digest.update(np.array([len(cell), *cell], dtype="<u4").tobytes())
            digests.append(digest.hexdigest())
        result[series] = {
            "model_input_size": size,
            "special_token": special,
            "vocab_size": len(tokens),
            "n_tokens": sum(map(len, inputs)),
            "longest": max(map(len, inputs)),
            "first_cells": inputs[:WHOLE],
            "block": BLOCK,
            "sha256": digests,
        }
    with open(out, "w") as file:
        json.dump(result, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
