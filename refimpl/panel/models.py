"""plm: pooling, within, between, first-difference and random-effects models of a panel, as plm 2.6-2 gives them.

Least squares on transformed columns; the transformations are in transforms.py, the variances of random effects in
variance_components.py, other covariances in covariance.py, tests of two models in tests.py, what is read off a fit
afterwards (effects, predictions) in effects.py.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from refimpl.distributions import t_quantile, two_sided_t, upper_chi2, upper_f
from refimpl.errors import DataError, FormulaError, RankDeficient
from refimpl.formula import Formula, ModelFrame, ModelMatrix, model_frame, model_matrix, parse
from refimpl.formula.syntax import Call, symbols
from refimpl.least_squares import LeastSquares, ols
from refimpl.linalg import Array
from refimpl.linear import WEIGHTS, Data, column
from refimpl.panel.index import IndexLike, PanelDimensions, PanelIndex, dimensions, panel_index, with_factors
from refimpl.panel.transforms import Effect, Transformer, columns, crossed
from refimpl.panel.variance_components import (
    RandomMethod,
    RandomModel,
    VarianceComponents,
    full_rank,
    variance_components,
    varies,
)

Model = Literal["within", "random", "between", "pooling", "fd"]
MODELS = ("within", "random", "between", "pooling", "fd")
EFFECTS = ("individual", "time", "twoways")
NO_CHANGE = 1e-6  # standard deviation below which plm drops a differenced column (seen in plm 2.6-2)
INTERCEPT = "(Intercept)"


@dataclass(frozen=True)
class PanelData:
    """The rows of a model, in plm's order: by individual, then time.

    X (N, k) and y (N,) in levels, the names of X's columns, the index, the rows' own labels, weights (N,) or None.
    """

    X: Array
    y: Array
    names: tuple[str, ...]
    panel: PanelIndex
    rows: pd.Index
    weights: Array | None

    @property
    def is_slope(self) -> NDArray[np.bool_]:
        """Which columns are not the intercept, (k,)."""
        return np.array([name != INTERCEPT for name in self.names], dtype=bool)


@dataclass(frozen=True)
class PanelCovariance:
    """A covariance of the coefficients (r, r) in place of the classical one; `n_clusters` for the F test's df."""

    matrix: Array
    name: str
    n_clusters: int | None = None


