"""Data frames that a session takes for granted, such as R's own data sets: which of the data files each of them is.

A CSV does not keep the order of a factor's levels; that of the data sets which this project describes is theirs.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from compat.data import DataUnavailable, data_spec, fixtures_root
from compat.transcript.language import NotRead
from compat.transcript.values import Frame, Vector, read_csv


def file_called(name: str, files: Sequence[Path]) -> Path | None:
    """The file of a data frame's name, case and punctuation apart: ToothGrowth is tooth-growth.csv."""
    return next((file for file in files if _plain(file.stem) == _plain(name)), None)


def data_set(name: str, files: Sequence[Path]) -> Frame:
    """The file of that name as R's data set, else the only file there is, `assumed` to be it. Raises NotRead."""
    file = file_called(name, files)
    if file is not None:
        return read_data_set(file)
    if len(files) != 1:
        raise NotRead(f"'{name}' is not known, and no data file is called so (--data)")
    return replace(read_data_set(files[0]), assumed=files[0].name)


def read_data_set(path: Path) -> Frame:
    """A CSV that stands for a data frame of R's: texts are factors, a first column without a heading row names."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            first = next(csv.reader(handle), [])
    except (OSError, ValueError, csv.Error) as error:
        raise NotRead(f"{path.name}: {error}") from None
    frame = read_csv(path, True, row_names=bool(first) and not first[0])
    orders = _level_orders(path.stem)
    columns = {name: _ordered(column, orders.get(name, ())) for name, column in frame.columns.items()}
    return replace(frame, columns=columns)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


def _level_orders(name: str) -> dict[str, tuple[str, ...]]:
    """Levels by column of the described data set of this name."""
    root = fixtures_root()
    found = file_called(name, sorted((root / "data").glob("*.json")))
    try:
        return (
            {} if found is None else {c: tuple(s.levels or ()) for c, s in data_spec(found.stem, root).columns.items()}
        )
    except (DataUnavailable, ValueError):
        return {}


def _ordered(column: Vector, levels: tuple[str, ...]) -> Vector:
    """A factor with its levels in another order; as it is where these are not its levels."""
    if column.kind != "factor" or set(levels) != set(column.levels):
        return column
    codes = [np.nan if text is None else float(levels.index(text)) for text in column.texts()]
    return Vector(np.array(codes), "factor", column.names, levels)
