"""Double-double arithmetic, sums of products and the normal equations, against rational arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refimpl import linalg
from refimpl.linalg import DD, ROWS, SLICE_BITS, exact
from tests.refimpl import exact as rational

EPS = 2.0**-53
DD_EPS = Fraction(1, 2**104)  # what double-double operations lose, relative to their operands

# far enough from the ends of the exponent range that no product or its error over- or underflows
moderate = st.floats(-1e60, 1e60, allow_subnormal=False).filter(lambda a: a == 0 or abs(a) > 1e-60)


@st.composite
def numbers(draw):
    """A double-double number as 1 x 1 array, its low part up to half a unit of the high one."""
    hi = draw(moderate)
    s, e = linalg.two_sum(np.array([[hi]]), np.array([[hi * draw(st.floats(-1, 1)) * EPS]]))
    return DD(s, e)


def value(a: DD) -> Fraction:
    return rational.of(a)[0][0]


@given(moderate, moderate)
def test_two_sum_is_exact(a, b):
    s, e = linalg.two_sum(np.array(a), np.array(b))
    assert s == a + b
    assert Fraction(float(s)) + Fraction(float(e)) == Fraction(a) + Fraction(b)


@given(moderate, moderate)
def test_two_product_is_exact(a, b):
    p, e = linalg.two_product(np.array(a), np.array(b))
    assert p == a * b
    assert Fraction(float(p)) + Fraction(float(e)) == Fraction(a) * Fraction(b)


@given(numbers(), numbers())
def test_double_double_sums_lose_only_the_last_bits_of_their_terms(a, b):
    size = abs(value(a)) + abs(value(b))
    assert abs(value(a + b) - (value(a) + value(b))) <= DD_EPS * size
    assert abs(value(a - b) - (value(a) - value(b))) <= DD_EPS * size


@given(numbers(), numbers())
def test_double_double_products_lose_only_their_last_bits(a, b):
    assert abs(value(a * b) - value(a) * value(b)) <= DD_EPS * abs(value(a) * value(b))


@given(numbers(), numbers().filter(lambda b: float(b.hi[0, 0]) != 0))
def test_double_double_quotients_lose_only_their_last_bits(a, b):
    assert abs(value(a / b) - value(a) / value(b)) <= DD_EPS * abs(value(a) / value(b))


@given(numbers(), numbers())
def test_double_double_results_are_normal(a, b):
    for c in (a + b, a - b, a * b):
        assert c.hi + c.lo == c.hi


def matrix(seed: int, n: int, p: int, bits: int = 53) -> np.ndarray:
    """Numbers in [-1, 1] with so many bits, of sizes that differ by up to 2^20."""
    rng = np.random.default_rng(seed)
    A = np.round(rng.uniform(-1, 1, (n, p)) * 2.0 ** min(bits, 52)) / 2.0 ** min(bits, 52)
    return A * 2.0 ** -rng.integers(0, 21 if bits == 53 else 1, (n, p))


seeds = st.integers(0, 2**32 - 1)


@given(seeds)
def test_slices_add_up_and_hold_few_bits(seed):
    A = matrix(seed, 7, 3)
    rest, B = A.copy(), np.empty((14, 3))
    linalg.slices(rest, B)
    A1, A2 = np.split(B, 2)
    sums = [
        [sum(map(Fraction, cell)) for cell in zip(*row, strict=True)]
        for row in zip(A1.tolist(), A2.tolist(), rest.tolist(), strict=True)
    ]
    assert sums == rational.fractions(A)
    for part, bits in ((A1, SLICE_BITS), (A2, 2 * SLICE_BITS)):
        np.testing.assert_array_equal(part * 2.0**bits, np.round(part * 2.0**bits))
    assert np.abs(A2).max() <= 2.0**-SLICE_BITS
    assert np.abs(rest).max() <= 2.0 ** (-2 * SLICE_BITS)


def worst(got: DD, wanted: rational.Matrix) -> float:
    """The largest absolute error of a double-double matrix."""
    pairs = zip(rational.of(got), wanted, strict=True)
    return max(float(abs(a - b)) for x, y in pairs for a, b in zip(x, y, strict=True))


# A product of n numbers below one errs by less than n 2^-85: the slices' rests, of 2^-42 each, are added in double.
def allowed(n: int) -> float:
    return n * 2.0**-85


@settings(max_examples=30)
@given(seeds, st.integers(1, 9), st.integers(1, 4), st.integers(0, 3))
def test_gram_is_right_to_85_bits(seed, n, p, q):
    A, B = matrix(seed, n, p), matrix(seed + 1, n, q)
    both = np.hstack([A, B])
    G = linalg.gram([A, B], np.ones(p + q))
    assert worst(G, rational.product(rational.transpose(rational.fractions(both)), rational.fractions(both))) <= (
        allowed(n)
    )
    np.testing.assert_array_equal(G.hi, G.hi.T)


@settings(max_examples=30)
@given(seeds, st.integers(1, 9), st.integers(1, 4))
def test_weighted_gram_is_right_to_85_bits(seed, n, p):
    A = matrix(seed, n, p)
    w = np.random.default_rng(seed).uniform(0, 1, n)
    w[::3] = 0
    weighted = [[Fraction(v) * a for a in row] for v, row in zip(w.tolist(), rational.fractions(A), strict=True)]
    wanted = rational.product(rational.transpose(weighted), rational.fractions(A))
    assert worst(linalg.weighted_gram([A], w, np.ones(p)), wanted) <= allowed(n)


@pytest.mark.parametrize("n", [0, 1, ROWS - 1, ROWS, ROWS + 1, 2 * ROWS + 3])
def test_gram_is_exact_where_numbers_are_short_across_blocks_of_rows(n):
    A = matrix(n, n, 2, bits=20)
    whole = (A * 2.0**20).astype(np.int64).astype(object)
    wanted = [[Fraction(int(v), 2**40) for v in row] for row in (whole.T @ whole).tolist()] if n else [[0, 0], [0, 0]]
    assert rational.of(linalg.gram([A], np.ones(2))) == wanted
    assert rational.of(linalg.weighted_gram([A], np.full(n, 0.5), np.ones(2))) == [[v / 2 for v in r] for r in wanted]


def test_gram_scales_columns_by_powers_of_two_without_rounding():
    A = matrix(5, 20, 3)
    scale = np.array([2.0**-30, 1.0, 2.0**40])
    plain, scaled = linalg.gram([A], np.ones(3)), linalg.gram([A / scale], scale)
    np.testing.assert_array_equal(plain.hi, scaled.hi)
    np.testing.assert_array_equal(plain.lo, scaled.lo)


@settings(max_examples=30)
@given(seeds, st.integers(1, 4), st.integers(1, 5), st.integers(1, 4))
def test_product_is_right_to_85_bits_of_the_sizes_multiplied(seed, p, k, q):
    A, B = (DD(a, matrix(seed + 7, *a.shape) * a * EPS) for a in (matrix(seed, p, k), matrix(seed + 1, k, q)))
    wanted = rational.product(rational.of(A), rational.of(B))
    assert worst(linalg.product(A, B), wanted) <= allowed(k) * np.abs(A.hi).max() * np.abs(B.hi).max() * 4


@settings(max_examples=30)
@given(seeds, st.integers(1, 5))
def test_back_substitution_inverts_a_triangle(seed, k):
    rng = np.random.default_rng(seed)
    U = exact(np.triu(rng.uniform(0.5, 1, (k, k))))
    B = exact(rng.uniform(-1, 1, (k, 2)))
    X = linalg.back_substitute(U, B)
    left = rational.product(rational.of(U), rational.of(X))
    size = max(np.abs(X.hi).max(), 1.0)
    assert max(abs(a - b) for x, y in zip(left, rational.of(B), strict=True) for a, b in zip(x, y, strict=True)) <= (
        DD_EPS * 16 * k * Fraction(float(size))
    )


# -- the normal equations --------------------------------------------------------------------------------------------


def normal_matrix(X: np.ndarray, y: np.ndarray) -> DD:
    """[X y]'[X y] of columns scaled to lengths near one."""
    A = np.column_stack([X, y])
    return linalg.gram([A], linalg.power_of_two(np.linalg.norm(A, axis=0)))


