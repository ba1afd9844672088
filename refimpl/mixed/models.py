"""lmer: from a formula with bars and data to a fit, and from a fit to predictions.

The algebra is in objective.py and blocks.py, the search in fit.py, what is read of a fit in results.py.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from refimpl import least_squares
from refimpl.errors import DataError
from refimpl.formula import Formula, model_frame, parse
from refimpl.formula.bars import RandomTerm, mixed_frame
from refimpl.formula.deparse import deparse
from refimpl.formula.factors import as_factor
from refimpl.linalg import Array
from refimpl.linear import WEIGHTS, Data, column
from refimpl.mixed import blocks
from refimpl.mixed.fit import optimise
from refimpl.mixed.results import MixedFit, scaled_factors

OFFSET = "(offset)"
FAR_OFF = 1e-14  # a rounding error of pwrss beyond this is worth a second set of cross-products


def lmer(
    formula: str | Formula,
    data: Data,
    REML: bool = True,
    weights: str | Any | None = None,
    offset: str | Any | None = None,
    start: Sequence[float] | None = None,
    na_action: Literal["omit", "fail"] = "omit",
) -> MixedFit:
    """A linear mixed model as `lme4::lmer` defines it (lme4 1.1-31), at its optimum to the last digits.

    `weights` and `offset` are a column's name or an array (N,); `start` is a theta in lme4's order. Fixed-effect
    columns that depend on earlier ones are dropped with lme4's message, as a warning. Without fixed effects the fit is
    by maximum likelihood whatever REML says, as in lme4.

    Raises FormulaError; DataError where lmer refuses the data (a grouping factor of one level, or of as many levels as
    rows, as many random effects as rows; negative or zero weights); NotConverged where no optimum was reached.
    """
    parsed = parse(formula) if isinstance(formula, str) else formula
    extra = {name: column(data, given) for name, given in ((WEIGHTS, weights), (OFFSET, offset)) if given is not None}
    mixed = mixed_frame(parsed, data, extra=extra, na_action=na_action)
    y = mixed.frame.response
    if y is None:
        raise DataError("non-numeric-response", "the formula has no response")
    w = mixed.frame.extra.get(WEIGHTS)
    if w is not None and not (np.asarray(w) > 0).all():
        raise DataError("bad-option", "lmer needs positive weights")
    shift = _sum([mixed.fixed.offset, mixed.frame.extra.get(OFFSET)])
    fixed = least_squares.ols(mixed.fixed.X, y if shift is None else y - shift, w)
    dropped = int((~fixed.kept).sum())
    if dropped:
        s = "s" * (dropped > 1)
        text = f"fixed-effect model matrix is rank deficient so dropping {dropped} column{s} / coefficient{s}"
        warnings.warn(text, UserWarning, stacklevel=2)
    terms = [blocks.Term(term.codes, len(term.levels), np.asarray(term.matrix.X)) for term in mixed.random.terms]
    built = blocks.build(fixed, terms)
    given = None if start is None else scaled_factors(built, start)
    use_REML = REML and built.p > 0
    optimum = optimise(built, use_REML, given)
    if optimum.point.rounding > FAR_OFF:  # least squares took too little of y
        built = blocks.build(fixed, terms, built.b0 + built.R0_inverse @ optimum.point.beta)
        again = optimise(built, use_REML, optimum.factors)
        optimum = replace(again, evaluations=optimum.evaluations + again.evaluations)
    optimum.checked()
    return MixedFit(parsed, data, use_REML, mixed.frame, mixed.fixed, shift, fixed, mixed.random.terms, built, optimum)


def fit_model(fit: MixedFit, REML: bool) -> MixedFit:
    """The same model by the other criterion, from where this fit ended."""
    return replace(fit, REML=REML, optimum=optimise(fit.blocks, REML, fit.optimum.factors).checked())


def _sum(parts: Sequence[Array | None]) -> Array | None:
    given = [np.asarray(part, dtype=np.float64) for part in parts if part is not None]
    return sum(given[1:], given[0]) if given else None


def predict(
    fit: MixedFit, newdata: Data | None, re_form: Literal["all", "none"] = "all", allow_new_levels: bool = False
) -> pd.Series[float]:
    """Predictions; see MixedFit.predict."""
    if re_form not in ("all", "none"):
        raise DataError("bad-option", f"re_form is 'all' or 'none', not {re_form!r}")
    if newdata is None:
        rows = np.asarray(fit.fixed.X_kept @ fit.coef.to_numpy())
        rows = rows if fit.offset is None else rows + fit.offset
        return fit.fitted if re_form == "all" else pd.Series(rows, index=fit.frame.row_labels)
    new = fit.design.for_newdata(newdata)
    out = new.X[:, fit.fixed.kept] @ fit.coef.to_numpy()
    out = out if new.offset is None else out + new.offset
    if re_form == "all":
        for random, modes in zip(fit.random, fit.modes, strict=True):
            out = out + _random_part(random, modes, newdata, allow_new_levels)
    index = newdata.index if isinstance(newdata, pd.DataFrame) else pd.RangeIndex(1, len(out) + 1)
    return pd.Series(out, index=index)


def _random_part(random: RandomTerm, modes: Array, newdata: Data, allow_new_levels: bool) -> Array:
    """Z b of one term for new rows; b is zero for a level not seen, where that is allowed."""
    frame = model_frame(parse("~ " + deparse(random.bar.group)), newdata)
    parts = [as_factor(value) for value in frame.values]
    labels = pd.Index([":".join(words) for words in zip(*([p.levels[c] for c in p.codes] for p in parts), strict=True)])
    place = pd.Index(random.levels).get_indexer(labels)
    if (place < 0).any() and not allow_new_levels:
        unseen = sorted(set(labels[place < 0]))
        raise DataError("unseen-level", f"new levels detected in newdata: {', '.join(unseen[:10])}")
    if frame.n_dropped and not allow_new_levels:
        raise DataError("unseen-level", f"{random.group} is missing in {frame.n_dropped} rows of newdata")
    b = np.zeros((len(frame.kept), modes.shape[1]))
    b[frame.kept] = np.where(place[:, None] >= 0, modes[place], 0.0)
    return np.asarray(np.einsum("ir,ir->i", random.matrix.for_newdata(newdata).X, b))
