"""Variance components: the expectations that they rest on, written out with n x n matrices, and their limits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compat.cases import load_data
from refimpl import DataError, RankDeficient, plm
from refimpl.panel.index import PanelIndex, panel_index
from refimpl.panel.transforms import Transformer
from refimpl.panel.variance_components import Forms, variance_components

Array = np.ndarray


@st.composite
def problems(draw: st.DrawFn) -> tuple[Array, Array, PanelIndex]:
    """X with an intercept, y, and an unbalanced panel whose rows are in order, some cells with two of them."""
    n, T = draw(st.integers(5, 8)), draw(st.integers(5, 7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    keep = rng.random(n * T) < draw(st.sampled_from([0.7, 1.0]))
    keep[:T] = keep[::T] = True
    cells = np.flatnonzero(keep)
    cells = np.repeat(cells, 1 + (rng.random(len(cells)) < draw(st.sampled_from([0.0, 0.3]))))
    ids, times = cells // T, cells % T
    panel = panel_index({"id": ids, "t": times}, ("id", "t"))
    X = np.column_stack([np.ones(panel.N), rng.normal(size=(panel.N, 2)) + rng.normal(size=(n, 2))[ids]])
    y = X @ rng.normal(size=3) + rng.normal(size=n)[ids] + rng.normal(size=T)[times] + rng.normal(size=panel.N)
    return np.asfortranarray(X), y, panel


def indicator(dimension: object) -> Array:
    return np.eye(dimension.size)[dimension.codes]  # type: ignore[attr-defined]


def projection(Z: Array) -> Array:
    return np.asarray(Z @ np.linalg.pinv(Z))


def dense(X: Array, y: Array, panel: PanelIndex, effect: str, models: tuple[str, str]) -> Array:
    """Moments of u'Wu and u'Pu for u = M y, M = I - X (X'QX)^-1 X'Q, all N x N; solved for the variances."""
    N, identity = panel.N, np.eye(panel.N)
    parts = {"individual": [panel.id], "time": [panel.time], "twoways": [panel.id, panel.time]}[effect]
    Zs = [indicator(part) for part in parts]
    W = identity - projection(np.hstack(Zs))
    J = np.full((N, N), 1 / N)

    def maker(model: str, P: Array) -> Array:
        if model == "within":
            x = X[:, 1:]
            return (identity - J) @ (identity - x @ np.linalg.inv(x.T @ W @ x) @ x.T @ W)
        Q = identity if model == "pooling" else P
        return identity - X @ np.linalg.inv(X.T @ Q @ X) @ X.T @ Q

    pairs = [(W, maker(models[0], W))] + [(projection(Z), maker(models[1], projection(Z))) for Z in Zs]
    rows = [[np.trace(M.T @ A @ M)] + [np.trace(M.T @ A @ M @ Z @ Z.T) for Z in Zs] for A, M in pairs]
    return np.linalg.solve(rows, [y @ M.T @ A @ M @ y for A, M in pairs])


MODELS = [
    ("within", "Between"),
    ("pooling", "pooling"),
    ("within", "within"),
    ("pooling", "Between"),
    ("within", "pooling"),
]


@settings(max_examples=25)
@given(problems(), st.sampled_from(["individual", "time", "twoways"]), st.sampled_from(MODELS))
def test_the_variances_solve_the_moment_equations(
    problem: tuple[Array, Array, PanelIndex], effect: str, models: tuple[str, str]
) -> None:
    X, y, panel = problem
    got = Forms(X, y, Transformer(panel, effect)).unbiased(models)  # type: ignore[arg-type]
    wanted = dense(X, y, panel, effect, models)
    np.testing.assert_allclose(got, wanted, rtol=1e-7, atol=1e-8 * np.abs(wanted).max())


def test_a_balanced_swamy_arora_is_the_textbooks() -> None:
    """Baltagi (2013), 2.3: mean squares of the within and of the between residuals."""
    data = load_data("grunfeld")
    fit = plm("inv ~ value + capital", data, ("firm", "year"), "random")
    within, between = (plm("inv ~ value + capital", data, ("firm", "year"), model) for model in ("within", "between"))
    s2 = within.rss / (200 - 10 - 2)
    assert fit.ercomp is not None
    assert fit.ercomp["idios"] == pytest.approx(s2, rel=1e-13)
    assert fit.ercomp["id"] == pytest.approx(between.rss / (10 - 3) - s2 / 20, rel=1e-13)
    assert fit.theta_quasi_demeaning is not None
    theta = 1 - np.sqrt(s2 / (s2 + 20 * fit.ercomp["id"]))
    assert fit.theta_quasi_demeaning["id"] == pytest.approx(theta, rel=1e-14)
    assert fit.components is not None
    assert fit.components.shares.sum() == pytest.approx(1)


def test_a_negative_variance_is_zero_and_the_model_is_pooled() -> None:
    data = load_data("grunfeld")
    fit = plm("inv ~ value + capital", data, ("firm", "year"), "random", "time")
    pooling = plm("inv ~ value + capital", data, ("firm", "year"), "pooling")
    assert fit.ercomp is not None
    assert fit.ercomp["time"] == 0
    pd.testing.assert_series_equal(fit.coef, pooling.coef)
    pd.testing.assert_frame_equal(fit.vcov, pooling.vcov)


OPTIONS = [
    ({"random_method": "swa"}, "bad-option"),
    ({"random_method": "swar", "random_models": ["within", "Between"]}, "bad-option"),
    ({"random_models": ["Between", "within"]}, "bad-option"),
    ({"random_models": ["within", "Between", "pooling"]}, "bad-option"),
    ({"random_dfcor": 4}, "bad-option"),
    ({"random_dfcor": [1, 2, 3]}, "bad-option"),
]


@pytest.mark.parametrize(("options", "kind"), OPTIONS)
def test_options_are_refused_by_kind(options: dict[str, object], kind: str) -> None:
    with pytest.raises(DataError) as refused:
        plm("inv ~ value", load_data("grunfeld"), ("firm", "year"), "random", **options)  # type: ignore[arg-type]
    assert refused.value.kind == kind


def test_dependent_columns_have_no_expectation() -> None:
    data = load_data("grunfeld")
    with pytest.raises(RankDeficient):
        plm("inv ~ value + I(2 * value)", data, ("firm", "year"), "random", random_models=["pooling"])


def test_forms_that_do_not_tell_variances_apart_are_refused() -> None:
    """Five rows, four coefficients: one residual degree of freedom cannot give two variances."""
    rng = np.random.default_rng(1)
    panel = panel_index({"id": [0, 0, 0, 1, 2], "t": [0, 1, 2, 1, 1]}, ("id", "t"))
    X = np.asfortranarray(np.column_stack([np.ones(5), rng.normal(size=(5, 3))]))
    with pytest.raises(DataError) as refused:
        variance_components(X, rng.normal(size=5), panel, "time", models=["pooling"])
    assert refused.value.kind == "not-estimable"
