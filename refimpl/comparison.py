"""anova: tests of one fit's terms and of nested fits against each other.

Linear models are compared by F tests, as R's anova.lm and anova.lmlist do; mixed models by likelihood-ratio tests of
their maximum-likelihood fits, as lme4's anova.merMod does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy.linalg import solve_triangular

from refimpl.distributions import upper_chi2, upper_f
from refimpl.errors import DataError
from refimpl.linear import LinearFit
from refimpl.mixed.results import MixedFit
from refimpl.printing.frames import print_anova

COLUMNS = ["df_residual", "rss", "df", "sum_sq", "f_statistic", "p_value"]


class AnovaTable(pd.DataFrame):
    """The table of `anova`, whose repr is what R prints; parts of it are plain data frames."""

    _metadata = ["printed"]  # noqa: RUF012  pandas reads it from the class
    printed: Callable[[], str]

    def __repr__(self) -> str:
        return self.printed()


def anova(*fits: LinearFit | MixedFit, refit: bool = True, names: Sequence[str] | None = None) -> AnovaTable:
    """Compare fits, one row a model, in the order given; or test the terms of a single fit in sequence.

    Several linear models give df_residual, rss, df, sum_sq, f_statistic, p_value, each row against the one before,
    with the mean square of the largest model in the denominator (R: anova.lmlist, test = "F"). One linear model
    gives a row a term: df, sum_sq, mean_sq, f_statistic, p_value (R: anova.lm).

    Where one of several is a mixed model, all are: npar, aic, bic, loglik, deviance, chisq, chi_df, p_value, by rising
    npar, each against the one before (lme4: anova.merMod). REML fits are fitted again by maximum likelihood, as R does
    and says; `refit=False` compares them as they are. Their rows are labelled by `names`, or "1", "2", ... One mixed
    model gives a row a term: npar, sum_sq, mean_sq, f_statistic, in sequence and without p-values, as lme4 does.

    Raises DataError `models-differ` where the fits are not of the same rows and response, `bad-option` for other
    names than one a fit.
    """
    if not fits:
        raise DataError("bad-option", "anova needs a fit")
    labels = [str(i) for i in range(1, len(fits) + 1)] if names is None else list(names)
    if len(set(labels)) != len(fits):
        raise DataError("bad-option", f"anova needs a name of its own for each of {len(fits)} fits, not {labels}")
    linear = [fit for fit in fits if isinstance(fit, LinearFit)]
    if len(linear) < len(fits):
        table = (
            _mixed_terms(fits[0])
            if isinstance(fits[0], MixedFit) and len(fits) == 1
            else (_likelihood_ratios(fits, labels, refit))
        )
    else:
        table = _terms(linear[0]) if len(fits) == 1 else _nested(linear)
    out = AnovaTable(table)
    out.printed = lambda: print_anova(*fits, refit=refit, names=names)
    return out


def _likelihood_ratios(fits: Sequence[LinearFit | MixedFit], labels: Sequence[str], refit: bool) -> pd.DataFrame:
    if len({fit.nobs for fit in fits}) > 1:
        raise DataError("models-differ", "models were not all fitted to the same size of dataset")
    rows = []
    for label, fit in zip(labels, fits, strict=True):
        if isinstance(fit, MixedFit):
            used = fit.refit_ml() if refit else fit
            rows.append((label, used.n_parameters, used.aic, used.bic, used.loglik))
        else:
            rows.append((label, fit.rank + 1, fit.aic, fit.bic, fit.loglik))
    rows.sort(key=lambda row: row[1])
    table = pd.DataFrame(
        [row[1:] for row in rows], columns=["npar", "aic", "bic", "loglik"], index=[row[0] for row in rows]
    )
    table["deviance"] = -2 * table["loglik"]
    table["chisq"] = (-table["deviance"].diff()).clip(lower=0)
    table["chi_df"] = table["npar"].diff()
    table["p_value"] = [
        float(upper_chi2(chisq, df)) if df > 0 else np.nan
        for chisq, df in zip(table["chisq"], table["chi_df"], strict=True)
    ]
    return table


def _nested(fits: Sequence[LinearFit]) -> pd.DataFrame:
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


def _mixed_terms(fit: MixedFit) -> pd.DataFrame:
    """Sums of squares of a mixed model's terms in sequence: of R_X beta, where R_X'R_X = sigma^2 vcov^-1."""
    V = fit.vcov.to_numpy() / fit.sigma**2
    size = np.sqrt(V.diagonal())
    correlation = V / np.outer(size, size)
    inverse = np.linalg.cholesky(correlation[::-1, ::-1])[::-1, ::-1]  # R_X^-1, but for the columns' sizes
    effects = solve_triangular(inverse, fit.coef.to_numpy() / size)
    assign = np.asarray(fit.design.assign)[fit.fixed.kept]
    rows = [
        (label, int((assign == term).sum()), float(np.sum(effects[assign == term] ** 2)))
        for term, label in enumerate(fit.design.design.terms.labels, 1)
        if (assign == term).any()
    ]
    table = pd.DataFrame([row[1:] for row in rows], columns=["npar", "sum_sq"], index=[row[0] for row in rows])
    table["mean_sq"] = table["sum_sq"] / table["npar"]
    table["f_statistic"] = table["mean_sq"] / fit.sigma**2
    return table


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
