"""lmer's fit: what its users read, from the optimum that mixed/fit.py found.

Names are lme4's: `sd`, `cor`, `ranef`, `coef_by_group`; theta is in the units of the data, as lme4's getME(m, "theta").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from refimpl.distributions import t_quantile
from refimpl.errors import DataError
from refimpl.formula import Formula, ModelFrame, ModelMatrix
from refimpl.formula.bars import RandomTerm
from refimpl.least_squares import LeastSquares
from refimpl.linalg import Array
from refimpl.mixed.blocks import Blocks
from refimpl.mixed.fit import Optimum
from refimpl.mixed.profile import evaluate, triangles, vector


@dataclass(frozen=True)
class MixedFit:
    """A linear mixed model fitted by maximum likelihood or REML (lme4: lmerMod).

    Every quantity is an attribute. What the search did is in `optimum`: evaluations, the final gradient and Hessian
    eigenvalues (of the factors of scaled columns), whether a covariance is singular.
    """

    formula: Formula
    data: Any
    REML: bool
    frame: ModelFrame
    design: ModelMatrix
    offset: Array | None
    fixed: LeastSquares
    random: tuple[RandomTerm, ...]
    blocks: Blocks
    optimum: Optimum

    # -- size ------------------------------------------------------------------------------------------------------

    @property
    def nobs(self) -> int:
        """Rows used."""
        return self.blocks.n

    @property
    def rank(self) -> int:
        """Fixed effects that are not aliased."""
        return self.blocks.p

    @property
    def n_parameters(self) -> int:
        """Fixed effects, thetas and sigma."""
        return self.rank + len(self.theta) + 1

    @property
    def df_residual(self) -> int:
        """nobs - n_parameters, as lme4 counts for ML and REML alike."""
        return self.nobs - self.n_parameters

    @property
    def n_dropped(self) -> int:
        """Rows left out for missing values."""
        return self.frame.n_dropped

    @cached_property
    def n_groups(self) -> pd.Series[int]:
        """Levels of each grouping factor."""
        found = {random.group: len(random.levels) for random in self.random}
        return pd.Series(list(found.values()), index=list(found))

    # -- covariance parameters ---------------------------------------------------------------------------------------

    @cached_property
    def relative_factors(self) -> tuple[Array, ...]:
        """Lambda of each term, lower triangular, of the columns as the user gave them."""
        return tuple(T @ factor for T, factor in zip(self.blocks.to_user, self.optimum.factors, strict=True))

    @cached_property
    def theta(self) -> Array:
        """Lower triangles of the relative factors, column by column, terms in lme4's order."""
        return vector(self.relative_factors)

    @cached_property
    def theta_names(self) -> list[str]:
        """lme4's names: group.column and group.row.column."""
        names = []
        for random in self.random:
            for j, column in enumerate(random.names):
                names.append(f"{random.group}.{column}")
                names += [f"{random.group}.{row}.{column}" for row in random.names[j + 1 :]]
        return names

    @property
    def is_singular(self) -> bool:
        """Whether a relative factor has a diagonal below 1e-4 (lme4: isSingular)."""
        return bool(min(np.abs(L.diagonal()).min() for L in self.relative_factors) < 1e-4)

    @cached_property
    def sigma(self) -> float:
        """Residual standard deviation."""
        df = self.nobs - (self.rank if self.REML else 0)
        return float(np.sqrt(self.optimum.point.pwrss / df))

    @cached_property
    def term_names(self) -> list[str]:
        """One name a term, as VarCorr shows them: the group, with .1, .2 where it comes again."""
        seen: dict[str, int] = {}
        names = []
        for random in self.random:
            count = seen.get(random.group, 0)
            names.append(f"{random.group}.{count}" if count else random.group)
            seen[random.group] = count + 1
        return names

    @cached_property
    def covariance(self) -> dict[str, pd.DataFrame]:
        """Covariance of the random effects of each term, sigma^2 Lambda Lambda'."""
        out = {}
        for name, random, L in zip(self.term_names, self.random, self.relative_factors, strict=True):
            out[name] = pd.DataFrame(self.sigma**2 * L @ L.T, index=random.names, columns=random.names)
        return out

    @cached_property
    def sd(self) -> pd.Series[float]:
        """Standard deviations of the random effects, labelled group.column."""
        values, labels = [], []
        for name, V in self.covariance.items():
            values += list(np.sqrt(np.diag(V)))
            labels += [f"{name}.{column}" for column in V.columns]
        return pd.Series(values, index=labels, dtype=np.float64)

    @cached_property
    def cor(self) -> pd.Series[float]:
        """Correlations of the random effects within a term, labelled group.row.column; NaN where a variance is zero."""
        values, labels = [], []
        for name, V in self.covariance.items():
            s = np.sqrt(np.diag(V))
            for j in range(len(s)):
                for i in range(j + 1, len(s)):
                    values.append(V.to_numpy()[i, j] / (s[i] * s[j]) if s[i] * s[j] > 0 else np.nan)
                    labels.append(f"{name}.{V.columns[i]}.{V.columns[j]}")
        return pd.Series(values, index=labels, dtype=np.float64)

    def varcorr(self) -> pd.DataFrame:
        """One row a variance, covariance and the residual: grp, var1, var2, vcov, sdcor (as.data.frame(VarCorr(m)))."""
        rows: list[tuple[str, str | None, str | None, float, float]] = []
        for name, V in self.covariance.items():
            values, columns = V.to_numpy(), list(V.columns)
            s = np.sqrt(values.diagonal())
            rows += [(name, column, None, values[i, i], s[i]) for i, column in enumerate(columns)]
            rows += [
                (name, columns[j], columns[i], values[i, j], self.cor[f"{name}.{columns[i]}.{columns[j]}"])
                for j in range(len(columns))
                for i in range(j + 1, len(columns))
            ]
        rows.append(("Residual", None, None, self.sigma**2, self.sigma))
        return pd.DataFrame(rows, columns=["grp", "var1", "var2", "vcov", "sdcor"])

    # -- fixed effects -----------------------------------------------------------------------------------------------

    @property
    def names(self) -> list[str]:
        """Names of the fixed effects that are not aliased."""
        return [name for name, use in zip(self.design.names, self.fixed.kept, strict=True) if use]

    @cached_property
    def aliased(self) -> pd.Series[bool]:
        """Which fixed-effect columns were dropped as dependent."""
        return pd.Series(~self.fixed.kept, index=self.design.names)

    @cached_property
    def coef(self) -> pd.Series[float]:
        """Fixed effects (lme4: fixef); dropped columns are left out."""
        return pd.Series(self.blocks.b0 + self.blocks.R0_inverse @ self.optimum.point.beta, index=self.names)

    @cached_property
    def vcov(self) -> pd.DataFrame:
        """Covariance of the fixed effects, sigma^2 (X'V^-1X)^-1 at the estimates."""
        half = self.blocks.R0_inverse @ np.linalg.inv(self.optimum.point.RX)
        return pd.DataFrame(self.sigma**2 * half @ half.T, index=self.names, columns=self.names)

    @cached_property
    def std_error(self) -> pd.Series[float]:
        """Square roots of vcov's diagonal."""
        return pd.Series(np.sqrt(np.diag(self.vcov)), index=self.names)

    @property
    def statistic(self) -> pd.Series[float]:
        """Estimate over standard error; lme4 gives no p-value for it."""
        return self.coef / self.std_error

    @cached_property
    def fixef_correlation(self) -> pd.DataFrame:
        """Correlation of the fixed effects."""
        s = self.std_error.to_numpy()
        return pd.DataFrame(self.vcov.to_numpy() / np.outer(s, s), index=self.names, columns=self.names)

    def confint(self, level: float = 0.95) -> pd.DataFrame:
        """Wald limits of the fixed effects: columns low and high (lme4: confint(m, method = "Wald"))."""
        half = t_quantile((1 + level) / 2, np.inf) * self.std_error
        return pd.DataFrame({"low": self.coef - half, "high": self.coef + half})

    @property
    def conf_low(self) -> pd.Series[float]:
        """Lower Wald limits, 95 %."""
        return self.confint()["low"]

    @property
    def conf_high(self) -> pd.Series[float]:
        """Upper Wald limits, 95 %."""
        return self.confint()["high"]

    # -- random effects ------------------------------------------------------------------------------------------------

    @cached_property
    def modes(self) -> list[Array]:
        """Conditional modes of each term, (levels, r), in the user's columns: Sigma s of each level."""
        return [b @ T.T for b, T in zip(self.optimum.point.modes, self.blocks.to_user, strict=True)]

    @cached_property
    def ranef(self) -> dict[str, pd.DataFrame]:
        """Conditional modes of the random effects by grouping factor: levels x columns."""
        out: dict[str, pd.DataFrame] = {}
        for random, modes in zip(self.random, self.modes, strict=True):
            part = pd.DataFrame(modes, index=list(random.levels), columns=list(random.names))
            out[random.group] = pd.concat([out[random.group], part], axis=1) if random.group in out else part
        return out

    @cached_property
    def ranef_condvar(self) -> dict[str, Array]:
        """Conditional covariance of each term's random effects given the data and theta, (levels, r, r)."""
        parts = zip(self.term_names, self.blocks.to_user, self.optimum.point.conditional, strict=True)
        return {name: self.sigma**2 * T @ C @ T.T for name, T, C in parts}

    @cached_property
    def coef_by_group(self) -> dict[str, pd.DataFrame]:
        """Fixed effects plus random effects of each level (lme4: coef).

        Columns of any term that have no fixed effect come first; in the other groups they are zero. A column that
        several terms of a group have gets the effects of all (lme4 1.1-31 adds the first one's as many times instead).
        """
        columns = dict.fromkeys(column for modes in self.ranef.values() for column in modes.columns)
        extra = [column for column in columns if column not in self.coef.index]
        out = {}
        for group, modes in self.ranef.items():
            table = pd.DataFrame(0.0, index=modes.index, columns=extra + list(self.coef.index))
            table[list(self.coef.index)] = np.tile(self.coef.to_numpy(), (len(modes), 1))
            for position, column in enumerate(modes.columns):
                table[column] = table[column] + modes.iloc[:, position]
            out[group] = table
        return out

    # -- rows -------------------------------------------------------------------------------------------------------

    def _by_row(self, values: Array) -> pd.Series[float]:
        return pd.Series(values, index=self.frame.row_labels)

    @cached_property
    def _fitted(self) -> Array:
        out = self.fixed.X_kept @ self.coef.to_numpy()
        for random, modes in zip(self.random, self.modes, strict=True):
            out = out + np.einsum("ir,ir->i", random.matrix.X, modes[random.codes])
        return out if self.offset is None else out + self.offset

    @property
    def fitted(self) -> pd.Series[float]:
        """X beta + Z b + offset."""
        return self._by_row(self._fitted)

    @cached_property
    def _residuals(self) -> Array:
        response = self.frame.response
        assert response is not None
        return response - self._fitted

    @property
    def residuals(self) -> pd.Series[float]:
        """Response less fitted, unweighted."""
        return self._by_row(self._residuals)

    @cached_property
    def scaled_residual_quantiles(self) -> pd.Series[float]:
        """Quantiles (type 7) of sqrt(weights) residuals / sigma, as lme4's summary shows them."""
        root = 1.0 if self.fixed.weights is None else np.sqrt(self.fixed.weights)
        values = np.quantile(root * self._residuals / self.sigma, [0, 0.25, 0.5, 0.75, 1])
        return pd.Series(values, index=["Min", "1Q", "Median", "3Q", "Max"])

    # -- the fit as a whole --------------------------------------------------------------------------------------------

    def objective(self, theta: Sequence[float] | Array, REML: bool | None = None) -> float:
        """ML deviance or REML criterion at a theta (lme4: devfun), after the fit's own REML unless it is said."""
        factors = scaled_factors(self.blocks, theta)
        return evaluate(self.blocks, factors, self.REML if REML is None else REML).objective

    @property
    def criterion(self) -> float:
        """The objective at the optimum: ML deviance or REML criterion."""
        return self.optimum.point.objective

    @property
    def loglik(self) -> float:
        """Log-likelihood, or the restricted one for a REML fit."""
        return -self.criterion / 2

    @property
    def deviance(self) -> float:
        """Minus twice the (restricted) log-likelihood: lme4's deviance for ML, its REMLcrit for REML."""
        return self.criterion

    @property
    def aic(self) -> float:
        """criterion + 2 n_parameters."""
        return self.criterion + 2 * self.n_parameters

    @property
    def bic(self) -> float:
        """criterion + log(n) n_parameters, n the rows also for REML (lme4)."""
        return float(self.criterion + np.log(self.nobs) * self.n_parameters)

    def refit_ml(self) -> MixedFit:
        """The same model by maximum likelihood, as anova takes it; the fit itself where it is one."""
        from refimpl.mixed.models import fit_model

        return fit_model(self, REML=False) if self.REML else self

    def predict(
        self, newdata: Any = None, re_form: Literal["all", "none"] = "all", allow_new_levels: bool = False
    ) -> pd.Series[float]:
        """Predictions: with the random effects, or of the fixed part alone with re_form="none" (lme4: predict.merMod).

        A level that the fit has not seen is refused (DataError `unseen-level`), or given random effects of zero.
        """
        from refimpl.mixed.models import predict

        return predict(self, newdata, re_form, allow_new_levels)

    def __str__(self) -> str:
        """What lme4's print of the fit shows."""
        return str(self.summary().short())

    def __repr__(self) -> str:
        by = "REML" if self.REML else "ML"
        return f"<lmer by {by}: {self.formula}, {self.nobs} rows, {self.criterion:.6g} at the optimum>"

    def summary(self) -> Any:
        """A summary whose str() is what lme4 prints."""
        from refimpl import printing

        return printing.summary(self)

    def tidy(self) -> pd.DataFrame:
        """One row a fixed effect, then one a covariance parameter, in broom.mixed's columns."""
        fixed = pd.DataFrame({"effect": "fixed", "group": None, "term": self.names, "estimate": self.coef.to_numpy()})
        fixed["std.error"], fixed["statistic"] = self.std_error.to_numpy(), self.statistic.to_numpy()
        table = self.varcorr()
        kind = np.where(table["var2"].isna(), "sd__", "cor__")
        labels = table["var1"].fillna("Observation") + table["var2"].map(lambda name: f".{name}").where(
            table["var2"].notna(), ""
        )
        random = pd.DataFrame(
            {"effect": "ran_pars", "group": table["grp"], "term": kind + labels, "estimate": table["sdcor"]}
        )
        return pd.concat([fixed, random], ignore_index=True)

    def glance(self) -> pd.DataFrame:
        """One row, in broom.mixed's columns."""
        name = "REMLcrit" if self.REML else "deviance"
        row = {"nobs": self.nobs, "sigma": self.sigma, "logLik": self.loglik, "AIC": self.aic, "BIC": self.bic}
        return pd.DataFrame([row | {name: self.criterion, "df.residual": self.df_residual}])


def scaled_factors(blocks: Blocks, theta: Sequence[float] | Array) -> list[Array]:
    """Factors of the scaled columns for a theta in the user's units; DataError `bad-option` for one of other length."""
    given, length = np.asarray(theta, dtype=np.float64), sum(term.n_theta for term in blocks.terms)
    if given.shape != (length,):
        raise DataError("bad-option", f"theta has {given.size} values; this model has {length}")
    factors = triangles(given, [term.r for term in blocks.terms])
    return [np.tril(np.linalg.solve(T, L)) for T, L in zip(blocks.to_user, factors, strict=True)]
