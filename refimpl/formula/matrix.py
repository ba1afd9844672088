"""R's model matrix: factors coded, columns made and named as R names them, and made again from new data.

The terms decide which factor enters by contrasts and which by all its levels; without an intercept the first factor
met does. Source: R 4.2 ?model.matrix; Chambers & Hastie (1992), sections 2.3.2 and 2.4.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from .arguments import Function
from .contrasts import Contrast, contrast_named, indicators
from .frame import MAX_COLUMNS, ModelFrame, evaluate_variables, is_finite, offset_values, row_count
from .terms import Terms
from .values import Floats, Levels, Numeric, Value

DEFAULT_CONTRASTS = ("contr.treatment", "contr.poly")
Part = tuple[str, str | None]
Column = npt.NDArray[np.float64] | npt.NDArray[np.bool_]
_LOGICAL_LEVELS = ("FALSE", "TRUE")


Coding = tuple[tuple[tuple[int, int], ...], ...]


@dataclass(frozen=True)
class Design:
    """How columns are made: per variable of the terms its `kind`, `levels` (None for numbers), `contrast`, `suffixes`
    of its columns if it is a matrix, `basis`; per term its `coding`, pairs of variable and code.
    """

    terms: Terms
    kinds: tuple[str, ...]
    levels: tuple[tuple[str, ...] | None, ...]
    contrasts: tuple[Contrast | None, ...]
    suffixes: tuple[tuple[str, ...] | None, ...]
    bases: tuple[Any, ...]
    coding: Coding


@dataclass(frozen=True)
class Layout:
    """The columns of a design, whatever the rows: `blocks` are a term's coding with its first and last + 1 column."""

    names: tuple[str, ...]
    assign: npt.NDArray[np.intp]
    parts: tuple[tuple[Part, ...], ...]
    blocks: tuple[tuple[tuple[tuple[int, int], ...], int, int], ...]


@dataclass(frozen=True)
class ModelMatrix:
    """The design matrix of n rows and p columns.

    `X` (n, p) float64 in Fortran order; `names` R's column names; `assign` (p,) the term of each column, 0 the
    intercept; `parts` per column the (variable, level) pairs it is the product of, the level None for a number, ()
    for the intercept; `offset` (n,) or None.
    """

    X: Floats
    names: list[str]
    assign: npt.NDArray[np.intp]
    parts: list[tuple[Part, ...]]
    has_intercept: bool
    design: Design
    offset: Floats | None

    @cached_property
    def contrasts(self) -> dict[str, str]:
        """The contrast of each factor, by its label."""
        pairs = zip(self.design.terms.labels_of, self.design.contrasts, strict=True)
        return {label: contrast.name for label, contrast in pairs if contrast is not None}

    def for_newdata(self, newdata: Any, functions: Mapping[str, Function] | None = None) -> ModelMatrix:
        """The same columns from new data; rows with missing values give missing rows. `functions` as of `model_frame`.

        Raises DataError `unseen-level` (with the levels) and FormulaError `unknown-column`.
        Source: R 4.2 predict.lm (model.frame with xlev and na.pass, then model.matrix).
        """
        return _for_newdata(self.design, newdata, functions)


def model_matrix(
    frame: ModelFrame,
    contrasts: Mapping[str, str] | None = None,
    default_contrasts: tuple[str, str] = DEFAULT_CONTRASTS,
    check: bool = True,
) -> ModelMatrix:
    """The design matrix of a model frame.

    `contrasts`: a contrast by variable, e.g. {"a": "contr.sum"}; `default_contrasts`: for factors and for ordered
    factors. `check`: refuse an empty or infinite matrix, as lm does. Raises DataError: `one-level-factor`, `no-rows`,
    `infinite-values`, `bad-option`; FormulaError `formula-too-large` beyond MAX_COLUMNS columns.
    """
    design = _design(frame, contrasts or {}, default_contrasts)
    if check and frame.n == 0:
        raise DataError("no-rows", f"0 (non-NA) cases: none of the {len(frame.kept)} rows is complete")
    matrix = _build(design, frame.values, frame.n, frame.offset if check else None)
    if check and not is_finite(matrix.X):
        bad = [name for j, name in enumerate(matrix.names) if not np.isfinite(matrix.X[:, j]).all()]
        raise DataError("infinite-values", f"NA/NaN/Inf in 'x': {', '.join(bad[:5])}")
    return matrix


