"""A verdict for every printed cell of a block against one answer, by R's rounding; then what explains the rest.

Which answer a block is held against is check.py's business.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from compat.compare import Verdict
from compat.conventions import ClosedForm, NotKnown, forms_of
from compat.published import Block, PrintedCell, Sort
from compat.published.numbers import without_trailing_zeros
from compat.published.rendering import FREE_UNIT, STYLES, agreement
from compat.tolerance import FLOOR, PRINTED_SLACK
from compat.transcript.answers import Answer, constant
from refimpl.printing.coefficients import stars

ROUNDED_TWICE = "rounded twice"
BEYOND_DOUBLES = "digits beyond R's arithmetic"
_DIFFERENCES = frozenset({"residuals", "residual_quantiles"})  # of numbers that may be larger than all of them
_LOGARITHMIC = frozenset({"p_value", "f_p_value", "lr_p_value"})
CONSTANT = frozenset({"legend", "index"})  # quantities that are the same whatever was fitted
_TOGETHER = ("summary", "zapped")  # styles whose columns share their digits
_PLAIN = frozenset({"cell", "value"})
FINE = frozenset({Verdict.MATCH, Verdict.MATCH_UNDER_CONVENTION})


@dataclass(frozen=True)
class Row:
    """A printed cell and its verdict: the value it was held against, the convention that explains it, and why.

    `called` is what the command as it stands would give, where something else explains the cell.
    """

    cell: PrintedCell
    verdict: Verdict
    value: float | None = None
    convention: str = ""
    reason: str = ""
    source: str = ""
    called: float | None = None

    @property
    def fine(self) -> bool:
        """Whether it agrees, by itself or under a convention."""
        return self.verdict in FINE


def holds(cell: PrintedCell, value: float) -> bool:
    """Whether a value rounds to a cell's text, as far as R itself has it right."""
    if cell.number.holds(value) or not math.isfinite(value):
        return cell.number.holds(value)
    slack = PRINTED_SLACK.get(cell.quantity, 0.0) * abs(value)
    nearest = min(max(float(cell.number.value), value - slack), value + slack)
    return cell.number.holds(nearest)


def judge(block: Block, answer: Answer) -> list[Row]:
    """A row for every cell, in their order; closed forms are tried on what is left."""
    values = [answer.value(cell) for cell in block.cells]
    plain = any(x is not None and cell.quantity in _PLAIN for cell, x in zip(block.cells, values, strict=True))
    rows = [
        Row(cell, Verdict.STRUCTURE if known(cell, answer, plain) else Verdict.NOT_PROVIDED, source=answer.name,
            reason=f"{answer.name} has no {cell.name}")
        for cell in block.cells
    ]  # fmt: skip
    for places in _groups(block.cells, values):
        for place, row in zip(places, _judge_group([block.cells[i] for i in places], values, places), strict=True):
            rows[place] = replace(row, source=answer.name)
    rows = list(_beyond_doubles(_own_bounds(rows)))
    return list(_explained(rows, answer)) if answer.fitted is not None else rows


def judge_constants(block: Block, reason: str) -> Iterator[Row]:
    """Rows of a block that nothing is known of: only its legend and indices can be right or wrong."""
    for cell in block.cells:
        if cell.quantity in CONSTANT:
            value = constant(cell)
            yield _row(cell, value, cell.number.holds(value))
        else:
            yield Row(cell, Verdict.NOT_RUN, reason=reason)


def known(cell: PrintedCell, answer: Answer, plain: bool) -> bool:
    """Whether the answer has this quantity at all, so that a label it lacks is a wrong one.

    A fit has no table or vector of its own: `plain` is whether it gave any cell of this one a value.
    """
    if answer.fitted is None:
        return True
    return plain if cell.quantity in _PLAIN else bool(answer.fitted.quantity(cell.quantity))


def _groups(cells: Sequence[PrintedCell], values: Sequence[float | None]) -> list[list[int]]:
    """Places of cells that R formatted together and that have a value; all columns of a summary are one group."""
    found: dict[str, list[int]] = {}
    for i, (cell, value) in enumerate(zip(cells, values, strict=True)):
        if value is not None:
            key = cell.style if cell.style in _TOGETHER else f"{cell.style} {cell.group}"
            found.setdefault(key, []).append(i)
    return list(found.values())


