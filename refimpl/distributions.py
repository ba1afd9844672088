"""Tail probabilities and quantiles of t, F, chi-squared and normal, right in relative terms down to 1e-300."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from refimpl.linalg import Array

FAR = 1e100  # beyond it the tail of t falls as t^-df to the last bit, and soon t^2 overflows


def two_sided_t(t: Any, df: float) -> Array:
    """P(|T| > |t|) of Student's t; of the normal for df = inf. NaN for df <= 0."""
    t = np.abs(np.asarray(t, dtype=np.float64))
    if np.isinf(df):
        return np.asarray(2 * special.ndtr(-t))
    if not df > 0:
        return np.full(t.shape, np.nan)
    if df == 1:  # Cauchy's, in closed form: stdtr loses half its digits near zero
        return np.asarray(2 / np.pi * np.arctan2(1.0, t))
    near = np.minimum(t, FAR)
    return np.asarray(2 * special.stdtr(df, -near) * np.divide(near, t, out=np.ones_like(t), where=t > FAR) ** df)


def t_quantile(p: float, df: float) -> float:
    """The p-quantile of Student's t; of the normal for df = inf. NaN for df <= 0."""
    if np.isinf(df):
        return float(special.ndtri(p))
    return float(special.stdtrit(df, p)) if df > 0 else float("nan")


def upper_f(f: Any, df1: float, df2: float) -> Array:
    """P(F > f) of the F distribution; NaN where a df is not positive."""
    f = np.asarray(f, dtype=np.float64)
    if not (df1 > 0 and df2 > 0):
        return np.full(f.shape, np.nan)
    with np.errstate(invalid="ignore"):
        share = df1 * f / (df2 + df1 * f)
        # the incomplete beta function whose argument is not one minus something small
        near = special.betaincc(df1 / 2, df2 / 2, np.minimum(share, 1.0))
        far = special.betainc(df2 / 2, df1 / 2, df2 / (df2 + df1 * f))
    return np.where(np.isnan(f), np.nan, np.where(share < 0.5, near, far))


def upper_chi2(x: Any, df: float) -> Array:
    """P(X > x) of the chi-squared distribution, 1 for a negative x; NaN for df <= 0."""
    x = np.maximum(np.asarray(x, dtype=np.float64), 0.0)
    return np.asarray(special.gammaincc(df / 2, x / 2)) if df > 0 else np.full(x.shape, np.nan)
