"""One verdict for every cell: what was got, what was expected, how many digits they share, and what that means.

It never asserts and never stops at the first difference, and it does not know where the expected values came from.
What agreement a cell is held to is in tolerance; running implementations is in check.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compat.cases import Case
from compat.cells import Cell, Label, Labelled, NotCells, labelled
from compat.noise import Scene
from compat.quantities import MIXED, Kind, kind_of
from compat.tolerance import SMALLEST_P, Held, accurate_enough, held

Floats = NDArray[np.float64]


class Verdict(StrEnum):
    """What a comparison of one cell concluded."""

    MATCH = "MATCH"
    MATCH_UNDER_CONVENTION = "MATCH_UNDER_CONVENTION"
    CANDIDATE_NOT_CONVERGED = "CANDIDATE_NOT_CONVERGED"
    REFERENCE_NOT_CONVERGED = "REFERENCE_NOT_CONVERGED"
    KNOWN_REFERENCE_DEFECT = "KNOWN_REFERENCE_DEFECT"
    STRUCTURE = "STRUCTURE"
    UNEXPLAINED = "UNEXPLAINED"
    NOT_PROVIDED = "NOT_PROVIDED"
    NOT_RUN = "NOT_RUN"
    ERROR = "ERROR"


MEANING: Mapping[Verdict, str] = {
    Verdict.MATCH: "the two agree as far as rounding lets two correct computations agree",
    Verdict.MATCH_UNDER_CONVENTION: "they agree by a named convention that was accepted: another factor, ...",
    Verdict.CANDIDATE_NOT_CONVERGED: "the implementation stopped before its optimum",
    Verdict.REFERENCE_NOT_CONVERGED: "R stopped before its optimum, and the implementation is below it",
    Verdict.KNOWN_REFERENCE_DEFECT: "this stack is known to be wrong here",
    Verdict.STRUCTURE: "names, their order, or rows are not R's",
    Verdict.UNEXPLAINED: "the numbers differ and nothing explains it",
    Verdict.NOT_PROVIDED: "the implementation does not offer this; counted apart",
    Verdict.NOT_RUN: "nothing was compared: data, R or the expected file is not here; never green",
    Verdict.ERROR: "the implementation stopped where R answers",
}

# What makes a run fail. NOT_PROVIDED and NOT_RUN do so under --strict, or when nothing at all was compared.
BAD = frozenset({Verdict.STRUCTURE, Verdict.UNEXPLAINED, Verdict.ERROR, Verdict.CANDIDATE_NOT_CONVERGED})
ABSENT = frozenset({Verdict.NOT_PROVIDED, Verdict.NOT_RUN})


class Failure(NamedTuple):
    """An error as an answer: its kind (of the shared vocabulary) and its text."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Row:
    """One cell's verdict. `got` and `expected` are None where there is no number; `digits` where there is no sense.

    `tolerance` is the difference allowed: absolute, or of logarithms where `reason` says log scale.
    """

    cell: Cell
    verdict: Verdict
    got: float | None = None
    expected: float | None = None
    digits: float | None = None
    tolerance: float | None = None
    reason: str = ""

    @property
    def bad(self) -> bool:
        """Whether this alone makes a run fail."""
        return self.verdict in BAD


@dataclass(frozen=True)
class Defect:
    """Quantities in which a stack is known to be wrong, in the cases of a glob, and the reason with its source."""

    stack: str
    case: str
    quantities: tuple[str, ...]
    reason: str

    def covers(self, stack: str, case: str, cell: Cell) -> bool:
        """Whether a cell is one of them."""
        return self.stack == stack and fnmatchcase(case, self.case) and cell.quantity in self.quantities


SAME = "the same number"  # needs no tolerance; of a mixed model both may have stopped short of the optimum

# A certified value as a decimal string, by quantity and label.
Certified = Mapping[str, Mapping[str, str] | str]


