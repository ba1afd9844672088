"""Mistakes of implementations of lmer: each is refimpl with one thing wrong, registered with where it is caught."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

import refimpl as mixed
from compat.adapters.refimpl import implementation as refimpl
from compat.cases import Case
from refimpl.distributions import t_quantile, upper_chi2
from tests.mistakes import LIMITS, MISTAKES, Quantities, mistake, scaled, with_options

BEFORE = frozenset(MISTAKES)

SLOPE, SLOPE_ML = "lmer-sleepstudy-slope", "lmer-sleepstudy-slope-ml"
CROSSED, WEIGHTS = "lmer-penicillin", "lmer-plots-weights"
ANOVA = "lmer-anova-sleepstudy"


def parts(label: str) -> list[str]:
    """group, level, column of a random effect."""
    return label.split("/")


# -- another criterion -----------------------------------------------------------------------------------------------


@mistake(
    SLOPE_ML,
    "std_error statistic conf_low conf_high vcov objective objective_at theta sd cor loglik aic bic deviance "
    "fitted residuals scaled_residual_quantiles ranef ranef_condvar coef_by_group",
)
def REML_where_maximum_likelihood_is_asked(case: Case, q: Quantities) -> Mapping[str, Any]:
    return with_options(case, REML=True)


@mistake(
    CROSSED,
    "std_error statistic conf_low conf_high vcov objective objective_at theta sd sigma loglik aic bic deviance "
    "fitted residuals scaled_residual_quantiles ranef ranef_condvar coef_by_group",
)
def maximum_likelihood_where_REML_is_asked(case: Case, q: Quantities) -> Mapping[str, Any]:
    return with_options(case, REML=False)


@mistake(f"{SLOPE} {CROSSED}", "deviance")
def deviance_of_a_REML_fit_is_of_maximum_likelihood(case: Case, q: Quantities) -> Quantities:
    fit = mixed.lmer(case.formula, case.data)
    q["deviance"] = fit.objective(fit.theta, REML=False)
    return q


@mistake(f"{WEIGHTS} lmer-plots-weights-ml", "objective objective_at")
def objective_without_the_determinant_of_the_weights(case: Case, q: Quantities) -> Quantities:
    logs = float(np.log(case.data[case.options["weights"]]).sum())
    q["objective"] += logs
    q["objective_at"] = {k: v + logs for k, v in q["objective_at"].items()}
    return q


@mistake(SLOPE, "objective_at")
def objective_at_a_theta_ignores_REML(case: Case, q: Quantities) -> Quantities:
    return q | {"objective_at": with_options(case, REML=False)["objective_at"]}


@mistake(f"{SLOPE} {SLOPE_ML}", "loglik")
def loglik_without_two_pi(case: Case, q: Quantities) -> Quantities:
    q["loglik"] += q["nobs"] / 2 * np.log(2 * np.pi)
    return q


@mistake(f"{SLOPE} {CROSSED}", "bic")
def bic_by_n_less_p(case: Case, q: Quantities) -> Quantities:
    npar = q["nobs"] - q["df_residual"]
    q["bic"] = q["deviance"] + np.log(q["nobs"] - q["rank"]) * npar
    return q


@mistake(f"{SLOPE} {SLOPE_ML}", "bic")
def bic_by_the_number_of_groups(case: Case, q: Quantities) -> Quantities:
    q["bic"] = q["deviance"] + np.log(18) * (q["nobs"] - q["df_residual"])
    return q


@mistake(f"{SLOPE} {SLOPE_ML} {CROSSED}", "aic")
def aic_without_the_covariance_parameters(case: Case, q: Quantities) -> Quantities:
    q["aic"] = q["deviance"] + 2 * (q["rank"] + 1)
    return q


@mistake(f"{SLOPE} {CROSSED}", "df_residual")
def df_residual_without_the_covariance_parameters(case: Case, q: Quantities) -> Quantities:
    q["df_residual"] = q["nobs"] - q["rank"]
    return q


# -- covariance parameters -------------------------------------------------------------------------------------------


@mistake(f"{SLOPE} {CROSSED} lmer-fans-up", "sd")
def variances_for_standard_deviations(case: Case, q: Quantities) -> Quantities:
    q["sd"] = q["sd"] ** 2
    return q


@mistake(f"{SLOPE} {CROSSED}", "sd")
def standard_deviations_over_sigma(case: Case, q: Quantities) -> Quantities:
    q["sd"] = q["sd"] / q["sigma"]
    return q


@mistake(f"{SLOPE} {CROSSED}", "theta")
def theta_times_sigma(case: Case, q: Quantities) -> Quantities:
    q["theta"] = q["theta"] * q["sigma"]
    return q


@mistake(f"{CROSSED} lmer-pastes-nested", "theta")
def thetas_of_the_terms_swapped(case: Case, q: Quantities) -> Quantities:
    q["theta"] = pd.Series(q["theta"].to_numpy()[::-1], index=q["theta"].index)
    return q


@mistake("lmer-machines-factor-slope", "theta")
def theta_row_by_row(case: Case, q: Quantities) -> Quantities:
    q["theta"] = pd.Series(q["theta"].to_numpy()[[0, 1, 3, 2, 4, 5]], index=q["theta"].index)
    return q


@mistake(f"{SLOPE} lmer-orthodont-centred lmer-fans-down", "cor")
def correlation_with_the_other_sign(case: Case, q: Quantities) -> Quantities:
    q["cor"] = -q["cor"]
    return q


@mistake(SLOPE, "cor")
def correlation_of_the_estimates(case: Case, q: Quantities) -> Quantities:
    q["cor"] = pd.Series(q["fixef_correlation"].iloc[1, 0], index=q["cor"].index)
    return q


@mistake("lmer-dyestuff2 lmer-fans-up lmer-fans-down", "is_singular")
def singular_fits_are_not_told(case: Case, q: Quantities) -> Quantities:
    q["is_singular"] = 0.0
    return q


@mistake(f"{SLOPE} {CROSSED}", "sigma")
def sigma_is_the_length_of_the_residuals(case: Case, q: Quantities) -> Quantities:
    q["sigma"] = float(np.sqrt((q["residuals"] ** 2).sum() / q["nobs"]))
    return q


# -- fixed effects ---------------------------------------------------------------------------------------------------


@mistake(f"{SLOPE} {CROSSED}", "std_error statistic vcov")
def covariance_by_n(case: Case, q: Quantities) -> Quantities:
    kept = {"p_value": None, "df": 1.0}
    return {k: v for k, v in scaled(q | kept, 1 - q["rank"] / q["nobs"]).items() if k not in kept}


@mistake(f"{SLOPE} {CROSSED}", LIMITS)
def limits_by_t(case: Case, q: Quantities) -> Quantities:
    half = t_quantile(0.975, q["df_residual"]) * q["std_error"]
    return q | {"conf_low": q["coef"] - half, "conf_high": q["coef"] + half}


@mistake(f"{SLOPE} lmer-plots-crossed", "fixef_correlation")
def covariance_for_the_correlation(case: Case, q: Quantities) -> Quantities:
    return q | {"fixef_correlation": q["vcov"]}


@mistake("lmer-plots-crossed lmer-plots-aliased", "coef")
def coefficients_by_least_squares(case: Case, q: Quantities) -> Quantities:
    fixed = case.formula.split(" + (")[0]
    fit = mixed.lm(fixed, case.data)
    return q | {"coef": fit.coef.dropna()}


# -- random effects and rows -----------------------------------------------------------------------------------------


@mistake(f"{SLOPE} {CROSSED} lmer-fans-up", "ranef")
def random_effects_with_the_other_sign(case: Case, q: Quantities) -> Quantities:
    return q | {"ranef": {k: -v for k, v in q["ranef"].items()}}


@mistake(f"{CROSSED} lmer-dyestuff", "ranef")
def random_effects_are_spherical(case: Case, q: Quantities) -> Quantities:
    theta = {name.split(".")[0]: value for name, value in q["theta"].items()}
    return q | {"ranef": {k: v / theta[parts(k)[0]] for k, v in q["ranef"].items()}}


@mistake(SLOPE, "ranef")
def random_effects_in_columns_swapped(case: Case, q: Quantities) -> Quantities:
    other = {"(Intercept)": "Days", "Days": "(Intercept)"}
    swapped = {k: q["ranef"]["/".join([*parts(k)[:2], other[parts(k)[2]]])] for k in q["ranef"]}
    return q | {"ranef": swapped}


@mistake(f"{SLOPE} {CROSSED}", "ranef_condvar")
def conditional_covariances_over_sigma(case: Case, q: Quantities) -> Quantities:
    return q | {"ranef_condvar": {k: v / q["sigma"] ** 2 for k, v in q["ranef_condvar"].items()}}


@mistake(f"{SLOPE} {CROSSED}", "ranef_condvar")
def conditional_covariances_are_those_of_the_prior(case: Case, q: Quantities) -> Quantities:
    variance = {name.split(".", 1)[0] + name.split(".", 1)[1]: sd**2 for name, sd in q["sd"].items()}

    def prior(label: str, value: float) -> float:
        group, _, row, column = label.split("/")
        return variance[group + row] if row == column else value

    return q | {"ranef_condvar": {k: prior(k, v) for k, v in q["ranef_condvar"].items()}}


@mistake(f"{SLOPE} {CROSSED}", "coef_by_group")
def coefficients_of_groups_are_the_random_effects(case: Case, q: Quantities) -> Quantities:
    return q | {"coef_by_group": dict(q["ranef"])}


@mistake(f"{SLOPE} {CROSSED} lmer-pastes-nested", "n_groups")
def groups_count_the_random_effects(case: Case, q: Quantities) -> Quantities:
    return q | {"n_groups": q["n_groups"] * 2}


@mistake(f"{SLOPE} {CROSSED}", "fitted")
def fitted_without_the_random_effects(case: Case, q: Quantities) -> Quantities:
    fit = mixed.lmer(case.formula, case.data)
    return q | {"fitted": fit.predict(re_form="none")}


@mistake(WEIGHTS, "residuals")
def residuals_times_the_root_of_the_weights(case: Case, q: Quantities) -> Quantities:
    return q | {"residuals": q["residuals"] * np.sqrt(case.data["w"])}


@mistake(f"{SLOPE} {WEIGHTS}", "scaled_residual_quantiles")
def scaled_residuals_are_not_scaled(case: Case, q: Quantities) -> Quantities:
    q["scaled_residual_quantiles"] = q["scaled_residual_quantiles"] * q["sigma"]
    return q


@mistake(WEIGHTS, "scaled_residual_quantiles")
def scaled_residuals_without_the_weights(case: Case, q: Quantities) -> Quantities:
    values = np.quantile(q["residuals"] / q["sigma"], [0, 0.25, 0.5, 0.75, 1])
    q["scaled_residual_quantiles"] = pd.Series(values, index=q["scaled_residual_quantiles"].index)
    return q


@mistake("lmer-sleepstudy-newdata", "predicted")
def predictions_without_the_random_effects(case: Case, q: Quantities) -> Quantities:
    return q | {"predicted": q["predicted_fixed"]}


@mistake("lmer-sleepstudy-newdata", "predicted_fixed")
def fixed_predictions_with_the_random_effects(case: Case, q: Quantities) -> Quantities:
    return q | {"predicted_fixed": q["predicted"]}


@mistake("lmer-plots-offset-term", "predicted predicted_fixed")
def predictions_without_the_offset(case: Case, q: Quantities) -> Quantities:
    offset = np.array(case.options["newdata"]["o"])
    return q | {name: q[name] - offset for name in ("predicted", "predicted_fixed")}


# -- anova -----------------------------------------------------------------------------------------------------------


@mistake(f"{ANOVA} lmer-anova-hiv-lm", "npar")
def sigma_is_no_parameter(case: Case, q: Quantities) -> Quantities:
    return q | {"npar": q["npar"] - 1}


@mistake(ANOVA, "chi_df")
def degrees_of_freedom_against_the_first(case: Case, q: Quantities) -> Quantities:
    first = q["npar"].iloc[0]
    return q | {"chi_df": (q["npar"] - first).where(q["npar"] > first)}


@mistake(ANOVA, "chisq")
def chisq_is_of_the_loglik(case: Case, q: Quantities) -> Quantities:
    return q | {"chisq": q["chisq"] / 2}


@mistake(ANOVA, "p_value")
def p_value_halved_for_a_variance(case: Case, q: Quantities) -> Quantities:
    half = [upper_chi2(x, df) / 2 if df > 0 else np.nan for x, df in zip(q["chisq"], q["chi_df"], strict=True)]
    return q | {"p_value": pd.Series(np.array(half, dtype=np.float64), index=q["p_value"].index)}


@mistake("lmer-anova-sleepstudy-mixed", "aic bic loglik deviance chisq p_value")
def REML_fits_compared_as_they_are(case: Case, q: Quantities) -> Quantities:
    return dict(refimpl.fit(case.with_data(case.data, options={**case.options, "refit": False})))


NAMES = frozenset(MISTAKES) - BEFORE
