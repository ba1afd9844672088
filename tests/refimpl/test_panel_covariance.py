"""Robust covariances against their formulas written out with loops, and the neighbours' factors by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compat.cases import load_data
from compat.relations_panel import panels
from compat.strategies import Problem
from refimpl import (
    DataError,
    PanelFit,
    lm,
    plm,
    plm_vcov_bk,
    plm_vcov_dc,
    plm_vcov_fixest,
    plm_vcov_hc,
    plm_vcov_linearmodels,
    plm_vcov_neighbour,
    plm_vcov_nw,
    plm_vcov_scc,
    vcov_cluster,
)
from refimpl.formula.evaluate import Evaluator
from refimpl.formula.grammar import parse
from refimpl.formula.values import Numeric
from refimpl.panel.neighbours import SMALL_SAMPLE, Counts, counts_of, fixest_factor, linearmodels_factor

Array = np.ndarray
TYPES = ("HC0", "sss", "HC1", "HC2", "HC3", "HC4")


def assert_close(got: pd.DataFrame, wanted: Array) -> None:
    """Equal relative to sqrt(v_ii v_jj)."""
    size = np.sqrt(np.abs(np.diag(wanted)))
    np.testing.assert_allclose(got.to_numpy() / np.outer(size, size), wanted / np.outer(size, size), atol=1e-10)


class Textbook:
    """The transformed rows x_it, residuals u_it, and everything as a sum over pairs of rows."""

    def __init__(self, fit: PanelFit) -> None:
        panel = fit.levels.panel
        if fit.model == "fd":
            panel = panel.take(fit.transformer.later)
        self.X, self.u = fit.transformed_columns, fit.residual_values
        self.ids, self.times = panel.id.codes, panel.time.codes
        self.M = np.linalg.inv(self.X.T @ self.X)
        self.N, self.k = self.X.shape

    def residuals(self, type: str) -> Array:
        h = np.diag(self.X @ self.M @ self.X.T)
        d = np.minimum(4, h / h.mean())
        return {
            "HC1": self.u * np.sqrt(self.N / (self.N - self.k)),
            "HC2": self.u / np.sqrt(1 - h),
            "HC3": self.u / (1 - h),
            "HC4": self.u / (1 - h) ** (d / 2),
        }.get(type, self.u)

    def sum_over(self, type: str, weight: Callable[[int, int], float]) -> Array:
        """The sum of w_rs u_r u_s x_r x_s' over all pairs of rows."""
        u = self.residuals(type)
        W = np.array([[weight(r, s) for s in range(self.N)] for r in range(self.N)])
        return np.asarray(self.M @ self.X.T @ (W * np.outer(u, u)) @ self.X @ self.M)

    def same(self, by: str) -> Callable[[int, int], float]:
        codes = self.ids if by == "group" else self.times
        return lambda r, s: float(codes[r] == codes[s])

    def factor(self, type: str, G: int) -> float:
        return G / (G - 1) * (self.N - 1) / (self.N - self.k) if type == "sss" else 1.0


MODELS = [
    ("within", "individual"),
    ("within", "twoways"),
    ("pooling", "individual"),
    ("random", "time"),
    ("fd", "individual"),
]


def fit_of(p: Problem, model: str, effect: str) -> PanelFit:
    method: dict[str, Any] = {"random_method": "nerlove"} if model == "random" else {}
    return plm(p.formula, p.frame, ("who", "wave"), model, effect, **method)  # type: ignore[arg-type]