@dataclass(frozen=True)
class PanelFit:
    """A panel model.

    Every quantity is an attribute: a Series over the coefficients that plm keeps or over the rows, a DataFrame, or a
    number. `solution` is the least-squares fit of the transformed columns `names`; `labels` the labels of its rows
    (the data's own, or the groups of a between model).
    """

    formula: Formula
    data: Data
    model: Model
    effect: Effect
    frame: ModelFrame
    design: ModelMatrix
    levels: PanelData
    transformer: Transformer
    names: tuple[str, ...]
    labels: pd.Index
    solution: LeastSquares
    components: VarianceComponents | None = None
    covariance: PanelCovariance | None = None
    extra_rank: int = 0  # an intercept that was put back and takes no degree of freedom
    arguments: Mapping[str, Any] = field(default_factory=dict)  # what plm() was told, defaults left out

    # -- coefficients ------------------------------------------------------------------------------------------

    @cached_property
    def coef_names(self) -> list[str]:
        """The coefficients that are estimated: plm drops the others."""
        return [name for name, kept in zip(self.names, self.solution.kept, strict=True) if kept]

    def _by_name(self, values: Array) -> pd.Series[float]:
        return pd.Series(values, index=self.coef_names)

    @cached_property
    def coef(self) -> pd.Series[float]:
        """Estimates."""
        return self._by_name(self.solution.coef[self.solution.kept])

    @cached_property
    def aliased(self) -> pd.Series[bool]:
        """Which of the columns that vary depend on earlier ones; plm drops them from coef."""
        return pd.Series(~self.solution.kept, index=list(self.names))

    @cached_property
    def error_variance(self) -> float:
        """rss / df_residual; of unbalanced two-way random effects, the idiosyncratic variance."""
        if self.is_gls:
            assert self.components is not None
            return float(self.components.variances["idios"])
        return self.solution.rss / self.df_residual if self.df_residual > 0 else float("nan")

    @cached_property
    def vcov_kept(self) -> Array:
        """Covariance of the coefficients, (r, r)."""
        if self.covariance is not None:
            return self.covariance.matrix
        return np.asarray(self.error_variance * self.solution.xtx_inverse)

    @cached_property
    def vcov(self) -> pd.DataFrame:
        """Covariance of the coefficients."""
        return pd.DataFrame(self.vcov_kept, index=self.coef_names, columns=self.coef_names)

    @cached_property
    def std_error(self) -> pd.Series[float]:
        """Square roots of the covariance's diagonal."""
        return self._by_name(np.sqrt(self.vcov_kept.diagonal()))

    @cached_property
    def statistic(self) -> pd.Series[float]:
        """Estimate over standard error."""
        return self.coef / self.std_error

    @property
    def df_test(self) -> float:
        """Degrees of freedom of the coefficients' tests: the residual ones, inf (z tests) for random effects."""
        return np.inf if self.model == "random" else float(self.df_residual)

    @cached_property
    def p_value(self) -> pd.Series[float]:
        """Two-sided p-values by t on `df_test`, by z for random effects."""
        return self._by_name(two_sided_t(self.statistic.to_numpy(), self.df_test))

    def confint(self, level: float = 0.95) -> pd.DataFrame:
        """Normal confidence limits whatever the model, as R gives for plm (confint.default): columns low and high."""
        half = t_quantile((1 + level) / 2, np.inf) * self.std_error
        return pd.DataFrame({"low": self.coef - half, "high": self.coef + half})

    @property
    def conf_low(self) -> pd.Series[float]:
        """Lower limits of 95 % intervals."""
        return self.confint()["low"]

    @property
    def conf_high(self) -> pd.Series[float]:
        """Upper limits of 95 % intervals."""
        return self.confint()["high"]

    # -- size --------------------------------------------------------------------------------------------------

    @property
    def nobs(self) -> int:
        """Rows of the transformed data: groups of a between model, differences of fd."""
        return len(self.labels)

    @property
    def rank(self) -> int:
        """Coefficients estimated."""
        return self.solution.rank

    @cached_property
    def df_residual(self) -> int:
        """nobs less the rank, and for within models less what the effects take (n + T - 1 of two ways)."""
        lost = 0
        if self.model == "within":
            panel = self.levels.panel
            lost = panel.n + panel.T - 1 if self.effect == "twoways" else self.transformer.groups.size
        return self.nobs - lost - self.rank + self.extra_rank

    @property
    def n_dropped(self) -> int:
        """Rows left out for missing values."""
        return self.frame.n_dropped

    @property
    def n_individuals(self) -> int:
        """Individuals in the rows used."""
        return self.levels.panel.n

    @property
    def n_times(self) -> int:
        """Distinct times in the rows used."""
        return self.levels.panel.T

    @cached_property
    def pdim(self) -> PanelDimensions:
        """The panel's dimensions; str() is as plm prints them."""
        return dimensions(self.levels.panel)

    # -- rows --------------------------------------------------------------------------------------------------

    @property
    def is_gls(self) -> bool:
        """Unbalanced two-way random effects: solved as a whole, residuals and sums of squares in levels, as in plm."""
        return self.model == "random" and self.effect == "twoways" and not self.transformer.balanced

    @cached_property
    def response(self) -> Array:
        """The transformed response, without weights."""
        if self.levels.weights is not None:
            return np.asarray(self.solution.y / np.sqrt(self.levels.weights))
        return self.levels.y if self.is_gls else self.solution.y

    @cached_property
    def fitted_values(self) -> Array:
        """Fitted values of `response`, (nobs,)."""
        if self.levels.weights is not None:
            return np.asarray(self.response - self.residual_values / np.sqrt(self.levels.weights))
        return self.response - self.residual_values

    @cached_property
    def residual_values(self) -> Array:
        """The residuals as an array, (nobs,)."""
        return self.residuals_of_levels if self.is_gls else self.solution.residuals

    @cached_property
    def residuals_of_levels(self) -> Array:
        """y - X b, (N,)."""
        X = self.levels.X[:, self.coefficient_columns]
        return np.asarray(self.levels.y - X @ self.solution.coef[self.solution.kept])

    @property
    def transformed_columns(self) -> Array:
        """The columns that the coefficients belong to, as the model takes them; in levels like `response` for GLS."""
        return self.levels.X[:, self.coefficient_columns] if self.is_gls else self.solution.X_kept

    @cached_property
    def coefficient_columns(self) -> list[int]:
        """The columns of levels.X that have coefficients."""
        place = {name: j for j, name in enumerate(self.levels.names)}
        return [place[name] for name in self.coef_names]

    @property
    def residuals(self) -> pd.Series[float]:
        """Residuals of the transformed data, rows by individual and time; of the group means for a between model.

        Those of a weighted model are times the root of the weights, as plm has them; its fitted values are not.
        """
        return pd.Series(self.residual_values, index=self.labels)

    @property
    def fitted(self) -> pd.Series[float]:
        """Fitted values of the transformed data."""
        return pd.Series(self.fitted_values, index=self.labels)

    @cached_property
    def residual_quantiles(self) -> pd.Series[float]:
        """Minimum, quartiles and maximum (type 7) of the residuals."""
        found = np.quantile(self.residual_values, [0, 0.25, 0.5, 0.75, 1])
        return pd.Series(found, index=["Min", "1Q", "Median", "3Q", "Max"])

    # -- the fit as a whole ------------------------------------------------------------------------------------

    @cached_property
    def rss(self) -> float:
        """Sum of squared residuals."""
        return float(self.residual_values @ self.residual_values) if self.is_gls else self.solution.rss

    @property
    def deviance(self) -> float:
        """The same, under R's name."""
        return self.rss

    @cached_property
    def tss(self) -> float:
        """Sum of squares of the transformed response about its mean, intercept or not."""
        y = self.response - self.response.mean()
        return float(y @ y)

    @property
    def sigma(self) -> float:
        """What R's sigma() gives for plm, sqrt(rss / (nobs - rank)): for within models it forgets the effects.

        The residual standard error is `residual_std_error`.
        """
        left = self.nobs - self.rank
        return float(np.sqrt(self.rss / left)) if left > 0 else float("nan")

    @property
    def residual_std_error(self) -> float:
        """sqrt(rss / df_residual)."""
        return float(np.sqrt(self.rss / self.df_residual)) if self.df_residual > 0 else float("nan")

    @cached_property
    def r_squared(self) -> float:
        """The squared correlation of response and fitted values, both transformed; 1 - rss/tss where nothing varies."""
        y, f = self.response - self.response.mean(), self.fitted_values - self.fitted_values.mean()
        if self.coef_names == [INTERCEPT]:
            left = float(np.sum((self.response - self.fitted_values) ** 2))
            return 1 - left / self.tss if self.tss > 0 else float("nan")
        both = float((y @ y) * (f @ f))
        return float((y @ f) ** 2) / both if both > 0 else float("nan")

    @cached_property
    def adj_r_squared(self) -> float:
        """1 - (1 - R2) (nobs - 1) / df_residual, the effects counted."""
        return 1 - (1 - self.r_squared) * (self.nobs - 1) / self.df_residual if self.df_residual > 0 else float("nan")

    @cached_property
    def _wald(self) -> tuple[float, int]:
        """b'V^-1 b of the slopes, NaN where V is singular, and how many they are."""
        slopes = [j for j, name in enumerate(self.coef_names) if name != INTERCEPT]
        b, V = self.coef.to_numpy()[slopes], self.vcov_kept[np.ix_(slopes, slopes)]
        size = np.sqrt(np.abs(V.diagonal()))
        usable = bool(slopes) and bool(np.isfinite(V).all()) and bool((size > 0).all())
        scaled = V / np.outer(size, size) if usable else np.zeros_like(V)
        if not usable or np.linalg.matrix_rank(scaled) < len(slopes):
            return float("nan"), len(slopes)
        return float((b / size) @ np.linalg.solve(scaled, b / size)), len(slopes)

    @property
    def f_statistic(self) -> float:
        """F of all slopes; NaN for random effects, which have wald_chi2."""
        return float("nan") if self.model == "random" or not self._wald[1] else self._wald[0] / self._wald[1]

    @property
    def f_numdf(self) -> float:
        """Its numerator degrees of freedom."""
        return float("nan") if self.model == "random" or not self._wald[1] else float(self._wald[1])

    @property
    def f_dendf(self) -> float:
        """Its denominator degrees of freedom: the residual ones; clusters - 1 with a clustered covariance."""
        if self.model == "random" or not self._wald[1]:
            return float("nan")
        clusters = None if self.covariance is None else self.covariance.n_clusters
        return float(self.df_residual if clusters is None else clusters - 1)

    @property
    def f_p_value(self) -> float:
        """Upper tail of F; 1 where a covariance that is not positive makes F negative."""
        return 1.0 if self.f_statistic < 0 else float(upper_f(self.f_statistic, self.f_numdf, self.f_dendf))

    @property
    def wald_chi2(self) -> float:
        """Wald's chi-squared of all slopes, of random effects."""
        return self._wald[0] if self.model == "random" else float("nan")

    @property
    def wald_df(self) -> int:
        """Its degrees of freedom."""
        return self._wald[1]

    @property
    def wald_p_value(self) -> float:
        """Its upper tail; 1 where a covariance that is not positive makes it negative."""
        return 1.0 if self.wald_chi2 < 0 else float(upper_chi2(self.wald_chi2, self.wald_df))

    # -- random effects ----------------------------------------------------------------------------------------

    @property
    def ercomp(self) -> pd.Series[float] | None:
        """The variances of the error's components: idios, id, time."""
        return None if self.components is None else self.components.variances

    @cached_property
    def theta_quasi_demeaning(self) -> pd.Series[float] | None:
        """plm's theta: by effect where balanced (and "total" of two ways), else by effect and group, "id: 3"."""
        if self.components is None:
            return None
        theta = self.components.theta
        if self.components.balanced:
            return pd.Series({name: float(values[0]) for name, values in theta.items()})
        named = {"id": self.levels.panel.id, "time": self.levels.panel.time}
        return pd.Series({
            f"{name}: {level}": float(value)
            for name, values in theta.items() if name != "total"
            for level, value in zip(named[name].levels, values, strict=True)
        })  # fmt: skip

    # -- use ---------------------------------------------------------------------------------------------------

    def with_vcov(self, vcov: pd.DataFrame, name: str | None = None) -> PanelFit:
        """The fit with another covariance (plm: summary(fit, vcov = )).

        Tables keep their degrees of freedom; F takes clusters - 1 where the covariance says how it is clustered
        (its attrs["cluster"], "group" or "time", as plm_vcov_hc and its siblings set it).
        """
        matrix = vcov.loc[self.coef_names, self.coef_names].to_numpy(dtype=np.float64)
        clusters = {"group": self.n_individuals, "time": self.n_times}.get(str(vcov.attrs.get("cluster")))
        shown = name or str(vcov.attrs.get("name", "given"))
        return replace(self, covariance=PanelCovariance(matrix, shown, clusters))

    def __str__(self) -> str:
        """What plm's print of the fit shows."""
        from refimpl.printing.panel import panel_summary

        return panel_summary(self).short()

    def __repr__(self) -> str:
        coefficients = f"{len(self.coef_names)} coefficient{'s' * (len(self.coef_names) != 1)}"
        return f"<plm {self.model} ({self.effect}): {self.formula}, {self.nobs} rows, {coefficients}>"

    def summary(self) -> Any:
        """A summary whose str() is what plm prints.

        Raises RankDeficient where plm's summary() stops: the covariance of the slopes is singular or there is none (as
        many groups as coefficients in a between model, clusters no more than slopes), so that they have no joint test.
        """
        from refimpl.printing.panel import panel_summary

        value, slopes = self._wald
        if slopes and np.isnan(value):
            raise RankDeficient("the covariance of the slopes is singular: no joint test and, as in plm, no summary")
        return panel_summary(self)

    def predict(self, newdata: Data | None = None, na_fill: bool = False) -> pd.Series[float]:
        """Predictions in levels; see effects.predict."""
        from refimpl.panel.effects import predict

        return predict(self, newdata, na_fill)

    def tidy(self) -> pd.DataFrame:
        """One row a coefficient, in broom's columns."""
        columns = {"estimate": self.coef, "std.error": self.std_error, "statistic": self.statistic}
        frame = pd.DataFrame({"term": self.coef_names} | columns | {"p.value": self.p_value})
        return frame.reset_index(drop=True)

    def glance(self) -> pd.DataFrame:
        """One row, in broom's columns."""
        chi2 = self.model == "random"
        return pd.DataFrame({
            "r.squared": [self.r_squared],
            "adj.r.squared": [self.adj_r_squared],
            "statistic": [self.wald_chi2 if chi2 else self.f_statistic],
            "p.value": [self.wald_p_value if chi2 else self.f_p_value],
            "deviance": [self.deviance],
            "df.residual": [self.df_residual],
            "nobs": [self.nobs],
        })  # fmt: skip


