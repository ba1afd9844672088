"""Closed forms: one definition's number from another's, with what is left of the fit. Data, and a line of algebra each.

A form is asked for a quantity of a fit and gives all its cells; `known` gives the fit's own quantities by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from refimpl.distributions import t_quantile, two_sided_t

Cells = Mapping[tuple[str, ...], float]
Known = Callable[[str], Cells | None]


@dataclass(frozen=True)
class ClosedForm:
    """One convention: `quantity` of the fits of `estimators` by the formula of `text`, as `used_by` define it."""

    name: str
    estimators: frozenset[str]
    quantity: str
    text: str
    used_by: str
    cells: Callable[[Known], Cells]
    absolute: float = 0.0  # what rounding may leave of a cell


class NotKnown(LookupError):
    """A quantity that the fit has not, so that the form has no value."""


def one(known: Known, name: str) -> float:
    """A quantity that is a single number. Raises NotKnown."""
    cells = known(name)
    if cells is None or () not in cells:
        raise NotKnown(name)
    return cells[()]


def all_of(known: Known, name: str) -> Cells:
    """All cells of a quantity. Raises NotKnown."""
    cells = known(name)
    if cells is None:
        raise NotKnown(name)
    return cells


def _scalar(value: Callable[[Known], float]) -> Callable[[Known], Cells]:
    return lambda known: {(): value(known)}


def _scaled(quantity: str, factor: Callable[[Known], float]) -> Callable[[Known], Cells]:
    def cells(known: Known) -> Cells:
        c = factor(known)
        return {label: c * x for label, x in all_of(known, quantity).items()}

    return cells


# ---- factors of a standard error: the root of what multiplies the variance ----------------------------------------


def _n_over_df(known: Known) -> float:
    return math.sqrt(one(known, "nobs") / one(known, "df_residual"))


def _df_over_n(known: Known) -> float:
    return math.sqrt(one(known, "df_residual") / one(known, "nobs"))


def _cr1(known: Known) -> float:
    g = one(known, "n_clusters")
    return math.sqrt(g / (g - 1))


def _cr1s(known: Known) -> float:
    return _cr1(known) * math.sqrt((one(known, "nobs") - 1) / one(known, "df_residual"))


# ---- single numbers -------------------------------------------------------------------------------------------------


def _adj_old_plm(known: Known) -> float:
    return one(known, "r_squared") * one(known, "df_residual") / one(known, "N")


def _adj_effects_free(known: Known) -> float:
    n, k = one(known, "nobs"), one(known, "rank")
    return 1 - (1 - one(known, "r_squared")) * (n - 1) / (n - k - 1)


def _adj_fixest_within(known: Known) -> float:
    df, k = one(known, "df_residual"), one(known, "rank")
    return 1 - (1 - one(known, "r_squared")) * (df + k) / df


def _sigma_ml(known: Known) -> float:
    return one(known, "sigma") * _df_over_n(known)


def _deviance_r_squared(known: Known) -> float:
    return 1 - one(known, "rss") / one(known, "tss")


def _bic_reml(known: Known) -> float:
    if not one(known, "REML"):
        raise NotKnown("REML")  # of a fit by maximum likelihood nlme takes n rows too
    parameters = one(known, "n_parameters")
    n, k = one(known, "nobs"), one(known, "rank")
    return one(known, "bic") - parameters * (math.log(n) - math.log(n - k))


def _p(known: Known, df: float) -> Cells:
    return {label: float(two_sided_t(value, df)) for label, value in all_of(known, "statistic").items()}


def _own_df(known: Known) -> float:
    return one(known, "df" if known("df") is not None else "df_residual")


def _clusters_df(known: Known) -> float:
    """One less than the clusters, the fewest of several clusterings; of a panel its F test has it."""
    counts = known("n_clusters")
    return one(known, "f_dendf") if counts is None else min(counts.values()) - 1


def _residual_df(known: Known) -> float:
    return one(known, "df_residual")


def _normal(_: Known) -> float:
    return math.inf


def _limits(sign: float, df: Callable[[Known], float], given: Callable[[Known], float]) -> Callable[[Known], Cells]:
    """Limits by another reference distribution, at the level that R's own imply."""

    def cells(known: Known) -> Cells:
        coef, error, high = (all_of(known, name) for name in ("coef", "std_error", "conf_high"))
        label = next(label for label in coef if error[label] > 0)
        outside = float(two_sided_t((high[label] - coef[label]) / error[label], given(known)))
        half = float(t_quantile(1 - outside / 2, df(known)))
        return {label: value + sign * half * error[label] for label, value in coef.items()}

    return cells


def _statistic(factor: Callable[[Known], float]) -> Callable[[Known], Cells]:
    return _scaled("statistic", lambda known: 1 / factor(known))


_LINEAR = frozenset(["lm", "ols"])
_ROBUST = frozenset(["robcov", "coeftest"])
_PLM = frozenset(["plm"])
_LMER = frozenset(["lmer"])
_CLUSTERED = frozenset(["vcov_cluster", "plm_vcov"])
_TESTED = _LINEAR | _ROBUST | _PLM | _CLUSTERED | frozenset(["vcov_hc"])

