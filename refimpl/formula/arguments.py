"""The arguments of one call, matched to R's formal names: exact names first, then unique prefixes, then by position."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import FormulaError
from .operators import as_levels
from .syntax import Call, Constant, Expression
from .values import Floats, Levels, Numeric, Value

if TYPE_CHECKING:
    from .evaluate import Evaluator


class Arguments:
    """A call about to be evaluated. `given` holds the expressions by formal name, `dots` those that matched `...`.

    An argument that is NULL counts as not given. `basis` is what the call remembered from the fit, on new data.
    """

    def __init__(self, call: Call, evaluator: Evaluator, basis: Any = None) -> None:
        self.call = call
        self.evaluator = evaluator
        self.basis = basis
        self.given: dict[str, Expression] = {}
        self.dots: list[Expression] = []

    def fail(self, message: str, kind: str = "r-error") -> FormulaError:
        """The error of this call, with its place."""
        return FormulaError(kind, f"{self.call.function}(): {message}", self.evaluator.source, self.call.position)

    def match(self, *formals: str, required: int = 1) -> Arguments:
        """Give every argument its formal name; the first `required` must be there. After `...` names must be exact."""
        names = self.call.names or (None,) * len(self.call.arguments)
        pairs = list(zip(names, self.call.arguments, strict=True))
        has_dots = "..." in formals
        before = list(formals[: formals.index("...")] if has_dots else formals)
        free = [formal for formal in formals if formal != "..."]
        for name, argument in sorted((p for p in pairs if p[0] is not None), key=lambda p: p[0] not in formals):
            fits = [name] if name in free else [f for f in free if f in before and f.startswith(str(name))]
            if len(fits) != 1:
                raise self.fail(f"unused argument '{name}'")
            free.remove(str(fits[0]))
            self.given[str(fits[0])] = argument
        waiting = [argument for name, argument in pairs if name is None]
        places = [formal for formal in free if formal in before]
        self.given.update(zip(places, waiting, strict=False))
        self.dots = waiting[len(places) :]
        if self.dots and not has_dots:
            raise self.fail(f"{len(pairs)} arguments, at most {len(formals)} are allowed")
        self.given = {k: v for k, v in self.given.items() if not (isinstance(v, Constant) and v.name == "NULL")}
        for formal in formals[:required]:
            if formal not in self.given:
                raise self.fail(f"argument '{formal}' is missing")
        return self

    def has(self, formal: str) -> bool:
        """Whether the argument was given (and is not NULL)."""
        return formal in self.given

    def value(self, formal: str) -> Value:
        """The evaluated argument."""
        return self.evaluator.value(self.given[formal])

    def numbers(self, formal: str) -> Numeric:
        """The evaluated argument, which must be numeric."""
        value = self.value(formal)
        if isinstance(value, Levels):
            raise self.fail(f"'{formal}' must be numeric")
        return value

    def number(self, formal: str, default: float) -> float:
        """A single number."""
        if formal not in self.given:
            return default
        value = self.numbers(formal)
        if value.values.size != 1:
            raise self.fail(f"'{formal}' must be a single number")
        return float(value.values.flat[0])

    def flag(self, formal: str, default: bool) -> bool:
        """TRUE or FALSE."""
        value = self.number(formal, float(default))
        if value != value:
            raise self.fail(f"'{formal}' must be TRUE or FALSE")
        return value != 0.0

    def texts(self, formal: str) -> list[str]:
        """Strings, or numbers as R writes them, in their order."""
        value = as_levels(self.value(formal))
        if (value.codes < 0).any():
            raise self.fail(f"'{formal}' holds missing values")
        return [value.levels[code] for code in value.codes]

    def column(self, formal: str) -> Floats:
        """Numbers as one column; a matrix of one column counts as one."""
        values = self.numbers(formal).values
        if values.size != len(values):
            raise self.fail(f"'{formal}' must be one column")
        return values.reshape(len(values))


Function = Callable[[Arguments], Value]
