"""Relations: they hold for refimpl and for R, each is broken by something, and the data they draw are what they say."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compat import strategies as draw
from compat.adapters.r import RImplementation
from compat.adapters.refimpl import implementation as refimpl
from compat.cases import Case
from compat.cells import Cell, labelled
from compat.compare import ABSENT, Row, Verdict
from compat.implementations import Implementation, NotAvailable, Refused
from compat.quantities import ESTIMATORS
from compat.refits import Known, describe, violations
from compat.relations import RELATIONS, Relation
from compat.strategies import Drawn, Problem, problems
from compat.tolerance import CLONED, Held

QUIET = settings(derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))


def rows_of(relation: Relation, implementation: Implementation, examples: int) -> list[Row]:
    """The rows of so many examples, always the same ones."""
    found: list[Row] = []

    @settings(QUIET, max_examples=examples)
    @given(relation.strategy)
    def collect(drawn: Drawn) -> None:
        found.extend(relation.check(implementation, drawn))

    collect()
    return found


def told(rows: list[Row]) -> list[str]:
    return [describe(row) for row in violations(rows)]


@pytest.fixture(params=RELATIONS)
def relation(request: pytest.FixtureRequest) -> Relation:
    return RELATIONS[request.param]


def test_relation_holds_for_refimpl(relation: Relation) -> None:
    rows = rows_of(relation, refimpl, 15)
    assert told(rows) == []
    assert {row.verdict for row in rows} == {Verdict.MATCH}
    assert len(rows) >= 15


@pytest.fixture(scope="module")
def r() -> Iterator[Implementation]:
    implementation = RImplementation()
    try:
        implementation.provenance()
    except NotAvailable as absent:
        pytest.skip(absent.reason)
    yield implementation
    implementation.close()


@pytest.mark.live
def test_relation_holds_for_r(relation: Relation, r: Implementation) -> None:
    rows = rows_of(relation, r, 3)
    assert told(rows) == []
    assert {row.verdict for row in rows} == {Verdict.MATCH}
    assert len(rows) >= 3


# -- every relation is broken by something ---------------------------------------------------------------------------


class Spoiled:
    """refimpl, its quantities changed by what is given; it may look at the case."""

    version = "1"
    capabilities = refimpl.capabilities

    def __init__(self, name: str, change: Callable[[Case, dict[str, Any]], Mapping[str, Any]]) -> None:
        self.name = name
        self.change = change

    def fit(self, case: Case) -> Mapping[str, Any]:
        return self.change(case, dict(refimpl.fit(case)))


def unsteady(case: Case, quantities: dict[str, Any]) -> dict[str, Any]:
    """Every number that is not whole is off in the sixth digit, differently in every case."""
    seen = pd.util.hash_pandas_object(case.data).to_numpy().tobytes() + repr(sorted(case.options.items())).encode()
    off = 1 + 1e-6 * (0.5 + hashlib.sha256(seen + case.formula.encode()).digest()[0] / 256)
    exact = ("nobs", "rank", "df", "df_residual", "aliased", "n_clusters", "n_dropped", "f_numdf", "f_dendf", "lr_df")
    return {name: value if name in exact else value * off for name, value in quantities.items()}


def off_the_plane(case: Case, quantities: dict[str, Any]) -> dict[str, Any]:
    """The residuals are all a little too high."""
    quantities["residuals"] = quantities["residuals"] + 1e-6 * quantities["sigma"]
    return quantities


class OtherType:
    """refimpl that takes one correction for another."""

    name = "other type"
    version = "1"
    capabilities = refimpl.capabilities
    swapped: Mapping[str, str] = {
        "HC0": "HC3", "HC3": "HC0", "HC4": "HC2", "CR0": "CR3", "CR3": "CR0", "CR1": "CR1p", "CR1p": "CR1",
    }  # fmt: skip

    def fit(self, case: Case) -> Mapping[str, Any]:
        kind = str(case.options["type"])
        return refimpl.fit(case.with_data(case.data, options={**case.options, "type": self.swapped.get(kind, kind)}))


BROKEN_BY: dict[str, Implementation] = dict.fromkeys(RELATIONS, Spoiled("unsteady", unsteady)) | {
    "residuals-are-orthogonal": Spoiled("off the plane", off_the_plane),
    "hc-are-ordered": OtherType(),
    "cr-are-ordered": OtherType(),
    "adjustments-lengthen": OtherType(),
}


def test_relation_is_broken_by_what_it_is_about(relation: Relation) -> None:
    bad = violations(rows_of(relation, BROKEN_BY[relation.name], 5))
    assert {row.verdict for row in bad} == {Verdict.UNEXPLAINED}
    for row in bad:
        assert row.got is not None
        assert row.expected is not None
        assert row.tolerance is not None
        assert row.reason


def sorted_clusters(case: Case, quantities: dict[str, Any]) -> Mapping[str, Any]:
    """Clusters are taken to come sorted: a new one begins wherever the label changes."""
    cluster = case.options.get("cluster")
    if cluster is None:
        return quantities
    name = cluster if isinstance(cluster, str) else cluster[0]
    label = case.data[name]
    return refimpl.fit(case.with_data(case.data.assign(**{name: (label != label.shift()).cumsum()})))


def no_clusters(case: Case, quantities: dict[str, Any]) -> Mapping[str, Any]:
    """Clusters are overlooked."""
    options = {name: value for name, value in case.options.items() if name != "cluster"}
    return refimpl.fit(case.with_data(case.data, options=options)) if case.estimator == "robcov" else quantities


def copies_are_news(case: Case, quantities: dict[str, Any]) -> Mapping[str, Any]:
    """Only the first of equal rows counts, as if duplicates were a mistake."""
    return refimpl.fit(case.with_data(case.data.drop_duplicates()))


def intercept_scaled(case: Case, quantities: dict[str, Any]) -> Mapping[str, Any]:
    """The covariance of a model without intercept is that of one with it."""
    return refimpl.fit(case.with_data(case.data, formula=case.formula.replace("~ 0 +", "~ 1 +")))


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (sorted_clusters, ["rows-in-any-order-robcov", "rows-in-any-order-vcov_cluster", "copies-leave-clusters"]),
        (no_clusters, ["copies-leave-robcov"]),
        (copies_are_news, ["copies-shrink-lm", "copies-shrink-ols", "counts-are-copies"]),
        (intercept_scaled, ["frisch-waugh-lovell"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_typical_mistakes_break_the_relation_that_is_about_them(change: Callable[..., Any], names: list[str]) -> None:
    for name in names:
        assert violations(rows_of(RELATIONS[name], Spoiled(change.__name__, change), 10)), name


def test_a_fit_that_is_refused_is_told_by_its_kind() -> None:
    def refuse(case: Case, quantities: dict[str, Any]) -> Mapping[str, Any]:
        raise Refused("one-cluster", "no clusters today")

    rows = rows_of(RELATIONS["copies-leave-robcov"], Spoiled("refusing", refuse), 2)
    assert {(str(row.cell), row.verdict, row.reason) for row in rows} == {
        ("error", Verdict.ERROR, "one-cluster: no clusters today")
    }
    assert violations(rows) == rows
    assert describe(rows[0]) == "ERROR error: one-cluster: no clusters today"


def test_what_is_not_offered_is_no_violation() -> None:
    def without(case: Case, quantities: dict[str, Any]) -> Mapping[str, Any]:
        return {name: value for name, value in quantities.items() if name != "std_error"}

    rows = rows_of(RELATIONS["copies-shrink-lm"], Spoiled("no standard errors", without), 2)
    assert {(str(row.cell), row.verdict) for row in rows} == {("std_error", Verdict.NOT_PROVIDED)}
    assert violations(rows) == []
    assert {row.verdict for row in rows} <= ABSENT


def test_copies_are_held_to_twelve_digits() -> None:
    rows = rows_of(RELATIONS["copies-leave-robcov"], refimpl, 10)
    for name in ("vcov", "std_error"):
        ours = [row for row in rows if row.cell.quantity == name]
        assert ours
        for row in ours:
            assert row.tolerance is not None
            assert row.expected is not None
            if len(set(row.cell.label)) == 1:
                assert row.tolerance == pytest.approx(CLONED * abs(row.expected))


# -- the registry ----------------------------------------------------------------------------------------------------


def test_relation_says_what_it_is_in_one_sentence(relation: Relation) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9_]+)*", relation.name)
    assert relation.text.endswith(".")
    assert "should" not in relation.text
    assert 20 < len(relation.text) < 130
    assert relation.estimators
    assert relation.estimators <= set(ESTIMATORS)


WITHOUT_RELATIONS = {"lmer", "lmer_anova"}  # held to lme4, to certified optima and to the textbook so far


def test_every_estimator_has_relations() -> None:
    related = set().union(*(relation.estimators for relation in RELATIONS.values()))
    assert related == set(ESTIMATORS) - WITHOUT_RELATIONS


def test_a_row_is_described_with_what_was_allowed() -> None:
    row = Row(Cell("vcov", ("a", "b")), Verdict.UNEXPLAINED, 1.5, 1.0, 0.3, 0.25, "noise")
    assert describe(row) == "UNEXPLAINED vcov[a, b]: got 1.5, wanted 1.0 within 0.25 (noise)"


def test_known_cells_carry_what_they_are_held_to() -> None:
    known = Known(labelled({"a": 2.0, "b": -3.0}), Held(np.array([0.1, 0.2]), "noise"))
    for changed, labels, values, allowed in (
        (known.times(-2.0), ["a", "b"], [-4, 6], [0.2, 0.4]),
        (known.times(np.array([1.0, 0.5])), ["a", "b"], [2, -1.5], [0.1, 0.1]),
        (known.plus(1.0), ["a", "b"], [3, -2], [0.1, 0.2]),
        (known.squared(), ["a", "b"], [4, 9], [0.4, 1.2]),
        (known.at([("b",), ("c",), ("a",)]), ["b", "a"], [-3, 2], [0.2, 0.1]),
        (known.without("a"), ["b"], [-3], [0.2]),
        (known.called({"a": "z"}), ["z", "b"], [2, -3], [0.1, 0.2]),
    ):
        assert changed.cells.names() == labels
        np.testing.assert_allclose(changed.cells.values, values)
        np.testing.assert_allclose(changed.held.allowed, allowed)
    logs = Known(known.cells, Held(np.array([0.1, 0.2]), "noise", on_log=True))
    np.testing.assert_array_equal(logs.times(1.0).held.allowed, [0.1, 0.2])


# -- what is drawn ---------------------------------------------------------------------------------------------------


@settings(QUIET, max_examples=40)
@given(problems(decades=0.0, condition=1e6))
def test_designs_have_the_condition_they_say(problem: Problem) -> None:
    X = problem.frame[list(problem.regressors)].to_numpy()
    X = X - X.mean(axis=0) if problem.intercept else X
    assert np.linalg.cond(X) == pytest.approx(problem.condition, rel=1e-6)
    assert 1 <= problem.condition <= 1e6 * (1 + 1e-9)


def test_conditions_reach_from_one_to_the_largest() -> None:
    found: list[float] = []

    @settings(QUIET, max_examples=100)
    @given(problems(condition=1e4))
    def collect(problem: Problem) -> None:
        found.append(problem.condition)

    collect()
    assert min(found) < 1.5
    assert max(found) > 5e3
    assert len(set(found)) > 10


@settings(QUIET, max_examples=60)
@given(problems(weighted=None, kinds=draw.KINDS))
def test_problems_are_complete(problem: Problem) -> None:
    frame = problem.frame
    assert not frame.isna().any().any()
    assert list(frame.index) == [str(i) for i in range(1, problem.n + 1)]
    assert problem.n >= 2 * len(problem.regressors) + 4
    assert (frame["w"] > 0).all()
    assert problem.X.shape == (problem.n, len(problem.regressors) + problem.intercept)
    sizes = frame["g"].value_counts()
    assert len(sizes) >= 3
    assert problem.n - sizes.max() >= len(problem.regressors) + 2  # the others determine the coefficients
    assert problem.case("lm").formula == problem.formula
    assert problem.case("lm").options.get("weights") == ("w" if problem.weighted else None)


def test_problems_are_of_every_sort() -> None:
    seen: Counter[str] = Counter()

    @settings(QUIET, max_examples=300, derandomize=True)
    @given(problems(weighted=None, kinds=draw.KINDS))
    def collect(problem: Problem) -> None:
        sizes = problem.frame["g"].value_counts(sort=False)
        order = list(dict.fromkeys(problem.frame["g"]))
        seen.update(problem.kinds or ["regular"])
        seen["intercept" if problem.intercept else "no intercept"] += 1
        seen["weighted" if problem.weighted else "unweighted"] += 1
        seen["singleton"] += int(sizes.min() == 1)
        seen["unbalanced"] += int(sizes.max() > 3 * sizes.min())
        seen["unsorted"] += int(order != sorted(order))

    collect()
    sorts = {*draw.KINDS, "regular", "intercept", "no intercept", "weighted", "unweighted"}
    assert {name for name, count in seen.items() if count >= 3} >= sorts | {"singleton", "unbalanced", "unsorted"}


@settings(QUIET, max_examples=30)
@given(problems(kinds=("near-copy",), columns=(2, 4), condition=10.0))
def test_a_near_copy_is_near_and_not_dependent(problem: Problem) -> None:
    condition = np.linalg.cond(problem.X / np.linalg.norm(problem.X, axis=0))
    assert condition < 1e6
    if problem.kinds:
        assert condition > 1e2


@settings(QUIET, max_examples=30)
@given(problems(), st.data())
def test_further_parts_fit_the_problem(problem: Problem, data: st.DataObject) -> None:
    order = data.draw(draw.row_order(problem))
    assert sorted(order) == list(range(problem.n))
    assert sorted(data.draw(draw.column_order(problem))) == list(range(len(problem.regressors)))
    assert len(data.draw(draw.column_factors(problem))) == len(problem.regressors)
    rows = data.draw(draw.some_rows(problem))
    assert 0 < len(rows) < problem.n - len(problem.regressors) - 1
    assert len(set(rows)) == len(rows)
    counts = data.draw(draw.row_counts(problem))
    assert len(counts) == problem.n
    assert set(counts) <= {1, 2, 3}
    assert problem.intercept or data.draw(draw.shift(problem)) == 0
    again = problem.with_rows(order)
    np.testing.assert_array_equal(again.frame["y"], problem.frame["y"].to_numpy()[list(order)])
    assert list(again.frame.index) == list(problem.frame.index)
