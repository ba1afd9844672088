"""Linear algebra in twice the working precision: sums of products, Cholesky, solves.

The textbook's normal equations lose twice the digits that the data's conditioning takes. Formed and solved in
double-double (about 31 digits) they lose none that a double could show, and stay the textbook's.
No estimator is in this room.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

Array = NDArray[np.float64]

ROWS = 2048  # rows summed in one matrix product; with SLICE_BITS it keeps that product exact
SLICE_BITS = 21  # 2 * SLICE_BITS + log2(ROWS) = 53, the bits of a double
ONE_STEP = 2.0**-36  # a step of refinement that is smaller leaves an error of about its square
SPLITTER = 134217729.0  # 2**27 + 1 (Dekker 1971)


@dataclass(frozen=True)
class DD:
    """An array of double-double numbers, the unevaluated sum hi + lo with |lo| <= ulp(hi) / 2."""

    hi: Array
    lo: Array

    def __add__(self, other: DD) -> DD:
        s, e = two_sum(self.hi, other.hi)
        return normal(s, e + (self.lo + other.lo))

    def __neg__(self) -> DD:
        return DD(-self.hi, -self.lo)

    def __sub__(self, other: DD) -> DD:
        return self + (-other)

    def __mul__(self, other: DD) -> DD:
        p, e = two_product(self.hi, other.hi)
        return normal(p, e + (self.hi * other.lo + self.lo * other.hi))

    def __truediv__(self, other: DD) -> DD:
        q = self.hi / other.hi
        r = self - other * DD(q, np.zeros_like(q))
        return normal(q, r.hi / other.hi)

    def __getitem__(self, key: Any) -> DD:
        return DD(self.hi[key], self.lo[key])

    @property
    def T(self) -> DD:
        """The transpose."""
        return DD(self.hi.T, self.lo.T)

    def sqrt(self) -> DD:
        """Elementwise square root, by one Newton step from the double's."""
        root = np.sqrt(self.hi)
        r = self - DD(root, np.zeros_like(root)) * DD(root, np.zeros_like(root))
        return normal(root, np.divide(r.hi, 2 * root, out=np.zeros_like(root), where=root > 0))


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """a + b = s + e exactly (Knuth)."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def normal(a: Array, b: Array) -> DD:
    """a + b as a double-double, for |a| >= |b|."""
    s = a + b
    return DD(s, b - (s - a))


def two_product(a: Array, b: Array) -> tuple[Array, Array]:
    """a * b = p + e exactly (Dekker 1971)."""
    p = a * b
    a1 = a * SPLITTER
    a1 = a1 - (a1 - a)
    a2 = a - a1
    b1 = b * SPLITTER
    b1 = b1 - (b1 - b)
    b2 = b - b1
    return p, a2 * b2 - (((p - a1 * b1) - a2 * b1) - a1 * b2)


def exact(a: Array) -> DD:
    """A double as a double-double."""
    return DD(a, np.zeros_like(a))


def largest(A: Array) -> Array:
    """max_i |A_ij| for each column j, NaN where there is one; never more than ROWS rows are copied."""
    n, p = A.shape
    buffer, top = np.empty((p, min(n, ROWS))), np.zeros(p)
    for start in range(0, n, ROWS):
        block = A[start : start + ROWS].T
        size = np.abs(block, out=buffer[:, : block.shape[1]])
        np.maximum(top, size.max(axis=1), out=top)
    return top


def power_of_two(a: Array) -> Array:
    """The powers of two that bring positive numbers into [1/2, 1); one for a zero."""
    return np.asarray(2.0 ** -np.frexp(a)[1].astype(np.float64))


def slices(A: Array, B: Array) -> None:
    """Split A = A1 + A2 + A3 exactly, for |A| <= 1: A1 and A2 stacked into B, A3 left in A.

    A1 and A2 hold SLICE_BITS bits each, so products of them are free of rounding (Ozaki, Ogita, Oishi and Rump
    2012, Numerical Algorithms 59).
    """
    p = len(A)
    for part, bits in ((B[:p], SLICE_BITS), (B[p:], 2 * SLICE_BITS)):
        shift = 1.5 * 2.0 ** (52 - bits)
        np.add(A, shift, out=part)
        part -= shift
        A -= part


def stacked(parts: Sequence[Array], rows: slice, scale: Array, out: Array) -> Array:
    """([part part ...] D)' for some rows, (p, rows), in the buffer `out`."""
    block = out[:, : len(parts[0][rows])]
    start = 0
    for part in parts:
        stop = start + part.shape[1]
        np.multiply(part[rows].T, scale[start:stop, None], out=block[start:stop])
        start = stop
    return block


