"""What a variable is once it is evaluated: numbers (with R's storage kind) or levels. Reads columns of the data into
these two.

Missing is NaN in numbers and code -1 in levels. Strings are held as codes into their sorted levels from the start, so
that every string operation works on levels, not on rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError
from .contrasts import Contrast
from .deparse import format_double, format_integer

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.signedinteger[Any]]
LARGEST_INTEGER = 2**31 - 1
_DOUBLE = np.dtype(np.float64)


@dataclass(frozen=True, slots=True)
class Numeric:
    """Numbers: `values` (n,) or (n, k), `kind` double, integer or logical; `labels` name the columns of a matrix."""

    values: Floats
    kind: str = "double"
    labels: tuple[str, ...] | None = None
    basis: Any = None  # what a stateful function needs to repeat itself on new data

    def __len__(self) -> int:
        return len(self.values)

    def missing(self) -> npt.NDArray[np.bool_]:
        """(n,) where a row holds a missing value."""
        gone: npt.NDArray[np.bool_] = np.isnan(self.values)
        return gone if gone.ndim == 1 else np.asarray(gone.any(axis=1))

    def take(self, kept: npt.NDArray[np.bool_]) -> Numeric:
        """The kept rows."""
        return Numeric(self.values[kept], self.kind, self.labels, self.basis)


@dataclass(frozen=True, slots=True)
class Levels:
    """A factor or strings: `codes` (n,) into `levels`, -1 for missing; `kind` factor, ordered or character."""

    codes: Codes
    levels: tuple[str, ...]
    kind: str = "factor"
    contrast: Contrast | None = None

    def __len__(self) -> int:
        return len(self.codes)

    def missing(self) -> npt.NDArray[np.bool_]:
        """(n,) where the value is missing."""
        return self.codes < 0

    def take(self, kept: npt.NDArray[np.bool_]) -> Levels:
        """The kept rows, all levels."""
        return Levels(self.codes[kept], self.levels, self.kind, self.contrast)

    def without_unused(self) -> Levels:
        """The same values with only the levels that occur; a contrast of its own goes with the others, as in R."""
        present = np.zeros(len(self.levels) + 1, dtype=bool)
        present[self.codes] = True  # a missing code, -1, marks the extra cell at the end
        present = present[:-1]
        if present.all():
            return self
        renumbered = np.append(np.cumsum(present) - 1, -1)
        levels = tuple(level for level, there in zip(self.levels, present, strict=True) if there)
        return Levels(renumbered[self.codes], levels, self.kind)


Value = Numeric | Levels


def from_strings(values: Any) -> Levels:
    """Strings to codes into their levels in code point order (R's order in the C locale)."""
    codes, found = pd.factorize(values, use_na_sentinel=True)
    texts = [str(text) for text in found]
    order = sorted(range(len(texts)), key=texts.__getitem__)
    rank = np.empty(len(texts) + 1, dtype=np.intp)
    rank[order] = np.arange(len(texts))
    rank[-1] = -1
    return Levels(rank[codes], tuple(texts[i] for i in order), "character")


def as_text(values: Floats, kind: str) -> list[str]:
    """Numbers as R's as.character writes them; NaN must not be among them."""
    if kind == "logical":
        return ["TRUE" if v else "FALSE" for v in values]
    if kind == "integer":
        return [format_integer(v) for v in values]
    return [format_double(v) for v in values.tolist()]


def _from_categorical(categorical: pd.Categorical) -> Levels:
    categories = categorical.categories
    if all(isinstance(c, str) for c in categories):
        levels = tuple(categories)
    else:
        read = from_column(categories.to_numpy(), "levels")
        levels = read.levels if isinstance(read, Levels) else tuple(as_text(read.values, read.kind))
    return Levels(np.asarray(categorical.codes), levels, "ordered" if categorical.ordered else "factor")


def _from_objects(values: npt.NDArray[Any], name: str) -> Value:
    gone = pd.isna(values)
    present = values[~gone]
    kinds = {type(v) for v in present}
    if not kinds or kinds <= {bool, np.bool_}:
        return Numeric(_with_gaps(present, gone), "logical")
    if kinds <= {str, np.str_}:
        texts = values.copy()
        texts[gone] = None
        return from_strings(texts)
    if all(issubclass(k, (int, float, np.integer, np.floating, bool, np.bool_)) for k in kinds):
        whole = all(issubclass(k, (int, np.integer, bool, np.bool_)) for k in kinds)
        return Numeric(_with_gaps(present, gone), "integer" if whole else "double")
    found = ", ".join(sorted(k.__name__ for k in kinds))
    raise DataError(
        "r-error", f"column '{name}' holds {found}; only numbers, logicals, strings and factors can be used"
    )


def _with_gaps(present: npt.NDArray[Any], gone: npt.NDArray[np.bool_]) -> Floats:
    result = np.full(len(gone), np.nan)
    result[~gone] = present.astype(np.float64)
    return result


def from_column(column: Any, name: str) -> Value:
    """A column of the data: float, integer, logical, string, categorical, of numpy, pandas or a plain list.

    Strings get their levels in code point order; a categorical keeps its own. Raises DataError for anything else.
    """
    if type(column) is np.ndarray and column.dtype == _DOUBLE and column.ndim == 1:
        return Numeric(column)
    if isinstance(column, pd.Series):
        column = column.array if isinstance(column.dtype, pd.api.extensions.ExtensionDtype) else column.to_numpy()
    if isinstance(column, pd.Categorical):
        return _from_categorical(column)
    if isinstance(column, pd.api.extensions.ExtensionArray):
        if isinstance(column.dtype, pd.StringDtype):
            return from_strings(column)
        return _from_extension(column, name)
    values = np.asarray(column)
    if values.ndim != 1:
        raise DataError("r-error", f"column '{name}' has {values.ndim} dimensions, not one")
    kind = values.dtype.kind
    if kind == "f":
        return Numeric(values.astype(np.float64, copy=False))
    if kind in "iu":
        return Numeric(values.astype(np.float64), "integer")
    if kind == "b":
        return Numeric(values.astype(np.float64), "logical")
    if kind == "U":
        return from_strings(values)
    if kind == "O":
        return _from_objects(values, name)
    raise DataError(
        "r-error", f"column '{name}' has type {values.dtype}; only numbers, logicals, strings and factors can be used"
    )


def _from_extension(column: Any, name: str) -> Value:
    """pandas' own arrays: nullable numbers and logicals keep their type even where every value is missing."""
    kind = {"f": "double", "i": "integer", "u": "integer", "b": "logical"}.get(column.dtype.kind)
    if kind is None:
        return _from_objects(np.asarray(column.astype(object)), name)
    return Numeric(np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan)), kind)
