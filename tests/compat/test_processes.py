"""Work in several processes: the same results in the same order, errors at their turn, and only where it may be.

A process with threads, as those of pytest-xdist are, is not forked: what needs a fork is run in one of its own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from typing import Any

import pytest

from compat.adapters.refimpl import Refimpl
from compat.cases import load_cases
from compat.check import check
from compat.expected import DEFAULT_STACK
from compat.processes import in_order

needs_fork = pytest.mark.skipif(sys.platform != "linux", reason="only on Linux a process is forked")


def alone(code: str) -> str:
    """What a program prints in a process without threads."""
    head = "import os, threading\nfrom compat.processes import in_order\n"
    done = subprocess.run([sys.executable, "-c", head + code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def own_process(at: int) -> tuple[int, int]:
    return at, os.getpid()


@needs_fork
def test_results_come_in_order_from_other_processes() -> None:
    code = """
found = list(in_order(lambda at: (at, os.getpid()), 40, 2))
print([at for at, _ in found] == list(range(40)), os.getpid() in {pid for _, pid in found})
"""
    assert alone(code) == "True False"


@needs_fork
def test_what_the_work_knows_need_not_travel() -> None:
    assert alone("lock = threading.Lock()\nprint(list(in_order(lambda at: lock.locked() or at, 3, 2)))") == "[0, 1, 2]"


@needs_fork
def test_an_error_is_raised_at_its_turn() -> None:
    code = """
results = in_order(lambda at: 1 / (at - 8), 20, 2)
first = [next(results) for _ in range(8)]
try:
    next(results)
except ZeroDivisionError:
    print(first == [1 / (at - 8) for at in range(8)])
"""
    assert alone(code) == "True"


@pytest.mark.parametrize(("count", "jobs"), [(5, 1), (1, 2), (0, 4)])
def test_one_job_or_one_piece_needs_no_other_process(count: int, jobs: int) -> None:
    assert list(in_order(own_process, count, jobs)) == [(at, os.getpid()) for at in range(count)]


def test_beside_other_threads_nothing_is_forked() -> None:
    done = threading.Event()
    other = threading.Thread(target=done.wait)
    other.start()
    try:
        assert {pid for _, pid in in_order(own_process, 10, 2)} == {os.getpid()}
    finally:
        done.set()
        other.join()


def test_a_run_in_two_processes_is_a_run_in_one() -> None:
    pages = []
    for jobs in "12":
        command = [sys.executable, "-m", "compat", "check", "--case", "vcov-hc-*", "--jobs", jobs]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        pages.append(re.sub(r"[\d.]+ s in the fits", "", done.stdout))
    assert pages[0] == pages[1]


def test_an_implementation_that_does_not_say_so_stays_in_one_process() -> None:
    class Held(Refimpl):
        parallel = False

        def fit(self, case: Any) -> Any:
            seen.append(os.getpid())
            return super().fit(case)

    seen: list[int] = []
    cases = load_cases("vcov-hc-weights-*")
    assert len(list(check(cases, [Held()], DEFAULT_STACK, jobs=2))) == len(cases)
    assert seen == [os.getpid()] * len(cases)
