"""The matrices of a case, for libraries that take arrays: R's model frame and design, by refimpl's formula language.

What such a library makes of its own formulas is not judged, only its estimators.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from compat.cases import Case
from compat.conditioning_panel import functions_of
from compat.implementations import NotProvided
from refimpl.errors import DataError
from refimpl.formula import ModelMatrix, model_frame, model_matrix, parse
from refimpl.formula.arguments import Function
from refimpl.formula.bars import MixedFrame, mixed_frame

WEIGHTS = "(weights)"
OFFSET = "(offset)"


@dataclass(frozen=True)
class Design:
    """Response less offset, design and weights of the rows that R keeps."""

    y: pd.Series[float]
    X: pd.DataFrame
    weights: pd.Series[float] | None
    offset: pd.Series[float] | float
    matrix: ModelMatrix

    @property
    def names(self) -> list[str]:
        """R's names of the columns of X."""
        return self.matrix.names

    @property
    def has_intercept(self) -> bool:
        """Whether the formula has one."""
        return self.matrix.has_intercept

    def of_rows(self, column: str, data: pd.DataFrame) -> pd.Series[Any]:
        """A column of the data in the rows kept."""
        values: pd.Series[Any] = data.loc[self.y.index, column]
        return values


def linear(
    case: Case,
    formula: str | None = None,
    data: pd.DataFrame | None = None,
    functions: Mapping[str, Function] | None = None,
) -> Design:
    """The design of a linear model; raises FormulaError and DataError as R refuses the data."""
    parsed, rows = parse(formula or case.formula, case.functions), case.data if data is None else data
    frame = model_frame(parsed, rows, extra=_extra(case), functions=functions)
    return _design(frame.response, model_matrix(frame), frame.extra, frame.offset, frame.row_labels)


def mixed(case: Case) -> tuple[Design, MixedFrame]:
    """The fixed part of a mixed model's design, and the frame with its random terms."""
    found = mixed_frame(parse(case.formula), case.data, extra=_extra(case))
    frame = found.frame
    return _design(frame.response, found.fixed, frame.extra, found.fixed.offset, frame.row_labels), found


def panel(case: Case) -> tuple[Design, pd.MultiIndex]:
    """The design of a panel model in plm's order of rows, and (individual, time) of each as numbers.

    Raises NotProvided where the index is not a column of individuals and one of times.
    """
    index, data = case.options["index"], case.data
    if not isinstance(index, list) or len(index) != 2:
        raise NotProvided("two index columns are needed")
    for column in index:
        if column not in data:
            raise DataError("unknown-column", f"no column {column!r} for the index")
    factors = {str(column): pd.Categorical(data[str(column)]) for column in index}  # as plm takes them in a formula
    d = linear(case, data=data.assign(**factors), functions=functions_of(case))
    codes = [factor.codes[data.index.get_indexer(d.y.index)] for factor in factors.values()]
    if any((one < 0).any() for one in codes):
        raise NotProvided("individuals or times are missing")
    rows = pd.MultiIndex.from_arrays(codes)
    order = np.lexsort(codes[::-1])
    weights = None if d.weights is None else d.weights.iloc[order]
    return replace(d, y=d.y.iloc[order], X=d.X.iloc[order], weights=weights), rows[order]


def _extra(case: Case) -> dict[str, Any]:
    given = {WEIGHTS: case.options.get("weights"), OFFSET: case.options.get("offset")}
    return {name: case.data[column] for name, column in given.items() if column is not None}


def _design(response: Any, matrix: ModelMatrix, extra: dict[str, Any], offset: Any, rows: pd.Index[Any]) -> Design:
    if response is None:
        raise DataError("non-numeric-response", "the formula has no response")
    shifts = [np.asarray(one, dtype=np.float64) for one in (offset, extra.get(OFFSET)) if one is not None]
    shift = pd.Series(sum(shifts[1:], shifts[0]), index=rows) if shifts else 0.0
    weights = pd.Series(np.asarray(extra[WEIGHTS]), index=rows) if WEIGHTS in extra else None
    X = pd.DataFrame(matrix.X, columns=matrix.names, index=rows)
    return Design(pd.Series(response, index=rows) - shift, X, weights, shift, matrix)


def theta_names(group: str, names: list[str]) -> list[str]:
    """The labels of a term's theta: group.column on the diagonal, group.row.column below it."""
    where = [(i, j) for j in range(len(names)) for i in range(j, len(names))]
    return [".".join([group, *dict.fromkeys((names[i], names[j]))]) for i, j in where]
