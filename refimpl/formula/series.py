"""plm's functions of a panel: lag, lead, diff, Between, Within, Sum, of columns with an individual and a time a row.

They are no part of the language: a caller that knows the index hands `parse` their names and `model_frame` the
functions, so that without an index they stay refused. Source: R package plm 2.6-2, ?lag.plm, ?Between, by its answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from .arguments import Arguments, Function
from .functions import parse_number
from .grammar import MATH, PANEL_FUNCTIONS
from .operators import is_factor
from .syntax import Call, Expression, Name
from .values import Floats, Levels, Numeric, Value, as_text

MAX_LAGS = 1_000
Codes = npt.NDArray[np.intp]
Projection = Callable[[Floats], Floats]

_OF_EITHER_SIDE = frozenset(["+", "-", "*", "/", "^", "%%", "%/%", "==", "!=", "<", "<=", ">", ">=", "&", "|", "!"])
_OF_THE_FIRST = MATH | frozenset(["(", "I"])
_EFFECTS = ("individual", "time", "twoways")
_NO_SERIES = (
    "what stands here is no series of the panel: factor(), cut(), c(), is.na(), as.numeric() and the like keep no "
    "index, and plm would leave it without a lag and without a word; write them around the call or make a column"
)


def time_numbers(levels: Sequence[str]) -> Floats:
    """The times as lags count them: the numbers that all the levels are, or else their places."""
    numbers = np.array([parse_number(level) for level in levels], dtype=np.float64)
    return np.arange(1.0, len(levels) + 1) if np.isnan(numbers).any() else numbers


@dataclass(frozen=True)
class PanelRows:
    """The index of n rows in any order.

    `ids` (n,) and `times` (n,): codes of individual and time, -1 where missing; `when` (T,): the times in numbers;
    `two_ways`: what the two-way projection leaves of a column (n,).
    """

    ids: Codes
    times: Codes
    when: Floats
    two_ways: Projection

    @cached_property
    def complete(self) -> npt.NDArray[np.bool_]:
        """The rows that have both, (n,)."""
        return (self.ids >= 0) & (self.times >= 0)

    @cached_property
    def cells(self) -> npt.NDArray[np.int64]:
        """A number for each row's individual and time, increasing in both, (n,)."""
        return self.ids.astype(np.int64) * len(self.when) + self.times

    @cached_property
    def order(self) -> Codes:
        """The complete rows by individual and time, ties as they stand."""
        return np.flatnonzero(self.complete)[np.argsort(self.cells[self.complete], kind="stable")]

    def earlier(self, k: float, by_row: bool) -> Codes:
        """For each row the row whose value a lag of k takes, -1 for none, (n,).

        By time: the individual's row at the time less k, the first of several. By row: the row k places before, if its
        time is k places before among all the times of the panel.
        """
        if k == 0:
            return np.arange(len(self.ids))
        found = np.full(len(self.ids), -1, dtype=np.intp)
        found[self.order] = self._rows_before(int(k)) if by_row else self._times_before(k)
        return found

    def _times_before(self, k: float) -> Codes:
        numbers, place = np.unique(self.when, return_inverse=True)
        before = np.minimum(np.searchsorted(numbers, numbers - k), max(len(numbers) - 1, 0))
        earlier = np.where(numbers[before] == numbers - k, before, -1)  # of each number, the place of it less k
        ids, now = self.ids[self.order].astype(np.int64), place[self.times[self.order]]
        cells, wanted = ids * len(numbers) + now, ids * len(numbers) + earlier[now]
        rank = np.argsort(cells, kind="stable")
        at = np.minimum(np.searchsorted(cells, wanted, sorter=rank), max(len(cells) - 1, 0))
        there = (earlier[now] >= 0) & (cells[rank[at]] == wanted)
        return np.where(there, self.order[rank[at]], -1)

    def _rows_before(self, k: int) -> Codes:
        at = np.arange(len(self.order)) - k
        inside = (at >= 0) & (at < len(at))
        source = self.order[np.where(inside, at, 0)]
        same = self.ids[source] == self.ids[self.order]
        return np.where(inside & same & (self.times[self.order] - self.times[source] == k), source, -1)


def panel_functions(rows: PanelRows) -> Mapping[str, Function]:
    """The functions, bound to the index of the data that a formula is evaluated on."""
    return {
        "lag": partial(_shift, rows, forward=False),
        "lead": partial(_shift, rows, forward=True),
        "diff": partial(_diff, rows),
        "Between": partial(_of_groups, rows),
        "Within": partial(_of_groups, rows),
        "Sum": partial(_of_groups, rows),
    }


def is_series(node: Expression) -> bool:
    """Whether plm still knows the index of a value: columns, and what operators and functions of numbers make of them.

    ifelse() has the index of its test.
    """
    if isinstance(node, Name):
        return True
    if not isinstance(node, Call) or not node.arguments:
        return False
    if node.function in PANEL_FUNCTIONS:
        return True
    if node.function in _OF_EITHER_SIDE:
        return any(map(is_series, node.arguments))
    if node.function == "ifelse":
        return is_series(_argument(node, "test"))
    return node.function in _OF_THE_FIRST and is_series(_argument(node, "x"))


def _argument(node: Call, formal: str) -> Expression:
    """The argument of that name, or else the first."""
    return node.arguments[node.names.index(formal) if formal in node.names else 0]


def _series(arguments: Arguments) -> Value:
    """The argument x, which must be one column with the index."""
    value = arguments.value("x")
    matrix = isinstance(value, Numeric) and value.values.ndim == 2
    if matrix or not is_series(arguments.given["x"]):
        raise arguments.fail("of several lags at once" if matrix else _NO_SERIES)
    return value


