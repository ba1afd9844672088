"""R's operators on evaluated variables: integer storage, comparison across types, three-valued logic, recycling."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from .values import LARGEST_INTEGER, Floats, Levels, Numeric, Value, as_text, from_strings

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": np.equal, "!=": np.not_equal, "<": np.less, ">": np.greater, "<=": np.less_equal, ">=": np.greater_equal,
}  # fmt: skip


def refuse(message: str) -> DataError:
    """What R stops for while it evaluates a variable."""
    return DataError("r-error", message)


def recycle(*values: Value) -> tuple[Any, ...]:
    """The plain arrays of several values, repeated to the longest as R does."""
    arrays = [v.values if isinstance(v, Numeric) else v.codes for v in values]
    length = max(len(a) for a in arrays)
    if min(len(a) for a in arrays) == 0:
        raise refuse("a vector of length zero in a formula")
    matrix = next((a for a in arrays if a.ndim == 2), None)
    if matrix is None:
        return tuple(a if len(a) in (length, 1) else np.resize(a, length) for a in arrays)
    rows = len(matrix)
    if any((a.ndim == 1 and rows % len(a)) or (a.ndim == 2 and a.shape != matrix.shape) for a in arrays):
        raise refuse("non-conformable arrays")
    return tuple(a if a.ndim == 2 else (a if len(a) == rows else np.resize(a, rows))[:, None] for a in arrays)


def _labels(*values: Value) -> tuple[str, ...] | None:
    for value in values:
        if isinstance(value, Numeric) and value.values.ndim == 2:
            return value.labels
    return None


def arithmetic(operator: str, left: Value, right: Value) -> Value:
    """`+ - * / ^ %% %/%`. Whole numbers stay integers where R keeps them; an integer overflow is missing."""
    if is_factor(left) or is_factor(right):
        return _all_missing(left, right)
    if isinstance(left, Levels) or isinstance(right, Levels):
        raise refuse("non-numeric argument to binary operator")
    a, b = recycle(left, right)
    whole = left.kind != "double" and right.kind != "double" and operator not in ("/", "^")
    with np.errstate(all="ignore"):
        result = _arithmetic(operator, a, b, whole)
    if whole:
        result = np.where(np.abs(result) > LARGEST_INTEGER, np.nan, result)
    return Numeric(result, "integer" if whole else "double", _labels(left, right))


def _arithmetic(operator: str, a: Floats, b: Floats, whole: bool) -> Floats:
    if operator == "+":
        return a + b
    if operator == "-":
        return a - b
    if operator == "*":
        return a * b
    if operator == "/":
        return a / b
    if operator == "^":
        return power(a, b)
    if whole:
        b = np.where(b == 0, np.nan, b)
        quotient = np.floor(a / b)  # exact: both below 2^31
        return quotient if operator == "%/%" else a - quotient * b
    return _quotient(a, b) if operator == "%/%" else _remainder(a, b)


def libm(exact: Callable[..., float], function: Callable[..., Floats], *arrays: Floats) -> Floats:
    """A function of the C library on each number, as R calls it, so that the last bit agrees; numpy has its own
    versions.

    `function` (numpy's) answers where the result is not finite, where Python's `exact` would raise.
    """
    with np.errstate(all="ignore"):
        result = np.asarray(function(*arrays))
    usual = np.isfinite(result)
    chosen = [np.broadcast_to(a, result.shape)[usual].tolist() for a in arrays]
    result[usual] = np.fromiter(map(exact, *chosen), dtype=np.float64, count=len(chosen[0]))
    return result


def power(a: Floats, b: Floats) -> Floats:
    """R's `^`: a square is a product; 1^y and x^0 are 1 even for a missing value."""
    if b.size == 1 and b.flat[0] == 2.0:
        return a * a
    return np.asarray(np.where(b == 2.0, a * a, libm(math.pow, np.power, a, b)))


def _quotient(a: Floats, b: Floats) -> Floats:
    whole = np.floor_divide(a, b)
    return np.asarray(np.where(np.isinf(a) & np.isfinite(b), np.floor(a / b), whole))


def _remainder(a: Floats, b: Floats) -> Floats:
    return np.asarray(np.mod(a, b))


def sign_of(operator: str, value: Value) -> Value:
    """Unary `+` and `-`."""
    if is_factor(value):
        return _all_missing(value)
    if isinstance(value, Levels):
        raise refuse("invalid argument to unary operator")
    kind = "integer" if value.kind == "logical" else value.kind
    return Numeric(-value.values if operator == "-" else value.values, kind, value.labels)


def is_factor(value: Value) -> bool:
    """Whether the value is a factor, ordered or not."""
    return isinstance(value, Levels) and value.kind != "character"


def _all_missing(*values: Value) -> Numeric:
    """What R gives, with a warning, for arithmetic on a factor."""
    return Numeric(np.full(max(len(v) for v in values), np.nan), "logical")


def as_logical(value: Value) -> Floats:
    """1, 0 and NaN from any number (R: as.logical on numbers)."""
    if isinstance(value, Levels):
        raise refuse("operations are possible only for numeric, logical or complex types")
    return np.where(np.isnan(value.values), np.nan, (value.values != 0).astype(np.float64))


def logic(operator: str, left: Value, right: Value) -> Value:
    """`& |` with R's three values, and `&& ||` of two single values."""
    if is_factor(left) or is_factor(right):
        return _all_missing(left, right)
    if operator in ("&&", "||") and max(len(left), len(right)) > 1:
        raise refuse(f"'{operator}' is for single values; use '{operator[0]}' for columns")
    a, b = recycle(Numeric(as_logical(left)), Numeric(as_logical(right)))
    decisive = 0.0 if operator[0] == "&" else 1.0
    decided = (a == decisive) | (b == decisive)
    result = np.where(decided, decisive, np.where(np.isnan(a) | np.isnan(b), np.nan, 1.0 - decisive))
    return Numeric(result, "logical", _labels(left, right))


def negate(value: Value) -> Value:
    """`!`."""
    if is_factor(value):
        return _all_missing(value)
    if isinstance(value, Levels):
        raise refuse("invalid argument type")
    return Numeric(1.0 - as_logical(value), "logical", value.labels)


def compare(operator: str, left: Value, right: Value) -> Value:
    """`== != < > <= >=` of numbers, strings and factors; mixed types are compared as strings, as in R."""
    factors = [v for v in (left, right) if isinstance(v, Levels) and v.kind != "character"]
    if factors and operator not in ("==", "!=") and not any(f.kind == "ordered" for f in factors):
        return _all_missing(left, right)
    if any(f.kind == "ordered" for f in factors):
        return _compare_ordered(operator, left, right)
    if len(factors) == 2 and set(factors[0].levels) != set(factors[1].levels):
        raise refuse("level sets of factors are different")
    if isinstance(left, Numeric) and isinstance(right, Numeric):
        a, b = recycle(left, right)
        return _compared(operator, a, b, np.isnan(a) | np.isnan(b), _labels(left, right))
    return _compare_texts(operator, as_levels(left), as_levels(right))


def _compared(
    operator: str, a: Any, b: Any, missing: npt.NDArray[np.bool_], labels: tuple[str, ...] | None = None
) -> Numeric:
    return Numeric(np.where(missing, np.nan, _COMPARE[operator](a, b).astype(np.float64)), "logical", labels)


def _compare_texts(operator: str, left: Levels, right: Levels) -> Numeric:
    rank = {text: i for i, text in enumerate(sorted(set(left.levels) | set(right.levels)))}
    a, b = recycle(left, right)
    ranks = [np.array([rank[t] for t in v.levels] + [-1], dtype=np.intp) for v in (left, right)]
    return _compared(operator, ranks[0][a], ranks[1][b], (a < 0) | (b < 0))


def _compare_ordered(operator: str, left: Value, right: Value) -> Numeric:
    """Ordered factors compare by position; what the other side has and is no level compares as missing."""
    ordered = [v for v in (left, right) if isinstance(v, Levels) and v.kind == "ordered"]
    other_factor = any(isinstance(v, Levels) and v.kind == "factor" for v in (left, right))
    if other_factor or (len(ordered) == 2 and ordered[0].levels != ordered[1].levels):
        raise refuse("ordered factors can be compared with each other, or with one of their levels")
    levels = {text: i for i, text in enumerate(ordered[0].levels)}
    texts = [as_levels(v) for v in (left, right)]
    a, b = recycle(*texts)
    places = [np.array([levels.get(t, -1) for t in v.levels] + [-1], dtype=np.intp) for v in texts]
    x, y = places[0][a], places[1][b]
    if operator in ("==", "!="):  # equality goes by text: a string that is no level is unequal, not missing
        return _compare_texts(operator, *texts)
    return _compared(operator, x, y, (x < 0) | (y < 0))


def as_levels(value: Value) -> Levels:
    """A value as strings (R: as.character), held as codes and levels."""
    if isinstance(value, Levels):
        return value
    numbers = value.values.reshape(-1, order="F")
    distinct, codes = np.unique(numbers, return_inverse=True)
    distinct = distinct[~np.isnan(distinct)]
    codes = np.where(np.isnan(numbers), -1, codes)
    texts = as_text(distinct, value.kind)
    order = from_strings(np.array(texts, dtype=object)) if texts else Levels(np.empty(0, np.intp), (), "character")
    lookup = np.append(order.codes, -1)
    return Levels(lookup[codes], order.levels, "character")
