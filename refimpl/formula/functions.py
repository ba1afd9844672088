"""The functions a formula may call, by R's names, arguments and rules: arithmetic and conversions here, `factors` and
`bases` beside.

What is not in `FUNCTIONS` cannot run.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from . import bases, factors
from .arguments import Arguments, Function
from .operators import as_levels, as_logical, is_factor, libm, recycle
from .syntax import Constant
from .values import Floats, Levels, Numeric, Value, from_strings

Rows = npt.NDArray[np.intp]
_NUMBER = re.compile(
    r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d*)?|0[xX][0-9a-fA-F]+|inf(?:inity)?|nan)\Z", re.IGNORECASE
)


def _numeric_argument(arguments: Arguments, formal: str = "x") -> Numeric:
    value = arguments.value(formal)
    if isinstance(value, Levels):
        what = "not meaningful for factors" if is_factor(value) else "non-numeric argument to mathematical function"
        raise arguments.fail(what)
    return value


def _only_x(arguments: Arguments) -> Numeric:
    """R's primitives take one argument, whose name, if given, is x."""
    if len(arguments.call.arguments) != 1 or arguments.call.names not in ((), ("x",)):
        raise arguments.fail("takes exactly one argument, 'x'")
    return _numeric_argument(arguments.match("x"))


def _through(function: Callable[[Floats], Floats], whole: bool = False) -> Function:
    """A function of each number that is exact, or correctly rounded, whoever computes it."""

    def call(arguments: Arguments) -> Value:
        x = _only_x(arguments)
        with np.errstate(all="ignore"):
            result = function(x.values)
        return Numeric(result, "integer" if whole and x.kind != "double" else "double", x.labels)

    return call


def _transcendental(exact: Callable[[float], float], function: Callable[[Floats], Floats]) -> Function:
    """A function of the C library, called as R calls it, so that the last bit agrees."""
    return _through(lambda values: libm(exact, function, values))


def _log(arguments: Arguments) -> Value:
    x = _numeric_argument(arguments.match("x", "base"))
    log = libm(math.log, np.log, x.values)
    if not arguments.has("base"):
        return Numeric(log, "double", x.labels)
    base = _numeric_argument(arguments, "base")
    if base.values.size == 1 and base.values.flat[0] in (2.0, 10.0):
        two = base.values.flat[0] == 2.0
        result = libm(math.log2, np.log2, x.values) if two else libm(math.log10, np.log10, x.values)
        return Numeric(result, "double", x.labels)
    top, bottom = recycle(Numeric(log), Numeric(libm(math.log, np.log, base.values)))
    with np.errstate(all="ignore"):
        return Numeric(top / bottom, "double", x.labels)


def _round(arguments: Arguments) -> Value:
    """Of the two neighbours with that many digits, the one nearer to x; on a tie the even one (R 4.0.0, ?round)."""
    x = _numeric_argument(arguments.match("x", "digits"))
    digits = arguments.number("digits", 0.0)
    if math.isnan(digits):
        return Numeric(np.full_like(x.values, np.nan), "double", x.labels)
    digits = math.floor(digits + 0.5)
    if digits > 323:
        return Numeric(x.values, "double", x.labels)
    with np.errstate(all="ignore"):
        return Numeric(_rounded(x.values, int(digits)), "double", x.labels)


def _rounded(x: Floats, digits: int) -> Floats:
    if digits == 0:
        return np.rint(x)
    if digits < -308:
        return np.where(np.isfinite(x), 0.0, x)
    power = 10.0 ** abs(digits)
    scaled = x * power if digits > 0 else x / power
    below, above = np.floor(scaled), np.ceil(scaled)
    low, high = (below / power, above / power) if digits > 0 else (below * power, above * power)
    down, up = x - low, high - x
    nearest = np.where((down < up) | ((down == up) & (np.mod(below, 2.0) == 0.0)), low, high)
    precise = np.floor(np.log10(np.abs(x))) + 1 + digits > 15  # all digits of x are kept
    return np.where(np.isfinite(x) & (x != 0.0) & ~precise, nearest, x)


def _identity(arguments: Arguments) -> Value:
    return arguments.match("x").value("x")


def _offset(arguments: Arguments) -> Value:
    return arguments.match("object").value("object")


def _as_numeric(arguments: Arguments) -> Value:
    value = arguments.match("x").value("x")
    if isinstance(value, Numeric):
        return Numeric(value.values.reshape(-1, order="F"), "double")
    if value.kind != "character":  # R: a factor becomes its codes
        return Numeric(np.where(value.codes < 0, np.nan, value.codes + 1.0), "double")
    numbers = np.array([parse_number(text) for text in value.levels] + [np.nan])
    return Numeric(numbers[value.codes], "double")


def parse_number(text: str) -> float:
    """R's as.numeric of a string, NaN where it is no number."""
    stripped = text.strip()
    if not _NUMBER.match(stripped):
        return math.nan
    if stripped.lower().startswith(("0x", "+0x", "-0x")):
        return float(int(stripped, 16))
    try:
        return float(stripped)
    except ValueError:  # an exponent without digits counts as none
        return float(re.split("[eE]", stripped)[0])


def _as_character(arguments: Arguments) -> Value:
    value = as_levels(arguments.match("x").value("x"))
    order = from_strings(np.array(value.levels, dtype=object)) if value.levels else value
    return Levels(np.append(order.codes, -1)[value.codes], order.levels, "character")


