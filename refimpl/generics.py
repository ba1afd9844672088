"""R's generic functions over every kind of fit: confint, predict, fixef, ranef.

What each of them gives is decided where the fit is made: linear.py, panel/effects.py, mixed/results.py.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from refimpl.errors import DataError
from refimpl.linear import LinearFit
from refimpl.mixed.results import MixedFit
from refimpl.panel import PanelFit, effects

Fit = LinearFit | PanelFit | MixedFit


def confint(fit: Fit, level: float = 0.95) -> pd.DataFrame:
    """Confidence limits of the coefficients, columns low and high.

    By the t distribution for lm and ols (R: confint.lm), by the normal one for plm (confint.default) and lmer (lme4's
    method = "Wald").
    """
    return fit.confint(level)


def predict(fit: Fit, newdata: Any = None, **options: Any) -> pd.DataFrame | pd.Series[float]:
    """Predictions for the rows of `newdata`, or for the rows fitted.

    The options are those of the fit's own `predict`: `interval` and `level` of lm and ols, whose answer is a table;
    `na_fill` of plm; `re_form` and `allow_new_levels` of lmer. Raises DataError `unseen-level` and `unknown-column`.
    """
    return fit.predict(newdata, **options)


def fixef(fit: PanelFit | MixedFit, *arguments: Any, **options: Any) -> pd.DataFrame | pd.Series[float]:
    """The fixed effects: of a within model its individuals' or times' (see panel.effects.fixef for the options).

    Of a mixed model the coefficients (lme4: fixef). Raises DataError `bad-option` for any other fit.
    """
    if isinstance(fit, PanelFit):
        return effects.fixef(fit, *arguments, **options)
    return _mixed(fit, "fixed effects").coef


def ranef(fit: PanelFit | MixedFit, *arguments: Any, **options: Any) -> pd.Series[float] | dict[str, pd.DataFrame]:
    """The random effects: of a random-effects panel model a Series (see panel.effects.ranef for the options).

    Of a mixed model a DataFrame of levels x columns for each grouping factor (lme4: ranef). Raises DataError
    `bad-option` for any other fit.
    """
    if isinstance(fit, PanelFit):
        return effects.ranef(fit, *arguments, **options)
    return _mixed(fit, "random effects").ranef


def _mixed(fit: Any, what: str) -> MixedFit:
    if not isinstance(fit, MixedFit):
        raise DataError("bad-option", f"{what} are of a plm or an lmer fit, not of {fit!r}")
    return fit
