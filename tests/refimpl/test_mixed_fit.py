"""The search ends at the optimum, to the last digits: certified ones, singular ones, in any unit; or it says so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from compat.cases import DataUnavailable, load_data
from refimpl import NotConverged, lmer
from refimpl.least_squares import ols
from refimpl.linalg import Array
from refimpl.mixed.blocks import Term, build
from refimpl.mixed.fit import Optimum, canonical, optimise
from refimpl.mixed.newton import Frame, principal
from refimpl.mixed.profile import evaluate, triangles, vector
from refimpl.mixed.results import scaled_factors
from tests.refimpl.exact_mixed import exact_profile
from tests.refimpl.mixed_models import Drawn, models, moves

QUIET = settings(deadline=None, derandomize=True)
ONES = np.ones((24, 1))
GROUP, BLOCK = np.repeat(np.arange(6), 4), np.tile(np.arange(4), 6)


def fitted(model: Drawn) -> Optimum:
    return optimise(model.blocks, model.REML).checked()


def is_full(model: Drawn) -> bool:
    """Whether fixed and random effects together can fit any response: the likelihood is without bounds."""
    return sum(term.levels * term.r for term in model.terms) + model.X.shape[1] >= len(model.y)


def layout(noise: float = 0.5, seed: int = 5) -> tuple[Array, Array, Array]:
    """x (24,), X = [1 x], and y with an intercept and a slope of each of GROUP's six levels."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=24)
    y = 1 + x + rng.normal(size=6)[GROUP] + rng.normal(size=6)[GROUP] * x / 2 + rng.normal(size=24) * noise
    return x, np.column_stack([np.ones(24), x]), y


# -- it is the optimum -----------------------------------------------------------------------------------------------


@given(models(fixed=1, levels=5), st.integers(0, 2**32 - 1))
@settings(QUIET, max_examples=80)
def test_no_probe_finds_anything_lower(model: Drawn, seed: int) -> None:
    """Near the end and far from it; a lower value elsewhere would have to be another minimum."""
    assume(not is_full(model))
    blocks, end = model.blocks, fitted(model)
    rng, x = np.random.default_rng(seed), vector(end.factors)
    noise = 1e-11 * abs(end.point.objective)
    sizes = [term.r for term in model.terms]
    for distance in np.repeat([1e-6, 1e-4, 1e-2, 0.1], 8):
        probe = evaluate(blocks, triangles(x + distance * rng.normal(size=len(x)), sizes), model.REML)
        assert probe.objective >= end.point.objective - noise
    assert end.point.objective == pytest.approx(evaluate(blocks, end.factors, model.REML).objective, rel=1e-13)


@given(models(fixed=1, levels=5), st.integers(0, 2**32 - 1))
@settings(QUIET, max_examples=40)
def test_another_start_does_not_end_lower(model: Drawn, seed: int) -> None:
    assume(not is_full(model))
    rng = np.random.default_rng(seed)
    start = [3 * np.tril(rng.normal(size=(term.r, term.r))) for term in model.terms]
    one, other = optimise(model.blocks, model.REML), optimise(model.blocks, model.REML, start)
    if other.hessian_eigenvalues.min(initial=1.0) > 0:
        assert other.point.objective >= one.point.objective - 1e-10 * abs(one.point.objective)


@given(models(fixed=1, rows=(14, 18), most=2, levels=4))
@settings(QUIET, max_examples=15)
def test_gradient_of_rational_arithmetic_is_rounding_at_the_end(model: Drawn) -> None:
    assume(not is_full(model))
    blocks = model.blocks
    end = optimise(blocks, model.REML).checked()
    factors = tuple(T @ L for T, L in zip(blocks.to_user, end.factors, strict=True))
    there = replace(model, factors=factors)
    Z, Lambda = there.dense()
    exact = exact_profile(model.X, model.y, Z, Lambda, model.REML, model.weights, moves(model.terms))
    at_user = triangles(np.array([float(value) for value in exact.gradient]), [term.r for term in model.terms])
    gradient = vector([np.tril(T.T @ G) for T, G in zip(blocks.to_user, at_user, strict=True)])
    free = vector([np.tril(np.ones_like(L)) * (L.diagonal() != 0) for L in end.factors]) > 0
    assert (np.abs(gradient[free]) <= 1e-9 * blocks.n).all()


