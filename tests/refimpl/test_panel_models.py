"""plm: the lecture's table, generalised least squares written out, effects that add up, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compat.adapters.refimpl import panel_fit
from compat.cases import load_cases, load_data
from compat.data import DataUnavailable
from compat.expected import DEFAULT_STACK, load_expected
from compat.relations_panel import panels
from compat.strategies import Problem
from refimpl import (
    DataError,
    FormulaError,
    PanelFit,
    RankDeficient,
    fixef,
    lm,
    plm,
    plm_vcov_hc,
    ranef,
    within_intercept,
)
from refimpl.panel.effects import with_intercept
from refimpl.panel.transforms import Groups

INDEX = ("firm", "year")
FORMULA = "inv ~ value + capital"


def grunfeld(name: str = "grunfeld", **options: Any) -> PanelFit:
    return plm(FORMULA, load_data(name), INDEX, **options)


def expected(case: str) -> Mapping[str, Any]:
    (found,) = load_cases(case)
    return load_expected(found, DEFAULT_STACK).quantities


# -- the lecture ------------------------------------------------------------------------------------------------------

LECTURE = {
    "GDPLagK": ("-0.0987550", "0.0094605", "-10.439"),
    "GDPGrowthLag": ("0.0045675", "0.0020894", "2.186"),
    "OPENLag": ("0.0077044", "0.0009468", "8.138"),
    "POLITYLag": ("0.0505600", "0.0051147", "9.885"),
    "POLITYSQLag": ("-0.0006743", "0.0009589", "-0.703"),
    "CivilWarDummy": ("0.0751139", "0.0534712", "1.405"),
    "InterstateWarLag": ("-0.3030380", "0.2396271", "-1.265"),
    "BatDeaths1000Lag": ("0.0004229", "0.0103239", "0.041"),
}
P_VALUES = {"GDPGrowthLag": "0.029", "OPENLag": "8.67e-16", "POLITYSQLag": "0.482", "CivilWarDummy": "0.160"}


@pytest.fixture(scope="module")
def lecture() -> PanelFit:
    try:
        data = load_data("hiv-deaths")
    except DataUnavailable as absent:
        pytest.skip(absent.reason)
    return plm("LnDeathPM ~ " + " + ".join(LECTURE), data, ("ISO3", "year"))


def reads(value: float, text: str) -> bool:
    """Whether a number rounds to what is printed."""
    mantissa, _, exponent = text.partition("e")
    places = len(mantissa.partition(".")[2]) - int(exponent or 0)
    return bool(abs(value - float(text)) <= 0.5000001 * 10.0**-places)


def test_the_lectures_table_is_right_to_the_printed_digit(lecture: PanelFit) -> None:
    assert lecture.coef_names == list(LECTURE)
    for name, texts in LECTURE.items():
        for found, text in zip((lecture.coef, lecture.std_error, lecture.statistic), texts, strict=True):
            assert reads(found[name], text), name
    for name, text in P_VALUES.items():
        assert reads(lecture.p_value[name], text), name
    assert str(lecture.pdim) == "Unbalanced Panel: n = 117, T = 1-18, N = 1557"
    assert reads(lecture.tss, "445.6")
    assert reads(lecture.rss, "378.6")
    assert reads(lecture.r_squared, "0.1505")
    assert reads(lecture.f_statistic, "31.7023")
    assert (lecture.f_numdf, lecture.f_dendf) == (8, 1432)


def test_the_lectures_adjusted_r_squared_is_an_old_definition(lecture: PanelFit) -> None:
    """plm before 1.5-15 printed R2 df / N; today it is 1 - (1 - R2)(N - 1)/df."""
    assert reads(lecture.r_squared * lecture.df_residual / lecture.nobs, "0.1384")
    assert reads(lecture.adj_r_squared, "0.0769")


# -- generalised least squares ---------------------------------------------------------------------------------------


def covariance_of_errors(fit: PanelFit) -> np.ndarray:
    """s2 I + s2_id Z Z' + s2_time Z Z', N x N."""
    assert fit.ercomp is not None
    panel, s2 = fit.levels.panel, fit.ercomp
    out = float(s2["idios"]) * np.eye(panel.N)
    for name, dimension in (("id", panel.id), ("time", panel.time)):
        if name in s2:
            out += float(s2[name]) * (dimension.codes[:, None] == dimension.codes)
    return out


@pytest.mark.parametrize("name", ["grunfeld", "grunfeld-gaps"])
@pytest.mark.parametrize("effect", ["individual", "twoways"])
@pytest.mark.parametrize("method", ["swar", "amemiya", "walhus", "nerlove"])
def test_random_effects_are_generalised_least_squares(name: str, effect: str, method: str) -> None:
    fit = grunfeld(name, model="random", effect=effect, random_method=method)
    X, y, V = fit.levels.X, fit.levels.y, np.linalg.inv(covariance_of_errors(fit))
    wanted = np.linalg.solve(X.T @ V @ X, X.T @ V @ y)
    np.testing.assert_allclose(fit.coef, wanted, rtol=1e-11)
    scale = 1.0 if fit.is_gls else fit.rss / fit.df_residual / float(fit.ercomp["idios"])  # type: ignore[index]
    np.testing.assert_allclose(fit.vcov, scale * np.linalg.inv(X.T @ V @ X), rtol=1e-10)


@pytest.mark.parametrize("case", ["plm-grunfeld-gaps-random-twoways", "plm-grunfeld-gaps-random-twoways-amemiya"])
def test_plm_forgets_the_variance_in_unbalanced_two_way_random_effects(case: str) -> None:
    """What the known defect says: R's covariance times the idiosyncratic variance is the right one."""
    (found,) = load_cases(case)
    fit, theirs = panel_fit(found), pd.DataFrame(expected(case)["vcov"])
    assert fit.ercomp is not None
    np.testing.assert_allclose(fit.vcov, theirs * float(fit.ercomp["idios"]), rtol=1e-9)


