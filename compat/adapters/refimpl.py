"""refimpl as an implementation: a case's formula and options become refimpl's calls, its attributes quantities.

Nothing is computed here but the information and scores that ml_sandwich is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

import refimpl
from compat.cases import Case
from compat.quantities import of_estimator
from refimpl import formula as model
from refimpl import sandwich

Quantities = dict[str, Any]


class Refimpl:
    """The adapter; `implementation` is the one that the entry point names."""

    name = "refimpl"
    version = version("rcompat")
    parallel = True

    @property
    def capabilities(self) -> Set[str]:
        """The estimators it has."""
        return frozenset(_FITS)

    def fit(self, case: Case) -> Mapping[str, Any]:
        """Fit a case; refimpl's own errors, which carry their kind, pass through."""
        return _FITS[case.estimator](case)


def _given(case: Case, *names: str) -> Quantities:
    """The options that refimpl takes by the same name."""
    return {name: case.options[name] for name in names if name in case.options}


def _attributes(fit: Any, estimator: str, leave_out: Set[str] = frozenset()) -> Quantities:
    """The quantities of an estimator that the fit has as attributes."""
    found = {name: getattr(fit, name, None) for name in of_estimator(estimator) if name not in leave_out}
    return {name: value for name, value in found.items() if value is not None}


def _lm(case: Case) -> Quantities:
    fit = refimpl.lm(case.formula, case.data, **_given(case, "weights", "tol"))
    quantities = _attributes(fit, "lm") | _limits(fit, case)
    if (newdata := case.options.get("newdata")) is not None:
        quantities |= _predicted(fit, pd.DataFrame(newdata), case.options["level"])
    return quantities


def _ols(case: Case) -> Quantities:
    fit = refimpl.ols(case.formula, case.data, **_given(case, "weights"))
    return _attributes(fit, "ols") | _limits(fit, case)


def _limits(fit: Any, case: Case) -> Quantities:
    limits = fit.confint(case.options["level"])
    return {"conf_low": limits.iloc[:, 0], "conf_high": limits.iloc[:, 1]}


def _predicted(fit: Any, newdata: pd.DataFrame, level: float) -> Quantities:
    rows = [str(i) for i in range(1, len(newdata) + 1)]
    confidence = fit.predict(newdata, "confidence", level).set_axis(rows, axis=0)
    prediction = fit.predict(newdata, "prediction", level).set_axis(rows, axis=0)
    return {
        "predicted": confidence["fit"],
        "predicted_se": confidence["se"],
        "predicted_conf_low": confidence["low"],
        "predicted_conf_high": confidence["high"],
        "predicted_pred_low": prediction["low"],
        "predicted_pred_high": prediction["high"],
    }


def _robcov(case: Case) -> Quantities:
    fit = refimpl.ols(case.formula, case.data, **_given(case, "weights"))
    cluster = _column_or_values(case.options.get("cluster"))
    return _attributes(refimpl.robcov(fit, cluster, **_given(case, "method")), "robcov")


def _column_or_values(cluster: Any) -> Any:
    """A list in a case holds the clusters themselves; refimpl would take one of texts for names of columns."""
    return pd.Series(cluster) if isinstance(cluster, list) else cluster


def _tested(fit: Any, vcov: pd.DataFrame, case: Case) -> Quantities:
    tested = sandwich.with_vcov(fit, vcov, case.options["test"], case.options.get("df"))
    own = _attributes(tested, case.estimator, leave_out={"df", "n_clusters"})
    # As in R, the table of tests has the coefficients of the matrix: without the aliased ones.
    table = {name: own[name].loc[vcov.index] for name in ("std_error", "statistic", "p_value")}
    return own | table | {"vcov": vcov, "df": tested.df_test}


def _vcov_hc(case: Case) -> Quantities:
    fit = refimpl.lm(case.formula, case.data, **_given(case, "weights"))
    return _tested(fit, refimpl.vcov_hc(fit, case.options["type"]), case)


def _vcov_cluster(case: Case) -> Quantities:
    fit = refimpl.lm(case.formula, case.data, **_given(case, "weights"))
    cluster = [_column_or_values(one) for one in case.options["cluster"]]
    vcov = refimpl.vcov_cluster(fit, cluster, **_given(case, "type", "small_sample", "multi0"))
    codes = sandwich.cluster_columns(fit, cluster)
    counts = {name: len(np.unique(one)) for name, one in codes.items()}
    return _tested(fit, vcov, case) | {"n_clusters": counts}