@settings(max_examples=30)
@given(panels(times=(3, 5)), st.sampled_from(MODELS), st.sampled_from(TYPES), st.sampled_from(["group", "time"]))
def test_vcov_hc_is_its_double_sum(p: Problem, model: tuple[str, str], type: str, by: str) -> None:
    fit = fit_of(p, *model)
    book = Textbook(fit)
    G = len(set(book.ids if by == "group" else book.times))
    got = plm_vcov_hc(fit, "arellano", type, by)  # type: ignore[arg-type]
    assert_close(got, book.factor(type, G) * book.sum_over(type, book.same(by)))
    white = plm_vcov_hc(fit, "white1", type, by)  # type: ignore[arg-type]
    assert_close(white, book.factor(type, book.N) * book.sum_over(type, lambda r, s: float(r == s)))
    u, codes = book.residuals(type), book.ids if by == "group" else book.times
    means = np.array([np.mean(u[codes == c] ** 2) for c in codes])
    averaged = book.M @ (book.X * means[:, None]).T @ book.X @ book.M
    assert_close(plm_vcov_hc(fit, "white2", type, by), book.factor(type, book.N) * averaged)  # type: ignore[arg-type]


@settings(max_examples=30)
@given(panels(times=(3, 5)), st.sampled_from(MODELS[:4]), st.sampled_from(TYPES), st.integers(0, 4))
def test_lags_fade_as_bartlett_says(p: Problem, model: tuple[str, str], type: str, lags: int) -> None:
    fit = fit_of(p, *model)
    book = Textbook(fit)

    def fading(r: int, s: int) -> float:
        return max(0.0, 1 - abs(int(book.times[r]) - int(book.times[s])) / (lags + 1))

    own = book.same("group")
    T = len(set(book.times))
    assert_close(plm_vcov_scc(fit, type, lags), book.factor(type, T) * book.sum_over(type, fading))  # type: ignore[arg-type]
    both = book.sum_over(type, lambda r, s: own(r, s) * fading(r, s))
    assert_close(plm_vcov_nw(fit, type, lags), book.factor(type, book.N) * both)  # type: ignore[arg-type]


def test_lags_by_default_are_the_fourth_root_of_the_longest_series() -> None:
    fit = plm("inv ~ value + capital", load_data("grunfeld"), ("firm", "year"))
    pd.testing.assert_frame_equal(plm_vcov_scc(fit), plm_vcov_scc(fit, maxlag=2))
    pd.testing.assert_frame_equal(plm_vcov_nw(fit), plm_vcov_nw(fit, maxlag=2))
    rng = np.random.default_rng(16)  # 18 times, of which nobody has more than 15: R takes one lag
    moving = pd.DataFrame({"id": np.repeat(range(4), 15), "t": np.concatenate([i + np.arange(15) for i in range(4)])})
    short = plm("y ~ x", moving.assign(x=rng.normal(size=60), y=rng.normal(size=60)), ("id", "t"))
    pd.testing.assert_frame_equal(plm_vcov_scc(short), plm_vcov_scc(short, maxlag=1))
    assert not np.allclose(plm_vcov_scc(short), plm_vcov_scc(short, maxlag=2), rtol=1e-3)


@settings(max_examples=20)
@given(panels(), st.sampled_from(MODELS), st.sampled_from(TYPES))
def test_double_clustering_adds_and_subtracts(p: Problem, model: tuple[str, str], type: str) -> None:
    fit = fit_of(p, *model)
    parts = [plm_vcov_hc(fit, "arellano", type, by) for by in ("group", "time")]  # type: ignore[arg-type]
    wanted = parts[0] + parts[1] - plm_vcov_hc(fit, "white1", type)  # type: ignore[arg-type]
    np.testing.assert_allclose(plm_vcov_dc(fit, type), wanted, rtol=1e-10)  # type: ignore[arg-type]


