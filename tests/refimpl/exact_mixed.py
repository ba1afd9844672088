"""The profiled objective of a mixed model in rational arithmetic, from the marginal covariance V: n rows, no tricks.

Only logarithms and the last square roots are rounded, to DIGITS digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np

from tests.refimpl.exact import Matrix, Row, fractions, identity, product, solve, transpose

DIGITS = 60
PI = Fraction(Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803"))


def decimal(a: Fraction) -> Decimal:
    return Decimal(a.numerator) / Decimal(a.denominator)


def log(a: Fraction) -> Decimal:
    return decimal(a).ln()


def determinant(A: Matrix) -> Fraction:
    """Of a positive definite matrix, by elimination."""
    rows, value = [list(row) for row in A], Fraction(1)
    for j, pivot in enumerate(rows):
        value *= pivot[j]
        for i in range(j + 1, len(rows)):
            factor = rows[i][j] / pivot[j]
            rows[i] = [a - factor * b for a, b in zip(rows[i], pivot, strict=True)]
    return value


def minus(A: Matrix, B: Matrix) -> Matrix:
    return [[a - b for a, b in zip(left, right, strict=True)] for left, right in zip(A, B, strict=True)]


def inner(A: Matrix, B: Matrix) -> Fraction:
    """The sum of the products of all cells."""
    return sum((a * b for left, right in zip(A, B, strict=True) for a, b in zip(left, right, strict=True)), Fraction(0))


@dataclass(frozen=True)
class ExactProfile:
    """beta (p,), pwrss and X'V^-1X inverted (p, p) as fractions; the objective; its derivatives by Sigma's cells."""

    objective: Decimal
    beta: Row
    pwrss: Fraction
    inverse: Matrix
    gradient: list[Fraction]


def exact_profile(
    X: np.ndarray, y: np.ndarray, Z: np.ndarray, Lambda: np.ndarray, REML: bool, w: np.ndarray, moves: list[np.ndarray]
) -> ExactProfile:
    """The objective at Lambda; its gradient along each of `moves`, dLambda / dtheta_k."""
    n, p = X.shape
    Zf, L = fractions(Z), fractions(Lambda)
    ZL = product(Zf, L)
    V = product(ZL, transpose(ZL))
    for i, weight in enumerate(w.tolist()):
        V[i][i] += 1 / Fraction(weight)
    parts = zip(fractions(X), fractions(y[:, None]), identity(n), strict=True)
    solved = solve(V, [a + b + c for a, b, c in parts])
    VX, Vy, Vinv = [row[:p] for row in solved], [[row[p]] for row in solved], [row[p + 1 :] for row in solved]
    XVX = product(transpose(fractions(X)), VX)
    inverse = solve(XVX, identity(p)) if p else []
    beta = product(inverse, product(transpose(fractions(X)), Vy)) if p else []
    Py = minus(Vy, product(VX, beta)) if p else Vy
    pwrss = inner(fractions(y[:, None]), Py)
    P = minus(Vinv, product(product(VX, inverse), transpose(VX))) if p and REML else Vinv
    df = n - p * REML
    gradient = []
    for move in moves:
        half = product(product(Zf, fractions(move)), transpose(ZL))
        trace = 2 * inner(P, half)
        gradient.append(trace - df / pwrss * 2 * inner(product(transpose(Py), half), transpose(Py)))
    with localcontext() as context:
        context.prec = DIGITS
        objective = log(determinant(V)) + df * (1 + log(2 * PI * pwrss / df))
        if REML and p:
            objective += log(determinant(XVX))
    return ExactProfile(objective, [row[0] for row in beta], pwrss, inverse, gradient)
