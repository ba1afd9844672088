"""Transformations against dense projections, and what they are at their limits."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refimpl.panel.index import PanelIndex, panel_index
from refimpl.panel.transforms import Groups, Transformer, crossed, deviations

Array = np.ndarray


def index_of(ids: Array, times: Array) -> PanelIndex:
    return panel_index({"id": ids, "t": times}, ("id", "t"))


@st.composite
def panels(draw: st.DrawFn, most: int = 9) -> PanelIndex:
    """Any panel: unbalanced, disconnected, unsorted, with an individual twice at a time."""
    n, T = draw(st.integers(1, most)), draw(st.integers(1, most))
    rows = draw(st.integers(2, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return index_of(rng.integers(0, n, rows), rng.integers(0, T, rows))


def dummies(panel: PanelIndex, effect: str) -> Array:
    parts = {"individual": [panel.id], "time": [panel.time], "twoways": [panel.id, panel.time]}[effect]
    return np.hstack([np.eye(part.size)[part.codes] for part in parts])


def residual_maker(Z: Array) -> Array:
    return np.eye(len(Z)) - Z @ np.linalg.pinv(Z)


@settings(max_examples=60)
@given(panels(), st.sampled_from(["individual", "time", "twoways"]), st.integers(0, 2**32 - 1))
def test_within_is_the_residual_of_the_dummies(panel: PanelIndex, effect: str, seed: int) -> None:
    A = np.random.default_rng(seed).normal(size=(panel.N, 3)) * [1.0, 1e6, 1e-6]
    got = Transformer(panel, effect).within(np.asfortranarray(A))  # type: ignore[arg-type]
    wanted = residual_maker(dummies(panel, effect)) @ A
    np.testing.assert_allclose(got / [1.0, 1e6, 1e-6], wanted / [1.0, 1e6, 1e-6], atol=1e-13)


@settings(max_examples=60)
@given(panels(), st.floats(0.01, 100), st.floats(0.01, 100), st.integers(0, 2**32 - 1))
def test_two_way_effects_are_predicted_as_the_mixed_model_equations_say(
    panel: PanelIndex, first: float, second: float, seed: int
) -> None:
    y = np.random.default_rng(seed).normal(size=(panel.N, 1))
    u, v = crossed(panel, (first, second)).effects(y)
    Z = dummies(panel, "twoways")
    ridge = np.diag(np.repeat([1 / first, 1 / second], [panel.n, panel.T]))
    wanted = np.linalg.solve(Z.T @ Z + ridge, Z.T @ y)
    np.testing.assert_allclose(np.vstack([u, v]), wanted, atol=1e-11)


@settings(max_examples=30)
@given(panels(), st.booleans(), st.integers(0, 2**32 - 1))
def test_an_effect_without_variance_is_not_predicted(panel: PanelIndex, of_times: bool, seed: int) -> None:
    y = np.random.default_rng(seed).normal(size=(panel.N, 1))
    u, v = crossed(panel, (0.0, 2.0) if of_times else (2.0, 0.0)).effects(y)
    gone, left = (u, v) if of_times else (v, u)
    groups = Groups(panel.time if of_times else panel.id)
    np.testing.assert_array_equal(gone, 0.0)
    np.testing.assert_allclose(left[:, 0], groups.sums_of(y[:, 0]) / (groups.counts + 0.5), atol=1e-13)


@settings(max_examples=30)
@given(panels(), st.sampled_from(["individual", "time"]), st.integers(0, 2**32 - 1))
def test_quasi_deviations_lie_between_none_and_all(panel: PanelIndex, effect: str, seed: int) -> None:
    A = np.asfortranarray(np.random.default_rng(seed).normal(size=(panel.N, 2)))
    transformer = Transformer(panel, effect)  # type: ignore[arg-type]
    name, groups = next(iter(transformer.parts.items()))
    none = transformer.quasi(A, {name: np.zeros(groups.size)})
    everything = transformer.quasi(A, {name: np.ones(groups.size)})
    np.testing.assert_array_equal(none, A)
    np.testing.assert_allclose(everything, transformer.within(A), atol=1e-14)


def test_deviations_from_large_means_keep_their_digits() -> None:
    """A mean of 1e9 rounds to 1e-7; taken twice, only what the data themselves had lost is lost."""
    rng = np.random.default_rng(3)
    codes = np.repeat(np.arange(20), 25)
    small = rng.integers(-1000, 1000, 500) / 1024.0  # exact beside 1e9
    panel = index_of(codes, np.tile(np.arange(25), 20))
    wanted = small - (np.bincount(codes, small) / 25)[codes]
    got = deviations(Groups(panel.id), (small + 1e9)[:, None])[:, 0]
    np.testing.assert_allclose(got, wanted, atol=1e-15)


def test_differences_are_by_row_within_individuals() -> None:
    panel = index_of(np.array([1, 1, 1, 2, 3, 3]), np.array([1, 2, 9, 1, 1, 2]))
    x = np.array([[1.0], [4.0], [9.0], [100.0], [5.0], [7.0]])
    assert Transformer(panel, "individual").differences(x)[:, 0].tolist() == [3.0, 5.0, 2.0]


@pytest.mark.parametrize("shuffled", [False, True])
def test_two_way_effects_of_many_individuals_need_little_memory(shuffled: bool) -> None:
    """100,000 rows, 20,000 individuals, 40 times: dummies would take 16 GB."""
    rng = np.random.default_rng(5)
    cells = rng.permutation(20_000 * 40)[:100_000]
    cells = cells if shuffled else np.sort(cells)
    panel = index_of(cells // 40, cells % 40)
    A = np.asfortranarray(rng.normal(size=(100_000, 2)))
    tracemalloc.start()
    got = Transformer(panel, "twoways").within(A)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60e6
    for part in (panel.id, panel.time):
        assert np.abs(Groups(part).sums(got)).max() < 1e-9
