"""Cells: one number each, a quantity at its labels. What an implementation returns gets this shape here.

Nothing is compared here and no label is repaired: what cannot be read as cells raises NotCells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Label = tuple[str, ...]

# Numbers that JSON has not, as expected files and lines of the protocol spell them.
SPECIAL: Mapping[str, float] = {
    "NA": float("nan"), "NaN": float("nan"), "Inf": float("inf"), "-Inf": float("-inf")
}  # fmt: skip


class NotCells(ValueError):
    """A value that has no labels where it needs them, a label twice, or something that is no number."""


class Cell(NamedTuple):
    """The name of one number: `std_error[GDPLagK]`, `vcov[a, b]`, `sigma`."""

    quantity: str
    label: Label

    def __str__(self) -> str:
        return f"{self.quantity}[{', '.join(self.label)}]" if self.label else self.quantity


@dataclass(frozen=True, eq=False)
class Labelled:
    """One quantity: labels (), (label,) or (row, column) of each cell, and the values (m,) beside them."""

    labels: tuple[Label, ...]
    values: NDArray[np.float64]

    @property
    def depth(self) -> int:
        """How many labels a cell has: 0, 1 or 2; -1 where there are no cells at all."""
        return len(self.labels[0]) if self.labels else -1

    def as_dict(self) -> dict[Label, float]:
        """Label -> value."""
        return dict(zip(self.labels, self.values.tolist(), strict=True))

    def equals(self, other: Labelled) -> bool:
        """Whether the labels are the same in the same order, and the numbers too, missing ones included."""
        return self.labels == other.labels and bool(np.array_equal(self.values, other.values, equal_nan=True))

    def names(self) -> list[str]:
        """The first label of each cell, each once, in order."""
        return list(dict.fromkeys(label[0] for label in self.labels if label))


def labelled(value: Any) -> Labelled:
    """Read a float, a (nested) mapping, a Series or a DataFrame as cells; raises NotCells."""
    if isinstance(value, pd.DataFrame):
        rows, columns = [str(r) for r in value.index], [str(c) for c in value.columns]
        return _checked([(r, c) for r in rows for c in columns], value.to_numpy(dtype=np.float64).ravel())
    if isinstance(value, pd.Series):
        values = value.to_numpy(dtype=np.float64, na_value=np.nan)
        return _checked([(str(label),) for label in value.index], values)
    if isinstance(value, Mapping):
        return _from_mapping(value)
    return Labelled(((),), np.array([_number(value)]))


def _from_mapping(value: Mapping[Any, Any]) -> Labelled:
    pairs: list[tuple[Label, float]] = []
    for label, inner in value.items():
        if isinstance(inner, Mapping | pd.Series):
            pairs.extend(((str(label), str(column)), _number(cell)) for column, cell in inner.items())
        else:
            pairs.append(((str(label),), _number(inner)))
    return _checked([label for label, _ in pairs], np.array([v for _, v in pairs], dtype=np.float64))


def _number(value: Any) -> float:
    if isinstance(value, str):
        try:
            return SPECIAL[value]
        except KeyError:
            raise NotCells(f"the text {value!r} is no number") from None
    if value is None or value is pd.NA:
        return float("nan")
    if np.ndim(value) > 0:
        raise NotCells(f"an array of shape {np.shape(value)} without labels")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise NotCells(f"{type(value).__name__} is no number") from None


def _checked(labels: list[Label], values: NDArray[np.float64]) -> Labelled:
    if len(set(labels)) != len(labels):
        twice = next(label for at, label in enumerate(labels) if label in labels[:at])
        raise NotCells(f"the label {', '.join(twice)} occurs twice")
    if len({len(label) for label in labels}) > 1:
        raise NotCells("some cells have one label and some have two")
    return Labelled(tuple(labels), values)


def cells(quantities: Mapping[str, Any]) -> dict[Cell, float]:
    """Return every cell of a fit's quantities; raises NotCells."""
    return {
        Cell(name, label): number
        for name, value in quantities.items()
        for label, number in labelled(value).as_dict().items()
    }
