"""The factors of linearmodels and pyfixest against these libraries, where they are installed (tox -e bench)."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest

from compat.cases import load_data
from refimpl import PanelFit, plm, plm_vcov_hc
from refimpl.panel.covariance import counts_of, fixest_factor, linearmodels_factor

EFFECTS = {"individual": "firm", "time": "year", "twoways": "firm + year"}
LEFT_OUT = {"balanced": [], "unbalanced": [3, 17, 50, 51, 120, 121, 122]}


@pytest.fixture(params=product(LEFT_OUT, EFFECTS), ids="-".join)
def model(request: pytest.FixtureRequest) -> tuple[pd.DataFrame, PanelFit]:
    """Grunfeld's data, some rows left out of them, and a model of each of the effects."""
    panel, effect = request.param
    data = pd.DataFrame(load_data("grunfeld"))
    data = data.drop(index=data.index[LEFT_OUT[panel]])
    return data, plm("inv ~ value + capital", data, ("firm", "year"), effect=effect)


def ratio(theirs: Any, fit: PanelFit) -> np.ndarray:
    """Every cell of a covariance over that without any factor."""
    return np.asarray(theirs) / plm_vcov_hc(fit).to_numpy()


def test_linearmodels(model: tuple[pd.DataFrame, PanelFit]) -> None:
    library = pytest.importorskip("linearmodels.panel")
    data, fit = model
    indexed, effect = data.set_index(["firm", "year"]), fit.effect
    absorbed = {"entity_effects": effect != "time", "time_effects": effect != "individual"}
    theirs = library.PanelOLS(indexed["inv"], indexed[["value", "capital"]], **absorbed)
    for debiased, group_debias, counted in product((True, False), (True, False), (None, True, False)):
        options = {} if counted is None else {"auto_df": False, "count_effects": counted}
        options |= {"debiased": debiased, "group_debias": group_debias}
        found = theirs.fit(cov_type="clustered", cluster_entity=True, **options).cov
        factor = linearmodels_factor(counts_of(fit), debiased, group_debias, counted)
        np.testing.assert_allclose(ratio(found, fit), factor, rtol=1e-7)


def test_pyfixest(model: tuple[pd.DataFrame, PanelFit]) -> None:
    library = pytest.importorskip("pyfixest")
    data, fit = model
    formula = f"inv ~ value + capital | {EFFECTS[fit.effect]}"
    for k_adj, k_fixef, G_adj in product((True, False), ("none", "nonnested", "full"), (True, False)):
        options = {"k_adj": k_adj, "k_fixef": k_fixef, "G_adj": G_adj}
        theirs = library.feols(formula, data, vcov={"CRV1": "firm"}, ssc=library.ssc(**options))
        factor = fixest_factor(counts_of(fit), **options)
        np.testing.assert_allclose(ratio(theirs._vcov, fit), factor, rtol=1e-6)
