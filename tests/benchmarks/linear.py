"""Linear models and clustered covariance: refimpl, R, statsmodels, pyfixest on 20 regressors.

Each contender fits from its own data frame, statsmodels' array interface from a matrix made beforehand (one task
lets refimpl and R start from that matrix too). All must arrive at the same coefficients and standard errors, which
are read after the clock has stopped where a covariance is what is timed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from tests.benchmarks.suite import Contender, PythonContender, Stages, Suite, Task

REGRESSORS = [f"x{j}" for j in range(1, 21)]
FORMULA = f"y ~ {' + '.join(REGRESSORS)}"
DESIGN = len(REGRESSORS) + 1


def columns(n: int) -> dict[str, np.ndarray]:
    """y, 20 correlated regressors, and an unsorted cluster with an effect of its own; up to 10,000 clusters."""
    random = np.random.default_rng(7222009)
    clusters = min(10_000, n // 10)
    g = random.integers(0, clusters, n)
    common = random.normal(size=n)
    X = {name: random.normal(size=n) + 0.5 * common for name in REGRESSORS}
    y = 1.0 + random.normal(size=clusters)[g] + random.normal(size=n) * (1.0 + 0.3 * np.abs(X["x1"]))
    for j, name in enumerate(REGRESSORS):
        y += X[name] * (j % 5 - 2) / 5
    return {"y": y, **X, "g": g}


def std_errors(vcov: Any) -> np.ndarray:
    """Roots of the diagonal."""
    return np.sqrt(np.diag(np.asarray(vcov)))


@dataclass(frozen=True)
class Data:
    """What a contender may start from: the frame, or the matrix (n, 21) with y and the clusters beside it."""

    frame: pd.DataFrame
    X: np.ndarray
    y: np.ndarray
    g: np.ndarray


class LinearLibrary:
    """A library that fits linear models."""

    version = ""

    def prepare(self, data: pd.DataFrame) -> Data:
        X = np.column_stack([np.ones(len(data)), data[REGRESSORS].to_numpy()])
        return Data(data, X, data["y"].to_numpy(), data["g"].to_numpy())


class Refimpl(LinearLibrary):
    """refimpl's lm, ols, robcov and vcov_cluster, and least_squares.ols on the matrix."""

    def __init__(self) -> None:
        self.api: Any = import_module("refimpl")
        self.arrays: Any = import_module("refimpl.least_squares")
        self.version = f"refimpl {version('rcompat')}"

    def tasks(self) -> Mapping[str, Callable[[Data], Stages]]:
        return {"lm": self.lm, "arrays": self.matrix, "robcov": self.robcov, "vcov_cluster": self.vcov_cluster}

    def lm(self, data: Data) -> Stages:
        fit = self.api.lm(FORMULA, data.frame)
        yield fit.coef, fit.std_error, fit.sigma, fit.r_squared

    def matrix(self, data: Data) -> Stages:
        fit = self.arrays.ols(data.X, data.y)
        sigma = np.sqrt(fit.rss / fit.df_residual)
        yield fit.coef, sigma * std_errors(fit.xtx_inverse), sigma

    def robcov(self, data: Data) -> Stages:
        fit = self.api.ols(FORMULA, data.frame)
        yield fit.coef
        robust = self.api.robcov(fit, cluster=data.frame["g"])
        yield lambda: (robust.coef, robust.std_error)

    def vcov_cluster(self, data: Data) -> Stages:
        fit = self.api.lm(FORMULA, data.frame)
        yield fit.coef
        vcov = self.api.vcov_cluster(fit, data.frame["g"], type="CR1S")
        yield lambda: (fit.coef, std_errors(vcov))


class StatsmodelsFormula(LinearLibrary):
    """statsmodels through its formulas."""

    def __init__(self) -> None:
        self.api: Any = import_module("statsmodels.formula.api")
        self.version = f"statsmodels {version('statsmodels')}"

    def tasks(self) -> Mapping[str, Callable[[Data], Stages]]:
        return {
            "lm": self.lm,
            "robcov": partial(self.clustered, use_correction=False),
            "vcov_cluster": partial(self.clustered, use_correction=True),
        }

    def lm(self, data: Data) -> Stages:
        fit = self.api.ols(FORMULA, data.frame).fit()
        yield fit.params, fit.bse, np.sqrt(fit.scale), fit.rsquared

    def clustered(self, data: Data, use_correction: bool) -> Stages:
        fit = self.api.ols(FORMULA, data.frame).fit()
        yield fit.params
        robust = fit.get_robustcov_results("cluster", groups=data.frame["g"], use_correction=use_correction)
        yield lambda: (robust.params, robust.bse)