def plm(
    formula: str | Formula,
    data: Data,
    index: IndexLike = None,
    model: Model = "within",
    effect: Effect = "individual",
    random_method: RandomMethod | None = None,
    random_models: Sequence[RandomModel] | None = None,
    random_dfcor: int | Sequence[int] | None = None,
    weights: str | Any | None = None,
) -> PanelFit:
    """A linear model of a panel, as plm 2.6-2 fits it.

    `index`: (individual, time) columns of `data`; see panel_index. In the formula they are factors, whatever they are
    in `data`. `weights`: for pooling and within models. Rows with a missing value in a variable are left out; a pair
    of individual and time that occurs twice is warned of, and so is an offset, which plm takes no notice of.
    Instruments (y ~ x | z) and plm's lag, lead, diff, Between and Within in formulas are refused.
    Raises FormulaError, and DataError: unknown-column, no-rows, non-numeric-response, infinite-values,
    one-level-factor, missing-index, bad-option, empty-model, not-estimable; RankDeficient (see variance_components).
    """
    _check(model, effect, weights)
    parsed = _parsed(formula)
    panel = panel_index(data, index)
    extra = {} if weights is None else {WEIGHTS: column(data, weights)}
    frame = model_frame(parsed, with_factors(data, panel, names_in(parsed)), extra=extra)
    design = model_matrix(frame)
    levels = panel_data(frame, design, panel)
    transformer = Transformer(levels.panel, effect)
    components = None
    if model == "random":
        choices = (random_method, random_models, random_dfcor)
        components = variance_components(levels.X, levels.y, levels.panel, effect, *choices)
    kept, solution = _solve(model, levels, transformer, components)
    names = tuple(name for name, keep in zip(levels.names, kept, strict=True) if keep)
    labels = _labels(model, levels, transformer)
    told = {"weights": weights, "effect": None if effect == "individual" else effect, "index": index}
    told |= {"model": None if model == "within" else model, "random_method": random_method}
    told |= {"random_models": random_models, "random_dfcor": random_dfcor}
    return PanelFit(
        parsed, data, model, effect, frame, design, levels, transformer, names, labels, solution, components,
        arguments={name: value for name, value in told.items() if value is not None},
    )  # fmt: skip