@pytest.mark.parametrize("case", ["plm-grunfeld-fd", "plm-empl-uk-fd"])
def test_plm_forgets_the_intercept_in_fitted_differences(case: str) -> None:
    (found,) = load_cases(case)
    fit, theirs = panel_fit(found), pd.Series(expected(case)["fitted"])
    np.testing.assert_allclose(fit.fitted - fit.coef["(Intercept)"], theirs, atol=1e-9 * np.abs(theirs).max())


@pytest.mark.parametrize("case", ["plm-grunfeld-late-within-twoways", "plm-empl-uk-within-twoways"])
def test_two_way_effects_of_plm_do_not_add_up_where_a_first_time_is_missing(case: str) -> None:
    """What the known defect says: with slopes and residuals they have to give the response back."""
    (found,) = load_cases(case)
    fit, frozen = panel_fit(found), expected(case)
    theirs = [pd.Series(frozen[name], dtype=float).to_numpy() for name in ("fixef", "fixef_time")]
    ours = [fixef(fit, which)["estimate"].to_numpy() for which in ("individual", "time")]
    panel, u = fit.levels.panel, fit.residuals_of_levels - fit.residual_values
    for effects, low, high in ((ours, 0.0, 1e-9), (theirs, 0.01, np.inf)):
        both = effects[0][panel.id.codes] + (effects[1] - effects[1][0])[panel.time.codes]
        assert low <= np.abs(both - u).max() <= high


