"""Mixed models: refimpl, lme4 and the Python peers on a random slope, 200 groups and up to a million rows.

The lecture's model is in mixed_lecture, InstEval in mixed_crossed; the contenders of all three are here. lme4 is
compared with refimpl; the others stand in the table with what they found, right or not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from tests.benchmarks.suite import Contender, PythonContender, Stages, Suite, Task

AGREEMENT = 1e-3  # of lme4, whose search stops where the deviance has eight digits


@dataclass(frozen=True)
class Model:
    """y ~ fixed + (1 + slope | group), or of the `bars` given, by maximum likelihood."""

    fixed: str
    slope: str = ""
    group: str = ""
    bars: str = ""

    @property
    def formula(self) -> str:
        """The model as lmer reads it."""
        return f"y ~ {self.fixed} + {self.bars or f'({self.slope} | {self.group})'}"


class MixedLibrary:
    """A library that fits one mixed model; the results are deviance, sigma and the fixed effects."""

    def __init__(self, model: Model, package: str, module: str = "") -> None:
        self.model = model
        self.api: Any = import_module(module or package.replace("-", "_"))
        self.version = f"{package} {version(package)}"

    def prepare(self, data: pd.DataFrame) -> Any:
        return data

    def tasks(self) -> Mapping[str, Callable[[Any], Stages]]:
        return {"lmer": self.fit}

    def fit(self, data: Any) -> Stages:
        raise NotImplementedError


class Refimpl(MixedLibrary):
    """refimpl's lmer."""

    def __init__(self, model: Model) -> None:
        super().__init__(model, "rcompat", "refimpl")
        self.version = f"refimpl {version('rcompat')}"

    def fit(self, data: pd.DataFrame) -> Stages:
        fit = self.api.lmer(self.model.formula, data, REML=False)
        yield fit.criterion, fit.sigma, fit.coef, fit.std_error


class Statsmodels(MixedLibrary):
    """statsmodels' mixedlm; one grouping factor only."""

    def __init__(self, model: Model) -> None:
        super().__init__(model, "statsmodels", "statsmodels.formula.api")

    def tasks(self) -> Mapping[str, Callable[[Any], Stages]]:
        return {"lmer": self.fit} if self.model.group else {}

    def fit(self, data: pd.DataFrame) -> Stages:
        m, groups = self.model, data[self.model.group]
        fit = self.api.mixedlm(f"y ~ {m.fixed}", data, groups=groups, re_formula=f"~{m.slope}").fit(reml=False)
        yield -2 * fit.llf, np.sqrt(fit.scale), fit.fe_params, fit.bse_fe


class Mixedlm(MixedLibrary):
    """mixedlm (Rust), with lme4's formulas."""

    def __init__(self, model: Model) -> None:
        super().__init__(model, "mixedlm")

    def fit(self, data: pd.DataFrame) -> Stages:
        fit = self.api.lmer(self.model.formula, data, REML=False)
        yield fit.get_deviance(), fit.sigma, list(fit.fixef().values()), np.sqrt(np.diag(np.asarray(fit.vcov())))


class MixedlmRs(Statsmodels):
    """mixedlm-rs (Rust), with statsmodels' interface."""

    def __init__(self, model: Model) -> None:
        MixedLibrary.__init__(self, model, "mixedlm-rs")

    def fit(self, data: pd.DataFrame) -> Stages:
        m = self.model
        fit = self.api.mixedlm(f"y ~ {m.fixed}", data, groups=m.group, re_formula=f"~{m.slope}").fit(reml=False)
        yield -2 * fit.llf, np.sqrt(fit.scale), fit.fe_params, fit.bse_fe


class LmePython(MixedLibrary):
    """lme-python (Rust), from a polars frame that is made beforehand."""

    def __init__(self, model: Model) -> None:
        super().__init__(model, "lme-python")
        self.polars: Any = import_module("polars")

    def prepare(self, data: pd.DataFrame) -> Any:
        text = {name: column.astype(str).tolist() for name, column in data.items() if column.dtype == "category"}
        return self.polars.DataFrame({name: text.get(name, column.to_numpy()) for name, column in data.items()})

    def fit(self, data: Any) -> Stages:
        fit = self.api.lmer(self.model.formula, data, reml=False)
        yield fit.deviance, np.sqrt(fit.sigma2), fit.coefficients, fit.beta_se


def python(model: Model) -> dict[str, Callable[[], PythonContender]]:
    """The Python contenders for a model."""
    libraries: dict[str, Callable[[Model], PythonContender]] = {
        "refimpl": Refimpl,
        "statsmodels": Statsmodels,
        "mixedlm": Mixedlm,
        "mixedlm-rs": MixedlmRs,
        "lme-python": LmePython,
    }
    return {name: lambda make=make: make(model) for name, make in libraries.items()}  # type: ignore[misc]


def contenders(
    lme4: float, openblas: float, statsmodels: float = 1.0, most_rows: int | None = None
) -> tuple[Contender, ...]:
    """Everybody, and how many times our time lme4 (with R's BLAS, with OpenBLAS) and statsmodels take at least."""
    peers = (("mixedlm", "mixedlm"), ("mixedlm-rs", "mixedlm-rs"), ("lme-python", "lme-python"))
    return (
        Contender("refimpl", "refimpl", "python"),
        Contender("R", "R", "R", times=lme4),
        Contender("R-openblas", "R (OpenBLAS)", "R", openblas=True, times=openblas),
        Contender("statsmodels", "statsmodels", "python", times=statsmodels, must_agree=False, most_rows=most_rows),
        *(
            Contender(name, label, "python", must_beat=(), must_agree=False, most_rows=most_rows)
            for name, label in peers
        ),
    )


def columns(n: int, groups: int = 200) -> dict[str, np.ndarray | pd.Categorical]:
    """y and two regressors, with an intercept and a slope of x1 that differ between the groups."""
    random = np.random.default_rng(7222009)
    groups = min(groups, n // 10)
    g = random.integers(0, groups, n)
    g[:groups] = np.arange(groups)
    x1, x2 = random.normal(size=n), random.normal(size=n)
    b = random.normal(size=(groups, 2)) @ np.array([[0.8, 0.2], [0.0, 0.4]])
    y = 1.0 + 0.5 * x1 - 0.3 * x2 + b[g, 0] + b[g, 1] * x1 + random.normal(size=n)
    return {"y": y, "x1": x1, "x2": x2, "g": pd.Categorical.from_codes(g, [f"g{j}" for j in range(groups)])}


SUITE = Suite(
    name="mixed",
    title="A random slope, 200 groups",
    sizes=(10_000, 100_000, 1_000_000),
    tasks=(Task("lmer", "y ~ x1 + x2 + (x1 | g), ML", 5, agreement=AGREEMENT, repetitions=3),),
    contenders=contenders(lme4=3.0, openblas=1.0, statsmodels=10.0, most_rows=10_000),
    columns=columns,
    python=python(Model("x1 + x2", "x1", "g")),
    memory_limit=6.0,
)
