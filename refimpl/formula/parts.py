"""Multi-part formulas, as plm writes instruments: `y ~ x1 + x2 | z1 + z2`, and `y ~ x1 + x2 | . - x2 + z`.

The bars of mixed models are in `bars`; here a `|` at the top of the right side separates parts.
Source: R package Formula (Zeileis & Croissant 2010, J. Stat. Software 34(1)), plm 2.6-2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from .deparse import deparse_formula
from .frame import ModelFrame, column_names, model_frame, sub_frame
from .syntax import Call, Expression, Formula, Name, spine, symbols


def split_parts(formula: Formula) -> tuple[Formula, ...]:
    """The parts of a formula, each with the same left side. `.` in a later part stands for the first part.

    A formula without `|` is its own only part.
    """
    first, calls = spine(formula.right, ("|",))
    sides = [first, *(_with_first(call.arguments[1], first) for call in calls)]
    return tuple(Formula(formula.left, s, deparse_formula(formula.left, s), formula.source) for s in sides)


def _with_first(part: Expression, first: Expression) -> Expression:
    """A later part with `.` replaced by the first part, in parentheses."""
    if isinstance(part, Name) and part.name == ".":
        return Call("(", (first,), position=part.position)
    if not isinstance(part, Call):
        return part
    left, calls = spine(part, ("+", "-"))
    if calls:
        result = _with_first(left, first)
        for call in calls:
            result = replace(call, arguments=(result, _with_first(call.arguments[1], first)))
        return result
    return replace(part, arguments=tuple(_with_first(argument, first) for argument in part.arguments))


def parts_frame(
    formula: Formula,
    data: Any,
    extra: Mapping[str, Any] | None = None,
    na_action: str = "omit",
    keep: Sequence[str] = (),
) -> tuple[ModelFrame, ...]:
    """One frame a part, all on the rows that are complete in every part. Arguments and errors as of `model_frame`."""
    parts = split_parts(formula)
    joined = parts[0].right
    for part in parts[1:]:
        joined = Call("+", (joined, part.right), position=part.right.position)
    whole = Formula(formula.left, joined, deparse_formula(formula.left, joined), formula.source)
    frame = model_frame(whole, data, extra, na_action, keep)
    dotted = any(name.name == "." for name in symbols(formula.right))
    columns = column_names(data) if dotted else None
    return tuple(sub_frame(frame, part, columns) for part in parts)
