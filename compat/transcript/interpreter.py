"""Follows a session's commands: an interpreter of a small part of R, by an allowlist of functions, without eval.

What it does not know it refuses by name; a name that was assigned something unknown stays unknown, and says why.
Functions are in functions.py and model_functions.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from compat.conventions import Neighbour
from compat.transcript.data_sets import data_set, file_called
from compat.transcript.language import EMPTY, NotRead
from compat.transcript.models import Fits, concrete
from compat.transcript.values import (
    Derived,
    FormulaValue,
    Frame,
    GroupColumn,
    GroupTable,
    Kind,
    Model,
    Null,
    Reading,
    RList,
    Unknown,
    Value,
    Vector,
    character,
    numeric,
)
from refimpl import rrandom
from refimpl.formula.deparse import deparse
from refimpl.formula.syntax import Call, Constant, Expression, Name, Number, Text, spine

ARITHMETIC = ("+", "-", "*", "/", "^", "%%", "%/%")
COMPARISON = ("==", "!=", "<", ">", "<=", ">=")
LOGIC = ("&", "|", "&&", "||")
_PASSED_ON = ("suppressMessages", "suppressWarnings")  # what they are given is as visible as it is without them
BINARY = (*ARITHMETIC, *COMPARISON, *LOGIC, ":", "%in%")


class Result(NamedTuple):
    """What a command came to: its value, and whether R prints it."""

    value: Value
    visible: bool


@dataclass
class Arguments:
    """The arguments of a call by the names of the function's parameters; `rest` is what `...` takes."""

    run: Interpreter
    call: Call
    given: dict[str, Expression]
    rest: list[tuple[str | None, Expression]]

    def has(self, name: str) -> bool:
        """Whether an argument was given."""
        return name in self.given

    def value(self, name: str) -> Value:
        """The value of an argument; NotRead where it is missing."""
        if name not in self.given:
            raise NotRead(f"{self.call.function}() without {name}")
        return self.run.evaluate(self.given[name])

    def vector(self, name: str) -> Vector:
        """The same, a vector."""
        return self.run.vector(self.value(name))

    def number(self, name: str, default: float | None = None) -> float:
        """A single number."""
        if default is not None and name not in self.given:
            return default
        values = self.vector(name).numbers()
        if len(values) != 1:
            raise NotRead(f"{self.call.function}(): {name} is not a single number")
        return float(values[0])

    def flag(self, name: str, default: bool) -> bool:
        """TRUE or FALSE."""
        return bool(self.number(name, float(default)))

    def text(self, name: str, default: str | None = None) -> str | None:
        """A single text."""
        if name not in self.given:
            return default
        texts = self.vector(name).texts()
        if len(texts) != 1:
            raise NotRead(f"{self.call.function}(): {name} is not a single text")
        return texts[0]


Function = Callable[[Arguments], Value]


class Entry(NamedTuple):
    """A function that is known: its parameters in order, and whether its value is shown."""

    parameters: tuple[str, ...]
    run: Function
    visible: bool


FUNCTIONS: dict[str, Entry] = {}


def function(*names: str, takes: str = "", visible: bool = True) -> Callable[[Function], Function]:
    """Make a Python function known under these names of R, with these parameters."""

    def register(run: Function) -> Function:
        for name in names:
            FUNCTIONS[name] = Entry(tuple(takes.split()), run, visible)
        return run

    return register


