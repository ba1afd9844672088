"""Relations between panel models, and between a panel model and the linear model that says the same with dummies.

They join those of relations, which knows how they are asked and told; the panels are drawn here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from compat import strategies as draw
from compat.cells import labelled
from compat.refits import Ask, Fit, Rows, multiplied, same, unchanged
from compat.strategies import CLUSTER_LABELS, Drawn, Problem, formula, row_labels

INDEX = ["who", "wave"]
MOST = ("coef", "std_error", "statistic", "vcov", "nobs", "df_residual", "rank", "r_squared", "adj_r_squared")
SLOPES = ("coef", "std_error", "statistic", "p_value")


@st.composite
def panels(draw: DrawFn, *, balanced: bool | None = None, times: tuple[int, int] = (2, 5)) -> Problem:
    """Two regressors and a response of individuals `who` over `wave`, with effects of both; None draws `balanced`.

    Every individual has two rows or more, the first one all of them; names are in no order, and so are the rows.
    """
    n, T = draw(st.integers(5, 9)), draw(st.integers(*times))
    names = draw(st.permutations(CLUSTER_LABELS))[:n]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ids, waves = np.repeat(np.arange(n), T), np.tile(np.arange(T), n)
    whole = draw(st.booleans()) if balanced is None else balanced
    if not whole and T > 2:
        keep = rng.random(n * T) < 0.8
        keep[waves < 2] = True
        ids, waves = ids[keep], waves[keep]
    effects, trends = rng.normal(size=n), rng.normal(size=T)
    X = rng.normal(size=(len(ids), 2)) + 0.5 * effects[ids, None]
    y = X @ rng.normal(size=2) + effects[ids] + trends[waves] + rng.normal(size=len(ids))
    frame = pd.DataFrame({"x1": X[:, 0], "x2": X[:, 1], "y": y, "wave": waves + 2001})
    frame["who"] = pd.array([names[i] for i in ids], dtype="str")
    frame = frame.iloc[rng.permutation(len(frame))].set_axis(row_labels(len(frame)), axis=0)
    return Problem(frame, ("x1", "x2"), True, False, 1.0)


def panel(p: Problem, model: str, effect: str = "individual", **options: Any) -> Any:
    """The problem as a case of plm."""
    return p.case("plm", index=INDEX, model=model, effect=effect, **options)


def dummies(p: Problem, effect: str) -> Problem:
    """The same with the individuals, the waves or both as regressors."""
    factors = {"individual": ("who",), "time": ("factor(wave)",), "twoways": ("who", "factor(wave)")}[effect]
    return replace(p, regressors=(*p.regressors, *factors))


def slopes(fit: Fit, one: Fit, names: tuple[str, ...]) -> Rows:
    """Quantities of the two regressors, the same in both fits."""
    for name in names:
        yield from same(fit, name, one.known(name).at([("x1",), ("x2",)]))


def within_is_dummies(fit: Ask, d: Drawn) -> Rows:
    """A within model is the regression with a dummy for every individual, every wave, or both."""
    one, other = fit(dummies(d.problem, d.type).case("lm")), fit(panel(d.problem, "within", d.type))
    yield from slopes(other, one, SLOPES)
    yield from same(other, "residuals", one.known("residuals").at([(row,) for row in labels(other, "residuals")]))
    yield from same(other, "rss", one.known("deviance"))
    yield from unchanged(other, one, ("df_residual", "nobs"))


def labels(fit: Fit, name: str) -> list[str]:
    """The labels of a quantity, in its order."""
    return fit.known(name).cells.names()


def arellano_is_cr0(fit: Ask, d: Drawn) -> Rows:
    """plm's arellano HC0 is the CR0 of the regression with dummies."""
    one = fit(dummies(d.problem, "individual").case("vcov_cluster", type="CR0", cluster=["who"], definer="sandwich"))
    other = fit(d.problem.case("plm_vcov", index=INDEX, model="within", vcov="HC"))
    for name in ("std_error", "vcov"):
        wanted = one.known(name)
        mine = [label for label in wanted.cells.labels if set(label) <= {"x1", "x2"}]
        yield from same(other, name, wanted.at(mine))


def pooling_is_lm(fit: Ask, d: Drawn) -> Rows:
    """A pooling model is a linear model of the rows."""
    one, other = fit(d.problem.case("lm")), fit(panel(d.problem, "pooling"))
    yield from unchanged(other, one, (*MOST, "p_value", "f_statistic", "f_p_value", "aliased", "sigma"))
    yield from same(other, "residuals", one.known("residuals").at([(row,) for row in labels(other, "residuals")]))


