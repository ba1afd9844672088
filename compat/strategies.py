"""Hypothesis strategies that draw data for relations: designs of known condition, clusters, weights, missing values.

What must hold for a fit of such data is in relations. Needs hypothesis (the extra `test`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from numpy.typing import NDArray

from compat.cases import Case, case_in_memory

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]
T = TypeVar("T")

# Labels whose alphabetical order is neither that of numbers nor of appearance, nor the same in every locale.
CLUSTER_LABELS = ("b", "a10", "a9", "Z", "10", "9", "é", "b b", "B", "0", "-1", "zz", "A1", "_", "a.1", "NaNa")


@dataclass(frozen=True, eq=False)
class Problem:
    """A linear model with its data, all columns in `frame`: y, the regressors, cluster `g` (text), weights `w`.

    `condition` is the condition number of the regressors as they were first drawn (centred where there is an
    intercept), before `kinds` put a column in the place of one: constant, near-copy or zero.
    """

    frame: pd.DataFrame
    regressors: tuple[str, ...]
    intercept: bool
    weighted: bool
    condition: float
    kinds: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.frame)

    @property
    def formula(self) -> str:
        """The model in R's language."""
        return formula("y", self.regressors, self.intercept)

    @property
    def X(self) -> pd.DataFrame:
        """The model matrix (n, p) under R's names."""
        X = self.frame[list(self.regressors)].astype(np.float64)
        if self.intercept:
            X.insert(0, "(Intercept)", 1.0)
        return X

    @property
    def options(self) -> dict[str, Any]:
        """The weights, where there are any."""
        return {"weights": "w"} if self.weighted else {}

    def case(self, estimator: str, text: str | None = None, **options: Any) -> Case:
        """The problem as a case of an estimator, with further options or another formula."""
        return case_in_memory(estimator, text or self.formula, self.frame, **self.options, **options)

    def with_columns(self, **columns: Any) -> Problem:
        """The same with other or further columns of the frame."""
        return replace(self, frame=self.frame.assign(**columns))

    def with_rows(self, positions: Sequence[int] | Codes) -> Problem:
        """The same on some rows, or on rows several times; they are labelled anew from "1" on."""
        rows = self.frame.iloc[list(positions)]
        return replace(self, frame=rows.set_axis(row_labels(len(rows)), axis=0))


def formula(response: str, regressors: Sequence[str], intercept: bool) -> str:
    """A formula of columns; `1` or `0` stands first."""
    return f"{response} ~ {' + '.join(['1' if intercept else '0', *regressors])}"


def row_labels(n: int) -> list[str]:
    """R's row names "1" to "n"."""
    return [str(i) for i in range(1, n + 1)]


def orthonormal(rng: np.random.Generator, n: int, p: int, centred: bool = False) -> Floats:
    """p orthonormal columns of n numbers, each orthogonal to the constant where `centred`."""
    draws = rng.normal(size=(n, p))
    if not centred:
        return np.asarray(np.linalg.qr(draws)[0])
    return np.asarray(np.linalg.qr(np.column_stack([np.ones(n), draws]))[0][:, 1:])


@st.composite
def known_condition(draw: DrawFn, n: int, p: int, condition: float, centred: bool) -> tuple[Floats, float]:
    """sqrt(n) Q diag(d) V' (n, p) with drawn singular values d, the largest 1, and max d / min d."""
    steps = [0.0, *(draw(st.floats(0, 1)) for _ in range(p - 1))]
    d = condition ** -np.array(steps)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    Q, V = orthonormal(rng, n, p, centred), orthonormal(rng, p, p)
    return np.sqrt(n) * (Q * d) @ V.T, float(1 / d.min())


KINDS = ("constant", "near-copy", "zero")


@st.composite
def problems(
    draw: DrawFn,
    *,
    rows: tuple[int, int] = (10, 40),
    columns: tuple[int, int] = (1, 4),
    condition: float = 1e4,
    intercept: bool | None = None,
    weighted: bool | None = False,
    kinds: Sequence[str] = (),
    decades: float = 3.0,
    noise: Sequence[float] = (1e-3, 1.0, 100.0),
    least_clusters: int = 3,
) -> Problem:
    """A problem with noise of drawn size, beside a response near one, that grows with the first regressor.

    None draws `intercept` or `weighted`; `kinds` are the sorts of awkward columns that may be put in; regressors
    are shifted, where there is an intercept, and stretched by up to 10^`decades` either way.
    """
    p = draw(st.integers(*columns))
    n = draw(st.integers(max(rows[0], 2 * p + 4), rows[1]))
    constant = draw(st.booleans()) if intercept is None else intercept
    X, known = draw(known_condition(n, p, condition, centred=constant))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X = (X + constant * rng.normal(size=p)) * 10.0 ** rng.uniform(-decades, decades, p)
    used = tuple(draw(st.lists(st.sampled_from(list(kinds)), max_size=1))) if kinds and p > 1 else ()
    for kind in used:
        X = _with_kind(rng, X, kind, draw(st.integers(0, p - 1)))
    size = draw(st.sampled_from(list(noise)))
    spread = 0.2 + np.abs(X[:, 0]) / (np.abs(X[:, 0]).max() or 1.0)
    y = X @ (rng.normal(size=p) / (np.abs(X).max(axis=0) + (X == 0).all(axis=0))) + constant * rng.normal()
    names = tuple(f"x{j}" for j in range(1, p + 1))
    frame = pd.DataFrame(dict(zip(names, X.T, strict=True)), index=row_labels(n))
    frame["y"] = y + size * spread * rng.normal(size=n)
    frame["w"] = rng.uniform(0.2, 5.0, n)
    use_weights = draw(st.booleans()) if weighted is None else weighted
    labels, codes = draw(clusters(n, n - p - 2, least_clusters))
    frame["g"] = pd.array([labels[code] for code in codes], dtype="str")
    return Problem(frame, names, constant, use_weights, known, used)


