"""anova: F tests of nested fits and of a fit's terms, against exact sums of squares and each other."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from compat.cases import load_data
from refimpl import DataError, anova, lm, lmer
from refimpl.distributions import upper_f
from tests.refimpl import exact as rational


@pytest.fixture(scope="module")
def cars() -> pd.DataFrame:
    return load_data("mtcars")


def rss(X: np.ndarray, y: np.ndarray) -> float:
    return float(rational.least_squares(X, y).rss)


def test_nested_models_are_tested_with_the_largest_one_s_variance(cars: pd.DataFrame) -> None:
    table = anova(*(lm(f"mpg ~ {right}", cars) for right in ("1", "wt", "wt + hp + qsec")))
    y, one = cars["mpg"].to_numpy(), np.ones(32)
    X = np.column_stack([one, cars[["wt", "hp", "qsec"]]])
    true = np.array([rss(X[:, :p], y) for p in (1, 2, 4)])
    assert list(table) == ["df_residual", "rss", "df", "sum_sq", "f_statistic", "p_value"]
    assert list(table.index) == ["1", "2", "3"]
    np.testing.assert_array_equal(table["df_residual"], [31, 30, 28])
    np.testing.assert_allclose(table["rss"], true, rtol=1e-15)
    np.testing.assert_array_equal(table["df"], [np.nan, 1, 2])
    np.testing.assert_allclose(table["sum_sq"], [np.nan, *-np.diff(true)], rtol=1e-14)
    f = -np.diff(true) / [1, 2] / (true[2] / 28)
    np.testing.assert_allclose(table["f_statistic"], [np.nan, *f], rtol=1e-13)
    wanted = [np.nan, float(upper_f(f[0], 1, 28)), float(upper_f(f[1], 2, 28))]
    np.testing.assert_allclose(table["p_value"], wanted, rtol=1e-12)


def test_the_f_of_one_column_is_its_t_squared(cars: pd.DataFrame) -> None:
    full = lm("mpg ~ wt + hp", cars)
    table = anova(lm("mpg ~ wt", cars), full)
    assert table.loc["2", "f_statistic"] == pytest.approx(full.statistic["hp"] ** 2, rel=1e-12)
    assert table.loc["2", "p_value"] == pytest.approx(full.p_value["hp"], rel=1e-11)


def test_the_f_against_the_mean_is_the_summary_s(cars: pd.DataFrame) -> None:
    full = lm("mpg ~ wt * hp", cars)
    table = anova(lm("mpg ~ 1", cars), full)
    assert table.loc["2", "f_statistic"] == pytest.approx(full.f_statistic, rel=1e-12)
    assert table.loc["2", "p_value"] == pytest.approx(full.f_p_value, rel=1e-11)


def test_the_order_of_models_turns_signs_and_no_f(cars: pd.DataFrame) -> None:
    small, large = lm("mpg ~ wt", cars), lm("mpg ~ wt + hp", cars)
    up, down = anova(small, large).loc["2"], anova(large, small).loc["2"]
    assert (up["df"], down["df"]) == (1, -1)
    assert up["sum_sq"] == -down["sum_sq"] > 0
    assert up["f_statistic"] == down["f_statistic"]
    assert up["p_value"] == down["p_value"]


def test_models_of_the_same_rank_are_not_tested(cars: pd.DataFrame) -> None:
    table = anova(lm("mpg ~ wt", cars), lm("mpg ~ wt + I(2 * wt)", cars))
    assert table.loc["2", "df"] == 0
    assert table.loc["2", ["f_statistic", "p_value"]].isna().all()
    other = anova(lm("mpg ~ wt", cars), lm("mpg ~ hp", cars))  # neither within the other: R has no F either
    assert other.loc["2", "sum_sq"] == pytest.approx(-169.3524, abs=1e-4)
    assert other.loc["2", ["f_statistic", "p_value"]].isna().all()


def test_terms_add_up_in_the_order_of_the_formula(cars: pd.DataFrame) -> None:
    table = anova(lm("mpg ~ wt + factor(cyl) + hp", cars))
    assert list(table.index) == ["wt", "factor(cyl)", "hp", "Residuals"]
    assert list(table) == ["df", "sum_sq", "mean_sq", "f_statistic", "p_value"]
    np.testing.assert_array_equal(table["df"], [1, 2, 1, 27])
    X = np.column_stack([np.ones(32), cars["wt"], cars["cyl"] == 6, cars["cyl"] == 8, cars["hp"]])
    true = [rss(X[:, :p], cars["mpg"].to_numpy()) for p in (1, 2, 4, 5)]
    np.testing.assert_allclose(table["sum_sq"], [*-np.diff(true), true[-1]], rtol=1e-13)
    np.testing.assert_allclose(table["mean_sq"], table["sum_sq"] / table["df"], rtol=1e-15)
    f = table["mean_sq"] / table.loc["Residuals", "mean_sq"]
    np.testing.assert_allclose(table["f_statistic"][:-1], f[:-1], rtol=1e-15)
    np.testing.assert_allclose(
        table["p_value"][:-1], [float(upper_f(f.iloc[i], table["df"].iloc[i], 27)) for i in range(3)], rtol=1e-12
    )
    assert table.loc["Residuals", ["f_statistic", "p_value"]].isna().all()


def test_terms_are_those_of_models_that_grow(cars: pd.DataFrame) -> None:
    rights = ["1", "wt", "wt + hp", "wt + hp + wt:hp"]
    for weights in (None, "qsec"):
        terms = anova(lm("mpg ~ wt * hp", cars, weights=weights))
        nested = anova(*(lm(f"mpg ~ {right}", cars, weights=weights) for right in rights))
        for name in ("df", "sum_sq", "f_statistic", "p_value"):
            np.testing.assert_allclose(
                terms[name].to_numpy()[:-1], nested[name].to_numpy()[1:], rtol=1e-10, err_msg=name
            )


def test_an_aliased_term_has_no_row(cars: pd.DataFrame) -> None:
    table = anova(lm("mpg ~ wt + I(2 * wt) + hp", cars))
    assert list(table.index) == ["wt", "hp", "Residuals"]


def test_rows_of_zero_weight_do_not_count(cars: pd.DataFrame) -> None:
    data = cars.assign(w=np.where(np.arange(32) < 4, 0.0, 2.0))
    with_zeros = anova(lm("mpg ~ wt", data, "w"), lm("mpg ~ wt + hp", data, "w"))
    without = anova(lm("mpg ~ wt", data[4:], "w"), lm("mpg ~ wt + hp", data[4:], "w"))
    pd.testing.assert_frame_equal(with_zeros, without, rtol=1e-12)


def test_a_saturated_largest_model_leaves_nothing_to_test() -> None:
    data = pd.DataFrame({"x": [1.0, 2.0, 4.0], "y": [3.0, 1.0, 7.0]})
    table = anova(lm("y ~ x", data), lm("y ~ x + I(x^2)", data))
    assert table.loc["2", "df_residual"] == 0
    assert math.isnan(table.loc["2", "f_statistic"])


def test_refusals_say_how_models_differ(cars: pd.DataFrame) -> None:
    fit, shorter = lm("mpg ~ wt", cars), lm("mpg ~ wt + hp", cars.iloc[:20])
    mixed = lmer("mpg ~ wt + (1 | cyl)", cars)
    for fits, kind, said in (
        ((), "bad-option", "needs a fit"),
        ((fit, shorter), "models-differ", "size of dataset"),
        ((fit, lm("hp ~ wt", cars)), "models-differ", "response"),
        ((mixed, lm("mpg ~ wt", cars.iloc[:20])), "models-differ", "size of dataset"),
    ):
        with pytest.raises(DataError, match=said) as caught:
            anova(*fits)
        assert caught.value.kind == kind


def test_terms_of_a_mixed_model_add_up_to_wald_s_statistic() -> None:
    fit = lmer("angle ~ recipe * temp + (1 | recipe:replicate)", load_data("cake"))
    table = anova(fit)
    assert list(table.index) == ["recipe", "temp", "recipe:temp"]
    assert list(table) == ["npar", "sum_sq", "mean_sq", "f_statistic"]
    np.testing.assert_array_equal(table["npar"], [2, 1, 2])
    slopes, V = fit.coef.to_numpy()[1:], fit.vcov.to_numpy()[1:, 1:]
    wald = slopes @ np.linalg.solve(V, slopes)
    np.testing.assert_allclose(table["npar"] @ table["f_statistic"], wald, rtol=1e-11)
    last, W = fit.coef.to_numpy()[-2:], fit.vcov.to_numpy()[-2:, -2:]  # nothing comes after the last term
    np.testing.assert_allclose(table["sum_sq"].iloc[-1], fit.sigma**2 * last @ np.linalg.solve(W, last), rtol=1e-11)


def test_a_mixed_model_without_fixed_effects_has_no_terms() -> None:
    assert len(anova(lmer("Reaction ~ 0 + (1 | Subject)", load_data("sleepstudy")))) == 0
