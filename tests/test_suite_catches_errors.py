"""Deliberately wrong implementations: each does one thing wrong and is caught in that quantity, and in no other.

A mistake is a small change of what refimpl answers; what follows from the wrong number is left as it was, unless the
mistake is to take one estimator for another. The cases and what R answered for them are the frozen ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from compat.adapters.refimpl import implementation as refimpl
from compat.cases import Case, load_cases
from compat.check import Result, ask, frozen, judge
from compat.compare import Verdict
from compat.expected import DEFAULT_STACK
from compat.implementations import Refused
from compat.quantities import QUANTITIES
from refimpl import lm
from refimpl.distributions import t_quantile, two_sided_t, upper_chi2, upper_f
from refimpl.formula import model_frame, model_matrix, parse
from tests import mixed_mistakes
from tests.mistakes import COEFFICIENT_TABLE, LIMITS, MISTAKES, Quantities, Wrong, mistake, scaled, with_options

# -- degrees of freedom ----------------------------------------------------------------------------------------------


@mistake("lm-mtcars lm-weights lm-aliased-middle ols-mtcars", "sigma")
def sigma_divides_by_n(case: Case, q: Quantities) -> Quantities:
    q["sigma"] = np.sqrt(q["deviance"] / q["nobs"])
    return q


@mistake("lm-mtcars lm-weights lm-factor ols-mtcars", "adj_r_squared")
def adjusted_r_squared_by_n(case: Case, q: Quantities) -> Quantities:
    q["adj_r_squared"] = 1 - (1 - q["r_squared"]) * q["nobs"] / q["df_residual"]
    return q


@mistake("lm-mtcars lm-weights lm-no-intercept ols-mtcars", "aic")
def aic_does_not_count_sigma(case: Case, q: Quantities) -> Quantities:
    q["aic"] = -2 * q["loglik"] + 2 * q["rank"]
    return q


@mistake("lm-mtcars lm-weights ols-mtcars", "bic")
def bic_by_the_residual_degrees_of_freedom(case: Case, q: Quantities) -> Quantities:
    q["bic"] = -2 * q["loglik"] + np.log(q["df_residual"]) * (q["rank"] + 1)
    return q


@mistake("lm-mtcars lm-weights lm-no-intercept", "f_statistic")
def f_counts_sigma(case: Case, q: Quantities) -> Quantities:
    q["f_statistic"] = q["f_statistic"] * q["f_numdf"] / (q["f_numdf"] + 1)
    return q


@mistake("lm-mtcars lm-factor", "f_numdf")
def f_counts_the_intercept(case: Case, q: Quantities) -> Quantities:
    q["f_numdf"] = q["f_numdf"] + 1
    return q


@mistake("lm-mtcars lm-factor", "f_dendf")
def f_has_all_rows_below(case: Case, q: Quantities) -> Quantities:
    q["f_dendf"] = float(q["nobs"] - 1)
    return q


@mistake("lm-mtcars lm-tails lm-no-intercept", "f_p_value")
def f_test_is_two_sided(case: Case, q: Quantities) -> Quantities:
    q["f_p_value"] = 2 * q["f_p_value"]
    return q


@mistake("lm-aliased-middle lm-aliased-two", "rank df_residual")
def aliased_columns_are_counted(case: Case, q: Quantities) -> Quantities:
    p = len(q["coef"])
    return q | {"rank": p, "df_residual": q["nobs"] - p}


@mistake("lm-weights-zeros lm-weights-zeros-factor", "nobs")
def rows_of_no_weight_are_observations(case: Case, q: Quantities) -> Quantities:
    q["nobs"] = len(q["fitted"])
    return q


@mistake("lm-weights-zeros lm-weights-zeros-factor", "df_residual")
def rows_of_no_weight_are_degrees_of_freedom(case: Case, q: Quantities) -> Quantities:
    q["df_residual"] = len(q["fitted"]) - q["rank"]
    return q


@mistake("lm-missing-response lm-missing-everywhere", "n_dropped")
def rows_dropped_are_not_counted(case: Case, q: Quantities) -> Quantities:
    q["n_dropped"] = 0
    return q


@mistake("vcov-cluster-cr1 vcov-cluster-sandwich-cr1s", "df")
def clusters_are_the_degrees_of_freedom(case: Case, q: Quantities) -> Quantities:
    q["df"] = float(min(q["n_clusters"].values()) - 1)
    return q


@mistake("robcov-string-clusters robcov-integer-clusters vcov-cluster-cr1", "n_clusters")
def clusters_of_one_row_do_not_count(case: Case, q: Quantities) -> Quantities:
    cluster = case.options["cluster"]
    name = cluster if isinstance(cluster, str) else cluster[0]
    several = int((case.data[name].value_counts() > 1).sum())
    q["n_clusters"] = several if isinstance(cluster, str) else {name: several}
    return q


# -- tails and limits ------------------------------------------------------------------------------------------------


@mistake("lm-mtcars lm-one-degree-of-freedom lm-tails robcov-huber vcov-hc-stackloss-hc3", "p_value")
def z_for_t(case: Case, q: Quantities) -> Quantities:
    q["p_value"] = pd.Series(two_sided_t(q["statistic"], np.inf), index=q["statistic"].index)
    return q


@mistake("vcov-hc-normal vcov-cluster-normal", "p_value")
def t_for_z(case: Case, q: Quantities) -> Quantities:
    df = q["nobs"] - len(q["coef"])
    q["p_value"] = pd.Series(two_sided_t(q["statistic"], df), index=q["statistic"].index)
    return q


@mistake("lm-mtcars robcov-huber vcov-cluster-cr1 anova-mtcars-four", "p_value")
def p_value_is_one_sided(case: Case, q: Quantities) -> Quantities:
    q["p_value"] = q["p_value"] / 2
    return q


@mistake("lm-tails", "p_value")
def p_value_is_one_less_the_other_tail(case: Case, q: Quantities) -> Quantities:
    q["p_value"] = 1 - (1 - q["p_value"])
    return q


@mistake("lm-mtcars lm-one-degree-of-freedom ols-mtcars", LIMITS)
def limits_by_the_normal(case: Case, q: Quantities) -> Quantities:
    half = t_quantile(0.975, np.inf) * q["std_error"]
    return q | {"conf_low": q["coef"] - half, "conf_high": q["coef"] + half}


@mistake("lm-mtcars lm-weights ols-mtcars", LIMITS)
def limits_at_90_percent(case: Case, q: Quantities) -> Quantities:
    other = with_options(case, level=0.90)
    return q | {name: other[name] for name in LIMITS}


@mistake("lm-mtcars-level-90", LIMITS)
def the_level_is_overlooked(case: Case, q: Quantities) -> Quantities:
    other = with_options(case, level=0.95)
    return q | {name: other[name] for name in LIMITS}


@mistake("ols-mtcars ols-factor", "lr_p_value")
def likelihood_ratio_by_one_degree_of_freedom_too_many(case: Case, q: Quantities) -> Quantities:
    q["lr_p_value"] = float(upper_chi2(q["lr_chi2"], q["lr_df"] + 1))
    return q


# -- one sandwich for another ----------------------------------------------------------------------------------------


@mistake("vcov-cluster-cr1 vcov-cluster-two-clusters-cr1s vcov-cluster-weights-cr1s", COEFFICIENT_TABLE)
def no_factor_for_the_number_of_clusters(case: Case, q: Quantities) -> Quantities:
    (G,) = q["n_clusters"].values()
    return scaled(q, (G - 1) / G)


@mistake("robcov-string-clusters robcov-singletons robcov-clones-16-clustered", COEFFICIENT_TABLE)
def robcov_with_a_factor_for_the_number_of_clusters(case: Case, q: Quantities) -> Quantities:
    return scaled(q, q["n_clusters"] / (q["n_clusters"] - 1))


@mistake("vcov-hc-stackloss-hc0 vcov-hc-weights-hc0", COEFFICIENT_TABLE)
def hc1_for_hc0(case: Case, q: Quantities) -> Mapping[str, Any]:
    return with_options(case, type="HC1")


@mistake("vcov-hc-stackloss-hc3 vcov-hc-weights-hc3 vcov-hc-aliased-hc3", COEFFICIENT_TABLE)
def hc2_for_hc3(case: Case, q: Quantities) -> Mapping[str, Any]:
    return with_options(case, type="HC2")


@mistake("vcov-hc-stackloss-hc4m", COEFFICIENT_TABLE)
def hc4_for_hc4m(case: Case, q: Quantities) -> Mapping[str, Any]:
    return with_options(case, type="HC4")


@mistake("vcov-cluster-cr1 vcov-cluster-sandwich-cr1", COEFFICIENT_TABLE)
def cr1s_for_cr1(case: Case, q: Quantities) -> Mapping[str, Any]:
    return with_options(case, type="CR1S")


@mistake("vcov-cluster-cr2 vcov-cluster-grunfeld-cr2", COEFFICIENT_TABLE)
def cr3_for_cr2(case: Case, q: Quantities) -> Mapping[str, Any]:
    return with_options(case, type="CR3")


@mistake("vcov-cluster-two-way-cr1-multi0 vcov-cluster-two-way-cr1s", COEFFICIENT_TABLE)
def multi0_is_swapped(case: Case, q: Quantities) -> Mapping[str, Any]:
    return with_options(case, multi0=not case.options["multi0"])


@mistake("vcov-cluster-two-way-cr1s-min vcov-cluster-two-way-cr1-min", COEFFICIENT_TABLE)
def each_clustering_by_its_own_factor(case: Case, q: Quantities) -> Mapping[str, Any]:
    return with_options(case, small_sample="component")


@mistake("vcov-cluster-two-way-cr0 vcov-cluster-two-way-grunfeld", COEFFICIENT_TABLE | {"n_clusters"})
def the_second_clustering_is_overlooked(case: Case, q: Quantities) -> Mapping[str, Any]:
    other = dict(with_options(case, cluster=case.options["cluster"][:1]))
    return other | {"n_clusters": {**other["n_clusters"], case.options["cluster"][1]: 1}}


@mistake("robcov-efron robcov-stackloss-efron robcov-efron-clusters", COEFFICIENT_TABLE)
def huber_for_efron(case: Case, q: Quantities) -> Mapping[str, Any]:
    return with_options(case, method="huber")


@mistake("robcov-string-clusters robcov-integer-clusters", COEFFICIENT_TABLE | {"n_clusters"})
def clusters_are_taken_to_come_sorted(case: Case, q: Quantities) -> Mapping[str, Any]:
    label = case.data[case.options["cluster"]]
    runs = (label != label.shift()).cumsum()
    return refimpl.fit(case.with_data(case.data.assign(**{case.options["cluster"]: runs})))


@mistake("ml-sandwich-binomial-mtcars ml-sandwich-gaussian-clones", "vcov std_error")
def information_alone(case: Case, q: Quantities) -> Quantities:
    frame = model_frame(parse(case.formula), case.data)
    X, at = model_matrix(frame).X, np.array(list(case.options["coef"].values()))
    mu = 1 / (1 + np.exp(-X @ at))
    e = frame.response - X @ at
    weight = mu * (1 - mu) if case.options["family"] == "binomial" else np.full(len(e), len(e) / (e @ e))
    vcov = np.linalg.inv((X * weight[:, None]).T @ X)
    names = list(case.options["coef"])
    return {
        "vcov": pd.DataFrame(vcov, index=names, columns=names),
        "std_error": pd.Series(np.sqrt(np.diag(vcov)), index=names),
    }


# -- names and places ------------------------------------------------------------------------------------------------


@mistake("lm-mtcars lm-factor robcov-huber", "coef")
def two_names_are_swapped(case: Case, q: Quantities) -> Quantities:
    values = q["coef"].to_numpy().copy()
    values[[0, 1]] = values[[1, 0]]
    q["coef"] = pd.Series(values, index=q["coef"].index)
    return q


@mistake("lm-mtcars lm-factor robcov-huber vcov-cluster-cr1", "std_error", Verdict.STRUCTURE)
def the_order_of_names_is_another(case: Case, q: Quantities) -> Quantities:
    q["std_error"] = q["std_error"].iloc[::-1]
    return q


@mistake("lm-mtcars lm-weights vcov-hc-stackloss-hc0", "vcov")
def the_columns_of_vcov_are_labelled_backwards(case: Case, q: Quantities) -> Quantities:
    names = list(q["vcov"].columns)
    q["vcov"] = q["vcov"].set_axis(names[::-1], axis=1)[names]
    return q


@mistake("lm-mtcars ols-mtcars", "vcov", Verdict.STRUCTURE)
def vcov_is_a_vector(case: Case, q: Quantities) -> Quantities:
    q["vcov"] = pd.Series(np.diag(q["vcov"]), index=q["vcov"].index)
    return q


@mistake("lm-aliased-middle lm-aliased-last lm-underdetermined", "coef", Verdict.STRUCTURE)
def aliased_coefficients_are_left_out(case: Case, q: Quantities) -> Quantities:
    q["coef"] = q["coef"].dropna()
    return q


@mistake("lm-aliased-middle lm-aliased-two", "coef")
def aliased_coefficients_are_zero(case: Case, q: Quantities) -> Quantities:
    q["coef"] = q["coef"].fillna(0.0)
    return q


@mistake("lm-aliased-middle lm-aliased-two", "aliased")
def nothing_is_aliased(case: Case, q: Quantities) -> Quantities:
    q["aliased"] = q["aliased"] & False
    return q


@mistake("lm-aliased-sum-first", COEFFICIENT_TABLE | LIMITS | {"coef", "aliased"})
def the_first_of_dependent_columns_is_aliased(case: Case, q: Quantities) -> Quantities:
    names = list(q["coef"].index)
    backwards = lm(f"y ~ {' + '.join(names[:0:-1])}", case.data)
    moved = {name: getattr(backwards, name)[names] for name in ("coef", "aliased", "std_error", "statistic", "p_value")}
    limits = {name: getattr(backwards, name)[names] for name in LIMITS}
    return q | moved | limits | {"vcov": backwards.vcov.loc[names, names]}


@mistake("lm-missing-response lm-missing-everywhere", "fitted", Verdict.STRUCTURE, Verdict.UNEXPLAINED)
def rows_are_numbered_anew(case: Case, q: Quantities) -> Quantities:
    q["fitted"] = q["fitted"].set_axis([str(i) for i in range(1, len(q["fitted"]) + 1)])
    return q


@mistake("lm-mtcars lm-weights", "residuals", Verdict.STRUCTURE)
def residuals_have_no_labels(case: Case, q: Quantities) -> Quantities:
    q["residuals"] = q["residuals"].to_numpy()
    return q


@mistake("lm-factor lm-string-factor", "coef", Verdict.STRUCTURE)
def levels_are_named_in_another_way(case: Case, q: Quantities) -> Quantities:
    q["coef"] = q["coef"].rename(lambda name: name if name.startswith("(") else f"T.{name}")
    return q


# -- rows ------------------------------------------------------------------------------------------------------------


@mistake("lm-mtcars lm-weights ols-mtcars", "residuals")
def one_residual_has_the_other_sign(case: Case, q: Quantities) -> Quantities:
    q["residuals"] = q["residuals"] * np.where(np.arange(len(q["residuals"])) == 5, -1, 1)
    return q


@mistake("lm-weights", "residuals")
def residuals_are_weighted(case: Case, q: Quantities) -> Quantities:
    q["residuals"] = q["residuals"] * np.sqrt(case.data[case.options["weights"]].to_numpy())
    return q


@mistake("lm-offset lm-offset-weights lm-offset-no-intercept", "fitted")
def fitted_without_the_offset(case: Case, q: Quantities) -> Quantities:
    q["fitted"] = q["fitted"] - case.data["o"]
    return q


@mistake("lm-weights", "hatvalues")
def leverage_without_the_weights(case: Case, q: Quantities) -> Quantities:
    q["hatvalues"] = q["hatvalues"] / case.data[case.options["weights"]].to_numpy()
    return q


@mistake("lm-mtcars lm-stackloss ols-mtcars", "residual_quantiles")
def quantiles_of_type_6(case: Case, q: Quantities) -> Quantities:
    probabilities = [0, 0.25, 0.5, 0.75, 1]
    found = np.quantile(q["residuals"], probabilities, method="weibull")
    q["residual_quantiles"] = pd.Series(found, index=q["residual_quantiles"].index)
    return q


@mistake("lm-predict", "predicted_pred_low predicted_pred_high")
def a_new_observation_varies_no_more_than_the_mean(case: Case, q: Quantities) -> Quantities:
    return q | {f"predicted_pred_{side}": q[f"predicted_conf_{side}"] for side in ("low", "high")}


@mistake("lm-predict", "predicted_se predicted_conf_low predicted_conf_high")
def the_mean_varies_as_much_as_a_new_observation(case: Case, q: Quantities) -> Quantities:
    wider = {f"predicted_conf_{side}": q[f"predicted_pred_{side}"] for side in ("low", "high")}
    return q | wider | {"predicted_se": np.sqrt(q["predicted_se"] ** 2 + q["sigma"] ** 2)}


@mistake("lm-predict-offset", "predicted")
def predictions_without_the_offset(case: Case, q: Quantities) -> Quantities:
    q["predicted"] = q["predicted"] - np.array(case.options["newdata"]["o"])
    return q


# -- sums of squares -------------------------------------------------------------------------------------------------


@mistake("lm-no-intercept lm-no-intercept-minus-one", "r_squared")
def r_squared_about_the_mean_without_intercept(case: Case, q: Quantities) -> Quantities:
    y = q["fitted"] + q["residuals"]
    q["r_squared"] = 1 - q["deviance"] / float(((y - y.mean()) ** 2).sum())
    return q


@mistake("lm-weights lm-offset-weights", "deviance")
def deviance_without_the_weights(case: Case, q: Quantities) -> Quantities:
    q["deviance"] = float((q["residuals"] ** 2).sum())
    return q


@mistake("lm-weights lm-offset-weights", "loglik")
def log_likelihood_without_the_weights(case: Case, q: Quantities) -> Quantities:
    weights = case.data[case.options["weights"]].to_numpy()
    q["loglik"] = q["loglik"] - 0.5 * np.log(weights).sum()
    return q


@mistake("ols-mtcars ols-factor", "lr_chi2")
def likelihood_ratio_by_the_residual_degrees_of_freedom(case: Case, q: Quantities) -> Quantities:
    q["lr_chi2"] = q["lr_chi2"] * q["df_residual"] / q["nobs"]
    return q


@mistake("ols-mtcars ols-factor", "lr_df")
def likelihood_ratio_counts_the_intercept(case: Case, q: Quantities) -> Quantities:
    q["lr_df"] = q["lr_df"] + 1
    return q


@mistake("ols-mtcars ols-factor", "g_index")
def mean_difference_with_itself(case: Case, q: Quantities) -> Quantities:
    q["g_index"] = q["g_index"] * (q["nobs"] - 1) / q["nobs"]
    return q


@mistake("anova-mtcars-four anova-weights", "f_statistic")
def each_model_by_its_own_variance(case: Case, q: Quantities) -> Quantities:
    q["f_statistic"] = q["sum_sq"] / q["df"] / (q["rss"] / q["df_residual"])
    return q


@mistake("anova-mtcars-four anova-weights", "sum_sq df")
def each_model_against_the_first(case: Case, q: Quantities) -> Quantities:
    first = {name: q[name].iloc[0] - q[name] for name in ("rss", "df_residual")}
    kept = np.arange(len(q["rss"])) > 0
    return q | {"sum_sq": first["rss"].where(kept), "df": first["df_residual"].where(kept)}


@mistake("anova-mtcars-four anova-weights", "rss")
def mean_squares_for_sums(case: Case, q: Quantities) -> Quantities:
    q["rss"] = q["rss"] / q["df_residual"]
    return q


# -- digits ----------------------------------------------------------------------------------------------------------


@mistake("lm-mtcars lm-nist-norris robcov-clones", "coef")
def coefficients_in_single_precision(case: Case, q: Quantities) -> Quantities:
    q["coef"] = q["coef"].astype(np.float32).astype(np.float64)
    return q


@mistake("lm-mtcars lm-tails robcov-clones vcov-hc-stackloss-hc0", "statistic")
def statistic_as_it_is_printed(case: Case, q: Quantities) -> Quantities:
    q["statistic"] = q["statistic"].round(3)
    return q


@mistake("lm-mtcars lm-weights robcov-clones", "std_error")
def standard_errors_to_nine_digits(case: Case, q: Quantities) -> Quantities:
    q["std_error"] = q["std_error"] * (1 + 1e-9)
    return q


# -- panels ----------------------------------------------------------------------------------------------------------

WITHIN = "plm-grunfeld-within plm-grunfeld-gaps-within"


@mistake(WITHIN, "tss")
def total_is_about_zero_of_levels(case: Case, q: Quantities) -> Quantities:
    y = case.data["inv"]
    q["tss"] = float(((y - y.mean()) ** 2).sum())
    return q


@mistake(WITHIN, "rss")
def rss_is_per_degree_of_freedom(case: Case, q: Quantities) -> Quantities:
    q["rss"] = q["rss"] / q["df_residual"]
    return q


@mistake(WITHIN, "sigma")
def sigma_remembers_the_effects(case: Case, q: Quantities) -> Quantities:
    q["sigma"] = np.sqrt(q["rss"] / q["df_residual"])
    return q


@mistake(WITHIN, "adj_r_squared")
def adjusted_as_plm_once_did(case: Case, q: Quantities) -> Quantities:
    q["adj_r_squared"] = q["r_squared"] * q["df_residual"] / q["nobs"]
    return q


@mistake(WITHIN, LIMITS)
def panel_limits_by_t(case: Case, q: Quantities) -> Quantities:
    half = t_quantile(0.975, q["df_residual"]) * q["std_error"]
    return q | {"conf_low": q["coef"] - half, "conf_high": q["coef"] + half}


@mistake(WITHIN, COEFFICIENT_TABLE | LIMITS)
def effects_take_no_degrees_of_freedom(case: Case, q: Quantities) -> Quantities:
    q = scaled(q, q["df_residual"] / (q["nobs"] - q["rank"]))
    half = t_quantile(0.975, np.inf) * q["std_error"]
    q |= {"conf_low": q["coef"] - half, "conf_high": q["coef"] + half}
    q["p_value"] = pd.Series(two_sided_t(q["statistic"], q["df_residual"]), index=q["coef"].index)
    return q


@mistake(WITHIN, "fixef")
def effects_are_about_their_mean(case: Case, q: Quantities) -> Quantities:
    q["fixef"] = q["fixef_dmean"]
    return q


@mistake(WITHIN, "fixef_se")
def effects_are_means_only(case: Case, q: Quantities) -> Quantities:
    rows = case.data["firm"].value_counts(sort=False).set_axis(q["fixef"].index)
    return q | {"fixef_se": np.sqrt(q["rss"] / q["df_residual"] / rows)}


@mistake(WITHIN, "fixef_dfirst")
def effects_less_the_last(case: Case, q: Quantities) -> Quantities:
    q["fixef_dfirst"] = q["fixef"].iloc[1:] - q["fixef"].iloc[-1]
    return q


@mistake("plm-grunfeld-gaps-within", "fixef_dmean within_intercept")
def mean_effect_is_unweighted(case: Case, q: Quantities) -> Quantities:
    q["within_intercept"] = float(q["fixef"].mean())
    q["fixef_dmean"] = q["fixef"] - q["fixef"].mean()
    return q


@mistake(WITHIN, "within_intercept_se")
def overall_intercept_is_a_mean(case: Case, q: Quantities) -> Quantities:
    q["within_intercept_se"] = np.sqrt(q["rss"] / q["df_residual"] / q["nobs"])
    return q


@mistake("plm-grunfeld-within-twoways", "fixef_time")
def years_are_about_the_first(case: Case, q: Quantities) -> Quantities:
    q["fixef_time"] = q["fixef_time"] - q["fixef_time"].iloc[0]
    return q


@mistake("plm-hiv-within plm-grunfeld-gaps-within", "n_individuals n_times")
def sizes_are_swapped(case: Case, q: Quantities) -> Quantities:
    return q | {"n_individuals": q["n_times"], "n_times": q["n_individuals"]}


RANDOM = "plm-grunfeld-random-swar plm-grunfeld-gaps-random-amemiya"


@mistake(RANDOM, "ercomp")
def components_are_standard_deviations(case: Case, q: Quantities) -> Quantities:
    q["ercomp"] = np.sqrt(q["ercomp"])
    return q


@mistake(RANDOM, "theta_quasi_demeaning")
def theta_is_the_share_that_stays(case: Case, q: Quantities) -> Quantities:
    q["theta_quasi_demeaning"] = 1 - q["theta_quasi_demeaning"]
    return q


@mistake(RANDOM, "ranef")
def effects_are_not_shrunk(case: Case, q: Quantities) -> Quantities:
    s2, rows = q["ercomp"], case.data["firm"].value_counts(sort=False).to_numpy()
    q["ranef"] = q["ranef"] * (1 + s2["idios"] / (rows * s2["id"]))
    return q


@mistake("plm-cigar-random-twoways", "ranef_time")
def times_are_shrunk_as_individuals(case: Case, q: Quantities) -> Quantities:
    q["ranef_time"] = q["ranef_time"] * 0.9
    return q


@mistake(RANDOM, "wald_chi2 wald_p_value")
def wald_is_an_f(case: Case, q: Quantities) -> Quantities:
    q["wald_chi2"] = q["wald_chi2"] / q["wald_df"]
    q["wald_p_value"] = float(upper_chi2(q["wald_chi2"], q["wald_df"]))
    return q


@mistake(RANDOM, "wald_df")
def wald_counts_the_intercept(case: Case, q: Quantities) -> Quantities:
    q["wald_df"] = q["wald_df"] + 1
    return q


@mistake("plm-vcov-grunfeld-arellano-hc0 plm-vcov-gaps-random-arellano-hc3", COEFFICIENT_TABLE)
def a_clustered_covariance_is_stretched(case: Case, q: Quantities) -> Quantities:
    groups = case.data["firm"].nunique()
    return scaled(q, groups / (groups - 1))


@mistake("plm-test-pftest-individual plm-test-pwartest", "parameter p_value")
def f_test_takes_all_rows(case: Case, q: Quantities) -> Quantities:
    q["parameter"] = q["parameter"].replace(q["parameter"]["df2"], float(len(case.data)))
    q["p_value"] = float(upper_f(q["statistic"], q["parameter"]["df1"], q["parameter"]["df2"]))
    return q


@mistake("plm-test-plmtest-individual-honda", "p_value")
def a_one_sided_test_is_two_sided(case: Case, q: Quantities) -> Quantities:
    q["p_value"] = 2 * q["p_value"]
    return q


# -- refusals --------------------------------------------------------------------------------------------------------


@mistake("lm-mtcars robcov-huber", "error", Verdict.ERROR)
def what_r_answers_is_refused(case: Case, q: Quantities) -> Quantities:
    raise Refused("bad-option", "not today")


class Lenient(Wrong):
    """Answers where refimpl refuses."""

    def fit(self, case: Case) -> Mapping[str, Any]:
        return {"coef": {"(Intercept)": 0.0}}


class Vague(Wrong):
    """Refuses with one and the same kind, whatever the reason."""

    def fit(self, case: Case) -> Mapping[str, Any]:
        raise Refused("bad-option", "something is wrong")


REFUSED = "lm-error-unknown-column lm-error-no-rows-response robcov-error-cluster-short lm-error-infinite-response"

# -- the tests -------------------------------------------------------------------------------------------------------

CASES = {case.id: case for case in load_cases()}


def compared(implementation: Any, case: str) -> Result:
    """The comparison with R's frozen answer, as `rcompat check` makes it."""
    reference = frozen(CASES[case], DEFAULT_STACK)
    found = ask(implementation, CASES[case])
    return judge(CASES[case], implementation, found, reference, source="frozen", stack=DEFAULT_STACK)


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_caught_where_it_is_and_nowhere_else(name: str) -> None:
    wrong = MISTAKES[name]
    assert wrong.cases
    for case in wrong.cases:
        result = compared(Wrong(wrong.name, wrong.spoil), case)
        assert {row.cell.quantity for row in result.bad} == wrong.caught, case
        assert {row.verdict for row in result.bad} == wrong.verdicts, case
        right = [row for row in result.rows if not row.bad]
        assert {row.verdict for row in right} <= {Verdict.MATCH}, case
        assert result.verdict in wrong.verdicts