def _with_kind(rng: np.random.Generator, X: Floats, kind: str, at: int) -> Floats:
    """X with the column at a place made constant or zero, or all but a copy of its neighbour."""
    X = X.copy()
    if kind == "near-copy":  # a thousand times further away than where R's tolerance lies
        other = X[:, at - 1]
        X[:, at] = other + 1e-4 * np.abs(other).max() * rng.normal(size=len(X))
    else:
        X[:, at] = 3.5 if kind == "constant" else 0.0
    return X


@st.composite
def clusters(draw: DrawFn, n: int, largest: int, least: int = 3) -> tuple[tuple[str, ...], Codes]:
    """Labels in no order and a code for each of n rows: unbalanced, some of one row, none above `largest` rows."""
    G = draw(st.integers(least, min(n, len(CLUSTER_LABELS))))
    labels = tuple(draw(st.permutations(CLUSTER_LABELS))[:G])
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    codes = np.floor(G * rng.uniform(size=n) ** draw(st.sampled_from([1.0, 2.0, 4.0]))).astype(np.intp)
    codes[:G] = np.arange(G)
    if np.bincount(codes).max() > largest:
        codes = np.arange(n) % G
    return labels, rng.permutation(codes)


@dataclass(frozen=True, eq=False)
class Drawn:
    """A problem and what a relation does with it."""

    problem: Problem
    times: int = 1  # copies of every row
    order: tuple[int, ...] = ()  # positions, of rows or of columns
    a: float = 1.0
    b: float = 0.0
    factors: tuple[float, ...] = ()  # one a regressor
    type: str = ""
    rows: tuple[int, ...] = ()  # rows chosen
    counts: tuple[int, ...] = ()  # one a row


def drawn(problem: SearchStrategy[Problem], **parts: Callable[[Problem], SearchStrategy[Any]]) -> SearchStrategy[Drawn]:
    """A problem with further parts of a Drawn, each drawn from a strategy that may look at the problem."""

    @st.composite
    def build(draw: DrawFn) -> Drawn:
        base = draw(problem)
        return Drawn(base, **{name: draw(part(base)) for name, part in parts.items()})

    return build()


def one_of(*values: T) -> Callable[[Problem], SearchStrategy[T]]:
    """One of some values, whatever the problem."""
    return lambda problem: st.sampled_from(values)


def two_to_fifty(problem: Problem) -> SearchStrategy[int]:
    """How many copies."""
    return st.integers(2, 50)


def row_order(problem: Problem) -> SearchStrategy[tuple[int, ...]]:
    """The rows in another order."""
    return st.permutations(range(problem.n)).map(tuple)


def column_order(problem: Problem) -> SearchStrategy[tuple[int, ...]]:
    """The regressors in another order."""
    return st.permutations(range(len(problem.regressors))).map(tuple)


def label_order(problem: Problem) -> SearchStrategy[tuple[int, ...]]:
    """A number for each cluster."""
    return st.permutations(range(len(CLUSTER_LABELS))).map(tuple)


def nonzero(problem: Problem) -> SearchStrategy[float]:
    """A factor of either sign between 1e-3 and 1e3."""
    sizes = st.floats(-3, 3).map(lambda e: float(10.0**e))
    return st.tuples(sizes, st.sampled_from([1.0, -1.0])).map(lambda both: both[0] * both[1])


def column_factors(problem: Problem) -> SearchStrategy[tuple[float, ...]]:
    """A factor for each regressor."""
    return st.tuples(*(nonzero(problem) for _ in problem.regressors))


def mild_factors(problem: Problem) -> SearchStrategy[tuple[float, ...]]:
    """A factor between 1/4 and 4 for each regressor, of either sign."""
    size = st.floats(0.25, 4)
    return st.tuples(
        *(st.tuples(size, st.sampled_from([1.0, -1.0])).map(np.prod).map(float) for _ in problem.regressors)
    )


def shift(problem: Problem) -> SearchStrategy[float]:
    """A shift of the response; none without an intercept to take it up."""
    return st.floats(-100, 100) if problem.intercept else st.just(0.0)


def some_rows(problem: Problem) -> SearchStrategy[tuple[int, ...]]:
    """A few of the rows, at least one."""
    most = max(1, (problem.n - 2 * len(problem.regressors)) // 3)
    positions = st.lists(st.integers(0, problem.n - 1), min_size=1, max_size=most, unique=True)
    return positions.map(lambda found: tuple(sorted(found)))


def row_counts(problem: Problem) -> SearchStrategy[tuple[int, ...]]:
    """How many times each row stands in the data: all twice, or one to three times."""
    n = problem.n
    return st.one_of(st.just((2,) * n), st.lists(st.integers(1, 3), min_size=n, max_size=n).map(tuple))