# -- effects and predictions ------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(panels(), st.sampled_from(["individual", "time", "twoways"]))
def test_effects_and_slopes_add_up_to_the_fitted_values(p: Problem, effect: str) -> None:
    fit = plm(p.formula, p.frame, ("who", "wave"), effect=effect)  # type: ignore[arg-type]
    linear = fit.levels.X[:, 1:] @ fit.coef.to_numpy()
    ids, times = fit.levels.panel.id.codes, fit.levels.panel.time.codes
    if effect == "twoways":
        both = fixef(fit, "twoways")["estimate"].to_numpy()
        firms, waves = (fixef(fit, which)["estimate"].to_numpy() for which in ("individual", "time"))
        np.testing.assert_allclose(both, firms[ids] + waves[times] - waves[0], atol=1e-12)
        steps = fixef(fit, "time", "dfirst")["estimate"].to_numpy()
        np.testing.assert_allclose(both, firms[ids] + np.append(0, steps)[times], atol=1e-12)
        means = [fixef(fit, which, "dmean")["estimate"].to_numpy() for which in ("individual", "time")]
        np.testing.assert_allclose(both, within_intercept(fit)[0] + means[0][ids] + means[1][times], atol=1e-12)
    else:
        both = fixef(fit)["estimate"].to_numpy()[times if effect == "time" else ids]
    np.testing.assert_allclose(linear + both, fit.levels.y - fit.residuals, atol=1e-12)
    np.testing.assert_allclose(fit.predict(), linear + both, atol=1e-12)
    np.testing.assert_allclose(fit.predict(p.frame)[fit.labels], linear + both, atol=1e-12)


@pytest.mark.parametrize("effect", ["individual", "time", "twoways"])
def test_the_within_intercept_is_the_mean_effect_and_its_error_the_regressions(effect: str) -> None:
    fit = grunfeld("grunfeld-gaps", effect=effect)
    value, error = within_intercept(fit)
    which = {"individual": "id", "time": "time", "twoways": "id"}[effect]
    if effect != "twoways":
        weights = Groups(getattr(fit.levels.panel, which)).counts
        assert value == pytest.approx(np.average(fixef(fit)["estimate"], weights=weights), rel=1e-12)
    model = with_intercept(fit)
    assert model.df_residual == fit.df_residual
    means = fit.levels.X[:, 1:].mean(axis=0)
    assert error == pytest.approx(
        np.sqrt(fit.error_variance / fit.nobs + means @ fit.vcov.to_numpy() @ means), rel=1e-11
    )
    robust = within_intercept(fit, plm_vcov_hc)[1]
    assert robust == pytest.approx(np.sqrt(plm_vcov_hc(model).loc["(Intercept)", "(Intercept)"]), rel=1e-12)


def test_standard_errors_of_effects_are_those_of_dummies() -> None:
    fit, dummies = grunfeld("grunfeld-gaps"), lm("inv ~ 0 + factor(firm) + value + capital", load_data("grunfeld-gaps"))
    found = fixef(fit)
    for column, wanted in (("estimate", dummies.coef), ("std_error", dummies.std_error), ("p_value", dummies.p_value)):
        np.testing.assert_allclose(found[column], wanted[:10], rtol=1e-10)
    robust = fixef(fit, vcov=plm_vcov_hc)
    pd.testing.assert_frame_equal(robust, fixef(fit, vcov=plm_vcov_hc(fit)))
    assert (robust["std_error"] != found["std_error"]).all()


@pytest.mark.parametrize(
    ("type", "firm", "estimate", "statistic", "p_value"),
    [  # summary(fixef(plm(inv ~ value + capital), type = )) of plm 2.6-2
        ("level", "2", 101.9058137306, 4.08631378267, 6.4852443211e-05),
        ("dfirst", "2", 172.2025311861, 5.526173903567, 1.08074654095e-07),
        ("dmean", "1", -11.5527780586, -0.232413044688, 8.16470030322e-01),
        ("dmean", "2", 160.6497531275, 6.441882718515, 9.62721820603e-10),
    ],
)
def test_effects_less_the_first_or_the_mean_are_tested_as_they_are_shown(
    type: Any, firm: str, estimate: float, statistic: float, p_value: float
) -> None:
    table = fixef(plm("inv ~ value + capital", load_data("grunfeld"), ("firm", "year")), type=type)
    np.testing.assert_allclose(
        table.loc[firm, ["estimate", "statistic", "p_value"]], [estimate, statistic, p_value], rtol=1e-10
    )
    assert len(table) == (9 if type == "dfirst" else 10)


