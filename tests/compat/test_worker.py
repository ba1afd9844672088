"""The line protocol without R: doubles, columns, requests, answers, and children that misbehave."""

from __future__ import annotations

import math
import os
import struct
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compat.worker import (
    NA,
    Worker,
    WorkerError,
    decode_double,
    decode_quantities,
    encode_column,
    encode_double,
    encode_options,
    encode_request,
    is_na,
)
from refimpl.errors import FormulaError

# ---- doubles ----------------------------------------------------------------------------------------------------


def bits(x: float) -> bytes:
    return struct.pack("<d", x)


@given(st.integers(0, 2**64 - 1).map(lambda i: struct.unpack("<d", struct.pack("<Q", i))[0]))
def test_every_double_keeps_its_bits_on_the_way(x: float) -> None:
    back = decode_double(encode_double(x))
    assert math.isnan(back) if math.isnan(x) else bits(back) == bits(x)
    assert is_na(back) == is_na(x)


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (3.0, "0x1.8000000000000p+1"),
        (-0.0, "-0x0.0p+0"),
        (5e-324, "0x0.0000000000001p-1022"),
        (math.inf, "Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
        (NA, "NA"),
    ],
)
def test_doubles_are_spelled_as_r_reads_them(x: float, text: str) -> None:
    assert encode_double(x) == text
    assert bits(decode_double(text)) == bits(x)


@pytest.mark.parametrize("text", ["", "1.5", "nan", "inf", "0x", "1e3", "na", "0xg", "0x1p+5000"])
def test_what_is_no_hex_double_is_refused(text: str) -> None:
    with pytest.raises((ValueError, OverflowError)):
        decode_double(text)


def test_na_stays_na_in_a_series() -> None:
    series = pd.Series([NA, math.nan, 1.0])
    assert [is_na(x) for x in series] == [True, False, False]


# ---- columns and requests ---------------------------------------------------------------------------------------

COLUMNS = [
    (pd.Series([1.5, math.nan, -0.0]), {"type": "double", "values": ["0x1.8000000000000p+0", "NA", "-0x0.0p+0"]}),
    (pd.Series([1.5, 2.0], dtype="float32"), {"type": "double", "values": [(1.5).hex(), (2.0).hex()]}),
    (pd.Series([1, -2]), {"type": "integer", "values": ["1", "-2"]}),
    (pd.Series([1, pd.NA], dtype="Int64"), {"type": "integer", "values": ["1", "NA"]}),
    (pd.Series([2**31, 1]), {"type": "double", "values": [(2.0**31).hex(), (1.0).hex()]}),
    (pd.Series([True, False]), {"type": "logical", "values": ["TRUE", "FALSE"]}),
    (pd.Series([True, pd.NA], dtype="boolean"), {"type": "logical", "values": ["TRUE", "NA"]}),
    (pd.Series(["NA", None, "é"], dtype="str"), {"type": "character", "values": ["NA", None, "é"]}),
    (pd.Series(["x", None], dtype=object), {"type": "character", "values": ["x", None]}),
    (
        pd.Series(pd.Categorical(["b", None, "a"], categories=["b", "a", "unused"])),
        {"type": "factor", "codes": [1, None, 2], "levels": ["b", "a", "unused"], "ordered": False},
    ),
    (
        pd.Series(pd.Categorical([2, 1], categories=[1, 2], ordered=True)),
        {"type": "factor", "codes": [2, 1], "levels": ["1", "2"], "ordered": True},
    ),
]


@pytest.mark.parametrize(("column", "encoded"), COLUMNS)
def test_columns_travel_with_their_type(column: pd.Series, encoded: dict[str, Any]) -> None:
    assert encode_column(column) == encoded


def test_a_column_r_has_no_type_for_is_refused() -> None:
    with pytest.raises(TypeError, match="'when'"):
        encode_column(pd.Series(pd.to_datetime(["2020-01-01"]), name="when"))