# -- certified optima --------------------------------------------------------------------------------------------------

FORMULA = (
    "LnDeathPM ~ GDPLagK + GDPGrowthLag + OPENLag + POLITYLag + POLITYSQLag + CivilWarDummy + InterstateWarLag"
    " + BatDeaths1000Lag + "
)


@pytest.fixture(scope="module")
def hiv() -> pd.DataFrame:
    try:
        return load_data("hiv-deaths")
    except DataUnavailable as absent:
        pytest.skip(str(absent))


def digits(got: Array | list[float], wanted: list[float]) -> float:
    """The least number of agreeing digits."""
    difference = np.abs(np.asarray(got) / np.array(wanted) - 1)
    return float(-np.log10(np.maximum(difference, 1e-16)).min())


def test_random_intercept_of_the_lecture_is_the_certified_optimum(hiv: pd.DataFrame) -> None:
    fit = lmer(FORMULA + "(1 | ISO3)", hiv, REML=False)
    assert digits([fit.criterion], [2676.860411964957576]) > 14
    assert digits(fit.theta, [0.9907867193531681]) > 12.5


def test_random_slope_of_the_lecture_is_the_certified_optimum(hiv: pd.DataFrame) -> None:
    fit = lmer(FORMULA + "(GDPLagK | ISO3)", hiv, REML=False)
    assert digits([fit.criterion], [2272.809401114401022]) > 14
    assert digits(fit.theta, [8.2117506766732415, -0.8938818458197370, 0.8174997375913758]) > 12
    assert digits(fit.coef.to_numpy()[:2], [4.7910239680463942, 0.1553042788201259]) > 12.5
    assert digits(fit.std_error.to_numpy()[:2], [0.3023930535123073, 0.0482326351412650]) > 12
    assert digits(fit.sd.to_numpy() ** 2, [9.1684363671865886, 0.1995040573431463]) > 12
    assert fit.optimum.scaled_gradient < 1e-13
    assert fit.optimum.hessian_eigenvalues.min() > 0.1


def test_random_slope_of_the_lecture_by_reml_is_the_certified_optimum(hiv: pd.DataFrame) -> None:
    fit = lmer(FORMULA + "(GDPLagK | ISO3)", hiv)
    assert digits([fit.criterion], [2337.6703087397869]) > 14
    assert digits(fit.theta, [8.3030947784524947, -0.9169789209329859, 0.8464201730342901]) > 12


# -- boundaries --------------------------------------------------------------------------------------------------------


def test_no_variance_between_groups_is_an_exact_zero_and_least_squares() -> None:
    rng = np.random.default_rng(2)
    within = rng.normal(size=(6, 4))
    y = (within - within.mean(axis=1, keepdims=True)).ravel() + 3  # every group's mean is the same
    _x, _X, _ = layout()
    for REML in (True, False):
        end = optimise(build(ols(np.ones((24, 1)), y), [Term(GROUP, 6, ONES)]), REML).checked()
        assert end.singular
        assert end.factors[0][0, 0] == 0.0
        assert end.kkt > 0
        assert len(end.gradient) == 0


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("REML", [True, False])
def test_correlation_of_one_is_an_exact_zero_on_the_diagonal(sign: float, REML: bool) -> None:
    rng = np.random.default_rng(11)
    x, _, _ = layout()
    noise = rng.normal(size=24)
    for j in range(6):  # orthogonal to intercept and slope of every group: nothing is left for a second direction
        here = np.column_stack([ONES, x])[j == GROUP]
        noise[j == GROUP] -= here @ np.linalg.lstsq(here, noise[j == GROUP], rcond=None)[0]
    y = 1 + x + rng.normal(size=6)[GROUP] * (2 + sign * x) + 0.3 * noise
    fit = lmer("y ~ x + (x | g)", {"y": y, "x": x, "g": GROUP.astype(str)}, REML=REML)
    assert fit.is_singular
    assert fit.theta[2] == 0.0
    assert fit.cor.to_numpy() == pytest.approx([sign], abs=1e-12)
    assert fit.optimum.kkt > -1e-12
    assert fit.optimum.scaled_gradient < 1e-12


