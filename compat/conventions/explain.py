"""Why an answer is not R's: which closed form, or which neighbour of the case fitted anew, gives just its numbers.

Only what disagrees is looked at. A port that answers another question is told which; it agrees under a convention only
where that was accepted beforehand, by name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from compat.adapters.refimpl import implementation as refimpl
from compat.cases import Case
from compat.cells import Labelled, NotCells, labelled
from compat.compare import Row, Verdict, digits
from compat.conventions.closed_forms import CLOSED_FORMS, Cells, NotKnown, forms_of
from compat.conventions.minimum_norm import minimum_norm
from compat.conventions.neighbours import CR_USERS, HC_USERS, neighbours
from compat.quantities import ESTIMATORS, MIXED, Kind, kind_of
from compat.tolerance import EXPLAINED_DIGITS, EXPLAINED_DIGITS_OPTIMISED

UNCLUSTERED = ("HC0", "HC1", "HC2", "HC3")
PANEL_TYPES = ("HC0", "sss", "HC1", "HC2", "HC3", "HC4")
PANEL_METHODS = ("arellano", "white1", "white2")
OPEN = frozenset({Verdict.UNEXPLAINED, Verdict.CANDIDATE_NOT_CONVERGED})


class Reason(NamedTuple):
    """A convention by its name, and what is said of the numbers that are its."""

    convention: str
    text: str


@dataclass(frozen=True)
class Choice:
    """Another case, or another way, that an answer may be of: its name, how it differs and who takes it, if known."""

    name: str
    case: Case
    text: str = ""
    used_by: str = ""
    fit: Callable[[Case], Mapping[str, Any]] = refimpl.fit

    @property
    def reason(self) -> Reason:
        """What is said of an answer that is this choice's."""
        more = f" ({self.text})" * bool(self.text) + f", as {self.used_by}" * bool(self.used_by)
        return Reason(self.name, f"these are the numbers of {self.name}{more}")


def explain(
    case: Case,
    got: Mapping[str, Any],
    expected: Mapping[str, Any],
    rows: Sequence[Row],
    accepted: Collection[str] = (),
) -> list[Row]:
    """The same rows; those of a quantity that some convention explains say so in front of their reason.

    Where that convention is one of those `accepted` the verdict is MATCH_UNDER_CONVENTION.
    """
    wrong = list(dict.fromkeys(row.cell.quantity for row in rows if row.verdict in OPEN and row.cell.quantity in got))
    if not wrong:
        return list(rows)
    known = _read(expected)
    mine = {name: cells for name, cells in _read(got).items() if name in wrong and name in known}
    said = {name: reason for name, cells in mine.items() if (reason := _form(case, name, cells, known))}
    for choice in choices(case) if len(said) < len(mine) else ():
        answer = _answer(choice)
        for name in mine.keys() - said.keys():
            if name in answer and _same(case, name, mine[name], answer[name].as_dict()):
                said[name] = choice.reason
    return [
        _told(row, said[row.cell.quantity], accepted) if row.verdict in OPEN and row.cell.quantity in said else row
        for row in rows
    ]


def _told(row: Row, reason: Reason, accepted: Collection[str]) -> Row:
    if reason.convention in accepted:
        return replace(row, verdict=Verdict.MATCH_UNDER_CONVENTION, reason=reason.text)
    return replace(row, reason=f"{reason.text}; {row.reason}")


class Convention(NamedTuple):
    """A convention as it is listed."""

    name: str
    estimators: frozenset[str]
    text: str
    used_by: str


def conventions(cases: Iterable[Case]) -> list[Convention]:
    """Every convention that can explain an answer to one of the cases, by name."""
    found = [Convention(form.name, form.estimators, form.text, form.used_by) for form in CLOSED_FORMS]
    for case in cases:
        # which clustering, or which of two: each case's own
        found += [
            Convention(
                one.name, frozenset([case.estimator]), "" if case.estimator == "vcov_cluster" else one.text, one.used_by
            )
            for one in choices(case)
        ]
    listed: dict[str, Convention] = {}
    for one in found:
        before = listed.get(one.name, one)
        listed[one.name] = Convention(
            one.name,
            (before.estimators | one.estimators) & frozenset(ESTIMATORS),
            before.text or one.text,
            before.used_by or one.used_by,
        )
    return [listed[name] for name in sorted(listed)]


