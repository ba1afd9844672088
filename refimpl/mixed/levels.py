"""Small matrices, one a level of a grouping factor, all at once: the levels are the last axis, loops run over columns.

No model is known here. A (r, r, J) or (q, r, J) array holds for each of J levels a matrix, the row in the axis before
the last; of the triangular ones only what is not zero is read.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from refimpl.linalg import Array

Codes = NDArray[np.intp]
DEPENDENT = 1e-13  # what is left of a column that the ones before explain, relative to it, is rounding


def sums(A: Array, B: Array, codes: Codes, J: int) -> Array:
    """B_j'A_j for every level, (a, b, J), of the rows' A (a, n) and B (b, n)."""
    out = np.empty((len(A), len(B), J))
    for a in range(len(A)):
        for b in range(len(B)):
            out[a, b] = np.bincount(codes, A[a] * B[b], minlength=J)
    return out


def qr(Z: Array, codes: Codes, J: int) -> tuple[Array, Array]:
    """Z_j = Q_j F_j for every level: Q (r, n) with orthonormal or zero columns, F (r, r, J) upper triangular.

    Gram and Schmidt's way, each column freed twice of those before it (Giraud et al. 2005, Numer. Math. 101).
    """
    Q, F = Z.copy(), np.zeros((len(Z), len(Z), J))
    for b in range(len(Q)):
        whole = np.sqrt(np.bincount(codes, Q[b] ** 2, minlength=J))
        for a in [*range(b), *range(b)]:
            part = np.bincount(codes, Q[a] * Q[b], minlength=J)
            Q[b] -= part[codes] * Q[a]
            F[b, a] += part
        size = np.sqrt(np.bincount(codes, Q[b] ** 2, minlength=J)) if b else whole
        size[size <= DEPENDENT * whole] = 0.0
        Q[b] *= np.divide(1.0, size, out=np.zeros(J), where=size > 0)[codes]
        F[b, b] = size
    return Q, F


def cholesky(B: Array) -> Array:
    """Lower Cholesky factors L of positive definite B (r, r, J); L[a, b] is row a, column b."""
    L = np.zeros_like(B)
    for b in range(len(B)):
        for a in range(b, len(B)):
            rest = B[a, b] - (L[a, :b] * L[b, :b]).sum(axis=0) if b else B[a, b]
            L[a, b] = np.sqrt(rest) if a == b else rest / L[b, b]
    return L


def half_solve(L: Array, H: Array) -> Array:
    """L^-1 H of lower triangular L (r, r, J) and H (..., r, J)."""
    K = np.empty_like(H)
    for a in range(len(L)):
        rest = H[..., a, :]
        for b in range(a):
            rest = rest - L[a, b] * K[..., b, :]
        K[..., a, :] = rest / L[a, a]
    return K
