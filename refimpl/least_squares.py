"""Least squares on arrays: coefficients, residuals, leverages, and the scores and bread that sandwiches need.

No formulas, no names, no inference; those are in linear.py and sandwich.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from refimpl import linalg
from refimpl.errors import DataError
from refimpl.linalg import DD, Array

QR_TOLERANCE = 1e-7  # R's lm


@dataclass(frozen=True)
class LeastSquares:
    """A least-squares fit of y (n,) on X (n, p), of rank r.

    kept (p,) bool: the columns that are not aliased; coef (p,): NaN where aliased; coef_low (p,): what rounding
    took from coef; xtx_inverse (r, r): (X'WX)^-1 of the kept columns; rss: the weighted sum of squared residuals;
    weights (n,) or None; X and y as they came; gram (r, r): D X'WX D of the kept columns, D = diag(scale) (r,).
    """

    X: Array
    y: Array
    weights: Array | None
    kept: NDArray[np.bool_]
    coef: Array
    coef_low: Array
    xtx_inverse: Array
    rss: float
    gram: DD
    scale: Array

    @property
    def rank(self) -> int:
        """Number of columns kept."""
        return int(self.kept.sum())

    @cached_property
    def used(self) -> NDArray[np.bool_] | slice:
        """The rows that count: those of positive weight."""
        return slice(None) if self.weights is None or bool((self.weights > 0).all()) else self.weights > 0

    @cached_property
    def nobs(self) -> int:
        """Rows of positive weight."""
        return len(self.y) if isinstance(self.used, slice) else int(self.used.sum())

    @cached_property
    def positive(self) -> LeastSquares:
        """The same fit without its rows of zero weight, which have no part in it."""
        if self.weights is None or isinstance(self.used, slice):
            return self
        return replace(self, X=self.X[self.used], y=self.y[self.used], weights=self.weights[self.used])

    @property
    def df_residual(self) -> int:
        """Rows of positive weight less the rank."""
        return self.nobs - self.rank

    @cached_property
    def X_kept(self) -> Array:
        """X without its aliased columns, (n, r)."""
        return self.X if self.rank == self.X.shape[1] else self.X[:, self.kept]

    @cached_property
    def fitted(self) -> Array:
        """X b, (n,)."""
        return np.asarray(self.X_kept @ self.coef[self.kept], dtype=np.float64)

    @cached_property
    def residuals(self) -> Array:
        """y - X b, (n,), unweighted; zero without degrees of freedom."""
        e = np.asarray(self.y - self.fitted - self.X_kept @ self.coef_low[self.kept], dtype=np.float64)
        if self.df_residual == 0:
            e[self.used] = 0.0
        return e

    @cached_property
    def hatvalues(self) -> Array:
        """Leverages h_i = w_i x_i' (X'WX)^-1 x_i, (n,)."""
        h = self.leverage(self.X_kept)
        return h if self.weights is None else h * self.weights

    @cached_property
    def root(self) -> Array:
        """R^-1, (r, r), with (X'WX)^-1 = R^-1 R^-T."""
        return self.scale[:, None] * linalg.inverse_root(self.gram)

    def leverage(self, X: Array) -> Array:
        """x' (X'WX)^-1 x of each row x (r,) of X, (m,)."""
        Q = X @ self.root
        return np.asarray(np.einsum("ij,ij->i", Q, Q))

    @cached_property
    def scores(self) -> Array:
        """w_i e_i x_i, (n, r): the estimating functions, whose sum is zero."""
        e = self.residuals if self.weights is None else self.residuals * self.weights
        return self.X_kept * e[:, None]


def ols(X: Array, y: Array, weights: Array | None = None, tol: float = QR_TOLERANCE) -> LeastSquares:
    """Least squares of y (n,) on X (n, p), optionally weighted (n,).

    Solves X'WX b = X'Wy in double-double, so that b, (X'WX)^-1 and the residual sum of squares are right to the
    last digits wherever the condition of X (columns of one length) is below about 1e6, and to 13 digits at 1e8.
    A column that depends on earlier ones to within `tol` gets a NaN coefficient (R's `lm`, ?lm.fit: the last of a
    set of dependent columns).

    Raises DataError: `infinite-values` where X, y or a weight is not finite, `bad-option` for negative weights.
    """
    p = X.shape[1]
    G, scale = _normal_matrix(X, y, weights)
    solved = linalg.solve_normal_equations(G, tol)
    unit = scale[:p][solved.kept] / scale[p]
    coef, low = np.full(p, np.nan), np.full(p, np.nan)
    coef[solved.kept], low[solved.kept] = solved.coef.hi * unit, solved.coef.lo * unit
    top = 1.0 if weights is None else _weight_scale(weights)
    inverse = solved.inverse * np.outer(scale[:p][solved.kept], scale[:p][solved.kept]) * top
    used = len(y) if weights is None else int((weights > 0).sum())
    rss = float(solved.rss / top / scale[p] / scale[p]) if used > solved.kept.sum() else 0.0
    which = np.ix_(*2 * [np.flatnonzero(solved.kept)])
    own = scale[:p][solved.kept] * np.sqrt(top)
    return LeastSquares(X, y, weights, solved.kept, coef, low, inverse, rss, G[which], own)


def _weight_scale(weights: Array) -> float:
    """A power of two that brings the weights below one."""
    return float(linalg.power_of_two(weights.max(initial=0.0)))


def _normal_matrix(X: Array, y: Array, weights: Array | None) -> tuple[DD, Array]:
    """D [X y]'W[X y] D with a diagonal near one, and the powers of two on D's diagonal."""
    parts = [X, y[:, None]]
    top = np.concatenate([linalg.largest(part) for part in parts])
    if not np.isfinite(top).all():
        where = "y" if np.isfinite(top[:-1]).all() else "x"
        raise DataError("infinite-values", f"NA/NaN/Inf in '{where}'")
    scale = linalg.power_of_two(top)
    if weights is None:
        G = linalg.gram(parts, scale)
    else:
        if not (weights >= 0).all():
            raise DataError("bad-option", "missing or negative weights not allowed")
        if not np.isfinite(weights).all():
            raise DataError("infinite-values", "NA/NaN/Inf in the weights")
        G = linalg.weighted_gram(parts, weights * _weight_scale(weights), scale)
    even = 2.0 ** -np.round(np.log2(np.where(G.hi.diagonal() > 0, G.hi.diagonal(), 1.0)) / 2)
    outer = np.outer(even, even)
    return DD(G.hi * outer, G.lo * outer), scale * even
