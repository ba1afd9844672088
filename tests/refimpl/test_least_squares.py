"""Least squares on arrays, against rational arithmetic, and the identities it cannot leave."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refimpl.errors import DataError
from refimpl.least_squares import LeastSquares, ols
from tests.refimpl import exact as rational

EPS = 2.0**-53
ARRAYS = ("coef", "coef_low", "xtx_inverse", "fitted", "residuals", "hatvalues", "scores")


@st.composite
def whole_numbers(draw, weighted=None):
    """Small whole numbers of full rank: X (n, p), y, and weights that are fractions of 8, or None."""
    p = draw(st.integers(1, 4))
    n = draw(st.integers(p + 1, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X = rng.integers(-9, 10, (n, p)).astype(float)
    if draw(st.booleans()):
        X[:, 0] = 1.0
    X += 20 * np.eye(n, p)  # no column depends on the others
    y = rng.integers(-99, 100, n).astype(float)
    use_weights = draw(st.booleans()) if weighted is None else weighted
    return X, y, rng.integers(1, 33, n) / 8 if use_weights else None


def close(got: np.ndarray, wanted: list[Fraction], ulps: float, size: float = 0.0) -> None:
    """Every number within so many units of its own last place, or of that of `size`."""
    assert got.shape == (len(wanted),)
    for mine, true in zip(got.tolist(), wanted, strict=True):
        assert abs(Fraction(mine) - true) <= Fraction(ulps * EPS) * max(abs(true), Fraction(size))


@settings(max_examples=60, deadline=None)
@given(whole_numbers())
def test_coefficients_are_correctly_rounded(problem):
    X, y, w = problem
    fit, true = ols(X, y, w), rational.least_squares(X, y, w)
    assert fit.kept.all()
    assert fit.rank == X.shape[1]
    largest = Fraction(2) ** -80 * max(map(abs, true.coef))  # where the true one is zero
    for mine, low, wanted in zip(fit.coef.tolist(), fit.coef_low.tolist(), true.coef, strict=True):
        assert abs(Fraction(mine) - wanted) <= Fraction(EPS) * abs(wanted) + largest
        assert abs(Fraction(mine) + Fraction(low) - wanted) <= Fraction(2) ** -80 * abs(wanted) + largest


@settings(max_examples=60, deadline=None)
@given(whole_numbers())
def test_inverse_and_residual_sum_of_squares_are_right_to_the_last_digits(problem):
    X, y, w = problem
    fit, true = ols(X, y, w), rational.least_squares(X, y, w)
    root = [float(row[i]) ** 0.5 for i, row in enumerate(true.inverse)]
    for i, row in enumerate(true.inverse):
        for j, wanted in enumerate(row):
            assert abs(Fraction(float(fit.xtx_inverse[i, j])) - wanted) <= Fraction(4 * EPS * root[i] * root[j])
    np.testing.assert_array_equal(fit.xtx_inverse, fit.xtx_inverse.T)
    size = Fraction(2) ** -80 * sum(v * Fraction(b) ** 2 for v, b in zip(_weights(y, w), y.tolist(), strict=True))
    assert abs(Fraction(fit.rss) - true.rss) <= Fraction(EPS) * true.rss + size


def _weights(y: np.ndarray, w: np.ndarray | None) -> list[Fraction]:
    return [Fraction(v) for v in (np.ones(len(y)) if w is None else w).tolist()]


@settings(max_examples=60, deadline=None)
@given(whole_numbers())
def test_residuals_and_hat_values_are_right_to_the_rounding_of_their_sums(problem):
    X, y, w = problem
    fit, true = ols(X, y, w), rational.least_squares(X, y, w)
    size = float((np.abs(y) + np.abs(X) @ np.abs(fit.coef)).max())
    close(fit.residuals, true.residuals, 2 * X.shape[1] + 4, size)
    close(fit.fitted, [Fraction(a) - e for a, e in zip(y.tolist(), true.residuals, strict=True)], 16, size)
    # x'(X'WX)^-1 x by Cauchy-Schwarz: no term is larger than p times the whole
    close(fit.hatvalues, true.hatvalues, 16 * X.shape[1] ** 2, 1.0)
    assert fit.hatvalues.sum() == pytest.approx(fit.rank, rel=1e-14)


@settings(max_examples=30, deadline=None)
@given(whole_numbers())
def test_scores_add_up_to_zero(problem):
    X, y, w = problem
    fit = ols(X, y, w)
    assert fit.scores.shape == X.shape
    np.testing.assert_allclose(fit.scores.sum(axis=0), 0, atol=1e-13 * np.abs(X * (y * _array(w, y))[:, None]).sum())


def _array(w: np.ndarray | None, y: np.ndarray) -> np.ndarray:
    return np.ones(len(y)) if w is None else w


@settings(max_examples=40, deadline=None)
@given(whole_numbers(), st.lists(st.integers(-60, 60), min_size=4, max_size=4), st.integers(-60, 60))
def test_powers_of_two_pass_through_without_rounding(problem, columns, response):
    X, y, w = problem
    a, b = np.ldexp(1.0, columns[: X.shape[1]]), np.ldexp(1.0, response)
    plain, scaled = ols(X, y, w), ols(X * a, y * b, w)
    np.testing.assert_array_equal(scaled.coef, plain.coef * b / a)
    np.testing.assert_array_equal(scaled.coef_low, plain.coef_low * b / a)
    np.testing.assert_array_equal(scaled.xtx_inverse, plain.xtx_inverse / np.outer(a, a))
    np.testing.assert_array_equal(scaled.residuals, plain.residuals * b)
    np.testing.assert_array_equal(scaled.fitted, plain.fitted * b)
    np.testing.assert_array_equal(scaled.hatvalues, plain.hatvalues)
    assert scaled.rss == plain.rss * b * b


@settings(max_examples=40, deadline=None)
@given(whole_numbers(weighted=True), st.integers(-60, 60))
def test_powers_of_two_in_the_weights_pass_through_without_rounding(problem, exponent):
    X, y, w = problem
    plain, scaled = ols(X, y, w), ols(X, y, np.ldexp(w, exponent))
    for name in ("coef", "coef_low", "residuals", "fitted"):
        np.testing.assert_array_equal(getattr(scaled, name), getattr(plain, name), err_msg=name)
    np.testing.assert_allclose(scaled.hatvalues, plain.hatvalues, rtol=8 * EPS)  # by the root of the inverse
    np.testing.assert_array_equal(scaled.xtx_inverse, np.ldexp(plain.xtx_inverse, -exponent))
    assert scaled.rss == np.ldexp(plain.rss, exponent)


@settings(max_examples=30, deadline=None)
@given(whole_numbers(), st.randoms(use_true_random=False))
def test_rows_may_come_in_any_order(problem, random):
    X, y, w = problem
    order = list(range(len(y)))
    random.shuffle(order)
    plain, moved = ols(X, y, w), ols(X[order], y[order], None if w is None else w[order])
    np.testing.assert_allclose(moved.coef, plain.coef, rtol=2 * EPS, atol=1e-22)
    np.testing.assert_allclose(moved.rss, plain.rss, rtol=2 * EPS, atol=1e-22)


def test_columns_of_very_different_size_lose_no_digit():
    rng = np.random.default_rng(3)
    X = np.column_stack([np.ones(12), rng.integers(1, 99, 12) * 1e-8, rng.integers(1, 99, 12) * 1e8])
    y = rng.integers(-99, 99, 12) * 1.0
    fit, true = ols(X, y), rational.least_squares(X, y)
    assert [float(b) for b in true.coef] == fit.coef.tolist()
    assert fit.rss == float(true.rss)


def test_many_rows_are_summed_like_few():
    rng = np.random.default_rng(4)
    X = np.column_stack([np.ones(5000), rng.integers(-50, 50, (5000, 2))])
    y = rng.integers(-99, 99, 5000) * 1.0
    fit, true = ols(X, y), rational.least_squares(X, y)
    assert [float(b) for b in true.coef] == fit.coef.tolist()
    assert fit.rss == float(true.rss)


# -- aliasing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_the_last_of_dependent_columns_is_aliased_wherever_they_stand(at):
    rng = np.random.default_rng(5)
    others, y = rng.normal(size=(15, 3)), rng.normal(size=15)
    X = np.insert(others, at, others @ [1.0, -2.0, 0.5], axis=1)
    fit, plain = ols(X, y), ols(X[:, :3], y)
    np.testing.assert_array_equal(fit.kept, [True, True, True, False])
    assert np.isnan(fit.coef[3])
    assert fit.rank == 3
    assert fit.df_residual == 12
    np.testing.assert_array_equal(fit.coef[:3], plain.coef)
    np.testing.assert_array_equal(fit.xtx_inverse, plain.xtx_inverse)
    np.testing.assert_allclose(fit.residuals, plain.residuals, atol=8 * EPS)


def test_zero_columns_and_copies_are_aliased():
    x, y = np.arange(6.0), np.array([1.0, 3.0, 2.0, 5.0, 4.0, 7.0])
    fit = ols(np.column_stack([np.zeros(6), np.ones(6), x, 2 * x, np.full(6, 7.0)]), y)
    np.testing.assert_array_equal(fit.kept, [False, True, True, False, False])
    assert fit.xtx_inverse.shape == (2, 2)
    assert fit.scores.shape == (6, 2)


@pytest.mark.parametrize(("tol", "kept"), [(1e-7, False), (1e-10, True)])
def test_the_tolerance_decides_about_a_near_copy(tol, kept):
    rng = np.random.default_rng(6)
    x, z, y = rng.normal(size=(3, 20))
    fit = ols(np.column_stack([x, x + 1e-8 * z]), y, tol=tol)
    np.testing.assert_array_equal(fit.kept, [True, kept])


def test_more_columns_than_rows_are_aliased_from_the_right():
    rng = np.random.default_rng(7)
    fit = ols(rng.normal(size=(3, 5)), rng.normal(size=3))
    np.testing.assert_array_equal(fit.kept, [True, True, True, False, False])
    assert fit.df_residual == 0
    np.testing.assert_allclose(fit.residuals, 0, atol=1e-14)


def test_no_columns_leave_the_response():
    y = np.array([1.0, -2.0, 3.0])
    fit = ols(np.empty((3, 0)), y)
    assert (fit.rank, fit.df_residual, fit.rss) == (0, 3, 14.0)
    np.testing.assert_array_equal(fit.residuals, y)
    np.testing.assert_array_equal(fit.hatvalues, np.zeros(3))


# -- weights ---------------------------------------------------------------------------------------------------------


def test_rows_of_zero_weight_have_no_part_in_the_fit():
    rng = np.random.default_rng(8)
    X, y, w = np.column_stack([np.ones(10), rng.normal(size=10)]), rng.normal(size=10), rng.uniform(0.5, 2, 10)
    w[[2, 5]] = 0
    used = w > 0
    fit, without = ols(X, y, w), ols(X[used], y[used], w[used])
    assert (fit.nobs, fit.df_residual) == (8, 6)
    for name in ("coef", "xtx_inverse", "rss"):
        np.testing.assert_array_equal(getattr(fit, name), getattr(without, name), err_msg=name)
    np.testing.assert_array_equal(fit.hatvalues[used], without.hatvalues)
    np.testing.assert_array_equal(fit.hatvalues[~used], [0, 0])
    np.testing.assert_array_equal(fit.residuals, y - fit.fitted - X @ fit.coef_low)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(fit.positive, name), getattr(without, name), err_msg=name)


def test_a_saturated_fit_leaves_nothing_in_its_rows_and_all_in_those_of_zero_weight():
    X = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    fit = ols(X, np.array([0.0, 1.0, 5.0]), np.array([1.0, 1.0, 0.0]))
    np.testing.assert_array_equal(fit.residuals, [0, 0, 3])  # R's lm
    assert fit.rss == 0


def test_a_saturated_fit_has_a_residual_sum_of_squares_of_zero_whatever_rounding_leaves():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        assert ols(rng.normal(size=(4, 4)), rng.normal(size=4)).rss == 0


def test_residuals_are_of_the_coefficients_before_they_were_rounded():
    fit = ols(np.ones((3, 1)), np.array([1e8, 1e8, 1e8 + 1]))
    np.testing.assert_allclose(fit.residuals, np.array([-1, -1, 2]) / 3, rtol=1e-14)


def test_weights_that_are_all_positive_leave_the_fit_as_it_is():
    fit = ols(np.ones((3, 1)), np.arange(3.0), np.array([1.0, 2.0, 3.0]))
    assert fit.positive is fit
    assert fit.nobs == 3


def test_all_weights_zero_leave_nothing_to_estimate():
    fit = ols(np.ones((3, 1)), np.arange(3.0), np.zeros(3))
    assert (fit.nobs, fit.rank, fit.rss) == (0, 0, 0.0)
    assert np.isnan(fit.coef).all()


# -- refusals --------------------------------------------------------------------------------------------------------


def refused(X: np.ndarray, y: np.ndarray, w: np.ndarray | None = None) -> str:
    with pytest.raises(DataError) as caught:
        ols(X, y, w)
    return f"{caught.value.kind}: {caught.value}"


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_is_refused_by_name(bad):
    X, y, w = np.ones((3, 1)), np.arange(3.0), np.ones(3)
    spoiled = np.array([1.0, bad, 2.0])
    assert refused(spoiled[:, None], y) == "infinite-values: NA/NaN/Inf in 'x'"
    assert refused(X, spoiled) == "infinite-values: NA/NaN/Inf in 'y'"
    assert refused(X, y, spoiled * w).split(":")[0] in ("infinite-values", "bad-option")


def test_negative_weights_are_refused():
    assert refused(np.ones((2, 1)), np.ones(2), np.array([1.0, -1.0])) == (
        "bad-option: missing or negative weights not allowed"
    )


def test_a_fit_keeps_what_it_was_given():
    X, y = np.ones((3, 1)), np.arange(3.0)
    fit = ols(X, y)
    assert isinstance(fit, LeastSquares)
    assert fit.X is X
    assert fit.y is y
    assert fit.weights is None
    assert fit.X_kept is X
