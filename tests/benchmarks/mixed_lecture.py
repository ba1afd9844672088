"""The lecture's random-slope model of HIV death rates, 1,557 rows in 117 countries; its data are fetched, or drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd

from compat.cases import load_data
from tests.benchmarks import mixed
from tests.benchmarks.mixed import AGREEMENT, Model, contenders, python
from tests.benchmarks.suite import Suite, Task

REGRESSORS = [
    "GDPLagK", "GDPGrowthLag", "OPENLag", "POLITYLag", "POLITYSQLag", "CivilWarDummy", "InterstateWarLag",
    "BatDeaths1000Lag",
]  # fmt: skip
ROWS = 1557
COUNTRIES = 117


def columns(n: int) -> dict[str, np.ndarray | pd.Categorical]:
    """The lecture's complete rows; for other numbers of rows drawn ones under the same names."""
    if n == ROWS:
        data = load_data("hiv-deaths")[["LnDeathPM", *REGRESSORS, "ISO3"]].dropna()
        y = {"y": data["LnDeathPM"].to_numpy(np.float64)}
        return y | {x: data[x].to_numpy(np.float64) for x in REGRESSORS} | {"ISO3": pd.Categorical(data["ISO3"])}
    drawn = mixed.columns(n, min(COUNTRIES, n // 10))
    X = np.random.default_rng(1990).normal(size=(len(REGRESSORS), n))
    X[0] = np.asarray(drawn["x1"])
    return {"y": drawn["y"]} | dict(zip(REGRESSORS, X, strict=True)) | {"ISO3": drawn["g"]}


SUITE = Suite(
    name="mixed_lecture",
    title="The lecture's random slope",
    sizes=(ROWS,),
    tasks=(Task("lmer", "(GDPLagK | ISO3), ML", 0, agreement=AGREEMENT),),
    contenders=contenders(lme4=3.0, openblas=3.0, statsmodels=50.0),
    columns=columns,
    python=python(Model(" + ".join(REGRESSORS), "GDPLagK", "ISO3")),
)