def _judge_group(cells: Sequence[PrintedCell], all_values: Sequence[float | None], places: Sequence[int]) -> list[Row]:
    values = [float(x) for i in places if (x := all_values[i]) is not None]
    style = cells[0].style
    direct = [holds(cell, x) for cell, x in zip(cells, values, strict=True)]
    if style not in STYLES or (all(direct) and style not in FREE_UNIT):
        return [_row(cell, x, ok) for cell, x, ok in zip(cells, values, direct, strict=True)]
    digits, again, texts = _written_again(cells, values, style)
    if style in FREE_UNIT:
        direct = _signif(cells, values, again)
    settled = sum(again) >= max(2, min(len(cells) - 1, math.ceil(0.8 * len(cells))))
    twice = settled and any(a and not d for a, d in zip(again, direct, strict=True))
    rows = []
    for cell, x, d, a, text in zip(cells, values, direct, again, texts, strict=True):
        if d and (a or not twice):
            rows.append(_row(cell, x, True))
        elif a and settled:
            reason = f"{x:.10g}, {_FIRST.get(style, 'rounded before it is formatted').format(digits)}"
            rows.append(Row(cell, Verdict.MATCH_UNDER_CONVENTION, x, ROUNDED_TWICE, reason))
        elif d:
            reason = f"R rounds twice elsewhere in this table, and so would print {text.strip()}"
            rows.append(Row(cell, Verdict.UNEXPLAINED, x, reason=reason))
        else:
            rows.append(_row(cell, x, False))
    return rows


_FIRST = {  # what R does to a number of this style before it formats it
    "summary": "rounded by zapsmall() under options(digits = {}) and once more for print, as R to 4.2 at least does",
    "quantiles": "rounded by zapsmall() and once more for print (digits = {})",
    "tests": "rounded to fewer decimals by printCoefmat() and once more for print (digits = {})",
    "estimates": "rounded to fewer decimals by printCoefmat() and once more for print (digits = {})",
    "zapped": "rounded by zapsmall() and once more for print (digits = {})",
    "criteria": "rounded to one decimal and once more for print (digits = {})",
}


def _written_again(
    cells: Sequence[PrintedCell], values: Sequence[float], style: str
) -> tuple[int, list[bool], list[str]]:
    """The group as R would print it under the digits that suit it best, cell by cell."""
    columns: dict[str, list[int]] = {}
    for i, cell in enumerate(cells):
        columns.setdefault(cell.group, []).append(i)
    groups = [([cells[i].number for i in places], [values[i] for i in places]) for places in columns.values()]
    digits, fits, texts = agreement(style, groups)
    again, written = [False] * len(cells), [""] * len(cells)
    for places, fit, text in zip(columns.values(), fits, texts, strict=True):
        for i, ok, one in zip(places, fit, text, strict=True):
            again[i], written[i] = ok, one
    return digits, again, written


def _signif(cells: Sequence[PrintedCell], values: Sequence[float], again: Sequence[bool]) -> list[bool]:
    """Numbers after signif(): by the digits of the others, or, where these say nothing, to their last non-zero one."""
    if sum(again) * 2 >= len(cells) and len(cells) > 1:
        return list(again)
    return [without_trailing_zeros(cell.number).holds(x) for cell, x in zip(cells, values, strict=True)]


def _row(cell: PrintedCell, value: float, fine: bool) -> Row:
    if fine:
        return Row(cell, Verdict.MATCH, value)
    return Row(cell, Verdict.UNEXPLAINED, value, reason=f"{value:.10g} does not round to {cell.number.text}")