@pytest.mark.parametrize(
    ("effect", "robust", "errors"),
    [  # plm 2.6-2, firms with gaps: summary(fixef(fit, type = "dfirst", vcov = ))
        ("individual", False, [30.4025772086, 30.6705477395]),
        ("individual", True, [53.2197269209, 50.2510594929]),
        ("time", False, [44.7217507988, 43.6861221621]),
        ("time", True, [44.7432868731, 44.5440837185]),
    ],
)
def test_errors_of_effects_less_the_first_are_those_of_differences(
    effect: Any, robust: bool, errors: list[float]
) -> None:
    data = load_data("grunfeld").drop(index=["2", "5", "30", "31", "32", "90"])
    fit = plm("inv ~ value + capital", data, ("firm", "year"), effect=effect)
    found = fixef(fit, type="dfirst", vcov=plm_vcov_hc if robust else None)
    np.testing.assert_allclose(found["std_error"].iloc[:2], errors, rtol=1e-10)


@pytest.mark.parametrize(
    ("model", "rows", "first"),
    [  # predict() of plm 2.6-2
        ("between", 10, [595.778486129, 266.416047086, 265.682415837]),
        ("fd", 190, [154.8230745516, 93.7260925718, -219.4841889703]),
    ],
)
def test_predictions_of_means_and_differences_are_theirs(model: Any, rows: int, first: list[float]) -> None:
    found = plm("inv ~ value + capital", load_data("grunfeld"), ("firm", "year"), model).predict()
    np.testing.assert_allclose(found.iloc[:3], first, rtol=1e-10)
    assert len(found) == rows


@pytest.mark.parametrize(("size", "kept"), [(4e-7, False), (1.5e-6, True)])  # standard deviations of 6e-7, 2e-6
def test_a_difference_that_hardly_changes_is_dropped_where_plm_drops_it(size: float, kept: bool) -> None:
    data = load_data("grunfeld")
    data = data.assign(z=data["year"] + size * np.random.default_rng(1).normal(size=len(data)))
    fit = plm("inv ~ value + z", data, ("firm", "year"), "fd")
    assert ("z" in fit.coef) is kept


def test_random_effects_are_shrunk_means() -> None:
    fit = grunfeld("grunfeld-gaps", model="random")
    assert fit.components is not None
    u = fit.levels.y - fit.levels.X @ fit.coef.to_numpy()
    groups = Groups(fit.levels.panel.id)
    shrunk = groups.sums_of(u) / groups.counts * (1 - (1 - fit.components.theta["id"]) ** 2)
    np.testing.assert_allclose(ranef(fit), shrunk, rtol=1e-12)


def test_unseen_individuals_have_no_prediction_unless_it_is_filled() -> None:
    fit = grunfeld()
    new = pd.DataFrame({"firm": [1, 11], "year": [1935, 1935], "value": [1.0, 1.0], "capital": [2.0, 2.0]})
    slopes = fit.coef["value"] + 2 * fit.coef["capital"]
    assert fit.predict(new).tolist() == [
        pytest.approx(fixef(fit)["estimate"].iloc[0] + slopes),
        pytest.approx(np.nan, nan_ok=True),
    ]
    assert fit.predict(new, na_fill=True).iloc[1] == pytest.approx(within_intercept(fit)[0] + slopes)
    with pytest.warns(UserWarning, match="no index"):
        plain = fit.predict(new[["value", "capital"]])
    assert plain.tolist() == pytest.approx([within_intercept(fit)[0] + slopes] * 2)


# -- what a fit offers and refuses -----------------------------------------------------------------------------------


