"""R's model frame: the variables of a formula evaluated on the data, rows with missing values dropped and counted.

Every variable that the formula mentions decides which rows stay, a deleted term's too, as in R. Columns of the design
are in `matrix`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError
from .arguments import Function
from .deparse import quote_name
from .evaluate import Evaluator
from .syntax import Formula, Name
from .terms import Terms, terms
from .values import Floats, Levels, Numeric, Value, from_column

MAX_COLUMNS = 10_000  # of the variables together, and of a design matrix
NA_ACTIONS = ("omit", "exclude", "fail")


@dataclass(frozen=True)
class ModelFrame:
    """The evaluated variables of a formula on N rows of data, n of which were kept.

    `values` one a variable of `terms`, n rows each, unused levels dropped; `kept` (N,) bool; `extra` what was carried
    along (weights, clusters), n rows each; `index` the data's own row labels, N of them.
    """

    terms: Terms
    values: tuple[Value, ...]
    extra: dict[str, Any]
    kept: npt.NDArray[np.bool_]
    index: pd.Index
    n: int

    @property
    def n_dropped(self) -> int:
        """How many rows a missing value took away."""
        return len(self.kept) - self.n

    @cached_property
    def dropped(self) -> list[Any]:
        """The labels of the rows taken away."""
        return list(self.index[~self.kept])

    @cached_property
    def row_labels(self) -> pd.Index:
        """The labels of the rows kept."""
        return self.index[self.kept] if self.n_dropped else self.index

    @property
    def response_name(self) -> str | None:
        """R's name of the response."""
        return None if self.terms.response is None else self.terms.names[0]

    @cached_property
    def response(self) -> Floats | None:
        """The response, (n,), or None. Raises DataError where it is not one numeric column or not finite."""
        if self.terms.response is None:
            return None
        value = self.values[0]
        if isinstance(value, Levels):
            kind = "strings" if value.kind == "character" else "a factor"
            raise DataError("non-numeric-response", f"the response '{self.terms.names[0]}' is {kind}, not numeric")
        if value.values.size != len(value.values):
            raise DataError("non-numeric-response", f"the response '{self.terms.names[0]}' is a matrix, not one column")
        if not is_finite(value.values):
            raise DataError("infinite-values", f"NA/NaN/Inf in 'y': the response '{self.terms.names[0]}' is not finite")
        return value.values.reshape(self.n)

    @cached_property
    def offset(self) -> Floats | None:
        """The sum of the offset() terms, (n,) float64, or None."""
        total: Floats | None = None
        for i in self.terms.offsets:
            value = offset_values(self.values[i], self.terms.names[i])
            total = value if total is None else total + value
        if total is not None and not is_finite(total):
            raise DataError("infinite-values", "NA/NaN/Inf in 'y': the offset is not finite")
        return total


def is_finite(values: Floats) -> bool:
    """Whether every number is finite, without a mask in the usual case."""
    with np.errstate(all="ignore"):
        total = float(values.sum())
    return math.isfinite(total) or bool(np.isfinite(values).all())


def offset_values(value: Value, name: str) -> Floats:
    """An offset as one column of numbers."""
    if isinstance(value, Levels) or value.values.size != len(value.values):
        raise DataError("r-error", f"'{name}' must be one numeric column")
    return value.values.reshape(len(value.values))


def has_missing(value: Value) -> bool:
    """Whether any value is missing; the usual answer, no, costs one pass and no memory."""
    if isinstance(value, Levels):
        return bool(len(value.codes)) and int(value.codes.min()) < 0
    numbers = value.values
    if numbers.ndim == 1:
        return math.isnan(float(numbers.dot(numbers))) and bool(np.isnan(numbers).any())
    return bool(np.isnan(numbers).any())


def column_names(data: Any) -> tuple[str, ...]:
    """The names of the data's columns, for `.`."""
    return tuple(str(name) for name in (data.columns if isinstance(data, pd.DataFrame) else data))


def row_count(data: Any) -> int:
    """How many rows the data has: those of its first column."""
    if isinstance(data, pd.DataFrame):
        return len(data)
    return len(next(iter(data.values()), ()))