def test_options_travel_typed() -> None:
    options = {
        "level": 0.95,
        "df": None,
        "weights": "w",
        "multi0": True,
        "coef": {"(Intercept)": 0.1},
        "cluster": ["g", [1.0, 2.0, None, "x", 12345678.0, 0.1]],
        "newdata": {"x": [1.0, None], "g": ["a", None], "flag": [True, None], "n": [1, 2]},
    }
    assert encode_options(options) == {
        "level": (0.95).hex(),
        "weights": "w",
        "multi0": True,
        "coef": {"(Intercept)": (0.1).hex()},
        "cluster": ["g", ["1", "2", None, "x", "12345678", "0.1"]],
        "newdata": {
            "x": {"type": "double", "values": [(1.0).hex(), "NA"]},
            "g": {"type": "character", "values": ["a", None]},
            "flag": {"type": "logical", "values": ["TRUE", "NA"]},
            "n": {"type": "double", "values": [(1.0).hex(), (2.0).hex()]},
        },
    }


def a_case(formula: str, **options: Any) -> Any:
    data = pd.DataFrame({"y": [1.0, 2.0], "x": [0.5, 1.0]}, index=["1", "3"])
    return SimpleNamespace(
        id="lm-one", estimator="lm", formula=formula, options=options, data=data, functions=frozenset[str]()
    )


def test_a_request_holds_the_deparsed_formulas_and_the_row_names() -> None:
    found = encode_request(a_case("y~x", formulas=["y~x+I(x^2)"]), ["coef"])
    assert found["formula"] == "y ~ x"
    assert found["options"]["formulas"] == ["y ~ x + I(x^2)"]
    assert found["row_names"] == ["1", "3"]
    assert found["want"] == ["coef"]
    assert list(found["data"]) == ["y", "x"]


@pytest.mark.parametrize("case", [a_case("y ~ system('x')"), a_case("y ~ x", formulas=["y ~ eval(x)"])])
def test_a_forbidden_formula_is_never_sent(case: Any) -> None:
    with pytest.raises(FormulaError) as refused:
        encode_request(case)
    assert refused.value.kind == "formula-forbidden"


def test_quantities_come_back_with_their_labels() -> None:
    found = decode_quantities(
        {
            "sigma": "0x1p-1",
            "coef": {"labels": ["a", "b"], "values": ["0x1p+0", "NA"]},
            "vcov": {"rows": ["a", "b"], "cols": ["c"], "values": [["0x1p+1"], ["Inf"]]},
            "empty": {"labels": [], "values": []},
        }
    )
    assert list(found) == ["sigma", "coef", "vcov", "empty"]
    assert found["sigma"] == 0.5
    pd.testing.assert_series_equal(found["coef"], pd.Series([1.0, np.nan], index=["a", "b"]))
    pd.testing.assert_frame_equal(found["vcov"], pd.DataFrame([[2.0], [np.inf]], index=["a", "b"], columns=["c"]))
    assert len(found["empty"]) == 0


# ---- children ---------------------------------------------------------------------------------------------------

CHILD = """
import json, os, subprocess, sys, time
print("started", os.getpid(), file=sys.stderr, flush=True)
for line in sys.stdin:
    request = json.loads(line)
    do = request.get("do", "answer")
    answer = {"id": request["id"], "quantities": {"pid": float(os.getpid()).hex(), "size": float(len(line)).hex()}}
    if do == "quit": sys.exit(3)
    if do == "die": os.kill(os.getpid(), 11)
    if do == "loop":
        while True: pass
    if do == "close": os.close(1); time.sleep(600)
    if do == "garbage": print("no JSON", flush=True); continue
    if do == "list": print("[1]", flush=True); continue
    if do == "other": answer["id"] = "other"
    if do == "orphan":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        open(request["file"], "w").write(str(child.pid))
        if request["then"] == "quit": os._exit(0)
        time.sleep(600)
    text = json.dumps(answer) + "\\n"
    if do == "slowly":
        for character in text: sys.stdout.write(character); sys.stdout.flush()
    else: print(text, end="", flush=True)
"""
COMMAND = [sys.executable, "-c", CHILD]