@settings(max_examples=20)
@given(panels(times=(3, 5)), st.sampled_from(MODELS), st.sampled_from(["HC0", "HC3"]), st.booleans(), st.booleans())
def test_beck_and_katz_average_over_the_clusters_that_have_both(
    p: Problem, model: tuple[str, str], type: str, by_time: bool, diagonal: bool
) -> None:
    fit = fit_of(p, *model)
    book = Textbook(fit)
    outer, inner = (book.times, book.ids) if by_time else (book.ids, book.times)
    u = book.residuals(type)
    S = np.zeros((inner.max() + 1,) * 2)
    for a in range(len(S)):
        for b in range(len(S)):
            pairs = [
                u[r] * u[s]
                for r in np.flatnonzero(inner == a)
                for s in np.flatnonzero(inner == b)
                if outer[r] == outer[s]
            ]
            S[a, b] = np.mean(pairs) if pairs and (a == b or not diagonal) else 0.0
    W = (outer[:, None] == outer) * S[np.ix_(inner, inner)]
    got = plm_vcov_bk(fit, type, "time" if by_time else "group", diagonal)  # type: ignore[arg-type]
    assert_close(got, book.M @ book.X.T @ W @ book.X @ book.M)


def test_renaming_individuals_leaves_beck_and_katz() -> None:
    """plm's changes: there the first individual lacks an early time."""
    data = load_data("grunfeld-late")
    renamed = data.assign(firm=data["firm"].replace({1: 99}))
    one, other = (plm_vcov_bk(plm("inv ~ value + capital", d, ("firm", "year"))) for d in (data, renamed))
    np.testing.assert_allclose(one, other, rtol=1e-12)


# -- Grunfeld: one model, one "clustered standard error", seven answers ------------------------------------------------

FACTORS = {
    "HC0": 1.0,
    "HC1": 1.010101,
    "count-effects": 1.063830,
    "CR1": 1.111111,
    "sss": 1.116723,
    "xtreg": 1.122391,
    "areg": 1.176123,
}


@pytest.fixture(scope="module")
def grunfeld() -> PanelFit:
    return plm("inv ~ value + capital", load_data("grunfeld"), ("firm", "year"))


def test_every_factor_has_a_name_a_form_and_a_user() -> None:
    assert set(SMALL_SAMPLE) == set(FACTORS)
    for name, convention in SMALL_SAMPLE.items():
        assert convention.name == name
        assert convention.formula
        assert convention.used_by


@pytest.mark.parametrize("name", FACTORS)
def test_the_factors_of_the_grunfeld_demonstration(name: str, grunfeld: PanelFit) -> None:
    counts = counts_of(grunfeld)
    assert counts == Counts(N=200, k=2, G=10, effects=10, nested=10)
    factor = SMALL_SAMPLE[name].factor(counts)
    assert factor == pytest.approx(FACTORS[name], abs=5e-7)
    written = SMALL_SAMPLE[name].formula.replace(") (", ") * (").replace("effects", "10")
    values = {"N": 200.0, "k": 2.0, "G": 10.0}
    assert factor == pytest.approx(arithmetic(written, values), rel=1e-14)
    ratio = plm_vcov_neighbour(grunfeld, name) / plm_vcov_hc(grunfeld)
    np.testing.assert_allclose(ratio, FACTORS[name], atol=5e-7)


def arithmetic(text: str, values: dict[str, float]) -> float:
    """A closed form of sums, products and quotients, read as the formulas of models are."""
    found = Evaluator({name: np.array([x]) for name, x in values.items()}, 1, text).value(parse(f"~ I({text})").right)
    assert isinstance(found, Numeric)
    return float(found.values[0])


def test_plms_own_types_are_two_of_them(grunfeld: PanelFit) -> None:
    for name in ("HC0", "HC1", "sss"):
        assert_close(plm_vcov_neighbour(grunfeld, name), plm_vcov_hc(grunfeld, type=name).to_numpy())  # type: ignore[arg-type]


def test_dummies_with_vcov_cl_are_areg(grunfeld: PanelFit) -> None:
    dummies = lm("inv ~ value + capital + factor(firm)", load_data("grunfeld"))
    wanted = vcov_cluster(dummies, "firm", "CR1S").loc[grunfeld.coef_names, grunfeld.coef_names]
    assert_close(plm_vcov_neighbour(grunfeld, "areg"), wanted.to_numpy())


