"""The profiled objective and its derivatives from a model's blocks: what the search for the optimum asks for.

The steps are objective.py's. The levels of the first grouping factor, done one by one, leave to the others
S = Z_2'V_1^-1 Z_2 and M M' = Lambda_2'S Lambda_2 + I. With N = Z'PZ, where P is V^-1 (ML) or V^-1 less what X takes of
it (REML), and s = Z'V^-1(y - X beta), the derivative by a term's Sigma is the sum over its levels of

    N_jj - (df / pwrss) s_j s_j',      and by its Lambda twice that times Lambda.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from scipy.linalg import lapack

from refimpl.errors import NotConverged
from refimpl.linalg import Array
from refimpl.mixed import levels
from refimpl.mixed.blocks import Blocks, Cross

LEVELS_AT_ONCE = 2048


@dataclass(frozen=True)
class Point:
    """The objective at one set of factors; its derivatives and what results are read from, computed when asked for.

    factors: Lambda of each term, of its scaled columns; E (r, r, J): F_j Lambda_1, column by column; B (r, r, J): lower
    Cholesky factors of the B_j; KX (p+1, r, J) and K2 (q2, r J): B^-1 Q'[X y] and B^-1 Q'Z_2; S (q2, q2) and
    SX (q2, p+1): Z_2'V_1^-1[Z_2, X y]; LS: Lambda_2'S; M (q2, q2) lower; RZX (q2, p+1): M^-1 Lambda_2'SX; SXX and
    R (p+1, p+1): [X y]'V_1^-1[X y] and the upper Cholesky factor of [X y]'V^-1[X y].
    """

    blocks: Blocks
    factors: Sequence[Array]
    REML: bool
    E: Array
    B: Array
    KX: Array
    K2: Cross
    S: Array
    SX: Array
    LS: Array
    M: Array
    RZX: Array
    SXX: Array
    R: Array

    @property
    def df(self) -> int:
        """Rows, for REML less the fixed effects."""
        return self.blocks.n - (self.blocks.p if self.REML else 0)

    @property
    def pwrss(self) -> float:
        """Penalised weighted residual sum of squares."""
        return float(self.R[-1, -1] ** 2)

    @property
    def rounding(self) -> float:
        """Relative rounding error of pwrss: of what is left of y'V_1^-1 y when the rest has taken its part."""
        return float(np.finfo(np.float64).eps * self.SXX[-1, -1] / self.pwrss)

    @cached_property
    def RX(self) -> Array:
        """Upper Cholesky factor of X'V^-1X, of the orthonormal X, (p, p)."""
        return np.asarray(self.R[:-1, :-1])

    @cached_property
    def objective(self) -> float:
        """ML deviance or REML criterion."""
        logdet = _logdet(self.B) + _logdet(self.M) - self.blocks.log_weights
        if self.REML:
            logdet += _logdet(self.RX) - _logdet(self.blocks.R0_inverse)
        return float(logdet + self.df * (1 + np.log(2 * np.pi * self.pwrss / self.df)))

    @cached_property
    def beta(self) -> Array:
        """Coefficients of the orthonormal X, (p,), for y freed of its least-squares fit."""
        return _solve(self.RX, self.R[:-1, -1])

    # -- what X and the residual take from N ---------------------------------------------------------------------------

    @cached_property
    def columns(self) -> Array:
        """Combinations of [X y], (p+1, m): X made orthonormal by V^-1 (for REML), and (y - X beta) sqrt(df / pwrss)."""
        residual = np.append(-self.beta, 1.0) * np.sqrt(self.df / self.pwrss)
        X = np.vstack([np.linalg.inv(self.RX), np.zeros(self.blocks.p)]) if self.REML else np.zeros((len(self.R), 0))
        return np.column_stack([X, residual])

    @cached_property
    def modes2(self) -> Array:
        """Modes of the other factors' random effects for these columns, (q2, m)."""
        u = _solve(self.M, self.RZX @ self.columns, lower=True, transposed=True)
        return times_Lambda2(self.blocks, self.factors, u)

    @cached_property
    def D1(self) -> Array:
        """Z_1'V^-1 times these columns, (r, m, J)."""
        rest = np.tensordot(self.columns, self.KX, (0, 0))
        if len(self.M):
            rest -= (self.K2.matrix.T @ self.modes2).T.reshape(rest.shape)
        return np.asarray(np.einsum("acj,mcj->amj", self.G, rest))

    @cached_property
    def D2(self) -> Array:
        """Z_2'V^-1 times these columns, (q2, m)."""
        return np.asarray(self.SX @ self.columns - self.S @ self.modes2)

    # -- N -------------------------------------------------------------------------------------------------------------

    @cached_property
    def G(self) -> Array:
        """B^-1 F_j, (r, r, J), column by column: Z_1'V_1^-1 Z_1 is G'G of each level."""
        return levels.half_solve(self.B, self.blocks.F)

    @cached_property
    def U(self) -> list[Any]:
        """Z_2'V_1^-1 Z_1, a (q2, J) for each column of the first factor."""
        return self.K2.combined(self.G)

    @cached_property
    def M_inverse(self) -> Array:
        """(M M')^-1, (q2, q2)."""
        return _inverse(self.M)

    @cached_property
    def T(self) -> Array:
        """Lambda_2 (M M')^-1 Lambda_2', (q2, q2): the other factors' conditional covariance over sigma^2."""
        half = times_Lambda2(self.blocks, self.factors, self.M_inverse)
        return times_Lambda2(self.blocks, self.factors, half.T)

    @cached_property
    def N1(self) -> Array:
        """The sum of N_jj over the first factor's levels, (r, r), before D."""
        flat = self.G.reshape(len(self.G), -1)
        if not len(self.M):
            return np.asarray(flat @ flat.T)
        return np.asarray(flat @ flat.T - [[_inner(self.T, A, B) for B in self.U] for A in self.U])

    @cached_property
    def parts(self) -> list[tuple[Array, Array]]:
        """What the gradient by each term's Lambda is the difference of, (r, r) each: from N, and from D."""
        blocks, out = self.blocks, []
        DD1 = np.tensordot(self.D1, self.D1, ((1, 2), (1, 2)))
        for t, (factor, span) in enumerate(zip(self.factors, blocks.span, strict=True)):
            if t in blocks.first:
                out.append((2 * self.N1[span, span] @ factor, 2 * DD1[span, span] @ factor))
                continue
            LS, M_inverse, D = (self._by_level(t, A) for A in (self.LS.T, self.M_inverse, self.D2))
            own = np.einsum("jak,jbk->ab", LS, M_inverse)  # N Lambda_2 = S Lambda_2 (M M')^-1
            out.append((2 * own, 2 * np.einsum("jam,jbm->ab", D, D) @ factor))
        return out

    @cached_property
    def scores(self) -> list[tuple[Array, Array]]:
        """What the derivative by each term's Sigma is the difference of, (r, r) each: the sums of N_jj and D_j D_j'."""
        blocks, out = self.blocks, []
        DD1 = np.tensordot(self.D1, self.D1, ((1, 2), (1, 2)))
        for t, span in enumerate(blocks.span):
            if t in blocks.first:
                out.append((self.N1[span, span], DD1[span, span]))
                continue
            S, ST, D = (self._by_level(t, A) for A in (self.S, self.S[span] @ self.T, self.D2))
            own = diagonal_blocks(self.S[span, span], blocks.terms[t].r).sum(axis=0)
            out.append((own - np.einsum("jak,jbk->ab", ST, S), np.einsum("jam,jbm->ab", D, D)))
        return out

    @cached_property
    def information(self) -> Array:
        """The average of the observed and expected second derivatives, by the lower triangles of the factors, (k, k).

        With the working columns W_k = (dV / dx_k) P y it is W'PW less what the profiled sigma takes, and the part in
        which Sigma curves: twice the derivative by Sigma where two entries stand in one column.
        """
        V1, V2, curved = self._directions()
        s1, s2 = self.D1[:, -1], self.D2[:, -1]
        KW = np.einsum("acj,kaj->kcj", self.G, V1).reshape(len(V1), -1) + (self.K2.matrix.T @ V2).T
        KX = self.KX.reshape(len(self.KX), -1)
        SW = self.blocks.W22 @ V2 + self.K2.matrix @ KW.T
        RW = _solve(self.M, times_Lambda2(self.blocks, self.factors, SW, transposed=True), lower=True)
        XW = _solve(self.RX, (self.blocks.W2X.T @ V2 + KX @ KW.T - self.RZX.T @ RW)[:-1], transposed=True)
        h = np.tensordot(V1, s1, 2) + V2.T @ s2
        WPW = V2.T @ self.blocks.W22 @ V2 + KW @ KW.T - RW.T @ RW - XW.T @ XW
        return np.asarray(WPW - np.outer(h, h) / self.df + curved)

    def _directions(self) -> tuple[Array, Array, Array]:
        """(dSigma / dx_k) s: (k, r, J) for the first factor, (q2, k) for the others; and how Sigma curves, (k, k)."""
        blocks = self.blocks
        V1 = np.zeros((sum(term.n_theta for term in blocks.terms), *self.D1.shape[::2]))
        V2 = np.zeros((len(V1), len(self.M)))
        curved = np.zeros((len(V1), len(V1)))
        k = 0
        for t, (term, L, (N, D)) in enumerate(zip(blocks.terms, self.factors, self.parts, strict=True)):
            s = self.D1[blocks.span[t], -1] if t in blocks.first else self._by_level(t, self.D2)[:, :, -1].T
            u = L.T @ s
            score = (N - D) @ np.linalg.pinv(L)  # twice the derivative by Sigma
            for j in range(term.r):
                columns = slice(k, k + term.r - j)
                curved[columns, columns] = score[j:, j:]
                for i in range(j, term.r):
                    v = np.outer(L[:, j], s[i])
                    v[i] += u[j]
                    if t in blocks.first:
                        V1[k, blocks.span[t]] = v
                    else:
                        V2[k, blocks.span[t]] = v.T.ravel()
                    k += 1
        return V1, V2.T, (curved + curved.T) / 2

    def _by_level(self, t: int, A: Array) -> Array:
        """Rows of an other factor's term, of A (q2, k) or of those alone, as (levels, r, k)."""
        term = self.blocks.terms[t]
        rows = A if len(A) == term.levels * term.r else A[self.blocks.span[t]]
        return rows.reshape(term.levels, term.r, -1)

    # -- the random effects --------------------------------------------------------------------------------------------

    @cached_property
    def modes(self) -> list[Array]:
        """Conditional modes of each term, (levels, r)."""
        unit, out = np.sqrt(self.df / self.pwrss), []
        for t, (factor, span) in enumerate(zip(self.factors, self.blocks.span, strict=True)):
            if t in self.blocks.first:
                out.append((factor @ (factor.T @ self.D1[span, -1])).T / unit)
            else:
                out.append(self._by_level(t, self.modes2)[:, :, -1] / unit)
        return out

    @cached_property
    def conditional(self) -> list[Array]:
        """Conditional covariance of each term's random effects over sigma^2, (levels, r, r)."""
        blocks, L1 = self.blocks, first_factor(self.blocks, self.factors)
        A = np.einsum("daj,eaj->dej", self.E, self.E)
        A[np.diag_indices(len(A))] += 1.0
        W = levels.half_solve(levels.cholesky(A), np.repeat(L1[:, :, None], A.shape[2], axis=2))
        own = np.einsum("acj,bcj->jab", W, W)
        if len(self.M):
            own += L1 @ L1.T @ self._through_others() @ L1 @ L1.T
        out = []
        for t, span in enumerate(blocks.span):
            T = own[:, span, span] if t in blocks.first else diagonal_blocks(self.T[span, span], blocks.terms[t].r)
            out.append(T)
        return out

    def _through_others(self) -> Array:
        """U_j'T U_j of each level of the first factor, (J, r, r)."""
        J, r = self.blocks.F.shape[2], len(self.U)
        out = np.empty((J, r, r))
        for start in range(0, J, LEVELS_AT_ONCE):
            some = slice(start, start + LEVELS_AT_ONCE)
            U = np.stack([_dense(A[:, some]) for A in self.U])
            out[some] = np.einsum("aqj,bqj->jab", self.T @ U, U)
        return out


