"""What runs is the normative text: objective, gradient, modes and conditional covariances on random models."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings

from compat.cases import DataUnavailable, load_cases
from refimpl.formula import parse
from refimpl.formula.bars import mixed_frame
from refimpl.least_squares import ols
from refimpl.linalg import Array
from refimpl.mixed import blocks as blocks_room
from refimpl.mixed import levels
from refimpl.mixed import profile as profile_room
from refimpl.mixed.blocks import Blocks, Term
from refimpl.mixed.objective import dense_terms, profiled_deviance
from refimpl.mixed.profile import Point, evaluate, triangles, vector
from tests.compat.fakes import frozen_values
from tests.refimpl.exact_mixed import ExactProfile, exact_profile
from tests.refimpl.mixed_models import Drawn, models, moves, random_codes, textbook

QUIET = settings(deadline=None, derandomize=True)


def gradient(point: Point) -> Array:
    """By the lower triangles of the scaled factors."""
    return vector([N - D for N, D in point.parts])


def user_gradient(blocks: Blocks, scaled: Array) -> Array:
    """The same by the user's thetas: Lambda = T Lambda_scaled."""
    sizes = [term.r for term in blocks.terms]
    pairs = zip(blocks.to_user, triangles(scaled, sizes), strict=True)
    return vector([np.tril(np.linalg.solve(T.T, G)) for T, G in pairs])


def exact(model: Drawn, Lambda: Array) -> ExactProfile:
    Z, _ = model.dense()
    return exact_profile(model.X, model.y, Z, Lambda, model.REML, model.weights, moves(model.terms))


GIVEN = {case.id: case for case in load_cases("lmer-*") if "theta_at" in case.options}