@pytest.mark.parametrize("case", sorted({case for wrong in MISTAKES.values() for case in wrong.cases}))
def test_without_a_mistake_the_same_case_matches(case: str) -> None:
    result = compared(refimpl, case)
    assert result.bad == []
    assert {row.verdict for row in result.rows} == {Verdict.MATCH}


def test_one_wrong_sign_is_one_bad_cell() -> None:
    result = compared(Wrong("sign", one_residual_has_the_other_sign), "lm-mtcars")
    assert [str(row.cell) for row in result.bad] == ["residuals[6]"]


@pytest.mark.parametrize("case", REFUSED.split())
@pytest.mark.parametrize("kind", [Lenient, Vague])
def test_refusals_are_compared_like_numbers(case: str, kind: type[Wrong]) -> None:
    result = compared(kind(kind.__name__, lambda case, q: q), case)
    assert [(row.cell.quantity, row.verdict) for row in result.bad] == [("error", Verdict.UNEXPLAINED)]
    assert compared(refimpl, case).verdict is Verdict.MATCH


def test_there_are_mistakes_in_every_quantity() -> None:
    caught = frozenset().union(*(wrong.caught for wrong in MISTAKES.values()))
    assert caught - {"error"} == set(QUANTITIES)
    assert len(MISTAKES) >= 20
    assert len(mixed_mistakes.NAMES) >= 30