OF_A_PANEL = ("lag", "lead", "diff", "Between", "Within", "Sum")


def _parsed(formula: str | Formula) -> Formula:
    """The formula, refused where it has what plm adds to R's language and this one does not take."""
    try:
        parsed = parse(formula) if isinstance(formula, str) else formula
    except FormulaError as error:
        if any(f"'{name}'" in str(error) for name in OF_A_PANEL):
            error.add_note("plm's functions of a panel are not read: give the data a column made by individual")
        raise
    if isinstance(parsed.right, Call) and parsed.right.function == "|":
        raise FormulaError("formula-forbidden", f"instruments are not offered: '|' in {parsed}")
    return parsed


def names_in(formula: Formula) -> set[str]:
    """The columns that a formula names."""
    sides = [formula.right] if formula.left is None else [formula.left, formula.right]
    return {symbol.name for side in sides for symbol in symbols(side)}


def _check(model: str, effect: str, weights: Any) -> None:
    if model not in MODELS:
        raise DataError("bad-option", f"model must be one of {', '.join(MODELS)}; not {model!r}")
    if effect not in EFFECTS:
        raise DataError("bad-option", f"effect must be one of {', '.join(EFFECTS)}; not {effect!r}")
    if model == "fd" and effect != "individual":
        raise DataError("bad-option", f"effect {effect!r} has no meaning for first differences")
    if model == "between" and effect == "twoways":
        raise DataError("bad-option", "two-way effects are only for within, random and pooling models")
    if weights is not None and model not in ("pooling", "within"):
        raise DataError("bad-option", f"weights are not for a {model} model")


