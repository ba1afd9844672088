"""What a printed block should say: the value of its command, or of a model, as cells by quantity and label."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from compat.adapters.models import Fitted
from compat.published import Block, PrintedCell
from compat.published.linear import LEGEND
from compat.published.numbers import Sort, read_number
from compat.transcript.functions import exact_mean
from compat.transcript.language import NotRead
from compat.transcript.models import Fits, concrete
from compat.transcript.values import (
    Comparison,
    Derived,
    Frame,
    GroupColumn,
    GroupTable,
    Model,
    Prediction,
    Reading,
    RList,
    Value,
    Vector,
)

Label = tuple[str, ...]
Lookup = Callable[[str, Label], float | None]
MOST_LEVELS = 6  # a factor's summary shows so many levels, and the rest together


@dataclass(frozen=True)
class Answer:
    """What a block is held against: a name for it, its cells, and the fit behind them where there is one.

    `convention` is the name of the choice by which this is not what the transcript says ("" where it is).
    """

    name: str
    lookup: Lookup
    fitted: Fitted | None = None
    models: tuple[Model, ...] = ()
    convention: str = ""
    of: Value | None = None

    def value(self, cell: PrintedCell) -> float | None:
        """The value of a cell; None where this has no such thing."""
        if cell.quantity in ("legend", "index"):
            return constant(cell)
        return self.lookup(cell.quantity, cell.label)


def constant(cell: PrintedCell) -> float:
    """The number of a legend or of an index, whatever was fitted."""
    place = int(cell.label[0])
    return float(LEGEND[place - 1]) if cell.quantity == "legend" else float(place)


def answer(value: Value, block: Block, fits: Fits, name: str) -> Answer:
    """What a value says to a block of this kind. Raises NotRead where it says nothing."""
    return replace(_answer(value, block, fits, name), of=value)


def _answer(value: Value, block: Block, fits: Fits, name: str) -> Answer:
    if isinstance(value, RList) and value.names and (heading := block.facts.get("heading")) in value.names:
        return _answer(value.items[value.names.index(heading)], block, fits, f"{name}${heading}")
    if isinstance(value, Comparison):
        fitted = fits.compared(value, tested=any(cell.quantity == "num_df" for cell in block.cells))
        return Answer(name, _fit_lookup(fitted), fitted, value.models)
    model = value if isinstance(value, Model) else value.model if isinstance(value, Reading) else None
    whole = isinstance(value, Model) or (isinstance(value, Reading) and value.what in _WHOLE)
    if model is not None and whole:
        fitted = fits.of(model)
        return Answer(name, _fit_lookup(fitted), fitted, (model,))
    if isinstance(value, Reading) and value.what == "vcov":
        fitted = fits.of(value.model)
        cells = fitted.quantity("vcov") or {}
        rows = float(len({label[0] for label in cells}))
        return Answer(name, _cells(cells | {("rows",): rows, ("columns",): rows}), fitted, (value.model,))
    models = models_of(value)
    if isinstance(value, RList) and value.names == ("summary",):
        return _summary(value.items[0], name)
    found = concrete(value, fits)
    if isinstance(found, Vector):
        return Answer(name, _vector_lookup(found, block), None, models)
    if isinstance(found, Frame):
        return Answer(name, _cells(_frame_cells(_rows_as_printed(found, block))), None, models)
    raise NotRead(f"nothing is known of how {name} is printed")


_WHOLE = ("summary", "table", "confint", "loglik", "varcorr")


def models_of(value: Value) -> tuple[Model, ...]:
    """The models that a value was read off."""
    if isinstance(value, Model):
        return (value,)
    if isinstance(value, Reading | GroupTable | Prediction):
        return (value.model,)
    if isinstance(value, RList) and value.items:
        return models_of(value.items[0])
    if isinstance(value, GroupColumn):
        return (value.table.model,)
    return value.models if isinstance(value, Comparison | Derived) else ()


def _fit_lookup(fitted: Fitted) -> Lookup:
    def lookup(quantity: str, label: Label) -> float | None:
        cells = fitted.quantity(quantity)
        return None if cells is None else cells.get(label)

    return lookup


def _cells(cells: Mapping[Label, float]) -> Lookup:
    return lambda quantity, label: cells.get(label) if quantity in ("cell", "value", "summary") else None


def truths_differ(block: Block, value: Value, fits: Fits) -> str:
    """In what a printed vector of TRUE and FALSE is not the value's; nothing where it is, or is no such vector."""
    if "truths" not in block.facts:
        return ""
    try:
        found = concrete(value, fits)
    except NotRead:
        return ""
    if not isinstance(found, Vector) or found.kind != "logical":
        return ""
    printed, own = block.facts["truths"].split(), ["NA" if text is None else text for text in found.texts()]
    if len(printed) != len(own):
        return f"{len(printed)} values are printed, there are {len(own)}"
    wrong = [
        f"{a} is printed, value {i} is {b}" for i, (a, b) in enumerate(zip(printed, own, strict=True), 1) if a != b
    ]
    return wrong[0] if wrong else ""


