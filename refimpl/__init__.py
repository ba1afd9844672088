"""The reference: R's regression estimators in plain dense linear algebra, under the names R users know."""

from refimpl import rrandom
from refimpl.comparison import anova
from refimpl.errors import DataError, FormulaError, NotConverged, RankDeficient, RefimplError
from refimpl.generics import confint, fixef, predict, ranef
from refimpl.linear import LinearFit, lm, ols
from refimpl.mixed.hierarchy import Hierarchy, hlm
from refimpl.mixed.models import lmer
from refimpl.mixed.results import MixedFit
from refimpl.panel import (
    PanelFit,
    pbgtest,
    pcdtest,
    pcdtest_heterogeneous,
    pdim,
    pFtest,
    phtest,
    phtest_aux,
    plm,
    plm_vcov_bk,
    plm_vcov_dc,
    plm_vcov_fixest,
    plm_vcov_hc,
    plm_vcov_linearmodels,
    plm_vcov_neighbour,
    plm_vcov_nw,
    plm_vcov_scc,
    plmtest,
    pwartest,
    within_intercept,
)
from refimpl.sandwich import ml_sandwich, robcov, vcov_cluster, vcov_hc, with_vcov

__all__ = [
    "DataError",
    "FormulaError",
    "Hierarchy",
    "LinearFit",
    "MixedFit",
    "NotConverged",
    "PanelFit",
    "RankDeficient",
    "RefimplError",
    "anova",
    "confint",
    "fixef",
    "hlm",
    "lm",
    "lmer",
    "ml_sandwich",
    "ols",
    "pFtest",
    "pbgtest",
    "pcdtest",
    "pcdtest_heterogeneous",
    "pdim",
    "phtest",
    "phtest_aux",
    "plm",
    "plm_vcov_bk",
    "plm_vcov_dc",
    "plm_vcov_fixest",
    "plm_vcov_hc",
    "plm_vcov_linearmodels",
    "plm_vcov_neighbour",
    "plm_vcov_nw",
    "plm_vcov_scc",
    "plmtest",
    "predict",
    "pwartest",
    "ranef",
    "robcov",
    "rrandom",
    "vcov_cluster",
    "vcov_hc",
    "with_vcov",
    "within_intercept",
]
