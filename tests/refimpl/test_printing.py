"""What refimpl prints is what R prints: against frozen text, and against a live R on random numbers, tables, fits."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import refimpl as ri
from compat.cases import case_in_memory
from compat.data import DataUnavailable, load_data
from compat.worker import Worker, decode_double
from refimpl.printing import Columns, Options, print_anova, print_frame, summary
from tests.refimpl.printing_cases import FOLDER, NOT_PRINTED, Print, as_line, prints
from tests.refimpl.printing_pieces import EPSILON, Job, battery, coefmat_job, frame_job, job, written

SCRIPT = Path(__file__).parents[2] / "compat" / "r" / "printing.R"
PRINTS = prints()
BATTERY = battery()

# ---- frozen -----------------------------------------------------------------------------------------------------


@cache
def frozen(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


def request_of(one: Print) -> dict[str, Any]:
    try:
        return one.request
    except DataUnavailable as absent:
        pytest.skip(absent.reason)


def test_every_print_is_frozen_and_nothing_else() -> None:
    linear = {path.stem for path in FOLDER.glob("*.json") if not path.stem.startswith("lmer-")}
    assert linear == {one.id for one in PRINTS} | set(BATTERY)
    assert len({one.id for one in PRINTS}) == len(PRINTS) > 200
    assert NOT_PRINTED.keys() & {one.id for one in PRINTS} == set()


@pytest.mark.parametrize("one", PRINTS, ids=lambda one: one.id)
def test_summary_reads_as_r_prints_it(one: Print) -> None:
    request = request_of(one)
    assert one.text.split("\n") == frozen(one.id)["text"]
    assert frozen(one.id)["provenance"]["request_sha256"] == hashlib.sha256(as_line(request).encode()).hexdigest()


@pytest.mark.parametrize("name", BATTERY)
def test_pieces_read_as_r_writes_them(name: str) -> None:
    jobs, answers = BATTERY[name], frozen(name)["text"]
    line = as_line({"id": name, "jobs": jobs})
    assert frozen(name)["provenance"]["request_sha256"] == hashlib.sha256(line.encode()).hexdigest()
    assert different(jobs, answers) == ""


def different(jobs: list[Job], answers: list[list[str]], *frames: pd.DataFrame) -> str:
    """The jobs that refimpl answers otherwise, with both answers, for a person to read; empty if there are none."""
    given_frames = list(frames) + [None] * (len(jobs) - len(frames))
    found = []
    for one, wanted, data in zip(jobs, answers, given_frames, strict=True):
        got = written(one, data)
        if not same(one["what"], got, wanted):
            found.append("\n".join([json.dumps(one), "R:", *wanted, "refimpl:", *got]))
    return "\n\n".join(found)


def same(what: str, got: list[str], wanted: list[str]) -> bool:
    """Text must be equal, letter by letter; rounded doubles too, NA and NaN being one."""
    if what not in ("round", "signif", "zapsmall"):
        return got == wanted
    pairs = zip([decode_double(x) for x in got], [decode_double(x) for x in wanted], strict=True)
    return all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in pairs)


# ---- the summary as an object -----------------------------------------------------------------------------------


def test_call_is_shown_as_given() -> None:
    fit = ri.lm("mpg ~ wt", load_data("mtcars"))
    lines = str(fit.summary("lm(mpg ~ wt,\n   data = cars)")).split("\n")
    assert lines[:5] == ["", "Call:", "lm(mpg ~ wt,", "   data = cars)", ""]
    assert lines[5:] == str(summary(fit)).split("\n")[4:]


def test_weights_that_are_no_column_are_called_weights() -> None:
    data = load_data("mtcars")
    fit = ri.lm("mpg ~ wt", data, weights=data["hp"].to_numpy() / 100)
    named = ri.lm("mpg ~ wt", data.assign(weights=data["hp"] / 100), weights="weights")
    assert "lm(formula = mpg ~ wt, data = data, weights = weights)" in str(fit.summary())
    assert str(fit.summary()) == str(named.summary())


@pytest.mark.parametrize("name", ["country", None])
def test_clusters_are_called_by_the_name_of_the_series(name: str | None) -> None:
    data = load_data("mtcars")
    fit = ri.robcov(ri.ols("mpg ~ wt", data), cluster=data["cyl"].rename(name))
    assert f"Cluster on{name or 'cluster'}" in str(fit.summary()).replace(" on ", " on")


def test_summary_shows_itself() -> None:
    shown = ri.lm("mpg ~ wt", load_data("mtcars")).summary()
    assert repr(shown) == str(shown) == shown.text()
    assert shown.text(Options(digits=4)) != shown.text(Options(digits=10))


def test_a_table_without_rows_or_columns() -> None:
    data = pd.DataFrame({"x": [1.5], "y": ["a"]})
    assert print_frame(data.iloc[:0]) == ["[1] x y", "<0 rows> (or 0-length row.names)"]
    assert print_frame(data[[]]) == ["data frame with 0 columns and 1 rows"]


# ---- live -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def r() -> Iterator[Worker]:
    rscript = shutil.which("Rscript")
    if rscript is None:
        pytest.skip("Rscript is not on the path; compat/r/install-debian.sh installs R")
    command = [rscript, "--vanilla", str(SCRIPT), "--serve"]
    with Worker(command, timeout=120.0, env={"LC_ALL": os.environ.get("LC_ALL", "C.UTF-8")}) as worker:
        yield worker


def ask(r: Worker, jobs: list[Job]) -> list[list[str]]:
    answer = r.ask({"id": "pieces", "jobs": jobs})
    assert "error" not in answer, answer
    texts: list[list[str]] = answer["quantities"]["text"]
    return texts


@pytest.fixture(scope="module")
def same_r(r: Worker) -> Worker:
    ((version,),) = ask(r, [{"what": "version", "values": []}])
    if version != frozen("lm-mtcars")["provenance"]["r_version"]:
        pytest.skip(f"what is frozen was not printed by {version}")
    return r


@pytest.mark.live
@pytest.mark.parametrize("one", PRINTS, ids=lambda one: one.id)
def test_live_r_prints_what_is_frozen(same_r: Worker, one: Print) -> None:
    assert same_r.ask(request_of(one)).get("quantities", {}).get("text") == frozen(one.id)["text"]


LIVE = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
PER_EXAMPLE = 60  # jobs in one request


def decimal(digits: int, places: int) -> st.SearchStrategy[float]:
    """Numbers of few decimals, half of them one 5 behind a round number: the ties."""
    whole = st.integers(-(10**digits), 10**digits)
    return st.tuples(whole, st.integers(0, places), st.booleans()).map(
        lambda t: float(f"{t[0]}5e{-t[1] - 1}") if t[2] else float(f"{t[0]}e{-t[1]}")
    )


def nines() -> st.SearchStrategy[float]:
    """Just below a power of ten."""
    return st.tuples(st.integers(-9, 12), st.integers(1, 15)).map(lambda t: 10.0 ** t[0] * (1 - 10.0 ** -t[1]))


def moderate(exponent: float = 15.0) -> st.SearchStrategy[float]:
    """Numbers of any magnitude up to 10^exponent."""
    sizes = st.tuples(st.floats(-exponent, exponent), st.sampled_from([1, -1])).map(lambda t: t[1] * 10.0 ** t[0])
    return st.one_of(sizes, decimal(3, 3), decimal(9, 9), nines(), st.sampled_from([0.0, -0.0, 1.0, 0.5, 1e5, 1e-5]))


anything = st.one_of(
    moderate(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([None, math.nan, math.inf, -math.inf]),
)
few_digits = st.sampled_from([1, 2, 3, 4, 5, 6, 7, 7, 8, 10, 12, 15, 16, 17, 22])


@st.composite
def format_jobs(draw: st.DrawFn) -> Job:
    values = draw(st.lists(anything, min_size=1, max_size=6))
    nsmall, scipen = draw(st.sampled_from([0, 0, 2, 5])), draw(st.sampled_from([0, 0, 0, 3, -3]))
    return job("format", values, digits=draw(few_digits), nsmall=nsmall, scipen=scipen)


@pytest.mark.live
@LIVE
@given(jobs=st.lists(format_jobs(), min_size=PER_EXAMPLE, max_size=PER_EXAMPLE))
def test_live_format_numbers(r: Worker, jobs: list[Job]) -> None:
    assert different(jobs, ask(r, jobs)) == ""


p_values = st.one_of(
    st.floats(0, 1),
    st.floats(-320, 0).map(lambda e: 10.0**e),
    st.tuples(st.integers(1, 9999), st.integers(4, 20)).map(lambda t: float(f"{t[0]}e-{t[1]}")),
    st.sampled_from([0.0, 1.0, 0.05, 0.001, 0.0001, 2.0**-52, 1e-16, None, math.nan]),
)


@st.composite
def pval_jobs(draw: st.DrawFn) -> Job:
    values = draw(st.lists(p_values, min_size=1, max_size=6))
    eps = draw(st.sampled_from([EPSILON, EPSILON, (1e-4).hex(), (0.05).hex(), (0.0).hex()]))
    scipen = draw(st.sampled_from([0, 0, 0, 3, 99, -2]))
    return job("format.pval", values, digits=draw(st.integers(1, 10)), eps=eps, scipen=scipen)


@pytest.mark.live
@LIVE
@given(jobs=st.lists(pval_jobs(), min_size=PER_EXAMPLE, max_size=PER_EXAMPLE))
def test_live_format_pval(r: Worker, jobs: list[Job]) -> None:
    assert different(jobs, ask(r, jobs)) == ""


@st.composite
def rounding_jobs(draw: st.DrawFn) -> Job:
    what = draw(st.sampled_from(["round", "signif", "zapsmall"]))
    digits = draw(st.integers(-3, 15) if what == "round" else st.integers(1, 8))
    return job(what, draw(st.lists(moderate(100.0), min_size=1, max_size=6)), digits=digits)


@pytest.mark.live
@LIVE
@given(jobs=st.lists(rounding_jobs(), min_size=PER_EXAMPLE, max_size=PER_EXAMPLE))
def test_live_rounding_to_the_last_bit(r: Worker, jobs: list[Job]) -> None:
    assert different(jobs, ask(r, jobs)) == ""


@st.composite
def tables(draw: st.DrawFn) -> Job:
    rows = draw(st.integers(1, 7))
    scale = 10.0 ** draw(st.sampled_from([0, 0, 0, -3, 5, -9, 9]))
    number = st.one_of(moderate(4.0), st.floats(-18, -8).map(lambda e: 10.0**e), st.sampled_from([math.nan, math.inf]))
    cells: dict[str, list[float | None]] = {"Estimate": [], "Std. Error": [], "t value": [], "Pr(>|t|)": []}
    for _ in range(rows):
        estimate, error, p = draw(number) * scale, abs(draw(number)) * scale, draw(p_values)
        row: list[float | None] = [estimate, error, estimate / error if error else draw(number), p]
        row = [None] * 4 if draw(st.integers(0, 9)) == 0 else row
        for column, x in zip(cells.values(), row, strict=True):
            column.append(x)
    if draw(st.integers(0, 3)) == 0:
        del cells["Pr(>|t|)"]
    labels = st.sampled_from(["(Intercept)", "x", "a long name of a coefficient", "factor(g)b", "é"])
    digits = draw(st.sampled_from([1, 2, 3, 4, 4, 5, 5, 6, 7, 10]))
    width = draw(st.sampled_from([80, 80, 80, 100, 62, 61, 47, 40]))
    names = [f"{draw(labels)}{i}" for i in range(rows)]
    columns = draw(st.sampled_from([None, None, Columns(("Estimate",), ("t value",), None, ("Std. Error",))]))
    if columns is not None and "Pr(>|t|)" in cells:
        columns = Columns(columns.estimates, columns.tests, "Pr(>|t|)", columns.zap)
    scipen, na = draw(st.sampled_from([0, 0, 0, 2, 99, -3])), draw(st.sampled_from(["NA", "", "-"]))
    return coefmat_job(names, cells, digits, columns, width=width, scipen=scipen, na=na)


@pytest.mark.live
@LIVE
@given(jobs=st.lists(tables(), min_size=20, max_size=20))
def test_live_print_coefmat(r: Worker, jobs: list[Job]) -> None:
    assert different(jobs, ask(r, jobs)) == ""


NAMES = [
    "x",
    "GDPLagK",
    "a_long_name_of_a_column",
    "é",
    "`my column`",
    "InterstateWarLag",
    "Temp.2",
    "0.5",
    "123456789",
]


def formulas() -> st.SearchStrategy[str]:
    """Right sides of many terms, calls and parentheses."""
    leaf = st.sampled_from(NAMES)
    signs = st.sampled_from([" + ", " - ", " * ", ":", "/", " %in% "])

    def wider(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        several = st.lists(inner, min_size=1, max_size=6)
        return st.one_of(
            st.tuples(several, signs).map(lambda t: t[1].join(f"({x})" if " " in x else x for x in t[0])),
            st.tuples(several, st.sampled_from([" + ", " + ", " * "])).map(lambda t: t[1].join(t[0])),
            several.map(lambda parts: f"factor({parts[0]}, levels = c({', '.join(parts)}))"),
            inner.map(lambda text: f"log({text})"),
            inner.map(lambda text: f"I(({text})^2 > 1 & -x == 3 | !y)"),
        )

    return st.recursive(leaf, wider, max_leaves=30).map(lambda text: f"log(y) ~ {text}")


@st.composite
def deparse_jobs(draw: st.DrawFn) -> Job:
    return job("deparse", text=draw(formulas()), cutoff=draw(st.sampled_from([60, 60, 20, 40, 100])))


@pytest.mark.live
@settings(LIVE, max_examples=15)
@given(jobs=st.lists(deparse_jobs(), min_size=30, max_size=30))
def test_live_line_breaks_of_calls(r: Worker, jobs: list[Job]) -> None:
    assert different(jobs, ask(r, jobs)) == ""


@st.composite
def frames(draw: st.DrawFn) -> tuple[pd.DataFrame, int, int]:
    rows = draw(st.integers(1, 6))
    missing = st.sampled_from([True, False, False, False])

    def several(values: st.SearchStrategy[Any]) -> list[Any]:
        return [None if draw(missing) else draw(values) for _ in range(rows)]

    columns: dict[str, pd.Series[Any]] = {}
    for i in range(draw(st.integers(1, 9))):
        name = draw(st.sampled_from(["x", "a_longer_name", "ü"])) + str(i)
        kind = draw(st.sampled_from(["double", "double", "integer", "logical", "text", "factor"]))
        if kind == "double":
            columns[name] = pd.Series(several(moderate()), dtype="float64")
        elif kind == "integer":
            columns[name] = pd.Series(several(st.integers(-(2**31) + 1, 2**31 - 1)), dtype="Int64")
        elif kind == "logical":
            columns[name] = pd.Series(several(st.booleans()), dtype="boolean")
        else:
            text = pd.Series(several(st.sampled_from(["a", "some text", "é"])), dtype="str")
            columns[name] = text.astype("category") if kind == "factor" else text
    index = draw(st.sampled_from(["", "Hornet "]))
    data = pd.DataFrame(columns).set_axis([f"{index}{i}" for i in range(1, rows + 1)], axis=0)
    return data, draw(st.sampled_from([7, 7, 3, 15])), draw(st.sampled_from([80, 80, 60, 30]))


@pytest.mark.live
@LIVE
@given(drawn=st.lists(frames(), min_size=10, max_size=10))
def test_live_print_of_data_frames(r: Worker, drawn: list[tuple[pd.DataFrame, int, int]]) -> None:
    jobs = [frame_job(data, digits, width=width) for data, digits, width in drawn]
    assert different(jobs, ask(r, jobs), *(data for data, _, _ in drawn)) == ""


@st.composite
def fits(draw: st.DrawFn) -> Print:
    """A fit of random data of any scale, some of it missing. No row is fitted exactly: its residual would be noise."""
    n, k = draw(st.integers(12, 60)), draw(st.integers(0, 4))
    source = np.random.default_rng(draw(st.integers(0, 2**32)))
    scale = 10.0 ** draw(st.integers(-9, 5))
    columns = {f"x{j}": source.normal(size=n) * 10.0 ** source.integers(-2, 3) for j in range(k)}
    data = pd.DataFrame(columns, index=range(1, n + 1))
    data["y"] = scale * (1 + source.normal(size=n) + data.sum(axis=1) * source.choice([0, 0.1, 1]))
    data["g"] = pd.Categorical(source.permutation((["a", "b", "c"] * n)[:n]))
    data["w"] = source.uniform(0.5, 2, size=n)
    data["cluster"] = source.integers(1, 9, size=n)
    if draw(st.booleans()):
        data.loc[source.choice(data.index, size=2), "y"] = np.nan
    right = " + ".join([*(f"x{j}" for j in range(k)), *(["g"] if k and draw(st.booleans()) else [])]) or "1"
    estimator = draw(st.sampled_from(["lm", "lm", "ols", "robcov", "vcov_hc"])) if right != "1" else "lm"
    options: dict[str, Any] = {"weights": "w"} if draw(st.booleans()) else {}
    if estimator == "robcov" and draw(st.booleans()):
        options["cluster"] = "cluster"
    if estimator == "vcov_hc":
        options["type"] = draw(st.sampled_from(["HC0", "HC1", "HC2", "HC3"]))
    case = case_in_memory(estimator, f"y ~ {right}", data, **options)
    terms = estimator == "lm" and draw(st.sampled_from([False, False, True]))
    digits, scipen = draw(st.sampled_from([7, 7, 5, 4])), draw(st.sampled_from([0, 0, 0, 3, 99, -2]))
    return Print("random", case, terms, Options(digits, scipen, draw(st.sampled_from([80, 80, 70]))))


@pytest.mark.live
@settings(LIVE, max_examples=300)
@given(one=fits())
def test_live_summaries_of_random_fits(r: Worker, one: Print) -> None:
    answer = r.ask(one.request)
    assert "error" not in answer, answer
    assert one.text.split("\n") == answer["quantities"]["text"]


def test_anova_numbers_its_models_to_one_width() -> None:
    data = load_data("mtcars")
    names = data.columns.drop("mpg")
    fits = [ri.lm(f"mpg ~ {' + '.join(names[:n])}", data) for n in range(1, 11)]
    lines = print_anova(*fits).split("\n")
    assert lines[2] == "Model  1: mpg ~ cyl"
    assert lines[11].startswith("Model 10: mpg ~ cyl + disp")