def _read(quantities: Mapping[str, Any]) -> dict[str, Labelled]:
    out = {}
    for name, value in quantities.items():
        try:
            out[name] = labelled(value)
        except (NotCells, TypeError, ValueError):
            continue
    return out


def _form(case: Case, name: str, cells: Labelled, known: Mapping[str, Labelled]) -> Reason | None:
    """What a closed form says of these cells, None where none gives them."""

    def of_r(quantity: str) -> Cells | None:
        return known[quantity].as_dict() if quantity in known else None

    for form in forms_of(case.estimator, name):
        try:
            found = form.cells(of_r)
        except (NotKnown, ArithmeticError, ValueError):
            continue
        if _same(case, name, cells, found, form.absolute):
            return Reason(form.name, f"{form.name}: {form.text}, as {form.used_by}")
    return None


def _same(case: Case, name: str, cells: Labelled, other: Cells, absolute: float = 0.0) -> bool:
    """Whether all cells are the other's, missing ones too, as far as a convention can be told from chance."""
    if set(cells.labels) != set(other):
        return False
    values = np.array([other[label] for label in cells.labels], dtype=np.float64)
    least = EXPLAINED_DIGITS_OPTIMISED if case.estimator in MIXED else EXPLAINED_DIGITS
    if kind_of(name, case.estimator) is not Kind.TAIL:  # a cell that is nothing beside the others
        absolute = max(absolute, 10.0**-least * np.abs(values[np.isfinite(values)]).max(initial=0.0))
    near = np.abs(cells.values - values) <= absolute
    return bool(((digits(cells.values, values) >= least) | near).all())


def _answer(choice: Choice) -> Mapping[str, Labelled]:
    try:
        return _read(choice.fit(choice.case))
    except Exception:
        return {}


# -- the choices -----------------------------------------------------------------------------------------------------


def choices(case: Case) -> Iterator[Choice]:
    """Other cases that software and people take for this one, the likeliest first."""
    options = dict(case.options)

    def other(name: str, text: str = "", used_by: str = "", estimator: str = case.estimator, **changes: Any) -> Choice:
        changed = {option: value for option, value in {**options, **changes}.items() if value is not None}
        return Choice(name, replace(case, estimator=estimator, options=changed), text, used_by)

    if case.estimator == "vcov_hc":
        for kind in (kind for kind in HC_USERS if kind != options["type"]):
            yield other(f"type {kind}", used_by=HC_USERS[kind], type=kind)
    if case.estimator == "vcov_cluster":
        for kind in (kind for kind in CR_USERS if kind != options["type"]):
            yield other(f"type {kind}", used_by=CR_USERS[kind], type=kind)
        yield from (other(f"no clusters, type {kind}", estimator="vcov_hc", type=kind) for kind in UNCLUSTERED)
        if len(options["cluster"]) > 1:
            yield from (other("one of the clusterings", str(one), cluster=[one]) for one in options["cluster"])
            small = "min" if options.get("small_sample") == "component" else "component"
            yield other("several clusterings, the other small_sample", small, small_sample=small)
            yield other("several clusterings, the other multi0", multi0=not options.get("multi0", False))
    if case.estimator == "plm_vcov" and options.get("vcov", "HC") == "HC":
        yield from (other(f"type {kind}", type=kind) for kind in PANEL_TYPES)
        yield from (other(f"method {method}", method=method) for method in PANEL_METHODS)
        yield other("clusters of times", cluster="time")
    for one in neighbours(case.estimator, options):
        if one.estimator in refimpl.capabilities:
            changed = replace(case, estimator=one.estimator, options=dict(one.options))
            yield Choice(one.name, changed, one.text, one.used_by)
    if "weights" in options:
        yield other("no weights", weights=None)
    if case.estimator == "lm":
        shortest = "b = X^+ y, no column left out"
        yield Choice("a generalised inverse", case, shortest, "statsmodels, numpy's lstsq", minimum_norm)