@pytest.fixture
def worker() -> Any:
    with Worker(COMMAND, timeout=60.0) as child:
        yield child


def pid(worker: Worker, **parts: Any) -> float:
    return decode_double(worker.ask({"id": "1", **parts})["quantities"]["pid"])


def test_one_child_answers_many_requests(worker: Worker) -> None:
    assert len({pid(worker), pid(worker), pid(worker, do="slowly")}) == 1


def test_a_line_larger_than_every_buffer_is_answered(worker: Worker) -> None:
    padding = "x" * 3_000_000
    answer = worker.ask({"id": "1", "padding": padding})
    assert decode_double(answer["quantities"]["size"]) > len(padding)


@pytest.mark.parametrize(
    ("do", "kind", "message"),
    [
        ("quit", "crash", "ended with status 3"),
        ("die", "crash", "SIGSEGV"),
        ("garbage", "no-answer", "not a JSON line"),
        ("list", "no-answer", "neither quantities nor an error"),
        ("other", "no-answer", "an answer to 'other'"),
        ("close", "no-answer", "closed its output"),
    ],
)
def test_a_bad_end_costs_one_request(worker: Worker, do: str, kind: str, message: str) -> None:
    before = pid(worker)
    with pytest.raises(WorkerError, match=message) as ended:
        worker.ask({"id": "1", "do": do})
    assert ended.value.kind == kind
    assert pid(worker) != before


def test_what_never_returns_is_killed_in_time(worker: Worker) -> None:
    before = pid(worker)
    worker.timeout = 0.3
    with pytest.raises(WorkerError, match=r"within 0\.3 s") as ended:
        worker.ask({"id": "1", "do": "loop"})
    worker.timeout = 60.0
    assert ended.value.kind == "timeout"
    assert pid(worker) != before
    assert not is_running(int(before))


def test_a_child_that_never_reads_is_killed_in_time() -> None:
    with Worker([sys.executable, "-c", "import time; time.sleep(600)"], timeout=0.3) as child:
        with pytest.raises(WorkerError) as ended:
            child.ask({"id": "1", "padding": "x" * 3_000_000})
        assert ended.value.kind == "timeout"


def test_the_last_words_of_a_child_are_told(worker: Worker) -> None:
    with pytest.raises(WorkerError, match="it last said: started"):
        worker.ask({"id": "1", "do": "quit"})


def test_a_command_that_does_not_exist_is_a_crash() -> None:
    with Worker(["there-is-no-such-program"]) as child, pytest.raises(WorkerError, match="does not start") as ended:
        child.ask({"id": "1"})
    assert ended.value.kind == "crash"


def is_running(process: int) -> bool:
    """A killed process may stay as a zombie until its new parent looks."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{process}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def ends(process: int) -> bool:
    """Whether it ends soon; a killed process needs a moment."""
    for _ in range(200):
        if not is_running(process):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(("then", "kind"), [("quit", "crash"), ("sleep", "timeout")])
def test_what_a_child_started_dies_with_it(tmp_path: Path, worker: Worker, then: str, kind: str) -> None:
    noted = tmp_path / "pid"
    pid(worker)
    worker.timeout = 3.0
    with pytest.raises(WorkerError) as ended:
        worker.ask({"id": "1", "do": "orphan", "file": str(noted), "then": then})
    assert ended.value.kind == kind
    assert ends(int(noted.read_text()))


def test_close_ends_the_child_and_the_next_request_starts_one(worker: Worker) -> None:
    before = pid(worker)
    worker.close()
    assert not is_running(int(before))
    assert pid(worker) != before


def test_the_environment_is_added_to() -> None:
    code = 'import os; input(); print(\'{"id": "1", "quantities": {"\' + os.environ[\'RCOMPAT_TEST\'] + \'": "NaN"}}\')'
    with Worker([sys.executable, "-c", code], env={"RCOMPAT_TEST": "seen"}) as child:
        assert list(child.ask({"id": "1"})["quantities"]) == ["seen"]
