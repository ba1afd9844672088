"""Functions that make models, and those that read something off one. Nothing is fitted here.

A model's data are the frame of its `data` argument, or the columns and vectors of its formula's names; where they are
not known the model is kept all the same, so that what was printed of it can still be held against itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from compat.transcript.interpreter import Arguments, Interpreter, function, recycled
from compat.transcript.language import NotRead
from compat.transcript.models import NUMBERS
from compat.transcript.values import (
    Comparison,
    Covariance,
    FormulaValue,
    Frame,
    GroupTable,
    Model,
    Null,
    Reading,
    Unknown,
    Value,
    Vector,
    numeric,
)
from refimpl.errors import FormulaError
from refimpl.formula.deparse import deparse
from refimpl.formula.syntax import Call, Expression, Name, symbols

ESTIMATORS = ("lm", "ols", "robcov", "plm", "lmer", "coeftest")


def _formula(a: Arguments) -> FormulaValue:
    value = a.value("formula")
    if not isinstance(value, FormulaValue):
        raise NotRead(f"{a.call.function}() without a formula")
    return value


def _data(a: Arguments, formula: FormulaValue) -> tuple[Frame | None, str]:
    """The data of a model, or why they are not known."""
    try:
        if a.has("data"):
            return a.run.frame(_named_data(a)), ""
        return _from_names(a.run, formula), ""
    except NotRead as problem:
        return None, str(problem)


def _named_data(a: Arguments) -> Value:
    """The `data` argument; a name that no command has assigned is the data file's."""
    node = a.given["data"]
    if isinstance(node, Name) and node.name not in a.run.names and not any(node.name in m.columns for m in a.run.masks):
        return a.run.data_set(node.name)
    return a.value("data")


def _from_names(run: Interpreter, formula: FormulaValue) -> Frame:
    """Vectors that stand behind the names of a formula, as long as each other."""
    columns: dict[str, Vector] = {}
    for name in dict.fromkeys(symbol.name for symbol in symbols(formula.node)):
        try:
            value = run.lookup(name)
        except NotRead:
            if name in ("T", "F", "pi") or isinstance(run.names.get(name), Unknown):
                raise
            raise NotRead(f"'{name}' is not known") from None
        columns[name] = run.vector(value)
    if len({len(column) for column in columns.values()}) != 1:
        raise NotRead("the variables of the formula differ in length")
    mask = run.masks[-1] if run.masks else None
    n = len(next(iter(columns.values())))
    rows = mask.rows if mask is not None and len(mask.rows) == n else tuple(str(i) for i in range(1, n + 1))
    return Frame(columns, rows)


def _weights(a: Arguments, data: Frame | None) -> dict[str, Any]:
    """Weights by their column's name, or as numbers."""
    if not a.has("weights"):
        return {}
    node = a.given["weights"]
    if isinstance(node, Name) and data is not None and node.name in data.columns:
        return {"weights": node.name}
    return {"weights": a.vector("weights").numbers()}


def _model(a: Arguments, estimator: str, options: Mapping[str, Any] | None = None) -> Model:
    formula = _formula(a)
    data, reason = _data(a, formula)
    given = {**(options or {}), **_weights(a, data)}
    try:
        data = _part(a, formula, data, given)
    except NotRead as problem:
        data, reason = None, str(problem)
    for unread in ("na.action", "offset", "contrasts"):
        if a.has(unread):
            data, reason = None, f"{a.call.function}() with {unread} is not read"
    name = a.run.assigning or estimator
    call = {parameter: deparse(node) for parameter, node in a.given.items()}
    made = Model(0, name, estimator, formula.text, data, given, reason, call, arguments=dict(a.given))
    return a.run.add_model(made)


_ROWWISE = frozenset(["~", "+", "-", "*", "/", "^", ":", "|", "||", "(", "I", "log", "exp", "sqrt", "factor", "%in%"])


def _part(a: Arguments, formula: FormulaValue, data: Frame | None, given: Mapping[str, Any]) -> Frame | None:
    """The rows that `subset` keeps; NotRead where the variables depend on the rows that are left (poly, scale)."""
    if data is None or not a.has("subset"):
        return data
    if not isinstance(given.get("weights", ""), str) or not functions_of(formula.node) <= _ROWWISE:
        raise NotRead(f"{a.call.function}() with subset is not read here")
    a.run.masks.append(data)
    try:
        wanted = recycled(a.vector("subset"), len(data.rows))
    finally:
        a.run.masks.pop()
    if wanted.kind != "logical":
        raise NotRead(f"{a.call.function}() with a subset by numbers is not read")
    return data.take(np.flatnonzero(np.nan_to_num(wanted.numbers()) != 0))


def functions_of(node: Expression) -> set[str]:
    """The functions and operators of an expression."""
    if not isinstance(node, Call):
        return set()
    return {node.function}.union(*(functions_of(one) for one in node.arguments))


@function("lm", takes="formula data subset weights na.action offset contrasts")
def lm(a: Arguments) -> Value:
    """stats::lm."""
    return _model(a, "lm")


