"""Evaluates one variable of a formula on the data: symbols are columns, calls go to the allowed functions. There is
no eval.

A call that must repeat itself on new data (poly, bs, ns, scale) leaves its `basis` on the value; see `frame`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataError, FormulaError
from . import operators
from .arguments import Arguments, Function
from .functions import FUNCTIONS
from .grammar import PANEL_FUNCTIONS
from .syntax import Call, Constant, Expression, Name, Number, Text, spine
from .values import Levels, Numeric, Value, from_column

_CONSTANTS = {
    "TRUE": Numeric(np.array([1.0]), "logical"),
    "FALSE": Numeric(np.array([0.0]), "logical"),
    "NA": Numeric(np.array([np.nan]), "logical"),
    "NaN": Numeric(np.array([np.nan])),
    "Inf": Numeric(np.array([np.inf])),
}
_ARITHMETIC = frozenset(["+", "-", "*", "/", "^", "%%", "%/%"])
_LOGIC = frozenset(["&", "&&", "|", "||"])
_COMPARISONS = frozenset(["==", "!=", "<", ">", "<=", ">="])


def column_reader(data: Any) -> Callable[[str], Any]:
    """How a column is taken from the data; raises KeyError where there is none."""
    if not isinstance(data, pd.DataFrame):
        return lambda name: data[name]
    columns = data.columns
    arrays = getattr(data, "_get_column_array", None)  # what a column is made of, without a Series around it

    def read(name: str) -> Any:
        place = columns.get_loc(name)
        if not isinstance(place, int):
            raise DataError("r-error", f"the data has the column '{name}' more than once")
        return data.iloc[:, place] if arrays is None else arrays(place)

    return read


class Evaluator:
    """Evaluates expressions on one data set of n rows, reading each column once.

    `data` is a DataFrame or a mapping of columns; `source` the formula's text, for errors; `read` the columns read;
    `functions` what may be called beside the functions of the language.
    """

    def __init__(self, data: Any, n: int, source: str, functions: Mapping[str, Function] | None = None) -> None:
        self.data = data
        self.reader = column_reader(data)
        self.n = n
        self.source = source
        self.read: dict[str, Value] = {}
        self.functions = FUNCTIONS if functions is None else {**FUNCTIONS, **functions}

    def column(self, node: Name) -> Value:
        """A column of the data."""
        value = self.read.get(node.name)
        if value is None:
            try:
                column = self.reader(node.name)
            except KeyError:
                raise self.unknown(node) from None
            value = self.read[node.name] = from_column(column, node.name)
            if len(value) != self.n:
                message = f"variable lengths differ: column '{node.name}' has {len(value)} values, not {self.n}"
                raise DataError("cluster-length", message)
        return value

    def unknown(self, node: Name) -> FormulaError:
        """The error for a symbol that is no column, with the nearest name."""
        close = get_close_matches(node.name, [str(column) for column in self.data], n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        if node.name in ("T", "F", "pi"):
            hint = "; write TRUE, FALSE or the number itself"
        return FormulaError("unknown-column", f"the data has no column '{node.name}'{hint}", self.source, node.position)

    def value(self, node: Expression, basis: Any = None) -> Value:
        """The value of an expression. `basis`: what a stateful call at its top remembered from the fit."""
        if isinstance(node, Name):
            return self.column(node)
        if isinstance(node, Number):
            return Numeric(np.array([node.value]), "integer" if node.integer else "double")
        if isinstance(node, Text):
            return Levels(np.zeros(1, dtype=np.intp), (node.value,), "character")
        if isinstance(node, Constant):
            if node.name not in _CONSTANTS:
                raise FormulaError("formula-forbidden", f"{node.name} has no use here", self.source, node.position)
            return _CONSTANTS[node.name]
        try:
            return self.call(node, basis)
        except DataError as error:
            raise FormulaError(error.kind, str(error), self.source, node.position) from None

    def call(self, node: Call, basis: Any) -> Value:
        """The value of an operator or of an allowed function."""
        name, arguments = node.function, node.arguments
        if name == "(":
            return self.value(arguments[0])
        if name in self.functions:
            return self.functions[name](Arguments(node, self, basis))
        if name in ("+", "-") and len(arguments) == 2:
            return self._sum(node)
        if name in PANEL_FUNCTIONS:
            message = f"{name}() is of the rows of a panel, whose index is not known here"
            raise FormulaError("formula-forbidden", message, self.source, node.position)
        values = [self.value(argument) for argument in arguments]
        if len(values) == 1 and name in ("!", "+", "-"):
            return operators.negate(values[0]) if name == "!" else operators.sign_of(name, values[0])
        if name in _ARITHMETIC:
            return operators.arithmetic(name, *values)
        if name in _LOGIC:
            return operators.logic(name, *values)
        if name in _COMPARISONS:
            return operators.compare(name, *values)
        if name == ":":
            return _colon(*values)
        raise FormulaError("formula-forbidden", f"'{name}' cannot be used here", self.source, node.position)

    def _sum(self, node: Call) -> Value:
        """`a + b - c ...`, from the left and without recursion, since it may be long."""
        first, calls = spine(node, ("+", "-"))
        result = self.value(first)
        for call in calls:
            result = operators.arithmetic(call.function, result, self.value(call.arguments[1]))
        return result


MAX_RANGE = 10_000


def _colon(first: Value, last: Value) -> Value:
    """`a:b` inside a call: a range of numbers, or the interaction of two factors."""
    if isinstance(first, Levels) or isinstance(last, Levels):
        raise operators.refuse("':' of factors inside a call; use interaction()")
    if len(first) != 1 or len(last) != 1 or not np.isfinite([first.values[0], last.values[0]]).all():
        raise operators.refuse("':' inside a call needs two single numbers")
    start, stop = float(first.values[0]), float(last.values[0])
    if abs(stop - start) > MAX_RANGE:
        raise DataError("formula-too-large", f"a range of more than {MAX_RANGE} numbers")
    count = int(abs(stop - start) + 1e-10) + 1
    values = start + (1.0 if stop >= start else -1.0) * np.arange(float(count))
    return Numeric(values, "integer" if start == int(start) else "double")