@st.composite
def problems(draw, condition=1e5):
    """X = Q diag(d) V' (n, p) with a drawn spectrum d, and y = X b + e."""
    n, p = draw(st.integers(6, 14)), draw(st.integers(1, 4))
    d = np.array([draw(st.floats(0, 1)) for _ in range(p)])
    rng = np.random.default_rng(draw(seeds))
    Q, V = np.linalg.qr(rng.normal(size=(n, p)))[0], np.linalg.qr(rng.normal(size=(p, p)))[0]
    X = Q @ np.diag(condition**-d) @ V.T
    return X, X @ rng.normal(size=p) + rng.normal(size=n) * draw(st.sampled_from([1e-8, 1.0, 1e3]))


@settings(max_examples=60, deadline=None)
@given(problems())
def test_refined_and_pivoted_solutions_are_the_same(problem):
    X, y = problem
    G = normal_matrix(X, y)
    p = X.shape[1]
    refined = linalg.refined_solution(G, np.linalg.cholesky(G.hi[:p, :p]))
    pivoted = linalg.pivoted_solution(G, 1e-7)
    np.testing.assert_array_equal(refined.kept, pivoted.kept)
    size = np.abs(pivoted.coef.hi).max()
    np.testing.assert_allclose(refined.coef.hi, pivoted.coef.hi, rtol=2 * EPS, atol=2 * EPS * 1e-6 * size)
    root = np.sqrt(np.diag(pivoted.inverse))
    np.testing.assert_allclose(
        refined.inverse / np.outer(root, root), pivoted.inverse / np.outer(root, root), atol=16 * EPS
    )
    noise = allowed(len(y)) * (1 + np.abs(refined.coef.hi).sum()) ** 2  # of y'y - 2b'X'y + b'X'Xb
    assert refined.rss == pytest.approx(pivoted.rss, rel=4 * EPS, abs=noise)


