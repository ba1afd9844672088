"""Runs a suite: every contender in a process of its own, one BLAS thread each, their repetitions interleaved.

What is timed happens in child.py and child.R; here processes are started, asked in turn, and medians taken.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from compat.worker import Worker, WorkerError
from tests.benchmarks.suite import Contender, Suite, Task, write_data

ONE_THREAD = {
    f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL", "BLIS", "NUMBA", "RAYON", "VECLIB_MAXIMUM")
} | {"POLARS_MAX_THREADS": "1", "LC_ALL": "C.UTF-8"}
WARM_UP_ROWS = 1_000
MEMORY_FROM = 100_000  # rows; with fewer the interpreter's own memory is all there is to see
OPENBLAS_PLACES = (
    "usr/lib/*/openblas-pthread/libopenblas.so.0",
    "usr/lib/*/openblas-*/libopenblas.so.0",
    "usr/lib/*/libopenblas.so.0",
    "usr/lib64/libopenblas.so.0",
)


@dataclass(frozen=True)
class Options:
    """What the command line may change."""

    sizes: tuple[int, ...] | None = None
    repetitions: int | None = None
    only: list[str] | None = None
    timeout: float = 1200.0


@dataclass(frozen=True)
class Row:
    """One task at one size: median seconds by contender, or the word why there are none."""

    label: str
    task: Task
    n: int
    seconds: dict[str, float]
    absent: dict[str, str]
    resident: float | None = None  # times the design matrix
    allocated: float | None = None
    disagreement: dict[str, float] = field(default_factory=dict)

    @property
    def ours(self) -> float | None:
        """refimpl's seconds."""
        return self.seconds.get("refimpl")

    def ratio(self, contender: str) -> float | None:
        """A contender's time over ours."""
        theirs = self.seconds.get(contender)
        return None if theirs is None or self.ours is None else theirs / self.ours


