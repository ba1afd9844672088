"""lm and ols: from a formula and data to a fit that carries what R's `lm`, `summary.lm` and `rms::ols` give.

The algebra is in least_squares.py, other covariances in sandwich.py, tables of several fits in comparison.py.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from refimpl import least_squares
from refimpl.distributions import t_quantile, two_sided_t, upper_chi2, upper_f
from refimpl.errors import DataError
from refimpl.formula import Formula, ModelFrame, ModelMatrix, model_frame, model_matrix, parse
from refimpl.formula.syntax import symbols
from refimpl.formula.values import Numeric
from refimpl.least_squares import QR_TOLERANCE, LeastSquares
from refimpl.linalg import Array

if TYPE_CHECKING:
    from refimpl.printing import LinearSummary

WEIGHTS = "(weights)"  # R's name for them in a model frame

Data = pd.DataFrame | Mapping[str, Any]


@dataclass(frozen=True)
class Covariance:
    """A covariance of the kept coefficients (r, r) that stands in for the classical one, and how to test with it."""

    matrix: Array
    name: str
    df: float
    n_clusters: int | None = None
    cluster: str | None = None  # what the clusters are called


@dataclass(frozen=True)
class LinearFit:
    """A linear model fitted by least squares.

    Every quantity is an attribute: a Series over R's coefficient names (NaN where aliased) or over the rows, a
    DataFrame, or a float. `model` is "lm" or "ols" (rms), which differ in names, in R-squared with an offset, and in
    whether rows of zero weight are counted.
    """

    model: Literal["lm", "ols"]
    formula: Formula
    data: Data
    frame: ModelFrame
    design: ModelMatrix
    solution: LeastSquares
    covariance: Covariance | None = None
    weights: str | Any | None = None  # as given: a column's name or values for all rows of the data

    # -- coefficients ------------------------------------------------------------------------------------------

    @cached_property
    def names(self) -> list[str]:
        """Coefficient names, R's or rms's."""
        if self.model == "lm":
            return list(self.design.names)
        labels = rms_labels(self.frame)
        return [rms_name(part, labels) for part in self.design.parts]

    @cached_property
    def labels(self) -> pd.Index[str]:
        """The names as an index."""
        return pd.Index(self.names)

    def _by_name(self, values: Array) -> pd.Series[float]:
        full = np.full(len(self.names), np.nan)
        full[self.solution.kept] = values
        return pd.Series(full, index=self.labels)

    @cached_property
    def coef(self) -> pd.Series[float]:
        """Estimates; NaN where aliased."""
        return pd.Series(self.solution.coef, index=self.labels)

    @cached_property
    def aliased(self) -> pd.Series[bool]:
        """Which columns depend on earlier ones."""
        return pd.Series(~self.solution.kept, index=self.labels)

    @cached_property
    def vcov_kept(self) -> Array:
        """Covariance of the coefficients that are not aliased, (r, r)."""
        if self.covariance is not None:
            return self.covariance.matrix
        return np.asarray(self.sigma**2 * self.solution.xtx_inverse)

    @cached_property
    def vcov(self) -> pd.DataFrame:
        """Covariance of the coefficients, with NaN rows and columns where aliased (R: vcov(complete = TRUE))."""
        full = np.full((len(self.names), len(self.names)), np.nan)
        full[np.ix_(self.solution.kept, self.solution.kept)] = self.vcov_kept
        return pd.DataFrame(full, index=self.labels, columns=self.labels)

    @cached_property
    def std_error(self) -> pd.Series[float]:
        """Square roots of the covariance's diagonal."""
        return self._by_name(np.sqrt(self.vcov_kept.diagonal()))

    @cached_property
    def statistic(self) -> pd.Series[float]:
        """Estimate over standard error."""
        return self._by_name(_ratio(self.solution.coef[self.solution.kept], np.sqrt(self.vcov_kept.diagonal())))

    @property
    def df_test(self) -> float:
        """Degrees of freedom of the t tests; inf makes them z tests."""
        return float(self.df_counted) if self.covariance is None else self.covariance.df

    @cached_property
    def p_value(self) -> pd.Series[float]:
        """Two-sided p-values of t tests on `df_test` degrees of freedom."""
        return pd.Series(two_sided_t(self.statistic.to_numpy(), self.df_test), index=self.labels)

    def confint(self, level: float = 0.95) -> pd.DataFrame:
        """Confidence limits by the t distribution: columns low and high (R: confint.lm)."""
        df = float(self.df_residual) if self.covariance is None else self.covariance.df
        half = t_quantile((1 + level) / 2, df) * self.std_error
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
        """Rows used; `lm` leaves out those of zero weight, rms's `ols` counts them."""
        return len(self.solution.y) if self.model == "ols" else self.solution.nobs

    @property
    def rank(self) -> int:
        """Columns that are not aliased."""
        return self.solution.rank

    @property
    def df_residual(self) -> int:
        """Rows of positive weight less the rank."""
        return self.solution.df_residual

    @property
    def df_counted(self) -> int:
        """nobs - rank. rms prints its p-values and adjusted R2 with these, which count rows of zero weight."""
        return self.nobs - self.rank

    @property
    def n_dropped(self) -> int:
        """Rows left out for missing values."""
        return self.frame.n_dropped

    @property
    def n_clusters(self) -> int | None:
        """Clusters behind the covariance, None where it is not clustered."""
        return None if self.covariance is None else self.covariance.n_clusters

    # -- rows --------------------------------------------------------------------------------------------------

    def _by_row(self, values: Array) -> pd.Series[float]:
        return pd.Series(values, index=self.frame.row_labels)

    @cached_property
    def _fitted(self) -> Array:
        return self.solution.fitted if self.frame.offset is None else self.solution.fitted + self.frame.offset

    @property
    def fitted(self) -> pd.Series[float]:
        """Fitted values, the offset included."""
        return self._by_row(self._fitted)

    @property
    def residuals(self) -> pd.Series[float]:
        """Response less fitted values, unweighted."""
        return self._by_row(self.solution.residuals)

    @property
    def hatvalues(self) -> pd.Series[float]:
        """Leverages; `lm` leaves out rows of zero weight, rms's `ols` does not."""
        h = self._by_row(self.solution.hatvalues)
        return h if self.model == "ols" else h[self.solution.used]

    @cached_property
    def residual_quantiles(self) -> pd.Series[float]:
        """Minimum, quartiles and maximum (type 7) of the residuals that R's summary shows.

        Those are times sqrt(weights) for `lm` and unweighted for `ols`.
        """
        e, w = self.solution.residuals, self.solution.weights
        if self.model == "lm" and w is not None:
            e = e * np.sqrt(w)
        return pd.Series(np.quantile(e, [0, 0.25, 0.5, 0.75, 1]), index=["Min", "1Q", "Median", "3Q", "Max"])

    # -- the fit as a whole ------------------------------------------------------------------------------------

    @property
    def deviance(self) -> float:
        """Weighted sum of squared residuals."""
        return self.solution.rss

    @cached_property
    def sigma(self) -> float:
        """Residual standard error sqrt(deviance / df_residual); NaN without degrees of freedom."""
        return float(np.sqrt(self.deviance / self.df_residual)) if self.df_residual > 0 else float("nan")

    @cached_property
    def _has_intercept(self) -> bool:
        return self.design.has_intercept

    @cached_property
    def _explained(self) -> float:
        """R's model sum of squares: about the mean of the fitted values where there is an intercept."""
        f, w = self._fitted[self.solution.used], self.solution.weights
        weight = np.ones_like(f) if w is None else w[self.solution.used]
        centre = (weight @ f) / weight.sum() if self._has_intercept else 0.0
        return float(weight @ (f - centre) ** 2)

    @cached_property
    def _total(self) -> float:
        """Sum of squares of the response about its weighted mean, for rms's R-squared."""
        response, w = self.frame.response, self.solution.weights
        assert response is not None
        weight = np.ones_like(response) if w is None else w
        return float(weight @ (response - (weight @ response) / weight.sum()) ** 2)

    @property
    def _df_model(self) -> int:
        return self.rank - self._has_intercept

    @cached_property
    def r_squared(self) -> float:
        """Share explained.

        lm: mss / (mss + rss) with mss of the fitted values, offset included, uncentred without an intercept, and 0
        for a model of the intercept alone. ols: 1 - rss / tss about the mean of the response.
        """
        if self.model == "ols":
            return 1 - float(_ratio(np.float64(self.deviance), np.float64(self._total)))
        share = _ratio(np.float64(self._explained), np.float64(self._explained + self.deviance))
        return float(share) if self._df_model else 0.0

    @cached_property
    def adj_r_squared(self) -> float:
        """1 - (1 - R2) (n - 1) / (n - rank); n for n - 1 without an intercept."""
        if not self._df_model and self.model == "lm":
            return 0.0
        top = self.nobs - self._has_intercept
        return 1 - (1 - self.r_squared) * top / self.df_counted if self.df_counted > 0 else float("nan")

    @property
    def f_numdf(self) -> float:
        """Numerator degrees of freedom of the overall F test; NaN where R gives none."""
        return float(self._df_model) if self._df_model else float("nan")

    @property
    def f_dendf(self) -> float:
        """Denominator degrees of freedom of the overall F test; NaN where R gives none."""
        return float(self.df_residual) if self._df_model else float("nan")

    @cached_property
    def f_statistic(self) -> float:
        """(mss / f_numdf) / sigma^2, always from the classical covariance, as in R."""
        mean_square = np.float64(self._explained) / self.f_numdf if self._df_model else np.float64("nan")
        return float(_ratio(mean_square, np.float64(self.sigma**2)))

    @cached_property
    def f_p_value(self) -> float:
        """Upper tail of F."""
        return float(upper_f(self.f_statistic, self.f_numdf, self.f_dendf))

    @cached_property
    def loglik(self) -> float:
        """Gaussian log-likelihood at the maximum; rows of zero weight do not count (R: logLik.lm)."""
        n, w = self.solution.nobs, self.solution.weights
        log_weights = 0.0 if w is None else float(np.log(w[self.solution.used]).sum())
        with np.errstate(divide="ignore"):
            return float(0.5 * (log_weights - n * (np.log(2 * np.pi) + 1 - np.log(n) + np.log(self.deviance))))

    @property
    def aic(self) -> float:
        """-2 loglik + 2 (rank + 1): sigma counts as a parameter."""
        return -2 * self.loglik + 2 * (self.rank + 1)

    @property
    def bic(self) -> float:
        """-2 loglik + log(n) (rank + 1)."""
        return float(-2 * self.loglik + np.log(self.solution.nobs) * (self.rank + 1))

    # -- rms -------------------------------------------------------------------------------------------------

    @cached_property
    def lr_chi2(self) -> float:
        """rms's likelihood-ratio chi-squared of the model, -n log(1 - R2)."""
        with np.errstate(divide="ignore"):
            return float(-self.nobs * np.log(self.deviance / self._total))

    @property
    def lr_df(self) -> int:
        """Its degrees of freedom: columns other than the intercept."""
        return self._df_model

    @property
    def lr_p_value(self) -> float:
        """Its upper tail."""
        return float(upper_chi2(self.lr_chi2, self.lr_df))

    @cached_property
    def g_index(self) -> float:
        """rms's g: Gini's mean difference of the fitted values, weights ignored."""
        f = np.sort(self._fitted)
        n = len(f)
        return float(2 * (2 * np.arange(1, n + 1) - n - 1) @ f / (n * (n - 1))) if n > 1 else float("nan")

    # -- use ---------------------------------------------------------------------------------------------------

    def predict(
        self,
        newdata: Data | None = None,
        interval: Literal["none", "confidence", "prediction"] = "none",
        level: float = 0.95,
    ) -> pd.DataFrame:
        """Predictions for the rows of `newdata` (default: the rows fitted).

        Columns: fit, se (of the mean), and low, high where an interval is asked for (R: predict.lm). Warns where the
        fit is rank-deficient. Raises DataError `unseen-level` and `unknown-column`.
        """
        return predict(self, newdata, interval, level)

    def tidy(self) -> pd.DataFrame:
        """One row a coefficient, in broom's columns."""
        columns = {"estimate": self.coef, "std.error": self.std_error, "statistic": self.statistic}
        limits = {"p.value": self.p_value, "conf.low": self.conf_low, "conf.high": self.conf_high}
        return pd.DataFrame({"term": self.names} | columns | limits).reset_index(drop=True)

    def glance(self) -> pd.DataFrame:
        """One row, in broom's columns."""
        return pd.DataFrame(
            {
                "r.squared": [self.r_squared],
                "adj.r.squared": [self.adj_r_squared],
                "sigma": [self.sigma],
                "statistic": [self.f_statistic],
                "p.value": [self.f_p_value],
                "df": [self.f_numdf],
                "logLik": [self.loglik],
                "AIC": [self.aic],
                "BIC": [self.bic],
                "deviance": [self.deviance],
                "df.residual": [self.df_residual],
                "nobs": [self.nobs],
            }
        )

    def summary(self, call: str | None = None) -> LinearSummary:
        """A summary whose str() is what R prints; `call` is the text shown as R's call of the fit."""
        from refimpl import printing

        return printing.summary(self, call)

    def __str__(self) -> str:
        """What R's print of the fit shows."""
        return self.summary().short()

    def __repr__(self) -> str:
        coefficients = f"{len(self.names)} coefficient{'s' * (len(self.names) != 1)}"
        return f"<{self.model}: {self.formula}, {self.nobs} rows, {coefficients}>"

    def with_covariance(self, covariance: Covariance) -> LinearFit:
        """The same fit with another covariance of its coefficients."""
        other = replace(self, covariance=covariance)
        for known in {"names", "labels", "coef"} & vars(self).keys():  # worked out once
            vars(other)[known] = vars(self)[known]
        return other


