"""InstEval: 73,421 ratings of 1,128 lecturers by 2,972 students, and the lecturers' departments by service.

The data are lme4's: R writes them to a file once.
"""

from __future__ import annotations

import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from tests.benchmarks.mixed import AGREEMENT, Model, contenders, python
from tests.benchmarks.suite import Suite, Task

ROWS = 73_421
DESIGN = 5  # columns: two fixed effects, three random intercepts
WRITE = (
    'd <- lme4::InstEval; columns <- c(list(d$y), lapply(d[c("s", "d", "dept", "service")], as.integer)); '
    'file <- file(commandArgs(TRUE), "wb"); writeBin(as.double(unlist(columns)), file, endian = "little"); close(file)'
)


@cache
def ratings() -> np.ndarray:
    """y and the codes of s, d, dept, service from one on, (5, 73421)."""
    with tempfile.TemporaryDirectory(prefix="rcompat-bench-") as folder:
        path = Path(folder) / "InstEval.bin"
        subprocess.run(["Rscript", "-e", WRITE, str(path)], check=True)
        return np.fromfile(path, "<f8").reshape(5, -1)


def drawn(n: int) -> np.ndarray:
    """The like for n rows."""
    random = np.random.default_rng(2011)
    s, d, service = random.integers(0, n // 20, n), random.integers(0, n // 50, n), random.integers(0, 2, n)
    y = 3 + random.normal(size=n // 20)[s] / 3 + random.normal(size=n // 50)[d] / 2 + random.normal(size=n)
    return np.array([y, s + 1, d + 1, d % 14 + 1, service + 1])


def columns(n: int) -> dict[str, np.ndarray | pd.Categorical]:
    """InstEval, or for another number of rows drawn ratings."""
    y, *codes = ratings() if n == ROWS else drawn(n)
    factors = {}
    for name, code in zip(("s", "d", "dept", "service"), codes, strict=True):
        levels, places = np.unique(code, return_inverse=True)
        factors[name] = pd.Categorical.from_codes(places, [str(int(level)) for level in levels])
    return {"y": y, **factors}


SUITE = Suite(
    name="mixed_crossed",
    title="InstEval, three crossed factors",
    sizes=(ROWS,),
    tasks=(
        Task(
            "lmer",
            "y ~ service + (1 | s) + (1 | d) + (1 | dept:service), ML",
            DESIGN,
            agreement=AGREEMENT,
            repetitions=1,
        ),
    ),
    contenders=contenders(lme4=4.0, openblas=1.0),
    columns=columns,
    python=python(Model("service", bars="(1 | s) + (1 | d) + (1 | dept:service)")),
    memory_limit=1.5e9 / (8 * ROWS * DESIGN),
)
