"""R's functions that make or change factors: factor, ordered, relevel, interaction, cut, and C() with its contrasts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..errors import DataError
from .arguments import Arguments, Function
from .contrasts import BY_NAME, MAX_DENSE, Contrast, contr_poly, contr_treatment, contrast_named
from .operators import as_levels, is_factor
from .syntax import Call, Expression, Name, Text
from .values import Codes, Floats, Levels, Numeric, Value, as_text

MAX_LEVELS = 20_000
MAX_INTERVALS = 1_000
_SHORT = {"treatment", "sum", "helmert", "poly", "SAS"}


def as_factor(value: Value) -> Levels:
    """R's as.factor: numbers in increasing order, strings in code point order, a factor as it is."""
    if isinstance(value, Levels):
        return Levels(value.codes, value.levels).without_unused() if value.kind == "character" else value
    numbers = value.values.reshape(-1, order="F")
    gone = np.isnan(numbers)
    distinct, codes = np.unique(numbers[~gone], return_inverse=True)
    texts = as_text(distinct, value.kind)
    levels = tuple(dict.fromkeys(texts))  # numbers that agree to 15 digits are one level
    place = {text: i for i, text in enumerate(levels)}
    all_codes = np.full(len(gone), -1, dtype=np.intp)
    all_codes[~gone] = np.array([place[text] for text in texts], dtype=np.intp)[codes]
    return Levels(all_codes, levels)


def _relabel(codes: Codes, labels: list[str], kind: str) -> Levels:
    """Codes with new labels; labels that are equal become one level."""
    levels = tuple(dict.fromkeys(labels))
    place = {text: i for i, text in enumerate(levels)}
    lookup = np.array([place[text] for text in labels] + [-1], dtype=np.intp)
    return Levels(lookup[codes], levels, kind)


def _onto(value: Value, levels: list[str]) -> Codes:
    """The codes of a value among given levels, -1 for what is none of them."""
    texts = as_levels(value)
    place = {text: i for i, text in enumerate(levels)}
    return np.array([place.get(text, -1) for text in texts.levels] + [-1], dtype=np.intp)[texts.codes]


def _make(arguments: Arguments, ordered: bool) -> Value:
    value = arguments.value("x")
    if "exclude" in arguments.call.names or len(arguments.call.arguments) > 4:
        raise arguments.fail("'exclude' is not supported")
    if arguments.has("levels"):
        levels = arguments.texts("levels")
        if len(set(levels)) < len(levels):
            raise arguments.fail("a level is there twice")
        codes: Codes = _onto(value, levels)
    else:
        made = as_factor(value).without_unused()
        levels, codes = list(made.levels), made.codes
    kind = "ordered" if ordered else "factor"
    if not arguments.has("labels"):
        return Levels(codes, tuple(levels), kind)
    labels = arguments.texts("labels")
    if len(labels) == 1:
        labels = labels if len(levels) == 1 else [f"{labels[0]}{i + 1}" for i in range(len(levels))]
    if len(labels) != len(levels):
        raise arguments.fail(f"{len(labels)} labels for {len(levels)} levels")
    return _relabel(codes, labels, kind)


def _factor(arguments: Arguments) -> Value:
    arguments.match("x", "levels", "labels", "exclude", "ordered")
    already = arguments.value("x")
    return _make(arguments, arguments.flag("ordered", isinstance(already, Levels) and already.kind == "ordered"))


def _ordered(arguments: Arguments) -> Value:
    arguments.match("x", "levels", "labels")
    already = arguments.value("x")
    if isinstance(already, Levels) and already.kind == "ordered" and len(arguments.given) == 1:
        return already.without_unused()
    return _make(arguments, True)


def _as_factor(arguments: Arguments) -> Value:
    return as_factor(arguments.match("x").value("x"))


def _relevel(arguments: Arguments) -> Value:
    value = arguments.match("x", "ref", required=2).value("x")
    if not isinstance(value, Levels) or value.kind != "factor":
        raise arguments.fail("only for unordered factors")
    ref = arguments.value("ref")
    if len(ref) != 1:
        raise arguments.fail("'ref' must be one level")
    if isinstance(ref, Levels):
        name = as_levels(ref).levels[int(ref.codes[0])]
        if name not in value.levels:
            raise arguments.fail(f"'{name}' is not a level")
        first = value.levels.index(name)
    else:
        first = int(arguments.number("ref", 1.0)) - 1
        if not 0 <= first < len(value.levels):
            raise arguments.fail(f"'ref' must be between 1 and {len(value.levels)}")
    order = [first, *(i for i in range(len(value.levels)) if i != first)]
    rank = np.append(np.argsort(order), -1)
    return Levels(rank[value.codes], tuple(value.levels[i] for i in order))


