"""Panel models as plm 2.6-2 has them: within, between, first differences, random effects, pooling.

fit = plm("inv ~ value + capital", grunfeld, index=("firm", "year"), model="within")
plm_vcov_hc(fit, "arellano", "HC1")        # and its siblings: bk, nw, scc, dc, the neighbours' factors
phtest(fit, plm(..., model="random"))      # tests
"""

from .covariance import (
    plm_vcov_bk,
    plm_vcov_dc,
    plm_vcov_hc,
    plm_vcov_nw,
    plm_vcov_scc,
)
from .effects import fixef, predict, ranef, within_intercept
from .index import pdim
from .models import PanelFit, plm
from .neighbours import SMALL_SAMPLE, plm_vcov_fixest, plm_vcov_linearmodels, plm_vcov_neighbour
from .tests import (
    PanelTest,
    pbgtest,
    pcdtest,
    pcdtest_heterogeneous,
    pFtest,
    phtest,
    phtest_aux,
    plmtest,
    pwartest,
)
from .variance_components import VarianceComponents

__all__ = [
    "SMALL_SAMPLE",
    "PanelFit",
    "PanelTest",
    "VarianceComponents",
    "fixef",
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
    "within_intercept",
]