def gram(parts: Sequence[Array], scale: Array) -> DD:
    """D A'A D for A = [part part ...], (n, p) in all, and D = diag(scale), in double-double: (p, p).

    |A D| <= 1 is required. A is never formed.
    """
    n, p = len(parts[0]), len(scale)
    buffer, both = np.empty((p, min(n, ROWS))), np.empty((2 * p, min(n, ROWS)))
    total, rest = exact(np.zeros((2 * p, 2 * p))), np.zeros((p, p))
    for start in range(0, n, ROWS):
        A3 = stacked(parts, slice(start, start + ROWS), scale, buffer)
        B = both[:, : A3.shape[1]]
        slices(A3, B)
        total = total + exact(B @ B.T) if start else exact(B @ B.T)
        M = halves(B @ A3.T)
        rest += M + M.T + A3 @ A3.T
    return quadrants(total) + exact(rest)


def weighted_gram(parts: Sequence[Array], weights: Array, scale: Array) -> DD:
    """D A'WA D, as `gram`, with W = diag(weights) and 0 <= weights <= 1."""
    n, p = len(parts[0]), len(scale)
    buffer, left, right = (np.empty((k * p, min(n, ROWS))) for k in (1, 2, 2))
    total, rest = exact(np.zeros((2 * p, 2 * p))), np.zeros((p, p))
    for start in range(0, n, ROWS):
        rows = slice(start, start + ROWS)
        A3 = stacked(parts, rows, scale, buffer)
        B3, error = two_product(A3, weights[None, rows])
        A, B = left[:, : A3.shape[1]], right[:, : A3.shape[1]]
        slices(A3, A)
        slices(B3, B)
        B3 += error
        total = total + exact(A @ B.T) if start else exact(A @ B.T)
        rest += halves(A @ B3.T) + halves(B @ A3.T).T + A3 @ B3.T
    return quadrants(total) + exact(rest)


def halves(A: Array) -> Array:
    """The upper half of the rows plus the lower half."""
    p = A.shape[0] // 2
    return np.asarray(A[:p] + A[p:])


def quadrants(total: DD) -> DD:
    """[[A1'B1, A1'B2], [A2'B1, A2'B2]] added up."""
    p, q = total.hi.shape[0] // 2, total.hi.shape[1] // 2
    return total[:p, :q] + total[:p, q:] + total[p:, :q] + total[p:, q:]


def product(A: DD, B: DD) -> DD:
    """A B of (p, k) and (k, q) double-double arrays, in double-double."""
    row, column = power_of_two(largest(A.hi.T))[:, None], power_of_two(largest(B.hi))
    a, b = (A.hi * row).T, B.hi * column
    (k, p), q = a.shape, b.shape[1]
    left, right = np.empty((2 * p, k)), np.empty((2 * q, k))
    A3, B3 = np.array(a.T, order="C"), np.array(b.T, order="C")  # copies: they are split in place
    slices(A3, left)
    slices(B3, right)
    B3 += (B.lo * column).T
    rest = halves(left @ B3.T) + halves(right @ A3.T).T + A3 @ B3.T + (A.lo * row) @ b
    inner = quadrants(exact(left @ right.T)) + exact(rest)
    unscale = 1.0 / (row * column)
    return DD(inner.hi * unscale, inner.lo * unscale)


@dataclass(frozen=True)
class NormalEquations:
    """What X'X b = X'y gives: the columns kept, b and (X'X)^-1 of those, and the residual sum of squares."""

    kept: NDArray[np.bool_]
    coef: DD
    inverse: Array
    rss: float


def solve_normal_equations(G: DD, tol: float) -> NormalEquations:
    """Solve from G = [X y]'[X y], (p+1, p+1), whose columns have norms near one.

    A column is left out where what earlier columns leave of it is shorter than `tol` times itself: R's rule for
    `lm` (?qr: limited column pivoting).
    """
    p = G.hi.shape[0] - 1
    if p == 0:
        return pivoted_solution(G, tol)
    L = easy_factor(G.hi[:p, :p], 10 * tol)
    return pivoted_solution(G, tol) if L is None else refined_solution(G, L)


def easy_factor(A: Array, least: float = 0.0) -> Array | None:
    """The Cholesky factor in double, or None where its pivots are too small to be refined from."""
    L, info = lapack.dpotrf(A, lower=1, clean=1)
    return L if info == 0 and np.diag(L).min() > max(1e-4, least) else None


