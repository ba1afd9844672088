"""Single models by refimpl for whoever has a formula, data and options instead of a case: fits, and their quantities.

Labels are R's as a summary prints them: a variance component is (group, column), plm's theta (id,) or ().
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

import refimpl
from compat.adapters import satterthwaite
from compat.cells import Label, NotCells, labelled
from refimpl import sandwich
from refimpl.panel.models import plm
from refimpl.printing.linear import missing_counts

Options = Mapping[str, Any]
Cells = dict[Label, float]

# What a fit may raise for data or a formula that cannot be fitted; all else is a defect of ours and goes through.
REFUSALS = (ValueError, np.linalg.LinAlgError, ArithmeticError)  # refimpl's own errors are ValueErrors


class Refused(Exception):
    """A model that cannot be fitted; its text says why."""


class _Ready(dict[Label, float]):
    """Cells whose labels are not all of one length."""


@dataclass
class Fitted:
    """A fit and the quantities read of it, each once."""

    estimator: str
    fit: Any
    remarks: tuple[str, ...] = ()
    _known: dict[str, Cells | None] = field(default_factory=dict)

    def quantity(self, name: str) -> Cells | None:
        """The cells of a quantity by label, () for a single number; None where the fit has no such thing."""
        if name not in self._known:
            self._known[name] = self._read(name)
        return self._known[name]

    def _read(self, name: str) -> Cells | None:
        special = _SPECIAL.get((self.estimator, name)) or _SPECIAL.get(("", name))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                value = special(self.fit) if special else getattr(self.fit, name, None)
                if value is None or callable(value):
                    return None
                return value if isinstance(value, _Ready) else labelled(value).as_dict()
        except (NotCells, *REFUSALS):
            return None


def fit(estimator: str, formula: str, data: pd.DataFrame | Mapping[str, Any], options: Options) -> Fitted:
    """Fit one model: lm, ols, robcov, coeftest (an lm with another covariance), plm or lmer.

    Options: weights; robcov: cluster, method; coeftest: covariance (kind, type, cluster), df; plm: index, model,
    effect, random_method; lmer: REML. Raises Refused where the data or the formula do not allow it.
    """
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fitted = _FITS[estimator](formula, data, options)
    except REFUSALS as error:
        raise Refused(str(error).splitlines()[0] if str(error) else type(error).__name__) from None
    return Fitted(estimator, fitted, tuple(dict.fromkeys(str(one.message) for one in caught)))


def compare(fits: Sequence[Fitted], names: Sequence[str], refit: bool = True, tested: bool = False) -> Fitted:
    """anova of several fits, its rows under these names; of one, its rows the terms.

    Of one lmer fit in sequence and without tests, as lme4 has it; `tested` as lmerTest has it. Raises Refused.
    """
    if len(fits) == 1 and fits[0].estimator == "lmer" and tested:
        return _lmer_terms(fits[0])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = refimpl.anova(*(one.fit for one in fits), refit=refit)
    except REFUSALS as error:
        raise Refused(str(error).splitlines()[0] if str(error) else type(error).__name__) from None
    mixed = "npar" in table.columns and len(fits) > 1
    if "npar" in table.columns and not mixed:
        table["df"] = table["npar"]  # the column's name before lme4 1.1-22
    if mixed:
        table.index = pd.Index([names[int(label) - 1] for label in table.index])
    kind = "anova-mixed" if mixed else "anova"
    return Fitted(kind, None, (), {str(column): labelled(table[column]).as_dict() for column in table.columns})


def _lmer_terms(fitted: Fitted) -> Fitted:
    try:
        found = satterthwaite.anova(fitted.fit)
    except REFUSALS as error:
        raise Refused(str(error)) from None
    if found is None:
        raise Refused("anova of one lmer fit is only known of terms of one column each")
    return Fitted("anova", None, (), {name: labelled(column).as_dict() for name, column in found.items()})


# ---- the estimators -------------------------------------------------------------------------------------------------


def _given(options: Options, *names: str) -> dict[str, Any]:
    return {name: options[name] for name in names if options.get(name) is not None}


def _lm(formula: str, data: Any, options: Options) -> Any:
    return refimpl.lm(formula, data, **_given(options, "weights"))


def _ols(formula: str, data: Any, options: Options) -> Any:
    return refimpl.ols(formula, data, **_given(options, "weights"))


def _robcov(formula: str, data: Any, options: Options) -> Any:
    return refimpl.robcov(_ols(formula, data, options), **_given(options, "cluster", "method"))


def _coeftest(formula: str, data: Any, options: Options) -> Any:
    model, wanted = _lm(formula, data, options), options.get("covariance") or {"kind": "classical"}
    df = options.get("df")
    test: Any = "z" if df is not None and np.isposinf(df) else "t"
    if wanted["kind"] == "classical":
        vcov = model.vcov.loc[~model.aliased, ~model.aliased]
    elif wanted["kind"] == "hc":
        vcov = refimpl.vcov_hc(model, wanted["type"])
    else:
        vcov = refimpl.vcov_cluster(model, wanted["cluster"], wanted["type"])
    return sandwich.with_vcov(model, vcov, test, df)


def _plm(formula: str, data: Any, options: Options) -> Any:
    return plm(formula, data, **_given(options, "index", "model", "effect", "random_method", "weights"))


def _lmer(formula: str, data: Any, options: Options) -> Any:
    return refimpl.lmer(formula, data, REML=options.get("REML", True), **_given(options, "weights"))


_FITS: Mapping[str, Callable[[str, Any, Options], Any]] = {
    "lm": _lm, "ols": _ols, "robcov": _robcov, "coeftest": _coeftest, "plm": _plm, "lmer": _lmer,
}  # fmt: skip


# ---- quantities that are no attribute of the fit --------------------------------------------------------------------


def _aliased(fit: Any) -> float:
    return float(fit.aliased.sum())


def _missing(fit: Any) -> dict[str, float]:
    return {name: float(count) for name, count in missing_counts(fit)}


def _spread(column: str) -> Callable[[Any], _Ready]:
    """Variances or standard deviations of lmer's terms: (group, column), and (Residual,)."""

    def read(fit: Any) -> _Ready:
        table = fit.varcorr()
        own = table[table["var2"].isna()]
        rows = zip(own["grp"], own["var1"], own[column], strict=True)
        return _Ready({(g,) if g == "Residual" else (g, name): float(value) for g, name, value in rows})

    return read