def panel_data(frame: ModelFrame, design: ModelMatrix, panel: PanelIndex) -> PanelData:
    """The rows that were kept, sorted by individual and time."""
    y = frame.response
    if y is None:
        raise DataError("non-numeric-response", "the formula has no response")
    if frame.offset is not None:
        warnings.warn("an offset is left out, as plm leaves it out without a word", UserWarning, stacklevel=3)
    used = (panel.take(frame.kept) if frame.n_dropped else panel).complete()
    X, rows, weights = design.X, frame.row_labels, frame.extra.get(WEIGHTS)
    if not used.ordered:
        order = used.order
        X, y, rows, used = np.asfortranarray(X[order]), y[order], rows[order], used.take(order)
        weights = None if weights is None else weights[order]
    if used.duplicated:
        warnings.warn("duplicate couples (id-time) in the panel", UserWarning, stacklevel=3)
    return PanelData(X, y, tuple(design.names), used, rows, weights)


def _solve(
    model: Model, levels: PanelData, transformer: Transformer, components: VarianceComponents | None
) -> tuple[NDArray[np.bool_], LeastSquares]:
    """Which columns of levels.X are used, and the least-squares fit of them transformed."""
    is_slope = levels.is_slope
    if model == "random":
        assert components is not None
        if transformer.effect == "twoways" and not transformer.balanced:
            return _solve_gls(levels, transformer, components)
    taken = is_slope if model == "within" else np.ones_like(is_slope)
    transformed, y = _transformed(model, columns(levels.X, taken), levels, transformer, components)
    changing = spread(transformed) >= NO_CHANGE if model == "fd" and len(y) > 1 else varies(transformed)
    kept = taken.copy()
    kept[taken] = changing | ~is_slope[taken]
    if not kept.any():
        raise DataError("empty-model", "empty model: no regressor varies")
    X = columns(transformed, kept[taken])
    if levels.weights is not None:
        root = np.sqrt(levels.weights)
        X, y = X * root[:, None], y * root
    return kept, ols(X, y)