def lm(
    formula: str | Formula,
    data: Data,
    weights: str | Any | None = None,
    na_action: Literal["omit", "fail"] = "omit",
    tol: float = QR_TOLERANCE,
) -> LinearFit:
    """A linear model as R's `lm` fits it (R 4.2.2).

    `weights` is a column's name or an array (N,). Rows with a missing value in any variable are omitted, or refused
    with na_action="fail". Raises FormulaError and DataError (unknown-column, no-rows, non-numeric-response,
    infinite-values, one-level-factor).
    """
    return _fit("lm", formula, data, weights, na_action, tol)


def ols(
    formula: str | Formula,
    data: Data,
    weights: str | Any | None = None,
    na_action: Literal["omit", "fail"] = "omit",
) -> LinearFit:
    """A linear model as `rms::ols` gives it (rms 6.5-0): names `Intercept` and `g=b`, always with an intercept."""
    return _fit("ols", formula, data, weights, na_action, QR_TOLERANCE)


def _fit(
    model: Literal["lm", "ols"],
    formula: str | Formula,
    data: Data,
    weights: str | Any | None,
    na_action: str,
    tol: float,
) -> LinearFit:
    parsed = parse(formula) if isinstance(formula, str) else formula
    extra = {} if weights is None else {WEIGHTS: column(data, weights)}
    frame = model_frame(parsed, data, extra=extra, na_action=na_action)
    if model == "ols" and not frame.terms.intercept:  # rms puts one in whatever the formula says
        frame = model_frame(parse(f"{parsed} + 1"), data, extra=extra, na_action=na_action)
    design = model_matrix(frame)
    y = frame.response
    if y is None:
        raise DataError("non-numeric-response", "the formula has no response")
    shifted = y if frame.offset is None else y - frame.offset
    solution = least_squares.ols(design.X, shifted, frame.extra.get(WEIGHTS), tol)
    return LinearFit(model, parsed, data, frame, design, solution, weights=weights)


