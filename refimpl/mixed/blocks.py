"""The objective of mixed/objective.py on blocks: cross-products once, then no work that grows with the rows.

The grouping factor with most levels comes first. What its level j says is in r numbers a column: Z_j = Q_j F_j with
orthonormal Q_j and triangular F_j leaves H_j = Q_j'[rest], and with Sigma_1 = Lambda_1 Lambda_1'

    V_1 = I + Z_1 Sigma_1 Z_1',   rest' V_1^-1 rest = within + sum_j H_j' B_j^-1 H_j,   B_j = I + F_j Sigma_1 F_j'

(Woodbury), a sum of positive parts in which nothing cancels. The rest is [Z_2 X y]: the other grouping factors, whose
cross-table with the first is often sparse, the fixed effects made orthonormal, and y less its least-squares fit. Arrays
over the levels of the first factor have these as their last axis, so that Python loops over columns only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from refimpl.least_squares import LeastSquares
from refimpl.linalg import Array
from refimpl.mixed import levels
from refimpl.mixed.levels import Codes

FEW = 0.15  # a larger part of Q'Z_2 that is not zero is stored with its zeros
SMALL = 10_000  # and so is one with no more cells
MANY = 200_000  # numbers in Z_2 freed of Q that are not too many, whatever Z_2 has
DEPENDENT = 1e-14  # an eigenvalue of the columns' correlation that is rounding


@dataclass(frozen=True)
class Term:
    """A bar term: codes (n,) of its levels 0..levels-1, and the model matrix Z (n, r) of its left side."""

    codes: Codes
    levels: int
    Z: Array

    @property
    def r(self) -> int:
        """Columns a level."""
        return int(self.Z.shape[1])

    @property
    def n_theta(self) -> int:
        """Free entries of the lower triangular factor."""
        return self.r * (self.r + 1) // 2


@dataclass(frozen=True)
class Cross:
    """A matrix (q2, r J) of the other factors' columns by the first factor's levels, which see few of them each.

    values: (q2, r, J); or where that would be zeros for the most part (r, m) of the `level` (m,), rising, and `column`
    (m,) of q2.
    """

    values: Array
    shape: tuple[int, int, int]
    column: Codes
    level: Codes

    def _at(self, A: Array) -> Array:
        """What stands in (..., J) at the levels of `values`."""
        return A if self.values.ndim == 3 else A[..., self.level]

    def half_solve(self, L: Array) -> Cross:
        """L^-1 of each level's part, for lower triangular L (r, r, J)."""
        return replace(self, values=levels.half_solve(self._at(L), self.values))

    def combined(self, G: Array) -> list[Any]:
        """G of each level's part, G (k, r, J): k matrices (q2, J)."""
        G = self._at(G)
        return [self._matrix((G[a] * self.values).sum(axis=-2)) for a in range(len(G))]

    @cached_property
    def matrix(self) -> Any:
        """(q2, r J), sparse where zeros are not stored."""
        return self._matrix(self.values)

    def _matrix(self, values: Array) -> Any:
        q2, r, J = self.shape
        r = r if values.ndim == self.values.ndim else 1
        if self.values.ndim == 3:
            return values.reshape(q2, r * J)
        starts = np.concatenate([[0], np.tile(np.bincount(self.level, minlength=J), r).cumsum()])
        return sparse.csc_array((values.ravel(), np.tile(self.column, r), starts), shape=(q2, r * J))


@dataclass(frozen=True)
class Blocks:
    """Cross-products of a model, for terms in the order of its thetas.

    first: positions of the terms of the first grouping factor, others: of the rest. F (r, r, J): F[b, a] is row a and
    column b of the upper triangles F_j; HX (p+1, r, J) and H2: Q'[X y] and Q'Z_2; WXX (p+1, p+1),
    W2X (q2, p+1), W22 (q2, q2): cross-products within levels; span: where a term stands among the columns of its group,
    the first's or the others'; to_user: for each term the lower triangular T (r, r) with Z_used = Z T;
    R0_inverse (p, p) upper: Q = X R0^-1; b0 (p,): the coefficients that y was freed of; log_weights: sum of log w.
    """

    terms: tuple[Term, ...]
    first: tuple[int, ...]
    others: tuple[int, ...]
    span: tuple[slice, ...]
    F: Array
    HX: Array
    H2: Cross
    WXX: Array
    W2X: Array
    W22: Array
    to_user: tuple[Array, ...]
    R0_inverse: Array
    b0: Array
    n: int
    log_weights: float

    @property
    def p(self) -> int:
        """Fixed effects."""
        return len(self.R0_inverse)


