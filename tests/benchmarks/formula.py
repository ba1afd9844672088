"""From a formula to a model matrix: refimpl, R's model.matrix, formulaic, patsy; 10 numeric columns and 2 factors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import version
from itertools import count
from typing import Any

import numpy as np
import pandas as pd

from tests.benchmarks.suite import Contender, PythonContender, Stages, Suite, Task

NUMERIC = " + ".join(f"x{j}" for j in range(1, 11))
MAIN_EFFECTS = f"{NUMERIC} + f + h"
INTERACTIONS = f"{NUMERIC} + f * h + x1:x2 + x1:f"
LECTURE = (
    "LnDeathPM ~ GDPLagK + GDPGrowthLag + OPENLag + POLITYLag + POLITYSQLag + CivilWarDummy + InterstateWarLag"
    " + BatDeaths1000Lag"
)
CALLS = 100


def columns(n: int) -> dict[str, np.ndarray | pd.Categorical]:
    """y, 10 numeric columns, a factor of 4 levels and one of 6."""
    random = np.random.default_rng(7222009)
    data: dict[str, np.ndarray | pd.Categorical] = {
        name: random.normal(size=n) for name in ("y", *NUMERIC.split(" + "))
    }
    for name, levels in (("f", "abcd"), ("h", "pqrstu")):
        data[name] = pd.Categorical(np.array(list(levels))[random.integers(0, len(levels), n)])
    return data


class FormulaLibrary:
    """A library that makes a matrix of a formula; a text parsed once is never given again, lest it be remembered."""

    version = ""

    def __init__(self) -> None:
        self.numbers = count(1)

    def prepare(self, data: pd.DataFrame) -> pd.DataFrame:
        return data

    def tasks(self) -> Mapping[str, Callable[[pd.DataFrame], Stages]]:
        return {
            "main_effects": lambda data: self.made(MAIN_EFFECTS, data),
            "interactions": lambda data: self.made(INTERACTIONS, data),
            "parse": self.parsed,
        }

    def made(self, terms: str, data: pd.DataFrame) -> Stages:
        X = self.matrix(terms, data)
        yield lambda: np.sort(np.asarray(X).sum(axis=0))

    def parsed(self, data: pd.DataFrame) -> Stages:
        for _ in range(CALLS):
            terms = self.parse(f"{LECTURE} + v{next(self.numbers)}")
        yield terms

    def matrix(self, terms: str, data: pd.DataFrame) -> Any:
        """The model matrix of a frame."""
        raise NotImplementedError

    def parse(self, text: str) -> int:
        """How many terms a formula has, the intercept left out."""
        raise NotImplementedError


class Refimpl(FormulaLibrary):
    """refimpl.formula."""

    def __init__(self) -> None:
        super().__init__()
        self.api: Any = import_module("refimpl.formula")
        self.version = f"refimpl {version('rcompat')}"

    def matrix(self, terms: str, data: pd.DataFrame) -> Any:
        return self.api.model_matrix(self.api.model_frame(self.api.parse(f"y ~ {terms}"), data)).X

    def parse(self, text: str) -> int:
        return len(self.api.terms(self.api.parse(text)).labels)


class Formulaic(FormulaLibrary):
    """formulaic, asked for a numpy matrix, its quickest; both sides of the formula, as the others evaluate them."""

    def __init__(self) -> None:
        super().__init__()
        self.api: Any = import_module("formulaic")
        self.version = f"formulaic {version('formulaic')}"

    def matrix(self, terms: str, data: pd.DataFrame) -> Any:
        return self.api.model_matrix(f"y ~ {terms}", data, output="numpy").rhs

    def parse(self, text: str) -> int:
        return len(self.api.Formula(text).rhs) - 1


class Patsy(FormulaLibrary):
    """patsy."""

    def __init__(self) -> None:
        super().__init__()
        self.api: Any = import_module("patsy")
        self.version = f"patsy {version('patsy')}"

    def matrix(self, terms: str, data: pd.DataFrame) -> Any:
        return self.api.dmatrices(f"y ~ {terms}", data)[1]

    def parse(self, text: str) -> int:
        return len(self.api.ModelDesc.from_formula(text).rhs_termlist) - 1


PYTHON: dict[str, Callable[[], PythonContender]] = {"refimpl": Refimpl, "formulaic": Formulaic, "patsy": Patsy}

SUITE = Suite(
    name="formula",
    title="Model matrices, 10 numeric columns and 2 factors",
    sizes=(1_000, 100_000, 1_000_000),
    tasks=(
        Task("main_effects", "main effects", 19),
        Task("interactions", "with interactions", 38),
        Task("parse", "a formula's terms", 0, calls=CALLS, sizes="first"),
    ),
    contenders=(
        Contender("refimpl", "refimpl", "python"),
        Contender("R", "R", "R", must_beat=("main_effects", "interactions")),
        Contender("formulaic", "formulaic", "python"),
        Contender("patsy", "patsy", "python"),
    ),
    columns=columns,
    python=PYTHON,
)