def _design(frame: ModelFrame, contrasts: Mapping[str, str], defaults: tuple[str, str]) -> Design:
    spec = frame.terms
    for name in contrasts:
        if name not in spec.names and name not in spec.labels_of:
            raise DataError("bad-option", f"contrasts for '{name}', which is not a variable of the formula")
    levels = tuple(_levels_of(value) for value in frame.values)
    coded = tuple(
        None if found is None else _contrast(frame, i, found, contrasts, defaults) for i, found in enumerate(levels)
    )
    return Design(
        spec,
        tuple(value.kind for value in frame.values),
        levels,
        coded,
        tuple(_suffixes(value) for value in frame.values),
        tuple(value.basis if isinstance(value, Numeric) else None for value in frame.values),
        spec.coding if spec.intercept else _without_intercept(spec, levels),
    )


def _levels_of(value: Value) -> tuple[str, ...] | None:
    if isinstance(value, Levels):
        return value.levels
    return _LOGICAL_LEVELS if value.kind == "logical" and value.values.ndim == 1 else None


def _contrast(
    frame: ModelFrame, i: int, levels: tuple[str, ...], contrasts: Mapping[str, str], defaults: tuple[str, str]
) -> Contrast | None:
    spec, value = frame.terms, frame.values[i]
    if len(levels) < 2:
        if i == spec.response:
            return None
        found = f" ('{levels[0]}')" if levels else ""
        message = "contrasts can be applied only to factors with 2 or more levels"
        raise DataError("one-level-factor", f"{message}: '{spec.names[i]}' has {len(levels)}{found}")
    named = contrasts.get(spec.names[i], contrasts.get(spec.labels_of[i]))
    own = value.contrast if isinstance(value, Levels) else None
    if named is None and own is not None:
        return own
    return contrast_named(named or defaults[value.kind == "ordered"], levels)


def _suffixes(value: Value) -> tuple[str, ...] | None:
    """What the columns of a matrix are called; a matrix of one column needs no suffix."""
    if isinstance(value, Levels) or value.values.ndim == 1 or value.values.shape[1] == 1:
        return None
    return value.labels if value.labels is not None else tuple(str(j + 1) for j in range(value.values.shape[1]))


def _without_intercept(spec: Terms, levels: tuple[tuple[str, ...] | None, ...]) -> Coding:
    """Without an intercept the first factor of the first term that has one enters by all its levels."""
    for t, row in enumerate(spec.coding):
        for v, _ in row:
            if levels[v] is not None and v != spec.response:
                changed = tuple((u, 2 if u == v else code) for u, code in row)
                return (*spec.coding[:t], changed, *spec.coding[t + 1 :])
    return spec.coding


def _layout(design: Design) -> Layout:
    labels = tuple(None if contrast is None else contrast.labels for contrast in design.contrasts)
    return _lay_out(design.terms, design.levels, labels, design.suffixes, design.coding)


@lru_cache(maxsize=64)
def _lay_out(
    spec: Terms,
    levels: tuple[tuple[str, ...] | None, ...],
    contrasts: tuple[tuple[str, ...] | None, ...],
    suffixes: tuple[tuple[str, ...] | None, ...],
    coding: Coding,
) -> Layout:
    """The columns: the intercept, then term by term the products over its variables, the first running fastest."""
    parts: list[tuple[Part, ...]] = [()] if spec.intercept else []
    assign = [0] * len(parts)
    blocks = []
    for t, row in enumerate(coding):
        if tuple(v for v, _ in row) == (spec.response,):  # R drops a response that stands alone on the right
            continue
        pieces = [
            [(spec.labels_of[v], s) for s in _part_levels(levels[v], contrasts[v], suffixes[v], code)]
            for v, code in row
        ]
        start, count = len(parts), prod(len(piece) for piece in pieces)
        if start + count > MAX_COLUMNS:
            raise DataError("formula-too-large", f"more than {MAX_COLUMNS} columns, at the term '{spec.labels[t]}'")
        columns: list[tuple[Part, ...]] = [()]
        for piece in pieces:
            columns = [(*left, right) for right in piece for left in columns]
        parts += columns
        assign += [t + 1] * count
        blocks.append((row, start, start + count))
    names = tuple(_name(part) for part in parts)
    return Layout(names, np.array(assign, dtype=np.intp), tuple(parts), tuple(blocks))


def _part_levels(
    levels: tuple[str, ...] | None, contrast: tuple[str, ...] | None, suffixes: tuple[str, ...] | None, code: int
) -> tuple[str | None, ...]:
    """What a variable adds to the names of its columns."""
    if levels is not None:
        return levels if code == 2 or contrast is None else contrast
    return (None,) if suffixes is None else suffixes


def _name(parts: tuple[Part, ...]) -> str:
    if not parts:
        return "(Intercept)"
    return ":".join(variable if level is None else variable + level for variable, level in parts)


