"""Who and when: the individual and time index of a panel, in plm's order of rows, and its dimensions.

Levels are R's factor levels: numbers in their order, strings by code point, a factor's own levels without the unused.
Nothing is estimated here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from refimpl.errors import DataError
from refimpl.formula.values import Levels, Numeric, as_text, from_column

Codes = NDArray[np.intp]
IndexLike = str | int | tuple[str, str] | list[str] | None


@dataclass(frozen=True)
class Dimension:
    """One index over n rows: `codes` (n,) into `values`, the distinct index values in R's order of factor levels.

    A missing value has code -1; no estimator takes it.
    """

    name: str
    codes: Codes
    values: tuple[str, ...] | Numeric

    @cached_property
    def levels(self) -> tuple[str, ...]:
        """The values as R writes them."""
        if isinstance(self.values, tuple):
            return self.values
        return tuple(as_text(self.values.values, self.values.kind))

    @cached_property
    def factor(self) -> pd.Categorical[Any]:
        """The index as a factor: what plm makes of the column itself."""
        return pd.Categorical.from_codes(self.codes.tolist(), categories=pd.Index(self.levels, dtype=object))

    @property
    def missing(self) -> bool:
        """Whether a row has no value."""
        return bool(len(self.codes)) and int(self.codes.min()) < 0

    @property
    def size(self) -> int:
        """How many distinct values there are."""
        return len(self.values)

    @cached_property
    def counts(self) -> NDArray[np.float64]:
        """Rows of each value, (size,)."""
        return np.bincount(self.codes, minlength=self.size).astype(np.float64)

    def take(self, rows: NDArray[Any]) -> Dimension:
        """These rows, without the values that no longer occur."""
        codes = self.codes[rows]
        present = np.bincount(codes[codes >= 0], minlength=self.size) > 0
        if present.all():
            return Dimension(self.name, codes, self.values)
        renumbered = np.append(np.cumsum(present) - 1, -1)
        kept: tuple[str, ...] | Numeric
        if isinstance(self.values, tuple):
            kept = tuple(v for v, there in zip(self.values, present, strict=True) if there)
        else:
            kept = self.values.take(present)
        return Dimension(self.name, renumbered[codes], kept)


@dataclass(frozen=True)
class PanelIndex:
    """Individual and time of each of n rows."""

    id: Dimension
    time: Dimension

    @property
    def N(self) -> int:
        """Rows."""
        return len(self.id.codes)

    @property
    def n(self) -> int:
        """Individuals."""
        return self.id.size

    @property
    def T(self) -> int:
        """Distinct times."""
        return self.time.size

    @property
    def cells(self) -> NDArray[np.int64]:
        """One number for each row's (individual, time); made anew each time, since it is as long as a column."""
        return self.id.codes.astype(np.int64) * self.T + self.time.codes

    @cached_property
    def ordered(self) -> bool:
        """Whether the rows stand by individual, then time."""
        return self.N < 2 or bool((np.diff(self.cells) >= 0).all())

    @cached_property
    def order(self) -> Codes:
        """The positions that bring the rows into that order, ties as they stand."""
        return np.arange(self.N) if self.ordered else np.argsort(self.cells, kind="stable")

    @cached_property
    def duplicated(self) -> bool:
        """Whether some individual has two rows at one time."""
        cells = self.cells if self.ordered else self.cells[self.order]
        return bool((np.diff(cells) == 0).any())

    @cached_property
    def balanced(self) -> bool:
        """Whether every individual has a row at every time: plm's rule, in which a second row is no matter."""
        if self.n * self.T > self.N:
            return False
        cells = self.cells if self.ordered else self.cells[self.order]
        return self.N > 0 and 1 + int(np.count_nonzero(np.diff(cells))) == self.n * self.T

    @property
    def one_a_cell(self) -> bool:
        """Whether every individual has exactly one row at every time."""
        return self.balanced and self.n * self.T == self.N

    @cached_property
    def consecutive(self) -> pd.Series[bool]:
        """Whether each individual's times, which must be numbers, have no gap (R: is.pconsecutive)."""
        try:
            times = np.array([float(level) for level in self.time.levels])
        except ValueError:
            raise DataError("bad-option", f"the times in '{self.time.name}' are not numbers") from None
        ids, at = self.id.codes[self.order], times[self.time.codes[self.order]]
        gap = (np.diff(ids) == 0) & (np.diff(at) != 1)
        return pd.Series(np.bincount(ids[1:][gap], minlength=self.n) == 0, index=list(self.id.levels))

    def take(self, rows: NDArray[Any]) -> PanelIndex:
        """The index of these rows."""
        return PanelIndex(self.id.take(rows), self.time.take(rows))

    def complete(self) -> PanelIndex:
        """Itself; DataError `missing-index` where a row has no individual or no time."""
        for dimension, role in ((self.id, "individual"), (self.time, "time")):
            if dimension.missing:
                raise DataError("missing-index", f"NA in the {role} index variable '{dimension.name}'")
        return self