@dataclass
class Interpreter:
    """A session being followed. `files` are the data files at hand; `stand_ins` replaces a model by its neighbour."""

    fits: Fits
    files: tuple[Path, ...] = ()
    stand_ins: Mapping[int, Neighbour] = field(default_factory=dict)
    strings_as_factors: bool = False
    names: dict[str, Value] = field(default_factory=dict)
    masks: list[Frame] = field(default_factory=list)
    models: list[Model] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    random: rrandom.RRandom | None = None
    assigning: str = ""

    # -- commands -----------------------------------------------------------------------------------------------

    def command(self, node: Expression) -> Result:
        """Run one command. Raises NotRead; a name that it would have assigned is unknown from then on."""
        if isinstance(node, Call) and node.function == "<-":
            return Result(self._assign(node.arguments[0], node.arguments[1]), False)
        value = self._traced(node)
        return Result(value, self._visible(node))

    def _traced(self, node: Expression) -> Value:
        """The value of a command; numbers that it works out from models remember them, and how."""
        before, self.fits.asked = self.fits.asked, {}
        names, masks, models = dict(self.names), list(self.masks), list(self.models)
        try:
            value = self.evaluate(node)
            asked = tuple(self.fits.asked.values())
        finally:
            self.fits.asked = before | self.fits.asked
        if not asked or not isinstance(value, Vector | Frame):
            return value

        def again() -> Value:
            run = replace(self, names=dict(names), masks=list(masks), models=list(models), notes=[], random=None)
            return run.evaluate(node)

        return Derived(value, asked, again)

    def _visible(self, node: Expression) -> bool:
        while isinstance(node, Call) and node.function in (*_PASSED_ON, "%>%") and node.arguments:
            node = node.arguments[0] if node.function in _PASSED_ON else _piped_into(node.arguments[1])
        return not (isinstance(node, Call) and node.function in FUNCTIONS and not FUNCTIONS[node.function].visible)

    def _assign(self, target: Expression, source: Expression) -> Value:
        name = _target_name(target)
        try:
            self.assigning = name
            if isinstance(source, Call) and source.function == "<-":
                value = self._assign(source.arguments[0], source.arguments[1])
            else:
                value = self._traced(source)
            self.names[name] = value if isinstance(target, Name | Text) else self._changed(target, value)
        except NotRead as problem:
            self.names[name] = Unknown(str(problem))
            raise
        finally:
            self.assigning = ""
        return value

    def _changed(self, target: Expression, value: Value) -> Value:
        """x after `x$name <- value` or `x[["name"]] <- value`."""
        if not (isinstance(target, Call) and target.function in ("$", "[[") and len(target.arguments) == 2):
            raise NotRead(f"an assignment to {deparse(target)[:40]} is not read")
        owner, member = target.arguments
        frame = self.frame(self.evaluate(owner))
        column = (
            member.name
            if isinstance(member, Name) and target.function == "$"
            else self.vector(self.evaluate(member)).texts()[0]
        )
        if column is None:
            raise NotRead("a column without a name")
        if isinstance(value, Null):
            return Frame({n: v for n, v in frame.columns.items() if n != column}, frame.rows)
        return Frame({**frame.columns, column: recycled(self.vector(value), len(frame.rows))}, frame.rows)

    # -- expressions --------------------------------------------------------------------------------------------

    def evaluate(self, node: Expression) -> Value:
        """The value of an expression. Raises NotRead."""
        if isinstance(node, Number):
            return numeric(node.value, "integer" if node.integer else "double")
        if isinstance(node, Text):
            return character([node.value])
        if isinstance(node, Constant):
            return _constant(node.name)
        if isinstance(node, Name):
            return self.lookup(node.name)
        if node.function == "~":
            return FormulaValue(node, deparse(node))
        if node.function in BINARY and len(node.arguments) == 2:
            return self._chain(node)
        if node.function in ("-", "+", "!") and len(node.arguments) == 1:
            return self._prefix(node)
        if node.function in ("$", "@", "[", "[["):
            return self._index(node)
        if node.function == "(":
            return self.evaluate(node.arguments[0])
        if node.function == "%>%":
            return self._pipe(node)
        return self._call(node)

    def _pipe(self, node: Call) -> Value:
        """magrittr's pipe: the left side is `.`, the first argument of the call unless it stands among them."""
        self.names["."] = self.evaluate(node.arguments[0])
        return self.evaluate(_piped_into(node.arguments[1]))

    def lookup(self, name: str) -> Value:
        """What a name stands for: a column of what with() was given, then what was assigned."""
        for mask in reversed(self.masks):
            if name in mask.columns:
                return mask.columns[name]
        if name == "":
            raise NotRead("an argument is missing")
        if name not in self.names:
            if name in ("T", "F", "pi"):
                return numeric({"T": 1.0, "F": 0.0, "pi": np.pi}[name], "double" if name == "pi" else "logical")
            if file_called(name, self.files) is None:
                raise NotRead(f"'{name}' is not known")
            self.names[name] = data_set(name, self.files)
        value = self.names[name]
        if isinstance(value, Unknown):
            raise NotRead(f"'{name}' is not known: {value.reason}")
        return value

    def data_set(self, name: str) -> Frame:
        """The data frame that the session takes for granted: the file of that name, or the only one. Raises NotRead."""
        frame = data_set(name, self.files)
        if frame.assumed:
            self.notes.append(f"{name} is taken to be {frame.assumed}")
        return frame

    def _call(self, node: Call) -> Value:
        entry = FUNCTIONS.get(node.function)
        if entry is None:
            raise NotRead(f"the function {node.function}() is not read")
        return entry.run(self._arguments(node, entry.parameters))

    def _arguments(self, node: Call, parameters: tuple[str, ...]) -> Arguments:
        """R's matching: exact names, then beginnings of names, then by order."""
        given: dict[str, Expression] = {}
        rest: list[tuple[str | None, Expression]] = []
        names = node.names or (None,) * len(node.arguments)
        unnamed = []
        for name, value in zip(names, node.arguments, strict=True):
            if name is None:
                unnamed.append(value)
                continue
            near = [p for p in parameters if p == name] or [p for p in parameters if p.startswith(name)]
            if len(near) == 1 and near[0] not in given:
                given[near[0]] = value
            else:
                rest.append((name, value))
        free = [p for p in parameters if p not in given]
        for value in unnamed:
            if free and value != EMPTY:
                given[free.pop(0)] = value
            elif value != EMPTY:
                rest.append((None, value))
        return Arguments(self, node, given, rest)

    # -- operators ----------------------------------------------------------------------------------------------

    def _chain(self, node: Call) -> Value:
        first, calls = spine(node, BINARY)
        left = self.evaluate(first)
        for call in calls:
            right = self.evaluate(call.arguments[1])
            left = binary(call.function, self.vector(left), self.vector(right))
        return left

    def _prefix(self, node: Call) -> Value:
        inner = self.vector(self.evaluate(node.arguments[0]))
        if node.function == "!":
            values = inner.numbers()
            return Vector(np.where(np.isnan(values), np.nan, (values == 0).astype(float)), "logical", inner.names)
        return Vector(
            -inner.numbers() if node.function == "-" else inner.numbers(), _sign_kind(inner.kind), inner.names
        )

    def _index(self, node: Call) -> Value:
        from compat.transcript.indexing import index

        return index(self, node)

    # -- conversions --------------------------------------------------------------------------------------------

    def vector(self, value: Value) -> Vector:
        """A value as a vector. Raises NotRead."""
        found = concrete(value, self.fits)
        if isinstance(found, Frame) and len(found.columns) == 1:
            return next(iter(found.columns.values()))
        if not isinstance(found, Vector):
            raise NotRead(f"{describe(found)} where a vector is needed")
        return found

    def frame(self, value: Value) -> Frame:
        """A value as a data frame. Raises NotRead."""
        found = concrete(value, self.fits)
        if not isinstance(found, Frame):
            raise NotRead(f"{describe(found)} where a data frame is needed")
        return found

    def add_model(self, model: Model) -> Model:
        """Number a new model; where a neighbour stands in for it, take that."""
        model = replace(model, place=len(self.models))
        neighbour = self.stand_ins.get(model.place)
        if neighbour is not None:
            model = replace(model, estimator=neighbour.estimator, options=neighbour.options, convention=neighbour.name)
        self.models.append(model)
        return model


