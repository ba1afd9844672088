"""Tests of panel models: poolability, Hausman, Lagrange multipliers, serial correlation, cross-section dependence.

Each returns a PanelTest, as plm 2.6-2's function of the same name returns an htest. Models are in models.py.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd
from scipy import sparse

from refimpl.distributions import two_sided_t, upper_chi2, upper_f
from refimpl.errors import DataError
from refimpl.least_squares import ols
from refimpl.linalg import Array
from refimpl.linear import Data
from refimpl.panel.covariance import Parts, Type, parts_of
from refimpl.panel.index import IndexLike, PanelIndex
from refimpl.panel.models import INTERCEPT, PanelFit, plm
from refimpl.panel.transforms import Effect, Groups, Transformer
from refimpl.panel.variance_components import RandomMethod, varies

LmType = Literal["honda", "bp", "kw", "ghm"]
CdTest = Literal["cd", "lm", "sclm", "bcsclm", "rho", "absrho"]
VcovFunction = Callable[[PanelFit], pd.DataFrame]


@dataclass(frozen=True)
class PanelTest:
    """A test: its statistic, the parameters of the distribution under the null (df, df1, df2) and the p-value."""

    method: str
    statistic: float
    p_value: float
    distribution: str
    parameters: dict[str, float] = field(default_factory=dict)


def _f(method: str, value: float, df1: float, df2: float) -> PanelTest:
    return PanelTest(method, value, float(upper_f(value, df1, df2)), "F", {"df1": df1, "df2": df2})


def _chi2(method: str, value: float, df: float) -> PanelTest:
    return PanelTest(method, value, float(upper_chi2(value, df)), "chisq", {"df": df})


def _upper_normal(z: float) -> float:
    half = float(two_sided_t(z, np.inf)) / 2
    return half if z >= 0 else 1 - half


def _need(condition: bool, message: str) -> None:
    if not condition:
        raise DataError("bad-option", message)


# ----------------------------------------------------------------------------------------------------------
# Effects or none, fixed or random
# ----------------------------------------------------------------------------------------------------------


def pFtest(within: PanelFit, pooling: PanelFit) -> PanelTest:
    """F test of the effects of a within model against the pooling model (plm 2.6-2: pFtest)."""
    _need(within.model == "within" and pooling.model == "pooling", "pFtest takes a within and a pooling model")
    df1, df2 = pooling.df_residual - within.df_residual, within.df_residual
    value = (pooling.rss - within.rss) / df1 / (within.rss / df2)
    return _f(f"F test for {within.effect} effects", value, df1, df2)


def phtest(first: PanelFit, second: PanelFit) -> PanelTest:
    """Hausman's test of two models of one formula: |d'(V1 - V2)^-1 d| of their common slopes (plm 2.6-2: phtest).

    V1 - V2 need not be positive, so plm takes the absolute value. Within and between estimates are independent:
    there it is V1 + V2 (Hausman and Taylor 1981).
    """
    common = [name for name in first.coef_names if name in second.coef_names and name != INTERCEPT]
    _need(bool(common), "the two models share no slope")
    d = (first.coef[common] - second.coef[common]).to_numpy()
    sign = 1 if {first.model, second.model} == {"within", "between"} else -1
    V = (first.vcov.loc[common, common] + sign * second.vcov.loc[common, common]).to_numpy()
    return _chi2("Hausman Test", abs(float(d @ np.linalg.solve(V, d))), len(common))


def phtest_aux(
    formula: str,
    data: Data,
    index: IndexLike = None,
    effect: Effect = "individual",
    vcov: VcovFunction | None = None,
    random_method: RandomMethod | None = None,
) -> PanelTest:
    """Hausman's test by regression (plm 2.6-2: phtest(method = "aux"); Wooldridge 2010, 10.7.3).

    The quasi-demeaned response on the quasi-demeaned columns and the within columns; a Wald test of the latter, with
    `vcov` (a function such as plm_vcov_hc) a robust one.
    """
    random = plm(formula, data, index, "random", effect, random_method)
    within = random.transformer.within(random.levels.X)
    kept = varies(within) & random.levels.is_slope
    X, y = random.transformed_columns, random.response
    names = [*random.coef_names, *(f"{n}.tilde" for n, k in zip(random.levels.names, kept, strict=True) if k)]
    if INTERCEPT in random.coef_names:
        X = X.copy()
        X[:, random.coef_names.index(INTERCEPT)] = 1.0  # plm leaves the intercept as it is
    fit = auxiliary(random, np.asfortranarray(np.column_stack([X, within[:, kept]])), y, names)
    V = fit.vcov if vcov is None else vcov(fit)
    tested = [name for name in fit.coef_names if name.endswith(".tilde")]
    b = fit.coef[tested].to_numpy()
    value = float(b @ np.linalg.solve(V.loc[tested, tested].to_numpy(), b))
    return _chi2("Regression-based Hausman test", value, len(tested))


def auxiliary(fit: PanelFit, X: Array, y: Array, names: list[str]) -> PanelFit:
    """A pooling model of these columns on the rows of another fit."""
    levels = replace(fit.levels, X=X, y=y, names=tuple(names), weights=None)
    return replace(
        fit, model="pooling", levels=levels, names=tuple(names), solution=ols(X, y), components=None, covariance=None
    )


# ----------------------------------------------------------------------------------------------------------
# Lagrange multipliers
# ----------------------------------------------------------------------------------------------------------


def plmtest(pooling: PanelFit, effect: Effect = "individual", type: LmType = "honda") -> PanelTest:
    """Lagrange multiplier tests of random effects on the residuals of the pooling model (plm 2.6-2: plmtest).

    honda (Honda 1985), bp (Breusch and Pagan 1980; Baltagi and Li 1990), kw (King and Wu 1997; Baltagi, Chang and Li
    1998), and for both effects ghm (Gourieroux, Holly and Monfort 1982); balanced or not. Honda's and King and Wu's
    are one-sided. Another model than pooling is refitted as one.
    """
    _need(type in ("honda", "bp", "kw", "ghm"), f"type must be one of honda, bp, kw, ghm; not {type!r}")
    _need(type != "ghm" or effect == "twoways", "ghm is for two-way effects")
    u = pooled(pooling).residual_values
    panel = pooling.levels.panel
    ids, times = Groups(panel.id), Groups(panel.time)
    one, two = honda(u, ids), honda(u, times)
    method = f"Lagrange Multiplier Test - {type} ({effect})"
    if effect != "twoways":
        value = one if effect == "individual" else two
        if type == "bp":
            return _chi2(method, value**2, 1)
        return PanelTest(method, value, _upper_normal(value), "normal")
    if type == "bp":
        return _chi2(method, one**2 + two**2, 2)
    if type == "ghm":
        value = max(one, 0.0) ** 2 + max(two, 0.0) ** 2
        p = 0.5 * float(upper_chi2(value, 1)) + 0.25 * float(upper_chi2(value, 2)) + 0.25 * (value == 0)
        return PanelTest(
            method, value, p, "chibarsq", {"df0": 0, "df1": 1, "df2": 2, "w0": 0.25, "w1": 0.5, "w2": 0.25}
        )
    weights = np.array([1.0, 1.0])
    if type == "kw":
        weights = np.sqrt([float(g.counts @ g.counts) - panel.N for g in (ids, times)])
    value = float(weights @ [one, two] / np.sqrt(weights @ weights))
    return PanelTest(method, value, _upper_normal(value), "normal")


def honda(u: Array, groups: Groups) -> float:
    """sqrt(N^2 / (2 (sum T_i^2 - N))) (sum of squared group sums / u'u - 1)."""
    N, sums = len(u), groups.sums_of(u)
    return float(np.sqrt(N**2 / (2 * (groups.counts @ groups.counts - N))) * (sums @ sums / (u @ u) - 1))


def pooled(fit: PanelFit) -> PanelFit:
    """The pooling model of a fit's formula and data."""
    if fit.model == "pooling":
        return fit
    return plm(fit.formula, fit.data, fit.arguments.get("index"), "pooling")


# ----------------------------------------------------------------------------------------------------------
# Serial correlation
# ----------------------------------------------------------------------------------------------------------


def pbgtest(fit: PanelFit, order: int | None = None, type: Literal["Chisq", "F"] = "Chisq") -> PanelTest:
    """Breusch and Godfrey's test on the transformed data of a model (plm 2.6-2: pbgtest).

    `order` lags of the residuals as they stand, zeros before the first and none kept apart by individual (so lmtest's
    bgtest, which plm calls); by default the fewest rows of an individual.
    """
    _need(fit.model != "between", "pbgtest is not for between models")
    _need(type in ("Chisq", "F"), f"type must be Chisq or F; not {type!r}")
    lags = int(fit.levels.panel.id.counts.min()) if order is None else order
    X = fit.transformed_columns
    u = ols(X, fit.response).residuals
    N = len(u)
    Z = np.zeros((N, lags))
    for j in range(1, min(lags, N) + 1):
        Z[j:, j - 1] = u[: N - j]
    aux = ols(np.asfortranarray(np.column_stack([X, Z])), u)
    title = "Breusch-Godfrey/Wooldridge test for serial correlation in panel models"
    if type == "Chisq":
        return _chi2(title, float(N * (aux.fitted @ aux.fitted) / (u @ u)), lags)
    df2 = N - X.shape[1] - lags
    return _f(title, float((u @ u - aux.rss) / lags / (aux.rss / df2)), lags, df2)


def pwartest(fit: PanelFit, type: Type = "HC0") -> PanelTest:
    """Wooldridge's test for serial correlation in within residuals (plm 2.6-2: pwartest; Wooldridge 2010, 10.5.4).

    The residuals are regressed on those of the row before of the same individual; F of the slope against -1/(T-1),
    with the covariance clustered by individual (`type` as plm_vcov_hc has it).
    """
    _need(fit.model == "within", "pwartest is for within models")
    panel, later = fit.levels.panel, fit.transformer.later
    u = fit.residual_values
    now, before = u[later], u[np.flatnonzero(later) - 1]
    X = np.asfortranarray(np.column_stack([np.ones(len(now)), before]))
    names = [INTERCEPT, "before"]
    rows = auxiliary(fit, X, now, names)
    kept = panel.take(later)
    rows = _on_rows(rows, kept)
    parts: Parts = parts_of(rows, type)
    V = parts.sandwich(parts.factor(type, "cluster", "group") * parts.meat("group", "cluster"))
    value = (float(rows.coef["before"]) + 1 / (panel.T - 1)) ** 2 / float(V[1, 1])
    return _f("Wooldridge's test for serial correlation in FE panels", value, 1, rows.df_residual)


def _on_rows(fit: PanelFit, panel: PanelIndex) -> PanelFit:
    """The fit with the index of other rows."""
    levels = replace(fit.levels, panel=panel)
    return replace(fit, levels=levels, transformer=Transformer(panel, fit.effect), labels=pd.RangeIndex(panel.N))


# ----------------------------------------------------------------------------------------------------------
# Cross-section dependence
# ----------------------------------------------------------------------------------------------------------


def pcdtest(fit: PanelFit, test: CdTest = "cd") -> PanelTest:
    """Tests of cross-section dependence in a model's residuals (plm 2.6-2: pcdtest; Pesaran 2004, 2015).

    From the correlations r of every two individuals over the T_ij times they share: cd, lm (Breusch and Pagan 1980),
    sclm, bcsclm (Baltagi, Feng and Kao 2012; within models with individual effects only), rho and absrho, their mean
    and mean absolute value. A pair with fewer than two common times is left out. Of several rows in a cell every pair
    counts; plm 2.6-2 answers otherwise when such rows change places.
    """
    names = ("cd", "lm", "sclm", "bcsclm", "rho", "absrho")
    _need(test in names, f"test must be one of {', '.join(names)}; not {test!r}")
    bias = fit.model == "within" and fit.effect != "time"
    _need(test != "bcsclm" or bias, "bcsclm is for within models with individual effects")
    panel = fit.levels.panel.take(fit.transformer.later) if fit.model == "fd" else fit.levels.panel
    _need(fit.model != "between", "a between model has no residuals over time")
    r, T = correlations(fit.residual_values, panel)
    return _dependence(r, T, panel, test)


def pcdtest_heterogeneous(formula: str, data: Data, index: IndexLike = None, test: CdTest = "cd") -> PanelTest:
    """pcdtest on the residuals of one regression for each individual, as plm has it by default for a formula.

    Where an individual has too few rows for one, a within model's residuals are taken, with a warning.
    """
    _need(test != "bcsclm", "bcsclm is for within models with individual effects")
    fit = plm(formula, data, index, "pooling")
    panel, k = fit.levels.panel, fit.rank
    if int(panel.id.counts.min()) < k + 1:
        warnings.warn(
            "too few rows for a regression of each individual: using within residuals", UserWarning, stacklevel=2
        )
        return pcdtest(plm(formula, data, index, "within"), test)
    ends = np.cumsum(panel.id.counts.astype(int))
    blocks = [slice(stop - size, stop) for stop, size in zip(ends, panel.id.counts.astype(int), strict=True)]
    u = np.concatenate([ols(np.asfortranarray(fit.levels.X[b]), fit.levels.y[b]).residuals for b in blocks])
    r, T = correlations(u, panel)
    return _dependence(r, T, panel, test)


def correlations(u: Array, panel: PanelIndex) -> tuple[Array, Array]:
    """r_ij and T_ij of every two individuals i > j that share two times or more, centred over those times.

    Where an individual has several rows at a time, each is paired with each of the other's at that time.
    """
    place, shape = (panel.id.codes, panel.time.codes), (panel.n, panel.T)
    E, squared, S = (sparse.coo_array((x, place), shape).toarray() for x in (u, u**2, np.ones(len(u))))
    T, sums, squares, products = S @ S.T, E @ S.T, squared @ S.T, E @ E.T
    with np.errstate(divide="ignore", invalid="ignore"):
        cross = products - sums * sums.T / T
        own = squares - sums**2 / T
        r = cross / np.sqrt(own * own.T)
    low = np.tril_indices(panel.n, -1)
    use = T[low] >= 2
    return np.asarray(r[low][use]), np.asarray(T[low][use])


def _dependence(r: Array, T: Array, panel: PanelIndex, test: str) -> PanelTest:
    pairs = len(r)
    if test in ("rho", "absrho"):
        return PanelTest(test, float(np.mean(np.abs(r) if test == "absrho" else r)), float("nan"), test)
    if test == "lm":
        return _chi2("Breusch-Pagan LM test for cross-sectional dependence in panels", float(T @ r**2), pairs)
    scaled = np.sqrt(1 / (2 * pairs)) * float(np.sum(T * r**2 - 1))
    value = {
        "cd": np.sqrt(1 / pairs) * float(np.sqrt(T) @ r),
        "sclm": scaled,
        "bcsclm": scaled - panel.n / (2 * (panel.id.counts.max() - 1)),
    }[test]
    return PanelTest(
        f"{test} test for cross-sectional dependence in panels", value, float(two_sided_t(value, np.inf)), "z"
    )