def evaluate_variables(
    spec: Terms,
    data: Any,
    n: int,
    skip_response: bool = False,
    bases: Sequence[Any] = (),
    functions: Mapping[str, Function] | None = None,
) -> list[Value]:
    """Every variable of the terms, n rows each; `bases` what stateful ones remember. Refuses what R refuses."""
    evaluator = Evaluator(data, n, spec.formula.source, functions)
    values: list[Value] = []
    width = 0
    for i, node in enumerate(spec.variables):
        if skip_response and i == spec.response:
            values.append(Numeric(np.empty(0)))
            continue
        value = evaluator.column(node) if isinstance(node, Name) else evaluator.value(node, bases[i] if bases else None)
        if len(value) != n:
            raise _lengths_differ(spec.names[i], len(value), n)
        width += value.values.shape[1] if isinstance(value, Numeric) and value.values.ndim == 2 else 1
        if width > MAX_COLUMNS:
            raise DataError("formula-too-large", f"more than {MAX_COLUMNS} columns of variables")
        values.append(_one_column(value, spec.names[i]))
    return values


def _lengths_differ(name: str, found: int, n: int) -> DataError:
    return DataError("cluster-length", f"variable lengths differ: '{name}' has {found} values, the data {n} rows")


def _one_column(value: Value, name: str) -> Value:
    """A logical matrix of one column is a logical; R takes no wider one."""
    if isinstance(value, Levels) or value.kind != "logical" or value.values.ndim == 1:
        return value
    if value.values.shape[1] != 1:
        raise DataError("r-error", f"'{name}' is a logical matrix of {value.values.shape[1]} columns")
    return Numeric(value.values[:, 0], "logical")


def _carried(
    extra: Mapping[str, Any] | None, data: Any, keep: Sequence[str], n: int
) -> tuple[dict[str, Value], dict[str, Value]]:
    deciding = {name: from_column(values, name) for name, values in (extra or {}).items() if values is not None}
    following = {name: from_column(data[name], name) for name in keep}
    for name, value in (*deciding.items(), *following.items()):
        if len(value) != n:
            raise _lengths_differ(name, len(value), n)
    return deciding, following


def _plain(value: Value) -> Any:
    if isinstance(value, Numeric):
        return value.values
    kind = pd.CategoricalDtype(list(value.levels), ordered=value.kind == "ordered")
    return pd.Categorical.from_codes(value.codes.astype(np.intp), dtype=kind)


def model_frame(
    formula: Formula,
    data: Any,
    extra: Mapping[str, Any] | None = None,
    na_action: str = "omit",
    keep: Sequence[str] = (),
    functions: Mapping[str, Function] | None = None,
) -> ModelFrame:
    """Evaluate a formula on data and drop the rows with missing values.

    `data`: a DataFrame or a mapping of equally long columns. `extra`: further columns by name (weights) whose missing
    values drop rows too. `keep`: columns of the data carried along, which drop nothing. Both end up in `.extra`, n
    rows each. `na_action`: omit, exclude (the same frame) or fail. `functions`: what the formula may call beside the
    language's own (see `series`). Raises FormulaError (`unknown-column`, `r-error`
    with the place) and DataError. Source: R 4.2 model.frame with na.omit and drop.unused.levels = TRUE.
    """
    if na_action not in NA_ACTIONS:
        raise DataError("bad-option", f"na_action '{na_action}'; one of {', '.join(NA_ACTIONS)}")
    frame_data = isinstance(data, pd.DataFrame)
    dotted = "." in formula.text
    spec = terms(formula, column_names(data) if dotted else None)
    n = row_count(data)
    values = evaluate_variables(spec, data, n, functions=functions)
    deciding, following = _carried(extra, data, keep, n) if extra or keep else ({}, {})
    kept = np.ones(n, dtype=bool)
    with np.errstate(all="ignore"):
        for value in (*values, *deciding.values()):
            if has_missing(value):
                kept &= ~value.missing()
    n_kept = int(np.count_nonzero(kept))
    if n_kept < n:
        if na_action == "fail":
            raise DataError("r-error", f"missing values in {n - n_kept} rows")
        values = [value.take(kept) for value in values]
        deciding = {name: value.take(kept) for name, value in deciding.items()}
        following = {name: value.take(kept) for name, value in following.items()}
    values = [value.without_unused() if isinstance(value, Levels) else value for value in values]
    carried = {name: _plain(value) for name, value in {**deciding, **following}.items()}
    index = data.index if frame_data else pd.RangeIndex(1, n + 1)
    return ModelFrame(spec, tuple(values), carried, kept, index, n_kept)


def sub_frame(frame: ModelFrame, formula: Formula, columns: tuple[str, ...] | None = None) -> ModelFrame:
    """The frame of a part of the formula, whose variables the frame has; `columns` is what `.` stands for."""
    spec = terms(formula, columns)
    place = {quote_name(name): i for i, name in enumerate(frame.terms.names)}
    place |= {label: i for i, label in enumerate(frame.terms.labels_of)}
    return replace(frame, terms=spec, values=tuple(frame.values[place[label]] for label in spec.labels_of))