def test_effects_that_clusters_do_not_nest_are_counted() -> None:
    data = load_data("grunfeld")
    years = counts_of(plm("inv ~ value + capital", data, ("firm", "year"), effect="time"))
    assert years == Counts(N=200, k=2, G=10, effects=20, nested=0)
    both = counts_of(plm("inv ~ value + capital", data, ("firm", "year"), effect="twoways"))
    assert both == Counts(N=200, k=2, G=10, effects=29, nested=10)
    assert fixest_factor(both) == pytest.approx(10 / 9 * 199 / (200 - 2 - 20))
    assert fixest_factor(years) == pytest.approx(10 / 9 * 199 / (200 - 2 - 20))
    assert fixest_factor(both, k_fixef="full") == pytest.approx(10 / 9 * 199 / (200 - 2 - 29))
    assert fixest_factor(both, k_adj=False, G_adj=False) == 1
    assert linearmodels_factor(both) == pytest.approx(200 / (200 - 31))
    assert linearmodels_factor(both, debiased=False) == pytest.approx(200 / (200 - 29))
    assert linearmodels_factor(both, debiased=False, count_effects=False) == 1
    assert linearmodels_factor(both, group_debias=True, count_effects=True) == pytest.approx(10 / 9 * 199 / (200 - 31))


@pytest.mark.parametrize(("G_df", "factors"), [("min", (10 / 9,) * 3), ("conventional", (10 / 9, 20 / 19, 200 / 199))])
def test_both_clusterings_are_a_sum_each_with_its_factor(
    G_df: Any, factors: tuple[float, ...], grunfeld: PanelFit
) -> None:
    summands = plm_vcov_hc(grunfeld), plm_vcov_hc(grunfeld, cluster="time"), -plm_vcov_hc(grunfeld, "white1")
    rows = 199 / (200 - 2 - 1)
    wanted = sum(rows * f * V.to_numpy() for f, V in zip(factors, summands, strict=True))
    assert_close(plm_vcov_fixest(grunfeld, "both", G_df=G_df), wanted)
    own = 10 / 9 * 199 / 200, 20 / 19 * 199 / 200, 1.0
    wanted = sum(200 / 188 * f * V.to_numpy() for f, V in zip(own, summands, strict=True))
    assert_close(plm_vcov_linearmodels(grunfeld, "both", group_debias=True), wanted)
    assert plm_vcov_fixest(grunfeld).equals(plm_vcov_neighbour(grunfeld, "xtreg"))


def test_rows_of_one_cell_are_one_cluster() -> None:
    data = load_data("grunfeld")
    twice = pd.concat([data, data.iloc[:30]])
    with pytest.warns(UserWarning, match="duplicate"):
        fit = plm("inv ~ value + capital", twice, ("firm", "year"))
    found = plm_vcov_fixest(fit, "both", k_adj=False, G_adj=False)
    cells = vcov_cluster(lm("inv ~ value + capital + factor(firm)", twice), ["firm", "year"], "CR0")
    assert_close(found, cells.loc[fit.coef_names, fit.coef_names].to_numpy())


def test_hc1_of_differences_is_not_below_one() -> None:
    """plm 2.6-2 multiplies by 190/197 where 190/187 belongs; the case plm-vcov-fd-arellano-hc1 shows it."""
    fit = plm("inv ~ value + capital", load_data("grunfeld"), ("firm", "year"), "fd")
    np.testing.assert_allclose(plm_vcov_hc(fit, type="HC1") / plm_vcov_hc(fit), 190 / 187, rtol=1e-12)


