"""Panel models of 10 regressors: refimpl, plm, linearmodels and pyfixest, unbalanced, 100 rows an individual.

Each contender fits from a data frame of its own making; linearmodels' has the index that it wants. All must arrive at
the same coefficients and standard errors, linearmodels' random effects apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from tests.benchmarks.suite import Contender, PythonContender, Stages, Suite, Task

REGRESSORS = [f"x{j}" for j in range(1, 11)]
TERMS = " + ".join(REGRESSORS)
INDEX = ("id", "time")
PERIODS = 110  # about one in eleven is missing; more where there are few rows


def columns(n: int) -> dict[str, np.ndarray]:
    """y and 10 regressors that go with effects of the n / 100 individuals and of the periods."""
    random = np.random.default_rng(7222009)
    individuals = max(n // 100, 25)
    cells = np.sort(random.choice(individuals * PERIODS, n, replace=False))
    ids, times = np.divmod(cells, PERIODS)
    effects, trends = random.normal(size=individuals), random.normal(size=PERIODS)
    X = {name: random.normal(size=n) + 0.3 * effects[ids] + 0.3 * trends[times] for name in REGRESSORS}
    y = effects[ids] + trends[times] + random.normal(size=n)
    for j, name in enumerate(REGRESSORS):
        y += X[name] * (j % 5 - 2) / 5
    return {"y": y, **X, "id": ids, "time": times}


class Refimpl:
    """refimpl's plm and plm_vcov_hc."""

    def __init__(self) -> None:
        self.api: Any = import_module("refimpl")
        self.version = f"refimpl {version('rcompat')}"

    def prepare(self, data: pd.DataFrame) -> pd.DataFrame:
        return data

    def tasks(self) -> Mapping[str, Callable[[pd.DataFrame], Stages]]:
        return {
            "within": lambda data: self.fitted(data),
            "vcov_hc": self.clustered,
            "twoways": lambda data: self.fitted(data, effect="twoways"),
            "random": lambda data: self.fitted(data, model="random"),
            "fd": lambda data: self.fitted(data, model="fd"),
        }

    def fitted(self, data: pd.DataFrame, **options: Any) -> Stages:
        fit = self.api.plm(f"y ~ {TERMS}", data, INDEX, **options)
        yield fit.coef, fit.std_error

    def clustered(self, data: pd.DataFrame) -> Stages:
        fit = self.api.plm(f"y ~ {TERMS}", data, INDEX)
        yield fit.coef
        yield fit.coef, np.sqrt(np.diag(self.api.plm_vcov_hc(fit)))


class Linearmodels:
    """linearmodels on a frame with the index and a column of ones. Its variance components are others where T varies,
    and its differences others where times are missing.
    """

    def __init__(self) -> None:
        self.api: Any = import_module("linearmodels.panel")
        self.version = f"linearmodels {version('linearmodels')}"

    def prepare(self, data: pd.DataFrame) -> pd.DataFrame:
        return data.assign(one=1.0).set_index(list(INDEX))

    def tasks(self) -> Mapping[str, Callable[[pd.DataFrame], Stages]]:
        return {
            "within": self.within,
            "vcov_hc": self.clustered,
            "twoways": self.twoways,
            "random": self.random,
        }

    def random(self, data: pd.DataFrame) -> Stages:
        fit = self.api.RandomEffects(data["y"], data[["one", *REGRESSORS]]).fit()
        yield fit.params, fit.std_errors

    def within(self, data: pd.DataFrame) -> Stages:
        fit = self.api.PanelOLS(data["y"], data[REGRESSORS], entity_effects=True).fit()
        yield fit.params, fit.std_errors

    def twoways(self, data: pd.DataFrame) -> Stages:
        fit = self.api.PanelOLS(data["y"], data[REGRESSORS], entity_effects=True, time_effects=True).fit()
        yield fit.params, fit.std_errors

    def clustered(self, data: pd.DataFrame) -> Stages:
        model = self.api.PanelOLS(data["y"], data[REGRESSORS], entity_effects=True)
        fit = model.fit(cov_type="clustered", cluster_entity=True, debiased=False)
        yield fit.params, fit.std_errors


class Pyfixest:
    """pyfixest's feols."""

    def __init__(self) -> None:
        self.api: Any = import_module("pyfixest")
        self.version = f"pyfixest {version('pyfixest')}"

    def prepare(self, data: pd.DataFrame) -> pd.DataFrame:
        return data

    def tasks(self) -> Mapping[str, Callable[[pd.DataFrame], Stages]]:
        return {
            "within": lambda data: self.fitted(data, "id"),
            "vcov_hc": self.clustered,
            "twoways": lambda data: self.fitted(data, "id + time"),
        }

    def fitted(self, data: pd.DataFrame, effects: str) -> Stages:
        ssc = self.api.ssc(k_fixef="full", G_adj=False)
        fit = self.api.feols(f"y ~ {TERMS} | {effects}", data, vcov="iid", ssc=ssc, copy_data=False)
        yield fit.coef(), fit.se()

    def clustered(self, data: pd.DataFrame) -> Stages:
        ssc = self.api.ssc(k_adj=False, G_adj=False)
        fit = self.api.feols(f"y ~ {TERMS} | id", data, vcov="iid", ssc=ssc, copy_data=False)
        yield fit.coef()
        robust = fit.vcov({"CRV1": "id"})
        yield robust.coef(), robust.se()


PYTHON: dict[str, Callable[[], PythonContender]] = {
    "refimpl": Refimpl,
    "linearmodels": Linearmodels,
    "pyfixest": Pyfixest,
}

SUITE = Suite(
    name="panel",
    title="Panel models, 10 columns, 100 rows an individual, unbalanced",
    sizes=(1_000, 100_000, 1_000_000),
    tasks=(
        Task("within", "within", len(REGRESSORS)),
        Task("vcov_hc", "within, then Arellano's covariance", len(REGRESSORS), "Arellano's covariance alone"),
        Task("twoways", "within, two-ways", len(REGRESSORS)),
        Task("random", "random effects, Swamy and Arora", len(REGRESSORS) + 1),
        Task("fd", "first differences", len(REGRESSORS) + 1),
    ),
    contenders=(
        Contender("refimpl", "refimpl", "python"),
        Contender("R", "plm", "R"),
        Contender("linearmodels", "linearmodels", "python", must_agree=False),
        Contender("pyfixest", "pyfixest", "python", must_beat=()),
    ),
    columns=columns,
    python=PYTHON,
)