def describe(value: Value) -> str:
    """What a value is, in words."""
    words = {
        Frame: "a data frame", RList: "a list", Model: "a model", FormulaValue: "a formula", Reading: "part of a fit",
        GroupTable: "coefficients by group", GroupColumn: "coefficients by group", Null: "nothing",
    }  # fmt: skip
    return words.get(type(value), f"a {type(value).__name__.lower()}")


def _target_name(target: Expression) -> str:
    """The name that an assignment changes."""
    for _ in range(20):
        if isinstance(target, Name):
            return target.name
        if isinstance(target, Text):
            return target.value
        if not isinstance(target, Call) or not target.arguments:
            break
        target = target.arguments[0]
    raise NotRead("an assignment to what is no name")


def _piped_into(node: Expression) -> Call:
    """The call on the right of magrittr's pipe. Raises NotRead."""
    dot = Name(".")
    if isinstance(node, Name):
        return Call(node.name, (dot,))
    if not isinstance(node, Call) or (not node.function.isidentifier() and node.function not in FUNCTIONS):
        raise NotRead("a pipe ends in a call")
    if any(isinstance(one, Name) and one.name == "." for one in node.arguments):
        return node
    return Call(node.function, (dot, *node.arguments), (None, *node.names) if node.names else ())


def _constant(name: str) -> Value:
    if name == "NULL":
        return Null()
    if name in ("TRUE", "FALSE"):
        return numeric(float(name == "TRUE"), "logical")
    return numeric(np.inf if name == "Inf" else np.nan, "logical" if name == "NA" else "double")