def _ml_sandwich(case: Case) -> Quantities:
    frame = model.model_frame(model.parse(case.formula), case.data)
    X = pd.DataFrame(model.model_matrix(frame).X, columns=list(case.options["coef"]))
    y, at = frame.response, np.array(list(case.options["coef"].values()))
    if case.options["family"] == "gaussian":
        e = y - X.to_numpy() @ at
        variance = float(e @ e) / len(e)
        information, scores = X.T @ X / variance, X.mul(e / variance, axis=0)
    else:
        mu = 1 / (1 + np.exp(-(X.to_numpy() @ at)))
        information, scores = X.T @ X.mul(mu * (1 - mu), axis=0), X.mul(y - mu, axis=0)
    cluster = case.options.get("cluster")
    groups = None if cluster is None else case.data.loc[frame.row_labels, cluster].to_numpy()
    vcov = refimpl.ml_sandwich(information, scores, groups)
    return {"vcov": vcov, "std_error": pd.Series(np.sqrt(np.diag(vcov)), index=vcov.index)}


def _anova(case: Case) -> Quantities:
    fits = [refimpl.lm(text, case.data, **_given(case, "weights")) for text in case.formulas]
    table = refimpl.anova(*fits)
    table = table.set_axis([str(i) for i in range(1, len(fits) + 1)], axis=0)
    return {name: table[name] for name in of_estimator("anova") if name in table}


# -- panels ----------------------------------------------------------------------------------------------------------


def _index(case: Case) -> Any:
    """The index as refimpl takes it: a pair of columns, one column, or a number of individuals."""
    given = case.options["index"]
    return given if isinstance(given, int) else given[0] if len(given) == 1 else tuple(given)


def panel_fit(case: Case, **changes: Any) -> Any:
    """The panel model of a case; `changes` are options that are not the case's."""
    names = ("model", "effect", "random_method", "random_models", "random_dfcor", "weights")
    return refimpl.plm(case.formula, case.data, _index(case), **(_given(case, *names) | changes))


def _panel_attributes(fit: Any, estimator: str) -> Quantities:
    """A panel model has either an F test or a chi-squared, and neither without slopes.

    Refused where its summary is: R's worker summarises every fit.
    """
    fit.summary()
    found = _attributes(fit, estimator, leave_out={"df", "fixef", "within_intercept", "ranef", "predicted"})
    tests = ("f_", "wald_")
    return {name: v for name, v in found.items() if not (name.startswith(tests) and np.isnan(v))} | {"df": fit.df_test}


def _plm(case: Case) -> Quantities:
    fit = panel_fit(case)
    limits = fit.confint(case.options["level"])
    found = _panel_attributes(fit, "plm") | _effects(fit, case)
    found |= {"conf_low": limits["low"], "conf_high": limits["high"]}
    if fit.model != "random":
        found.pop("wald_df", None)
    if (newdata := case.options.get("newdata")) is not None:
        new = pd.DataFrame(newdata)
        new.index = [str(i) for i in range(1, len(new) + 1)]
        found["predicted"] = refimpl.panel.predict(fit, new, case.options["na_fill"])
    return found


def _effects(fit: Any, case: Case) -> Quantities:
    """Fixed or random effects."""
    both = fit.effect == "twoways"
    if fit.model == "random":
        found = {"ranef": refimpl.ranef(fit)}
        return found | {"ranef_time": refimpl.ranef(fit, "time")} if both else found
    if fit.model != "within" or "weights" in case.options:
        return {}
    table, overall = refimpl.fixef(fit), refimpl.within_intercept(fit)
    effects: Quantities = {
        "fixef": table["estimate"],
        "fixef_dfirst": refimpl.fixef(fit, type="dfirst")["estimate"],
        "fixef_dmean": refimpl.fixef(fit, type="dmean")["estimate"],
        "within_intercept": overall[0],
        "within_intercept_se": overall[1],
    }
    other = {"fixef_time": refimpl.fixef(fit, "time")["estimate"]} if both else {"fixef_se": table["std_error"]}
    return effects | other


_PANEL_COVARIANCES: Mapping[str, tuple[Callable[..., pd.DataFrame], tuple[str, ...]]] = {
    "HC": (refimpl.plm_vcov_hc, ("type", "method", "cluster")),
    "BK": (refimpl.plm_vcov_bk, ("type", "cluster", "diagonal")),
    "NW": (refimpl.plm_vcov_nw, ("type", "maxlag")),
    "SCC": (refimpl.plm_vcov_scc, ("type", "maxlag", "inner")),
    "DC": (refimpl.plm_vcov_dc, ("type",)),
}


def _plm_vcov(case: Case) -> Quantities:
    fit = panel_fit(case)
    estimate, options = _PANEL_COVARIANCES[case.options["vcov"]]
    found = _panel_attributes(fit.with_vcov(estimate(fit, **_given(case, *options))), "plm_vcov")
    if fit.model != "random":
        found.pop("wald_df", None)
    return found