@pytest.mark.parametrize("name", GIVEN)
def test_normative_objective_is_lme4s_at_given_thetas(name: str) -> None:
    """Frozen values of lme4's own devfun, from the matrices that the formula makes."""
    case = GIVEN[name]
    try:
        data = case.data
    except DataUnavailable as absent:
        pytest.skip(absent.reason)
    extra = {key: data[case.options[key]] for key in ("weights", "offset") if key in case.options}
    mixed = mixed_frame(parse(case.formula), data, extra)
    X, y, w = mixed.fixed.X, mixed.frame.response, mixed.frame.extra.get("weights")
    assert y is not None
    for shift in (mixed.fixed.offset, mixed.frame.extra.get("offset")):
        y = y if shift is None else y - np.asarray(shift)
    X = X[:, ols(X, y, w).kept]
    terms = [(term.codes, term.matrix.X) for term in mixed.random.terms]
    ends = np.cumsum([r * (r + 1) // 2 for r in (M.shape[1] for _, M in terms)])
    known = frozen_values(case)["objective_at"]
    assert len(known) == len(case.options["theta_at"]) > 0
    for at, theta in enumerate(case.options["theta_at"], 1):
        Z, Lambda = dense_terms(terms, np.split(np.array(theta), ends[:-1]))
        mine = profiled_deviance(X, y, Z, Lambda, case.options["REML"], None if w is None else np.asarray(w))
        assert mine.objective == pytest.approx(known[str(at)], rel=1e-12)


@given(models(fixed=1))
@settings(QUIET, max_examples=300)
def test_blocks_give_the_normative_objective(model: Drawn) -> None:
    Z, Lambda = model.dense()
    wanted = profiled_deviance(model.X, model.y, Z, Lambda, model.REML, model.w)
    blocks = model.blocks
    point = evaluate(blocks, model.scaled(blocks), model.REML)
    assert point.objective == pytest.approx(wanted.objective, rel=1e-11)
    assert point.pwrss == pytest.approx(wanted.pwrss, rel=1e-10)
    np.testing.assert_allclose(blocks.b0 + blocks.R0_inverse @ point.beta, wanted.beta, rtol=1e-8, atol=1e-9)


@given(models(fixed=1))
@settings(QUIET, max_examples=100)
def test_zeros_stored_or_not_make_no_difference(model: Drawn) -> None:
    stored = model.blocks
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks_room, "SMALL", -1)
        patch.setattr(blocks_room, "FEW", 2.0)
        patch.setattr(blocks_room, "MANY", 0)
        sparse = model.blocks
    assert stored.H2.values.ndim == 3
    assert sparse.H2.values.ndim == 2
    left, right = (evaluate(blocks, model.scaled(blocks), model.REML) for blocks in (stored, sparse))
    assert left.objective == pytest.approx(right.objective, rel=1e-11)
    for ours, theirs in zip(left.parts + left.scores, right.parts + right.scores, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-8)
    for ours, theirs in zip(left.conditional + left.modes, right.conditional + right.modes, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(left.information, right.information, rtol=1e-6, atol=1e-7)


@given(models(rows=(10, 16), most=2, levels=4))
@settings(QUIET, max_examples=25)
def test_objective_gradient_and_coefficients_are_those_of_rational_arithmetic(model: Drawn) -> None:
    blocks = model.blocks
    _, Lambda = model.dense()
    want = exact(model, Lambda)
    point = evaluate(blocks, model.scaled(blocks), model.REML)
    shift = Decimal(np.log(model.weights).sum())
    assert abs(float(Decimal(point.objective) - want.objective)) <= 1e-12 * max(1.0, abs(point.objective), float(shift))
    size = user_gradient(blocks, vector([np.abs(N) + np.abs(D) for N, D in point.parts]))
    wanted = np.array([float(value) for value in want.gradient])
    allowed = 1e-11 * (np.abs(size).max(initial=0.0) + np.abs(wanted) + 1.0)
    assert (np.abs(user_gradient(blocks, gradient(point)) - wanted) <= allowed).all()
    b = np.array([float(value) for value in want.beta])
    np.testing.assert_allclose(blocks.b0 + blocks.R0_inverse @ point.beta, b, rtol=1e-10, atol=1e-11)


@given(models(fixed=1))
@settings(QUIET, max_examples=100)
def test_gradient_by_factors_is_twice_the_one_by_sigma_times_the_factor(model: Drawn) -> None:
    blocks = model.blocks
    point = evaluate(blocks, model.scaled(blocks), model.REML)
    for (N, D), (by_N, by_D), factor in zip(point.scores, point.parts, point.factors, strict=True):
        size = (np.abs(N).max() + np.abs(D).max()) * np.abs(factor).max(initial=0.0)
        np.testing.assert_allclose(2 * N @ factor, by_N, rtol=0, atol=1e-10 * size)
        np.testing.assert_allclose(2 * D @ factor, by_D, rtol=0, atol=1e-10 * size)


@given(models(fixed=1))
@settings(QUIET, max_examples=150)
def test_modes_and_conditional_covariances_are_the_textbooks(model: Drawn) -> None:
    blocks, want = model.blocks, textbook(model)
    point = evaluate(blocks, model.scaled(blocks), model.REML)
    size, start = 1 + np.abs(want.b).max(), 0
    for term, T, b, C in zip(model.terms, blocks.to_user, point.modes, point.conditional, strict=True):
        here = slice(start, start + term.levels * term.r)
        np.testing.assert_allclose((b @ T.T).ravel(), want.b[here], rtol=0, atol=1e-9 * size)
        dense = want.conditional[here, here].reshape(term.levels, term.r, term.levels, term.r)
        own = dense[np.arange(term.levels), :, np.arange(term.levels)]
        np.testing.assert_allclose(T @ C @ T.T, own, rtol=0, atol=1e-9 * (1 + np.abs(own).max()))
        start = here.stop


@given(models(fixed=1))
@settings(QUIET, max_examples=60)
def test_average_information_is_its_definition(model: Drawn) -> None:
    blocks = model.blocks
    point = evaluate(blocks, model.scaled(blocks), model.REML)
    scaled = tuple(replace(term, Z=term.Z @ T) for term, T in zip(model.terms, blocks.to_user, strict=True))
    Z, Lambda = replace(model, terms=scaled, factors=tuple(point.factors)).dense()
    inverse = np.linalg.inv(np.diag(1 / model.weights) + Z @ Lambda @ Lambda.T @ Z.T)
    VX = inverse @ model.X
    P = inverse - VX @ np.linalg.solve(model.X.T @ VX, VX.T)
    unit = point.df / (model.y @ P @ model.y)
    Py, steps = np.sqrt(unit) * P @ model.y, moves(scaled, lower=False)
    score = (P if model.REML else inverse) - np.outer(Py, Py)
    W = np.array([Z @ (E @ Lambda.T + Lambda @ E.T) @ Z.T @ Py for E in steps])
    curved = [[np.sum(score * (Z @ (E @ D.T + D @ E.T) @ Z.T)) for D in steps] for E in steps]
    wanted = W @ P @ W.T - np.outer(W @ Py, W @ Py) / point.df + curved
    known = np.concatenate([np.full(L.size, (L.diagonal() != 0).all()) for L in point.factors])
    which = np.ix_(known, known)  # without a factor its score is not to be had from the gradient
    size = np.sqrt(np.abs(np.outer(wanted.diagonal(), wanted.diagonal()))) + np.abs(wanted).max(initial=0.0) * 1e-3
    assert (np.abs(point.information - wanted)[which] <= 1e-6 * size[which]).all()


@given(models(fixed=1))
@settings(QUIET, max_examples=60)
def test_objectives_are_apart_by_the_determinant_of_the_fixed_effects(model: Drawn) -> None:
    blocks = model.blocks
    ml, reml = (evaluate(blocks, model.scaled(blocks), REML) for REML in (False, True))
    n, p = model.X.shape
    logdet = -np.linalg.slogdet(textbook(model).inverse)[1]
    per_row = [df * (1 + np.log(2 * np.pi * ml.pwrss / df)) for df in (n, n - p)]
    assert reml.objective - ml.objective == pytest.approx(logdet + per_row[1] - per_row[0], rel=1e-9, abs=1e-8)


def test_columns_of_a_level_that_depend_cost_nothing() -> None:
    rng = np.random.default_rng(8)
    codes = np.repeat(np.arange(5), 4)
    Z = np.array([np.ones(20), codes + 1.0, rng.normal(size=20)])
    Q, F = levels.qr(Z, codes, 5)
    for j in range(5):
        q, f = Q[:, codes == j].T, F[:, :, j].T
        np.testing.assert_allclose(q @ f, Z[:, codes == j].T, atol=1e-14)
        np.testing.assert_allclose(q.T @ q, np.diag([1.0, 0.0, 1.0]), atol=1e-14)


@pytest.mark.parametrize("weighted", [False, True])
def test_cross_products_that_are_differences_give_the_normative_objective(
    weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks_room, "MANY", 0)
    rng = np.random.default_rng(9)
    one, two = (codes.ravel() for codes in np.indices((9, 8)))  # every level of one with every level of the other
    terms = (Term(one, 9, np.ones((72, 1))), Term(two, 8, np.column_stack([np.ones(72), rng.normal(size=72)])))
    factors = (np.array([[0.7]]), np.array([[1.2, 0.0], [-0.4, 0.5]]))
    X, y = np.column_stack([np.ones(72), rng.normal(size=72)]), rng.normal(size=72) + two
    model = Drawn(X, y, rng.uniform(0.5, 2, 72) if weighted else None, terms, factors, True)
    blocks = model.blocks
    assert np.bincount(blocks.H2.level, minlength=9)[one].sum() > 4 * 2 * 72  # what asks for the difference
    Z, Lambda = model.dense()
    wanted = profiled_deviance(X, y, Z, Lambda, True, model.w)
    assert evaluate(blocks, model.scaled(blocks), True).objective == pytest.approx(wanted.objective, rel=1e-12)


def test_conditional_covariances_are_the_same_a_few_levels_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(10)
    one, two = (codes.ravel() for codes in np.indices((9, 4)))
    terms = (Term(one, 9, np.ones((36, 1))), Term(two, 4, np.ones((36, 1))))
    factors = (np.array([[0.7]]), np.array([[1.2]]))
    model = Drawn(np.ones((36, 1)), rng.normal(size=36), None, terms, factors, True)
    blocks = model.blocks
    at_once = evaluate(blocks, model.scaled(blocks), True).conditional
    monkeypatch.setattr(profile_room, "LEVELS_AT_ONCE", 2)
    for got, wanted in zip(evaluate(blocks, model.scaled(blocks), True).conditional, at_once, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-13)


def test_normative_text_takes_a_row_of_no_weight_for_none() -> None:
    rng = np.random.default_rng(4)
    X, y, w = np.ones((12, 1)), rng.normal(size=12), np.ones(12)
    codes = random_codes(rng, 12, 3)
    w[5] = 0.0
    Z, Lambda = dense_terms([(codes, X)], [np.array([0.7])])
    kept = w > 0
    with_it = profiled_deviance(X, y, Z, Lambda, True, w)
    without = profiled_deviance(X[kept], y[kept], Z[kept], Lambda, True)
    assert with_it.objective == pytest.approx(without.objective, rel=1e-14)
    np.testing.assert_allclose(with_it.u, without.u, rtol=1e-13)
