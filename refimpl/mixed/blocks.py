"""The objective of mixed/objective.py on blocks: cross-products once, then no work that grows with the rows.

The grouping factor with most levels comes first. Its levels are independent, so what its rows say is in r numbers a
level: Z_j = Q_j F_j with orthonormal Q_j leaves F_j (r, r) and H_j = Q_j'[rest], and

    V_1 = I + Z_1 Sigma_1 Z_1',   rest' V_1^-1 rest = within + sum_j H_j' B_j^-1 H_j,   B_j = I + F_j Sigma_1 F_j'

(Woodbury), a sum of positive parts in which nothing cancels. The rest is [Z_2 X y]: the other grouping factors, whose
cross-table with the first is sparse, the fixed effects made orthonormal, and y less its least-squares fit. Formulas are
in Sigma = Lambda Lambda'; the derivative by Sigma of a term is the sum over its levels of

    (Z' P Z)_jj - (df / pwrss) s_j s_j',   s_j = Z_j' V^-1 (y - X beta),   P = V^-1 (ML), V^-1 less its part in X (REML).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import lapack, solve_triangular

from refimpl.errors import NotConverged
from refimpl.least_squares import LeastSquares
from refimpl.linalg import Array

Codes = NDArray[np.intp]


@dataclass(frozen=True)
class Term:
    """A bar term: codes (n,) of its levels 0..levels-1, and the model matrix Z (n, r) of its left side."""

    codes: Codes
    levels: int
    Z: Array

    @property
    def r(self) -> int:
        """Columns a level."""
        return self.Z.shape[1]

    @property
    def n_theta(self) -> int:
        """Free entries of the lower triangular factor."""
        return self.r * (self.r + 1) // 2


@dataclass(frozen=True)
class Blocks:
    """Cross-products of a model, for terms in the order of its thetas.

    first: positions of the terms of the first grouping factor, others: of the rest. F (J, r, r); HX (J, r, p+1) and H2
    (J r, q2) sparse or None: Q'[X y] and Q'Z_2; WXX (p+1, p+1), W2X (q2, p+1), W22 (q2, q2): cross-products within
    levels; to_user: for each term the T (r, r) with Z_used = Z T; R0_inverse (p, p) upper: Q = X R0^-1; b0 (p,) the least-squares
    coefficients that y was freed of; log_weights: sum of log w.
    """

    terms: tuple[Term, ...]
    first: tuple[int, ...]
    others: tuple[int, ...]
    F: Array
    HX: Array
    H2: Any
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
        return self.R0_inverse.shape[0]


def build(fixed: LeastSquares, terms: Sequence[Term]) -> Blocks:
    """Cross-products of a model whose fixed part was fitted by least squares (X of full rank)."""
    root = None if fixed.weights is None else np.sqrt(fixed.weights)
    X = fixed.X_kept
    rows = np.column_stack([X @ fixed.root, fixed.residuals])
    scaled, to_user = zip(*(_scaled(term, root) for term in terms), strict=True)
    if root is not None:
        rows *= root[:, None]
    biggest = max(range(len(terms)), key=lambda t: terms[t].levels)
    first = tuple(t for t in range(len(terms)) if np.array_equal(terms[t].codes, terms[biggest].codes))
    others = tuple(t for t in range(len(terms)) if t not in first)
    codes, J = terms[biggest].codes, terms[biggest].levels
    Z1 = np.hstack([scaled[t] for t in first])
    F, Finv = _factors(_sums(Z1, Z1, codes, J))
    HX = np.swapaxes(Finv, 1, 2) @ _sums(Z1, rows, codes, J)
    rows -= np.einsum("ir,irm->im", Z1, (Finv @ HX)[codes])  # what the first factor's columns leave
    Z2 = _indicators([terms[t] for t in others], [scaled[t] for t in others])
    H2, W2X, W22 = _second(Z1, codes, Finv, Z2, rows, root)
    log_weights = 0.0 if fixed.weights is None else float(np.log(fixed.weights).sum())
    b0 = fixed.coef[fixed.kept]
    return Blocks(tuple(terms), first, others, F, HX, H2, rows.T @ rows, W2X, W22, to_user, fixed.root, b0, len(rows), log_weights)


def _scaled(term: Term, root: Array | None) -> tuple[Array, Array]:
    """The term's columns made orthonormal times sqrt(n), so that theta is of order one, and the T that did it."""
    Z = term.Z if root is None else term.Z * root[:, None]
    size, V = np.linalg.eigh(Z.T @ Z / len(Z))
    size = np.maximum(size, size.max(initial=0.0) * 1e-14)
    if term.r == 1 or not size.max() > 0:
        T = np.eye(term.r) / np.sqrt(size.max() or 1.0)
    else:
        lower = np.linalg.cholesky((V * size) @ V.T)
        T = np.linalg.inv(lower).T
    return Z @ T, T