def build(fixed: LeastSquares, terms: Sequence[Term], b: Array | None = None) -> Blocks:
    """Cross-products of a model whose fixed part was fitted by least squares: y is freed of that, or of another X b."""
    root = None if fixed.weights is None else np.sqrt(fixed.weights)
    left = fixed.residuals if b is None else fixed.y - fixed.X_kept @ b
    rows = np.vstack([(fixed.X_kept @ fixed.root).T, left])
    scaled, to_user = zip(*(_scaled(term, root) for term in terms), strict=True)
    if root is not None:
        rows *= root
    biggest = max(range(len(terms)), key=lambda t: terms[t].levels)
    first = tuple(t for t in range(len(terms)) if np.array_equal(terms[t].codes, terms[biggest].codes))
    others = tuple(t for t in range(len(terms)) if t not in first)
    codes, J = terms[biggest].codes, terms[biggest].levels
    Q, F = levels.qr(np.vstack([scaled[t] for t in first]), codes, J)
    HX = np.zeros((len(rows), len(Q), J))
    for a, q in enumerate(Q):
        HX[:, a] = levels.sums(rows, q[None], codes, J)[:, 0]
        rows -= HX[:, a][:, codes] * q  # what the first factor's columns leave
    second = [(terms[t], scaled[t]) for t in others]
    H2 = _cross(Q, codes, J, second)
    W22, W2X = _within(second, Q, codes, H2, rows)
    return Blocks(
        terms=tuple(terms),
        first=first,
        others=others,
        span=_spans(terms, first, others),
        F=F,
        HX=HX,
        H2=H2,
        WXX=rows @ rows.T,
        W2X=W2X,
        W22=W22,
        to_user=to_user,
        R0_inverse=fixed.root,
        b0=fixed.coef[fixed.kept] if b is None else b,
        n=rows.shape[1],
        log_weights=0.0 if fixed.weights is None else float(np.log(fixed.weights).sum()),
    )


def _scaled(term: Term, root: Array | None) -> tuple[Array, Array]:
    """The term's columns made orthonormal times sqrt(n), (r, n), so that theta is of order one, and the T that did it.

    T is lower triangular, so that a lower triangular factor stays one in the user's columns.
    """
    Z = term.Z.T if root is None else term.Z.T * root
    size = np.sqrt(np.einsum("an,an->a", Z, Z) / Z.shape[1])
    size[size == 0] = 1.0
    values, V = np.linalg.eigh((Z / size[:, None]) @ (Z / size[:, None]).T / Z.shape[1])
    values[values < DEPENDENT] = 1.0
    rooted = np.linalg.cholesky(((V * values) @ V.T)[::-1, ::-1])
    upper = rooted[::-1, ::-1]  # times its transpose it is the correlation
    T = np.tril(np.linalg.inv(upper).T) / size[:, None]
    return T.T @ Z, T


def _spans(terms: Sequence[Term], first: Sequence[int], others: Sequence[int]) -> tuple[slice, ...]:
    widths = [term.r if t in first else term.r * term.levels for t, term in enumerate(terms)]
    starts = {group[k]: sum(widths[t] for t in group[:k]) for group in (first, others) for k in range(len(group))}
    return tuple(slice(starts[t], starts[t] + width) for t, width in enumerate(widths))


def _cross(Q: Array, codes: Codes, J: int, second: Sequence[tuple[Term, Array]]) -> Cross:
    """Q'Z_2, with its zeros where they are few."""
    parts, level, column, start = [np.zeros((len(Q), 0))], [codes[:0]], [codes[:0]], 0
    for term, Z in second:
        cell, pairs = pd.factorize(codes * term.levels + term.codes)
        values = levels.sums(Z, Q, cell, len(pairs))  # (r_2, r, cells)
        parts += list(values)
        level += [pairs // term.levels] * term.r
        column += [start + pairs % term.levels * term.r + b for b in range(term.r)]
        start += term.levels * term.r
    values, at, to = np.concatenate(parts, axis=1), np.concatenate(level), np.concatenate(column)
    shape = (start, len(Q), J)
    if len(at) > FEW * start * J or start * J <= SMALL:
        full = np.zeros(shape)
        full[to, :, at] = values.T
        return Cross(full, shape, to, at)
    order = np.lexsort((to, at))
    return Cross(values[:, order], shape, to[order], at[order])


def _within(
    second: Sequence[tuple[Term, Array]], Q: Array, codes: Codes, H2: Cross, rows: Array
) -> tuple[Array, Array]:
    """Z_2'(I - QQ')Z_2 (q2, q2) and Z_2'[X y] (q2, p+1) of [X y] that Q was taken from.

    Formed from (I - QQ')Z_2 where that has few numbers, as it does where the first factor is nested in the others and
    all of them are rounding; else from Z_2'Z_2 - H_2'H_2.
    """
    (q2, r, J), n = H2.shape, len(codes)
    if not q2:
        return np.zeros((0, 0)), np.zeros((0, len(rows)))
    Z2 = sparse.hstack([_indicators(term, Z) for term, Z in second], format="csr")
    H = sparse.csr_array(H2.matrix)
    if np.bincount(H2.level, minlength=J)[codes].sum() > max(4 * Z2.nnz, MANY):
        return np.asarray((Z2.T @ Z2).toarray() - (H @ H.T).toarray()), np.asarray(Z2.T @ rows.T)
    columns = codes + J * np.arange(r)[:, None]
    Qs = sparse.csr_array((Q.ravel(), (np.tile(np.arange(n), r), columns.ravel())), shape=(n, r * J))
    left = Z2 - Qs @ H.T
    return np.asarray((left.T @ left).toarray()), np.asarray(left.T @ rows.T)


def _indicators(term: Term, Z: Array) -> Any:
    """Z (n, levels r) of a term: levels in order, a level's columns together."""
    columns = term.codes[:, None] * term.r + np.arange(term.r)
    pointers = np.arange(0, Z.size + 1, term.r)
    return sparse.csr_array((Z.T.ravel(), columns.ravel(), pointers), shape=(len(term.codes), term.levels * term.r))
