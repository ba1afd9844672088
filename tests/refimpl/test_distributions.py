"""Tails and quantiles against R's, frozen and live; what is expected comes from R and from nowhere else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refimpl import distributions
from refimpl.distributions import t_quantile, two_sided_t, upper_chi2, upper_f

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "compat" / "r" / "distributions.R"
FROZEN = ROOT / "fixtures" / "expected" / "r-4.2.2-debian12" / "distributions" / "tails.json"
TABLES: dict[str, Any] = json.loads(FROZEN.read_text(encoding="utf-8"))
SMALLEST = 1e-300  # below it doubles have fewer digits

# R's own tails and scipy's are good to a few units of 1e-13; far out a p-value is exp(-m) with m rounded
RELATIVE, OF_THE_EXPONENT = 1e-12, 16 * np.finfo(float).eps


def number(text: str | float) -> float:
    """A frozen number: a C99 hex double, or R's Inf."""
    return float.fromhex(text) if isinstance(text, str) and text.startswith("0x") else float(text)


def numbers(texts: list[str]) -> np.ndarray:
    return np.array([number(text) for text in texts])


def entries(name: str) -> list[Any]:
    """One test for each table of a function, named by its degrees of freedom."""
    return [
        pytest.param(table, id="-".join(str(table[df]) for df in ("df", "df1", "df2") if df in table))
        for table in TABLES[name]
    ]


def assert_tail(got: np.ndarray, wanted: np.ndarray) -> None:
    assert wanted.size >= 20
    near = wanted >= SMALLEST
    assert near.sum() >= 9
    allowed = RELATIVE + OF_THE_EXPONENT * -np.log(wanted[near])
    assert (np.abs(got[near] / wanted[near] - 1) <= allowed).all()
    assert (got[~near] < 1.01 * SMALLEST).all()


@pytest.mark.parametrize("table", entries("two_sided_t"))
def test_two_sided_t_is_rs(table: dict[str, Any]) -> None:
    x, df = numbers(table["x"]), number(table["df"])
    assert_tail(two_sided_t(x, df), numbers(table["p"]))
    np.testing.assert_array_equal(two_sided_t(-x, df), two_sided_t(x, df))


@pytest.mark.parametrize("table", entries("upper_f"))
def test_upper_f_is_rs(table: dict[str, Any]) -> None:
    assert_tail(upper_f(numbers(table["x"]), table["df1"], table["df2"]), numbers(table["p"]))


@pytest.mark.parametrize("table", entries("upper_chi2"))
def test_upper_chi2_is_rs(table: dict[str, Any]) -> None:
    assert_tail(upper_chi2(numbers(table["x"]), table["df"]), numbers(table["p"]))


@pytest.mark.parametrize("table", entries("t_quantile"))
def test_t_quantile_is_rs(table: dict[str, Any]) -> None:
    got = [t_quantile(p, number(table["df"])) for p in numbers(table["p"]).tolist()]
    np.testing.assert_allclose(got, numbers(table["x"]), rtol=2e-14, atol=1e-15)


def test_frozen_tails_reach_down_to_1e_300() -> None:
    least = {
        name: min(numbers(t["p"]).min() for t in TABLES[name]) for name in ("two_sided_t", "upper_f", "upper_chi2")
    }
    assert all(p < 1.1e-300 for p in least.values())
    few = [numbers(table["p"]) for table in TABLES["two_sided_t"]]
    assert all(((p < 1e-240) & (p > 1e-310)).any() for p in few[1:])


@pytest.mark.parametrize("df", [0.0, -1.0, float("nan")])
def test_without_degrees_of_freedom_there_is_no_tail(df: float) -> None:
    two = np.array([0.5, 3.0])
    for found in (two_sided_t(two, df), upper_f(two, df, 3), upper_f(two, 3, df), upper_chi2(two, df)):
        np.testing.assert_array_equal(found, [np.nan, np.nan])
    assert np.isnan(t_quantile(0.975, df))


@pytest.mark.parametrize(
    "tail", [lambda x: two_sided_t(x, 4.0), lambda x: two_sided_t(x, np.inf), lambda x: upper_f(x, 2, 7),
             lambda x: upper_chi2(x, 3)], ids=["t", "z", "f", "chi2"],
)  # fmt: skip
def test_tails_of_nothing_infinity_and_zero(tail: Callable[[Any], np.ndarray]) -> None:
    np.testing.assert_array_equal(tail(np.array([np.nan, np.inf, 0.0])), [np.nan, 0.0, 1.0])
    assert tail(0.7).shape == ()


def test_a_quantile_is_where_the_tail_is() -> None:
    for df in (1.0, 4.5, 30.0, np.inf):
        for p in (0.6, 0.975, 0.9999):
            assert two_sided_t(t_quantile(p, df), df) == pytest.approx(2 * (1 - p), rel=1e-11)
            assert t_quantile(1 - p, df) == pytest.approx(-t_quantile(p, df), rel=1e-12)


def test_provenance_names_r_and_the_script() -> None:
    assert TABLES["provenance"]["r"].startswith("R version 4.2.2")
    assert TABLES["provenance"]["script"] == SCRIPT.name
    assert set(TABLES) == {"provenance", "two_sided_t", "upper_f", "upper_chi2", "t_quantile"}
    assert all(hasattr(distributions, name) for name in TABLES if name != "provenance")


@pytest.mark.live
def test_live_r_still_says_the_same() -> None:
    if shutil.which("Rscript") is None:
        pytest.skip("there is no Rscript on the path")
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    command = ["Rscript", "--vanilla", str(SCRIPT), "live"]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    live = json.loads(said.stdout)
    for name, tables in live.items():
        for now, then in zip(tables, TABLES[name], strict=True):
            for key in ("x", "p"):
                np.testing.assert_allclose(numbers(now[key]), numbers(then[key]), rtol=1e-13, err_msg=f"{name} {key}")