def _names_as_printed(names: Sequence[str], printed: Sequence[str]) -> tuple[str, ...]:
    """Row names; where the data's file has only numbers for them, and the page others, those of the page, in order."""
    plain = all(name == str(i) for i, name in enumerate(names, 1))
    return tuple(printed) if plain and len(printed) <= len(names) and not set(printed) & set(names) else tuple(names)


def _rows_as_printed(frame: Frame, block: Block) -> Frame:
    rows = _names_as_printed(frame.rows, list(dict.fromkeys(block.rows)))
    return (
        frame
        if len(rows) == 0
        else Frame({name: column.take(np.arange(len(rows))) for name, column in frame.columns.items()}, rows)
    )


def _vector_lookup(vector: Vector, block: Block) -> Lookup:
    values = [math.nan if x is None or isinstance(x, str) else float(x) for x in vector.values]
    if vector.kind in ("character", "factor"):
        raise NotRead("a vector of texts")
    names: Sequence[str] = [str(i) for i in range(1, len(values) + 1)]
    if block.kind == "named" and vector.names is not None:
        names = _names_as_printed(vector.names, [cell.label[0] for cell in block.cells if cell.quantity == "value"])
    elif block.kind == "named" and any(cell.label[0].isdigit() for cell in block.cells):
        raise NotRead("the names are not known")
    return _cells({(name,): x for name, x in zip(names, values, strict=False)})


def _frame_cells(frame: Frame) -> dict[Label, float]:
    cells: dict[Label, float] = {}
    for name, column in frame.columns.items():
        values = _as_numbers(column) if column.kind in ("character", "factor") else column.values
        cells |= {(row, name): float(x) for row, x in zip(frame.rows, values, strict=True) if x is not None}
    return cells


def _as_numbers(column: Vector) -> list[float | None]:
    """Texts and levels that look like numbers, as print shows them no otherwise."""
    found = [None if text is None else read_number(text) for text in column.texts()]
    return [float(one.value) if one is not None and one.sort is Sort.NUMBER else None for one in found]


# ---- summary() of data ----------------------------------------------------------------------------------------------


def _summary(value: Value, name: str) -> Answer:
    if isinstance(value, Vector):
        cells: dict[Label, float] = {(label,): x for label, x in statistics(value).items()}
        return Answer(name, _cells(cells))
    if not isinstance(value, Frame):
        raise NotRead(f"{name} is not read")
    cells = {}
    for column, vector in value.columns.items():
        if vector.kind == "character":
            counts = factor_counts(vector.factor())
            cells |= {(column, level): count for level, count in counts.items()}
            cells[column, "Length"] = float(len(vector))
        elif vector.kind == "factor":
            cells |= {(column, level): count for level, count in factor_counts(vector).items()}
        else:
            cells |= {(column, label): x for label, x in statistics(vector).items()}
    return Answer(name, _cells(cells))


def statistics(vector: Vector) -> dict[str, float]:
    """What summary() says of numbers, or of truth values."""
    values = vector.numbers()
    present = values[~np.isnan(values)]
    missing = {"NA's": float(len(values) - len(present))} if len(present) < len(values) else {}
    if vector.kind == "logical":
        found = {"FALSE": float((present == 0).sum()), "TRUE": float((present != 0).sum())}
        return {label: count for label, count in found.items() if count} | missing
    if not len(present):
        return missing
    low, q1, median, q3, high = np.quantile(present, [0, 0.25, 0.5, 0.75, 1])
    out = {"Min.": low, "1st Qu.": q1, "Median": median, "Mean": exact_mean(present), "3rd Qu.": q3, "Max.": high}
    return {label: float(x) for label, x in out.items()} | missing


def factor_counts(vector: Vector) -> dict[str, float]:
    """Counts of a factor's levels: all, or the six most frequent and the others together."""
    counts = Counter(int(code) for code in vector.values if not np.isnan(code))
    levels = [(label, float(counts[i])) for i, label in enumerate(vector.levels)]
    missing = float(np.isnan(np.asarray(vector.values, dtype=np.float64)).sum())
    room = MOST_LEVELS - bool(missing)
    if len(levels) > room + 1:
        order = sorted(range(len(levels)), key=lambda i: -levels[i][1])
        kept = [levels[i] for i in order[:room]]
        levels = [*kept, ("(Other)", sum(levels[i][1] for i in order[room:]))]
    return dict(levels) | ({"NA's": missing} if missing else {})