def test_the_index_is_a_factor_in_the_formula() -> None:
    data = load_data("grunfeld")
    as_index = plm("inv ~ value + year", data, INDEX, "pooling")
    as_factor = lm("inv ~ value + factor(year)", data)
    assert as_index.coef_names[2] == "year1936"
    np.testing.assert_allclose(as_index.coef, as_factor.coef, rtol=1e-11)
    new = pd.DataFrame({"firm": [1], "year": [1936], "value": [1.0]})
    assert as_index.predict(new).iloc[0] == pytest.approx(as_index.coef[["(Intercept)", "value", "year1936"]].sum())


def test_columns_that_vanish_are_gone_and_dependent_ones_are_aliased() -> None:
    data = load_data("grunfeld").assign(size=lambda d: d["firm"] * 1.5)
    fit = plm("inv ~ value + size + I(2 * value) + capital", data, INDEX)
    assert fit.coef_names == ["value", "capital"]
    assert fit.aliased.to_dict() == {"value": False, "I(2 * value)": True, "capital": False}
    pd.testing.assert_series_equal(fit.coef, grunfeld().coef)


def test_confidence_limits_are_normal_as_in_r() -> None:
    fit = grunfeld()
    half = 1.959963984540054 * fit.std_error
    pd.testing.assert_series_equal(fit.conf_high, fit.coef + half, check_names=False)
    assert (fit.confint(0.5)["high"] < fit.conf_high).all()


def test_sigma_is_what_r_says_and_the_standard_error_beside_it() -> None:
    fit = grunfeld()
    assert fit.sigma == pytest.approx(np.sqrt(fit.rss / 198))
    assert fit.residual_std_error == pytest.approx(np.sqrt(fit.rss / 188))


def test_a_given_covariance_changes_the_table_and_the_joint_test() -> None:
    fit = grunfeld()
    robust = fit.with_vcov(plm_vcov_hc(fit))
    pd.testing.assert_frame_equal(robust.vcov, plm_vcov_hc(fit))
    assert (robust.df_test, robust.f_dendf) == (188, 9)
    assert fit.with_vcov(plm_vcov_hc(fit, cluster="time")).f_dendf == 19
    V = plm_vcov_hc(fit).to_numpy()
    assert robust.f_statistic == pytest.approx(fit.coef @ np.linalg.solve(V, fit.coef) / 2, rel=1e-10)
    assert "supplied: vcovHC" in str(robust.summary())


def test_tables_are_brooms() -> None:
    fit = grunfeld(model="random")
    assert list(fit.tidy()) == ["term", "estimate", "std.error", "statistic", "p.value"]
    assert fit.tidy()["term"].tolist() == ["(Intercept)", "value", "capital"]
    assert fit.glance()["nobs"].tolist() == [200]
    assert fit.glance()["statistic"].tolist() == [fit.wald_chi2]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"model": "ht"}, "bad-option"),
    ({"effect": "nested"}, "bad-option"),
    ({"model": "fd", "effect": "time"}, "bad-option"),
    ({"model": "between", "effect": "twoways"}, "bad-option"),
    ({"model": "random", "weights": "value"}, "bad-option"),
    ({"weights": "weight"}, "unknown-column"),
]


@pytest.mark.parametrize(("options", "kind"), REFUSED)
def test_options_are_refused_by_kind(options: dict[str, Any], kind: str) -> None:
    with pytest.raises(DataError) as refused:
        grunfeld(**options)
    assert refused.value.kind == kind


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda fit: fixef(fit), "bad-option"),
        (lambda fit: within_intercept(fit), "bad-option"),
        (lambda fit: ranef(plm(FORMULA, load_data("grunfeld"), INDEX)), "bad-option"),
        (lambda fit: fixef(plm(FORMULA, load_data("grunfeld"), INDEX), type="last"), "bad-option"),
    ],
)
def test_effects_of_another_model_are_refused(call: Any, kind: str) -> None:
    with pytest.raises(DataError) as refused:
        call(grunfeld(model="random" if "ranef" not in str(call) else "within"))
    assert refused.value.kind == kind