def between_is_lm_of_means(fit: Ask, d: Drawn) -> Rows:
    """A between model is a linear model of the individuals' means."""
    means = d.problem.frame.groupby("who", sort=True)[["x1", "x2", "y"]].mean()
    one = fit(replace(d.problem, frame=means.set_axis(row_labels(len(means)), axis=0)).case("lm"))
    yield from unchanged(fit(panel(d.problem, "between")), one, (*MOST, "p_value", "f_statistic", "sigma"))


def balanced_twoways_is_double_demeaning(fit: Ask, d: Drawn) -> Rows:
    """In a balanced panel two-way effects go with the individuals' and the waves' means."""
    columns = ["x1", "x2", "y"]
    swept = d.problem.frame[columns]
    for name in INDEX:
        swept = swept - swept.groupby(d.problem.frame[name]).transform("mean")
    one = fit(replace(d.problem, frame=swept, intercept=False).case("lm"))
    other = fit(panel(d.problem, "within", "twoways"))
    yield from slopes(other, one, ("coef",))
    yield from same(other, "rss", one.known("deviance"))


def no_differences_no_effects(fit: Ask, d: Drawn) -> Rows:
    """Where individuals do not differ in their means, random effects are none and the model is the pooling model."""
    columns = ["x1", "x2", "y"]
    frame = d.problem.frame
    even = frame.assign(**(frame[columns] - frame[columns].groupby(frame["who"]).transform("mean") + 1.0))
    p = replace(d.problem, frame=even)
    one, other = fit(panel(p, "pooling")), fit(panel(p, "random", random_method="walhus"))
    none = replace(other.known("theta_quasi_demeaning"), cells=labelled({"id": 0.0}))
    yield from same(other, "theta_quasi_demeaning", none)
    yield from unchanged(other, one, MOST)


NEARLY_NOTHING = 2.0**-16  # its square, the weight of what differs between individuals, is below what is allowed


def differences_alone_are_within(fit: Ask, d: Drawn) -> Rows:
    """Where individuals differ and nearly nothing else does, theta goes to one and random effects to within."""
    codes, _ = pd.factorize(d.problem.frame["who"])
    frame, steps = d.problem.frame, np.array(d.order)[codes]
    p = d.problem.with_columns(y=frame["x1"] - frame["x2"] / 2 + steps + NEARLY_NOTHING * frame["y"])
    yield from slopes(fit(panel(p, "within")), fit(panel(p, "random")), ("coef",))


def random_effects_are_quasi_demeaned(fit: Ask, d: Drawn) -> Rows:
    """In a balanced panel random effects are least squares of columns less theta times their individuals' means."""
    other = fit(panel(d.problem, "random"))
    columns = d.problem.frame[["x1", "x2", "y"]].assign(one=1.0)
    means = columns.groupby(d.problem.frame["who"]).transform("mean")
    quasi = columns - other.number("theta_quasi_demeaning") * means
    p = replace(d.problem, frame=quasi, regressors=("one", "x1", "x2"), intercept=False)
    one = fit(p.case("lm"))
    for name in ("coef", "std_error", "vcov"):
        yield from same(other, name, one.known(name).called({"one": "(Intercept)"}))
    yield from same(other, "rss", one.known("deviance"))


def constants_change_nothing(fit: Ask, d: Drawn) -> Rows:
    """A constant added to each individual's response and regressors changes no within model."""
    codes, _ = pd.factorize(d.problem.frame["who"])
    steps = np.array(d.order)[codes] / 4.0
    moved = d.problem.with_columns(y=d.problem.frame["y"] + steps, x1=d.problem.frame["x1"] - 2 * steps)
    one, other = (fit(panel(p, "within")) for p in (d.problem, moved))
    yield from unchanged(other, one, (*MOST, "rss", "tss", "f_statistic", "residual_quantiles"))


def names_of_individuals(fit: Ask, d: Drawn, model: str) -> Rows:
    """Other names of the individuals, in another order, only move the labels."""
    codes, _ = pd.factorize(d.problem.frame["who"])
    renamed = d.problem.with_columns(who=np.array(d.order)[codes])
    one, other = (fit(panel(p, model)) for p in (d.problem, renamed))
    yield from unchanged(other, one, (*MOST, "rss", "tss", "residual_quantiles", "ercomp"))


def rows_of_a_panel(fit: Ask, d: Drawn, model: str) -> Rows:
    """The order of the rows is of no account: a panel is sorted."""
    case = panel(d.problem, model)
    one, other = fit(case), fit(case.with_data(case.data.iloc[list(d.order)]))
    yield from unchanged(other, one, (*MOST, "rss", "tss", "ercomp", "residuals", "fitted", "fixef", "ranef"))


