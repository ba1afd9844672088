"""pyfixest: feols without and with absorbed effects, and fixest's covariances where R's packages have the same.

It answers by its own habits; options that it does not have are not provided.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
import pyfixest as pf

from compat.adapters import design
from compat.adapters.design import Design
from compat.cases import Case
from compat.implementations import NotProvided

Quantities = dict[str, Any]

ABSORBED = {"individual": "id", "time": "time", "twoways": "id + time"}
UNSCALED = pf.ssc(k_adj=False, G_adj=False)
# sandwich's and clubSandwich's types -> fixest's small-sample factors, of clusters and without
CLUSTER = {"CR0": UNSCALED, "CR1": pf.ssc(k_adj=False, G_adj=True), "CR1S": pf.ssc(k_adj=True, G_adj=True)}
HETERO = {
    "HC0": ("HC1", UNSCALED),
    "HC1": ("HC1", pf.ssc(G_adj=False)),
    "HC2": ("HC2", UNSCALED),
    "HC3": ("HC3", UNSCALED),
}
PANEL = {"HC0": UNSCALED, "sss": pf.ssc(k_adj=True, k_fixef="none", G_adj=True)}


class Pyfixest:
    """The adapter; `implementation` is the one that the entry point names."""

    name = "pyfixest"
    version = version("pyfixest")
    capabilities: Set[str] = frozenset({"lm", "vcov_hc", "vcov_cluster", "plm", "plm_vcov"})
    conventions: Set[str] = frozenset({"t p-values on G - 1 df"})

    def fit(self, case: Case) -> Mapping[str, Any]:
        """Fit a case; what pyfixest raises passes through."""
        return _FITS[case.estimator](case)


def _feols(d: Design, columns: list[str], carried: Mapping[str, Any], effects: str, **options: Any) -> Quantities:
    """feols of the design's columns, under names that no formula language minds; NaN where it drops one."""
    safe = {column: f"x{i}" for i, column in enumerate(columns)}
    data = d.X[columns].rename(columns=safe).assign(y=d.y, **carried).reset_index(drop=True)
    if d.weights is not None:
        data, options = data.assign(w=d.weights.to_numpy()), options | {"weights": "w"}
    right = " + ".join(["0", *safe.values()]) + f" | {effects}" * bool(effects)
    fit = pf.feols(f"y ~ {right}", data, fixef_rm="none", **options)
    names = [column for column in columns if safe[column] in fit._coefnames]
    series = {"coef": fit.coef(), "std_error": fit.se(), "statistic": fit.tstat(), "p_value": fit.pvalue()}
    found: Quantities = {name: pd.Series(np.asarray(value), index=names) for name, value in series.items()}
    found |= {"vcov": pd.DataFrame(fit._vcov, index=names, columns=names), "nobs": fit._N}
    return found | {"residuals": pd.Series(np.asarray(fit.resid()), index=d.y.index)}


def _lm(case: Case) -> Quantities:
    d = design.linear(case)
    found = _feols(d, d.names, {}, "", vcov="iid")
    table = {name: found[name].reindex(d.names) for name in ("coef", "std_error", "statistic", "p_value")}
    return found | table | {"vcov": found["vcov"].reindex(index=d.names, columns=d.names)}


def _robust(case: Case, carried: Mapping[str, Any], vcov: Any, ssc: Any) -> Quantities:
    if case.options["test"] != "t" or case.options.get("df") is not None:
        raise NotProvided("its own degrees of freedom only")
    d = design.linear(case)
    return _feols(d, d.names, carried, "", vcov=vcov, ssc=ssc)


def _vcov_hc(case: Case) -> Quantities:
    if case.options["type"] not in HETERO:
        raise NotProvided(f"no type {case.options['type']}")
    return _robust(case, {}, *HETERO[case.options["type"]])


def _vcov_cluster(case: Case) -> Quantities:
    cluster, kind = case.options["cluster"], case.options["type"]
    if kind not in CLUSTER or len(cluster) > 1 or not isinstance(cluster[0], str):
        raise NotProvided(f"no type {kind} of such clusters")
    codes = pd.factorize(design.linear(case).of_rows(cluster[0], case.data))[0]
    return _robust(case, {"cluster": codes}, {"CRV1": "cluster"}, CLUSTER[kind])


def _panel(case: Case, **options: Any) -> Quantities:
    model, effect = case.options["model"], case.options["effect"]
    if model not in ("within", "pooling") or "weights" in case.options:
        raise NotProvided(f"no {model} model like plm's")
    d, rows = design.panel(case)
    effects = ABSORBED[effect] if model == "within" else ""
    columns = [name for name in d.names if not (effects and name == "(Intercept)")]
    carried = {"id": rows.get_level_values(0), "time": rows.get_level_values(1)}
    return _feols(d, columns, carried, effects, **options)


def _plm(case: Case) -> Quantities:
    return _panel(case, vcov="iid")


def _plm_vcov(case: Case) -> Quantities:
    options = case.options
    if options["vcov"] != "HC" or options.get("method") not in (None, "arellano") or options["type"] not in PANEL:
        raise NotProvided("no such covariance by a factor")
    by = "time" if options.get("cluster") == "time" else "id"
    return _panel(case, vcov={"CRV1": by}, ssc=PANEL[options["type"]])


_FITS: Mapping[str, Callable[[Case], Quantities]] = {
    "lm": _lm, "vcov_hc": _vcov_hc, "vcov_cluster": _vcov_cluster, "plm": _plm, "plm_vcov": _plm_vcov,
}  # fmt: skip

implementation = Pyfixest()