def refined_solution(G: DD, L: Array) -> NormalEquations:
    """From a double Cholesky factor, refined in double-double: for X'X of condition up to 1e8."""
    p = L.shape[0]
    A, c, yy = G[:p, :p], G[:p, p:], G[p, p]
    Z, _ = lapack.dpotri(L, lower=1)
    Z = np.tril(Z) + np.tril(Z, -1).T
    right = DD(np.hstack([np.eye(p), c.hi]), np.hstack([np.zeros((p, p)), c.lo]))  # A [X'X^-1, b] = [I, c]
    x = Z @ right.hi
    r = right - product(A, exact(x))
    step = Z @ r.hi
    if (np.abs(step).max(axis=0) > ONE_STEP * np.abs(x).max(axis=0)).any():
        x = x + step
        r = right - product(A, exact(x))
        step = Z @ r.hi
    # y'y - 2 b'c + b'Ab is flat in b around the solution, so b before the last step will do
    rss = fsum([yy.hi, yy.lo, *dot_terms(exact(-x[:, p]), c[:, 0] + r[:, p])])
    b = DD(*two_sum(x[:, p], step[:, p]))
    return NormalEquations(np.ones(p, bool), b, symmetric((x + step)[:, :p]), max(rss, 0.0))


def dot_terms(a: DD, b: DD) -> Array:
    """Numbers that add up to a'b of two vectors to double-double accuracy."""
    return np.concatenate([*two_product(a.hi, b.hi), a.hi * b.lo, a.lo * b.hi])


def pivoted_solution(G: DD, tol: float) -> NormalEquations:
    """Cholesky in double-double, dependent columns left out: for X of condition up to about 1e13."""
    p = G.hi.shape[0] - 1
    A, kept = eliminated(G, p, tol)
    which = np.flatnonzero(kept)
    U = DD(A.hi[np.ix_(which, which)], A.lo[np.ix_(which, which)])
    r = len(which)
    b = back_substitute(U, DD(A.hi[which, p:], A.lo[which, p:]))
    T = back_substitute(U, exact(np.diag(np.ones(r))))  # U = D V, so T = V^-1 D^-1 and X'X^-1 = T D T'
    D = DD(np.diag(U.hi)[None, :], np.diag(U.lo)[None, :])
    return NormalEquations(kept, b[:, 0], symmetric(product(T * D, T.T).hi), max(float(A.hi[p, p]), 0.0))


def eliminated(G: DD, p: int, tol: float) -> tuple[DD, NDArray[np.bool_]]:
    """Gaussian elimination of the first p columns of a symmetric G, those left out that `tol` calls dependent."""
    A = DD(G.hi.copy(), G.lo.copy())
    size = np.diag(G.hi)
    kept = np.zeros(p, bool)
    for j in range(p):
        if not A.hi[j, j] > max(tol**2 * size[j], 0.0):
            continue
        kept[j] = True
        row = A[j : j + 1, j + 1 :] / A[j : j + 1, j : j + 1]
        rest = A[j + 1 :, j + 1 :] - A[j : j + 1, j + 1 :].T * row
        A.hi[j + 1 :, j + 1 :], A.lo[j + 1 :, j + 1 :] = rest.hi, rest.lo
    return A, kept


def inverse_root(G: DD) -> Array:
    """W, (r, r) upper triangular, with G^-1 = W W', for G = X'X of independent columns.

    |W'x|^2 loses to rounding the condition of X, x'G^-1 x its square.
    """
    L = easy_factor(G.hi) if len(G.hi) else None
    if L is not None:
        W, _ = lapack.dtrtri(L.T)
        off = W.T @ (G - gram([L.T], np.ones(len(L)))).hi @ W  # W'GW - I
        return np.asarray(W - W @ (np.triu(off, 1) + np.diag(off.diagonal() / 2)))
    U, _ = eliminated(G, len(G.hi), 0.0)
    T = back_substitute(U, exact(np.diag(np.ones(len(G.hi)))))
    D = DD(np.diag(U.hi)[None, :], np.diag(U.lo)[None, :])
    return (T * D.sqrt()).hi


def back_substitute(U: DD, B: DD) -> DD:
    """U^-1 B for the upper triangle of U, in double-double."""
    X = DD(B.hi.copy(), B.lo.copy())
    for j in range(U.hi.shape[0] - 1, -1, -1):
        row = X[j : j + 1] / U[j : j + 1, j : j + 1]
        above = X[:j] - U[:j, j : j + 1] * row
        X.hi[j], X.lo[j] = row.hi[0], row.lo[0]
        X.hi[:j], X.lo[:j] = above.hi, above.lo
    return X


def symmetric(A: Array) -> Array:
    """The mean of A and its transpose."""
    return (A + A.T) / 2
