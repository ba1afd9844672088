"""anova: tests of one fit's terms and of nested fits against each other.

Linear models are compared by F tests, as R's anova.lm and anova.lmlist do.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from refimpl.distributions import upper_f
from refimpl.errors import DataError
from refimpl.linear import LinearFit

COLUMNS = ["df_residual", "rss", "df", "sum_sq", "f_statistic", "p_value"]


def anova(*fits: LinearFit) -> pd.DataFrame:
    """Compare fits, one row a model, in the order given; or test the terms of a single fit in sequence.

    Several linear models give df_residual, rss, df, sum_sq, f_statistic, p_value, each row against the one before,
    with the mean square of the largest model in the denominator (R: anova.lmlist, test = "F"). One linear model
    gives a row a term: df, sum_sq, mean_sq, f_statistic, p_value (R: anova.lm).
    Raises DataError `models-differ` where the fits are not of the same rows and response.
    """
    if not fits:
        raise DataError("bad-option", "anova needs a fit")
    return _terms(fits[0]) if len(fits) == 1 else _nested(fits)


def _nested(fits: tuple[LinearFit, ...]) -> pd.DataFrame:
    first = fits[0]
    if any(len(fit.solution.y) != len(first.solution.y) for fit in fits):
        raise DataError("models-differ", "models were not all fitted to the same size of dataset")
    if any(fit.frame.response_name != first.frame.response_name for fit in fits):
        raise DataError("models-differ", "models have different responses")
    df_residual = np.array([fit.df_residual for fit in fits], dtype=np.float64)
    rss = np.array([fit.deviance for fit in fits])
    df = np.append(np.nan, -np.diff(df_residual))
    sum_sq = np.append(np.nan, -np.diff(rss))
    largest = int(np.argmin(df_residual))
    scale = rss[largest] / df_residual[largest] if df_residual[largest] > 0 else np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        f = np.where(df == 0, np.nan, sum_sq / df / scale)
    p = [_p(one, abs(d), df_residual[largest]) for one, d in zip(f, df, strict=True)]
    table = [df_residual, rss, df, sum_sq, f, np.array(p)]
    labels = [str(i) for i in range(1, len(fits) + 1)]
    return pd.DataFrame(dict(zip(COLUMNS, table, strict=True)), index=labels)


def _p(f: float, df1: float, df2: float) -> float:
    return float(upper_f(f, df1, df2)) if np.isfinite(df1) and df1 > 0 else float("nan")


def _terms(fit: LinearFit) -> pd.DataFrame:
    """Sequential sums of squares: b_t' (V_tt)^-1 b_t of each term in the model of the terms up to it."""
    from refimpl.least_squares import ols

    assign, solution = np.asarray(fit.design.assign), fit.solution
    labels, rows = fit.frame.terms.labels, []
    for term, label in enumerate(labels, 1):
        upto = (assign <= term) & solution.kept
        here = assign[upto] == term
        if not here.any():
            continue
        part = ols(solution.X[:, upto], solution.y, solution.weights)
        b, V = part.coef[here], part.xtx_inverse[np.ix_(here, here)]
        rows.append((label, int(here.sum()), float(b @ np.linalg.solve(V, b))))
    table = pd.DataFrame(rows, columns=["term", "df", "sum_sq"]).set_index("term")
    table.index.name = None
    table.loc["Residuals"] = [fit.df_residual, fit.deviance]
    table["mean_sq"] = table["sum_sq"] / table["df"].where(table["df"] > 0)
    f = table["mean_sq"] / table["mean_sq"].iloc[-1]
    f.iloc[-1] = np.nan
    table["f_statistic"] = f
    table["p_value"] = [_p(one, d, fit.df_residual) for one, d in zip(f, table["df"], strict=True)]
    table.loc["Residuals", "p_value"] = np.nan
    return table