@dataclass(frozen=True)
class PanelDimensions:
    """n individuals, T distinct times, N rows (R: pdim).

    `periods`: the rows of each individual; `individuals`: the rows at each time.
    """

    n: int
    T: int
    N: int
    balanced: bool
    periods: pd.Series[Any] = field(repr=False)
    individuals: pd.Series[Any] = field(repr=False)

    def __str__(self) -> str:
        if self.balanced:
            return f"Balanced Panel: n = {self.n}, T = {self.T}, N = {self.N}"
        spread = f"{int(self.periods.min())}-{int(self.periods.max())}" if self.N else "0"
        return f"Unbalanced Panel: n = {self.n}, T = {spread}, N = {self.N}"


def dimensions(panel: PanelIndex) -> PanelDimensions:
    """Count what an index holds."""
    periods = pd.Series(panel.id.counts.astype(np.int64), index=list(panel.id.levels))
    individuals = pd.Series(panel.time.counts.astype(np.int64), index=list(panel.time.levels))
    return PanelDimensions(panel.n, panel.T, panel.N, panel.balanced, periods, individuals)


def pdim(data: Any, index: IndexLike = None) -> PanelDimensions:
    """The dimensions of a panel in `data` (plm 2.6-2: pdim); see panel_index for `index` and what is raised."""
    return dimensions(panel_index(data, index).complete())


def panel_index(data: Any, index: IndexLike = None) -> PanelIndex:
    """The panel index of all rows of a DataFrame or mapping of columns, in the data's order.

    `index`: (individual, time) column names; the individual's alone, times counted as the rows come; the number of
    individuals of balanced data stacked by individual; or None for the first two columns.
    Raises DataError: unknown-column, bad-option. Missing values stay: see PanelIndex.complete.
    Source: plm 2.6-2, ?pdata.frame.
    """
    names = list(data.columns if isinstance(data, pd.DataFrame) else data)
    if isinstance(index, int):
        return _stacked(len(data) if isinstance(data, pd.DataFrame) else len(data[names[0]]), index)
    if index is None:
        if len(names) < 2:
            raise DataError("bad-option", "the data has no two columns to take as index")
        index = (names[0], names[1])
    if isinstance(index, str):
        who = _dimension(data, index, "individual")
        return PanelIndex(who, _counted_times(who))
    if len(index) != 2:
        raise DataError("bad-option", "an index is an individual's column and a time's")
    return PanelIndex(_dimension(data, index[0], "individual"), _dimension(data, index[1], "time"))


def with_factors(data: Any, panel: PanelIndex, used: Collection[str]) -> Any:
    """The data with its index columns as factors, as in a pdata.frame, if one of the names `used` is among them."""
    own = {one.name: one.factor for one in (panel.id, panel.time) if one.name in used}
    if not own:
        return data
    return data.assign(**own) if isinstance(data, pd.DataFrame) else {**data, **own}


def _dimension(data: Mapping[str, Any] | pd.DataFrame, name: str, role: str) -> Dimension:
    if name not in data:
        raise DataError("unknown-column", f"variable '{name}' does not exist ({role} index)")
    value = from_column(data[name], name)
    if isinstance(value, Levels):
        value = value.without_unused()
        return Dimension(name, value.codes.astype(np.intp), value.levels)
    if value.values.ndim != 1:
        raise DataError("bad-option", f"the index '{name}' is a matrix")
    codes, found = pd.factorize(value.values, sort=True)
    return Dimension(name, codes.astype(np.intp), Numeric(np.asarray(found, dtype=np.float64), value.kind))


def _whole_numbers(name: str, codes: Codes, size: int) -> Dimension:
    return Dimension(name, codes, Numeric(np.arange(1.0, size + 1), "integer"))


def _counted_times(who: Dimension) -> Dimension:
    """1, 2, ... for the rows of each individual as they come."""
    if who.missing:
        raise DataError("missing-index", f"NA in the individual index variable '{who.name}'")
    order = np.argsort(who.codes, kind="stable")
    starts = np.cumsum(who.counts.astype(np.intp)) - who.counts.astype(np.intp)
    nth: Codes = np.empty(len(order), dtype=np.intp)
    nth[order] = np.arange(len(order)) - starts[who.codes[order]]
    return _whole_numbers("time", nth, int(who.counts.max(initial=0)))


def _stacked(rows: int, n: int) -> PanelIndex:
    if n < 1 or rows % n:
        raise DataError("bad-option", f"{rows} rows are not a balanced panel of {n} individuals")
    periods = rows // n
    who = np.repeat(np.arange(n), periods)
    return PanelIndex(_whole_numbers("id", who, n), _whole_numbers("time", np.tile(np.arange(periods), n), periods))
