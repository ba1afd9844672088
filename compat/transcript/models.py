"""The models of a session, fitted when a number is asked for, each once; and what can be read off them as values.

Fits come from compat.adapters.models. What a printed block asks of them is in answers.py.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from compat.adapters.models import REFUSALS, Fitted, Refused, by_group, compare, fit
from compat.transcript.language import NotRead
from compat.transcript.values import (
    Comparison,
    Covariance,
    Derived,
    Frame,
    GroupColumn,
    GroupTable,
    Model,
    Prediction,
    Reading,
    Value,
    Vector,
    make_name,
    numeric,
)


class Fits:
    """Fits by what they are fits of, so that a session that is followed again fits nothing twice."""

    def __init__(self) -> None:
        self._fits: dict[str, Fitted | Refused] = {}
        self.instead: dict[str, Fitted] = {}  # by key: what stands in for a fit
        self.asked: dict[str, Model] = {}  # by key: the models of which a number was asked

    def of(self, model: Model) -> Fitted:
        """The fit of a model. Raises NotRead where it cannot be fitted."""
        if model.data is None:
            raise NotRead(model.reason or f"the data of {model.name} are not known")
        key = model_key(model)
        self.asked[key] = model
        if key in self.instead:
            return self.instead[key]
        if key not in self._fits:
            try:
                self._fits[key] = fit(model.estimator, model.formula, model.data.pandas(), model.options)
            except Refused as refused:
                self._fits[key] = refused
        found = self._fits[key]
        if isinstance(found, Refused):
            raise NotRead(f"{model.name} cannot be fitted: {found}")
        return found

    def compared(self, comparison: Comparison, tested: bool = False) -> Fitted:
        """anova of the models; `tested`: of an lmer fit as lmerTest has it. Raises NotRead."""
        try:
            return compare([self.of(model) for model in comparison.models], comparison.names, tested=tested)
        except Refused as refused:
            raise NotRead(f"anova: {refused}") from None


def model_key(model: Model) -> str:
    """What decides a model's fit: estimator, formula, options, data."""
    if model.data is None:
        return ""
    digest = hashlib.sha256(f"{model.estimator}\0{model.formula}\0".encode())
    _add(digest, dict(model.options))
    for name, column in model.data.columns.items():
        digest.update(f"{name}\0{column.kind}\0{column.levels}\0".encode())
        _add(digest, column.values)
    digest.update("\0".join(model.data.rows).encode())
    return digest.hexdigest()


def _add(digest: Any, value: Any) -> None:
    """What decides a fit, as bytes."""
    if isinstance(value, Mapping):
        for name in sorted(value):
            digest.update(f"{name}\0".encode())
            _add(digest, value[name])
    elif isinstance(value, np.ndarray) and value.dtype != object:
        digest.update(value.tobytes())
    elif isinstance(value, np.ndarray | pd.Series | list | tuple):
        digest.update(repr(list(value)).encode())
    else:
        digest.update(repr(value).encode())


# ---- readings as values ---------------------------------------------------------------------------------------------

# What an extractor gives as a single number.
NUMBERS = {
    "AIC": "aic", "BIC": "bic", "deviance": "deviance", "sigma": "sigma", "nobs": "nobs", "df.residual": "df_residual",
    "REMLcrit": "criterion",
}  # fmt: skip
# What stands behind summary(fit)$name.
OF_SUMMARY = {
    "r.squared": "r_squared", "adj.r.squared": "adj_r_squared", "sigma": "sigma", "coefficients": "table",
    "AICtab": "aic",
}  # fmt: skip
_TABLE = {"Estimate": "coef", "Std. Error": "std_error", "t value": "statistic", "Pr(>|t|)": "p_value"}


def concrete(value: Value, fits: Fits) -> Value:
    """The same value in numbers, where it is something read off a model. Raises NotRead."""
    if isinstance(value, GroupColumn):
        return _group_column(value, fits)
    if isinstance(value, GroupTable):
        return group_frame(value, fits)
    if isinstance(value, Covariance):
        raise NotRead("a covariance matrix is read in coeftest only")
    if isinstance(value, Reading):
        return _reading(value, fits)
    if isinstance(value, Derived):
        for model in value.models:
            fits.asked[model_key(model)] = model
        return concrete(value.again(), fits) if fits.instead else value.value
    if isinstance(value, Prediction):
        return _prediction(value, fits)
    return value


