"""One Python contender in a process of its own: requests from stdin, line by line, answers on stdout.

`load` reads data, `run` times a task stage by stage, `memory` measures how far a task raises the process's peak.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks import load
from tests.benchmarks.suite import PythonContender, Stages, read_data

Request = dict[str, Any]


def timed(task: Callable[[Any], Stages], prepared: Any) -> tuple[list[float], list[float]]:
    """Seconds of each stage of one run, and what it computed."""
    gc.collect()
    seconds = []
    steps = task(prepared)
    begin = time.perf_counter()
    for result in steps:
        seconds.append(time.perf_counter() - begin)
        last = result
        begin = time.perf_counter()
    found = last() if callable(last) else last
    parts = found if isinstance(found, tuple) else (found,)
    return seconds, np.concatenate([np.ravel(np.asarray(part, dtype=np.float64)) for part in parts]).tolist()


def resident() -> int:
    """Bytes of this process in memory now, from where its peak starts anew; the peak so far outside Linux."""
    clear = Path("/proc/self/clear_refs")
    if not clear.exists():
        return peak()
    clear.write_text("5")
    return peak()


def peak() -> int:
    """Most bytes that this process had in memory (ru_maxrss would count the parent's at the time of the fork)."""
    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * int(status.read_text().split("VmHWM:")[1].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class Child:
    """What one process holds: its contender and the data it was told to load."""

    def __init__(self, suite: str, contender: str) -> None:
        self.contender: PythonContender = load(suite).python[contender]()
        self.prepared: Any = None

    def load(self, request: Request) -> Request:
        """Read data; not timed."""
        self.prepared = None
        self.prepared = self.contender.prepare(read_data(Path(request["directory"])))
        return {}

    def about(self, request: Request) -> Request:
        """What this contender is and what it can do."""
        configuration: Any = np.show_config(mode="dicts")
        blas = configuration["Build Dependencies"]["blas"]
        name = f"{blas['name']} {blas['version']}"
        return {"version": self.contender.version, "blas": name, "tasks": list(self.contender.tasks())}

    def run(self, request: Request) -> Request:
        """Time a task some times over."""
        task = self.contender.tasks()[request["task"]]
        runs = [timed(task, self.prepared) for _ in range(request["times"])]
        return {"seconds": [seconds for seconds, _ in runs], "check": runs[-1][1]}

    def memory(self, request: Request) -> Request:
        """Bytes by which a task raises the process's peak, and the peak of what Python allocates in it."""
        task = self.contender.tasks()[request["task"]]
        gc.collect()
        before = resident()
        timed(task, self.prepared)
        raised = peak() - before
        gc.collect()
        tracemalloc.start()
        timed(task, self.prepared)
        allocated = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return {"resident": raised, "allocated": allocated}


def answer(child: Child, request: Request) -> Request:
    """The answer to one request, an error included."""
    actions = {"load": child.load, "about": child.about, "run": child.run, "memory": child.memory}
    try:
        return {"quantities": actions[request["do"]](request)}
    except Exception as error:
        return {"error": {"kind": "failed", "message": f"{type(error).__name__}: {error}"}}


def main(suite: str, contender: str) -> None:
    """Serve until stdin ends; whatever a library prints goes to stderr."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    child: Child | None = None
    missing = ""
    try:
        child = Child(suite, contender)
    except ModuleNotFoundError as error:
        missing = str(error)
    for line in sys.stdin:
        absent = {"error": {"kind": "missing", "message": missing}}
        out.write(json.dumps(absent if child is None else answer(child, json.loads(line))) + "\n")
        out.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
