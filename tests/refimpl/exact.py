"""Least squares in rational arithmetic: every double is a fraction, so nothing here is rounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from refimpl.linalg import DD

Row = list[Fraction]
Matrix = list[Row]


def fractions(array: np.ndarray) -> Matrix:
    """A matrix of doubles, or of dtype object, as fractions."""
    return [[Fraction(value) for value in row] for row in np.asarray(array).tolist()]


def of(a: DD) -> Matrix:
    """A double-double matrix as the fractions that it stands for."""
    pairs = zip(fractions(a.hi), fractions(a.lo), strict=True)
    return [[x + y for x, y in zip(hi, lo, strict=True)] for hi, lo in pairs]


def transpose(A: Matrix) -> Matrix:
    return [list(column) for column in zip(*A, strict=True)]


def product(A: Matrix, B: Matrix) -> Matrix:
    columns = transpose(B)
    return [[sum((a * b for a, b in zip(row, column, strict=True)), Fraction(0)) for column in columns] for row in A]


def solve(A: Matrix, B: Matrix) -> Matrix:
    """A^-1 B by elimination; the pivots need only not be zero."""
    n = len(A)
    rows = [[*a, *b] for a, b in zip(A, B, strict=True)]
    for j in range(n):
        pivot = next(i for i in range(j, n) if rows[i][j] != 0)
        rows[j], rows[pivot] = rows[pivot], rows[j]
        rows[j] = [value / rows[j][j] for value in rows[j]]
        for i in range(n):
            if i != j and rows[i][j] != 0:
                factor = rows[i][j]
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[j], strict=True)]
    return [row[n:] for row in rows]


def identity(n: int) -> Matrix:
    return [[Fraction(int(i == j)) for j in range(n)] for i in range(n)]


@dataclass(frozen=True)
class Exact:
    """The solution of X'WX b = X'Wy: coef (p), inverse (p, p), residuals (n), hat values (n), rss."""

    coef: Row
    inverse: Matrix
    residuals: Row
    hatvalues: Row
    rss: Fraction


def least_squares(X: np.ndarray, y: np.ndarray, weights: Sequence[float] | np.ndarray | None = None) -> Exact:
    """Least squares of full rank."""
    x, z = fractions(X), [Fraction(value) for value in np.asarray(y).tolist()]
    w = [Fraction(value) for value in (np.ones(len(z)) if weights is None else np.asarray(weights)).tolist()]
    weighted = [[v * value for value in row] for v, row in zip(w, x, strict=True)]
    xt = transpose(weighted)
    inverse = solve(product(xt, x), identity(len(xt)))
    coef = [row[0] for row in product(inverse, product(xt, [[value] for value in z]))]
    residuals = [a - sum(map(Fraction.__mul__, row, coef), Fraction(0)) for a, row in zip(z, x, strict=True)]
    hats = [sum(map(Fraction.__mul__, a, b), Fraction(0)) for a, b in zip(product(weighted, inverse), x, strict=True)]
    rss = sum((v * e * e for v, e in zip(w, residuals, strict=True)), Fraction(0))
    return Exact(coef, inverse, residuals, hats, rss)
