"""statsmodels' MixedLM as an implementation of lmer: models of one bar, from the matrices that the formula makes.

What it returns is taken as it is, whether its search says that it converged or not. Nothing is computed here but R's
names for it, and theta from its covariance.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Set
from importlib import import_module
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from compat.cases import Case
from compat.implementations import NotAvailable
from refimpl.formula import parse
from refimpl.formula.bars import MixedFrame, RandomTerm, mixed_frame

MixedLM: Any = import_module("statsmodels.regression.mixed_linear_model").MixedLM


class Statsmodels:
    """The adapter; `implementation` is the object to name."""

    name = "statsmodels"
    version = version("statsmodels")
    capabilities: Set[str] = frozenset({"lmer"})

    def fit(self, case: Case) -> Mapping[str, Any]:
        """Fit a case; NotAvailable for models that MixedLM does not have."""
        model = mixed_frame(parse(case.formula), case.data)
        if len(model.random.terms) != 1 or {"weights", "offset"} & set(case.options) or model.fixed.offset is not None:
            raise NotAvailable("MixedLM fits one bar, without weights and offset")
        (term,) = model.random.terms
        X, y = model.fixed.X, model.frame.response
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = MixedLM(y, X, groups=term.codes, exog_re=term.matrix.X).fit(reml=case.options["REML"])
        return _quantities(fit, model, term)


def _quantities(fit: Any, model: MixedFrame, term: RandomTerm) -> dict[str, Any]:
    """What a fit has of lmer's quantities."""
    names, k = list(model.fixed.names), len(model.fixed.names)
    covariance, sigma = np.asarray(fit.cov_re), float(np.sqrt(fit.scale))
    sd, lower = np.sqrt(covariance.diagonal()), np.tril_indices(len(term.names), -1)
    columns = [f"{term.group}.{name}" for name in term.names]
    pairs = [f"{term.group}.{term.names[i]}.{term.names[j]}" for i, j in zip(*lower, strict=True)]
    out: dict[str, Any] = {
        "coef": pd.Series(np.asarray(fit.fe_params), index=names),
        "std_error": pd.Series(np.asarray(fit.bse_fe), index=names),
        "vcov": pd.DataFrame(np.asarray(fit.cov_params())[:k, :k], index=names, columns=names),
        "sd": pd.Series(sd, index=columns),
        "sigma": sigma,
        "loglik": float(fit.llf),
        "objective": -2 * float(fit.llf),
        "nobs": len(model.frame.row_labels),
        "n_groups": {term.group: len(term.levels)},
        "ranef": {
            f"{term.group}/{term.levels[code]}/{name}": float(value)
            for code, modes in fit.random_effects.items()
            for name, value in zip(term.names, np.asarray(modes), strict=True)
        },
        "fitted": pd.Series(np.asarray(fit.fittedvalues), index=model.frame.row_labels),
        "residuals": pd.Series(np.asarray(fit.resid), index=model.frame.row_labels),
    }
    if pairs:
        out["cor"] = pd.Series((covariance / np.outer(sd, sd))[lower], index=pairs)
    return out


implementation = Statsmodels()