def column(data: Data, name_or_values: str | Any) -> Any:
    """A column by its name, or the values themselves."""
    if not isinstance(name_or_values, str):
        return name_or_values
    if name_or_values not in data:
        raise DataError("unknown-column", f"object '{name_or_values}' not found")
    return data[name_or_values]


def rms_labels(frame: ModelFrame) -> dict[str, str]:
    """rms's names of the variables: a transformed column is called by its first variable, whatever is done to it."""
    labels = {}
    for name, node, value in zip(frame.terms.names, frame.terms.variables, frame.values, strict=True):
        inside = next(symbols(node), None)
        plain = isinstance(value, Numeric) and value.values.ndim == 1
        labels[name] = inside.name if inside is not None and plain else name
    return labels


def rms_name(part: tuple[tuple[str, str | None], ...], labels: Mapping[str, str]) -> str:
    """rms's name of a column: Intercept, x, g=b, g=b * x."""
    if not part:
        return "Intercept"
    named = ((labels.get(variable, variable), level) for variable, level in part)
    return " * ".join(label if level is None else f"{label}={level}" for label, level in named)


def predict(
    fit: LinearFit,
    newdata: Data | None = None,
    interval: Literal["none", "confidence", "prediction"] = "none",
    level: float = 0.95,
) -> pd.DataFrame:
    """Predictions with standard errors and, on request, intervals; see LinearFit.predict."""
    if fit.rank < len(fit.names):
        warnings.warn("prediction from a rank-deficient fit may be misleading", UserWarning, stacklevel=3)
    if newdata is None:
        X, offset = fit.design.X, fit.frame.offset
        index = fit.frame.row_labels
    else:
        new = fit.design.for_newdata(newdata)
        X, offset = new.X, new.offset
        index = newdata.index if isinstance(newdata, pd.DataFrame) else pd.RangeIndex(1, len(X) + 1)
    X = X[:, fit.solution.kept]
    mean = X @ fit.solution.coef[fit.solution.kept]
    mean = mean if offset is None else mean + offset
    if fit.covariance is None:
        variance = fit.sigma**2 * fit.solution.leverage(X)
    else:
        variance = np.einsum("ij,ij->i", X @ fit.vcov_kept, X)
    out = pd.DataFrame({"fit": mean, "se": np.sqrt(variance)}, index=index)
    if interval != "none":
        spread = variance + (fit.sigma**2 if interval == "prediction" else 0.0)
        half = t_quantile((1 + level) / 2, fit.df_test) * np.sqrt(spread)
        out["low"], out["high"] = mean - half, mean + half
    return out


def _ratio(a: Array | np.float64, b: Array | np.float64) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(a / b)
