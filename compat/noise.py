"""How rounding noise of the least-squares problem travels into each quantity: one short rule each, with its reason.

A rule gives the absolute difference (m,) that rounding can explain between two correct computations; floors, and
what to do with other kinds of quantities, are in tolerance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from compat.cases import PANEL, Case
from compat.cells import Labelled
from compat.conditioning import Conditioning, of_case
from compat.conditioning_panel import of_panel_case
from compat.standing import Standing, best_deviances

Floats = NDArray[np.float64]
ROBUST = frozenset({"robcov", "vcov_hc", "vcov_cluster", "ml_sandwich", "plm_vcov"})


class Scene:
    """A case with the values expected of it, and those `given` by the answer that is judged: what the rules look at.

    Where the model matrix cannot be had, `problem` says why and there are no rules.
    """

    def __init__(
        self, case: Case, expected: Mapping[str, Labelled], given: Mapping[str, Labelled] | None = None
    ) -> None:
        self.case = case
        self.expected = expected
        self.given = given or {}
        self.problem = ""

    @cached_property
    def conditioning(self) -> Conditioning | None:
        """The rounding profile of the case's model."""
        coef = self.expected.get("coef")
        return self._profile(None, None if coef is None else [bool(b) for b in np.isnan(coef.values)])

    @cached_property
    def models(self) -> list[Conditioning]:
        """The profiles of all models of an anova."""
        found = [self._profile(text, None) for text in self.case.formulas]
        return [one for one in found if one is not None]

    def _profile(self, formula: str | None, aliased: Sequence[bool] | None) -> Conditioning | None:
        try:
            if self.case.estimator in PANEL:
                coef = self.expected.get("coef")
                return of_panel_case(self.case, None, () if coef is None else tuple(coef.names())).conditioning
            return of_case(self.case, formula, aliased)
        except (ValueError, LookupError, ArithmeticError) as error:  # LinAlgError is a ValueError
            self.problem = (str(error) or type(error).__name__).splitlines()[0]
            return None

    @cached_property
    def standing(self) -> Standing | None:
        """Where the two answers to a mixed model's case stand beside its optimum."""
        try:
            return Standing(self.case, self.expected, self.given)
        except (ValueError, LookupError, ArithmeticError) as error:
            self.problem = (str(error) or type(error).__name__).splitlines()[0]
            return None

    @cached_property
    def best_deviances(self) -> list[float]:
        """The least deviance known of each model of an anova of mixed models."""
        try:
            return best_deviances(self.case)
        except (ValueError, LookupError, ArithmeticError) as error:
            self.problem = (str(error) or type(error).__name__).splitlines()[0]
            return []

    def scalar(self, name: str) -> float:
        """An expected scalar, NaN where there is none."""
        found = self.expected.get(name)
        return float(found.values[0]) if found is not None and found.values.size == 1 else float("nan")

    def at(self, per_column: Floats, names: Sequence[str]) -> Floats:
        """Values per column of the model matrix at coefficient labels; the largest where labels are unknown."""
        order = self.expected.get("coef") or self.expected.get("std_error")
        known = order.names() if order is not None else []
        if len(known) != per_column.size:
            return np.full(len(names), np.nanmax(per_column, initial=0.0))
        place = dict(zip(known, per_column.tolist(), strict=True))
        return np.array([place.get(name, np.nan) for name in names])

    def beside(self, name: str, cells: Labelled) -> Floats:
        """The expected cells of another quantity at the same labels, NaN where there are none."""
        other = self.expected.get(name)
        known = {} if other is None else other.as_dict()
        return np.array([known.get(label, np.nan) for label in cells.labels])

    @cached_property
    def new_rows(self) -> Floats:
        """The model matrix of the case's newdata, columns kept (m, k)."""
        from refimpl.formula import model_frame, model_matrix, parse

        assert self.conditioning is not None
        design = model_matrix(model_frame(parse(self.case.formula), self.case.data))
        new = design.for_newdata(pd.DataFrame(self.case.options["newdata"]))
        return np.asarray(new.X, dtype=np.float64)[:, self.conditioning.kept]


def names(cells: Labelled) -> list[str]:
    """The first label of every cell."""
    return [label[0] for label in cells.labels]


# -- coefficients and what is linear in them -------------------------------------------------------------------------