SUBTRACTED = 2.0**-50  # what 1 - p leaves of p, with a little for the tail's own rounding

CLOSED_FORMS: tuple[ClosedForm, ...] = (
    ClosedForm(
        "plm's old adjusted R2", _PLM, "adj_r_squared", "R2 * df.residual / N",
        "summary(plm) before plm 1.5-15", _scalar(_adj_old_plm),
    ),
    ClosedForm(
        "adjusted R2, effects not counted", _PLM, "adj_r_squared", "1 - (1 - R2)(N - 1) / (N - k - 1)",
        "regressions on demeaned data", _scalar(_adj_effects_free),
    ),
    ClosedForm(
        "adjusted within R2", _PLM, "adj_r_squared", "1 - (1 - R2)(N - n_fe) / (N - n_fe - k)",
        "fixest (war2)", _scalar(_adj_fixest_within),
    ),
    ClosedForm(
        "R2 of sums of squares", _PLM, "r_squared", "1 - RSS / TSS", "linearmodels", _scalar(_deviance_r_squared)
    ),
    ClosedForm(
        "maximum-likelihood sigma", _LINEAR, "sigma", "sigma * sqrt(df.residual / n)",
        "maximum likelihood, glm-like software", _scalar(_sigma_ml),
    ),
    ClosedForm(
        "AIC without sigma", _LINEAR, "aic", "AIC - 2", "statsmodels", _scalar(lambda k: one(k, "aic") - 2)
    ),
    ClosedForm(
        "BIC without sigma", _LINEAR, "bic", "BIC - log(n)", "statsmodels",
        _scalar(lambda k: one(k, "bic") - math.log(one(k, "nobs"))),
    ),
    ClosedForm(
        "df.residual without variance parameters", _LMER, "df_residual", "n - p", "mixedlm",
        _scalar(lambda k: one(k, "nobs") - one(k, "rank")),
    ),
    ClosedForm("BIC on n - p rows", _LMER, "bic", "log(n - p) for log(n)", "nlme, for REML fits", _scalar(_bic_reml)),
    ClosedForm(
        "standard errors of maximum likelihood", _LINEAR, "std_error", "SE * sqrt(df.residual / n)",
        "maximum likelihood", _scaled("std_error", _df_over_n),
    ),
    *(
        ClosedForm(name, _ROBUST, quantity, text.format("SE *" if quantity == "std_error" else "t /"), used_by, cells)
        for name, text, used_by, factor in (
            ("HC1 for HC0", "{} sqrt(n / df.residual)", "Stata's robust, statsmodels HC1", _n_over_df),
            ("CR1 for CR0", "{} sqrt(G / (G - 1))", "sandwich's cadjust", _cr1),
            ("CR1S for CR0", "{} sqrt(G / (G - 1) (n - 1) / df.residual)", "Stata's cluster, vcovCL", _cr1s),
        )
        for quantity, cells in (("std_error", _scaled("std_error", factor)), ("statistic", _statistic(factor)))
    ),
    ClosedForm(
        "normal p-values", _TESTED | _LMER, "p_value", "2 * pnorm(-|t|)",
        "linearmodels, statsmodels' MixedLM", lambda k: _p(k, math.inf),
    ),
    ClosedForm(
        "t p-values on the residual df", _LMER | _PLM, "p_value", "2 * pt(-|t|, df.residual)",
        "whoever takes df.residual for granted", lambda k: _p(k, _residual_df(k)),
    ),
    ClosedForm(
        "t p-values on G - 1 df", _CLUSTERED, "p_value", "2 * pt(-|t|, G - 1)", "Stata, fixest",
        lambda k: _p(k, _clusters_df(k)),
    ),
    ClosedForm(
        "p-values by subtraction", _TESTED, "p_value", "2 * (1 - pt(|t|, df))", "pyfixest",
        lambda k: _p(k, _own_df(k)), SUBTRACTED,
    ),
    ClosedForm(
        "p-values by subtraction, G - 1 df", _CLUSTERED, "p_value", "2 * (1 - pt(|t|, G - 1))", "pyfixest",
        lambda k: _p(k, _clusters_df(k)), SUBTRACTED,
    ),
    *(
        ClosedForm(name, who, quantity, text, used_by, _limits(sign, df, given))
        for name, who, text, used_by, df, given in (
            ("t limits", _PLM | _LMER, "coef -+ qt(level) SE", "linearmodels", _residual_df, _normal),
            ("normal limits", _LINEAR, "coef -+ qnorm(level) SE", "maximum likelihood", _normal, _residual_df),
        )
        for quantity, sign in (("conf_low", -1.0), ("conf_high", 1.0))
    ),
)  # fmt: skip


def forms_of(estimator: str, quantity: str) -> tuple[ClosedForm, ...]:
    """The forms of one quantity of one estimator."""
    return tuple(form for form in CLOSED_FORMS if estimator in form.estimators and form.quantity == quantity)
