"""What a benchmark suite consists of, and the data that all its contenders read from the same bytes.

A suite says what is computed, on which data, by whom. Who runs it and how it is timed is not known here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd

Stages = Iterator[Any]
"""A task as a contender does it: a generator that yields at the end of each stage. What it yields last (or what the
function that it yields last returns, after the clock has stopped) is compared with the others' results."""


class PythonContender(Protocol):
    """A Python library in a suite. Its `__init__` imports the library; `prepare` is not timed."""

    version: str

    def prepare(self, data: pd.DataFrame) -> Any:
        """Put the data into the form that the tasks start from."""

    def tasks(self) -> Mapping[str, Callable[[Any], Stages]]:
        """The tasks by name; those that a library has not are left out."""


@dataclass(frozen=True)
class Task:
    """One thing to compute: a row of the table, and one more for its last stage alone where that has a label."""

    name: str
    label: str
    design_columns: int  # what memory is measured in; 0: it is not measured
    last_stage: str | None = None
    calls: int = 1  # how many times the thing is done in one run
    sizes: Literal["all", "first"] = "all"
    agreement: float = 1e-6  # how far the others' results may be from ours, relatively
    repetitions: int | None = None  # rounds at most


@dataclass(frozen=True)
class Contender:
    """Somebody who does the tasks; with `openblas` R's own BLAS gives way to OpenBLAS, loaded before it."""

    name: str
    label: str
    language: Literal["python", "R"]
    openblas: bool = False
    must_beat: tuple[str, ...] | None = None  # the tasks in which refimpl has to be ahead; all where None
    times: float = 1.0  # of refimpl's time, that it must take there at least
    must_agree: bool = True  # whether its results have to be refimpl's
    most_rows: int | None = None  # more than these it is not asked to do


@dataclass(frozen=True)
class Suite:
    """Tasks, contenders (the first is the one measured), and the data of each size."""

    name: str
    title: str
    sizes: tuple[int, ...]
    tasks: tuple[Task, ...]
    contenders: tuple[Contender, ...]
    columns: Callable[[int], Mapping[str, np.ndarray | pd.Categorical]]
    python: Mapping[str, Callable[[], PythonContender]]
    memory_limit: float = 3.0  # times the design matrix


def write_data(columns: Mapping[str, np.ndarray | pd.Categorical], directory: Path) -> None:
    """Write columns.bin (little-endian doubles, column after column) and columns.json (names and kinds)."""
    directory.mkdir(parents=True)
    described = []
    with (directory / "columns.bin").open("wb") as file:
        for name, column in columns.items():
            levels = list(column.categories) if isinstance(column, pd.Categorical) else []
            values = column.codes + 1 if isinstance(column, pd.Categorical) else column
            kind = "factor" if levels else "integer" if values.dtype.kind == "i" else "double"
            described.append({"name": name, "kind": kind, "levels": levels})
            np.asarray(values, dtype="<f8").tofile(file)
    rows = len(next(iter(columns.values())))
    (directory / "columns.json").write_text(json.dumps({"rows": rows, "columns": described}))


def read_data(directory: Path) -> pd.DataFrame:
    """The data frame of what write_data wrote."""
    about = json.loads((directory / "columns.json").read_text())
    columns: dict[str, Any] = {}
    for position, column in enumerate(about["columns"]):
        offset = 8 * about["rows"] * position
        values = np.fromfile(directory / "columns.bin", "<f8", about["rows"], offset=offset)
        if column["kind"] == "factor":
            columns[column["name"]] = pd.Categorical.from_codes(values.astype(np.int32) - 1, column["levels"])
        else:
            columns[column["name"]] = values.astype(np.int64) if column["kind"] == "integer" else values
    return pd.DataFrame(columns, copy=False)