def _interaction(arguments: Arguments) -> Value:
    arguments.match("...", "drop", "sep", "lex.order", required=0)
    parts = [as_factor(arguments.evaluator.value(argument)) for argument in arguments.dots]
    if not parts:
        raise arguments.fail("no factors")
    separator = arguments.texts("sep")[0] if arguments.has("sep") else "."
    lexical = arguments.flag("lex.order", False)
    result = parts[0]
    for part in parts[1:]:
        if len(part.codes) != len(result.codes):
            raise arguments.fail("factors of different lengths")
        result = _cross(result, part, separator, lexical)
    made = _relabel(result.codes, list(result.levels), "factor")
    return made.without_unused() if arguments.flag("drop", False) else made


def _cross(left: Levels, right: Levels, separator: str, lexical: bool) -> Levels:
    """All pairs of levels, the left one running fastest unless `lexical`."""
    a, b = len(left.levels), len(right.levels)
    if a * b > MAX_LEVELS:
        raise DataError("formula-too-large", f"an interaction of more than {MAX_LEVELS} levels")
    if lexical:
        codes = left.codes.astype(np.intp) * b + right.codes
        levels = [f"{x}{separator}{y}" for x in left.levels for y in right.levels]
    else:
        codes = right.codes.astype(np.intp) * a + left.codes
        levels = [f"{x}{separator}{y}" for y in right.levels for x in left.levels]
    return Levels(np.where((left.codes < 0) | (right.codes < 0), -1, codes), tuple(levels))


def _breaks(arguments: Arguments, x: Floats) -> Floats:
    """The sorted limits; one number is a count of equal intervals, the outer limits moved out by a thousandth."""
    given = arguments.numbers("breaks").values
    if given.size != 1:
        breaks = np.sort(given[~np.isnan(given)])
        if len(np.unique(breaks)) < len(breaks):
            raise arguments.fail("'breaks' are not unique")
        return breaks
    count = float(given.flat[0])
    if not count >= 2:
        raise arguments.fail("the number of intervals must be at least 2")
    if count > MAX_INTERVALS:
        raise arguments.fail(f"more than {MAX_INTERVALS} intervals", "formula-too-large")
    present = x[~np.isnan(x)]
    if not len(present) or not np.isfinite(present).all():
        raise arguments.fail("the range of 'x' is not finite")
    low, high = float(present.min()), float(present.max())
    intervals = int(count)
    if low == high:
        margin = (abs(low) or 1.0) / 1000
        return _sequence(low - margin, high + margin, intervals)
    breaks = _sequence(low, high, intervals)
    breaks[0], breaks[-1] = low - (high - low) / 1000, high + (high - low) / 1000
    return breaks


def _sequence(start: float, stop: float, intervals: int) -> Floats:
    values = start + np.arange(intervals + 1.0) * ((stop - start) / intervals)
    values[-1] = stop
    return values


def _cut_labels(breaks: Floats, right: bool, lowest: bool, digits: int) -> list[str]:
    """Intervals, at as many significant digits as make the limits differ, up to 12."""
    shown: list[str] = []
    for d in range(digits, max(12, digits) + 1):
        shown = [f"{b:.{d}g}".replace("inf", "Inf") for b in breaks.tolist()]
        if len(set(shown)) == len(shown):
            break
    shown = [" Inf" if text == "Inf" else text for text in shown]
    opening, closing = ("(", "]") if right else ("[", ")")
    labels = [f"{opening}{a},{b}{closing}" for a, b in pairwise(shown)]
    if lowest:
        if right:
            labels[0] = "[" + labels[0][1:]
        else:
            labels[-1] = labels[-1][:-1] + "]"
    return labels


def _cut(arguments: Arguments) -> Value:
    arguments.match("x", "breaks", "labels", "include.lowest", "right", "dig.lab", "ordered_result", required=2)
    value = arguments.value("x")
    if isinstance(value, Levels) or value.kind == "logical":
        raise arguments.fail("'x' must be numeric")
    x = arguments.column("x")
    breaks = _breaks(arguments, x)
    if len(breaks) < 2:
        raise arguments.fail("at least two limits are needed")
    right, lowest = arguments.flag("right", True), arguments.flag("include.lowest", False)
    codes = np.searchsorted(breaks, x, side="left" if right else "right") - 1
    if lowest:
        codes[x == (breaks[0] if right else breaks[-1])] = 0 if right else len(breaks) - 2
    codes[(codes < 0) | (codes >= len(breaks) - 1) | np.isnan(x)] = -1
    kind = "ordered" if arguments.flag("ordered_result", False) else "factor"
    if not arguments.has("labels"):
        digits = int(arguments.number("dig.lab", 3.0))
        if not 1 <= digits <= 50:
            raise arguments.fail("'dig.lab' must be between 1 and 50")
        return _relabel(codes, _cut_labels(breaks, right, lowest, digits), kind)
    labels = arguments.value("labels")
    if isinstance(labels, Numeric) and labels.kind == "logical" and list(labels.values) == [0.0]:
        return Numeric(np.where(codes < 0, np.nan, codes + 1.0), "integer")
    names = arguments.texts("labels")
    if len(names) != len(breaks) - 1:
        raise arguments.fail(f"{len(names)} labels for {len(breaks) - 1} intervals")
    return _relabel(codes, names, kind)


