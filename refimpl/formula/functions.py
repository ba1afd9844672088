"""The functions a formula may call, by R's names, arguments and rules. What is not in `FUNCTIONS` cannot run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FormulaError
from .operators import recycle, refuse
from .syntax import Call, Expression
from .values import Floats, Levels, Numeric, Value, as_text

if TYPE_CHECKING:
    from .evaluate import Evaluator


class Arguments:
    """The arguments of one call, matched to R's formal names: exact, then partial, then by position."""

    def __init__(self, call: Call, evaluator: Evaluator, basis: Any) -> None:
        self.call = call
        self.evaluator = evaluator
        self.basis = basis
        self.given: dict[str, Expression] = {}

    def fail(self, message: str, kind: str = "r-error") -> FormulaError:
        return FormulaError(kind, f"{self.call.function}(): {message}", self.evaluator.source, self.call.position)

    def match(self, *formals: str, required: int = 1) -> Arguments:
        """Give every argument its formal name; the first `required` formals must be there."""
        names = self.call.names or (None,) * len(self.call.arguments)
        free = list(formals)
        waiting: list[Expression] = []
        named = [(n, a) for n, a in zip(names, self.call.arguments, strict=True) if n is not None]
        for name, argument in sorted(named, key=lambda pair: pair[0] not in formals):  # exact matches first
            fits = [name] if name in free else [f for f in free if f.startswith(name)]
            if len(fits) != 1:
                raise self.fail(f"unused argument '{name}'")
            free.remove(fits[0])
            self.given[fits[0]] = argument
        waiting = [a for n, a in zip(names, self.call.arguments, strict=True) if n is None]
        if len(waiting) > len(free):
            raise self.fail(f"{len(self.call.arguments)} arguments, at most {len(formals)} are allowed")
        self.given.update(zip(free, waiting, strict=False))
        for formal in formals[:required]:
            if formal not in self.given:
                raise self.fail(f"argument '{formal}' is missing")
        return self

    def value(self, formal: str) -> Value:
        """The evaluated argument."""
        return self.evaluator.value(self.given[formal])

    def numbers(self, formal: str) -> Numeric:
        """The evaluated argument, which must be numeric."""
        value = self.value(formal)
        if isinstance(value, Levels):
            raise self.fail("non-numeric argument to mathematical function")
        return value


Function = Callable[[Arguments], Value]


def _math(function: Callable[[Floats], Floats], whole: bool = False) -> Function:
    def call(arguments: Arguments) -> Value:
        x = arguments.match("x").numbers("x")
        with np.errstate(all="ignore"):
            result = function(x.values)
        return Numeric(result, "integer" if whole and x.kind != "double" else "double", x.labels)

    return call


def _log(arguments: Arguments) -> Value:
    arguments.match("x", "base")
    x = arguments.numbers("x")
    with np.errstate(all="ignore"):
        if "base" not in arguments.given:
            return Numeric(np.log(x.values), "double", x.labels)
        values, base = recycle(x, arguments.numbers("base"))
        if base.size == 1 and base.flat[0] in (2.0, 10.0):
            result = np.log2(values) if base.flat[0] == 2.0 else np.log10(values)
        else:
            result = np.log(values) / np.log(base)
    return Numeric(result, "double", x.labels)


def _identity(arguments: Arguments) -> Value:
    value = arguments.match("x").value("x")
    return value


def _offset(arguments: Arguments) -> Value:
    return arguments.match("object").value("object")


def as_factor(value: Value) -> Levels:
    """R's as.factor: numbers in increasing order, strings in code point order, a factor as it is."""
    if isinstance(value, Levels):
        return Levels(value.codes, value.levels, "factor").without_unused() if value.kind == "character" else value
    if value.values.ndim != 1:
        raise refuse("a matrix cannot become a factor here")
    gone = np.isnan(value.values)
    distinct, codes = np.unique(value.values[~gone], return_inverse=True)
    texts = as_text(distinct, value.kind)
    levels = tuple(dict.fromkeys(texts))  # numbers that agree to 15 digits are one level
    place = {text: i for i, text in enumerate(levels)}
    merged = np.array([place[text] for text in texts], dtype=np.intp)
    all_codes = np.full(len(gone), -1, dtype=np.intp)
    all_codes[~gone] = merged[codes]
    return Levels(all_codes, levels)


FUNCTIONS: dict[str, Function] = {
    "I": _identity,
    "offset": _offset,
    "log": _log,
    "log2": _math(np.log2),
    "log10": _math(np.log10),
    "log1p": _math(np.log1p),
    "exp": _math(np.exp),
    "expm1": _math(np.expm1),
    "sqrt": _math(np.sqrt),
    "abs": _math(np.abs, whole=True),
    "floor": _math(np.floor),
    "ceiling": _math(np.ceil),
    "sin": _math(np.sin),
    "cos": _math(np.cos),
    "tan": _math(np.tan),
    "sign": _math(np.sign),
    "as.factor": lambda arguments: as_factor(arguments.match("x").value("x")),
    "factor": lambda arguments: as_factor(arguments.match("x").value("x")).without_unused(),
}
