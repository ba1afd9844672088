"""The battery of formulas and what R made of it: reading both, and comparing a matrix or random terms with them.

Where R's arithmetic is the same the numbers must be the same bits; `EXCEPTIONS` lists where it is not, and why.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from refimpl.formula import MixedFrame, ModelFrame, ModelMatrix

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "compat" / "r" / "formula.R"
STACK = "r-4.2.2-debian12"
SPECIAL = {"NA": np.nan, "NaN": np.nan, "Inf": np.inf, "-Inf": -np.inf}

# What a formula must contain to be excused, the absolute and relative difference allowed, the reason.
EXCEPTIONS = (
    (r"\bpoly\(|contr\.poly", 1e-13, "R makes orthogonal polynomials by QR, here by their recurrence"),
    (r"\b[bn]s\(", 1e-12, "splines: de Boor's recurrence in another order, knots at R's quantiles, an orthogonal map"),
    (r"\bscale\(", 1e-15, "R sums in the processor's extended precision, which is not the same on every machine"),
    (
        r"\b(log\w*|exp\w*|sin|cos|tan)\(|\^",
        1e-15,
        "the C library of the machine that froze and of this one may differ",
    ),
)


def numbers(values: list[Any]) -> np.ndarray:
    """Frozen numbers as doubles."""
    return np.array([SPECIAL[v] if isinstance(v, str) else float(v) for v in values], dtype=np.float64)


def matrix(columns: list[list[Any]], rows: int) -> np.ndarray:
    """A frozen matrix, column by column."""
    return np.array([numbers(c) for c in columns]).T if columns else np.empty((rows, 0))


def column(spec: dict[str, Any]) -> Any:
    """A column of the battery as pandas holds it."""
    if spec["type"] == "factor":
        codes = [-1 if code is None else code - 1 for code in spec["codes"]]
        return pd.Categorical.from_codes(codes, spec["levels"], ordered=spec["ordered"])
    values = [None if v in ("NA", None) else v for v in spec["values"]]
    if spec["type"] == "double":
        return numbers(["NA" if v is None else v for v in values])
    dtype = {"integer": "Int64", "logical": "boolean", "character": "str"}[spec["type"]]
    return pd.array(values, dtype=dtype)


def case_file(name: str) -> Path:
    """Where a file of the battery is."""
    return ROOT / "fixtures" / "cases" / "formula" / "battery" / f"{name}.json"


@cache
def battery(name: str) -> dict[str, Any]:
    """A file of the battery: its cases, its data as frames with R's row labels, and R's answers."""
    given = json.loads(case_file(name).read_text("utf-8"))
    frozen = json.loads((ROOT / "fixtures" / "expected" / STACK / "formula" / f"{name}.json").read_text("utf-8"))
    data = {}
    for key, columns in given["data"].items():
        frame = pd.DataFrame({c: column(spec) for c, spec in columns.items()})
        frame.index = pd.Index([str(i + 1) for i in range(len(frame))])
        data[key] = frame
    cases = {case["id"]: case for case in given["cases"]}
    return {"cases": cases, "data": data, "expected": frozen["cases"], "provenance": frozen["provenance"]}


def allowed(formula: str, *made: ModelMatrix) -> float:
    """How far numbers may be apart: 0 unless the formula, or a contrast of its matrices, is excused."""
    used = " ".join([formula, *(name for each in made for name in each.contrasts.values())])
    return max((bound for pattern, bound, _ in EXCEPTIONS if re.search(pattern, used)), default=0.0)


def assert_numbers(got: np.ndarray, wanted: np.ndarray, bound: float, what: str) -> None:
    """Every cell equal, missing and infinite cells in the same places; where the formula is excused up to `bound` times
    the largest number, for a product of columns carries the rounding of each.
    """
    assert got.shape == wanted.shape, f"{what}: shape {got.shape}, R has {wanted.shape}"
    if bound == 0.0:
        np.testing.assert_array_equal(got, wanted, err_msg=what)
    else:
        scale = max(1.0, np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0))
        np.testing.assert_allclose(got, wanted, rtol=bound, atol=bound * scale, equal_nan=True, err_msg=what)


def assert_matrix(frame: ModelFrame, made: ModelMatrix, wanted: dict[str, Any], bound: float) -> None:
    """A model matrix and its frame are R's: text, names, assign, rows, response, offset, numbers."""
    assert str(frame.terms.formula) == wanted["deparse"][0]
    assert list(frame.terms.labels) == wanted["labels"]
    assert [label.replace("`", "") for label in frame.terms.names] == [v.replace("`", "") for v in wanted["variables"]]
    assert made.names == wanted["names"]
    assert made.assign.tolist() == wanted["assign"]
    assert frame.n == wanted["n"]
    assert [str(label) for label in frame.dropped] == wanted["dropped"]
    assert_numbers(made.X, matrix(wanted["X"], frame.n), bound, f"{frame.terms.formula}: X")
    if "response" in wanted and frame.n and wanted["response"]:
        assert_numbers(np.asarray(frame.values[0].values).reshape(-1), numbers(wanted["response"]), bound, "response")
    if "offset" in wanted:
        assert_numbers(np.asarray(frame.offset), numbers(wanted["offset"]), bound, "offset")


def assert_bars(got: MixedFrame, wanted: dict[str, Any], bound: float) -> None:
    """A mixed model's terms are lme4's: X, grouping factors and levels, Z, Lambda's pattern, theta's bounds."""
    random = got.random
    assert got.fixed.names == wanted["names"]
    assert [str(label) for label in got.frame.dropped] == wanted["dropped"]
    assert [term.group for term in random.terms] == wanted["groups"]
    assert [term.names for term in random.terms] == wanted["cnms"]
    assert [list(term.levels) for term in random.terms] == wanted["levels"]
    assert random.group_pointers.tolist() == wanted["Gp"]
    assert random.Z_names == wanted["rows"]
    np.testing.assert_array_equal(random.theta_lower, numbers(wanted["lower"]))
    np.testing.assert_array_equal(random.theta_start, numbers(wanted["theta"]))
    rows, columns, index = random.lambda_pattern()
    assert (index + 1).tolist() == wanted["Lind"]
    assert rows.tolist() == wanted["lambda_row"]
    assert columns.tolist() == wanted["lambda_column"]
    assert_numbers(got.fixed.X, matrix(wanted["X"], got.frame.n), bound, f"{got.frame.terms.formula}: X")
    assert_numbers(random.Z, matrix(wanted["Z"], got.frame.n), bound, f"{got.frame.terms.formula}: Z")
    if "offset" in wanted:
        assert_numbers(np.asarray(got.frame.offset), numbers(wanted["offset"]), bound, "offset")
    else:
        assert got.frame.offset is None