def evaluate(blocks: Blocks, factors: Sequence[Array], REML: bool) -> Point:
    """The objective where term t has Sigma_t = factors[t] factors[t]', of its scaled columns."""
    # Step I: the covariance parameters
    E = np.tensordot(first_factor(blocks, factors), blocks.F, (0, 0))
    inner = np.einsum("daj,dcj->acj", E, E)
    inner[np.diag_indices(len(inner))] += 1.0
    B = levels.cholesky(inner)
    K2 = blocks.H2.half_solve(B)
    S = blocks.W22 + _dense(K2.matrix @ K2.matrix.T)
    LS = times_Lambda2(blocks, factors, S, transposed=True)
    M = times_Lambda2(blocks, factors, LS.T, transposed=True)
    M[np.diag_indices(len(M))] += 1.0
    M = _cholesky(M)

    # Step II: penalised least squares, over the levels of the first factor, then less what the others take
    KX = levels.half_solve(B, blocks.HX)
    flat = KX.reshape(len(KX), -1)
    SX = blocks.W2X + K2.matrix @ flat.T
    RZX = _solve(M, times_Lambda2(blocks, factors, SX, transposed=True), lower=True)
    SXX = blocks.WXX + flat @ flat.T
    R = _cholesky(SXX - RZX.T @ RZX).T
    return Point(blocks, factors, REML, E, B, KX, K2, S, SX, LS, M, RZX, SXX, R)


