"""statsmodels: OLS and WLS with their HC and cluster covariances, anova_lm, and MixedLM for one grouping factor.

It answers by its own habits, which `conventions` names; options that it does not have are not provided.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Any

import numpy as np
import pandas as pd
import statsmodels.api as sm
from statsmodels.regression.linear_model import RegressionResults
from statsmodels.stats.anova import anova_lm

from compat.adapters import design
from compat.adapters.design import Design
from compat.cases import Case
from compat.implementations import NotProvided
from refimpl.formula.bars import RandomTerm

Quantities = dict[str, Any]

CLUSTER_TYPES = {"CR0": False, "CR1S": True}  # use_correction: G/(G-1) (N-1)/(N-K), or none
HC_TYPES = ("HC0", "HC1", "HC2", "HC3")


class Statsmodels:
    """The adapter; `implementation` is the one that the entry point names."""

    name = "statsmodels"
    version: str = sm.__version__
    capabilities: Set[str] = frozenset({"lm", "vcov_hc", "vcov_cluster", "anova", "lmer"})
    conventions: Set[str] = frozenset({"AIC without sigma", "BIC without sigma"})

    def fit(self, case: Case) -> Mapping[str, Any]:
        """Fit a case; what statsmodels raises passes through."""
        return _FITS[case.estimator](case)


def _regression(case: Case, formula: str | None = None) -> tuple[Design, RegressionResults]:
    d = design.linear(case, formula)
    # Told, or statsmodels takes a constant column, or columns that add up to one, for an intercept.
    model = sm.OLS(d.y, d.X, hasconst=d.has_intercept) if d.weights is None else None
    return d, (model or sm.WLS(d.y, d.X, weights=d.weights, hasconst=d.has_intercept)).fit()


def _table(fit: Any) -> Quantities:
    """What every covariance of a regression has."""
    return {
        "coef": fit.params,
        "std_error": fit.bse,
        "statistic": fit.tvalues,
        "p_value": fit.pvalues,
        "vcov": fit.cov_params(),
        "nobs": fit.nobs,
    }


def _lm(case: Case) -> Quantities:
    d, fit = _regression(case)
    limits = fit.conf_int(1 - case.options["level"])
    found = _table(fit) | {
        "conf_low": limits[0],
        "conf_high": limits[1],
        "rank": fit.model.rank,
        "df_residual": fit.df_resid,
        "sigma": np.sqrt(fit.scale),
        "fitted": fit.fittedvalues + d.offset,
        "residuals": fit.resid,
        "hatvalues": pd.Series(fit.get_influence().hat_matrix_diag, index=d.y.index),
        "r_squared": fit.rsquared,
        "adj_r_squared": fit.rsquared_adj,
        "loglik": fit.llf,
        "aic": fit.aic,
        "bic": fit.bic,
        "deviance": fit.ssr,
    }
    if fit.df_model:
        found |= {"f_statistic": fit.fvalue, "f_p_value": fit.f_pvalue, "f_numdf": fit.df_model}
        found |= {"f_dendf": fit.df_resid}
    if (newdata := case.options.get("newdata")) is not None:
        found |= _predicted(d, fit, pd.DataFrame(newdata), case.options["level"])
    return found


def _predicted(d: Design, fit: Any, newdata: pd.DataFrame, level: float) -> Quantities:
    new = d.matrix.for_newdata(newdata)
    rows = [str(i) for i in range(1, len(newdata) + 1)]
    frame = fit.get_prediction(pd.DataFrame(new.X, columns=d.names, index=rows)).summary_frame(1 - level)
    shift = 0.0 if new.offset is None else pd.Series(new.offset, index=rows)
    names = {
        "predicted": "mean", "predicted_conf_low": "mean_ci_lower", "predicted_conf_high": "mean_ci_upper",
        "predicted_pred_low": "obs_ci_lower", "predicted_pred_high": "obs_ci_upper",
    }  # fmt: skip
    return {name: frame[column] + shift for name, column in names.items()} | {"predicted_se": frame["mean_se"]}


def _tested(fit: Any, case: Case, **covariance: Any) -> Quantities:
    """A regression with another covariance, tested by t on the residual df or by z, as the case says."""
    if case.options.get("df") is not None:
        raise NotProvided("no degrees of freedom can be given")
    robust = fit.get_robustcov_results(**covariance, use_t=case.options["test"] == "t")
    names = fit.params.index
    table = {
        name: pd.Series(np.asarray(value), index=names)
        for name, value in (
            ("coef", robust.params), ("std_error", robust.bse), ("statistic", robust.tvalues),
            ("p_value", robust.pvalues),
        )
    }  # fmt: skip
    vcov = pd.DataFrame(np.asarray(robust.cov_params()), index=names, columns=names)
    return table | {"vcov": vcov, "nobs": fit.nobs}


def _vcov_hc(case: Case) -> Quantities:
    if case.options["type"] not in HC_TYPES:
        raise NotProvided(f"no type {case.options['type']}")
    return _tested(_regression(case)[1], case, cov_type=case.options["type"])


def _vcov_cluster(case: Case) -> Quantities:
    cluster = case.options["cluster"]
    if case.options["type"] not in CLUSTER_TYPES:
        raise NotProvided(f"no type {case.options['type']}")
    if len(cluster) > 2 or not all(isinstance(one, str) for one in cluster):
        raise NotProvided("clusters of one or two columns only")
    d, fit = _regression(case)
    codes = np.column_stack([pd.factorize(d.of_rows(one, case.data))[0] for one in cluster])
    counts = {name: float(len(np.unique(column))) for name, column in zip(cluster, codes.T, strict=True)}
    covariance = _tested(
        fit, case, cov_type="cluster", groups=codes if len(cluster) > 1 else codes[:, 0],
        use_correction=CLUSTER_TYPES[case.options["type"]], df_correction=False,
    )  # fmt: skip
    return covariance | {"n_clusters": counts}


def _anova(case: Case) -> Quantities:
    table = anova_lm(*(_regression(case, text)[1] for text in case.formulas))
    table.index = [str(i) for i in range(1, len(table) + 1)]
    table.loc["1", ["df_diff", "ss_diff"]] = np.nan  # the first row tests nothing
    names = {
        "df_residual": "df_resid", "rss": "ssr", "df": "df_diff", "sum_sq": "ss_diff", "f_statistic": "F",
        "p_value": "Pr(>F)",
    }  # fmt: skip
    return {name: table[column] for name, column in names.items()}


def _lmer(case: Case) -> Quantities:
    d, frame = design.mixed(case)
    if len(frame.random.terms) > 1 or d.weights is not None:
        raise NotProvided("MixedLM fits one bar, without weights")
    (term,) = frame.random.terms
    Z = pd.DataFrame(term.matrix.X, columns=term.names, index=d.y.index)
    fit = sm.MixedLM(d.y, d.X, groups=np.asarray(term.levels)[term.codes], exog_re=Z).fit(reml=case.options["REML"])
    limits = fit.conf_int(1 - case.options["level"]).loc[d.names]
    return _random_part(fit, term) | {
        "coef": fit.fe_params,
        "std_error": fit.bse_fe,
        "statistic": fit.fe_params / fit.bse_fe,
        "vcov": fit.cov_params().loc[d.names, d.names],
        "conf_low": limits[0],
        "conf_high": limits[1],
        "nobs": fit.nobs,
        "n_groups": {term.group: len(term.levels)},
        "sigma": np.sqrt(fit.scale),
        "loglik": fit.llf,
        "objective": -2 * fit.llf,
        "fitted": fit.fittedvalues + d.offset,
        "residuals": fit.resid,
    }


def _random_part(fit: Any, term: RandomTerm) -> Quantities:
    """Standard deviations, correlations and modes; theta where the covariance has a Cholesky factor."""
    covariance, names, group = np.asarray(fit.cov_re), term.names, term.group
    sd = np.sqrt(covariance.diagonal())
    pairs = [(i, j) for j in range(len(names)) for i in range(j + 1, len(names))]
    found: Quantities = {
        "sd": {f"{group}.{name}": value for name, value in zip(names, sd, strict=True)},
        "ranef": {
            f"{group}/{level}/{name}": value
            for level, modes in fit.random_effects.items()
            for name, value in zip(names, np.asarray(modes), strict=True)
        },
    }
    if pairs:
        found["cor"] = {f"{group}.{names[i]}.{names[j]}": covariance[i, j] / (sd[i] * sd[j]) for i, j in pairs}
    if np.linalg.eigvalsh(covariance)[0] > 0:
        lower = np.linalg.cholesky(covariance / fit.scale)
        theta = lower.T[np.triu_indices(len(names))]
        found["theta"] = dict(zip(design.theta_names(group, names), theta, strict=True))
    return found


_FITS: Mapping[str, Callable[[Case], Quantities]] = {
    "lm": _lm, "vcov_hc": _vcov_hc, "vcov_cluster": _vcov_cluster, "anova": _anova, "lmer": _lmer,
}  # fmt: skip

implementation = Statsmodels()
