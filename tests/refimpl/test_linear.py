"""lm and ols: exact values on whole numbers, NIST's certified ones, what a fit offers, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compat.adapters.refimpl import implementation
from compat.cases import load_cases, load_data
from compat.cells import labelled
from compat.check import ask, certified_values
from compat.compare import certified_digits
from compat.expected import DEFAULT_STACK, load_expected, number
from refimpl import DataError, FormulaError, RefimplError, lm, ols
from refimpl.distributions import t_quantile
from refimpl.linear import LinearFit
from tests.refimpl import exact as rational

ROOT = Path(__file__).parents[2]


# -- exact values ----------------------------------------------------------------------------------------------------


@st.composite
def whole_numbers(draw: st.DrawFn) -> pd.DataFrame:
    """Two regressors, a response and weights that are whole numbers, with residuals that are not all zero."""
    n = draw(st.integers(5, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    data = pd.DataFrame(rng.integers(-9, 10, (n, 2)), columns=["a", "b"]).astype(float)
    data["a"] += 25 * (np.arange(n) == 0)
    data["b"] += 25 * (np.arange(n) == 1)
    data["y"] = rng.integers(-99, 100, n) + 200.0 * (np.arange(n) == 2)
    data["w"] = rng.integers(1, 9, n).astype(float)
    return data


@settings(max_examples=40)
@given(whole_numbers(), st.booleans(), st.booleans())
def test_sums_of_squares_and_what_follows_are_right_to_the_last_digits(
    data: pd.DataFrame, weighted: bool, intercept: bool
) -> None:
    fit = lm(f"y ~ {int(intercept)} + a + b", data, weights="w" if weighted else None)
    X = np.column_stack([np.ones(len(data)), data[["a", "b"]]])[:, not intercept :]
    w = data["w"].to_numpy() if weighted else np.ones(len(data))
    true = rational.least_squares(X, data["y"].to_numpy(), w)
    n, p = X.shape
    f = [Fraction(y) - e for y, e in zip(data["y"].tolist(), true.residuals, strict=True)]
    weights = [Fraction(v) for v in w.tolist()]
    centre = sum(v * x for v, x in zip(weights, f, strict=True)) / sum(weights) if intercept else Fraction(0)
    mss = sum(v * (x - centre) ** 2 for v, x in zip(weights, f, strict=True))
    r2 = mss / (mss + true.rss)
    wanted = {
        "deviance": true.rss,
        "sigma": math.sqrt(true.rss / (n - p)),
        "r_squared": r2,
        "adj_r_squared": 1 - (1 - r2) * Fraction(n - intercept, n - p),
        "f_statistic": mss / (p - intercept) / (true.rss / (n - p)),
        "loglik": 0.5 * (math.fsum(np.log(w)) - n * (math.log(2 * math.pi) + 1 - math.log(n) + math.log(true.rss))),
    }
    wanted["aic"] = 2 * (p + 1) - 2 * wanted["loglik"]
    wanted["bic"] = math.log(n) * (p + 1) - 2 * wanted["loglik"]
    for name, value in wanted.items():
        assert getattr(fit, name) == pytest.approx(float(value), rel=4e-15, abs=4e-15), name
    se = [math.sqrt(true.rss / (n - p) * true.inverse[i][i]) for i in range(p)]
    np.testing.assert_allclose(fit.std_error, se, rtol=1e-14)
    np.testing.assert_allclose(fit.statistic, [float(b) / s for b, s in zip(true.coef, se, strict=True)], rtol=1e-14)
    assert (fit.f_numdf, fit.f_dendf, fit.df_residual, fit.nobs, fit.rank) == (p - intercept, n - p, n - p, n, p)


NIST = [case for case in load_cases("lm-nist-*") if certified_values(case) is not None]


@pytest.mark.parametrize("case", NIST, ids=lambda case: case.id)
def test_nist_s_certified_values_are_met_as_far_as_the_data_allow(case: Any) -> None:
    truth = certified_values(case)
    assert truth is not None
    answers = (ask(implementation, case), load_expected(case, DEFAULT_STACK).quantities)
    mine, rs = (
        {found.quantity: found.digits for found in certified_digits({k: labelled(v) for k, v in one.items()}, truth)}
        for one in answers
    )
    for name in ("coef", "std_error", "sigma", "deviance"):
        enough = 13.0 if "filip" not in case.id else rs[name]
        assert mine[name] >= enough, name


def test_where_r_has_more_certified_digits_no_exact_solution_has_more_than_ours() -> None:
    # NIST solved the decimals of Wampler2: their doubles have another solution, of which R's error happens to lead back
    (case,) = load_cases("lm-nist-wampler2")
    truth = certified_values(case)
    assert truth is not None
    fit = lm(case.formula, case.data)
    exact = [float(b) for b in rational.least_squares(fit.design.X, fit.solution.y).coef]
    np.testing.assert_array_max_ulp(fit.coef.to_numpy(), np.array(exact), 1)
    rs = load_expected(case, DEFAULT_STACK).quantities["coef"]
    best, r = (
        certified_digits({"coef": labelled(coef)}, truth)[0].digits
        for coef in (dict(zip(fit.names, exact, strict=True)), rs)
    )
    assert best < r


def test_all_of_nist_s_linear_sets_are_there() -> None:
    assert len({case.data_name for case in NIST}) == 11


def test_filip_loses_its_digits_where_powers_are_rounded_and_not_here() -> None:
    (case,) = load_cases("lm-nist-filip-tol")
    fit = lm(case.formula, case.data, tol=case.options["tol"])
    true = rational.least_squares(fit.design.X, case.data["y"].to_numpy())
    certified = json.loads((ROOT / "fixtures/published/nist/filip.json").read_text())["quantities"]["coef"]
    for mine, doubles, decimals in zip(fit.coef.tolist(), true.coef, map(Fraction, certified.values()), strict=True):
        assert abs(Fraction(mine) / doubles - 1) < 1e-10
        assert abs(doubles / decimals - 1) > 1e-9


def test_filip_is_refused_by_default_as_r_refuses_it() -> None:
    (case,) = load_cases("lm-nist-filip")
    fit = lm(case.formula, case.data)
    frozen = load_expected(case, DEFAULT_STACK).quantities["coef"]
    assert isinstance(frozen, dict)
    assert [math.isnan(number(value)) for value in frozen.values()] == list(np.isnan(fit.coef))
    assert fit.rank == 10


# -- what a fit offers -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cars() -> pd.DataFrame:
    return load_data("mtcars")


def test_a_fit_is_labelled_by_r_s_names_and_the_data_s_rows(cars: pd.DataFrame) -> None:
    fit = lm("mpg ~ wt + factor(cyl)", cars.set_index(pd.Index([f"car {i}" for i in range(len(cars))])))
    names = ["(Intercept)", "wt", "factor(cyl)6", "factor(cyl)8"]
    for labelled_by_name in (fit.coef, fit.std_error, fit.statistic, fit.p_value, fit.conf_low, fit.aliased):
        assert list(labelled_by_name.index) == names
    assert list(fit.vcov.index) == list(fit.vcov.columns) == names
    for by_row in (fit.fitted, fit.residuals, fit.hatvalues):
        assert list(by_row.index) == [f"car {i}" for i in range(len(cars))]
    assert list(fit.residual_quantiles.index) == ["Min", "1Q", "Median", "3Q", "Max"]


def test_rms_has_its_own_names_and_always_an_intercept(cars: pd.DataFrame) -> None:
    data = cars.assign(g=cars["cyl"].astype(int).astype(str))
    names = ["Intercept", "wt", "g=6", "g=8", "wt * g=6", "wt * g=8"]
    assert list(ols("mpg ~ wt * g", data).coef.index) == names
    assert list(ols("mpg ~ 0 + wt", data).coef.index) == ["Intercept", "wt"]
    assert list(lm("mpg ~ 0 + wt", data).coef.index) == ["wt"]


def test_a_fit_is_frozen_and_leaves_the_data_alone(cars: pd.DataFrame) -> None:
    before = cars.copy()
    fit = lm("mpg ~ wt", cars, weights="hp")
    fit.summary()
    fit.predict()
    pd.testing.assert_frame_equal(cars, before)
    with pytest.raises(dataclasses.FrozenInstanceError):
        fit.model = "ols"  # type: ignore[misc]


def test_aliased_coefficients_are_nan_everywhere(cars: pd.DataFrame) -> None:
    fit, plain = lm("mpg ~ wt + I(2 * wt) + hp", cars), lm("mpg ~ wt + hp", cars)
    assert list(fit.aliased) == [False, False, True, False]
    kept = ~fit.aliased
    for name in ("coef", "std_error", "statistic", "p_value", "conf_low", "conf_high"):
        values = getattr(fit, name)
        assert math.isnan(values["I(2 * wt)"]), name
        np.testing.assert_allclose(values[kept], getattr(plain, name), rtol=1e-12, err_msg=name)
    assert fit.vcov.isna().sum().sum() == 7
    assert (fit.rank, fit.df_residual, fit.r_squared) == (3, 29, pytest.approx(plain.r_squared))


def test_the_intercept_alone_explains_nothing(cars: pd.DataFrame) -> None:
    fit = lm("mpg ~ 1", cars)
    assert fit.coef["(Intercept)"] == pytest.approx(cars["mpg"].mean(), rel=1e-15)
    assert fit.sigma == pytest.approx(cars["mpg"].std(), rel=1e-14)
    assert (fit.r_squared, fit.adj_r_squared) == (0.0, 0.0)
    assert all(math.isnan(value) for value in (fit.f_statistic, fit.f_numdf, fit.f_dendf, fit.f_p_value))
    np.testing.assert_allclose(fit.hatvalues, 1 / len(cars), rtol=1e-14)


def test_a_model_of_nothing_leaves_the_response(cars: pd.DataFrame) -> None:
    fit = lm("mpg ~ 0", cars)
    assert (len(fit.coef), fit.rank, fit.df_residual) == (0, 0, 32)
    np.testing.assert_array_equal(fit.residuals, cars["mpg"])
    assert fit.deviance == pytest.approx(float(cars["mpg"] @ cars["mpg"]), rel=1e-15)


def test_r_squared_without_intercept_is_about_zero(cars: pd.DataFrame) -> None:
    fit = lm("mpg ~ 0 + wt", cars)
    y, f = cars["mpg"], fit.fitted
    assert fit.r_squared == pytest.approx(float(f @ f / (y @ y)), rel=1e-14)
    assert fit.adj_r_squared == pytest.approx(1 - (1 - fit.r_squared) * 32 / 31, rel=1e-14)
    assert fit.f_numdf == 1


def test_a_saturated_fit_has_no_standard_errors() -> None:
    data = pd.DataFrame({"x": [1.0, 2.0, 4.0], "y": [3.0, 1.0, 7.0]})
    fit = lm("y ~ x + I(x^2)", data)
    assert fit.df_residual == 0
    np.testing.assert_array_equal(fit.residuals, [0, 0, 0])
    assert math.isnan(fit.sigma)
    for name in ("std_error", "statistic", "p_value", "conf_low"):
        assert getattr(fit, name).isna().all(), name
    assert math.isnan(fit.adj_r_squared)


def test_residual_quantiles_are_those_the_summary_prints(cars: pd.DataFrame) -> None:
    by_hand = [0, 0.25, 0.5, 0.75, 1]
    plain, weighted, rms = (
        lm("mpg ~ wt", cars),
        lm("mpg ~ wt", cars, weights="hp"),
        ols("mpg ~ wt", cars, weights="hp"),
    )
    for fit, shown in (
        (plain, plain.residuals),
        (weighted, weighted.residuals * np.sqrt(cars["hp"])),
        (rms, rms.residuals),
    ):
        np.testing.assert_allclose(fit.residual_quantiles, np.quantile(shown, by_hand), rtol=1e-13)


def test_limits_are_of_the_level_asked_for(cars: pd.DataFrame) -> None:
    fit = lm("mpg ~ wt + hp", cars)
    for level in (0.5, 0.9, 0.95, 0.999):
        limits = fit.confint(level)
        half = t_quantile(0.5 + level / 2, 29) * fit.std_error
        np.testing.assert_allclose(limits["low"], fit.coef - half, rtol=1e-13)
        np.testing.assert_allclose(limits["high"], fit.coef + half, rtol=1e-13)
    pd.testing.assert_series_equal(fit.conf_low, fit.confint(0.95)["low"])


def test_tidy_and_glance_have_broom_s_columns(cars: pd.DataFrame) -> None:
    fit = lm("mpg ~ wt + hp", cars)
    tidy, glance = fit.tidy(), fit.glance()
    assert list(tidy) == ["term", "estimate", "std.error", "statistic", "p.value", "conf.low", "conf.high"]
    assert list(tidy["term"]) == ["(Intercept)", "wt", "hp"]
    np.testing.assert_array_equal(tidy["estimate"], fit.coef)
    np.testing.assert_array_equal(tidy["p.value"], fit.p_value)
    assert list(glance) == [
        "r.squared", "adj.r.squared", "sigma", "statistic", "p.value", "df", "logLik", "AIC", "BIC", "deviance",
        "df.residual", "nobs",
    ]  # fmt: skip
    assert glance.shape == (1, 12)
    assert glance["AIC"].item() == fit.aic
    assert glance["df.residual"].item() == 29


# -- weights, missing rows, offsets ----------------------------------------------------------------------------------


def test_weights_are_a_column_or_values(cars: pd.DataFrame) -> None:
    by_name = lm("mpg ~ wt", cars, weights="hp")
    for weights in (cars["hp"], cars["hp"].to_numpy(), cars["hp"].tolist()):
        pd.testing.assert_series_equal(lm("mpg ~ wt", cars, weights=weights).coef, by_name.coef)
    assert not np.allclose(by_name.coef, lm("mpg ~ wt", cars).coef, rtol=1e-3)


def test_weights_of_zero_leave_lm_s_counts_and_stay_in_rms_s(cars: pd.DataFrame) -> None:
    data = cars.assign(w=np.where(np.arange(32) < 5, 0.0, 1.0))
    fit, rms, without = lm("mpg ~ wt", data, "w"), ols("mpg ~ wt", data, "w"), lm("mpg ~ wt", data[5:])
    assert (fit.nobs, fit.df_residual, rms.nobs, rms.df_residual) == (27, 25, 32, 25)
    assert (len(fit.fitted), len(fit.residuals), len(fit.hatvalues)) == (32, 32, 27)
    for name in ("sigma", "loglik", "aic", "bic", "r_squared", "f_statistic"):
        assert getattr(fit, name) == pytest.approx(getattr(without, name), rel=1e-13), name
    np.testing.assert_allclose(fit.std_error, without.std_error, rtol=1e-13)


def test_missing_rows_are_dropped_and_counted(cars: pd.DataFrame) -> None:
    data = cars.assign(mpg=cars["mpg"].where(cars["cyl"] != 4), w=cars["hp"].where(cars["wt"] > 2))
    fit = lm("mpg ~ wt", data)
    assert fit.n_dropped == 11
    assert list(fit.fitted.index) == list(data.index[data["mpg"].notna()])
    pd.testing.assert_series_equal(fit.coef, lm("mpg ~ wt", data.dropna(subset=["mpg"])).coef)
    assert lm("mpg ~ wt", data, weights="w").n_dropped == int(data[["mpg", "w"]].isna().any(axis=1).sum())
    with pytest.raises(DataError):
        lm("mpg ~ wt", data, na_action="fail")


def test_an_offset_has_coefficient_one(cars: pd.DataFrame) -> None:
    fit, moved = lm("mpg ~ wt + offset(hp / 10)", cars), lm("I(mpg - hp / 10) ~ wt", cars)
    np.testing.assert_allclose(fit.coef, moved.coef, rtol=1e-13)
    np.testing.assert_allclose(fit.residuals, moved.residuals, atol=1e-12)
    np.testing.assert_allclose(fit.fitted, moved.fitted + cars["hp"] / 10, rtol=1e-13)


# -- predictions -----------------------------------------------------------------------------------------------------


def test_predictions_of_the_rows_fitted_are_the_fitted_values(cars: pd.DataFrame) -> None:
    for formula in ("mpg ~ wt + hp", "mpg ~ factor(cyl) * wt", "mpg ~ wt + offset(hp)"):
        fit = lm(formula, cars)
        for found in (fit.predict(), fit.predict(cars)):
            np.testing.assert_allclose(found["fit"], fit.fitted, rtol=1e-12)
            np.testing.assert_allclose(found["se"], fit.sigma * np.sqrt(fit.hatvalues), rtol=1e-11)
            assert list(found.index) == list(cars.index)


def test_intervals_are_of_the_mean_or_of_an_observation(cars: pd.DataFrame) -> None:
    fit = lm("mpg ~ wt", cars)
    new = {"wt": [2.0, 10.0]}
    t = t_quantile(0.95, 30)
    mean, one = (fit.predict(new, interval, 0.9) for interval in ("confidence", "prediction"))
    np.testing.assert_allclose(mean["high"] - mean["fit"], t * mean["se"], rtol=1e-12)
    np.testing.assert_allclose(one["fit"] - one["low"], t * np.sqrt(one["se"] ** 2 + fit.sigma**2), rtol=1e-12)
    assert list(fit.predict(new)) == ["fit", "se"]


def test_a_rank_deficient_fit_warns_before_it_predicts(cars: pd.DataFrame) -> None:
    fit = lm("mpg ~ wt + I(2 * wt)", cars)
    with pytest.warns(UserWarning, match="prediction from a rank-deficient fit may be misleading"):
        found = fit.predict({"wt": [3.0]})
    assert found["fit"].item() == pytest.approx(lm("mpg ~ wt", cars).predict({"wt": [3.0]})["fit"].item(), rel=1e-12)


# -- refusals --------------------------------------------------------------------------------------------------------


def spoiled(cars: pd.DataFrame, **columns: Any) -> pd.DataFrame:
    return cars.assign(**columns)


@pytest.mark.parametrize(
    ("formula", "columns", "weights", "kind"),
    [
        ("mpg ~ nobody", {}, None, "unknown-column"),
        ("nobody ~ wt", {}, None, "unknown-column"),
        ("mpg ~ wt", {}, "nobody", "unknown-column"),
        ("mpg ~ wt", {"mpg": np.nan}, None, "no-rows"),
        ("mpg ~ wt", {"wt": np.nan}, None, "no-rows"),
        ("mpg ~ wt", {"mpg": "text"}, None, "non-numeric-response"),
        ("~ wt", {}, None, "non-numeric-response"),
        ("mpg ~ wt", {"wt": [np.inf] + [1.0] * 31}, None, "infinite-values"),
        ("mpg ~ wt", {"mpg": [-np.inf] + [1.0] * 31}, None, "infinite-values"),
        ("mpg ~ wt", {"w": [np.inf] + [1.0] * 31}, "w", "infinite-values"),
        ("mpg ~ wt", {"w": [-1.0] + [1.0] * 31}, "w", "bad-option"),
        ("mpg ~ g", {"g": "same"}, None, "one-level-factor"),
        ("mpg ~ wt +", {}, None, "formula-syntax"),
        ("mpg ~ system('ls')", {}, None, "formula-forbidden"),
    ],
)
@pytest.mark.parametrize("fit", [lm, ols])
def test_refusals_have_the_kind_r_s_own_have(
    fit: Any, formula: str, columns: dict[str, Any], weights: str | None, kind: str, cars: pd.DataFrame
) -> None:
    with pytest.raises((DataError, FormulaError)) as caught:
        fit(formula, spoiled(cars, **columns), weights=weights)
    assert isinstance(caught.value, RefimplError)
    assert caught.value.kind == kind
    assert str(caught.value)


def test_new_data_with_other_levels_or_columns_is_refused(cars: pd.DataFrame) -> None:
    fit = lm("mpg ~ g", cars.assign(g=cars["cyl"].astype(int).astype(str)))
    for new, kind in (({"g": ["4", "5"]}, "unseen-level"), ({"h": ["4"]}, "unknown-column")):
        with pytest.raises(RefimplError) as caught:
            fit.predict(new)
        assert caught.value.kind == kind


def test_the_fit_is_of_the_public_class(cars: pd.DataFrame) -> None:
    assert isinstance(lm("mpg ~ wt", cars), LinearFit)
    assert lm("mpg ~ wt", cars.to_dict("list")).coef.equals(lm("mpg ~ wt", cars).coef)