def digits(got: Floats, expected: Floats) -> Floats:
    """-log10 of the relative difference (absolute where expected is 0), at most 16; NaN where one is not finite."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scale = np.where(expected == 0, 1.0, np.abs(expected))
        found = np.minimum(-np.log10(np.abs(got - expected) / scale), 16.0)
    same = (got == expected) | (np.isnan(got) & np.isnan(expected))
    return np.where(same, 16.0, np.where(np.isfinite(got) & np.isfinite(expected), found, np.nan))


def compare(
    case: Case,
    got: Mapping[str, Any] | Failure,
    expected: Mapping[str, Any] | Failure,
    certified: Certified | None = None,
    *,
    messages: bool = False,
) -> list[Row]:
    """Return a verdict for every expected cell, and for every one got that R's labels do not have.

    `got` and `expected` are quantities (name -> float, mapping, Series or DataFrame) or a Failure. A quantity that
    is expected and not got is one row NOT_PROVIDED; one got that R does not give for this case is ignored. NA and
    NaN are alike. With `certified` values two rows more per quantity say whether enough digits are right.
    `messages` compares the texts of errors too, as is right for R itself.
    """
    if isinstance(expected, Failure):
        return _compare_failures(got, expected, messages)
    if isinstance(got, Failure):
        return [_stopped(got)]
    wanted = {name: labelled(value) for name, value in expected.items()}
    given, rows = _read(got, wanted)
    scene = Scene(case, wanted, given)
    for name, cells in wanted.items():
        if name not in given:
            if not any(row.cell.quantity == name for row in rows):
                rows.append(Row(Cell(name, ()), Verdict.NOT_PROVIDED, reason="not among what fit() returned"))
            continue
        same = case.estimator not in MIXED and given[name].equals(cells)
        limits = Held(np.zeros(cells.values.size), SAME) if same else held(scene, name, cells)
        rows.extend(compare_quantity(name, given[name], cells, limits))
    if certified:
        rows.extend(_compare_certified(scene, certified))
    return rows


def _read(got: Mapping[str, Any], wanted: Mapping[str, Labelled]) -> tuple[dict[str, Labelled], list[Row]]:
    """The quantities wanted, as cells; what cannot be read as such is a STRUCTURE row."""
    given: dict[str, Labelled] = {}
    rows: list[Row] = []
    for name in wanted:
        if got.get(name) is None:
            continue
        try:
            given[name] = labelled(got[name])
        except (NotCells, TypeError, ValueError) as error:
            rows.append(Row(Cell(name, ()), Verdict.STRUCTURE, reason=str(error)))
    return given, rows


# -- errors as answers -----------------------------------------------------------------------------------------------

_ERROR = Cell("error", ())
_MESSAGE = Cell("error", ("message",))


def _stopped(got: Failure) -> Row:
    if got.kind == "not-converged":
        return Row(_ERROR, Verdict.CANDIDATE_NOT_CONVERGED, reason=got.message)
    return Row(_ERROR, Verdict.ERROR, reason=f"{got.kind}: {got.message}")


def _compare_failures(got: Mapping[str, Any] | Failure, expected: Failure, messages: bool) -> list[Row]:
    if not isinstance(got, Failure):
        return [
            Row(_ERROR, Verdict.UNEXPLAINED, reason=f"R refuses ({expected.kind}: {expected.message}), this answers")
        ]
    if got.kind != expected.kind:
        reason = f"R's kind is {expected.kind}, this one's {got.kind}: {got.message}"
        return [Row(_ERROR, Verdict.UNEXPLAINED, reason=reason)]
    rows = [Row(_ERROR, Verdict.MATCH, digits=16.0, reason=f"both refuse: {expected.kind}")]
    if messages:
        same = got.message == expected.message
        said = "the same text" if same else f"R said {expected.message!r}, now {got.message!r}"
        rows.append(Row(_MESSAGE, Verdict.MATCH if same else Verdict.UNEXPLAINED, reason=said))
    return rows


# -- one quantity ----------------------------------------------------------------------------------------------------


def compare_quantity(name: str, got: Labelled, expected: Labelled, limits: Held) -> list[Row]:
    """Return a verdict for every cell of one quantity; `limits` are those of the expected cells."""
    if got.depth != expected.depth and got.labels and expected.labels:
        shapes = ("a single number", "one label a cell", "a row and a column a cell")
        reason = f"expected {shapes[expected.depth]}, got {shapes[got.depth]}"
        return [Row(Cell(name, ()), Verdict.STRUCTURE, reason=reason)]
    return [*_structure(name, got, expected), *_judge(name, got, expected, limits)]


def _structure(name: str, got: Labelled, expected: Labelled) -> Iterator[Row]:
    """Labels that R does not have, and another order of the same labels."""
    known = set(expected.labels)
    for label, value in got.as_dict().items():
        if label not in known:
            yield Row(Cell(name, label), Verdict.STRUCTURE, got=value, reason="R has no such label here")
    if got.labels != expected.labels and set(got.labels) == known:
        at = next(i for i, (a, b) in enumerate(zip(got.labels, expected.labels, strict=True)) if a != b)
        mine, rs = ", ".join(got.labels[at]), ", ".join(expected.labels[at])
        yield Row(Cell(name, ()), Verdict.STRUCTURE, reason=f"another order: at place {at + 1} {mine!r}, R has {rs!r}")


def _judge(name: str, got: Labelled, expected: Labelled, limits: Held) -> Iterator[Row]:
    """A verdict for every expected cell."""
    cells = got.as_dict()
    present = np.array([label in cells for label in expected.labels], dtype=bool)
    values = np.array([cells.get(label, np.nan) for label in expected.labels])
    good = _agree(values, expected.values, limits.allowed, limits.on_log)
    second = limits.second
    again = good if second is None else _agree(values, expected.values + second.shift, second.allowed, limits.on_log)
    shared = digits(values, expected.values).tolist()
    lists = zip(
        expected.labels, values.tolist(), expected.values.tolist(), shared, limits.allowed.tolist(),
        present.tolist(), good.tolist(), again.tolist(), strict=True,
    )  # fmt: skip
    for label, value, want, same, allowed, there, ok, other in lists:
        if not there:
            yield Row(Cell(name, label), Verdict.STRUCTURE, expected=want, reason="this label is missing")
        else:
            verdict, reason = _verdict(limits, value, want, ok, other)
            # Where all of a number may be noise its digits say nothing.
            noise = ok and value != want and not limits.on_log and allowed >= abs(want)
            told = None if noise or math.isnan(same) else same
            yield Row(Cell(name, label), verdict, value, want, told, allowed, reason)


def _verdict(limits: Held, got: float, want: float, ok: bool, other: bool) -> tuple[Verdict, str]:
    """The verdict of one cell that is (`ok`) or is not within its limits, or at its `other` place."""
    second = limits.second
    if ok:
        return Verdict.MATCH, limits.reason
    if limits.stopped:
        return Verdict.CANDIDATE_NOT_CONVERGED, limits.stopped
    if second is not None and other:
        return Verdict.REFERENCE_NOT_CONVERGED if second.behind else Verdict.MATCH, second.reason
    if math.isnan(got) != math.isnan(want):
        said = "R has a number, this is missing" if math.isnan(got) else "R has NA, this is a number"
        return Verdict.UNEXPLAINED, said
    return Verdict.UNEXPLAINED, limits.reason


def _agree(got: Floats, expected: Floats, allowed: Floats, on_log: bool) -> NDArray[np.bool_]:
    """Whether each cell is within what it is held to; where everything is allowed, anything will do."""
    same = (got == expected) | (np.isnan(got) & np.isnan(expected))
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        if on_log:
            inside = (got >= 0) & (got <= 1)
            logs = np.log(np.maximum(got, SMALLEST_P)) - np.log(np.maximum(expected, SMALLEST_P))
            near = inside & (np.abs(logs) <= allowed)
        else:
            near = np.abs(got - expected) <= allowed
    return np.asarray(same | near | np.isposinf(allowed))


# -- certified values ------------------------------------------------------------------------------------------------


class CertifiedDigits(NamedTuple):
    """How many digits of a quantity are right at least, and in which cell."""

    quantity: str
    digits: float
    label: Label


def certified_digits(got: Mapping[str, Labelled], certified: Certified) -> list[CertifiedDigits]:
    """Return the least number of right digits of every quantity that is certified and was got.

    NIST names coefficients B0, B1, ...: where the labels are not the fit's they are taken in its order.
    """
    return [
        _least(name, got[name], {"": truth} if isinstance(truth, str) else truth)
        for name, truth in certified.items()
        if name in got
    ]


def _least(name: str, got: Labelled, truth: Mapping[str, str]) -> CertifiedDigits:
    mine = got.as_dict()
    if all((label,) in mine for label in truth):
        labels: list[Label] = [(label,) for label in truth]
    elif len(truth) == len(mine):
        labels = list(mine)
    else:
        return CertifiedDigits(name, 0.0, ("labels",))
    values = np.array([mine[label] for label in labels])
    shared = np.nan_to_num(digits(values, np.array([float(text) for text in truth.values()])))
    at = int(np.argmin(shared))
    return CertifiedDigits(name, float(shared[at]), labels[at])


def _compare_certified(scene: Scene, certified: Certified) -> Iterator[Row]:
    """Whether each quantity is at least as close to the certified values as R is.

    What a search ends at may be as far from them as the search may stop early, whatever R's luck.
    """
    rs = {found.quantity: found for found in certified_digits(scene.expected, certified)}
    for mine in certified_digits(scene.given, certified):
        if mine.quantity not in rs:
            continue
        theirs = rs[mine.quantity].digits
        where = f" at {', '.join(mine.label)}" if mine.label else ""
        reason = f"{mine.digits:.1f} certified digits{where}, R has {theirs:.1f}"
        verdict = Verdict.MATCH if accurate_enough(mine.digits, theirs) else Verdict.UNEXPLAINED
        if verdict is Verdict.UNEXPLAINED and kind_of(mine.quantity, scene.case.estimator) is Kind.OPTIMISED:
            verdict = _near_certified(scene, mine.quantity, certified)
        yield Row(Cell(mine.quantity, ("certified",)), verdict, digits=mine.digits, reason=reason)


def _near_certified(scene: Scene, name: str, certified: Certified) -> Verdict:
    """Whether all cells are where theta's distance from the optimum lets them be."""
    truth = certified[name]
    texts = {(): truth} if isinstance(truth, str) else {(label,): text for label, text in truth.items()}
    given = scene.given[name].as_dict()
    cells = Labelled(tuple(texts), np.array([float(text) for text in texts.values()]))
    limits = held(scene, name, cells)
    got = np.array([given.get(label, np.nan) for label in texts])
    if _agree(got, cells.values, limits.allowed, limits.on_log).all():
        return Verdict.MATCH
    return Verdict.CANDIDATE_NOT_CONVERGED if limits.stopped else Verdict.UNEXPLAINED


# -- known defects ---------------------------------------------------------------------------------------------------


def excuse(rows: Sequence[Row], stack: str, case: str, defects: Sequence[Defect]) -> list[Row]:
    """Turn UNEXPLAINED into KNOWN_REFERENCE_DEFECT where the stack is known to be wrong."""
    out = []
    for row in rows:
        open_ = row.verdict is Verdict.UNEXPLAINED
        known = next((d for d in defects if d.covers(stack, case, row.cell)), None) if open_ else None
        if known is not None:
            row = replace(row, verdict=Verdict.KNOWN_REFERENCE_DEFECT, reason=f"{stack}: {known.reason}")
        out.append(row)
    return out
