"""Sandwich covariances against their textbook formulas, written out with n x n matrices and loops over clusters."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compat.cases import load_cases, load_data
from compat.expected import DEFAULT_STACK, load_expected, number
from compat.strategies import Problem, problems
from refimpl import DataError, lm, ml_sandwich, ols, robcov, rrandom, vcov_cluster, vcov_hc, with_vcov
from refimpl.formula import model_frame, model_matrix, parse
from refimpl.linear import LinearFit
from refimpl.sandwich import HC_FACTORS, cluster_codes
from tests.refimpl import exact as rational

Array = np.ndarray
CR_TYPES = ("CR0", "CR1", "CR1p", "CR1S", "CR2", "CR3")


def assert_close(got: pd.DataFrame | Array, wanted: Array, digits: float = 1e-11) -> None:
    """Equal relative to sqrt(v_ii v_jj)."""
    size = np.sqrt(np.abs(np.diag(wanted)))
    np.testing.assert_allclose(np.asarray(got) / np.outer(size, size), wanted / np.outer(size, size), atol=digits)


# -- the textbook ----------------------------------------------------------------------------------------------------


class Textbook:
    """y = X b + e with W = diag(w), everything dense: M = (X'WX)^-1, H = X M X'W, (n, n)."""

    def __init__(self, X: Array, y: Array, w: Array | None = None) -> None:
        self.X, self.w = X, np.ones(len(y)) if w is None else w
        self.W = np.diag(self.w)
        self.n, self.k = X.shape
        self.M = np.linalg.inv(X.T @ self.W @ X)
        self.H = X @ self.M @ X.T @ self.W
        self.e = y - X @ self.M @ X.T @ self.W @ y

    def hc(self, type: str) -> Array:
        n, k, h = self.n, self.k, np.diag(self.H)
        d = n * h / k
        factor = {
            "HC0": np.ones(n),
            "HC1": np.full(n, n / (n - k)),
            "HC2": 1 / (1 - h),
            "HC3": 1 / (1 - h) ** 2,
            "HC4": 1 / (1 - h) ** np.minimum(4, d),
            "HC4m": 1 / (1 - h) ** (np.minimum(1, d) + np.minimum(1.5, d)),
            "HC5": 1 / (1 - h) ** (np.minimum(d, max(4, 0.7 * d.max())) / 2),
        }[type]
        omega = np.diag(factor * self.e**2)
        return self.M @ self.X.T @ self.W @ omega @ self.W @ self.X @ self.M

    def cr(self, type: str, cluster: Array) -> Array:
        meat, names = np.zeros((self.k, self.k)), np.unique(cluster)
        for name in names:
            rows = np.flatnonzero(cluster == name)
            u = self.X[rows].T @ self.W[np.ix_(rows, rows)] @ self.adjustment(type, rows) @ self.e[rows]
            meat += np.outer(u, u)
        G, n, k = len(names), self.n, self.k
        if type == "CR1p":
            factor = G / (G - k)
        else:
            factor = {"CR1": G / (G - 1), "CR1S": G * (n - 1) / ((G - 1) * (n - k))}.get(type, 1.0)
        return factor * self.M @ meat @ self.M

    def adjustment(self, type: str, rows: Array) -> Array:
        """A_g: of CR2 (Bell and McCaffrey 2002; Pustejovsky and Tipton 2018 with identity working model), of CR3."""
        here = np.ix_(rows, rows)
        I = np.eye(self.n)  # noqa: E741
        if type == "CR2":
            return inverse_root(((I - self.H) @ (I - self.H).T)[here])
        return np.linalg.inv((I - self.H)[here]) if type == "CR3" else np.eye(len(rows))

    def multiway(self, type: str, clusters: list[Array], min_factor: bool = False) -> Array:
        """Cameron, Gelbach and Miller (2011): each union counted once, by inclusion and exclusion."""
        total = np.zeros((self.k, self.k))
        least = min(len(np.unique(one)) for one in clusters)
        for r in range(1, len(clusters) + 1):
            for part in itertools.combinations(clusters, r):
                joint = np.array([" & ".join(map(str, labels)) for labels in zip(*part, strict=True)])
                V = self.cr(type, joint)
                if min_factor:
                    G = len(np.unique(joint))
                    V = V * (least / (least - 1)) / (G / (G - 1))
                total += (-1) ** (r + 1) * V
        return total


def inverse_root(B: Array) -> Array:
    """The symmetric B^(-1/2), zero where B is singular."""
    size, V = np.linalg.eigh(B)
    root = np.where(size > 1e-10, np.maximum(size, 1e-10) ** -0.5, 0.0)
    return (V * root) @ V.T


def textbook(problem: Problem) -> Textbook:
    w = problem.frame["w"].to_numpy() if problem.weighted else None
    return Textbook(problem.X.to_numpy(), problem.frame["y"].to_numpy(), w)


def fitted(problem: Problem) -> LinearFit:
    return lm(problem.formula, problem.frame, weights="w" if problem.weighted else None)


# the textbook inverts X'X and 1 - h in plain doubles, and that is what is allowed for
TAME = problems(condition=30.0, decades=0.0, weighted=None, noise=(1.0, 100.0))
BOOK = 1e-9


@settings(max_examples=60, deadline=None)
@given(TAME)
def test_hc_is_the_diagonal_formula(problem: Problem) -> None:
    fit, book = fitted(problem), textbook(problem)
    for type in HC_FACTORS:
        V = vcov_hc(fit, type)
        assert_close(V, book.hc(type), BOOK)
        assert list(V.index) == list(V.columns) == list(problem.X.columns)


@settings(max_examples=60, deadline=None)
@given(TAME)
def test_cr_is_the_formula_with_a_matrix_for_each_cluster(problem: Problem) -> None:
    fit, book, g = fitted(problem), textbook(problem), problem.frame["g"].to_numpy()
    for type in CR_TYPES:
        if type == "CR1p" and len(np.unique(g)) <= book.k:
            continue
        assert_close(vcov_cluster(fit, "g", type), book.cr(type, g), BOOK)


@settings(max_examples=25, deadline=None)
@given(TAME, st.integers(2, 4), st.integers(0, 2**32 - 1))
def test_several_clusterings_are_added_and_subtracted(problem: Problem, number: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    clusters = [problem.frame["g"].to_numpy(), *(rng.integers(0, 4, problem.n).astype(str) for _ in range(number - 1))]
    fit, book = fitted(problem), textbook(problem)
    size = book.cr("CR0", clusters[0])
    for type in ("CR0", "CR1", "CR1S"):
        wanted = book.multiway(type, clusters)
        scale = np.sqrt(np.outer(np.diag(size), np.diag(size)))
        np.testing.assert_allclose(vcov_cluster(fit, clusters, type) / scale, wanted / scale, atol=BOOK)
    least = vcov_cluster(fit, clusters, "CR1", small_sample="min")
    np.testing.assert_allclose(least / scale, book.multiway("CR1", clusters, min_factor=True) / scale, atol=BOOK)


def test_multi0_takes_every_row_by_itself_for_the_last_part() -> None:
    data = load_data("clusters")
    fit = lm("y ~ x + z", data)
    one, two = (vcov_cluster(fit, [name], "CR0") for name in ("g", "t"))
    np.testing.assert_allclose(
        vcov_cluster(fit, ["g", "t"], "CR0", multi0=True), one + two - vcov_hc(fit, "HC0"), rtol=1e-12
    )
    plain = vcov_cluster(fit, ["g", "t"], "CR0")
    joint = data["g"].astype(str) + " " + data["t"].astype(str)
    np.testing.assert_allclose(plain, one + two - vcov_cluster(fit, joint, "CR0"), rtol=1e-12)
    assert not np.allclose(plain, vcov_cluster(fit, ["g", "t"], "CR0", multi0=True), rtol=1e-3)


MULTI0 = load_cases("vcov-cluster-*-multi0")


@pytest.mark.parametrize("case", MULTI0, ids=[case.id for case in MULTI0])
def test_multi0_is_r_s_for_every_type_and_for_one_clustering(case: Any) -> None:
    fit = lm(case.formula, case.data)
    options = {name: case.options[name] for name in ("type", "multi0")}
    frozen = load_expected(case, DEFAULT_STACK).quantities["vcov"]
    names = list(frozen)
    wanted = np.array([[number(frozen[row][column]) for column in names] for row in names])
    assert_close(vcov_cluster(fit, list(case.options["cluster"]), **options).loc[names, names], wanted, 1e-10)


def test_multi0_has_cases_of_one_two_and_three_clusterings_and_of_adjusted_scores() -> None:
    assert {len(case.options["cluster"]) for case in MULTI0} == {1, 2, 3}
    assert {case.options["type"] for case in MULTI0} >= {"CR1", "CR1S", "CR2", "CR3"}


def test_a_cluster_with_a_column_of_its_own_has_a_generalised_inverse() -> None:
    rng = np.random.default_rng(11)
    n = 20
    g = np.repeat(np.arange(5), 4)
    X = np.column_stack([np.ones(n), rng.normal(size=n), g == 2])
    data = pd.DataFrame(X, columns=["one", "x", "dummy"]).assign(y=rng.normal(size=n), g=g)
    fit = lm("y ~ x + dummy", data)
    assert_close(vcov_cluster(fit, "g", "CR2"), Textbook(X, data["y"].to_numpy()).cr("CR2", g), BOOK)


@pytest.mark.parametrize("type", ["CR2", "CR3"])
def test_a_cluster_whose_rows_are_all_zero_counts_for_nothing(type: str) -> None:
    rng = np.random.default_rng(15)
    data = pd.DataFrame({"x": rng.normal(size=20), "y": rng.normal(size=20), "w": rng.uniform(0.5, 2, 20)})
    data["g"] = np.repeat(np.arange(5), 4)
    data.loc[data["g"] == 3, "x"] = 0.0
    found = vcov_cluster(lm("y ~ 0 + x", data, weights="w"), "g", type)
    left = data[data["g"] != 3]
    np.testing.assert_allclose(found, vcov_cluster(lm("y ~ 0 + x", left, weights="w"), "g", type), rtol=1e-12)


@pytest.mark.parametrize(("type", "by_row"), [("CR2", "HC2"), ("CR3", "HC3")])
@pytest.mark.parametrize("weights", [None, "w"])
def test_a_leverage_just_below_one_is_adjusted_and_not_left_out(type: str, by_row: str, weights: str | None) -> None:
    x = np.array([2.0**15, -1.0, 2.0, 0.5, 1.0, -3.0])
    data = pd.DataFrame({"x": x, "y": [1.0, 2.0, -1.0, 0.5, 3.0, 1.0], "w": 2.0, "row": range(6)})
    fit = lm("y ~ 0 + x", data, weights=weights)
    assert 1e-9 < 1 - fit.hatvalues.iloc[0] < 1e-7
    np.testing.assert_allclose(vcov_cluster(fit, "row", type), vcov_hc(fit, by_row), rtol=1e-6)


@pytest.mark.parametrize("type", ["CR2", "CR3"])
def test_adjustments_do_not_depend_on_units(type: str) -> None:
    rng = np.random.default_rng(12)
    X = np.column_stack([np.ones(30), rng.normal(size=(30, 2))])
    data = pd.DataFrame({"a": X[:, 1], "b": X[:, 2], "y": rng.normal(size=30), "w": rng.uniform(0.1, 9, 30)})
    g = rng.integers(0, 6, 30)
    moved = data.assign(a=data["a"] * 2.0**40, b=data["b"] * 2.0**-40, w=data["w"] * 2.0**30)
    one, other = (vcov_cluster(lm("y ~ a + b", d, weights="w"), g, type) for d in (data, moved))
    by = np.array([1, 2.0**40, 2.0**-40])
    np.testing.assert_allclose(other * np.outer(by, by), one, rtol=1e-11)
    assert_close(one, Textbook(X, data["y"].to_numpy(), data["w"].to_numpy()).cr(type, g))


@pytest.mark.parametrize("condition", [1e2, 1e4, 1e6])
def test_only_the_condition_of_x_is_lost_and_not_its_square(condition: float) -> None:
    rng = np.random.default_rng(13)
    Q, V = np.linalg.qr(rng.normal(size=(14, 3)))[0], np.linalg.qr(rng.normal(size=(3, 3)))[0]
    X = Q @ np.diag([1, condition**-0.5, 1 / condition]) @ V.T
    data = pd.DataFrame(X, columns=["a", "b", "c"]).assign(y=X.sum(axis=1) + rng.normal(size=14), g=np.arange(14) % 5)
    fit = lm("y ~ 0 + a + b + c", data)
    for groups, got in ((np.arange(14), vcov_hc(fit, "HC0")), (data["g"], vcov_cluster(fit, "g", "CR0"))):
        true = rational_cr0(X, data["y"].to_numpy(), list(groups))
        assert_close(got, true, 100 * condition * np.finfo(float).eps)


def rational_cr0(X: Array, y: Array, groups: list[int]) -> Array:
    """M (sum of u_g u_g') M in rational arithmetic."""
    true, x = rational.least_squares(X, y), rational.fractions(X)
    k = X.shape[1]
    u = {g: [Fraction(0)] * k for g in groups}
    for row, e, g in zip(x, true.residuals, groups, strict=True):
        u[g] = [a + e * b for a, b in zip(u[g], row, strict=True)]
    scores = list(u.values())
    half = rational.product(scores, true.inverse)
    return np.array([[float(v) for v in row] for row in rational.product(rational.transpose(half), half)])


# -- weights of zero, aliased columns --------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda f: vcov_hc(f, "HC3"), lambda f: vcov_cluster(f, "g", "CR2")])
def test_rows_of_zero_weight_have_no_part(make: Callable[[LinearFit], pd.DataFrame]) -> None:
    data = load_data("clusters")
    weights = data["w0"].to_numpy()
    assert (weights == 0).any()
    whole, part = lm("y ~ x + z", data, weights="w0"), lm("y ~ x + z", data[weights > 0], weights="w0")
    np.testing.assert_allclose(make(whole), make(part), rtol=1e-13)


def test_aliased_columns_are_left_out() -> None:
    data = load_data("clusters").assign(twice=lambda d: 2 * d["x"])
    fit, plain = lm("y ~ x + twice + z", data), lm("y ~ x + z", data)
    for make in (lambda f: vcov_hc(f, "HC2"), lambda f: vcov_cluster(f, "g")):
        pd.testing.assert_frame_equal(make(fit), make(plain), rtol=1e-12)
    assert np.isnan(robcov(fit).vcov.loc["twice"]).all()


# -- robcov ----------------------------------------------------------------------------------------------------------


def test_robcov_is_cr0_and_efron_divides_by_one_less_the_leverage() -> None:
    data = load_data("clusters")
    fit = ols("y ~ x + z", data)
    X, y, g = np.column_stack([np.ones(len(data)), data[["x", "z"]]]), data["y"].to_numpy(), data["g"].to_numpy()
    book = Textbook(X, y)
    assert_close(robcov(fit).vcov, book.hc("HC0"))
    assert_close(robcov(fit, method="efron").vcov, book.hc("HC3"))
    assert_close(robcov(fit, "g").vcov, book.cr("CR0", g))
    book.e = book.e / (1 - np.diag(book.H))
    assert_close(robcov(fit, "g", "efron").vcov, book.cr("CR0", g))


def test_robcov_keeps_the_fit_and_its_degrees_of_freedom() -> None:
    fit = ols("y ~ x + z", load_data("clusters"))
    robust = robcov(fit, "g")
    assert robust.df_test == fit.df_residual
    assert robust.n_clusters == load_data("clusters")["g"].nunique()
    assert robcov(fit).n_clusters is None
    assert robust.sigma == fit.sigma
    pd.testing.assert_series_equal(robust.coef, fit.coef)
    np.testing.assert_allclose(robust.std_error, np.sqrt(np.diag(robust.vcov)))
    np.testing.assert_allclose(robust.statistic, fit.coef / robust.std_error)
    assert not np.allclose(robust.std_error, fit.std_error, rtol=1e-3)


def test_the_clones_print_the_same_on_100_and_on_1600_rows() -> None:
    one = robcov(ols("y ~ x", load_data("clones")))
    many = robcov(ols("bigY ~ bigX", load_data("clones-16")), "bigID")
    for robust, slope in ((one, "x"), (many, "bigX")):
        assert {name: f"{se:.4f}" for name, se in robust.std_error.items()} == {"Intercept": "0.0943", slope: "0.1352"}
    np.testing.assert_allclose(many.std_error, one.std_error, rtol=1e-12)
    naive = ols("bigY ~ bigX", load_data("clones-16")).std_error
    assert [f"{se:.4f}" for se in naive] == ["0.0236", "0.0239"]
    np.testing.assert_allclose(naive, ols("y ~ x", load_data("clones")).std_error * np.sqrt(98 / 1598), rtol=1e-12)


def test_the_clones_are_those_of_the_lecture_s_seed() -> None:
    rrandom.set_seed(7222009)
    x = rrandom.rnorm(100)
    y = 1 + 1 * x + rrandom.rnorm(100) * np.abs(x)
    data = load_data("clones")
    np.testing.assert_array_equal(data["x"], x)
    np.testing.assert_array_equal(data["y"], y)
    np.testing.assert_array_equal(load_data("clones-16")["bigX"], np.tile(x, 16))


# -- maximum likelihood ----------------------------------------------------------------------------------------------


def gaussian(data: pd.DataFrame, text: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Information and scores of the coefficients at the maximum of a Gaussian likelihood."""
    fit = lm(text, data)
    X = pd.DataFrame(fit.design.X, columns=fit.names)
    e = fit.residuals.to_numpy()
    variance = float(e @ e) / len(e)
    return X.T @ X / variance, X.mul(e / variance, axis=0)


@pytest.mark.parametrize("cluster", [None, "g", "gi", "s"])
def test_gaussian_likelihood_gives_robcov(cluster: str | None) -> None:
    data = load_data("clusters")
    information, scores = gaussian(data, "y ~ x + z")
    V = ml_sandwich(information, scores, None if cluster is None else data[cluster])
    assert_close(V, robcov(ols("y ~ x + z", data), cluster).vcov.to_numpy(), 1e-13)
    assert list(V.index) == list(V.columns) == ["(Intercept)", "x", "z"]


BINOMIAL = load_cases("ml-sandwich-binomial-*")


@pytest.mark.parametrize("case", BINOMIAL, ids=lambda case: case.id)
def test_logit_gives_rs_sandwich(case: Any) -> None:
    frame = model_frame(parse(case.formula), case.data)
    X, y, b = model_matrix(frame).X, frame.response, np.array(list(case.options["coef"].values()))
    mu = 1 / (1 + np.exp(-X @ b))
    information = X.T @ np.diag(mu * (1 - mu)) @ X
    cluster = case.options.get("cluster")
    V = ml_sandwich(information, X * (y - mu)[:, None], None if cluster is None else case.data[cluster])
    wanted = load_expected(case, DEFAULT_STACK).quantities["vcov"]
    R = np.array([[number(v) for v in row.values()] for row in wanted.values()])
    assert_close(V, R, 1e-10)


def test_there_are_logits_with_and_without_clusters() -> None:
    assert {("cluster" in case.options) for case in BINOMIAL} == {True, False}


# -- the lecture's formulas, literally -------------------------------------------------------------------------------
#
# The slides print (X'X)^-1 (X' Q^-1 X) (X'X)^-1 with Q = sum of u_i^2 x_i x_i', which is k x k. Their first slide has
# it right: (X'X)^-1 Q (X'X)^-1. The inverse, and the X around it, are left over from (X' W^-1 X) with an n x n W.


@pytest.fixture(scope="module")
def clones() -> dict[str, Array]:
    data = load_data("clones")
    X, u = np.column_stack([np.ones(100), data["x"]]), ols("y ~ x", data).residuals.to_numpy()
    Q = sum(u_i**2 * np.outer(x_i, x_i) for u_i, x_i in zip(u, X, strict=True))
    return {"X": X, "u": u, "Q": Q, "M": np.linalg.inv(X.T @ X), "robcov": robcov(ols("y ~ x", data)).vcov.to_numpy()}


def test_without_the_extra_inverse_the_lecture_has_robcov(clones: dict[str, Array]) -> None:
    assert_close(clones["M"] @ clones["Q"] @ clones["M"], clones["robcov"], 1e-13)
    assert [f"{v:.4f}" for v in np.sqrt(np.diag(clones["M"] @ clones["Q"] @ clones["M"]))] == ["0.0943", "0.1352"]


def test_the_literal_middle_matrix_does_not_fit(clones: dict[str, Array]) -> None:
    assert clones["Q"].shape == (2, 2)
    assert clones["X"].T.shape == (2, 100)
    with pytest.raises(ValueError, match="mismatch in its core dimension"):
        clones["X"].T @ np.linalg.inv(clones["Q"]) @ clones["X"]


# What can be made of it: Q^-1 without the X, or with an n x n matrix of the squared residuals under the inverse.
LITERAL: dict[str, Callable[[Array, Array], Array]] = {
    "the sum inverted, without X": lambda X, u: np.linalg.inv((X * (u**2)[:, None]).T @ X),
    "the squared residuals inverted": lambda X, u: X.T @ np.diag(1 / u**2) @ X,
}


@pytest.mark.parametrize("middle", LITERAL.values(), ids=LITERAL)
def test_with_the_extra_inverse_the_numbers_are_not_robcov_s(
    middle: Callable[[Array, Array], Array], clones: dict[str, Array]
) -> None:
    V = clones["M"] @ middle(clones["X"], clones["u"]) @ clones["M"]
    ratio = np.sqrt(np.diag(V) / np.diag(clones["robcov"]))
    assert (np.maximum(ratio, 1 / ratio) > 10).all()
    tenfold = clones["M"] @ middle(clones["X"], 10 * clones["u"]) @ clones["M"]
    np.testing.assert_allclose(tenfold, V / 100)  # a response in other units: a variance would grow by 100


def test_squares_summed_within_clusters_are_not_clustered(clones: dict[str, Array]) -> None:
    """The slides' clustered formula adds u_ij^2 x_ij x_ij' within clusters: that is HC0, whatever the clusters."""
    X, u = np.tile(clones["X"], (16, 1)), np.tile(clones["u"], 16)
    M = np.linalg.inv(X.T @ X)
    square = sum(
        sum((u[j] ** 2 * np.outer(X[j], X[j]) for j in range(i, 1600, 100)), np.zeros((2, 2))) for i in range(100)
    )
    many = ols("bigY ~ bigX", load_data("clones-16"))
    assert_close(M @ square @ M, robcov(many).vcov.to_numpy(), 1e-12)
    assert_close(16 * M @ square @ M, robcov(many, "bigID").vcov.to_numpy(), 1e-12)


# -- what the caller may give ----------------------------------------------------------------------------------------


def test_clusters_may_be_given_in_many_ways() -> None:
    data = load_data("clusters")
    fit = lm("y ~ x + z", data)
    g, t = data["g"], data["t"]
    one = vcov_cluster(fit, "g")
    forms = (["g"], ("g",), g, g.to_numpy(), [g], {"g": g}, data[["g"]], pd.Categorical(g), g.astype("category"))
    for cluster in forms:
        pd.testing.assert_frame_equal(vcov_cluster(fit, cluster), one, rtol=1e-12)
    two = vcov_cluster(fit, ["g", "t"])
    for cluster in ((g, t), {"a": g, "b": t}, data[["g", "t"]], ["g", t.to_numpy()], ["t", "g"]):
        pd.testing.assert_frame_equal(vcov_cluster(fit, cluster), two, rtol=1e-11)


@pytest.mark.parametrize(
    ("values", "type"),
    [
        ([-128, 127, -128, 0], "int8"),
        ([255, 0, 255, 7], "uint8"),
        ([2**63 + 3, 2**63 + 1, 2**63 + 3, 2**63 + 2], "uint64"),
        ([2**63 - 1, -(2**63), 2**63 - 1, 0], "int64"),
        ([10**9, 10**9 + 5, 10**9, 10**9 + 1], "int32"),
        ([3, 10**12, 3, -4], "int64"),
        ([], "int64"),
    ],
)
def test_integer_clusters_are_told_apart_whatever_their_size(values: list[int], type: str) -> None:
    codes, G = cluster_codes(np.array(values, dtype=type))
    assert G == len(set(values)) == len(set(codes.tolist()))
    assert [a == b for a, b in itertools.combinations(codes.tolist(), 2)] == [
        a == b for a, b in itertools.combinations(values, 2)
    ]
    assert sorted(set(codes.tolist())) == list(range(G))


def test_clusters_are_taken_of_the_rows_used() -> None:
    data = load_data("clusters")
    fit = lm("yna ~ xna", data)
    assert fit.n_dropped > 0
    kept = data.loc[fit.residuals.index]
    by_name = vcov_cluster(fit, "g")
    pd.testing.assert_frame_equal(vcov_cluster(fit, data["g"].to_numpy()), by_name)
    pd.testing.assert_frame_equal(vcov_cluster(fit, kept["g"].to_numpy()), by_name)
    pd.testing.assert_frame_equal(vcov_cluster(lm("yna ~ xna", kept), "g"), by_name, rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "kind", "said"),
    [
        (lambda f, d: vcov_hc(f, "HC6"), "bad-option", "HC0, HC1"),
        (lambda f, d: vcov_cluster(f, "g", "CR4"), "bad-option", "CR1S"),
        (lambda f, d: vcov_cluster(f, "g", small_sample="max"), "bad-option", "component, min"),
        (lambda f, d: robcov(f, "g", "tukey"), "bad-option", "huber, efron"),
        (lambda f, d: with_vcov(f, vcov_hc(f), "chi2"), "bad-option", "t, z"),
        (lambda f, d: vcov_cluster(f, "nobody"), "unknown-column", "nobody"),
        (lambda f, d: robcov(f, "nobody"), "unknown-column", "nobody"),
        (lambda f, d: vcov_cluster(f, [1, 2, 3]), "cluster-length", "3 values"),
        (lambda f, d: robcov(f, np.arange(len(d) + 1)), "cluster-length", f"{len(load_data('clusters')) + 1} values"),
        (lambda f, d: vcov_cluster(f, "gna"), "cluster-missing", "gna"),
        (lambda f, d: robcov(f, "gna"), "cluster-missing", "missing"),
        (lambda f, d: vcov_cluster(f, "one"), "one-cluster", "two clusters"),
        (lambda f, d: vcov_cluster(f, ["g", "one"]), "one-cluster", "two clusters"),
        (lambda f, d: ml_sandwich(np.eye(3), np.ones((5, 2))), "bad-option", "(3, 3)"),
        (lambda f, d: ml_sandwich(np.eye(2), np.ones(5)), "bad-option", "do not fit"),
        (lambda f, d: ml_sandwich(np.eye(2), np.ones((5, 2)), [1, 2]), "cluster-length", "2 values"),
        (lambda f, d: ml_sandwich(np.eye(2), np.ones((3, 2)), [1, None, 2]), "cluster-missing", "1 missing"),
    ],
)
def test_refusals_have_a_kind_and_say_what_is_wrong(make: Callable[..., Any], kind: str, said: str) -> None:
    data = load_data("clusters")
    with pytest.raises(DataError) as caught:
        make(lm("y ~ x + z", data), data)
    assert caught.value.kind == kind
    assert said in str(caught.value)


@pytest.mark.parametrize(("options", "df"), [({}, 37.0), ({"df": 5}, 5.0), ({"test": "z"}, np.inf)])
def test_a_given_covariance_is_tested_as_asked(options: dict[str, Any], df: float) -> None:
    fit = lm("y ~ x + z", load_data("clusters").iloc[:40])
    V = vcov_hc(fit, "HC3")
    tested = with_vcov(fit, V, **options)
    assert tested.df_test == df
    np.testing.assert_allclose(tested.std_error, np.sqrt(np.diag(V)))
    np.testing.assert_array_equal(tested.vcov, V)
    quantile = {5.0: 2.0150483733330224, 37.0: 1.6870936195962629, np.inf: 1.6448536269514715}[df]  # R's qt(0.95, df)
    limits, rows = tested.confint(0.9), tested.predict(interval="confidence", level=0.9)
    np.testing.assert_allclose(limits["high"] - tested.coef, quantile * tested.std_error, rtol=1e-12)
    np.testing.assert_allclose(tested.coef - limits["low"], quantile * tested.std_error, rtol=1e-12)
    X = tested.design.X
    np.testing.assert_allclose(rows["se"], np.sqrt(np.diag(X @ V.to_numpy() @ X.T)), rtol=1e-12)
    np.testing.assert_allclose(rows["high"] - rows["fit"], quantile * rows["se"], rtol=1e-10)
    assert (tested.f_statistic, tested.f_p_value) == (fit.f_statistic, fit.f_p_value)  # of the classical covariance


def test_a_given_covariance_of_rms_s_fit_is_tested_on_rows_of_positive_weight() -> None:
    data = load_data("clusters")
    fit = ols("y ~ x + z", data, weights="w0")
    zeros = int((data["w0"] == 0).sum())
    assert zeros > 0
    assert with_vcov(fit, vcov_hc(fit)).df_test == len(data) - zeros - 3  # coeftest's
    assert robcov(fit).df_test == len(data) - 3  # rms's own


def test_large_clusters_need_no_matrix_of_their_size() -> None:
    rng = np.random.default_rng(14)
    n = 20000
    data = pd.DataFrame(rng.normal(size=(n, 3)), columns=["y", "a", "b"]).assign(g=np.arange(n) < n // 2, w=1.5)
    fits = [lm("y ~ a + b", data), lm("y ~ a + b", data, weights="w")]
    tracemalloc.start()
    for fit in fits:
        for type in ("CR0", "CR2", "CR3"):
            vcov_cluster(fit, "g", type)
        vcov_hc(fit, "HC3")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40 * 8 * n  # a cluster's own matrix would take 5000 of these
