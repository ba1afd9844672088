"""What a transcript's names stand for: vectors, data frames, lists, models, and things read off models later.

Numbers and truth values are float64 (nan is NA), texts objects (None is NA), factors 0-based codes. What is read off a
model is only a description here, so that a session can be followed without fitting anything; models.py fits.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from compat.transcript.language import NotRead
from refimpl.formula.deparse import format_double
from refimpl.formula.syntax import Expression

Kind = Literal["double", "integer", "logical", "character", "factor"]
MAX_VALUES = 2_000_000  # of a vector: more than any lecture needs


@dataclass(frozen=True, eq=False)
class Vector:
    """A vector of n values, named or not; `levels` are a factor's."""

    values: NDArray[Any]
    kind: Kind = "double"
    names: tuple[str, ...] | None = None
    levels: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: NDArray[np.intp]) -> Vector:
        """These places; -1 gives NA. A factor keeps its levels."""
        missing = rows < 0
        values = self.values[np.where(missing, 0, rows)] if len(self.values) else self.values[:0]
        if missing.any():
            values = values.copy()
            values[missing] = None if self.kind == "character" else np.nan
        names = None if self.names is None else tuple(self.names[i] if i >= 0 else "<NA>" for i in rows)
        return Vector(values, self.kind, names, self.levels)

    def numbers(self) -> NDArray[np.float64]:
        """As numbers; NotRead for texts and factors."""
        if self.kind in ("character", "factor"):
            raise NotRead(f"a {self.kind} vector where numbers are needed")
        return np.asarray(self.values, dtype=np.float64)

    def texts(self) -> list[str | None]:
        """As as.character gives them."""
        if self.kind == "character":
            return list(self.values)
        if self.kind == "factor":
            return [None if np.isnan(code) else self.levels[int(code)] for code in self.values]
        if self.kind == "logical":
            return [None if np.isnan(x) else "TRUE" if x else "FALSE" for x in self.values]
        return [None if np.isnan(x) else format_double(float(x)) for x in self.values]

    def missing(self) -> NDArray[np.bool_]:
        """Where it is NA."""
        if self.kind == "character":
            return np.array([x is None for x in self.values], dtype=bool)
        return np.isnan(np.asarray(self.values, dtype=np.float64))

    def factor(self) -> Vector:
        """As factor() makes one: levels sorted, texts by code point."""
        if self.kind == "factor":
            used = sorted({int(code) for code in self.values if not np.isnan(code)})
            place = {old: new for new, old in enumerate(used)}
            codes = np.array([np.nan if np.isnan(c) else place[int(c)] for c in self.values])
            return Vector(codes, "factor", self.names, tuple(self.levels[i] for i in used))
        texts = self.texts()
        if self.kind == "character":
            levels = sorted({t for t in texts if t is not None})
        else:
            levels = [t for t in Vector(np.unique(self.numbers()[~self.missing()]), self.kind).texts() if t is not None]
        place_of = {level: float(i) for i, level in enumerate(levels)}
        codes = np.array([np.nan if t is None else place_of[t] for t in texts], dtype=np.float64)
        return Vector(codes, "factor", self.names, tuple(levels))

    def column(self) -> Any:
        """As a column of a pandas frame, as refimpl takes it."""
        if self.kind == "factor":
            codes = np.array([-1 if np.isnan(code) else int(code) for code in self.values], dtype=np.intp)
            return pd.Categorical.from_codes(codes, categories=pd.Index(list(self.levels)))
        if self.kind == "character":
            return pd.array(list(self.values), dtype="str")
        if self.kind == "logical" and not self.missing().any():
            return np.asarray(self.values, dtype=bool)
        if self.kind == "integer" and not self.missing().any():
            return np.asarray(self.values, dtype=np.int64)
        return np.asarray(self.values, dtype=np.float64)


def numeric(values: Any, kind: Kind = "double", names: Sequence[str] | None = None) -> Vector:
    """A vector of numbers; NotRead where it is too long."""
    array = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if array.size > MAX_VALUES:
        raise NotRead(f"a vector of {array.size} values")
    return Vector(array, kind, None if names is None else tuple(names))


def character(values: Sequence[str | None]) -> Vector:
    """A vector of texts."""
    out = np.empty(len(values), dtype=object)
    out[:] = list(values)
    return Vector(out, "character")


@dataclass(frozen=True, eq=False)
class Frame:
    """A data frame: columns of one length, row names. `assumed` is the file that it is only taken to be."""

    columns: Mapping[str, Vector]
    rows: tuple[str, ...]
    assumed: str = ""

    def take(self, rows: NDArray[np.intp]) -> Frame:
        """These rows."""
        names = tuple(self.rows[i] if i >= 0 else "NA" for i in rows)
        return Frame({name: column.take(rows) for name, column in self.columns.items()}, names)

    def pandas(self) -> pd.DataFrame:
        """As refimpl takes it; a few columns of one name are no trouble to R, but to pandas."""
        return pd.DataFrame({name: column.column() for name, column in self.columns.items()}, index=list(self.rows))


@dataclass(frozen=True, eq=False)
class RList:
    """A list."""

    items: tuple[Value, ...]
    names: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Null:
    """NULL, and what a function that is called for its effect gives."""


