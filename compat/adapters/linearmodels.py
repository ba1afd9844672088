"""linearmodels: its panel estimators, the classical covariance, and the clustered one where it is plm's by a factor.

It answers by its own habits, which `conventions` names; options that it does not have are not provided.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Any

import linearmodels
import numpy as np
import pandas as pd
from linearmodels.panel import BetweenOLS, PanelOLS, PooledOLS, RandomEffects

from compat.adapters import design
from compat.adapters.design import Design
from compat.cases import Case
from compat.implementations import NotProvided

Quantities = dict[str, Any]

ABSORBED = {"individual": (True, False), "time": (False, True), "twoways": (True, True)}
# plm's type of small-sample factor -> linearmodels' debiased, group_debias
FACTORS = {"HC0": (False, False), "HC1": (True, False), "sss": (True, True)}


class Linearmodels:
    """The adapter; `implementation` is the one that the entry point names."""

    name = "linearmodels"
    version: str = linearmodels.__version__
    capabilities: Set[str] = frozenset({"plm", "plm_vcov"})
    conventions: Set[str] = frozenset(
        {"R2 of sums of squares", "t limits", "t p-values on the residual df", "normal p-values"}
    )

    def fit(self, case: Case) -> Mapping[str, Any]:
        """Fit a case; what linearmodels raises passes through."""
        return _FITS[case.estimator](case)


def _model(case: Case) -> tuple[Design, Any]:
    """The library's model; NotProvided where it has no such one."""
    kind, effect, options = case.options["model"], case.options["effect"], case.options
    if "weights" in options:
        raise NotProvided("its weights are not plm's")
    d, rows = design.panel(case)
    X, y = d.X.set_axis(rows), d.y.set_axis(rows)
    if kind == "pooling":
        return d, PooledOLS(y, X)
    if kind == "within":
        entity, time = ABSORBED[effect]
        return d, PanelOLS(y, X.drop(columns="(Intercept)", errors="ignore"), entity_effects=entity, time_effects=time)
    if kind == "between" and effect == "individual":
        return d, BetweenOLS(y, X)
    if kind == "random" and effect == "individual" and options.get("random_method") in (None, "swar"):
        return d, RandomEffects(y, X)
    raise NotProvided(f"no {kind} model of {effect} effects like plm's")


def _table(fit: Any) -> Quantities:
    return {
        "coef": fit.params,
        "std_error": fit.std_errors,
        "statistic": fit.tstats,
        "p_value": fit.pvalues,
        "vcov": fit.cov,
        "nobs": fit.nobs,
        "df_residual": fit.df_resid,
    }


def _plm(case: Case) -> Quantities:
    d, model = _model(case)
    random = case.options["model"] == "random"
    fit = model.fit(cov_type="unadjusted", debiased=True, **({"small_sample": True} if random else {}))
    limits = fit.conf_int(case.options["level"])
    quantities = _table(fit) | {"conf_low": limits["lower"], "conf_high": limits["upper"]}
    quantities |= {"rss": fit.resid_ss, "r_squared": fit.rsquared}
    if random:
        parts = fit.variance_decomposition
        quantities["ercomp"] = {"idios": parts["Residual"], "id": parts["Effects"]}
    elif case.options["model"] != "between":
        quantities["residuals"] = pd.Series(np.asarray(fit.resids), index=d.y.index)
        quantities |= {"f_statistic": fit.f_statistic.stat, "f_p_value": fit.f_statistic.pval}
    return quantities


def _plm_vcov(case: Case) -> Quantities:
    options = case.options
    if options["vcov"] != "HC" or options.get("method") not in (None, "arellano") or options["type"] not in FACTORS:
        raise NotProvided("no such covariance by a factor")
    _, model = _model(case)
    debiased, group = FACTORS[options["type"]]
    by = "cluster_time" if options.get("cluster") == "time" else "cluster_entity"
    absorbing = {"auto_df": False, "count_effects": False} if options["model"] == "within" else {}
    fit = model.fit(cov_type="clustered", debiased=debiased, group_debias=group, **{by: True}, **absorbing)
    return _table(fit)


_FITS: Mapping[str, Callable[[Case], Quantities]] = {"plm": _plm, "plm_vcov": _plm_vcov}

implementation = Linearmodels()