def first_factor(blocks: Blocks, factors: Sequence[Array]) -> Array:
    """Lambda_1 of one level, (r, r): the terms of the first grouping factor one after the other."""
    if len(blocks.first) == 1:
        return factors[blocks.first[0]]
    out = np.zeros((len(blocks.F), len(blocks.F)))
    for t in blocks.first:
        out[blocks.span[t], blocks.span[t]] = factors[t]
    return out


def times_Lambda2(blocks: Blocks, factors: Sequence[Array], A: Array, transposed: bool = False) -> Array:
    """Lambda_2 A, or Lambda_2'A, of A (q2, m); Lambda_2 is block-diagonal and never formed."""
    out = np.empty_like(A)
    for t in blocks.others:
        rows, r = blocks.span[t], blocks.terms[t].r
        factor = factors[t].T if transposed else factors[t]
        if r == 1:
            np.multiply(A[rows], factor[0, 0], out=out[rows])
        else:
            out[rows] = (factor @ A[rows].reshape(-1, r, A.shape[1])).reshape(-1, A.shape[1])
    return out


def vector(factors: Sequence[Array]) -> Array:
    """Lower triangles, column by column, one after the other."""
    return np.concatenate([L.T[_upper(len(L))] for L in factors])


def triangles(x: Array, sizes: Sequence[int]) -> list[Array]:
    """The lower triangular matrices (r, r) of these sizes that `vector` made x of."""
    out, start = [], 0
    for r in sizes:
        L = np.zeros((r, r))
        stop = start + r * (r + 1) // 2
        L.T[_upper(r)] = x[start:stop]
        out.append(L)
        start = stop
    return out