def _sign_kind(kind: Kind) -> Kind:
    return "integer" if kind in ("integer", "logical") else "double"


def recycled(vector: Vector, n: int) -> Vector:
    """A vector repeated to n values. Raises NotRead where that does not go up."""
    if len(vector) == n:
        return vector
    if not len(vector) or n % len(vector):
        raise NotRead(f"{len(vector)} values where there are {n} rows")
    return vector.take(np.arange(n) % len(vector))


def binary(operator: str, left: Vector, right: Vector) -> Vector:
    """Arithmetic, comparisons and logic with recycling; NA where either side is. Raises NotRead."""
    if operator == ":":
        return colon(left, right)
    if operator == "%in%":
        among = set(right.texts())
        return Vector(np.array([float(t in among) for t in left.texts()]), "logical")
    n = max(len(left), len(right)) if len(left) and len(right) else 0
    if n and (n % len(left) or n % len(right)):
        raise NotRead(f"vectors of {len(left)} and {len(right)} values")
    names = left.names if len(left) == n and left.names else right.names if len(right) == n else None
    if "factor" in (left.kind, right.kind) or (operator in COMPARISON and "character" in (left.kind, right.kind)):
        return _compare_texts(operator, left, right, n)
    a, b = (np.resize(one.numbers(), n) for one in (left, right))
    with np.errstate(all="ignore"):
        values = _OPERATIONS[operator](a, b)
    if operator in ARITHMETIC:
        whole = operator in ("+", "-", "*") and {left.kind, right.kind} <= {"integer", "logical"}
        return Vector(values, "integer" if whole else "double", names)
    missing = np.isnan(a) | np.isnan(b)
    if operator in LOGIC:
        certain = (a == 0) | (b == 0) if operator[0] == "&" else ((a != 0) & ~np.isnan(a)) | ((b != 0) & ~np.isnan(b))
        missing &= ~certain
    return Vector(np.where(missing, np.nan, values.astype(float)), "logical", names)


def _and(a: Any, b: Any) -> Any:
    return (a != 0) & (b != 0)


def _or(a: Any, b: Any) -> Any:
    return ((a != 0) & ~np.isnan(a)) | ((b != 0) & ~np.isnan(b))


_OPERATIONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "^": np.power, "%%": np.mod,
    "%/%": np.floor_divide, "==": np.equal, "!=": np.not_equal, "<": np.less, ">": np.greater, "<=": np.less_equal,
    ">=": np.greater_equal, "&": _and, "&&": _and, "|": _or, "||": _or,
}  # fmt: skip


def _compare_texts(operator: str, left: Vector, right: Vector, n: int) -> Vector:
    if operator not in ("==", "!="):
        raise NotRead(f"texts compared by {operator}")
    a, b = left.texts(), right.texts()
    out = []
    for i in range(n):
        one, other = a[i % len(a)], b[i % len(b)]
        out.append(np.nan if one is None or other is None else float((one == other) == (operator == "==")))
    return Vector(np.array(out, dtype=np.float64), "logical")


def colon(left: Vector, right: Vector) -> Vector:
    """from:to."""
    if len(left) != 1 or len(right) != 1:
        raise NotRead("a range between vectors")
    start, stop = float(left.numbers()[0]), float(right.numbers()[0])
    if not np.isfinite([start, stop]).all() or abs(stop - start) > 2e6:
        raise NotRead("a range that is too long or not finite")
    steps = np.arange(int(np.floor(abs(stop - start) + 1e-10)) + 1)
    return Vector(start + steps * (1 if stop >= start else -1), "integer" if start == int(start) else "double")