def _build(design: Design, values: tuple[Value, ...], n: int, offset: Floats | None) -> ModelMatrix:
    layout = _layout(design)
    intercept = design.terms.intercept
    X = np.empty((n, len(layout.names)), order="F")
    if intercept:
        X[:, 0] = 1.0
    with np.errstate(all="ignore"):  # infinite values are for the caller to refuse
        for coding, start, stop in layout.blocks:
            _fill(X[:, start:stop], design, values, coding)
    return ModelMatrix(X, list(layout.names), layout.assign.copy(), list(layout.parts), intercept, design, offset)


def _fill(out: Floats, design: Design, values: tuple[Value, ...], coding: tuple[tuple[int, int], ...]) -> None:
    """Write the columns of one term: products over its variables, the first running fastest."""
    done = 0
    for v, code in coding:
        columns = _columns(values[v], design, v, code)
        if done:
            _multiply(out, columns, done)
        else:
            for j, column in enumerate(columns):
                out[:, j] = column
        done = (done or 1) * len(columns)


def _multiply(out: Floats, columns: list[Column], done: int) -> None:
    """Multiply the first `done` columns by each of `columns`; the last block first, since the first is overwritten."""
    for j in reversed(range(len(columns))):
        for i in range(done):
            np.multiply(out[:, i], columns[j], out=out[:, j * done + i])


def _columns(value: Value, design: Design, v: int, code: int) -> list[Column]:
    """The columns of one variable: its numbers, or its factor under the contrast (all levels where `code` is 2)."""
    levels, chosen = design.levels[v], design.contrasts[v]
    if isinstance(value, Levels):
        codes: npt.NDArray[Any] = value.codes
    elif levels is None:
        numbers = value.values
        return [numbers] if numbers.ndim == 1 else [numbers[:, j] for j in range(numbers.shape[1])]
    else:  # a logical: FALSE, TRUE
        codes = np.where(np.isnan(value.values), -1, value.values).astype(np.int8)
    return _coded(codes, indicators(levels or ()) if code == 2 or chosen is None else chosen)


def _coded(codes: npt.NDArray[Any], contrast: Contrast) -> list[Column]:
    """The rows of a contrast picked by codes, column by column; missing where the code is."""
    missing = bool(len(codes)) and int(codes.min()) < 0
    columns: list[Column] = []
    if contrast.marks is not None and not missing:
        return [codes == level for level in contrast.marks]
    for j in range(len(contrast.labels)):
        column = contrast.matrix[:, j] if contrast.marks is None else np.arange(contrast.n_levels) == contrast.marks[j]
        columns.append(np.append(column, np.nan)[codes])
    return columns


def _for_newdata(design: Design, newdata: Any, functions: Mapping[str, Function] | None) -> ModelMatrix:
    spec = design.terms
    if spec.response is not None and any(v == spec.response for row in spec.coding for v, _ in row):
        raise DataError("r-error", f"no new data where the response '{spec.names[0]}' is also a predictor")
    n = row_count(newdata)
    values = evaluate_variables(spec, newdata, n, skip_response=True, bases=design.bases, functions=functions)
    for i, value in enumerate(values):
        if i != spec.response:
            values[i] = _as_fitted(value, design, i)
    offset = None
    for i in spec.offsets:
        column = offset_values(values[i], spec.names[i])
        offset = column if offset is None else offset + column
    return _build(design, tuple(values), n, offset)


def _as_fitted(value: Value, design: Design, i: int) -> Value:
    """The new values of a variable on the levels of the fit."""
    name, levels, kind = design.terms.names[i], design.levels[i], design.kinds[i]
    if kind in ("double", "integer"):
        if isinstance(value, Levels) or value.kind == "logical":
            raise DataError("r-error", f"variable '{name}' was fitted as numbers, but the new data has {value.kind}")
        return value
    if kind == "logical":
        if isinstance(value, Levels) or value.kind != "logical":
            raise DataError("r-error", f"variable '{name}' was fitted as logical, but the new data has {value.kind}")
        return value
    assert levels is not None
    if isinstance(value, Numeric):
        raise DataError("r-error", f"variable '{name}' was fitted as a factor, but the new data has {value.kind}")
    place = {level: k for k, level in enumerate(levels)}
    used = value.without_unused()
    unseen = [level for level in used.levels if level not in place]
    if unseen:
        raise DataError("unseen-level", f"factor '{name}' has new levels: {', '.join(unseen)}")
    lookup = np.array([place[level] for level in used.levels] + [-1], dtype=np.intp)
    return Levels(lookup[used.codes], levels, kind)
