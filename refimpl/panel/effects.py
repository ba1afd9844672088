"""What is read off a panel model afterwards: fixed effects, the within intercept, random effects, predictions.

As plm 2.6-2 has them, except where it confuses the times of an unbalanced two-way model (see fixef).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

from refimpl.distributions import two_sided_t
from refimpl.errors import DataError
from refimpl.least_squares import ols
from refimpl.linalg import Array
from refimpl.linear import Data
from refimpl.panel.index import PanelIndex, panel_index, with_factors
from refimpl.panel.models import INTERCEPT, PanelFit, names_in
from refimpl.panel.transforms import Effect, Groups, functions_of

Kind = Literal["level", "dfirst", "dmean"]
VcovFunction = Callable[[PanelFit], pd.DataFrame]


def fixef(
    fit: PanelFit, effect: Effect | None = None, type: Kind = "level", vcov: pd.DataFrame | VcovFunction | None = None
) -> pd.DataFrame:
    """The fixed effects of a within model: estimate, and for one-way models std_error, statistic, p_value.

    `effect` of a two-way model: individual (the default; the first time's effect is 0), time (the first individual's
    is 0), or twoways, their sum at each row. `type`: as they are, less the first, or less their mean weighted by rows.
    The standard errors are those of what is shown, but of the levels for dmean, as in plm (2.6-2: fixef; R's summary
    of a model with dummies has those of dfirst). In an unbalanced two-way
    model plm's "individual" and "time" do not add up to its own "twoways" where an individual lacks the first time or
    the first individual lacks a time; these do.
    Raises DataError `bad-option` for another model or option.
    """
    _need(fit, "within", "fixed effects")
    if type not in ("level", "dfirst", "dmean"):
        raise DataError("bad-option", f"type must be one of level, dfirst, dmean; not {type!r}")
    chosen = fit.effect if fit.effect != "twoways" else effect or "individual"
    values, weights, labels = _level_effects(fit, chosen)
    table = pd.DataFrame({"estimate": values}, index=pd.Index(labels))
    if fit.effect != "twoways":
        table["std_error"] = _effect_errors(fit, vcov, less_first=type == "dfirst")
    if type != "level":
        table["estimate"] -= values[0] if type == "dfirst" else weights @ values / weights.sum()
    if fit.effect != "twoways":
        table["statistic"] = table["estimate"] / table["std_error"]
        table["p_value"] = two_sided_t(table["statistic"].to_numpy(), fit.df_residual)
    return table.iloc[1:] if type == "dfirst" else table


def _need(fit: PanelFit, model: str, what: str) -> None:
    if fit.model != model:
        raise DataError("bad-option", f"{what} are of a {model} model, not of a {fit.model} model")


def _level_effects(fit: PanelFit, effect: str) -> tuple[Array, Array, list[str]]:
    """The effects, the rows behind each, and their labels."""
    u, panel = fit.residuals_of_levels[:, None], fit.levels.panel
    if fit.effect != "twoways":
        groups = fit.transformer.groups
        return groups.means(u)[:, 0], groups.counts, list((panel.time if effect == "time" else panel.id).levels)
    ids, times = (e[:, 0] for e in fit.transformer.crossed.effects(u))
    shift = times[0]
    ids, times = ids + shift, times - shift
    if effect == "individual":
        return ids, panel.id.counts, list(panel.id.levels)
    if effect == "time":
        return times + ids[0], panel.time.counts, list(panel.time.levels)
    labels = [
        f"{panel.id.levels[i]}-{panel.time.levels[t]}" for i, t in zip(panel.id.codes, panel.time.codes, strict=True)
    ]
    return ids[panel.id.codes] + times[panel.time.codes], np.ones(panel.N), labels


def _effect_errors(fit: PanelFit, vcov: pd.DataFrame | VcovFunction | None, less_first: bool) -> Array:
    """sqrt(s2 / T_i + x_i' V x_i) with the group means x_i (Greene 2012, 11-25).

    Less the first it is sqrt(s2 (1 / T_i + 1 / T_1) + (x_i - x_1)' V (x_i - x_1)), for the first itself of no meaning.
    """
    if vcov is None:
        V = fit.error_variance * fit.solution.xtx_inverse
    else:
        V = (vcov(fit) if callable(vcov) else vcov).loc[fit.coef_names, fit.coef_names].to_numpy()
    groups = fit.transformer.groups
    means, shares = groups.means(fit.levels.X[:, fit.coefficient_columns]), 1 / groups.counts
    if less_first:
        means, shares = means - means[0], shares + shares[0]
    return np.asarray(np.sqrt(fit.error_variance * shares + np.einsum("ij,ij->i", means @ V, means)))


def within_intercept(fit: PanelFit, vcov: VcovFunction | None = None) -> tuple[float, float]:
    """The overall intercept of a within model and its standard error (plm 2.6-2: within_intercept; Gould 2013).

    It is the mean of the fixed effects weighted by rows. `vcov`: a function such as plm_vcov_hc, applied to the
    regression of the within columns with their means added back.
    """
    _need(fit, "within", "an overall intercept")
    model = with_intercept(fit)
    V = model.vcov if vcov is None else vcov(model)
    return float(model.coef[INTERCEPT]), float(np.sqrt(V[INTERCEPT][INTERCEPT]))


def with_intercept(fit: PanelFit) -> PanelFit:
    """The within model as a regression with an intercept: the grand means added back to the within columns.

    Its residual degrees of freedom are the within model's.
    """
    X, y = fit.levels.X[:, fit.coefficient_columns], fit.levels.y
    shifted = np.column_stack([np.ones(len(y)), fit.solution.X_kept + X.mean(axis=0)])
    solution = ols(np.asfortranarray(shifted), fit.solution.y + y.mean())
    return replace(fit, names=(INTERCEPT, *fit.coef_names), solution=solution, extra_rank=1)


def ranef(fit: PanelFit, effect: Literal["individual", "time"] | None = None) -> pd.Series[float]:
    """The random effects of a random model: each group's mean residual in levels, shrunk (plm 2.6-2: ranef).

    T_i s2 / (T_i s2 + s2_idios) times the mean; of two ways each effect by itself, `effect` individual or time.
    """
    _need(fit, "random", "random effects")
    assert fit.components is not None
    chosen = (effect or "individual") if fit.effect == "twoways" else fit.effect
    name, dimension = ("time", fit.levels.panel.time) if chosen == "time" else ("id", fit.levels.panel.id)
    groups, s2 = Groups(dimension), fit.components.variances
    share = fit.transformer.rows_of(name) * float(s2[name])
    means = groups.means(fit.residuals_of_levels[:, None])[:, 0]
    return pd.Series(means * share / (share + float(s2["idios"])), index=list(dimension.levels))


def predict(fit: PanelFit, newdata: Data | None = None, na_fill: bool = False) -> pd.Series[float]:
    """Predictions in levels (plm 2.6-2: predict); without `newdata` for the rows fitted.

    Of a between or fd model without newdata: the fitted means or differences. For new data a within model adds the
    effect of the individual and time where `newdata` has the index columns, NaN for one that was not seen (the overall
    intercept if `na_fill`); without index columns it adds the overall intercept to all, and warns.
    Lags in the formula are of the rows of `newdata`, which needs its index columns then: NaN where a row before is not
    among them. (plm 2.6-2 forgets the lags there and takes the values as they are.)
    Raises DataError `unseen-level`, `unknown-column`; FormulaError `formula-forbidden` for lags without an index.
    """
    if newdata is None:
        if fit.model in ("between", "fd"):
            return fit.fitted
        unexplained = fit.residuals_of_levels
        if fit.model == "within":
            unexplained = fit.transformer.within(unexplained[:, None])[:, 0]
        return pd.Series(fit.levels.y - unexplained, index=fit.labels)
    used = (fit.levels.panel.id.name, fit.levels.panel.time.name)
    functions = None
    if all(name in newdata for name in used):
        panel = panel_index(newdata, used)
        newdata, functions = with_factors(newdata, panel, names_in(fit.formula)), functions_of(panel)
    new = fit.design.for_newdata(newdata, functions)
    linear = new.X[:, fit.coefficient_columns] @ fit.coef.to_numpy()
    linear = linear if new.offset is None else linear + new.offset
    index = newdata.index if isinstance(newdata, pd.DataFrame) else pd.RangeIndex(1, len(linear) + 1)
    if fit.model == "within":
        linear = linear + _effects_for(fit, newdata, len(linear), na_fill)
    return pd.Series(linear, index=index)


def _effects_for(fit: PanelFit, newdata: Data, rows: int, na_fill: bool) -> Array:
    """The fixed effect of each new row, (rows,)."""
    overall = within_intercept(fit)[0]
    used = (fit.levels.panel.id.name, fit.levels.panel.time.name)
    if not all(name in newdata for name in used):
        warnings.warn("newdata has no index: the overall intercept stands for its effects", UserWarning, stacklevel=3)
        return np.full(rows, overall)
    seen, new = fit.levels.panel, panel_index(newdata, used)
    ids, times = _places(seen, new)
    if fit.effect == "twoways":
        individual, time = (fixef(fit, which)["estimate"].to_numpy() for which in ("individual", "time"))
        found = np.append(individual, np.nan)[ids] + np.append(time - time[0], np.nan)[times]
    else:
        found = np.append(fixef(fit)["estimate"].to_numpy(), np.nan)[times if fit.effect == "time" else ids]
    return np.where(np.isnan(found), overall, found) if na_fill else found


def _places(seen: PanelIndex, new: PanelIndex) -> tuple[Array, Array]:
    """Where each row's individual and time are among those seen, -1 for unseen ones."""
    pairs = ((seen.id, new.id), (seen.time, new.time))
    found = []
    for old, fresh in pairs:
        place = {level: i for i, level in enumerate(old.levels)}
        found.append(np.array([place.get(level, -1) for level in fresh.levels] + [-1])[fresh.codes])
    return found[0], found[1]