@function("ols", takes="formula data weights subset na.action x y")
def ols(a: Arguments) -> Value:
    """rms::ols."""
    return _model(a, "ols")


@function("robcov", takes="fit cluster method")
def robcov(a: Arguments) -> Value:
    """rms::robcov of an ols fit."""
    fit = a.value("fit")
    if not isinstance(fit, Model) or fit.estimator != "ols":
        raise NotRead("robcov() of what is no ols fit")
    options: dict[str, Any] = dict(fit.options)
    if a.has("cluster"):
        options["cluster"] = pd.Series(a.vector("cluster").column())
    if a.has("method"):
        options["method"] = a.text("method")
    name = a.run.assigning or f"robcov({fit.name})"
    return a.run.add_model(replace(fit, name=name, estimator="robcov", options=options, convention=""))


@function(
    "plm", takes="formula data subset weights na.action effect model random.method random.models random.dfcor index"
)
def plm(a: Arguments) -> Value:
    """plm::plm."""
    options: dict[str, Any] = {"model": a.text("model", "within"), "effect": a.text("effect", "individual")}
    if a.has("random.method"):
        options["random_method"] = a.text("random.method")
    if a.has("random.models") or a.has("random.dfcor"):
        raise NotRead("plm() with random.models or random.dfcor")
    if a.has("index"):
        index = [text for text in a.vector("index").texts() if text is not None]
        options["index"] = index[0] if len(index) == 1 else tuple(index)
    return _model(a, "plm", options)


@function("lmer", takes="formula data REML control start verbose subset weights na.action offset contrasts")
def lmer(a: Arguments) -> Value:
    """lme4::lmer; lmerTest's is the same fit."""
    return _model(a, "lmer", {"REML": a.flag("REML", True)})


@function("anova", takes="object")
def anova(a: Arguments) -> Value:
    """anova of one model or several, under the names they are called by."""
    nodes = [a.given.get("object"), *(node for name, node in a.rest if name is None)]
    models, names = [], []
    for i, node in enumerate(nodes, 1):
        value = a.run.evaluate(node) if node is not None else Null()
        if not isinstance(value, Model):
            raise NotRead("anova() of what is no model")
        models.append(value)
        names.append(str(i) if value.estimator != "lmer" else deparse(node) if node is not None else "")
    if any(name is not None for name, _ in a.rest):
        raise NotRead("anova() with options")
    return Comparison(tuple(models), tuple(names))


# ---- covariances and tests ----------------------------------------------------------------------------------------


@function("vcovHC", takes="x type")
def vcov_hc(a: Arguments) -> Value:
    """sandwich::vcovHC of lm."""
    return Covariance(_linear(a, "x"), {"kind": "hc", "type": a.text("type", "HC3")})


@function("vcovCL", takes="x cluster type cadjust")
def vcov_cl(a: Arguments) -> Value:
    """sandwich::vcovCL of lm in one way of clustering."""
    model = _linear(a, "x")
    kind, adjusted = a.text("type", "HC1"), a.flag("cadjust", True)
    if kind not in ("HC0", "HC1"):
        raise NotRead(f"vcovCL() of type {kind}")
    if not adjusted and kind == "HC1":
        raise NotRead("vcovCL() of type HC1 without cadjust")
    name = {"HC0": "CR1" if adjusted else "CR0", "HC1": "CR1S"}[kind or "HC1"]
    return Covariance(model, {"kind": "cluster", "type": name, "cluster": _cluster(a, model)})


def _cluster(a: Arguments, model: Model) -> Any:
    value = a.value("cluster")
    if not isinstance(value, FormulaValue):
        return pd.Series(a.run.vector(value).column())
    node = value.node
    if isinstance(node, Call) and len(node.arguments) == 1 and isinstance(node.arguments[0], Name):
        return node.arguments[0].name
    raise NotRead("vcovCL() with several clusterings")


def _linear(a: Arguments, name: str) -> Model:
    value = a.value(name)
    if not isinstance(value, Model) or value.estimator != "lm":
        raise NotRead(f"{a.call.function}() of what is no lm fit")
    return value


@function("coeftest", takes="x vcov. df")
def coeftest(a: Arguments) -> Value:
    """lmtest::coeftest of lm."""
    fit = _linear(a, "x")
    options: dict[str, Any] = dict(fit.options)
    if a.has("vcov."):
        given = _covariance(a)
        if not isinstance(given, Covariance):
            raise NotRead("coeftest() with a matrix that is not read")
        options["covariance"] = given.wanted
    if a.has("df"):
        options["df"] = a.number("df")
    name = a.run.assigning or f"coeftest({fit.name})"
    return a.run.add_model(Model(0, name, "coeftest", fit.formula, fit.data, options, fit.reason, fit.call))


def _covariance(a: Arguments) -> Value:
    """The `vcov.` of coeftest; a function there is called with the fit and what else coeftest was given."""
    node = a.given["vcov."]
    if not isinstance(node, Name) or node.name not in ("vcovHC", "vcovCL") or node.name in a.run.names:
        return a.value("vcov.")
    names = (None, *(name for name, _ in a.rest))
    return a.run.evaluate(Call(node.name, (a.given["x"], *(value for _, value in a.rest)), names))


