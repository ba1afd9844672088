"""mixedlm: a port of lme4 in Rust that reads lme4's formulas.

What it returns is taken as it is, whether its search says that it converged or not. Several terms stand in the order of
the formula, not in lme4's, so theta is given for one term only.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from importlib.metadata import version
from typing import Any

import mixedlm
import numpy as np
import pandas as pd

from compat.adapters import design
from compat.cases import Case
from compat.implementations import NotProvided

Quantities = dict[str, Any]


class Mixedlm:
    """The adapter; `implementation` is the one that the entry point names."""

    name = "mixedlm"
    version = version("mixedlm")
    capabilities: Set[str] = frozenset({"lmer"})
    conventions: Set[str] = frozenset({"df.residual without variance parameters"})

    def fit(self, case: Case) -> Mapping[str, Any]:
        """Fit a case; what mixedlm raises passes through."""
        if "start" in case.options:
            raise NotProvided("no start can be given")
        d, frame = design.mixed(case)
        options = {name: case.options[name] for name in ("weights", "offset") if name in case.options}
        data = case.data.loc[d.y.index].reset_index(drop=True)
        fit = mixedlm.lmer(case.formula, data, REML=case.options["REML"], **options)
        found = _fixed_part(fit, d.names) | {
            "nobs": fit.nobs(),
            "n_groups": fit.ngrps(),
            "sigma": fit.sigma,
            "objective": fit.REMLcrit() if fit.isREML() else fit.get_deviance(),
            "aic": fit.AIC(),
            "bic": fit.BIC(),
            "df_residual": fit.df_residual(),
            "is_singular": float(fit.isSingular()),
            "fitted": pd.Series(np.asarray(fit.fitted()), index=d.y.index),
            "residuals": pd.Series(np.asarray(fit.residuals()), index=d.y.index),
        }
        if len(frame.random.terms) == 1:
            (term,) = frame.random.terms
            found["theta"] = dict(zip(design.theta_names(term.group, term.names), fit.theta, strict=True))
        return found


def _fixed_part(fit: Any, names: list[str]) -> Quantities:
    coef = pd.Series(np.asarray(list(fit.fixef().values())), index=names)
    vcov = pd.DataFrame(np.asarray(fit.vcov()), index=names, columns=names)
    error = pd.Series(np.sqrt(np.diag(vcov)), index=names)
    return {"coef": coef, "std_error": error, "statistic": coef / error, "vcov": vcov}


implementation = Mixedlm()