def _sums(A: Array, B: Array, codes: Codes, J: int) -> Array:
    """A_j'B_j for every level, (J, a, b)."""
    out = np.empty((J, A.shape[1], B.shape[1]))
    for a in range(A.shape[1]):
        for b in range(B.shape[1]):
            out[:, a, b] = np.bincount(codes, A[:, a] * B[:, b], minlength=J)
    return out


def _factors(A: Array) -> tuple[Array, Array]:
    """F with F'F = A and a generalised inverse of F, for each of A (J, r, r)."""
    size, V = np.linalg.eigh(A)
    top = size[:, -1:].clip(min=np.finfo(float).tiny)
    root = np.sqrt(np.where(size > 1e-13 * top, size, 0.0))
    inverse = np.divide(1.0, root, out=np.zeros_like(root), where=root > 0)
    return root[:, :, None] * np.swapaxes(V, 1, 2), V * inverse[:, None, :]


def _indicators(terms: Sequence[Term], scaled: Sequence[Array]) -> Any:
    """Z_2 (n, q2) sparse: a term's levels in order, a level's columns together."""
    if not terms:
        return None
    n, parts = len(terms[0].codes), []
    for term, Z in zip(terms, scaled, strict=True):
        columns = term.codes[:, None] * term.r + np.arange(term.r)
        rows = np.repeat(np.arange(n), term.r)
        parts.append(sparse.csr_matrix((Z.ravel(), (rows, columns.ravel())), shape=(n, term.levels * term.r)))
    return sparse.hstack(parts, format="csr")


def _second(Z1: Array, codes: Codes, Finv: Array, Z2: Any, rows: Array, root: Array | None) -> tuple[Any, Array, Array]:
    """Q'Z_2 (J r, q2) sparse, and the cross-products within levels Z_2'[X y] and Z_2'Z_2."""
    m = rows.shape[1]
    if Z2 is None:
        return None, np.zeros((0, m)), np.zeros((0, 0))
    (n, r), J = Z1.shape, len(Finv)
    Q = np.einsum("ir,irs->is", Z1, Finv[codes])
    columns = codes[:, None] * r + np.arange(r)
    Qs = sparse.csr_matrix((Q.ravel(), (np.repeat(np.arange(n), r), columns.ravel())), shape=(n, J * r))
    H2 = sparse.csr_matrix(Qs.T @ Z2)
    return H2, np.asarray(Z2.T @ rows), (Z2.T @ Z2).toarray() - (H2.T @ H2).toarray()