REFUSED: list[tuple[Callable[[PanelFit], Any], str]] = [
    (lambda fit: plm_vcov_hc(fit, "white"), "bad-option"),  # type: ignore[arg-type]
    (lambda fit: plm_vcov_hc(fit, type="HC5"), "bad-option"),  # type: ignore[arg-type]
    (lambda fit: plm_vcov_hc(fit, cluster="firm"), "bad-option"),  # type: ignore[arg-type]
    (lambda fit: plm_vcov_fixest(fit, "firm"), "bad-option"),  # type: ignore[arg-type]
    (lambda fit: plm_vcov_fixest(fit, k_fixef="nested"), "bad-option"),  # type: ignore[arg-type]
    (lambda fit: plm_vcov_linearmodels(fit, "firm"), "bad-option"),  # type: ignore[arg-type]
    (lambda fit: plm_vcov_bk(fit, "sss"), "bad-option"),  # type: ignore[arg-type]
    (lambda fit: plm_vcov_scc(fit, inner="none"), "bad-option"),  # type: ignore[arg-type]
    (lambda fit: plm_vcov_neighbour(fit, "stata"), "bad-option"),
]


@pytest.mark.parametrize(("call", "kind"), REFUSED)
def test_options_are_refused_by_kind(call: Callable[[PanelFit], Any], kind: str, grunfeld: PanelFit) -> None:
    with pytest.raises(DataError) as refused:
        call(grunfeld)
    assert refused.value.kind == kind


def test_some_models_have_no_robust_covariance() -> None:
    data = load_data("grunfeld")
    for options in ({"model": "between"}, {"weights": "value"}):
        fit = plm("inv ~ capital", data, ("firm", "year"), **options)  # type: ignore[arg-type]
        with pytest.raises(DataError) as refused:
            plm_vcov_hc(fit)
        assert refused.value.kind == "bad-option"
    with pytest.raises(DataError):
        plm_vcov_neighbour(plm("inv ~ value", data, ("firm", "year"), "random"), "areg")


def test_rows_twice_at_one_time_have_no_beck_and_katz() -> None:
    with pytest.warns(UserWarning, match="duplicate couples"):
        fit = plm("y ~ x + z", load_data("panel-duplicates"), ("who", "wave"))
    with pytest.raises(DataError) as refused:
        plm_vcov_bk(fit)
    assert refused.value.kind == "bad-option"


@pytest.mark.parametrize("maxlag", [0, 1, 3])
@pytest.mark.parametrize("inner", ["white", "diagavg"])
def test_over_rows_twice_at_one_time_every_pair_counts(maxlag: int, inner: str) -> None:
    with pytest.warns(UserWarning, match="duplicate couples"):
        fit = plm("inv ~ value + capital", load_data("grunfeld-twice"), ("firm", "year"))
    X, u, panel = fit.transformed_columns, fit.residual_values, fit.levels.panel
    same = panel.id.codes[:, None] == panel.id.codes
    apart = panel.time.codes[:, None] - panel.time.codes
    meat = np.zeros((2, 2))
    for lag in range(maxlag + 1):
        pairs = same & (apart == lag) & ((lag > 0) | np.eye(len(u), dtype=bool))
        E = np.where(pairs, np.outer(u, u), 0.0)
        if inner == "diagavg":
            for t in range(panel.T):
                rows = (panel.time.codes == t)[:, None] & pairs
                E = np.where(rows, E[rows].mean() if rows.any() else 0.0, E)
        A = X.T @ E @ X * (1 - lag / (maxlag + 1))
        meat += A if lag == 0 else A + A.T
    bread = np.linalg.inv(X.T @ X)
    found = plm_vcov_scc(fit, maxlag=maxlag, inner=inner)  # type: ignore[arg-type]
    assert_close(found, bread @ meat @ bread)


def test_whites_covariance_of_differences_knows_no_clusters() -> None:
    """plm 2.6-2 has another by time where a cell has two rows; the case plm-vcov-twice-fd-white1-time shows it."""
    with pytest.warns(UserWarning, match="duplicate couples"):
        fit = plm("inv ~ value + capital", load_data("grunfeld-twice"), ("firm", "year"), "fd")
    by_time = plm_vcov_hc(fit, "white1", cluster="time")
    np.testing.assert_array_equal(by_time, plm_vcov_hc(fit, "white1"))
    np.testing.assert_allclose(by_time, plm_vcov_nw(fit, maxlag=0), rtol=1e-12)