def _prediction(value: Prediction, fits: Fits) -> Vector | Frame:
    """Predictions under their rows' names: a vector, or fit, lwr and upr. Raises NotRead."""
    fitted = fits.of(value.model)
    rows = None if value.newdata is None else value.newdata.pandas()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = fitted.fit.predict(rows, **value.options)
            if fitted.estimator == "plm":
                found = found.set_axis(range(1, len(found) + 1))  # in the panel's order, whatever the data's
    except REFUSALS as error:
        raise NotRead(f"predict(): {str(error).splitlines()[0]}") from None
    names = tuple(str(label) for label in found.index)
    if not isinstance(found, pd.DataFrame):
        return numeric(found.to_numpy(), names=names)
    if value.part == "se":
        return numeric(found["se"].to_numpy(), names=names if len(names) > 1 else None)
    if "low" not in found.columns:
        return numeric(found["fit"].to_numpy(), names=names)
    return Frame({r: numeric(found[name].to_numpy()) for r, name in _LIMITS.items()}, names)


_LIMITS = {"fit": "fit", "lwr": "low", "upr": "high"}


def group_frame(table: GroupTable, fits: Fits) -> Frame:
    """A table of coefficients by group, under the names that R shows. Raises NotRead."""
    try:
        tables = by_group(fits.of(table.model), table.which)
    except Refused as refused:
        raise NotRead(str(refused)) from None
    names = list(tables)
    group = names[0] if table.group is None else table.group
    if isinstance(group, int):
        group = names[group - 1] if 0 < group <= len(names) else ""
    if group not in tables:
        raise NotRead(f"{table.model.name} has no group {group}")
    found = tables[group].head(table.rows) if table.rows is not None else tables[group]
    columns = {}
    for column in found.columns:
        shown = f"{group}.{column}" if table.naming == "prefixed" else str(column)
        shown = make_name(shown) if table.naming else shown
        columns[shown] = numeric(found[column].to_numpy())
    return Frame(columns, tuple(str(label) for label in found.index))


def _group_column(value: GroupColumn, fits: Fits) -> Vector:
    frame = group_frame(value.table, fits)
    names = list(frame.columns)
    if isinstance(value.column, int):
        if not 0 < value.column <= len(names):
            raise NotRead("there is no such column")
        column = frame.columns[names[value.column - 1]]
    elif value.column in frame.columns:
        column = frame.columns[value.column]
    else:
        raise NotRead(f"there is no column {value.column}")
    return numeric(np.mean(column.numbers())) if value.mean else column


def _reading(value: Reading, fits: Fits) -> Value:
    fitted = fits.of(value.model)
    if value.what == "table":
        columns = {}
        for heading, quantity in _TABLE.items():
            cells = fitted.quantity(quantity)
            if cells is not None:
                columns[heading] = numeric(list(cells.values()))
        rows = tuple(label[0] for label in fitted.quantity("coef") or {})
        return Frame(columns, rows)
    if value.what == "r_squared" and fitted.estimator == "plm":
        both = [(fitted.quantity(name) or {}).get((), np.nan) for name in ("r_squared", "adj_r_squared")]
        return numeric(both, names=("rsq", "adjrsq"))
    what = "coef" if value.what == "fixef" and fitted.estimator == "lmer" else value.what
    cells = fitted.quantity(what)
    if what == "vcov" and cells is not None:
        rows = tuple(dict.fromkeys(label[0] for label in cells))
        return Frame({column: numeric([cells[row, column] for row in rows]) for column in rows}, rows)
    if cells is None or any(len(label) > 1 for label in cells):
        raise NotRead(f"{value.what} of {value.model.name} is not read as a value")
    if () in cells:
        return numeric(cells[()], "logical" if what == "is_singular" else "double")
    return numeric(list(cells.values()), names=[label[0] for label in cells])