def _is_na(arguments: Arguments) -> Value:
    value = arguments.match("x").value("x")
    gone = np.isnan(value.values) if isinstance(value, Numeric) else value.missing()
    return Numeric(gone.astype(np.float64), "logical")


_TRUTHS = {"T": 1.0, "TRUE": 1.0, "true": 1.0, "True": 1.0, "F": 0.0, "FALSE": 0.0, "false": 0.0, "False": 0.0}


def _truth(arguments: Arguments) -> Numeric:
    test = arguments.value("test")
    if isinstance(test, Numeric):
        return Numeric(as_logical(test), "logical", test.labels)
    if is_factor(test):
        raise arguments.fail("the test is a factor")
    return Numeric(np.array([_TRUTHS.get(t, np.nan) for t in test.levels] + [np.nan])[test.codes], "logical")


def _ifelse(arguments: Arguments) -> Value:
    """R: the answer has the type of the sides that are used, a factor gives its codes, a missing test is missing."""
    test = _truth(arguments.match("test", "yes", "no", required=3))
    flat = test.values.reshape(-1, order="F")
    rows = [np.flatnonzero(flat == truth) for truth in (1.0, 0.0)]
    sides: list[tuple[Rows, Value]] = []
    for chosen, formal in zip(rows, ("yes", "no"), strict=True):
        if len(chosen):
            side = arguments.value(formal)
            sides.append((chosen, _codes_as_numbers(side)))
    if any(isinstance(side, Levels) for _, side in sides):
        return _text_choice(len(flat), sides)
    result = np.full(len(flat), np.nan)
    for chosen, side in sides:
        numbers = side.values.reshape(-1, order="F")  # type: ignore[union-attr]
        result[chosen] = np.resize(numbers, len(flat))[chosen]
    kind = _widest({"logical", *(side.kind for _, side in sides)})
    return Numeric(result.reshape(test.values.shape, order="F"), kind)


def _codes_as_numbers(side: Value) -> Value:
    if is_factor(side):
        codes = side.codes  # type: ignore[union-attr]
        return Numeric(np.where(codes < 0, np.nan, codes + 1.0), "integer")
    return side


def _text_choice(n: int, sides: list[tuple[Rows, Value]]) -> Levels:
    texts = np.full(n, None, dtype=object)
    for chosen, side in sides:
        as_text = as_levels(side)
        lookup = np.array([*as_text.levels, None], dtype=object)
        texts[chosen] = np.resize(lookup[as_text.codes], n)[chosen]
    return from_strings(texts)


def _combine(arguments: Arguments) -> Value:
    """c(): the values one after the other, in the widest of their types; their names count for nothing here."""
    given = [a for a in arguments.call.arguments if not (isinstance(a, Constant) and a.name == "NULL")]
    values = [arguments.evaluator.value(argument) for argument in given]
    if len(values) == 1:
        return values[0]
    if not values:
        raise arguments.fail("nothing to combine")
    values = [_codes_as_numbers(value) for value in values]
    if any(isinstance(v, Levels) for v in values):
        texts = [as_levels(value) for value in values]
        return from_strings(np.concatenate([np.array([*t.levels, None], dtype=object)[t.codes] for t in texts]))
    kind = _widest({value.kind for value in values})
    return Numeric(np.concatenate([v.values.reshape(-1, order="F") for v in values]), kind)  # type: ignore[union-attr]


def _widest(kinds: set[str]) -> str:
    return next(kind for kind in ("double", "integer", "logical") if kind in kinds)


def _among(arguments: Arguments) -> Value:
    """%in%: whether each value is among the values on the right."""
    left, right = (arguments.evaluator.value(a) for a in arguments.call.arguments)
    if isinstance(left, Numeric) and isinstance(right, Numeric):
        inside = np.isin(left.values.reshape(-1, order="F"), right.values)
        if np.isnan(right.values).any():
            inside |= np.isnan(left.values.reshape(-1, order="F"))
        return Numeric(inside.astype(np.float64), "logical")
    a, b = as_levels(left), as_levels(right)
    there = {b.levels[code] if code >= 0 else None for code in b.codes}
    hits = np.array([float(level in there) for level in a.levels] + [float(None in there)])
    return Numeric(hits[a.codes], "logical")


FUNCTIONS: dict[str, Function] = {
    "I": _identity,
    "offset": _offset,
    "c": _combine,
    "%in%": _among,
    "log": _log,
    "log2": _transcendental(math.log2, np.log2),
    "log10": _transcendental(math.log10, np.log10),
    "log1p": _transcendental(math.log1p, np.log1p),
    "exp": _transcendental(math.exp, np.exp),
    "expm1": _transcendental(math.expm1, np.expm1),
    "sin": _transcendental(math.sin, np.sin),
    "cos": _transcendental(math.cos, np.cos),
    "tan": _transcendental(math.tan, np.tan),
    "sqrt": _through(np.sqrt),
    "abs": _through(np.abs, whole=True),
    "floor": _through(np.floor),
    "ceiling": _through(np.ceil),
    "sign": _through(np.sign),
    "round": _round,
    "as.numeric": _as_numeric,
    "as.character": _as_character,
    "is.na": _is_na,
    "ifelse": _ifelse,
    **factors.FUNCTIONS,
    **bases.FUNCTIONS,
}
