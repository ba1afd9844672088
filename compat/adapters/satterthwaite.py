"""Satterthwaite's degrees of freedom of an lmer fit's coefficients, as lmerTest prints them (Kuznetsova et al. 2017).

df = 2 v^2 / (g'A g): v the variance of an estimate as a function of theta and sigma, g its gradient there, A twice the
inverse Hessian of the deviance (or REML criterion) in theta and sigma. Derivatives are central differences,
extrapolated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from refimpl.distributions import two_sided_t, upper_f
from refimpl.mixed.profile import evaluate
from refimpl.mixed.results import scaled_factors

Floats = NDArray[np.float64]
STEP = 0.16  # of a parameter
LEVELS = 4


def degrees_of_freedom(fit: Any) -> pd.Series[float] | None:
    """df of each coefficient's t test; None for a singular fit, whose deviance has no Hessian inside."""
    if fit.is_singular:
        return None
    at = np.append(fit.theta, fit.sigma)
    A = 2 * np.linalg.inv(_hessian(lambda x: _deviance(fit, x), at))
    G = _gradient(lambda x: _variances(fit, x), at)  # (coefficients, parameters)
    v = _variances(fit, at)
    return pd.Series(2 * v**2 / np.einsum("ij,jk,ik->i", G, A, G), index=fit.names)


def p_values(fit: Any) -> pd.Series[float] | None:
    """p-values of the t tests with these df."""
    df = degrees_of_freedom(fit)
    if df is None:
        return None
    found = [float(two_sided_t(t, d)) for t, d in zip(fit.statistic, df, strict=True)]
    return pd.Series(found, index=fit.names)


def anova(fit: Any) -> dict[str, pd.Series[float]] | None:
    """lmerTest's type III table where every term is one column, so that F is t squared; None for other models."""
    labels = fit.frame.terms.labels
    fixed = [name for name in fit.names if name != "(Intercept)"]
    df = degrees_of_freedom(fit)
    if df is None or not fixed or not set(fixed) <= set(labels):
        return None
    F, den = fit.statistic[fixed] ** 2, df[fixed]
    p = [float(upper_f(f, 1.0, d)) for f, d in zip(F, den, strict=True)]
    squares = F * fit.sigma**2
    return {
        "sum_sq": squares, "mean_sq": squares, "num_df": pd.Series(1.0, index=fixed), "den_df": den,
        "f_statistic": F, "p_value": pd.Series(p, index=fixed),
    }  # fmt: skip


def at_theta(fit: Any, theta: Floats) -> Any:
    """The fit as it would be had the search ended at this theta."""
    factors = tuple(scaled_factors(fit.blocks, theta))
    return replace(fit, optimum=replace(fit.optimum, factors=factors, point=evaluate(fit.blocks, factors, fit.REML)))


def _deviance(fit: Any, x: Floats) -> Floats:
    """The criterion at (theta, sigma), sigma not profiled out: c + df log(2 pi sigma^2) + pwrss / sigma^2."""
    point = evaluate(fit.blocks, scaled_factors(fit.blocks, x[:-1]), fit.REML)
    df = fit.nobs - (fit.rank if fit.REML else 0)
    c = point.objective - df * (1 + np.log(2 * np.pi * point.pwrss / df))
    return np.asarray(c + df * np.log(2 * np.pi * x[-1] ** 2) + point.pwrss / x[-1] ** 2)


def _variances(fit: Any, x: Floats) -> Floats:
    """Variances of the coefficients at (theta, sigma)."""
    there = at_theta(fit, x[:-1])
    return np.asarray(np.diag(there.vcov) / there.sigma**2 * x[-1] ** 2)


Function = Callable[[Floats], Floats]


def _steps(x: Floats, h: float) -> Floats:
    return np.asarray(np.diag(h * np.maximum(np.abs(x), 0.1)))


def _gradient(f: Function, x: Floats) -> Floats:
    """Derivatives of a vector function, (values, parameters)."""

    def central(h: float) -> Floats:
        return np.stack([(f(x + s) - f(x - s)) / (2 * s.sum()) for s in _steps(x, h)], axis=-1)

    return _extrapolated(central)


def _hessian(f: Function, x: Floats) -> Floats:
    """Second derivatives of a number."""

    def central(h: float) -> Floats:
        steps = _steps(x, h)
        H = np.empty((len(x), len(x)))
        for i, a in enumerate(steps):
            for j, b in enumerate(steps):
                H[i, j] = (f(x + a + b) - f(x + a - b) - f(x - a + b) + f(x - a - b)) / (4 * a.sum() * b.sum())
        return H

    return _extrapolated(central)


def _extrapolated(central: Callable[[float], Floats]) -> Floats:
    """Richardson's extrapolation of central differences over LEVELS halvings of the step.

    Few digits are lost to rounding, for no step is small, and the error is of order 2 LEVELS + 2 in the step.
    """
    column = [central(STEP / 2**k) for k in range(LEVELS + 1)]
    for order in range(1, LEVELS + 1):
        column = [(4**order * b - a) / (4**order - 1) for a, b in pairwise(column)]
    return np.asarray(column[0])
