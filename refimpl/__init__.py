"""The reference: R's regression estimators in plain dense linear algebra, under the names R users know."""

from refimpl import rrandom
from refimpl.comparison import anova
from refimpl.errors import DataError, FormulaError, NotConverged, RankDeficient, RefimplError
from refimpl.linear import LinearFit, lm, ols, predict
from refimpl.mixed.hierarchy import Hierarchy, hlm
from refimpl.mixed.models import lmer
from refimpl.mixed.results import MixedFit
from refimpl.sandwich import ml_sandwich, robcov, vcov_cluster, vcov_hc, with_vcov

__all__ = [
    "DataError",
    "FormulaError",
    "Hierarchy",
    "LinearFit",
    "MixedFit",
    "NotConverged",
    "RankDeficient",
    "RefimplError",
    "anova",
    "hlm",
    "lm",
    "lmer",
    "ml_sandwich",
    "ols",
    "predict",
    "robcov",
    "rrandom",
    "vcov_cluster",
    "vcov_hc",
    "with_vcov",
]