@dataclass(frozen=True)
class Unknown:
    """A name whose value could not be worked out, and why."""

    reason: str


@dataclass(frozen=True, eq=False)
class FormulaValue:
    """A formula."""

    node: Expression
    text: str


@dataclass(frozen=True, eq=False)
class FileText:
    """What a file or an address holds, before it is read as a table."""

    name: str


@dataclass(frozen=True, eq=False)
class Model:
    """A model as a command specifies it; it is fitted when somebody asks for a number.

    `place` is its number within the session, `data` None with a `reason` where the data are not known.
    """

    place: int
    name: str
    estimator: str
    formula: str
    data: Frame | None
    options: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    call: Mapping[str, str] = field(default_factory=dict)  # the arguments of the call, as R writes them
    convention: str = ""  # of the neighbour that stands in for it
    arguments: Mapping[str, Expression] = field(default_factory=dict)  # those of the call as they were read


@dataclass(frozen=True, eq=False)
class Covariance:
    """vcovHC and its like, before they are used in coeftest."""

    model: Model
    wanted: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Comparison:
    """anova of models, with the names they are printed under."""

    models: tuple[Model, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Reading:
    """Something read off a model: `what` is `summary`, `table` (coef(summary(m))), `coef`, `confint`, `vcov`, `loglik`,
    `varcorr`, or a quantity's name.
    """

    model: Model
    what: str


@dataclass(frozen=True, eq=False)
class Prediction:
    """predict() of a model for rows of new data, or for those fitted; `options` are those of refimpl's predict.

    `part` is "fit", or "se" for the standard errors.
    """

    model: Model
    newdata: Frame | None
    options: Mapping[str, Any]
    part: Literal["fit", "se"] = "fit"


@dataclass(frozen=True, eq=False)
class Derived:
    """Numbers that a command worked out from models: as they are, and worked out again where a fit has changed."""

    value: Vector | Frame
    models: tuple[Model, ...]
    again: Callable[[], Value]


@dataclass(frozen=True, eq=False)
class GroupTable:
    """coef(m) or ranef(m) of an lmer fit: as a list of tables, or one table of a group.

    `naming` is what data.frame() makes of the columns' names: nothing (""), syntactic ones ("checked"), those after the
    group's name ("prefixed", of a list's element). `rows` is a number of rows from the top.
    """

    model: Model
    which: str
    group: str | int | None = None
    naming: Literal["", "checked", "prefixed"] = ""
    rows: int | None = None
    listed: bool = False  # still a list, of this one group


@dataclass(frozen=True, eq=False)
class GroupColumn:
    """A column of a GroupTable; its mean where `mean`."""

    table: GroupTable
    column: str | int
    mean: bool = False


Value: TypeAlias = (
    Vector | Frame | RList | Null | Unknown | FormulaValue | FileText | Model | Covariance | Comparison | Reading
    | Prediction | Derived | GroupTable | GroupColumn
)  # fmt: skip


# ---- read.csv -------------------------------------------------------------------------------------------------------

_LOGICAL = {"T": 1.0, "F": 0.0, "TRUE": 1.0, "FALSE": 0.0, "true": 1.0, "false": 0.0}
_WHOLE = re.compile(r"[-+]?\d{1,9}\Z")


def read_csv(
    path: Path, strings_as_factors: bool, sep: str = ",", missing: Sequence[str] = ("NA",), row_names: bool = False
) -> Frame:
    """A CSV with a header, as R's read.csv types its columns (R: type.convert); `row_names` are its first column.

    A header that is one short has row names below it. Raises NotRead.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            header, *rows = csv.reader(handle, delimiter=sep)
    except (OSError, ValueError, csv.Error) as error:
        raise NotRead(f"{path.name}: {error}") from None
    if rows and all(len(row) == len(header) + 1 for row in rows):
        header, row_names = ["", *header], True
    if any(len(row) != len(header) for row in rows):
        raise NotRead(f"{path.name}: rows of different lengths")
    columns = {}
    for i, name in enumerate(header[row_names:], int(row_names)):
        column = convert(["NA" if row[i].strip() in missing else row[i] for row in rows])
        columns[make_name(name)] = column.factor() if strings_as_factors and column.kind == "character" else column
    return Frame(columns, tuple(row[0] if row_names else str(i) for i, row in enumerate(rows, 1)))


def convert(texts: Sequence[str]) -> Vector:
    """Texts of a column to the narrowest type that holds them all; an empty cell is NA, but a text among texts."""
    trimmed = [text.strip() for text in texts]
    present = [t for t in trimmed if t not in ("", "NA")]
    if all(t in _LOGICAL for t in present):
        return Vector(np.array([_LOGICAL.get(t, np.nan) for t in trimmed]), "logical")
    try:
        values = np.array([np.nan if t in ("", "NA") else _double(t) for t in trimmed])
    except ValueError:
        return character([None if t == "NA" else t for t in texts])
    return Vector(values, "integer" if all(_WHOLE.match(t) for t in present) else "double")


def _double(text: str) -> float:
    if "_" in text:
        raise ValueError(text)
    return float(text)


def make_name(text: str) -> str:
    """A syntactic name (R: make.names)."""
    start = "" if re.match(r"[^\W\d_]|\.(?!\d)", text) else "X"
    return start + re.sub(r"[^\w.]", ".", text)