def two_waves_are_differences(fit: Ask, d: Drawn) -> Rows:
    """With two waves first differences without a trend are the within model."""
    one = fit(panel(d.problem, "within"))
    other = fit(d.problem.case("plm", formula("y", d.problem.regressors, False), index=INDEX, model="fd"))
    yield from slopes(other, one, SLOPES)
    yield from unchanged(other, one, ("df_residual", "vcov"))
    yield from multiplied(other, one, {"rss": 2.0})


def double_clustering_is_a_sum(fit: Ask, d: Drawn) -> Rows:
    """Double clustering is the groups' covariance plus the waves' less White's."""

    def covariance(**options: Any) -> Fit:
        return fit(d.problem.case("plm_vcov", index=INDEX, model="within", **options))

    whole = covariance(vcov="DC")
    parts = [covariance(vcov="HC", cluster=by) for by in ("group", "time")]
    white = covariance(vcov="HC", method="white1").known("vcov")
    first, second = (part.known("vcov") for part in parts)
    shift = second.cells.values - white.cells.values
    slack = second.held.allowed + white.held.allowed
    wanted = replace(first.plus(shift), held=replace(first.held, allowed=first.held.allowed + slack))
    yield from same(whole, "vcov", wanted)


def no_lags_are_white(fit: Ask, d: Drawn) -> Rows:
    """Newey and West without lags is White's covariance, Driscoll and Kraay's the one clustered by wave."""
    pairs = (
        ({"vcov": "NW", "maxlag": 0}, {"vcov": "HC", "method": "white1"}),
        ({"vcov": "SCC", "maxlag": 0}, {"vcov": "HC", "cluster": "time"}),
    )
    for options in pairs:
        other, one = (fit(d.problem.case("plm_vcov", index=INDEX, model="within", **o)) for o in options)
        yield from unchanged(other, one, ("vcov", "std_error", "statistic"))


def f_test_is_anova(fit: Ask, d: Drawn) -> Rows:
    """plm's F test of effects is the anova of the models without and with dummies."""
    wide = dummies(d.problem, d.type)
    table = fit(d.problem.case("anova", formulas=[wide.formula]))
    other = fit(d.problem.case("plm_test", index=INDEX, test="pFtest", effect=d.type))
    for mine, theirs in (("statistic", "f_statistic"), ("p_value", "p_value")):
        found = table.known(theirs).at([("2",)])
        unlabelled = labelled(float(found.cells.values[0]))
        yield from same(other, mine, replace(found, cells=unlabelled))


def name_order(problem: Problem) -> SearchStrategy[tuple[int, ...]]:
    """A number for each individual."""
    return st.permutations(range(problem.frame["who"].nunique())).map(tuple)


Parts = Callable[[Problem], SearchStrategy[Any]]


class Register(Protocol):
    """Makes a relation of a name, estimators, a function, its panels and what else is drawn for them."""

    def __call__(
        self, name: str, estimators: str, holds: Callable[..., Rows], data: SearchStrategy[Problem], **parts: Parts
    ) -> Any:
        """Return the relation."""


def panel_relations(register: Register) -> Iterator[Any]:
    """Every relation of this room."""
    some, whole, effects = panels(), panels(balanced=True), draw.one_of("individual", "time", "twoways")
    yield register("within-is-dummies", "plm lm", within_is_dummies, some, type=effects)
    yield register("arellano-is-cr0", "plm_vcov vcov_cluster", arellano_is_cr0, some)
    yield register("pooling-is-lm", "plm lm", pooling_is_lm, some)
    yield register("between-is-lm-of-means", "plm lm", between_is_lm_of_means, some)
    yield register("two-ways-are-double-demeaning", "plm lm", balanced_twoways_is_double_demeaning, whole)
    yield register("no-differences-no-effects", "plm", no_differences_no_effects, whole)
    yield register("differences-alone-are-within", "plm", differences_alone_are_within, some, order=name_order)
    yield register("random-effects-are-quasi-demeaned", "plm lm", random_effects_are_quasi_demeaned, whole)
    yield register("constants-change-nothing", "plm", constants_change_nothing, some, order=name_order)
    for model in ("within", "random", "between", "fd"):
        names, rows = partial(names_of_individuals, model=model), partial(rows_of_a_panel, model=model)
        yield register(f"individuals-under-any-name-{model}", "plm", names, some, order=name_order)
        yield register(f"rows-in-any-order-plm-{model}", "plm", rows, some, order=draw.row_order)
    yield register("two-waves-are-differences", "plm", two_waves_are_differences, panels(times=(2, 2)))
    waves = panels(times=(4, 6))  # more than slopes: by fewer clusters a covariance is singular
    yield register("double-clustering-is-a-sum", "plm_vcov", double_clustering_is_a_sum, waves)
    yield register("no-lags-are-white", "plm_vcov", no_lags_are_white, waves)
    yield register("f-test-is-anova", "plm_test anova", f_test_is_anova, some, type=effects)