@dataclass(frozen=True)
class Point:
    """The objective at one set of factors, its derivatives by each term's Sigma, and the pieces results are read from.

    beta is of the orthonormal X (p,); s1 (J, r) and s2 (q2,) are Z'V^-1(y - X beta); b2 (q2,) the random effects of
    the other factors; C (J, r, r) is F'B^-1; T2 (q2, q2) is Lambda_2 M^-1 Lambda_2' with M = Lambda_2'S22 Lambda_2 + I;
    S22 and S2X are Z_2'V_1^-1 Z_2 and Z_2'V_1^-1 [X y]; RX (p, p) upper with RX'RX = X'V^-1X.
    """

    objective: float
    scores: tuple[Array, ...]
    beta: Array
    pwrss: float
    RX: Array
    s1: Array
    s2: Array
    b2: Array
    C: Array
    T2: Array
    S22: Array
    S2X: Array


def evaluate(blocks: Blocks, factors: Sequence[Array], REML: bool, gradient: bool = True) -> Point:
    """The objective where term t has Sigma_t = factors[t] factors[t]', of its scaled columns."""
    p = blocks.p
    Sigma1 = _block_diagonal([factors[t] @ factors[t].T for t in blocks.first])
    Ft = np.swapaxes(blocks.F, 1, 2)
    Linv = np.linalg.inv(np.linalg.cholesky(np.eye(len(Sigma1)) + blocks.F @ Sigma1 @ Ft))  # B^-1 = Linv'Linv
    logdet = -2 * np.log(np.diagonal(Linv, axis1=1, axis2=2)).sum()
    KX = (Linv @ blocks.HX).reshape(-1, p + 1)
    SXX, S2X, S22, T2 = blocks.WXX + KX.T @ KX, blocks.W2X, blocks.W22, blocks.W22
    second = Lambda2(blocks, factors)
    if blocks.others:
        K2 = level_times(Linv, blocks.H2)
        S22, S2X = S22 + (K2.T @ K2).toarray(), S2X + K2.T @ KX
        M = np.linalg.cholesky(second.both(S22) + np.eye(len(S22)))
        logdet += 2 * np.log(M.diagonal()).sum()
        RZX = solve_triangular(M, second.transposed(S2X), lower=True)
        SXX = SXX - RZX.T @ RZX
        T2 = second.both(_inverse(M), outside=True)
    R = _cholesky(SXX).T
    df = blocks.n - (p if REML else 0)
    if REML:
        logdet += 2 * np.log(R.diagonal()[:p]).sum() - 2 * np.log(blocks.R0_inverse.diagonal()).sum()
    pwrss = float(R[p, p] ** 2)
    objective = float(logdet - blocks.log_weights + df * (1 + np.log(2 * np.pi * pwrss / df)))
    beta = solve_triangular(R[:p, :p], R[:p, p]) if p else np.zeros(0)
    direction = np.append(-beta, 1.0)  # [X y] direction = y - X beta
    b2 = T2 @ (S2X @ direction)
    rest = (blocks.HX @ direction).ravel() - (blocks.H2 @ b2 if blocks.others else 0.0)
    C = Ft @ np.swapaxes(Linv, 1, 2) @ Linv
    s1 = np.einsum("jrs,js->jr", C, rest.reshape(len(C), -1))
    s2 = S2X @ direction - S22 @ b2
    point = Point(objective, (), beta, pwrss, R[:p, :p], s1, s2, b2, C, T2, S22, S2X)
    return replace(point, scores=_scores(blocks, point, REML, df / pwrss)) if gradient else point