def coef(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """Each coefficient is a linear form of the coefficients."""
    return s.at(c.widen(c.linear_noise(np.eye(c.lengths.size))), names(cells))


def fitted(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """A row's own linear form; and an orthogonal transformation spreads the whole vector's noise over its rows."""
    with np.errstate(divide="ignore"):
        spread = np.where(c.root_weights > 0, c.unit * c.size / c.root_weights, 0.0)
    both = np.maximum(c.linear_noise(c.X), spread)
    return both if both.size == cells.values.size else np.full(cells.values.size, both.max(initial=0.0))


def residual_quantiles(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """Order statistics move by no more than the (weighted) residuals do."""
    return np.full(cells.values.size, max(c.fit_noise, float(np.max(c.linear_noise(c.X), initial=0.0))))


def g_index(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """A mean of differences of two fitted values."""
    return np.array([2 * np.max(c.linear_noise(c.X), initial=0.0)])


def hatvalues(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """A projection moves by the angle between the spaces: unit times the condition, on both sides."""
    return np.full(cells.values.size, 2 * c.unit * c.kappa)


# -- sums of squares -------------------------------------------------------------------------------------------------


def square(c: Conditioning, length: float) -> float:
    """Noise of the square of a vector of that length."""
    return 2 * length * c.unit * c.size + (c.unit * c.size) ** 2


def relative(c: Conditioning, length: float) -> float:
    """Relative noise of the square of a vector of that length; infinite where the vector itself is noise."""
    return square(c, length) / length**2 if length > 2 * c.unit * c.size else float("inf")


def sigma(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """The length of the residuals moves by |dy - dX b|."""
    return np.array([c.sigma_noise])


def deviance(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """A squared length."""
    return np.array([square(c, c.residual)])


def loglik(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """-n/2 log(rss) and constants; twice that for aic and bic."""
    return np.array([c.n * relative(c, c.residual) + c.unit * abs(cells.values[0])])


def r_squared(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """1 - rss/tss, where tss may be small beside the data."""
    share = min((c.residual / c.centred) ** 2, 1.0) if c.centred > 0 else 1.0
    explained = square(c, c.residual) / c.centred**2 if c.centred > 0 else float("inf")
    return np.array([explained + share * relative(c, c.centred) + c.unit])


def adj_r_squared(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """1 - (1 - R2)(n - 1)/df."""
    return r_squared(s, c, cells) * (c.n / max(c.df, 1))


def f_statistic(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """(mss/p) / (rss/df): the noise of both squares."""
    value, p, df = abs(cells.values[0]), s.scalar("f_numdf"), s.scalar("f_dendf")
    denominator = relative(c, c.residual)
    if np.isinf(denominator):
        return np.array([np.inf])
    mss = np.sqrt(value * p / df) * c.residual
    return np.array([square(c, mss) / p * df / c.residual**2 + value * denominator])


def lr_chi2(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """n log(tss/rss)."""
    return np.array([c.n * (relative(c, c.residual) + relative(c, c.centred))])


# -- covariance of the coefficients ----------------------------------------------------------------------------------


def vcov_parts(s: Scene, c: Conditioning) -> tuple[Floats, Floats, Floats]:
    """(a, b, d), each (p,): the noise of vcov's cell (i, j) is a_i b_j + b_i a_j + d_i d_j."""
    return _robust_parts(s, c) if s.case.estimator in ROBUST else _classical_parts(c)


def _classical_parts(c: Conditioning) -> tuple[Floats, Floats, Floats]:
    """sigma^2 (X'X)^-1: the noise of sigma, and that of the inverse, which is a quotient eta of its diagonal."""
    rho, s = c.rho(), (c.sigma if c.df > 0 else 0.0)
    most = s + c.sigma_noise
    return (
        c.widen(rho * (c.sigma_noise * s + 2 * c.unit * c.eta() * most**2)),
        c.widen(rho),
        c.widen(rho * c.sigma_noise),
    )


def _robust_parts(s: Scene, c: Conditioning) -> tuple[Floats, Floats, Floats]:
    """Sum over clusters of u u' with u = (X'X)^-1 X_g' e_g: |du| <= rho (noise of e + noise of the inverse times e).

    Corrections by 1/(1-h)^a multiply u, and their own noise by a further 1/(1-h). Where clusterings are added and
    subtracted the parts' noise remains: a part is at most rho |r| long.
    """
    k = c.lengths.size
    inner = c.fit_noise + 2 * c.unit * c.kappa * np.sqrt(k) * c.residual
    small_sample = np.sqrt(c.n / max(c.df, 1))
    du = c.rho() * inner * small_sample * _leverage_factor(s, c)
    parts = c.rho() * c.residual if len(_clusters(s)) > 1 else np.zeros(k)
    return c.widen(du), _lengths(s, c) + c.widen(parts), c.widen(du)


def _lengths(s: Scene, c: Conditioning) -> Floats:
    """The expected standard errors by column (p,), 0 where a variance is not positive or the labels are unknown."""
    found = s.expected.get("vcov")
    diagonal = {} if found is None else {k[0]: v for k, v in found.as_dict().items() if k[0] == k[-1]}
    if len(diagonal) == c.lengths.size:  # sandwich leaves the aliased columns out
        return c.widen(np.sqrt(np.abs(np.array(list(diagonal.values())))))
    if len(diagonal) == c.kept.size:
        return np.asarray(np.sqrt(np.abs(np.array(list(diagonal.values())))))
    return np.full(c.kept.size, np.sqrt(max((abs(v) for v in diagonal.values() if v == v), default=0.0)))


def _clusters(s: Scene) -> Sequence[object]:
    given = s.case.options.get("cluster")
    if given is None:
        return ()
    return given if s.case.estimator == "vcov_cluster" else (given,)


# u is multiplied by (1-h)^-a; the error of h is multiplied by (1-h)^-(a+1).
_POWER: Mapping[str, float] = {
    "HC2": 0.5, "CR2": 0.5, "HC3": 1.0, "CR3": 1.0, "efron": 1.0, "HC4": 2.0, "HC4m": 1.25
}  # fmt: skip


def _leverage_factor(s: Scene, c: Conditioning) -> float:
    kind = s.case.options.get("type", s.case.options.get("method", ""))
    if kind == "HC5":
        h = c.leverage()
        power = max(4.0, 0.7 * c.n * h / max(c.lengths.size, 1)) / 4
    elif kind in _POWER:
        power = _POWER[kind]
        h = max([c.leverage()] + [c.leverage(_groups(s, c, one)) for one in _clusters(s) if kind[0] == "C"])
    else:
        return 1.0
    return float((1 - h) ** -(power + 1))


def _groups(s: Scene, c: Conditioning, cluster: object) -> list[NDArray[np.intp]]:
    """Positions of the rows used, cluster by cluster; one group a row where the clusters do not fit the rows."""
    values = s.case.data[cluster].to_numpy() if isinstance(cluster, str) else np.asarray(cluster, dtype=object)
    codes, _ = pd.factorize(values)
    if codes.size == s.case.data.shape[0] and codes.size != c.used.size:
        return [np.arange(c.n)]
    codes = codes[c.used] if codes.size == c.used.size else np.arange(c.n)
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)


def vcov(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """Relative to the root of the two variances, plus the square of the noise where they vanish."""
    a, b, d = vcov_parts(s, c)
    rows, cols = [label[0] for label in cells.labels], [label[-1] for label in cells.labels]
    (ai, aj), (bi, bj), (di, dj) = ((s.at(x, rows), s.at(x, cols)) for x in (a, b, d))
    return ai * bj + bi * aj + di * dj


def std_error(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """Root of the diagonal: half its relative noise, and the root of the noise where it vanishes."""
    a, b, d = vcov_parts(s, c)
    noise = s.at(2 * a * b + d**2, names(cells))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(noise > 0, noise / np.maximum(np.nan_to_num(cells.values), np.sqrt(noise)), 0.0)


def statistic(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """coef / std_error: the noise of both; infinite where the standard error itself is noise."""
    se = s.beside("std_error", cells)
    noise = std_error(s, c, Labelled(cells.labels, se))
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = (coef(s, c, cells) + np.abs(cells.values) * noise) / (se - noise)
    return np.where(noise < se / 2, moved, np.where(np.isnan(se) & np.isnan(cells.values), 0.0, np.inf))


# The 97.5 % quantile of t on one degree of freedom: what a half-width is of a standard error that vanishes.
_WIDEST = 12.71


def conf(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """coef -+ q std_error."""
    se = s.beside("std_error", cells)
    noise = std_error(s, c, Labelled(cells.labels, se))
    half = np.abs(cells.values - s.beside("coef", cells))
    with np.errstate(divide="ignore", invalid="ignore"):
        return coef(s, c, cells) + noise * np.where(se > 0, half / se, _WIDEST)


# -- predictions -----------------------------------------------------------------------------------------------------


def predicted(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """The linear form of each new row."""
    return c.linear_noise(s.new_rows)


def _of_half_width(s: Scene, c: Conditioning, half: Floats, least: Floats) -> Floats:
    """Noise of q sqrt(variance): that of sigma, and that of the inverse at the row."""
    own = c.sigma_noise / c.sigma if c.sigma > 0 else 1.0
    return np.asarray(half * (own + 2 * c.unit * c.kappa * np.sqrt(c.lengths.size)) + least)


def predicted_se(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """sigma times the root of the row's form in (X'X)^-1."""
    spread = np.sqrt(np.maximum(np.sum((s.new_rows @ c.inverse) * s.new_rows, axis=1), 0.0))
    return _of_half_width(s, c, cells.values, spread * c.sigma_noise)


def predicted_limit(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """predicted -+ q times a standard error."""
    half = np.abs(cells.values - s.beside("predicted", cells))
    return predicted(s, c, cells) + _of_half_width(s, c, half, np.full(half.size, _WIDEST * c.sigma_noise))


# -- anova -----------------------------------------------------------------------------------------------------------


def _squares(s: Scene) -> Floats:
    return np.array([square(c, c.residual) for c in s.models])


def rss(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """A squared length for each model."""
    return _squares(s)


def sum_sq(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """The difference of two of them keeps the noise of both."""
    noise = _squares(s)
    return np.concatenate([[0.0], noise[1:] + noise[:-1]])


def anova_f(s: Scene, c: Conditioning, cells: Labelled) -> Floats:
    """(sum_sq/df) / (rss/df) of the largest model."""
    largest = max(s.models, key=lambda model: model.lengths.size)
    denominator = relative(largest, largest.residual)
    if np.isinf(denominator):
        return np.full(cells.values.size, np.inf)
    per_df = np.abs(s.beside("df", cells)) * largest.residual**2 / largest.df
    with np.errstate(divide="ignore", invalid="ignore"):
        return sum_sq(s, c, cells) / per_df + np.abs(cells.values) * denominator


# -- the table -------------------------------------------------------------------------------------------------------

Rule = Callable[[Scene, Conditioning, Labelled], Floats]


class Noise(NamedTuple):
    """A rule and the reason that is printed beside a cell."""

    rule: Rule
    reason: str


_FORM = "first-order perturbation of least squares: |a'X^+| |dy - dX b| + |a'(X'X)^-1| |dX'r|"
_SQUARE = "the residual vector's noise |dy - dX b|, squared"
_VCOV = "relative to sqrt(v_ii v_jj): noise of the residuals and of (X'X)^-1"

RULES: Mapping[str, Noise] = {
    "coef": Noise(coef, _FORM),
    "fitted": Noise(fitted, f"{_FORM}, or the vector's own noise"),
    "residuals": Noise(fitted, f"{_FORM}, or the vector's own noise"),
    "residual_quantiles": Noise(residual_quantiles, "order statistics move by no more than the residuals do"),
    "g_index": Noise(g_index, f"{_FORM}, twice: a mean of differences"),
    "hatvalues": Noise(hatvalues, "a projection moves by the angle of its space: unit * condition"),
    "sigma": Noise(sigma, "the residuals' length moves by |dy - dX b|"),
    "deviance": Noise(deviance, _SQUARE),
    "loglik": Noise(loglik, "n times the relative noise of rss"),
    "aic": Noise(loglik, "n times the relative noise of rss"),
    "bic": Noise(loglik, "n times the relative noise of rss"),
    "r_squared": Noise(r_squared, "noise of rss/tss"),
    "adj_r_squared": Noise(adj_r_squared, "noise of rss/tss times n/df"),
    "f_statistic": Noise(f_statistic, "noise of both sums of squares"),
    "lr_chi2": Noise(lr_chi2, "n times the relative noise of tss and rss"),
    "vcov": Noise(vcov, _VCOV),
    "std_error": Noise(std_error, "half the relative noise of the variance"),
    "statistic": Noise(statistic, "noise of coef and of std_error"),
    "conf_low": Noise(conf, "noise of coef and of std_error"),
    "conf_high": Noise(conf, "noise of coef and of std_error"),
    "predicted": Noise(predicted, _FORM),
    "predicted_se": Noise(predicted_se, "noise of sigma and of the row's form in (X'X)^-1"),
    "predicted_conf_low": Noise(predicted_limit, "noise of the prediction and of its standard error"),
    "predicted_conf_high": Noise(predicted_limit, "noise of the prediction and of its standard error"),
    "predicted_pred_low": Noise(predicted_limit, "noise of the prediction and of its standard error"),
    "predicted_pred_high": Noise(predicted_limit, "noise of the prediction and of its standard error"),
}
ANOVA_RULES: Mapping[str, Noise] = {
    "rss": Noise(rss, _SQUARE),
    "sum_sq": Noise(sum_sq, f"{_SQUARE}, of two models"),
    "f_statistic": Noise(anova_f, "noise of the difference and of the largest model's rss"),
}


def rule_for(name: str, estimator: str) -> Noise | None:
    """The rule of a quantity, None where there is none."""
    if estimator in PANEL:
        from compat import noise_panel

        own = noise_panel.TEST_RULES if estimator == "plm_test" else noise_panel.RULES
        return own.get(name, RULES.get(name))
    return (ANOVA_RULES if estimator == "anova" else RULES).get(name)