def test_all_variances_of_two_terms_are_zero_at_once() -> None:
    x, X, _ = layout()
    y = 1 + x + np.random.default_rng(3).normal(size=24)
    for j in range(6):
        here = np.column_stack([ONES, x, x**2])[j == GROUP]
        y[j == GROUP] -= here @ np.linalg.lstsq(here, y[j == GROUP], rcond=None)[0]
    terms = [Term(GROUP, 6, np.column_stack([ONES, x, x**2])), Term(GROUP // 2, 3, ONES)]
    end = optimise(build(ols(X, y), terms), False).checked()
    assert all((factor == 0).all() for factor in end.factors)
    assert end.kkt > 0


def test_first_variance_zero_leaves_the_second() -> None:
    """The factor is singular at its first diagonal, where a lower triangle has no gradient of its own."""
    rng = np.random.default_rng(7)
    x, _X, _ = layout()
    y = rng.normal(size=24)
    for j in range(6):
        y[j == GROUP] -= y[j == GROUP].mean()
    x = np.concatenate([part - part.mean() for part in np.split(x, 6)])
    y += 3 * rng.normal(size=6)[GROUP] * x
    end = optimise(
        build(ols(np.column_stack([ONES, x]), y), [Term(GROUP, 6, np.column_stack([ONES, x]))]), True
    ).checked()
    assert end.factors[0][0].tolist() == [0.0, 0.0]
    assert end.factors[0][1, 1] > 1
    assert end.kkt > -1e-12


def test_a_start_on_the_boundary_is_left_where_the_objective_falls() -> None:
    _x, X, y = layout()
    blocks = build(ols(X, y), [Term(GROUP, 6, ONES)])
    wanted = optimise(blocks, True).checked()
    end = optimise(blocks, True, [np.zeros((1, 1))]).checked()
    assert wanted.factors[0][0, 0] > 0.5
    assert end.point.objective == pytest.approx(wanted.point.objective, rel=1e-14)


def test_a_valley_that_bends_towards_a_zero_is_left_at_its_end() -> None:
    """(1 | g) can take the place of most of (0 + f | g), and Newton's steps along that curve stay short."""
    rng = np.random.default_rng(116)
    g, f = np.repeat(np.arange(24), 6), np.tile(np.repeat(np.arange(3), 2), 24)
    effects = rng.normal(size=(24, 2)) @ np.array([[24.0, 24.1, 24.4], [0.0, 0.4, -0.4]])
    data = {"y": effects[g, f] + rng.normal(size=144), "f": np.array(["a", "b", "c"])[f], "g": g.astype(str)}
    fit, without = (lmer(f"y ~ 1 + {bars}", data, REML=False) for bars in ("(f || g)", "(0 + f | g)"))
    assert fit.theta[0] == 0.0
    assert fit.criterion == pytest.approx(without.criterion, rel=1e-13)
    assert fit.optimum.kkt > -1e-12


def test_the_lower_of_two_minima_is_found_from_a_singular_end() -> None:
    """From zero between-variance upwards the objective rises, then falls again below where it was."""
    _x, X, y = layout(0.5)
    terms = [Term(GROUP, 6, ONES), Term(BLOCK, 4, ONES)]
    blocks = build(ols(X, y), terms)
    end = optimise(blocks, False).checked()
    grid = np.array([0.0, 0.1, 0.3, 1.0, 2.0, 4.0])
    objectives = [evaluate(blocks, [np.array([[a]]), np.array([[b]])], False).objective for a in grid for b in grid]
    assert end.point.objective <= min(objectives) + 1e-12


@pytest.mark.parametrize("seed", [134, 340])
def test_a_small_start_finds_what_larger_ones_do_not(seed: int) -> None:
    """Six covariance parameters of four groups: the objective has two singular minima."""
    rng = np.random.default_rng(seed)
    h, (x, z), b = np.repeat(np.arange(4), [12, 4, 3, 1]), rng.normal(size=(2, 20)), 5 * rng.normal(size=(4, 3))
    y = b[h, 0] + b[h, 1] * x + b[h, 2] * z + rng.normal(size=20)
    data, small = {"y": y, "x": x, "z": z, "h": h.astype(str)}, [0.03, 0.0, 0.0, 0.03, 0.0, 0.03]
    fits = [lmer("y ~ x + z + (x + z | h)", data, start=start) for start in (None, small)]
    assert fits[0].criterion == pytest.approx(fits[1].criterion, rel=1e-12)  # the other minimum is 0.7 higher or more


@pytest.mark.parametrize("seed", [17, 29, 32, 40])
def test_two_terms_that_can_both_carry_the_mean_have_two_minima(seed: int) -> None:
    """Without an intercept the mean is in the variance of either factor; whatever the start, the lower one is found."""
    rng = np.random.default_rng(seed)
    h, k = np.repeat(np.arange(5), 15), np.tile(np.repeat(np.arange(5), 3), 5)
    y = 10 + 2 * rng.normal(size=5)[h] + 2 * rng.normal(size=5)[k] + 0.5 * rng.normal(size=75)
    data = {"y": y, "h": h.astype(str), "k": k.astype(str)}
    fits = [lmer("y ~ 0 + (1 | h) + (1 | k)", data, start=start) for start in (None, (20.0, 4.0), (4.0, 20.0))]
    for fit in fits[1:]:
        np.testing.assert_allclose(fit.theta, fits[0].theta, rtol=1e-8)


# -- units -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("REML", [True, False])
@pytest.mark.parametrize("factor", [1e-6, 1e-3, 1e3, 1e6, 1e9])
def test_units_of_a_column_cost_no_digits(factor: float, REML: bool) -> None:
    x, _X, y = layout()
    one, other = (
        lmer("y ~ x + (x | g)", {"y": y, "x": f * x, "g": GROUP.astype(str)}, REML=REML) for f in (1.0, factor)
    )
    D = np.array([1.0, 1.0, 1 / factor])
    np.testing.assert_allclose(other.theta, one.theta * np.array([1.0, 1 / factor, 1 / factor]), rtol=1e-11, atol=0)
    shift = 2 * np.log(factor) if REML else 0.0
    assert other.criterion == pytest.approx(one.criterion + shift, rel=1e-13)
    np.testing.assert_allclose(other.coef.to_numpy(), one.coef.to_numpy() * D[[0, 2]], rtol=1e-12)
    np.testing.assert_allclose(other.std_error.to_numpy(), one.std_error.to_numpy() * D[[0, 2]], rtol=1e-11)


@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_units_of_the_response_cost_no_digits(factor: float) -> None:
    x, _X, y = layout()
    one, other = (lmer("y ~ x + (x | g)", {"y": f * y, "x": x, "g": GROUP.astype(str)}) for f in (1.0, factor))
    np.testing.assert_allclose(other.theta, one.theta, rtol=1e-11, atol=0)
    assert other.sigma == pytest.approx(one.sigma * factor, rel=1e-13)
    np.testing.assert_allclose(other.coef.to_numpy(), one.coef.to_numpy() * factor, rtol=1e-12)


@pytest.mark.parametrize("shift", [1e4, 1e8])
def test_a_far_response_loses_the_digits_that_its_own_rounding_takes(shift: float) -> None:
    x, _X, y = layout()
    one, other = (lmer("y ~ x + (x | g)", {"y": y + s, "x": x, "g": GROUP.astype(str)}) for s in (0.0, shift))
    lost = 4 * np.spacing(shift)
    np.testing.assert_allclose(other.theta, one.theta, rtol=0, atol=20 * lost)
    assert other.criterion == pytest.approx(one.criterion, rel=0, abs=100 * lost)
    np.testing.assert_allclose(other.coef.to_numpy() - [shift, 0], one.coef.to_numpy(), rtol=0, atol=20 * lost)


@pytest.mark.parametrize("shift", [10.0, 1e4, 1e6])
def test_a_far_regressor_loses_the_digits_that_its_own_rounding_takes(shift: float) -> None:
    x, _X, y = layout()
    x = np.round(x, 3)  # so that no shift rounds it
    one, other = (
        lmer("y ~ x + (x | g)", {"y": y, "x": np.round(x + s, 3), "g": GROUP.astype(str)}) for s in (0.0, shift)
    )
    assert other.criterion == pytest.approx(one.criterion, rel=0, abs=shift * 1e-13)
    assert other.sigma == pytest.approx(one.sigma, rel=shift * 1e-13)
    assert other.coef["x"] == pytest.approx(one.coef["x"], rel=shift * 1e-13)


@pytest.mark.parametrize("noise", [1e-2, 1e-4, 1e-6])
def test_large_thetas_are_reached(noise: float) -> None:
    _x, X, y = layout(noise)
    end = optimise(build(ols(X, y), [Term(GROUP, 6, X)]), True).checked()
    assert end.factors[0][0, 0] > 0.1 / noise
    assert end.scaled_gradient < 1e-12


@pytest.mark.parametrize("noise", [1e-2, 1e-4, 1e-6])
def test_large_thetas_of_nested_factors_lose_nothing_to_the_least_squares_fit(noise: float) -> None:
    rng = np.random.default_rng(6)
    x, _X, _ = layout()
    y = 1 + x + rng.normal(size=6)[GROUP] + rng.normal(size=3)[GROUP // 2] + noise * rng.normal(size=24)
    data = {"y": y, "x": x, "g": GROUP.astype(str), "h": (GROUP // 2).astype(str)}
    fit = lmer("y ~ x + (1 | g) + (1 | h)", data)
    assert fit.optimum.point.rounding < 1e-13
    slope = lmer("y ~ x + (1 | g)", data).coef["x"]
    assert fit.coef["x"] == pytest.approx(slope, abs=1e-3 * noise)


def test_crossed_factors_without_noise_are_not_answered() -> None:
    """What is left of y is rounding: there is no optimum to be had."""
    rng = np.random.default_rng(6)
    y = rng.normal(size=6)[GROUP] + rng.normal(size=4)[BLOCK]
    blocks = build(ols(ONES, y), [Term(GROUP, 6, ONES), Term(BLOCK, 4, ONES)])
    with pytest.raises(NotConverged):
        optimise(blocks, True).checked()


def test_a_constant_response_is_not_answered() -> None:
    with pytest.raises(NotConverged, match="nothing is left of the response"):
        lmer("y ~ 1 + (1 | g)", {"y": np.full(24, 2.0), "g": GROUP.astype(str)})


# -- awkward layouts ---------------------------------------------------------------------------------------------------


def test_columns_without_effect_leave_the_others_alone() -> None:
    x, X, y = layout()
    plain = optimise(build(ols(X, y), [Term(GROUP, 6, X)]), True).checked()
    for Z in (np.column_stack([X, 2 * x + 1]), np.column_stack([X, 0 * x])):
        end = optimise(build(ols(X, y), [Term(GROUP, 6, Z)]), True).checked()
        assert end.point.objective == pytest.approx(plain.point.objective, rel=1e-11)


def test_the_same_term_twice_has_one_objective() -> None:
    _x, X, y = layout()
    one = optimise(build(ols(X, y), [Term(GROUP, 6, ONES)]), True).checked()
    two = optimise(build(ols(X, y), [Term(GROUP, 6, ONES)] * 2), True).checked()
    assert two.point.objective == pytest.approx(one.point.objective, rel=1e-13)
    assert np.hypot(*(L[0, 0] for L in two.factors)) == pytest.approx(one.factors[0][0, 0], rel=1e-9)


def test_more_columns_than_rows_a_level() -> None:
    rng = np.random.default_rng(9)
    codes = np.repeat(np.arange(12), 2)
    Z = np.column_stack([np.ones(24), rng.normal(size=(24, 2))])
    y = rng.normal(size=24) + (rng.normal(size=(12, 3))[codes] * Z).sum(axis=1)
    end = optimise(build(ols(ONES, y), [Term(codes, 12, Z)]), True).checked()
    assert end.point.objective < evaluate(end.point.blocks, [np.eye(3)], True).objective


def test_many_levels_with_three_columns() -> None:
    rng = np.random.default_rng(12)
    J = 100_000
    codes = np.repeat(np.arange(J), 3)
    x = rng.normal(size=(3 * J, 2))
    Z = np.column_stack([np.ones(3 * J), x])
    L = np.array([[1.0, 0, 0], [0.3, 0.8, 0], [-0.2, 0.1, 0.5]])
    y = 1 + x[:, 0] + ((rng.normal(size=(J, 3)) @ L.T)[codes] * Z).sum(axis=1) + rng.normal(size=3 * J)
    blocks = build(ols(Z, y), [Term(codes, J, Z)])
    end = optimise(blocks, True).checked()
    np.testing.assert_allclose(blocks.to_user[0] @ end.factors[0], L, atol=0.03)


@given(models(fixed=1))
@settings(QUIET, max_examples=100)
def test_canonical_factors_have_the_same_sigma(model: Drawn) -> None:
    for factor in model.factors:
        frame, x = principal(Frame((np.eye(len(factor)),)), vector([factor]))
        for other, rank in ((factor, len(factor)), (factor[::-1], len(factor)), (factor[:, ::-1], len(factor))):
            L = canonical(other, rank)
            np.testing.assert_allclose(L @ L.T, other @ other.T, rtol=1e-12, atol=1e-12 * np.abs(other).max() ** 2)
            assert (L.diagonal() >= 0).all()
            assert (np.tril(L) == L).all()
        lower = frame.triangles(x)[0]
        lower[-1, -1] = 0.0
        turned = frame.axes[0] @ lower
        L = canonical(turned, np.count_nonzero(lower.diagonal()))
        np.testing.assert_allclose(L @ L.T, turned @ turned.T, rtol=1e-12, atol=1e-12 * np.abs(factor).max() ** 2)
        assert np.count_nonzero(L.diagonal()) == np.count_nonzero(lower.diagonal())
        assert all((L[:, j] == 0).all() for j in range(len(L)) if L[j, j] == 0)


def test_theta_goes_to_scaled_factors_and_back() -> None:
    x, _X, y = layout()
    fit = lmer("y ~ x + (x | g)", {"y": y, "x": 1e3 * x + 5, "g": GROUP.astype(str)})
    rng = np.random.default_rng(1)
    for theta in rng.normal(size=(5, 3)):
        (scaled,) = scaled_factors(fit.blocks, theta)
        assert scaled[0, 1] == 0.0
        np.testing.assert_allclose(vector([fit.blocks.to_user[0] @ scaled]), theta, rtol=1e-12, atol=1e-15)
    assert fit.objective(fit.theta) == pytest.approx(fit.criterion, rel=1e-14)


@pytest.mark.parametrize(("theta", "singular"), [(0.0, True), (0.9e-4, True), (1.1e-4, False)])
def test_a_fit_is_singular_below_lme4s_limit_of_theta(theta: float, singular: bool) -> None:
    fit = lmer("Yield ~ 1 + (1 | Batch)", load_data("dyestuff"))
    small = replace(fit.optimum, factors=tuple(scaled_factors(fit.blocks, [theta])))
    assert replace(fit, optimum=small).is_singular is singular


def test_a_correlation_with_what_does_not_vary_is_missing() -> None:
    fit = lmer("Reaction ~ Days + (Days | Subject)", load_data("sleepstudy"))
    flat = replace(fit.optimum, factors=tuple(scaled_factors(fit.blocks, [0.0, 0.0, 1.0])))
    assert np.isnan(replace(fit, optimum=flat).cor).all()
    assert fit.cor.between(0, 1).all()


def test_the_table_of_variances_has_r_s_columns() -> None:
    table = lmer("Reaction ~ Days + (Days | Subject)", load_data("sleepstudy")).varcorr()
    assert table["grp"].tolist() == ["Subject", "Subject", "Subject", "Residual"]  # as.data.frame(VarCorr(m))
    assert table["var1"].fillna("NA").tolist() == ["(Intercept)", "Days", "(Intercept)", "NA"]
    assert table["var2"].fillna("NA").tolist() == ["NA", "NA", "Days", "NA"]
    np.testing.assert_allclose(table["vcov"], [612.1002, 35.07171, 9.604409, 654.94], rtol=1e-4)
    np.testing.assert_allclose(table["sdcor"], [24.74066, 5.922138, 0.06555124, 25.5918], rtol=1e-4)


def test_coefficients_of_a_group_add_what_all_its_terms_say_of_a_column() -> None:
    x, _X, y = layout()
    g = GROUP.astype(str)
    fit = lmer("y ~ x + (1 | g) + (x | g)", {"y": y, "x": x, "g": g}, REML=False)
    table = fit.coef_by_group["g"].loc[g]
    np.testing.assert_allclose(table["(Intercept)"] + table["x"] * x, fit.fitted, rtol=1e-12)
    assert list(fit.ranef["g"].columns) == ["(Intercept)", "(Intercept)", "x"]