def test_no_two_rows_of_anybody_have_no_differences() -> None:
    data = pd.DataFrame({"firm": [1, 2, 3], "year": [1, 1, 1], "x": [1.0, 2, 4], "y": [2.0, 1, 5]})
    for model, kind in (("fd", "no-rows"), ("within", "empty-model")):
        with pytest.raises(DataError) as refused:
            plm("y ~ x", data, INDEX, model)  # type: ignore[arg-type]
        assert refused.value.kind == kind


def test_no_summary_without_a_joint_test_as_in_plm() -> None:
    data = load_data("grunfeld")
    few = plm(FORMULA, data[data["firm"] <= 3], INDEX, "between")
    assert (few.df_residual, few.rank) == (0, 3)
    assert np.isnan(few.std_error).all()
    assert "(Intercept)" in str(few)
    two = plm(FORMULA + " + I(value^2)", data[data["firm"] <= 2], INDEX)
    for fit in (few, two.with_vcov(plm_vcov_hc(two))):
        with pytest.raises(RankDeficient, match="no joint test"):
            fit.summary()
    assert "F-statistic" in str(two.summary())


@pytest.mark.parametrize(
    ("text", "says"), [("inv ~ value | capital", "instruments"), ("inv ~ cumsum(value)", "'cumsum'")]
)
def test_a_formula_has_no_instruments_and_only_allowed_functions(text: str, says: str) -> None:
    with pytest.raises(FormulaError, match=says) as refused:
        plm(text, load_data("grunfeld"), INDEX, "pooling")
    assert refused.value.kind == "formula-forbidden"


def test_two_ways_over_duplicates_are_dummies() -> None:
    """What the known defect says: plm's double demeaning over duplicates leaves what is constant in a firm."""
    data = load_data("grunfeld-twice").assign(size=lambda d: d["firm"] ** 2.0)
    with pytest.warns(UserWarning, match="duplicate couples"):
        fit = plm("inv ~ value + capital + size", data, INDEX, effect="twoways")
    dummies = lm("inv ~ value + capital + factor(firm) + factor(year)", data)
    assert fit.coef_names == ["value", "capital"]
    np.testing.assert_allclose(fit.coef, dummies.coef[["value", "capital"]], rtol=1e-10)
    assert fit.df_residual == dummies.df_residual


def test_weights_are_plms() -> None:
    """Means without weights, then weighted least squares: the frozen answer says so too."""
    data = load_data("grunfeld").assign(w=lambda d: 0.5 + (d["year"] % 3))
    fit = plm(FORMULA, data, INDEX, weights="w")
    plain = fit.transformer.within(np.column_stack([fit.levels.X[:, 1:], fit.levels.y]))
    root = np.sqrt(data["w"].to_numpy())[:, None]
    wanted = np.linalg.lstsq(plain[:, :2] * root, plain[:, 2] * root[:, 0], rcond=None)[0]
    np.testing.assert_allclose(fit.coef, wanted, rtol=1e-11)
    np.testing.assert_allclose(fit.fitted, plain[:, :2] @ wanted, atol=1e-10)


def test_frozen_answers_hold_no_value_of_python() -> None:
    (found,) = load_cases("plm-grunfeld-within")
    text = json.dumps(load_expected(found, DEFAULT_STACK).provenance.packages)
    assert json.loads(text)["plm"] == "2.6-2"


def test_an_offset_is_taken_off_the_response() -> None:
    """plm 2.6-2 drops it without a word; the case plm-offset-pooling shows it."""
    data = load_data("grunfeld")
    found = plm("inv ~ value + offset(capital)", data, INDEX, "pooling")
    np.testing.assert_allclose(found.coef, lm("inv ~ value + offset(capital)", data).coef, rtol=1e-13)
