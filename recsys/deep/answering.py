"""What the models of this folder compute with NumPy when they are asked."""

from __future__ import annotations

import numpy as np

from recsys.data import Csr
from shared.types import Float32, Float64, Int32, Int64

_TINY = 1e-12
"""The least length that is divided by, which is torch's own."""


def unit_rows(histories: Csr) -> Csr:
    """Histories whose rows have length 1 (Euclidean), CSR, float32; a row of nothing stays one."""
    rows = row_numbers(histories)
    squares = np.bincount(rows, weights=np.square(histories.data, dtype=np.float64), minlength=histories.shape[0])
    return scaled_rows(histories, 1 / np.maximum(np.sqrt(squares), _TINY))


def mean_rows(histories: Csr) -> Csr:
    """Histories whose rows sum to 1, CSR, float32; a row of nothing stays one."""
    sums = np.bincount(row_numbers(histories), weights=histories.data, minlength=histories.shape[0])
    return scaled_rows(histories, 1 / np.maximum(sums, _TINY))


def scaled_rows(histories: Csr, factors: Float64) -> Csr:
    """Histories with each row times its factor, CSR, float32."""
    scaled = histories.astype(np.float32)
    scaled.data = (histories.data * np.repeat(factors, np.diff(histories.indptr))).astype(np.float32)
    return scaled


def row_numbers(histories: Csr) -> Int64:
    """The row of each stored entry, shape (nnz,)."""
    rows: Int64 = np.repeat(np.arange(histories.shape[0]), np.diff(histories.indptr))
    return rows


def centred(vectors: Float32) -> Float32:
    """Vectors of items less their mean, which a softmax over items does not see: it moves all scores alike."""
    found: Float32 = vectors - vectors.mean(axis=0, dtype=np.float32)
    return found


def cosines(vectors: Float32, items: Int32) -> Float32:
    """The cosine of some vectors with all of shape (items, d): shape (n, items), float32."""
    lengths = np.maximum(np.linalg.norm(vectors, axis=1), np.finfo(np.float32).tiny)
    found: Float32 = (vectors[items] / lengths[items, None]) @ vectors.T
    found /= lengths
    return found