def spread(A: Array) -> Array:
    """The standard deviation of each column."""
    return np.array([np.std(column, ddof=1) for column in A.T])


def _transformed(
    model: Model, X: Array, levels: PanelData, transformer: Transformer, components: VarianceComponents | None
) -> tuple[Array, Array]:
    """The columns X of the levels (the intercept as it is, but for random effects) and y as the model takes them."""
    y = levels.y[:, None]
    if model == "pooling":
        return X, levels.y
    if model == "between":
        return transformer.between(X), transformer.between(y)[:, 0]
    if model == "fd":
        D = transformer.differences(X)
        D[:, ~levels.is_slope] = 1.0
        if not len(D):
            raise DataError("no-rows", "0 (non-NA) cases: no individual has two rows")
        return D, transformer.differences(y)[:, 0]
    if model == "within":
        return transformer.within(X), transformer.within(y)[:, 0]
    assert components is not None
    return transformer.quasi(X, components.theta), transformer.quasi(y, components.theta)[:, 0]


def _solve_gls(
    levels: PanelData, transformer: Transformer, components: VarianceComponents
) -> tuple[NDArray[np.bool_], LeastSquares]:
    """Generalised least squares under two-way effects: min |y - Xb - Z_1 u - Z_2 v|^2 + |u|^2/r_1 + |v|^2/r_2.

    With u, v eliminated column by column that is least squares of [x - Z u(x), u(x)/sqrt(r)], whose X'X is
    s2_idios X'Omega^-1 X (Henderson's mixed-model equations, 1950).
    """
    s2 = components.variances
    if not float(s2["idios"]) > 1e-12 * float(s2.sum()):
        raise DataError("not-estimable", "the idiosyncratic variance is zero: generalised least squares has no weights")
    ratios = (float(s2["id"] / s2["idios"]), float(s2["time"] / s2["idios"]))
    solver = crossed(levels.panel, ratios)
    A = np.column_stack([levels.X, levels.y])
    tail = [effects / np.sqrt(r) for effects, r in zip(solver.effects(A), ratios, strict=True) if r > 0]
    rows = np.asfortranarray(np.vstack([solver.deviations(A), *tail]))
    kept = varies(levels.X) | ~levels.is_slope
    return kept, full_rank(ols(rows[:, :-1][:, kept], rows[:, -1]))


def _labels(model: Model, levels: PanelData, transformer: Transformer) -> pd.Index:
    if model == "between":
        panel = levels.panel
        return pd.Index((panel.time if transformer.effect == "time" else panel.id).levels)
    return levels.rows[transformer.later] if model == "fd" else levels.rows
