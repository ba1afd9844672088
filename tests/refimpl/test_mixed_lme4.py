"""Beside a live lme4: its objective at any theta, and everything it reads of a fit where both stand at its theta."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from compat.adapters.r import RImplementation
from compat.cases import Case, case_in_memory
from compat.implementations import NotAvailable
from refimpl import MixedFit, lmer
from refimpl.mixed.profile import evaluate
from refimpl.mixed.results import scaled_factors

pytestmark = pytest.mark.live

MODELS = (
    "y ~ x + (1 | g)",
    "y ~ x + (x | g)",
    "y ~ x + (x || g)",
    "y ~ x + (0 + x | g)",
    "y ~ x + (1 | g) + (1 | h)",
    "y ~ x + (x | g) + (x | h)",
    "y ~ x + (1 | h / k)",
    "y ~ x + (f | g)",
    "y ~ x * z + (1 | g) + (1 | g:k) + (0 + z | h)",
    "y ~ 1 + (1 | g) + (0 + x | g) + (1 | h)",
    "y ~ 0 + x + (x | h) + (1 | k)",
)


@pytest.fixture(scope="module")
def r() -> Iterator[RImplementation]:
    implementation = RImplementation()
    try:
        implementation.provenance()
    except NotAvailable as absent:
        pytest.skip(absent.reason)
    yield implementation
    implementation.close()


def data(seed: int) -> pd.DataFrame:
    """90 rows of unbalanced, crossed and nested groups, with missing values here and there."""
    rng = np.random.default_rng(seed)
    n = 90
    g, h, k = (np.floor(J * rng.uniform(size=n) ** 1.5).astype(int) for J in (9, 5, 3))
    x, z = rng.normal(size=n), rng.normal(size=n)
    b, c = rng.normal(size=(9, 2)), rng.normal(size=5)
    y = 2 + x - z + b[g, 0] + 0.6 * b[g, 1] * x + 0.8 * c[h] + 0.5 * rng.normal(size=15)[3 * h + k] + rng.normal(size=n)
    frame = {"y": y, "x": x, "z": z, "w": rng.uniform(0.5, 3.0, n), "o": rng.normal(size=n)}
    frame |= {name: np.char.add(name, codes.astype(str)) for name, codes in (("g", g), ("h", h), ("k", k))}
    frame["f"] = np.array(["lo", "mid", "hi"])[rng.integers(0, 3, n)]
    out = pd.DataFrame(frame, index=[str(i) for i in range(1, n + 1)])
    out.loc["7", "x"] = np.nan
    out.loc["11", "y"] = np.nan
    return out


def ours(case: Case) -> MixedFit:
    options = {name: case.options[name] for name in ("REML", "weights", "offset") if name in case.options}
    return lmer(case.formula, case.data, **options)


def moved(fit: MixedFit, theta: np.ndarray) -> MixedFit:
    """The fit as it would be if its search had ended at another theta."""
    factors = scaled_factors(fit.blocks, theta)
    point = evaluate(fit.blocks, factors, fit.REML)
    return replace(fit, optimum=replace(fit.optimum, factors=tuple(factors), point=point))


def labelled(tables: Mapping[str, pd.DataFrame]) -> pd.Series[float]:
    """Cells of the tables of the groups as group/level/column."""
    parts = []
    for group, table in tables.items():
        index = [f"{group}/{level}/{column}" for level in table.index for column in table.columns]
        parts.append(pd.Series(table.to_numpy().ravel(), index=index))
    return pd.concat(parts)


def covariances(fit: MixedFit) -> pd.Series[float]:
    """Lower triangles of the conditional covariances as term/level/row/column."""
    found = {}
    for name, random in zip(fit.term_names, fit.random, strict=True):
        for level, C in zip(random.levels, fit.ranef_condvar[name], strict=True):
            for j in range(len(C)):
                for i in range(j, len(C)):
                    found[f"{name}/{level}/{random.names[i]}/{random.names[j]}"] = C[i, j]
    return pd.Series(found)


def asked(r: RImplementation, case: Case) -> Mapping[str, Any]:
    found = r.fit(case)
    assert "theta" in found
    return found


OPTIONS = ({"REML": True}, {"REML": False}, {"REML": True, "weights": "w", "offset": "o"})


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("formula", MODELS)
def test_objective_is_lme4s_at_any_theta(r: RImplementation, formula: str, options: dict[str, Any]) -> None:
    """To twelve digits; to eleven far out, where both lose some."""
    rng = np.random.default_rng(len(formula))
    fit = ours(case_in_memory("lmer", formula, data(1), **options))
    sizes = np.array([0.01, 0.3, 1.0, 1.0, 3.0, 30.0])
    thetas = np.exp(rng.normal(size=(6, len(fit.theta)))) * sizes[:, None]
    found = asked(r, case_in_memory("lmer", formula, data(1), theta_at=thetas.tolist(), **options))["objective_at"]
    got = np.array([fit.objective(theta) for theta in thetas])
    assert (np.abs(got / found.to_numpy() - 1) <= np.where(sizes > 10, 1e-11, 1e-12)).all()


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("formula", MODELS)
def test_what_is_read_of_a_fit_is_lme4s_at_its_theta(r: RImplementation, formula: str, options: dict[str, Any]) -> None:
    frame = data(2)
    new = frame.dropna().iloc[[3, 50, 20]].set_axis(["1", "2", "3"], axis=0)
    asks = {} if "offset" in options else {"newdata": new.drop(columns="y").to_dict("list")}
    case = case_in_memory("lmer", formula, frame, **options, **asks)
    theirs, fit = asked(r, case), ours(case)
    assert fit.criterion <= theirs["objective"] + 1e-9
    there = moved(fit, theirs["theta"].to_numpy())
    assert list(theirs["theta"].index) == there.theta_names
    compared = {name: getattr(there, name) for name in ("coef", "std_error", "sd", "cor", "fitted", "residuals")}
    compared |= {"ranef": labelled(there.ranef), "coef_by_group": labelled(there.coef_by_group)}
    compared |= {"ranef_condvar": covariances(there), "vcov": there.vcov.stack(), "n_groups": there.n_groups}
    if asks:
        compared |= {"predicted": there.predict(new), "predicted_fixed": there.predict(new, re_form="none")}
    for name, got in compared.items():
        wanted = theirs.get(name, pd.Series(dtype=np.float64))
        wanted = wanted.stack() if isinstance(wanted, pd.DataFrame) else wanted
        assert set(got.index) == set(wanted.index), name
        known = wanted.to_numpy(np.float64)
        allowed = 1e-8 * np.abs(known).max(initial=0.0)
        np.testing.assert_allclose(got.loc[wanted.index].to_numpy(), known, rtol=1e-7, atol=allowed, err_msg=name)
    numbers = {name: float(getattr(there, name)) for name in ("sigma", "loglik", "aic", "bic", "df_residual", "nobs")}
    assert numbers == pytest.approx({name: float(theirs[name]) for name in numbers}, rel=1e-10)


@pytest.mark.parametrize("REML", [True, False])
@pytest.mark.parametrize("seed", [4, 6, 21, 40, 52])
@pytest.mark.parametrize("formula", ["y ~ 0 + x + (x | h) + (1 | k)", "y ~ x + (x | g)"])
def test_of_two_minima_the_lower_is_found(r: RImplementation, formula: str, seed: int, REML: bool) -> None:
    """Where lme4's derivative-free search comes out, or lower: these objectives have a second minimum."""
    case = case_in_memory("lmer", formula, data(seed), REML=REML)
    assert ours(case).criterion <= asked(r, case)["objective"] + 1e-9
