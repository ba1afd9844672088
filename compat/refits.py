"""Fits of several cases by one implementation, and their cells compared with each other: what relations work with.

What is compared with R is check's business. Nothing here asserts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from compat.cases import Case
from compat.cells import Cell, Label, Labelled, labelled
from compat.check import Absent, ask
from compat.compare import Failure, Row, Verdict, compare_quantity
from compat.implementations import Implementation
from compat.noise import Scene
from compat.tolerance import Held, both, early, held

Floats = NDArray[np.float64]


class Unanswered(Exception):
    """A fit that was not to be had; `row` says why."""

    def __init__(self, row: Row) -> None:
        super().__init__(row.reason)
        self.row = row


@dataclass(frozen=True, eq=False)
class Known:
    """Cells as they are known from one fit, and what they are held to: what another fit is compared with."""

    cells: Labelled
    held: Held

    def times(self, factor: float | Floats) -> Known:
        """Multiplied by a number, or by one a cell."""
        allowed = self.held.allowed if self.held.on_log else self.held.allowed * np.abs(factor)
        return Known(replace(self.cells, values=self.cells.values * factor), replace(self.held, allowed=allowed))

    def plus(self, shift: float | Floats) -> Known:
        """With a number added, or one a cell."""
        return replace(self, cells=replace(self.cells, values=self.cells.values + shift))

    def squared(self) -> Known:
        """The squares."""
        slope = 2 * np.abs(self.cells.values)
        return Known(
            replace(self.cells, values=self.cells.values**2), replace(self.held, allowed=slope * self.held.allowed)
        )

    def through(self, change: Callable[[Floats], Floats]) -> Known:
        """What a smooth function makes of all the cells, which keep their labels; its derivative carries the limits."""
        values, steps = self.cells.values, np.diag(1e-6 * np.maximum(np.abs(self.cells.values), 1e-3))
        slopes = np.array([(change(values + h) - change(values - h)) / (2 * h.sum()) for h in steps]).T
        return Known(
            replace(self.cells, values=change(values)),
            replace(self.held, allowed=np.abs(slopes) @ self.held.allowed),
        )

    def at(self, labels: Iterable[Label]) -> Known:
        """Some of the cells, in the order given."""
        place = {label: i for i, label in enumerate(self.cells.labels)}
        chosen = tuple(label for label in labels if label in place)
        which = [place[label] for label in chosen]
        cells = Labelled(chosen, self.cells.values[which])
        return Known(cells, replace(self.held, allowed=self.held.allowed[which]))

    def without(self, *names: str) -> Known:
        """The cells that have none of these labels."""
        return self.at(label for label in self.cells.labels if not set(label) & set(names))

    def called(self, names: Mapping[str, str]) -> Known:
        """Under other names."""
        labels = tuple(tuple(names.get(part, part) for part in label) for label in self.cells.labels)
        return replace(self, cells=replace(self.cells, labels=labels))


class Fit:
    """What an implementation answered for a case, cell by cell."""

    def __init__(self, case: Case, quantities: Mapping[str, Labelled]) -> None:
        self.case = case
        self.quantities = quantities
        self.scene = Scene(case, quantities, quantities)

    def has(self, name: str) -> bool:
        """Whether the quantity was given."""
        return name in self.quantities

    def known(self, name: str) -> Known:
        """A quantity, for comparison with another fit's."""
        if name not in self.quantities:
            raise Unanswered(Row(Cell(name, ()), Verdict.NOT_PROVIDED, reason="not among what fit() returned"))
        cells = self.quantities[name]
        return Known(cells, held(self.scene, name, cells))

    def number(self, name: str) -> float:
        """A quantity that is one number."""
        return float(self.known(name).cells.values[0])

    def matrix(self, name: str) -> tuple[list[str], Floats, Floats]:
        """Labels, values and what each is held to (k, k), of a square quantity without its missing rows."""
        known = self.known(name)
        names = known.cells.names()
        values, allowed = (a.reshape(len(names), len(names)) for a in (known.cells.values, known.held.allowed))
        kept = ~np.isnan(np.diag(values))
        which = np.ix_(kept, kept)
        return [name for name, use in zip(names, kept, strict=True) if use], values[which], allowed[which]


Ask = Callable[[Case], Fit]
Rows = Iterator[Row]


def fitted(implementation: Implementation, case: Case) -> Fit:
    """Ask for a fit; Unanswered where there is none."""
    answer = ask(implementation, case)
    if isinstance(answer, Absent):
        raise Unanswered(Row(Cell("fit", ()), answer.verdict, reason=answer.reason))
    if isinstance(answer, Failure):
        raise Unanswered(Row(Cell("error", ()), Verdict.ERROR, reason=f"{answer.kind}: {answer.message}"))
    return Fit(case, {name: labelled(value) for name, value in answer.items() if value is not None})


def same(fit: Fit, name: str, wanted: Known) -> Rows:
    """A quantity of a fit against what it has to be; the noise of both fits is allowed."""
    got = fit.known(name)
    allowance = dict(zip(got.cells.labels, got.held.allowed.tolist(), strict=True))
    own = np.array([allowance.get(label, 0.0) for label in wanted.cells.labels])
    stopped = early(got.held) or early(wanted.held)
    yield from compare_quantity(name, got.cells, wanted.cells, both(wanted.held, own, stopped))


def multiplied(fit: Fit, one: Fit, factors: Mapping[str, float]) -> Rows:
    """Quantities that both fits have, each times a factor."""
    for name, factor in factors.items():
        if fit.has(name) and one.has(name):
            yield from same(fit, name, one.known(name).times(factor))


def unchanged(fit: Fit, one: Fit, names: Iterable[str]) -> Rows:
    """Quantities that both fits have, the same in both."""
    yield from multiplied(fit, one, dict.fromkeys(names, 1.0))


def not_negative(cell: Cell, got: float, limit: Held) -> Row:
    """A row for a number that must not be negative."""
    return _bounded(cell, got, limit, "not negative", got >= -float(limit.allowed[0]))


def zero(cell: Cell, got: float, limit: Held) -> Row:
    """A row for a number that must be zero."""
    return _bounded(cell, got, limit, "zero", abs(got) <= float(limit.allowed[0]))


def _bounded(cell: Cell, got: float, limit: Held, what: str, good: bool) -> Row:
    verdict = Verdict.MATCH if good else Verdict.UNEXPLAINED
    return Row(cell, verdict, got, 0.0, None, float(limit.allowed[0]), f"{what}: {limit.reason}")


def violations(rows: Sequence[Row]) -> list[Row]:
    """The rows in which a relation does not hold."""
    return [row for row in rows if row.bad]


def describe(row: Row) -> str:
    """One line on a row: the cell, what was got, what it had to be, and what was allowed."""
    if row.got is None and row.expected is None:
        return f"{row.verdict} {row.cell}: {row.reason}"
    return f"{row.verdict} {row.cell}: got {row.got!r}, wanted {row.expected!r} within {row.tolerance!r} ({row.reason})"