def _correlations(fit: Any) -> _Ready:
    """Correlations of random effects: (group, column, earlier column)."""
    table = fit.varcorr()
    own = table[table["var2"].notna()]
    rows = zip(own["grp"], own["var1"], own["var2"], own["sdcor"], strict=True)
    return _Ready({(g, *sorted((a, b), key=_place(fit, g), reverse=True)): float(value) for g, a, b, value in rows})


def _place(fit: Any, group: str) -> Callable[[str], int]:
    """The place of a column within a term."""
    columns = list(fit.covariance[group].columns)
    return columns.index


def _panel_residuals(fit: Any) -> dict[str, float]:
    values: dict[str, float] = fit.residual_quantiles.to_dict()
    return values | {"Mean": float(fit.residuals.mean())}


def _times(fit: Any) -> np.ndarray[Any, Any]:
    return np.asarray(fit.levels.panel.id.counts)


_COMPONENTS = {"idios": "idiosyncratic", "id": "individual", "time": "time"}


def _components(change: Callable[[pd.Series[float]], pd.Series[float]]) -> Callable[[Any], Any]:
    def read(fit: Any) -> Any:
        return None if fit.components is None else change(fit.components.variances).rename(_COMPONENTS)

    return read


def _theta(fit: Any) -> Any:
    theta = fit.theta_quasi_demeaning
    if theta is None or not fit.components.balanced:
        return None
    return float(theta.iloc[0]) if len(theta) == 1 else theta