def _numeric_series(arguments: Arguments) -> Numeric:
    value = _series(arguments)
    if isinstance(value, Levels):
        what = "a factor" if is_factor(value) else "strings"
        raise arguments.fail(f"is of numbers and logicals, not of {what}")
    return value


def _lags(arguments: Arguments, formal: str) -> Numeric:
    """The numbers of steps, whole ones, a column of the answer each."""
    if not arguments.has(formal):
        return Numeric(np.ones(1), "integer")
    steps = arguments.numbers(formal)
    values = steps.values.reshape(-1, order="F")
    if len(values) > MAX_LAGS:
        raise arguments.fail(f"more than {MAX_LAGS} lags", "formula-too-large")
    if not np.isfinite(values).all() or (values != np.round(values)).any():
        raise arguments.fail(f"'{formal}' must be whole numbers")
    return replace(steps, values=values)


def _by_row(arguments: Arguments) -> bool:
    return _choice(arguments, "shift", ("time", "row")) == "row"


def _choice(arguments: Arguments, formal: str, choices: tuple[str, ...]) -> str:
    """One of a few words, which may be cut short; the first where none is given."""
    if not arguments.has(formal):
        return choices[0]
    given = arguments.texts(formal)
    fits = [choice for choice in choices if len(given) == 1 and choice.startswith(given[0])]
    if len(fits) != 1:
        raise arguments.fail(f"'{formal}' must be one of {', '.join(choices)}")
    return fits[0]


def _taken(value: Value, source: Codes) -> Value:
    """The values of other rows, missing where there is no such row."""
    if isinstance(value, Levels):
        return replace(value, codes=np.where(source >= 0, value.codes[source], -1))
    return Numeric(np.where(source >= 0, value.values[source], np.nan), value.kind)


def _side_by_side(arguments: Arguments, columns: Sequence[Value], steps: Numeric) -> Value:
    """One column as it is, several as a matrix whose columns are called by their lags."""
    if len(columns) == 1:
        return columns[0]
    numbers = [column for column in columns if isinstance(column, Numeric)]
    if len(numbers) < len(columns) or not numbers:
        raise arguments.fail("one lag at a time of a factor or of strings")
    matrix = np.asarray(np.column_stack([column.values for column in numbers]), order="F")
    return Numeric(matrix, numbers[0].kind, tuple(as_text(steps.values, steps.kind)))


def _shift(rows: PanelRows, arguments: Arguments, forward: bool) -> Value:
    """lag() and lead(): the value k times, or rows, before or after."""
    arguments.match("x", "k", "shift")
    value, steps, by_row = _series(arguments), _lags(arguments, "k"), _by_row(arguments)
    sign = -1.0 if forward else 1.0
    columns = [_taken(value, rows.earlier(sign * k, by_row)) for k in steps.values.tolist()]
    return _side_by_side(arguments, columns, replace(steps, kind="integer") if steps.kind == "logical" else steps)


def _diff(rows: PanelRows, arguments: Arguments) -> Value:
    """diff(): the value less the one `lag` times, or rows, before."""
    arguments.match("x", "lag", "shift")
    value, steps, by_row = _numeric_series(arguments), _lags(arguments, "lag"), _by_row(arguments)
    if (steps.values < 0).any():
        raise arguments.fail("'lag' must not be negative")
    kind = "double" if value.kind == "double" else "integer"
    columns = []
    for k in steps.values.tolist():
        before = _taken(value, rows.earlier(k, by_row))
        assert isinstance(before, Numeric)
        columns.append(Numeric(value.values - before.values, kind))
    return _side_by_side(arguments, columns, steps)


def _of_groups(rows: PanelRows, arguments: Arguments) -> Value:
    """Between(), Within() and Sum(): the mean of an individual or a time, what is left of it, the sum, at each row.

    A missing value makes its whole group missing; with na.rm = TRUE it is left out and only its own row is missing.
    """
    function = arguments.call.function
    arguments.match("x", "effect", "...", "na.rm")
    if arguments.dots:
        raise arguments.fail("na.rm is given by its name")
    value, na_rm = _numeric_series(arguments), arguments.flag("na.rm", False)
    effect = _choice(arguments, "effect", _EFFECTS if function == "Within" else _EFFECTS[:2])
    for name, codes in (("individual", rows.ids), ("time", rows.times)):
        if (codes < 0).any():
            raise DataError("missing-index", f"NA in the {name} index variable")
    x = value.values
    if effect == "twoways":
        if np.isnan(x).any():
            raise arguments.fail("effect 'twoways' is of a column without missing values")
        return Numeric(rows.two_ways(x))
    codes = rows.times if effect == "time" else rows.ids
    present = ~np.isnan(x) if na_rm else np.ones(len(x), dtype=bool)
    sums = np.bincount(codes[present], x[present], minlength=int(codes.max(initial=-1)) + 1)
    if function == "Sum":
        whole = value.kind != "double"
        return Numeric(np.where(present, sums[codes], np.nan), "integer" if whole else "double")
    counts = np.bincount(codes[present], minlength=len(sums))
    with np.errstate(invalid="ignore"):
        means = sums / counts
        left = np.bincount(codes[present], (x - means[codes])[present], minlength=len(sums))
        means = (means + left / counts)[codes]  # what rounding the first mean left
    return Numeric(np.where(present, means if function == "Between" else x - means, np.nan))
