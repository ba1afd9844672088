"""The factors of linearmodels and pyfixest against these libraries (tox -e peers)."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest

from compat.cases import load_data
from refimpl import PanelFit, plm, plm_vcov_fixest, plm_vcov_linearmodels

pytestmark = pytest.mark.peers

EFFECTS = {"individual": "firm", "time": "year", "twoways": "firm + year"}
LEFT_OUT = {"balanced": [], "unbalanced": [3, 17, 50, 51, 120, 121, 122]}


@pytest.fixture(params=product(LEFT_OUT, EFFECTS), ids="-".join)
def model(request: pytest.FixtureRequest) -> tuple[pd.DataFrame, PanelFit]:
    """Grunfeld's data, some rows left out of them, and a model of each of the effects."""
    panel, effect = request.param
    data = pd.DataFrame(load_data("grunfeld"))
    data = data.drop(index=data.index[LEFT_OUT[panel]])
    return data, plm("inv ~ value + capital", data, ("firm", "year"), effect=effect)


def assert_close(got: pd.DataFrame, wanted: Any) -> None:
    """Equal but for what the libraries' own arithmetic leaves."""
    np.testing.assert_allclose(got, np.asarray(wanted), rtol=1e-6)


@pytest.mark.parametrize("cluster", ["group", "time", "both"])
def test_linearmodels(model: tuple[pd.DataFrame, PanelFit], cluster: Any) -> None:
    library = pytest.importorskip("linearmodels.panel")
    data, fit = model
    indexed, effect = data.set_index(["firm", "year"]), fit.effect
    absorbed = {"entity_effects": effect != "time", "time_effects": effect != "individual"}
    clusters = {"cluster_entity": cluster != "time", "cluster_time": cluster != "group"}
    theirs = library.PanelOLS(indexed["inv"], indexed[["value", "capital"]], **absorbed)
    for debiased, group_debias, counted in product((True, False), (True, False), (None, True, False)):
        options = {} if counted is None else {"auto_df": False, "count_effects": counted}
        options |= {"debiased": debiased, "group_debias": group_debias} | clusters
        found = theirs.fit(cov_type="clustered", **options).cov
        assert_close(plm_vcov_linearmodels(fit, cluster, debiased, group_debias, counted), found)


@pytest.mark.filterwarnings("ignore:The inplace keyword")
@pytest.mark.parametrize("cluster", ["group", "time", "both"])
def test_pyfixest(model: tuple[pd.DataFrame, PanelFit], cluster: Any) -> None:
    library = pytest.importorskip("pyfixest")
    data, fit = model
    formula = f"inv ~ value + capital | {EFFECTS[fit.effect]}"
    named = {"CRV1": {"group": "firm", "time": "year", "both": "firm + year"}[cluster]}
    choices = product((True, False), ("none", "nonnested", "full"), (True, False), ("min", "conventional"))
    for k_adj, k_fixef, G_adj, G_df in choices:
        options = {"k_adj": k_adj, "k_fixef": k_fixef, "G_adj": G_adj, "G_df": G_df}
        theirs = library.feols(formula, data, vcov=named, ssc=library.ssc(**options))
        assert_close(plm_vcov_fixest(fit, cluster, **options), theirs._vcov)
