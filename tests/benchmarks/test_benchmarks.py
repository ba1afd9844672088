"""The benchmark program itself: its processes, what it says of those that are absent, what it holds against refimpl."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from tests.benchmarks import SUITES, load
from tests.benchmarks.runner import Options, Result, Row, run
from tests.benchmarks.suite import Contender, Suite, read_data, write_data
from tests.benchmarks.table import markdown, print_table, shortfalls

ABSENT = Contender("R-openblas", "R (OpenBLAS)", "R", openblas=True)


@pytest.mark.parametrize("name", SUITES)
def test_every_task_gets_a_row_and_an_absent_contender_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    suite = replace(load(name), contenders=(load(name).contenders[0], ABSENT))
    result = run(suite, Options(sizes=(300,), repetitions=1), Console(file=StringIO()))
    labels = [label for task in suite.tasks for label in (task.label, task.last_stage) if label]
    assert [row.label for row in result.rows] == labels
    assert all(row.seconds.keys() == {"refimpl"} for row in result.rows)
    assert result.missing == {"R-openblas": "not installed"}
    text = markdown(result)
    assert text.count("| not installed |") == len(labels)
    assert "Rscript is not on the path" in text


def test_data_reach_every_process_as_they_were_drawn(tmp_path: Path) -> None:
    columns = {**load("formula").columns(50), "count": np.arange(50)}
    write_data(columns, tmp_path / "data")
    got = read_data(tmp_path / "data")
    pd.testing.assert_frame_equal(got, pd.DataFrame(columns))


def made(suite: Suite, **changes: object) -> Result:
    """A result of one row in which refimpl takes a second."""
    seconds = {"refimpl": 1.0, "R": 3.0, "statsmodels": 2.0}
    row = Row("lm", suite.tasks[0], 100_000, seconds, {"pyfixest": "timeout"}, resident=1.5, allocated=1.0)
    about = {c.name: {"version": "1", "blas": "libblas.so.3", "tasks": []} for c in suite.contenders}
    return Result(suite, list(suite.contenders), [replace(row, **changes)], about)  # type: ignore[arg-type]


def test_nothing_falls_short_when_refimpl_is_ahead() -> None:
    assert shortfalls(made(load("linear"))) == []


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"seconds": {"refimpl": 1.0, "R": 0.9}}, "behind: lm, 100,000 rows: R takes 0.90"),
        ({"seconds": {"R": 0.9}}, "not measured: lm"),
        ({"resident": 3.1}, "memory: lm, 100,000 rows: 3.1 design matrices"),
        ({"disagreement": {"R": 1e-3}}, "disagreement: lm, 100,000 rows: R by 1.0e-03"),
        ({"disagreement": {"R": np.nan}}, "disagreement: lm"),
    ],
)
def test_what_falls_short_is_said(changes: dict[str, object], word: str) -> None:
    (found,) = shortfalls(made(load("linear"), **changes))
    assert word in found


def test_a_contender_that_need_not_be_beaten_is_shown_all_the_same() -> None:
    result = made(load("linear"), seconds={"refimpl": 1.0, "statsmodels-array": 0.5, "pyfixest": 0.25})
    assert shortfalls(result) == []
    line = next(line for line in markdown(result).splitlines() if line.startswith("| lm |"))
    assert "| 0.50 | 0.25 |" in line


def test_table_shows_ratios_growth_and_why_one_is_absent() -> None:
    result = made(load("linear"))
    bigger = replace(result.rows[0], n=1_000_000, seconds={"refimpl": 11.0, "R": 33.0})
    result.rows.append(bigger)
    out = StringIO()
    print_table(result, Console(file=out, width=200))
    (first,) = (line for line in out.getvalue().splitlines() if " 100,000 " in line)
    (second,) = (line for line in out.getvalue().splitlines() if " 1,000,000 " in line)
    assert [cell.strip() for cell in first.split("│")][2:] == [
        "100,000", "1 s", "3.00", "-", "2.00", "-", "timeout", "", "1.50 / 1.00", "",
    ]  # fmt: skip
    assert "1.10" in second