def _plm_test(case: Case) -> Quantities:
    test = _PANEL_TESTS[case.options["test"]](case)
    parameter = {"parameter": pd.Series(test.parameters, dtype=float)} if test.parameters else {}
    p_value = {} if np.isnan(test.p_value) else {"p_value": test.p_value}
    return {"statistic": test.statistic} | p_value | parameter


def _hausman(case: Case) -> Any:
    if case.options.get("method") == "aux":
        vcov = refimpl.plm_vcov_hc if case.options["robust"] else None
        return refimpl.phtest_aux(case.formula, case.data, _index(case), case.options["effect"], vcov)
    models = case.options.get("models", ["within", "random"])
    return refimpl.phtest(*(panel_fit(case, model=one) for one in models))


def _dependence(case: Case) -> Any:
    options = {"test": case.options["type"]} if "type" in case.options else {}
    if "model" in case.options:
        return refimpl.pcdtest(panel_fit(case), **options)
    return refimpl.pcdtest_heterogeneous(case.formula, case.data, _index(case), **options)


_PANEL_TESTS: Mapping[str, Callable[[Case], Any]] = {
    "pFtest": lambda case: refimpl.pFtest(panel_fit(case, model="within"), panel_fit(case, model="pooling")),
    "phtest": _hausman,
    "plmtest": lambda case: refimpl.plmtest(
        panel_fit(case, model="pooling", effect="individual"), **_given(case, "effect", "type")
    ),
    "pbgtest": lambda case: refimpl.pbgtest(panel_fit(case), **_given(case, "order", "type")),
    "pwartest": lambda case: refimpl.pwartest(panel_fit(case, model="within"), **_given(case, "type")),
    "pcdtest": _dependence,
}


def _lmer(case: Case) -> Quantities:
    fit = refimpl.lmer(case.formula, case.data, **_given(case, "REML", "weights", "offset", "start"))
    own = _attributes(fit, "lmer", leave_out={"objective", "theta", "ranef", "ranef_condvar", "coef_by_group"})
    quantities = own | _limits(fit, case) | {"objective": fit.criterion, "is_singular": float(fit.is_singular)}
    quantities["theta"] = pd.Series(fit.theta, index=fit.theta_names)
    quantities["ranef"] = _by_level(fit.ranef)
    quantities["ranef_condvar"] = _lower_triangles(fit)
    quantities["coef_by_group"] = _by_level(fit.coef_by_group)
    if (thetas := case.options.get("theta_at")) is not None:
        quantities["objective_at"] = {str(i): fit.objective(theta) for i, theta in enumerate(thetas, 1)}
    if (newdata := case.options.get("newdata")) is not None:
        rows = pd.DataFrame(newdata, index=[str(i) for i in range(1, len(next(iter(newdata.values()))) + 1)])
        quantities["predicted"] = fit.predict(rows, **_given(case, "allow_new_levels"))
        quantities["predicted_fixed"] = fit.predict(rows, re_form="none")
    return quantities


def _by_level(tables: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    """group/level/column -> value."""
    return {
        f"{group}/{level}/{column}": value
        for group, table in tables.items()
        for level, row in zip(table.index, table.to_numpy(), strict=True)
        for column, value in zip(table.columns, row.tolist(), strict=True)
    }


def _lower_triangles(fit: refimpl.MixedFit) -> dict[str, float]:
    """term/level/row/column -> conditional covariance, of the lower triangles column by column."""
    return {
        f"{name}/{level}/{random.names[i]}/{random.names[j]}": float(C[i, j])
        for name, random in zip(fit.term_names, fit.random, strict=True)
        for level, C in zip(random.levels, fit.ranef_condvar[name], strict=True)
        for j in range(len(C))
        for i in range(j, len(C))
    }


def _lmer_anova(case: Case) -> Quantities:
    texts, REML = case.formulas, case.options["REML"]
    each = REML if isinstance(REML, list) else [REML] * len(texts)
    weights = _given(case, "weights")
    fits = [
        refimpl.lmer(text, case.data, REML=flag, **weights) if model.has_bars(model.parse(text)) else
        refimpl.lm(text, case.data, **weights)
        for text, flag in zip(texts, each, strict=True)
    ]  # fmt: skip
    table = refimpl.anova(*fits, refit=case.options["refit"])
    return {name: table[name] for name in of_estimator("lmer_anova")}


_FITS: Mapping[str, Callable[[Case], Quantities]] = {
    "lm": _lm,
    "ols": _ols,
    "robcov": _robcov,
    "vcov_hc": _vcov_hc,
    "vcov_cluster": _vcov_cluster,
    "ml_sandwich": _ml_sandwich,
    "anova": _anova,
    "plm": _plm,
    "plm_vcov": _plm_vcov,
    "plm_test": _plm_test,
    "lmer": _lmer,
    "lmer_anova": _lmer_anova,
}

implementation = Refimpl()