def _contrast_call(arguments: Arguments, call: Call) -> Contrast:
    """`contr.sum(4)`, `contr.treatment(c("u", "v"), base = 2)`: a contrast for so many levels, or for levels of these
    names.
    """
    options = {"contr.treatment": ["base"], "contr.poly": ["scores"]}.get(call.function, [])
    inner = Arguments(call, arguments.evaluator).match("n", *options, "contrasts")
    if not inner.flag("contrasts", True):
        raise inner.fail("'contrasts' must be TRUE")
    count = inner.value("n")
    named = isinstance(count, Levels) or len(count) > 1
    if named:
        levels = tuple(inner.texts("n"))
    else:
        size = inner.number("n", 0.0)
        if not size >= 2:
            raise inner.fail("at least two levels are needed")
        if size > MAX_DENSE:
            raise inner.fail(f"more than {MAX_DENSE} levels", "formula-too-large")
        levels = tuple(str(i + 1) for i in range(int(size)))
    return _with_options(inner, call.function, levels)


def _with_options(arguments: Arguments, name: str, levels: tuple[str, ...]) -> Contrast:
    if arguments.has("base"):
        base = arguments.number("base", 1.0)
        if name != "contr.treatment" or not 1 <= base <= len(levels):
            raise arguments.fail("'base' must be the number of a level of contr.treatment")
        return contr_treatment(levels, int(base))
    if arguments.has("scores"):
        scores = arguments.column("scores")
        if name != "contr.poly" or len(scores) != len(levels) or len(np.unique(scores)) < len(scores):
            raise arguments.fail("'scores' must be one different number for each level of contr.poly")
        return contr_poly(levels, scores)
    return contrast_named(name, levels)


def _contrast_name(node: Expression) -> str | None:
    if isinstance(node, Name) and (node.name in _SHORT or node.name in BY_NAME):
        return node.name if node.name in BY_NAME else f"contr.{node.name}"
    return node.value if isinstance(node, Text) and node.value in BY_NAME else None


def _C(arguments: Arguments) -> Value:
    """C(): the factor with its contrasts. More arguments, or a call of a contrast, fix the matrix; its rows then lose
    the names of the levels.
    """
    arguments.match("object", "contr", "how.many", "...", "base", "scores")
    value = arguments.value("object")
    if not isinstance(value, Levels) or not is_factor(value):
        raise arguments.fail("the object is not a factor")
    if len(value.levels) < 2:
        raise arguments.fail("contrasts can be applied only to factors with 2 or more levels", "one-level-factor")
    contrast = _chosen_contrast(arguments, value)
    if contrast.n_levels != len(value.levels):
        raise arguments.fail(f"a contrast for {contrast.n_levels} levels; the factor has {len(value.levels)}")
    if arguments.has("how.many"):
        count = int(min(max(1.0, arguments.number("how.many", 1.0)), len(contrast.labels)))
        contrast = contrast.first(count)
    return Levels(value.codes, value.levels, value.kind, contrast)


def _chosen_contrast(arguments: Arguments, value: Levels) -> Contrast:
    node = arguments.given.get("contr")
    if isinstance(node, Call) and node.function in BY_NAME:
        return _contrast_call(arguments, node)
    default = "contr.poly" if value.kind == "ordered" else "contr.treatment"
    name = default if node is None else _contrast_name(node)
    if name is None and isinstance(node, Name):
        raise arguments.evaluator.unknown(node)
    if name is None:
        raise arguments.fail("'contr' must be a contrast by name or call: treatment, sum, helmert, poly or SAS")
    fixed = any(arguments.has(option) for option in ("how.many", "base", "scores"))
    levels = tuple(str(i + 1) for i in range(len(value.levels))) if fixed else value.levels
    return _with_options(arguments, name, levels)


FUNCTIONS: dict[str, Function] = {
    "factor": _factor,
    "as.factor": _as_factor,
    "ordered": _ordered,
    "relevel": _relevel,
    "interaction": _interaction,
    "cut": _cut,
    "C": _C,
}
