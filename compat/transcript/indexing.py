"""`$`, `[` and `[[` of vectors, data frames, lists, summaries and coefficients by group."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compat.transcript.language import EMPTY, NotRead
from compat.transcript.models import OF_SUMMARY, concrete
from compat.transcript.values import (
    Frame,
    GroupColumn,
    GroupTable,
    Model,
    Null,
    Reading,
    RList,
    Value,
    Vector,
)
from refimpl.formula.syntax import Call, Expression, Name

if TYPE_CHECKING:
    from compat.transcript.interpreter import Interpreter

Rows = NDArray[np.intp]


def index(run: Interpreter, node: Call) -> Value:
    """The part of an object that an index names. Raises NotRead."""
    owner, *places = node.arguments
    if node.names and any(name not in (None, "drop") for name in node.names):
        raise NotRead("a named index")
    if node.names:
        places = [p for p, name in zip(node.arguments[1:], node.names[1:], strict=True) if name is None]
    value = run.evaluate(owner)
    if node.function in ("$", "@"):
        member = places[0]
        if node.function == "@" or not isinstance(member, Name):
            raise NotRead("an element by @ is not read")
        return element(run, value, member.name)
    if node.function == "[[":
        if len(places) != 1:
            raise NotRead("[[ with several indices")
        return element(run, value, _one(run, places[0]))
    return part(run, value, places)


def _one(run: Interpreter, place: Expression) -> str | int:
    vector = run.vector(run.evaluate(place))
    if len(vector) != 1:
        raise NotRead("[[ with several elements")
    if vector.kind == "character":
        return str(vector.values[0])
    number = vector.numbers()[0]
    if not number >= 1:
        raise NotRead("an index below 1")
    return int(number)


def element(run: Interpreter, value: Value, name: str | int) -> Value:
    """x$name, x[["name"]], x[[1]]."""
    if isinstance(value, GroupTable):
        if value.group is None:
            return GroupTable(value.model, value.which, name)
        return replace(value, listed=False) if value.listed and name == 1 else GroupColumn(value, name)
    if isinstance(value, Reading) and value.what == "summary" and isinstance(name, str):
        if name not in OF_SUMMARY:
            raise NotRead(f"summary()${name} is not read")
        return Reading(value.model, OF_SUMMARY[name])
    if isinstance(value, Model):
        if name in ("coefficients", "coef"):
            return Reading(value, "coef")
        if name in ("residuals", "fitted.values", "df.residual"):
            return Reading(value, {"fitted.values": "fitted", "df.residual": "df_residual"}.get(str(name), str(name)))
        raise NotRead(f"${name} of a model is not read")
    found = concrete(value, run.fits)
    if isinstance(found, Frame):
        names = list(found.columns)
        key = names[name - 1] if isinstance(name, int) and 0 < name <= len(names) else str(name)
        return found.columns[key] if key in found.columns else Null()
    if isinstance(found, RList):
        return _list_element(found, name)
    if isinstance(found, Vector) and not isinstance(name, str):
        return part_of_vector(found, np.array([name - 1]))
    raise NotRead(f"an element {name} of what has none")


def _list_element(items: RList, name: str | int) -> Value:
    if isinstance(name, int):
        if 0 < name <= len(items.items):
            return items.items[name - 1]
    elif items.names and name in items.names:
        return items.items[items.names.index(name)]
    raise NotRead(f"a list without an element {name}")


def part(run: Interpreter, value: Value, places: list[Expression]) -> Value:
    """x[i], x[i, j]."""
    if isinstance(value, GroupTable) and len(places) == 1 and value.group is None:
        return GroupTable(value.model, value.which, _one(run, places[0]), listed=True)
    if isinstance(value, GroupTable) and len(places) == 2 and places[0] == EMPTY:
        return GroupColumn(value, _one(run, places[1]))
    if isinstance(value, GroupTable) and len(places) == 2 and places[1] == EMPTY and value.rows is None:
        rows = run.vector(run.evaluate(places[0]))
        if rows.kind != "character" and np.array_equal(rows.numbers(), np.arange(1, len(rows) + 1)):
            return replace(value, rows=len(rows))  # like head(), it stays what is read off the model
    found = concrete(value, run.fits)
    if isinstance(found, Vector) and len(places) == 1:
        if places[0] == EMPTY:
            return found
        return part_of_vector(found, _rows(run, places[0], len(found), found.names))
    if not isinstance(found, Frame) or not 1 <= len(places) <= 2:
        raise NotRead("an index of what has none")
    if len(places) == 2 and places[0] != EMPTY:
        found = found.take(_rows(run, places[0], len(found.rows), found.rows))
    if places[-1] == EMPTY:
        return found
    names = tuple(found.columns)
    chosen = [names[i] for i in _rows(run, places[-1], len(names), names) if i >= 0]
    picked = Frame({name: found.columns[name] for name in chosen}, found.rows)
    return picked.columns[chosen[0]] if len(chosen) == 1 and len(places) == 2 else picked


def part_of_vector(vector: Vector, rows: Rows) -> Vector:
    """These places; beyond the end is NA."""
    return vector.take(np.where(rows < len(vector), rows, -1))


def _rows(run: Interpreter, place: Expression, n: int, names: tuple[str, ...] | None) -> Rows:
    """The places an index names, from 0: by truth values, names, places, or places left out. -1 is NA."""
    vector = run.vector(run.evaluate(place))
    if vector.kind == "logical":
        if len(vector) != n:
            vector = vector.take(np.arange(n) % max(len(vector), 1))
        return np.array(
            [-1 if np.isnan(x) else i for i, x in enumerate(vector.values) if np.isnan(x) or x], dtype=np.intp
        )
    if vector.kind == "character":
        texts = vector.texts()
        if names is None or any(text not in names for text in texts):
            raise NotRead(f"no element called {next(iter(t for t in texts if not names or t not in names), '')}")
        return np.array([names.index(text) for text in texts if text is not None], dtype=np.intp)
    numbers = vector.numbers()
    if np.isnan(numbers).any() or (np.abs(numbers) > 1e9).any():
        raise NotRead("an index that is missing or too large")
    whole = numbers.astype(np.intp)
    if (whole < 0).any():
        if (whole > 0).any():
            raise NotRead("positive and negative indices together")
        return np.setdiff1d(np.arange(n), -whole - 1)
    return whole[whole > 0] - 1