def _scores(blocks: Blocks, at: Point, REML: bool, c: float) -> tuple[Array, ...]:
    """The derivative of the objective by each term's Sigma, (r, r) each."""
    p, r1 = blocks.p, at.C.shape[1]
    N1 = np.einsum("jab,jbc->ac", at.C, blocks.F)
    H = level_times(at.C, blocks.H2) if blocks.others else None  # Z_1'V_1^-1 Z_2
    if H is not None:
        columns = [H[a::r1] for a in range(r1)]
        N1 = N1 - np.array([[_inner(at.T2, A, B) for B in columns] for A in columns])
    out: list[Array | None] = [None] * len(blocks.terms)
    D1, D2 = (at.C @ blocks.HX[:, :, :p]).reshape(at.s1.size, p), at.S2X[:, :p]
    if H is not None:
        effect = at.T2 @ D2
        D1, D2 = D1 - H @ effect, D2 - at.S22 @ effect
    if REML and p:
        Rinv = np.linalg.inv(at.RX)
        D1, D2 = (D1 @ Rinv).reshape(-1, r1, p), D2 @ Rinv
        N1 = N1 - np.einsum("jap,jbp->ab", D1, D1)
    score1 = N1 - c * at.s1.T @ at.s1
    start = 0
    for t in blocks.first:
        out[t] = score1[start : start + blocks.terms[t].r, start : start + blocks.terms[t].r]
        start += blocks.terms[t].r
    reduction = at.S22 @ at.T2
    start = 0
    for t in blocks.others:
        J, r = blocks.terms[t].levels, blocks.terms[t].r
        rows = slice(start, start + J * r)
        here = at.S22[rows, rows].reshape(J, r, J, r)[np.arange(J), :, np.arange(J)].sum(axis=0)
        lost = np.einsum("jak,jbk->ab", reduction[rows].reshape(J, r, -1), at.S22[rows].reshape(J, r, -1))
        s = at.s2[rows].reshape(J, r)
        fixed = np.einsum("jap,jbp->ab", *[D2[rows].reshape(J, r, p)] * 2) if REML else 0.0
        out[t] = here - lost - fixed - c * s.T @ s
        start += J * r
    return tuple(score for score in out if score is not None)


@dataclass(frozen=True)
class Lambda2:
    """The factor of the other grouping factors, block-diagonal, applied without being formed."""

    blocks: Blocks
    factors: Sequence[Array]

    def transposed(self, A: Array, outside: bool = False) -> Array:
        """Lambda_2' A, or Lambda_2 A with `outside`."""
        out, start = np.empty_like(A), 0
        for t in self.blocks.others:
            J, r = self.blocks.terms[t].levels, self.blocks.terms[t].r
            rows = slice(start, start + J * r)
            factor = self.factors[t] if outside else self.factors[t].T
            part = A[rows].reshape(J, r, -1)
            out[rows] = (factor @ part if r > 1 else factor[0, 0] * part).reshape(J * r, -1)
            start += J * r
        return out

    def both(self, A: Array, outside: bool = False) -> Array:
        """Lambda_2' A Lambda_2 of a symmetric A, or Lambda_2 A Lambda_2' with `outside`."""
        return self.transposed(self.transposed(A, outside).T, outside)


def level_times(per_level: Array, H: Any) -> Any:
    """Block-diagonal (J, r, r) times a sparse (J r, q)."""
    J, r, _ = per_level.shape
    if r == 1:
        return sparse.diags_array(per_level.ravel()).tocsr() @ H
    return sparse.bsr_matrix((per_level, np.arange(J), np.arange(J + 1)), shape=(J * r, J * r)).tocsr() @ H


def _inner(T: Array, A: Any, B: Any) -> float:
    """The sum of T * (A'B) for sparse A and B."""
    product = (A.T @ B).tocoo()
    return float(T[product.row, product.col] @ product.data)


def _block_diagonal(parts: Sequence[Array]) -> Array:
    size = sum(len(part) for part in parts)
    out, at = np.zeros((size, size)), 0
    for part in parts:
        out[at : at + len(part), at : at + len(part)] = part
        at += len(part)
    return out


def _inverse(L: Array) -> Array:
    """(LL')^-1 from a lower Cholesky factor."""
    half, _ = lapack.dpotri(L, lower=1)
    lower = np.tril(half, -1)
    return np.asarray(lower + lower.T + np.diag(half.diagonal()))


def _cholesky(A: Array) -> Array:
    try:
        return np.linalg.cholesky(A)
    except np.linalg.LinAlgError as error:
        raise NotConverged(f"the cross-product of the fixed effects is not positive definite: {error}") from error
