"""Work done in several processes at once, forked from this one, its results in order; one by one where none can be.

A fork has all that is loaded and read, so that only results travel. It is no place for what holds a connection or a
process of its own: what may be called here says so (`parallel`, see check).
"""

from __future__ import annotations

import multiprocessing
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
Work = Callable[[int], Any]

CHUNK = 4  # pieces of work sent at once: few, for one may take longer than a hundred others

_work: Work


def can_fork() -> bool:
    """Whether this process can be forked without harm: macOS's libraries cannot bear it, nor can other threads."""
    return sys.platform == "linux" and threading.active_count() == 1


def in_order(work: Callable[[int], T], count: int, jobs: int) -> Iterator[T]:
    """work(0), work(1), ..., work(count - 1), so many at once; what it raises is raised when its turn comes.

    The processes are forked now, not at the first result.
    """
    if min(jobs, count) < 2 or not can_fork():
        return map(work, range(count))
    pool = ProcessPoolExecutor(
        min(jobs, count), multiprocessing.get_context("fork"), initializer=_begin, initargs=(work,)
    )
    return _until_the_end(pool, pool.map(_call, range(count), chunksize=CHUNK))


def _until_the_end(pool: ProcessPoolExecutor, results: Iterator[T]) -> Iterator[T]:
    try:
        yield from results
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(work: Work) -> None:
    global _work
    _work = work


def _call(at: int) -> Any:
    return _work(at)