@cache
def _upper(r: int) -> Any:
    return np.triu_indices(r)


def diagonal_blocks(A: Array, r: int) -> Array:
    """The (J, r, r) on the diagonal of A (J r, J r)."""
    J = len(A) // r
    return np.asarray(A.reshape(J, r, J, r)[np.arange(J), :, np.arange(J)])


def _logdet(root: Array) -> float:
    """log det of A A' of triangular A (r, r), or the sum of those of (r, r, J)."""
    return 2 * float(np.log(np.abs(np.diagonal(root))).sum())


def _inner(T: Array, A: Any, B: Any) -> float:
    """The sum of T * (A B') for T (q, q), and A and B (q, J), dense or sparse."""
    if isinstance(A, np.ndarray):
        return float(np.vdot(T @ B, A))
    product = (A @ B.T).tocoo()
    return float(T[product.row, product.col] @ product.data)


def _dense(A: Any) -> Array:
    return A if isinstance(A, np.ndarray) else np.asarray(A.toarray())


def _solve(L: Array, B: Array, lower: bool = False, transposed: bool = False) -> Array:
    """L^-1 B or L'^-1 B of a triangular L, which may be of size zero."""
    return np.asarray(lapack.dtrtrs(L, B, lower=lower, trans=transposed)[0]) if B.size else B


def _cholesky(A: Array) -> Array:
    """The lower Cholesky factor."""
    if not len(A):
        return A
    L, info = lapack.dpotrf(A.T, lower=1, clean=1)
    if info or not np.isfinite(L[-1, -1]):
        raise NotConverged("nothing is left of the response, or a variance is without bounds")
    return np.asarray(L)


def _inverse(L: Array) -> Array:
    """(L L')^-1 from a lower Cholesky factor."""
    if not len(L):
        return L
    half, _ = lapack.dpotri(L, lower=1)
    inverse = half + half.T  # above the diagonal stands what stood there in L: zeros
    inverse[np.diag_indices(len(L))] /= 2
    return np.asarray(inverse)