@settings(max_examples=40, deadline=None)
@given(problems(condition=1e9))
def test_solutions_are_those_of_rational_arithmetic(problem):
    X, y = problem
    A = np.column_stack([X, y])
    scale = linalg.power_of_two(np.linalg.norm(A, axis=0))
    solved = linalg.solve_normal_equations(linalg.gram([A], scale), 0.0)
    true = rational.least_squares(X * scale[:-1], y * scale[-1])
    assert solved.kept.all()
    # the normal matrix is right to 2^-94, and its condition is the square of the columns'
    noise = 2.0**-94 * np.linalg.cond(X * scale[:-1]) ** 2
    largest = float(max(map(abs, true.coef)))
    for mine, wanted in zip(rational.of(solved.coef[:, None]), true.coef, strict=True):
        assert abs(mine[0] - wanted) <= Fraction(1, 2**70) * abs(wanted) + Fraction(noise * largest)
    low = allowed(len(y)) * (1 + sum(abs(float(b)) for b in true.coef)) ** 2
    assert abs(Fraction(solved.rss) - true.rss) <= Fraction(1, 2**52) * true.rss + Fraction(low)


def test_a_column_that_earlier_ones_make_up_is_left_out():
    rng = np.random.default_rng(1)
    a, b, c = rng.normal(size=(3, 20))
    X = np.column_stack([a, b, a - 2 * b, c, np.zeros(20), a + c])
    solved = linalg.solve_normal_equations(normal_matrix(X, rng.normal(size=20)), 1e-7)
    np.testing.assert_array_equal(solved.kept, [True, True, False, True, False, False])
    assert solved.inverse.shape == (3, 3)
    assert solved.coef.hi.shape == (3,)


@pytest.mark.parametrize(("distance", "kept"), [(1.1e-7, True), (0.9e-7, False), (1.1e-3, True), (0.9e-3, True)])
def test_the_tolerance_is_a_share_of_the_column_s_own_length(distance, kept):
    Q = np.linalg.qr(np.random.default_rng(2).normal(size=(30, 3)))[0]
    X = np.column_stack([Q[:, 0], 100 * (Q[:, 0] + distance * Q[:, 1])])
    solved = linalg.solve_normal_equations(normal_matrix(X, Q[:, 2] + Q[:, 0]), 1e-7)
    np.testing.assert_array_equal(solved.kept, [True, kept])
    coarse = linalg.solve_normal_equations(normal_matrix(X, Q[:, 2] + Q[:, 0]), 1e-3)
    np.testing.assert_array_equal(coarse.kept, [True, distance > 1e-3])


def test_no_columns_leave_the_sum_of_squares():
    y = np.array([3.0, 4.0])
    solved = linalg.solve_normal_equations(linalg.gram([np.empty((2, 0)), y[:, None]], np.array([0.125])), 1e-7)
    assert solved.kept.shape == (0,)
    assert solved.inverse.shape == (0, 0)
    assert solved.rss == 25 / 64


@settings(max_examples=40, deadline=None)
@given(problems(condition=1e6))
def test_the_inverse_root_makes_columns_orthonormal(problem):
    X = problem[0] / np.linalg.norm(problem[0], axis=0)
    root = linalg.inverse_root(linalg.gram([X], np.ones(X.shape[1])))
    Q = X @ root
    np.testing.assert_allclose(Q.T @ Q, np.eye(X.shape[1]), atol=64 * np.finfo(float).eps * np.linalg.cond(X))
    np.testing.assert_array_equal(root, np.triu(root))
    wanted = np.array([[float(v) for v in row] for row in rational.least_squares(X, problem[1]).inverse])
    size = np.sqrt(np.diag(wanted))
    np.testing.assert_allclose(root @ root.T / np.outer(size, size), wanted / np.outer(size, size), atol=1e-13)