def _theta_quantiles(fit: Any) -> Any:
    if fit.components is None or fit.components.balanced:
        return None
    (values,) = [np.asarray(one) for one in fit.components.theta.values()][:1]
    each = values[fit.levels.panel.id.codes] if len(values) == fit.levels.panel.n else values
    found = np.quantile(each, [0, 0.25, 0.5, 0.75, 1])
    return dict(zip(["Min", "1Q", "Median", "3Q", "Max"], found, strict=True)) | {"Mean": float(each.mean())}


def _wald(side: str) -> Callable[[Any], _Ready]:
    """Limits of confint(method = "Wald"), which has none of the variances' parameters, but rows for them."""

    def read(fit: Any) -> _Ready:
        rows = [f".sig{i:02d}" for i in range(1, len(fit.theta) + 1)] + [".sigma"]
        return _Ready({(row,): np.nan for row in rows} | labelled(getattr(fit, side)).as_dict())

    return read


_SPECIAL: Mapping[tuple[str, str], Callable[[Any], Any]] = {
    ("", "n_aliased"): _aliased,
    ("lm", "n_parameters"): lambda fit: float(fit.rank + 1),
    ("ols", "n_parameters"): lambda fit: float(fit.rank + 1),
    ("ols", "n_missing"): _missing,
    ("robcov", "n_missing"): _missing,
    ("lmer", "REML"): lambda fit: float(fit.REML),
    ("lmer", "variance"): _spread("vcov"),
    ("lmer", "sd"): _spread("sdcor"),
    ("lmer", "cor"): _correlations,
    ("lmer", "conf_low"): _wald("conf_low"),
    ("lmer", "conf_high"): _wald("conf_high"),
    ("lmer", "df"): satterthwaite.degrees_of_freedom,
    ("lmer", "p_value"): satterthwaite.p_values,
    ("plm", "fixef"): lambda fit: refimpl.fixef(fit)["estimate"],
    ("plm", "residual_quantiles"): _panel_residuals,
    ("plm", "N"): lambda fit: float(fit.levels.panel.N),
    ("plm", "T"): lambda fit: float(fit.n_times) if fit.levels.panel.balanced else None,
    ("plm", "T_min"): lambda fit: float(_times(fit).min()),
    ("plm", "T_max"): lambda fit: float(_times(fit).max()),
    ("plm", "error_variance"): _components(lambda v: v),
    ("plm", "error_sd"): _components(lambda v: v**0.5),
    ("plm", "error_share"): _components(lambda v: v / v.sum()),
    ("plm", "theta"): _theta,
    ("plm", "theta_quantiles"): _theta_quantiles,
}


# ---- random effects -------------------------------------------------------------------------------------------------


def by_group(fitted: Fitted, which: str) -> Mapping[str, pd.DataFrame]:
    """coef() or ranef() of an lmer fit: levels x columns of each grouping factor. Raises Refused for other fits."""
    if fitted.estimator != "lmer":
        raise Refused(f"{fitted.estimator} has no coefficients by group")
    found: Mapping[str, pd.DataFrame] = fitted.fit.coef_by_group if which == "coef" else fitted.fit.ranef
    return found


# ---- where an optimiser may have stopped ----------------------------------------------------------------------------


def theta_of(fitted: Fitted) -> np.ndarray[Any, Any] | None:
    """An lmer fit's theta at its optimum; None for other fits, and where a random correlation is one."""
    if fitted.estimator != "lmer":
        return None
    theta = np.asarray(fitted.fit.theta)
    return None if fitted.fit.is_singular and (theta != 0).all() else theta


def height(fitted: Fitted, theta: np.ndarray[Any, Any]) -> float:
    """How far the deviance (or REML criterion) at a theta is above its minimum."""
    return float(fitted.fit.objective(theta) - fitted.fit.criterion)


def at_theta(fitted: Fitted, theta: np.ndarray[Any, Any]) -> Fitted:
    """The fit as it would be had the search ended at this theta. Raises Refused where there is no such fit."""
    try:
        return Fitted("lmer", satterthwaite.at_theta(fitted.fit, theta))
    except REFUSALS as error:
        raise Refused(str(error)) from None
