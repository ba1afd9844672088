"""How much error rounding can make in a case's least-squares problem: the numbers tolerance works with.

First-order perturbation of least squares (Wedin 1973; Bjorck 1996, section 1.4; Higham 2002, chapter 20): a
backward stable solver solves exactly for X + dX and y + dy with |dx_k| <= u|x_k| and |dy| <= u|y|, so
    db = X^+ (dy - dX b) + (X'X)^-1 dX' r.
Everything here is taken after scaling by the square root of the weights. Nothing is compared here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compat.cases import Case

EPS = float(np.finfo(np.float64).eps)
Floats = NDArray[np.float64]

# rms fits an intercept whatever the formula says.
RMS = frozenset({"ols", "robcov"})

# A sum of m rounded products errs by lambda sqrt(m) eps with overwhelming probability, lambda a small
# constant (Higham & Mary 2019, SIAM J. Sci. Comput. 41(5)); QR of an n x p matrix adds up n terms p times.
LAMBDA = 8.0


@dataclass(frozen=True, eq=False)
class Conditioning:
    """The rounding profile of one least-squares problem with n rows and p columns, k of them not aliased."""

    n: int
    df: int
    kept: NDArray[np.bool_]  # (p,) False where aliased
    unit: float  # relative noise of one backward stable pass over the data
    size: float  # |y| + |offset| + sum_k |b_k| |x_k|: what is added up and cancelled in y - X b
    residual: float  # |r|
    response: float  # |y|
    centred: float  # |y - its weighted mean|
    kappa: float  # condition number of X with its columns scaled to length one
    lengths: Floats  # (k,) |x_k|
    inverse: Floats  # (k, k) (X'X)^-1
    basis: Floats  # (n, k) orthonormal basis of the columns, rows of positive weight
    used: NDArray[np.bool_]  # (N,) rows of positive weight
    X: Floats  # (N, k) rows of the frame, unweighted, zero weights included
    root_weights: Floats  # (N,)
    coef: Floats  # (k,)

    @property
    def sigma(self) -> float:
        """Residual standard error, NaN without residual degrees of freedom."""
        return float(self.residual / np.sqrt(self.df)) if self.df > 0 else float("nan")

    @property
    def fit_noise(self) -> float:
        """Noise of the weighted residuals: dy - dX b passes whole, the part from r times the condition."""
        return self.unit * (self.size + self.kappa * self.residual)

    @property
    def sigma_noise(self) -> float:
        """Noise of sigma: to first order only dy - dX b changes the length of r."""
        return float(self.unit * self.size / np.sqrt(max(self.df, 1)))

    def linear_noise(self, rows: Floats) -> Floats:
        """Noise of a'b, a row of (m, k): |a'X^+| |dy - dX b| + |a'(X'X)^-1| |dX'r|, and the sum's own."""
        towards = rows @ self.inverse
        spread = np.sqrt(np.maximum(np.sum(towards * rows, axis=1), 0.0))
        turned = np.abs(towards) @ self.lengths
        own = np.abs(rows) @ np.abs(self.coef)
        return np.asarray(self.unit * (spread * self.size + turned * self.residual + own))

    def leverage(self, groups: Sequence[NDArray[np.intp]] | None = None) -> float:
        """The largest share below one that a row, or a group of rows, has in its own fitted values."""
        if groups is None:
            shares = np.sum(self.basis**2, axis=1)
        else:
            grams = [self.basis[rows].T @ self.basis[rows] for rows in groups]
            shares = np.concatenate([np.linalg.eigvalsh(gram) for gram in grams])
        return float(shares[shares < 1 - 1e-8].max(initial=0.0))

    def widen(self, values: Floats) -> Floats:
        """Put (k,) values at their columns of the p, NaN at the aliased ones."""
        out = np.full(self.kept.size, np.nan)
        out[self.kept] = values
        return out

    def rho(self) -> Floats:
        """Root of the diagonal of (X'X)^-1 (k,): standard errors per unit of sigma."""
        return np.asarray(np.sqrt(np.diag(self.inverse)))

    def eta(self) -> Floats:
        """Relative noise of rho in units of `unit` (k,): d(X'X)^-1 = -(X'X)^-1 (dX'X + X'dX) (X'X)^-1."""
        return np.asarray(np.abs(self.inverse) @ self.lengths / self.rho())


def of_arrays(
    X: Floats, y: Floats, weights: Floats | None = None, offset: Floats | None = None,
    aliased: Sequence[bool] | None = None,
) -> Conditioning:  # fmt: skip
    """Work out the profile from a model matrix (N, p), a response, weights and an offset (N,)."""
    root = np.sqrt(weights) if weights is not None else np.ones(len(y))
    used = root > 0
    shift = np.zeros(len(y)) if offset is None else offset
    Xw, z = (X * root[:, None])[used], ((y - shift) * root)[used]
    kept = ~np.asarray(aliased, dtype=bool) if aliased is not None else independent(Xw)
    Xw = Xw[:, kept]
    lengths = np.linalg.norm(Xw, axis=0)
    U, s, Vt = np.linalg.svd(Xw / lengths, full_matrices=False)
    s = np.maximum(s, EPS * s.max(initial=0.0))
    coef = (Vt.T @ ((U.T @ z) / s)) / lengths
    scaled = Vt.T / s
    n, k = Xw.shape
    share = (root[used] ** 2) / np.sum(root[used] ** 2)
    yw = (y * root)[used]
    return Conditioning(
        n=n,
        df=n - k,
        kept=kept,
        unit=LAMBDA * EPS * float(np.sqrt(n * max(k, 1))),
        size=float(np.linalg.norm(yw) + np.linalg.norm((shift * root)[used]) + np.abs(coef) @ lengths),
        residual=float(np.linalg.norm(z - Xw @ coef)),
        response=float(np.linalg.norm(yw)),
        centred=float(np.linalg.norm((y[used] - share @ y[used]) * root[used])),
        kappa=float(s[0] / s[-1]) if k else 1.0,
        lengths=lengths,
        inverse=(scaled @ scaled.T) / np.outer(lengths, lengths),
        basis=U,
        used=used,
        X=X[:, kept],
        root_weights=root,
        coef=coef,
    )


def independent(X: Floats) -> NDArray[np.bool_]:
    """Columns that R's pivoting keeps: what the columns before leave of one is more than 1e-7 of it."""
    kept: list[Floats] = []
    flags = np.zeros(X.shape[1], dtype=bool)
    for k in range(X.shape[1]):
        rest, length = X[:, k], np.linalg.norm(X[:, k])
        for q in (*kept, *kept):  # twice is enough
            rest = rest - q * (q @ rest)
        left = np.linalg.norm(rest)
        if len(kept) < X.shape[0] and left > 1e-7 * length:
            flags[k] = True
            kept.append(rest / left)
    return flags


def of_case(case: Case, formula: str | None = None, aliased: Sequence[bool] | None = None) -> Conditioning:
    """Work out the profile of a case's model, or of another `formula` on its data."""
    from refimpl.formula import model_frame, model_matrix, parse

    extra: dict[str, Any] = {}
    if (column := case.options.get("weights")) is not None:
        extra["(weights)"] = case.data[column]
    text = formula or case.formula
    frame = model_frame(parse(text), case.data, extra=extra)
    if case.estimator in RMS and not frame.terms.intercept:
        frame = model_frame(parse(f"{text} + 1"), case.data, extra=extra)
    matrix = np.asarray(model_matrix(frame).X, dtype=np.float64)
    y = np.asarray(frame.response, dtype=np.float64)
    weights = np.asarray(frame.extra["(weights)"], dtype=np.float64) if extra else None
    if aliased is not None and len(aliased) != matrix.shape[1]:
        aliased = None
    if case.estimator == "ml_sandwich" and case.options["family"] == "binomial":
        return _logit(matrix, y, np.array(list(case.options["coef"].values()), dtype=np.float64))
    return of_arrays(matrix, y, weights, frame.offset, aliased)


def _logit(X: Floats, y: Floats, coef: Floats) -> Conditioning:
    """A logit at given coefficients is a weighted problem: weights mu(1 - mu), working residuals."""
    eta = X @ coef
    mu = 1 / (1 + np.exp(-eta))
    weights = mu * (1 - mu)
    return of_arrays(X, eta + (y - mu) / weights, weights, None, [False] * X.shape[1])
