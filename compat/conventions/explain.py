"""Why an answer is not R's: which closed form, or which neighbour of the case fitted anew, gives just its numbers.

Only what disagrees is looked at. A verdict is not changed by it: a port that answers another question is told which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from compat.adapters.refimpl import implementation as refimpl
from compat.cases import Case
from compat.cells import Labelled, NotCells, labelled
from compat.compare import Row, Verdict, digits
from compat.conventions.closed_forms import Cells, NotKnown, forms_of
from compat.conventions.neighbours import neighbours
from compat.quantities import MIXED
from compat.tolerance import EXPLAINED_DIGITS, EXPLAINED_DIGITS_OPTIMISED

HC_TYPES = ("HC0", "HC1", "HC2", "HC3", "HC4", "HC4m", "HC5")
CR_TYPES = ("CR0", "CR1", "CR1p", "CR1S", "CR2", "CR3")
PANEL_TYPES = ("HC0", "sss", "HC1", "HC2", "HC3", "HC4")
PANEL_METHODS = ("arellano", "white1", "white2")
OPEN = frozenset({Verdict.UNEXPLAINED, Verdict.CANDIDATE_NOT_CONVERGED})


@dataclass(frozen=True)
class Choice:
    """Another case that an answer may be of, and what to call it."""

    said: str
    case: Case


def explain(case: Case, got: Mapping[str, Any], expected: Mapping[str, Any], rows: Sequence[Row]) -> list[Row]:
    """The same rows; those of a quantity that some convention explains say so in front of their reason."""
    wrong = list(dict.fromkeys(row.cell.quantity for row in rows if row.verdict in OPEN and row.cell.quantity in got))
    if not wrong:
        return list(rows)
    known = _read(expected)
    mine = {name: cells for name, cells in _read(got).items() if name in wrong and name in known}
    said = {name: text for name, cells in mine.items() if (text := _form(case, name, cells, known))}
    for choice in choices(case) if len(said) < len(mine) else ():
        answer = _fitted(choice.case)
        for name in mine.keys() - said.keys():
            if name in answer and _same(case, mine[name], answer[name].as_dict()):
                said[name] = f"these are the numbers of {choice.said}"
    return [
        replace(row, reason=f"{said[row.cell.quantity]}; {row.reason}")
        if row.verdict in OPEN and row.cell.quantity in said
        else row
        for row in rows
    ]


def _read(quantities: Mapping[str, Any]) -> dict[str, Labelled]:
    out = {}
    for name, value in quantities.items():
        try:
            out[name] = labelled(value)
        except (NotCells, TypeError, ValueError):
            continue
    return out


def _form(case: Case, name: str, cells: Labelled, known: Mapping[str, Labelled]) -> str:
    """What a closed form says of these cells, empty where none gives them."""

    def of_r(quantity: str) -> Cells | None:
        return known[quantity].as_dict() if quantity in known else None

    for form in forms_of(case.estimator, name):
        try:
            found = form.cells(of_r)
        except (NotKnown, ArithmeticError, ValueError):
            continue
        if _same(case, cells, found):
            return f"{form.name}: {form.text}, as {form.used_by}"
    return ""


def _same(case: Case, cells: Labelled, other: Cells) -> bool:
    """Whether all cells are the other's, missing ones too, as far as a convention can be told from chance."""
    if set(cells.labels) != set(other):
        return False
    values = np.array([other[label] for label in cells.labels], dtype=np.float64)
    least = EXPLAINED_DIGITS_OPTIMISED if case.estimator in MIXED else EXPLAINED_DIGITS
    size = np.abs(values[np.isfinite(values)]).max(initial=0.0)
    near = np.abs(cells.values - values) <= 10.0**-least * size  # a cell that is nothing beside the others
    return bool(((digits(cells.values, values) >= least) | near).all())


def _fitted(case: Case) -> Mapping[str, Labelled]:
    try:
        return _read(refimpl.fit(case))
    except Exception:
        return {}


# -- the choices -----------------------------------------------------------------------------------------------------


def choices(case: Case) -> Iterator[Choice]:
    """Other cases that software and people take for this one, the likeliest first."""
    options = dict(case.options)

    def other(said: str, estimator: str = case.estimator, **changes: Any) -> Choice:
        changed = {name: value for name, value in {**options, **changes}.items() if value is not None}
        return Choice(said, replace(case, estimator=estimator, options=changed))

    if case.estimator == "vcov_hc":
        yield from (other(f"type {kind}", type=kind) for kind in HC_TYPES if kind != options["type"])
    if case.estimator == "vcov_cluster":
        yield from (other(f"type {kind}", type=kind) for kind in CR_TYPES if kind != options["type"])
        yield from (other(f"no clusters, type {kind}", "vcov_hc", type=kind) for kind in HC_TYPES[:4])
        if len(options["cluster"]) > 1:
            yield from (other(f"one clustering, {one}", cluster=[one]) for one in options["cluster"])
            small = "min" if options.get("small_sample") == "component" else "component"
            yield other(f"several clusterings, small_sample {small}", small_sample=small)
            yield other("several clusterings, the other multi0", multi0=not options.get("multi0", False))
    if case.estimator == "plm_vcov" and options.get("vcov", "HC") == "HC":
        yield from (other(f"type {kind}", type=kind) for kind in PANEL_TYPES)
        yield from (other(f"method {method}", method=method) for method in PANEL_METHODS)
        yield other("clusters of times", cluster="time")
    for one in neighbours(case.estimator, options):
        if one.estimator in refimpl.capabilities:
            yield Choice(f"{one.name} ({one.text}), as {one.used_by}", _of(case, one.estimator, one.options))
    if "weights" in options:
        yield other("no weights", weights=None)


def _of(case: Case, estimator: str, options: Mapping[str, Any]) -> Case:
    return replace(case, estimator=estimator, options=dict(options))