def _own_bounds(rows: Sequence[Row]) -> Iterator[Row]:
    """p-values below a power of ten that is not R's own bound, where the block uses it more than once (eps.Pvalue)."""
    below = [row for row in rows if row.cell.number.sort is Sort.BELOW]
    bounds = {row.cell.number.value for row in below}
    (bound,) = bounds if len(bounds) == 1 and len(below) > 1 else (None,)
    told = bound is not None and bound > 0 and 1 / bound == 10 ** round(-math.log10(bound))
    for row in rows:
        small = row.value is not None and bound is not None and 0 <= row.value < bound
        if told and small and row in below and row.verdict is Verdict.UNEXPLAINED:
            reason = f"{row.value:.3g} is below {row.cell.number.text.lstrip('< ')}, a bound that R was given"
            row = replace(row, verdict=Verdict.MATCH_UNDER_CONVENTION, convention="a bound of its own", reason=reason)
        yield row


def _beyond_doubles(rows: Iterable[Row]) -> Iterator[Row]:
    """Numbers of so many digits that the last of them are R's rounding: within what R differs from R by its BLAS."""
    rows = list(rows)
    differences = [abs(row.value or 0.0) for row in rows if row.cell.quantity in _DIFFERENCES]
    for row in rows:
        if row.verdict is Verdict.UNEXPLAINED and row.cell.number.sort is Sort.NUMBER and math.isfinite(row.value or 0):
            value = row.value or 0.0
            allowed = Fraction(FLOOR * _size(row.cell.quantity, value, differences))
            if abs(Fraction(value) - row.cell.number.value) <= allowed:
                reason = f"{value:.17g}; the last of these digits are beyond R's own arithmetic"
                row = replace(row, verdict=Verdict.MATCH_UNDER_CONVENTION, convention=BEYOND_DOUBLES, reason=reason)
        yield row


def _size(quantity: str, value: float, differences: Sequence[float]) -> float:
    """What a relative error of a number is relative to: the largest residual; a p-value's logarithm."""
    if quantity in _DIFFERENCES:
        return max(differences)
    return abs(value) * max(1.0, -math.log(value)) if quantity in _LOGARITHMIC and value > 0 else abs(value)


# ---- closed forms ---------------------------------------------------------------------------------------------------


def _explained(rows: Sequence[Row], answer: Answer) -> Iterator[Row]:
    """The rows, where those of a quantity that does not agree are all explained by one closed form."""
    bad = {row.cell.quantity for row in rows if row.verdict is Verdict.UNEXPLAINED}
    forms = {quantity: _form(quantity, rows, answer) for quantity in bad}
    for row in rows:
        found = forms.get(row.cell.quantity)
        if found is None:
            yield row
            continue
        form, cells = found
        value = cells[row.cell.label]
        reason = f"{form.text} ({form.used_by})"
        yield replace(
            row, verdict=Verdict.MATCH_UNDER_CONVENTION, convention=form.name, value=value, reason=reason,
            called=row.value,
        )  # fmt: skip


def _form(quantity: str, rows: Sequence[Row], answer: Answer) -> tuple[ClosedForm, dict[tuple[str, ...], float]] | None:
    """The closed form under which every cell of the quantity rounds to its text."""
    fitted = answer.fitted
    assert fitted is not None
    own = [row.cell for row in rows if row.cell.quantity == quantity]
    if any(cell.number.sort in (Sort.MISSING, Sort.INFINITE) for cell in own):
        return None
    for form in forms_of(fitted.estimator, quantity):
        try:
            cells = dict(form.cells(fitted.quantity))
        except (NotKnown, ArithmeticError, ValueError):
            continue
        if all(cell.label in cells and cell.number.holds(cells[cell.label]) for cell in own):
            return form, cells
    return None


# ---- significance marks ---------------------------------------------------------------------------------------------


def judge_marks(block: Block, answer: Answer) -> Iterator[tuple[str, str, str, int]]:
    """Marks that are not those of the p-values: row, what stands there, what belongs there, line."""
    if not block.marks:
        return
    lines = {cell.label[-1]: cell.token.line for cell in block.cells if cell.quantity == "p_value"}
    printed = {row: token.text for row, token in block.marks}
    for row, line in lines.items():
        p = answer.lookup("p_value", (row,))
        if p is None or math.isnan(p):
            continue
        belongs = stars(p).strip()
        if printed.get(row, "") != belongs:
            yield row, printed.get(row, ""), belongs, line