# ---- what is read off a model -------------------------------------------------------------------------------------


def _fit(a: Arguments) -> Model:
    value = a.value("object")
    if isinstance(value, Reading) and value.what == "summary":
        value = value.model
    if not isinstance(value, Model):
        raise NotRead(f"{a.call.function}() of what is no model")
    return value


@function(*NUMBERS, takes="object")
def number(a: Arguments) -> Value:
    """A single number of a fit; AIC and BIC of several fits are a table."""
    if a.rest and a.call.function in ("AIC", "BIC") and all(name is None for name, _ in a.rest):
        return _criteria(a)
    _without_options(a)
    return Reading(_fit(a), NUMBERS[a.call.function])


def _criteria(a: Arguments) -> Frame:
    """AIC or BIC of several fits: a row a fit, under its name."""
    nodes = [a.given["object"], *(node for _, node in a.rest)]
    columns: dict[str, list[float]] = {"df": [], a.call.function: []}
    for node in nodes:
        model = a.run.evaluate(node)
        if not isinstance(model, Model):
            raise NotRead(f"{a.call.function}() of what is no model")
        for heading, what in zip(columns, ("n_parameters", NUMBERS[a.call.function]), strict=True):
            columns[heading].append(float(a.run.vector(Reading(model, what)).numbers()[0]))
    rows = tuple(deparse(node) for node in nodes)
    return Frame({heading: numeric(values) for heading, values in columns.items()}, rows)


@function("coef", "coefficients", takes="object")
def coef(a: Arguments) -> Value:
    """Coefficients; of a summary its table, of an lmer fit those by group."""
    value = a.value("object")
    if isinstance(value, Reading) and value.what == "summary":
        return Reading(value.model, "table")
    model = _fit(a)
    return GroupTable(model, "coef") if model.estimator == "lmer" else Reading(model, "coef")


@function("ranef", takes="object")
def ranef(a: Arguments) -> Value:
    """Random effects by group."""
    return GroupTable(_fit(a), "ranef")


_WHAT = {
    "fixef": "fixef", "VarCorr": "varcorr", "vcov": "vcov", "logLik": "loglik",
    "residuals": "residuals", "resid": "residuals", "fitted": "fitted", "fitted.values": "fitted",
}  # fmt: skip


@function(*_WHAT, takes="object")
def reading(a: Arguments) -> Value:
    """Something read off a fit."""
    _without_options(a)
    model = _fit(a)
    if a.call.function == "VarCorr" and model.estimator != "lmer":
        raise NotRead(f"VarCorr() of {model.estimator} is not read")
    if a.call.function == "fixef" and model.estimator not in ("lmer", "plm"):
        raise NotRead(f"{a.call.function}() of {model.estimator} is not read")
    return Reading(model, _WHAT[a.call.function])


@function("isSingular", takes="x tol")
def is_singular(a: Arguments) -> Value:
    """lme4::isSingular at its own tolerance."""
    model = a.value("x")
    if not isinstance(model, Model) or model.estimator != "lmer" or a.number("tol", 1e-4) != 1e-4:
        raise NotRead("isSingular() of what is no lmer fit, or with a tolerance")
    return Reading(model, "is_singular")


@function("ngrps", takes="object")
def ngrps(a: Arguments) -> Value:
    """lme4::ngrps."""
    model = _fit(a)
    if model.estimator != "lmer":
        raise NotRead(f"ngrps() of {model.estimator} is not read")
    return Reading(model, "n_groups")


@function("diag", takes="x")
def diag(a: Arguments) -> Value:
    """The diagonal of a matrix."""
    matrix = a.run.frame(a.value("x"))
    if tuple(matrix.columns) != matrix.rows:
        raise NotRead("diag() of what is no covariance matrix")
    values = [column.numbers()[i] for i, column in enumerate(matrix.columns.values())]
    return numeric(values, names=matrix.rows)


@function("confint", takes="object parm level method")
def confint(a: Arguments) -> Value:
    """Limits of all coefficients at 95 %; those of lmer by Wald only, for confint profiles unless it is told to."""
    model = _fit(a)
    _without_options(a)
    if a.has("parm") or a.number("level", 0.95) != 0.95:
        raise NotRead("confint() of some coefficients, or at another level")
    if model.estimator == "lmer" and a.text("method", "profile") != "Wald":
        raise NotRead("confint() of lmer by profiles is not read")
    return Reading(model, "confint")


def _without_options(a: Arguments) -> None:
    """Refuse arguments beyond those that are known: they may change the result."""
    if a.rest:
        name, node = a.rest[0]
        raise NotRead(f"{a.call.function}() with {name or deparse(node)[:40]} is not read")


def formula_text(text: str) -> str | None:
    """R's text of a formula, `||` written out as lme4 prints it, or None where it is none."""
    from refimpl.formula import PANEL_FUNCTIONS, parse
    from refimpl.formula.bars import without_double_bars

    try:
        return str(without_double_bars(parse(text, PANEL_FUNCTIONS)))
    except (FormulaError, RecursionError):
        return None