@dataclass
class Result:
    """A suite's rows, and what each contender was."""

    suite: Suite
    contenders: list[Contender]
    rows: list[Row] = field(default_factory=list)
    about: dict[str, dict[str, Any]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def openblas() -> str | None:
    """A shared OpenBLAS for R: RCOMPAT_OPENBLAS, or where Linux distributions put it."""
    if given := os.environ.get("RCOMPAT_OPENBLAS"):
        return given
    found = [path for place in OPENBLAS_PLACES for path in sorted(Path("/").glob(place))]
    return str(found[0]) if found else None


def worker(suite: Suite, contender: Contender, timeout: float) -> Worker | str:
    """The contender's process, not yet started; or why there can be none."""
    environment = dict(ONE_THREAD)
    if contender.language == "python":
        command = [sys.executable, "-m", "tests.benchmarks.child", suite.name, contender.name]
        return Worker(command, timeout, environment)
    rscript = shutil.which("Rscript")
    if rscript is None:
        return "Rscript is not on the path"
    if contender.openblas:
        library = openblas()
        if library is None:
            return "no shared OpenBLAS; RCOMPAT_OPENBLAS names one (Debian: libopenblas0-pthread)"
        environment["LD_PRELOAD"] = library
    return Worker([rscript, str(Path(__file__).with_name("child.R")), suite.name], timeout, environment)


class Asked(Exception):
    """A contender that refused: it is missing, or it failed."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def ask(child: Worker, **request: Any) -> dict[str, Any]:
    """The child's answer; Asked where it has none."""
    try:
        found = child.ask(request)
    except WorkerError as error:
        raise Asked("timeout" if error.kind == "timeout" else "failed", str(error)) from None
    if "error" in found:
        raise Asked(found["error"]["kind"], found["error"]["message"])
    answer: dict[str, Any] = found["quantities"]
    return answer


class Session:
    """The processes of one suite at one size, and the data they read."""

    def __init__(self, result: Result, n: int, options: Options, progress: Progress, stack: ExitStack) -> None:
        self.result, self.n, self.options, self.progress = result, n, options, progress
        self.stack = stack
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rcompat-bench-")))
        for name, rows in (("warm", min(WARM_UP_ROWS, n)), ("data", n)):
            write_data(result.suite.columns(rows), self.folder / name)
        self.children: dict[str, Worker] = {}

    def start(self) -> None:
        """Start every contender that can be had, each warmed by its tasks on a few rows."""
        for contender in self.result.contenders:
            if contender.name in self.result.missing:
                continue
            try:
                self.children[contender.name] = self.warmed(contender)
            except Asked as refusal:
                self.result.missing[contender.name] = "not installed" if refusal.kind == "missing" else refusal.kind
                self.result.notes.append(f"{contender.label}: {refusal}")

    def warmed(self, contender: Contender) -> Worker:
        """A process that has done each task once on a few rows, and has the data loaded."""
        child = worker(self.result.suite, contender, self.options.timeout)
        if isinstance(child, str):
            raise Asked("missing", child)
        self.stack.callback(child.close)
        self.result.about[contender.name] = about = ask(child, do="about")
        ask(child, do="load", directory=str(self.folder / "warm"))
        for task in self.result.suite.tasks:
            if task.name in about["tasks"]:
                ask(child, do="run", task=task.name, times=1)
        ask(child, do="load", directory=str(self.folder / "data"))
        return child

    def measure(self, task: Task) -> None:
        """Ask everybody in turn, as often as the size allows; add the task's rows to the result."""
        repetitions, times = effort(self.n, self.options.repetitions or task.repetitions)
        runs: dict[str, list[list[float]]] = {name: [] for name in self.children}
        checks: dict[str, np.ndarray] = {}
        lacking = [name for name in self.children if task.name not in self.result.about[name]["tasks"]]
        absent = {**self.result.missing, **dict.fromkeys([*lacking, *self.spared()], "-")}
        for _ in range(repetitions):
            for name, child in self.children.items():
                if name in absent:
                    continue
                label = f"{task.label}, {self.n:,} rows: {name}"
                self.progress.update(self.progress.task_ids[0], description=label)
                try:
                    answer = ask(child, do="run", task=task.name, times=times)
                except Asked as refusal:
                    absent[name] = refusal.kind
                    self.result.notes.append(f"{label}: {refusal}")
                    continue
                runs[name] += answer["seconds"]
                checks[name] = np.asarray(answer["check"], dtype=np.float64)
        measured = task.design_columns and self.n >= MEMORY_FROM and "refimpl" in self.children
        memory = self.memory(task) if measured else (None, None)
        self.add_rows(task, {name: r for name, r in runs.items() if name not in absent}, absent, checks, memory)

    def spared(self) -> list[str]:
        """Those who are not asked to do so many rows."""
        return [c.name for c in self.result.contenders if c.most_rows is not None and self.n > c.most_rows]

    def memory(self, task: Task) -> tuple[float, float]:
        """Peak memory of refimpl's task in a fresh process, resident and allocated, in design matrices."""
        self.progress.update(self.progress.task_ids[0], description=f"{task.label}, {self.n:,} rows: memory")
        child = self.warmed(self.result.contenders[0])
        answer = ask(child, do="memory", task=task.name)
        child.close()
        design = 8 * self.n * task.design_columns
        return answer["resident"] / design, answer["allocated"] / design

    def add_rows(
        self,
        task: Task,
        runs: dict[str, list[list[float]]],
        absent: dict[str, str],
        checks: dict[str, np.ndarray],
        memory: tuple[float | None, float | None],
    ) -> None:
        """The whole task's row, and its last stage's where that has a label."""
        whole = {name: statistics.median(sum(run) for run in found) / task.calls for name, found in runs.items()}
        differs = disagreements(checks, task)
        self.result.notes += [
            f"{task.label}, {self.n:,} rows: {name} differs from refimpl by {size:.1e}"
            for name, size in differs.items()
            if not size <= task.agreement
        ]
        self.result.rows.append(Row(task.label, task, self.n, whole, absent, *memory, disagreement=differs))
        if task.last_stage is not None:
            last = {name: statistics.median(run[-1] for run in found) / task.calls for name, found in runs.items()}
            self.result.rows.append(Row(task.last_stage, task, self.n, last, absent, disagreement=differs))


def effort(n: int, repetitions: int | None) -> tuple[int, int]:
    """How many rounds, and how many runs in each of them."""
    if n <= 10_000:
        return repetitions or 9, 5
    return repetitions or (7 if n <= 200_000 else 5), 1


def disagreements(checks: dict[str, np.ndarray], task: Task) -> dict[str, float]:
    """How far each one's results are from ours: the largest difference over the largest of our size or a millionth."""
    ours = checks.get("refimpl")
    if ours is None:
        return {}
    floor = 1e-6 * float(np.max(np.abs(ours), initial=0.0))
    return {
        name: float(np.max(np.abs(theirs - ours) / np.maximum(np.abs(ours), floor), initial=0.0))
        if theirs.shape == ours.shape
        else np.inf
        for name, theirs in checks.items()
        if name != "refimpl"
    }


@contextmanager
def shown(total: int, title: str, console: Console) -> Iterator[Progress]:
    """A progress bar with one task."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        progress.add_task(title, total=total)
        yield progress


def run(suite: Suite, options: Options, console: Console) -> Result:
    """Time all contenders of a suite on all its sizes."""
    wanted = options.only
    contenders = [c for c in suite.contenders if wanted is None or c.name in (*wanted, suite.contenders[0].name)]
    result = Result(suite, contenders)
    sizes = options.sizes or suite.sizes
    steps = [(n, task) for n in sizes for task in suite.tasks if task.sizes == "all" or n == sizes[0]]
    with shown(len(steps), suite.title, console) as progress:
        for n in sizes:
            with ExitStack() as stack:
                session = Session(result, n, options, progress, stack)
                session.start()
                for task in (task for size, task in steps if size == n):
                    session.measure(task)
                    progress.advance(progress.task_ids[0])
                    console.print(progress_line(result, task, n))
    return result


def progress_line(result: Result, task: Task, n: int) -> str:
    """What a finished task says while others still run."""
    row = next(row for row in result.rows if row.task is task and row.n == n)
    times = ", ".join(f"{name} {1e3 * seconds:.4g} ms" for name, seconds in row.seconds.items())
    return f"{result.suite.name} · {task.label} · {n:,} rows: {times}"
