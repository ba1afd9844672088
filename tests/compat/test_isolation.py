"""An R that errors, quits, crashes or never returns costs one request, and the next one is answered; on both hosts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from compat.worker import Worker, WorkerError, decode_quantities

from .r_hosts import HOSTS, request, start_host
from .test_worker import ends

pytestmark = pytest.mark.live

LINE = {
    "formula": "y ~ x",
    "data": {
        "y": {"type": "double", "values": ["0x1p+0", "0x1p+1", "0x1p+2"]},
        "x": {"type": "double", "values": ["0x0p+0", "0x1p+0", "0x1p+1"]},
    },
    "want": ["nobs"],
}


@pytest.fixture(params=HOSTS, scope="module")
def r(request: pytest.FixtureRequest) -> Iterator[Worker]:
    with start_host(request.param, hazards=True) as worker:
        yield worker


def assert_answers(r: Worker) -> None:
    answer = r.ask(request("lm", "next", **LINE))
    assert answer["id"] == "next"
    assert decode_quantities(answer["quantities"]) == {"nobs": 3.0}


@pytest.mark.parametrize(
    ("hazard", "message"),
    [("hazard_error", "this fit always fails"), ("hazard_recursion", "infinite recursion|too deeply|stack usage")],
)
def test_an_r_error_is_an_answer(r: Worker, hazard: str, message: str) -> None:
    answer = r.ask(request(hazard))
    assert answer["error"]["kind"] == "r-error"
    assert any(part in answer["error"]["message"] for part in message.split("|"))
    assert_answers(r)


@pytest.mark.parametrize(("hazard", "message"), [("hazard_quit", "status 0"), ("hazard_segfault", "SIGSEGV")])
def test_an_r_that_dies_costs_one_request(r: Worker, hazard: str, message: str) -> None:
    assert_answers(r)
    with pytest.raises(WorkerError, match=message) as ended:
        r.ask(request(hazard))
    assert ended.value.kind == "crash"
    assert_answers(r)


def test_an_r_that_loops_for_ever_costs_one_request(r: Worker) -> None:
    assert_answers(r)
    patience, r.timeout = r.timeout, 0.5
    with pytest.raises(WorkerError, match=r"within 0\.5 s") as ended:
        r.ask(request("hazard_loop"))
    r.timeout = patience
    assert ended.value.kind == "timeout"
    assert_answers(r)


def test_what_r_started_dies_with_it(r: Worker, tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    assert_answers(r)
    patience, r.timeout = r.timeout, 2.0
    with pytest.raises(WorkerError):
        r.ask(request("hazard_orphan", options={"file": str(noted)}))
    r.timeout = patience
    assert ends(int(noted.read_text()))
    assert_answers(r)


def test_hazards_are_unknown_where_the_hook_is_not_set() -> None:
    with start_host("rscript") as worker:
        answer = worker.ask(request("hazard_quit"))
    assert answer["error"] == {"kind": "bad-option", "message": "no estimator 'hazard_quit'"}