class StatsmodelsArray(LinearLibrary):
    """statsmodels on the matrix, and its cov_cluster."""

    def __init__(self) -> None:
        self.api: Any = import_module("statsmodels.api")
        self.sandwich: Any = import_module("statsmodels.stats.sandwich_covariance")
        self.version = f"statsmodels {version('statsmodels')}"

    def tasks(self) -> Mapping[str, Callable[[Data], Stages]]:
        return {
            "lm": self.lm,
            "arrays": self.matrix,
            "robcov": partial(self.clustered, use_correction=False),
            "vcov_cluster": partial(self.clustered, use_correction=True),
        }

    def lm(self, data: Data) -> Stages:
        fit = self.api.OLS(data.y, data.X).fit()
        yield fit.params, fit.bse, np.sqrt(fit.scale), fit.rsquared

    def matrix(self, data: Data) -> Stages:
        fit = self.api.OLS(data.y, data.X).fit()
        yield fit.params, fit.bse, np.sqrt(fit.scale)

    def clustered(self, data: Data, use_correction: bool) -> Stages:
        fit = self.api.OLS(data.y, data.X).fit()
        yield fit.params
        vcov = self.sandwich.cov_cluster(fit, data.g, use_correction=use_correction)
        yield lambda: (fit.params, std_errors(vcov))


class Pyfixest(LinearLibrary):
    """pyfixest's feols. It keeps its root mean square (divisor n) and R2 in attributes that are not public."""

    def __init__(self) -> None:
        self.api: Any = import_module("pyfixest")
        self.version = f"pyfixest {version('pyfixest')}"

    def tasks(self) -> Mapping[str, Callable[[Data], Stages]]:
        return {
            "lm": self.lm,
            "robcov": partial(self.clustered, ssc=self.api.ssc(k_adj=False, G_adj=False)),
            "vcov_cluster": partial(self.clustered, ssc=self.api.ssc()),
        }

    def lm(self, data: Data) -> Stages:
        fit = self.api.feols(FORMULA, data.frame, vcov="iid", copy_data=False)
        n = len(data.frame)
        yield fit.coef(), fit.se(), fit._rmse * np.sqrt(n / (n - DESIGN)), fit._r2

    def clustered(self, data: Data, ssc: Any) -> Stages:
        fit = self.api.feols(FORMULA, data.frame, vcov="iid", ssc=ssc, copy_data=False)
        yield fit.coef()
        robust = fit.vcov({"CRV1": "g"})
        yield lambda: (robust.coef(), robust.se())


PYTHON: dict[str, Callable[[], PythonContender]] = {
    "refimpl": Refimpl,
    "statsmodels": StatsmodelsFormula,
    "statsmodels-array": StatsmodelsArray,
    "pyfixest": Pyfixest,
}

SUITE = Suite(
    name="linear",
    title="Linear models, 20 columns, clusters",
    sizes=(1_000, 100_000, 1_000_000),
    tasks=(
        Task("lm", "lm", DESIGN),
        Task("arrays", "least squares on a ready matrix", DESIGN),
        Task("robcov", "ols, then robcov by cluster", DESIGN, "robcov alone"),
        Task("vcov_cluster", "lm, then CR1S by cluster", DESIGN, "CR1S alone"),
    ),
    contenders=(
        Contender("refimpl", "refimpl", "python"),
        Contender("R", "R", "R"),
        Contender("R-openblas", "R (OpenBLAS)", "R", openblas=True),
        Contender("statsmodels", "statsmodels formula", "python"),
        # it has no formula to read: held against refimpl where that has none either
        Contender("statsmodels-array", "statsmodels arrays", "python", must_beat=("arrays",)),
        Contender("pyfixest", "pyfixest", "python", must_beat=()),
    ),
    columns=columns,
    python=PYTHON,
)
