"""What must hold between a fit and the fit of a transformed case, whatever the data: each relation is a function.

A relation asks an implementation for two fits or more and returns rows, one a cell; it never asserts, and no expected
file is looked at. How cells of two fits are compared is in refits, the data come from strategies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from inspect import signature
from typing import Any

import numpy as np
import pandas as pd
from hypothesis.strategies import SearchStrategy

from compat import relations_mixed as mixed
from compat import strategies as draw
from compat.cells import Cell, Labelled, labelled
from compat.compare import Row, Verdict, compare_quantity
from compat.implementations import Implementation
from compat.refits import Ask, Fit, Known, Rows, Unanswered, fitted, multiplied, not_negative, same, unchanged, zero
from compat.relations_panel import panel_relations
from compat.strategies import Drawn, Problem
from compat.tolerance import Held, both, cloned, orthogonal, square_sum

# -- copies of rows -------------------------------------------------------------------------------------------------


def copies(d: Drawn) -> Problem:
    """Every row several times, in the order drawn for the copies of the first; `id` names the original row."""
    named = d.problem.with_columns(id=[f"row {i}" for i in range(d.problem.n)])
    return named.with_rows(np.tile(np.array(d.order), d.times))


def copies_leave_robust(fit: Ask, d: Drawn) -> Rows:
    """robcov of the copies, clustered on the original row, is robcov of the original."""
    one, many = fit(d.problem.case("robcov")), fit(copies(d).case("robcov", cluster="id"))
    yield from cloned_vcov(one, many)
    yield from same(many, "n_clusters", Known(labelled(d.problem.n), Held(np.zeros(1), "a count: equality")))


def copies_leave_rows(fit: Ask, d: Drawn) -> Rows:
    """CR0, CR2, CR3 of the copies, clustered on the original row, are HC0, HC2, HC3 of the original."""
    one = fit(d.problem.case("vcov_hc", type=d.type.replace("CR", "HC")))
    yield from cloned_vcov(one, fit(copies(d).case("vcov_cluster", type=d.type, cluster=["id"])))


def copies_leave_clusters(fit: Ask, d: Drawn) -> Rows:
    """A clustered covariance does not see that every row stands there several times."""
    one, many = (fit(p.case("vcov_cluster", type=d.type, cluster=["g"])) for p in (d.problem, copies(d)))
    yield from unchanged(many, one, ("coef", "vcov", "std_error", "statistic", "n_clusters"))


def cloned_vcov(one: Fit, many: Fit) -> Rows:
    """The same coefficients, covariance and standard errors, to 1e-12."""
    yield from same(many, "coef", one.known("coef"))
    names, V, _ = one.matrix("vcov")
    root = np.sqrt(np.diag(V))
    vcov, std_error = one.known("vcov"), one.known("std_error")
    size = dict(zip(names, root.tolist(), strict=True))
    for name, known in (("vcov", vcov), ("std_error", std_error)):
        scale = np.array([np.prod([size.get(part, 0.0) for part in label]) for label in known.cells.labels])
        yield from compare_quantity(name, many.known(name).cells, known.cells, cloned(scale))


def copies_shrink(fit: Ask, d: Drawn, estimator: str) -> Rows:
    """Naive standard errors shrink by sqrt((n - p)/(k n - p)), as if copies were new observations."""
    one, many = fit(d.problem.case(estimator)), fit(copies(d).case(estimator))
    n, k = d.problem.n, d.times
    p = int(np.isfinite(one.known("coef").cells.values).sum())
    shrunk = one.known("std_error").times(np.sqrt((n - p) / (k * n - p)))
    yield from compare_quantity("std_error", many.known("std_error").cells, shrunk.cells, cloned(shrunk.cells.values))
    yield from multiplied(many, one, {"sigma": np.sqrt(k * (n - p) / (k * n - p)), "deviance": k})
    yield from unchanged(many, one, ("coef", "aliased", "rank", "r_squared"))


def counts_are_copies(fit: Ask, d: Drawn) -> Rows:
    """A row of weight m gives the coefficients and sum of squares of m copies; only the number of rows differs."""
    once = replace(d.problem.with_columns(w=np.array(d.counts, dtype=np.float64)), weighted=True)
    often = d.problem.with_rows(np.repeat(np.arange(d.problem.n), d.counts))
    one, many = fit(once.case("lm")), fit(often.case("lm"))
    df = one.number("df_residual")
    more = df + sum(d.counts) - d.problem.n
    yield from unchanged(many, one, ("coef", "aliased", "rank", "deviance", "r_squared"))
    yield from multiplied(many, one, {"std_error": np.sqrt(df / more), "sigma": np.sqrt(df / more)})


# -- another order, other names -------------------------------------------------------------------------------------

OF_ROWS = ("fitted", "residuals", "hatvalues")
OF_COLUMNS = ("coef", "std_error", "statistic", "p_value", "conf_low", "conf_high", "aliased")
OF_THE_FIT = (
    "nobs", "rank", "df_residual", "df", "sigma", "r_squared", "adj_r_squared", "f_statistic", "f_numdf", "f_dendf",
    "f_p_value", "loglik", "aic", "bic", "deviance", "lr_chi2", "lr_df", "lr_p_value", "g_index", "n_clusters",
)  # fmt: skip
EVERYTHING = (*OF_COLUMNS, "vcov", *OF_THE_FIT, "residual_quantiles", *OF_ROWS)


def rows_in_any_order(fit: Ask, d: Drawn, estimator: str) -> Rows:
    """The order of the rows is of no account; their names go with them."""
    options = robust_options(estimator, d)
    case = d.problem.case(estimator, **options)
    one, other = fit(case), fit(case.with_data(case.data.iloc[list(d.order)]))
    yield from unchanged(other, one, (name for name in EVERYTHING if name not in OF_ROWS))
    labels = [(label,) for label in other.case.data.index]
    for name in (name for name in OF_ROWS if one.has(name) and other.has(name)):
        yield from same(other, name, one.known(name).at(labels))


def robust_options(estimator: str, d: Drawn) -> dict[str, Any]:
    """The options that a robust covariance needs: a type, and the cluster `g`."""
    if estimator == "robcov":
        return {"cluster": "g"}
    if estimator == "vcov_cluster":
        return {"cluster": ["g"], "type": d.type}
    return {"type": d.type} if estimator == "vcov_hc" else {}


def columns_in_any_order(fit: Ask, d: Drawn) -> Rows:
    """The order of the regressors only moves the labels."""
    p = d.problem
    moved = replace(p, regressors=tuple(p.regressors[i] for i in d.order))
    one, other = fit(p.case("lm")), fit(moved.case("lm"))
    names = list(moved.X.columns)
    for name in OF_COLUMNS:
        yield from same(other, name, one.known(name).at((label,) for label in names))
    yield from same(other, "vcov", one.known("vcov").at((row, column) for row in names for column in names))
    yield from unchanged(other, one, (*OF_THE_FIT, "residual_quantiles", *OF_ROWS))


def clusters_under_any_name(fit: Ask, d: Drawn, estimator: str) -> Rows:
    """Clusters are told apart, not sorted: other labels, numbers instead of text, another order of them."""
    codes, _ = pd.factorize(d.problem.frame["g"])
    numbered = d.problem.with_columns(g=np.array(d.order)[codes])
    one, other = (fit(p.case(estimator, **robust_options(estimator, d))) for p in (d.problem, numbered))
    yield from unchanged(other, one, EVERYTHING)


# -- other units ----------------------------------------------------------------------------------------------------

# The power of a in which a quantity goes when y becomes a y + b: of its size, or with its sign too.
_OF_SIZE = {"std_error": 1, "sigma": 1, "vcov": 2, "deviance": 2, "hatvalues": 0, "r_squared": 0, "adj_r_squared": 0,
            "f_statistic": 0, "f_p_value": 0, "p_value": 0, "lr_chi2": 0, "lr_p_value": 0, "rank": 0, "aliased": 0,
            "df_residual": 0, "g_index": 1}  # fmt: skip


def response_in_other_units(fit: Ask, d: Drawn, estimator: str) -> Rows:
    """y -> a y + b moves the intercept by b and multiplies by a, |a| or a^2 what has y's unit."""
    moved = d.problem.with_columns(y=d.a * d.problem.frame["y"] + d.b)
    one, other = (fit(p.case(estimator, **robust_options(estimator, d))) for p in (d.problem, moved))
    coef = one.known("coef").times(d.a)
    constant = np.array([label in (("(Intercept)",), ("Intercept",)) for label in coef.cells.labels])
    yield from same(other, "coef", coef.plus(d.b * constant))
    ours = [name for name in _OF_SIZE if one.has(name) and other.has(name)]
    for name in ours:
        wanted, got = (f.known(name).without("(Intercept)", "Intercept") if name == "p_value" else f.known(name)
                       for f in (one, other))  # fmt: skip
        wanted = wanted.times(abs(d.a) ** _OF_SIZE[name])
        yield from compare_quantity(name, got.cells, wanted.cells, both(wanted.held, got.held.allowed))
    for name, shift in (("residuals", 0.0), ("fitted", d.b)):
        if one.has(name) and other.has(name):
            yield from same(other, name, one.known(name).times(d.a).plus(shift))
    if one.has("loglik") and other.has("loglik"):
        yield from same(other, "loglik", one.known("loglik").plus(-d.problem.n * np.log(abs(d.a))))


def regressors_in_other_units(fit: Ask, d: Drawn, estimator: str) -> Rows:
    """x -> a x divides the coefficient by a, its standard error by |a|, and changes nothing else."""
    p = d.problem
    factor = dict(zip(p.regressors, d.factors, strict=True))
    moved = p.with_columns(**{name: a * p.frame[name] for name, a in factor.items()})
    one, other = (fit(q.case(estimator, **robust_options(estimator, d))) for q in (p, moved))
    for name in ("coef", "std_error", "statistic", "vcov"):
        known = one.known(name)
        by = np.array([np.prod([factor.get(part, 1.0) for part in label]) for label in known.cells.labels])
        by = np.abs(1 / by) if name == "std_error" else np.sign(by) if name == "statistic" else 1 / by
        yield from same(other, name, known.times(by))
    yield from unchanged(other, one, ("p_value", "aliased", *OF_THE_FIT, "residual_quantiles", *OF_ROWS))


# -- other columns and rows -----------------------------------------------------------------------------------------


def combinations_add_nothing(fit: Ask, d: Drawn) -> Rows:
    """A combination of the columns put last is aliased, and nothing else changes."""
    p = d.problem
    more = replace(
        p.with_columns(extra=sum(a * p.frame[x] for x, a in zip(p.regressors, d.factors, strict=True))),
        regressors=(*p.regressors, "extra"),
    )
    one, other = fit(p.case("lm")), fit(more.case("lm"))
    yield from unchanged(other, one, (*OF_THE_FIT, "residual_quantiles", *OF_ROWS))
    for name in OF_COLUMNS:
        known, last = one.known(name), 1.0 if name == "aliased" else np.nan
        cells = Labelled((*known.cells.labels, ("extra",)), np.append(known.cells.values, last))
        wanted = Known(cells, replace(known.held, allowed=np.append(known.held.allowed, 0.0)))
        yield from same(other, name, wanted)


def frisch_waugh_lovell(fit: Ask, d: Drawn) -> Rows:
    """A coefficient is that of the residuals of y on those of its regressor, both on all other regressors."""
    p, x = d.problem, d.problem.regressors[d.order[0]]
    others = [name for name in p.regressors if name != x]
    full = fit(p.case("lm"))
    e = {r: fit(p.case("lm", draw.formula(r, others, p.intercept))).known("residuals").cells.values for r in ("y", x)}
    partial_fit = fit(p.with_columns(ry=e["y"], rx=e[x]).case("lm", "ry ~ 0 + rx"))
    df = (full.number("df_residual"), partial_fit.number("df_residual"))
    for name, factor in (("coef", 1.0), ("std_error", np.sqrt(df[0] / df[1]))):
        yield from same(partial_fit, name, full.known(name).at([(x,)]).called({x: "rx"}).times(factor))
    yield from unchanged(partial_fit, full, ("residuals", "deviance"))


def no_weight_no_part(fit: Ask, d: Drawn) -> Rows:
    """Rows of weight zero might as well not be there."""
    p = d.problem
    weights = p.frame["w"].to_numpy().copy()
    weights[list(d.rows)] = 0.0
    without = replace(p, frame=p.frame.drop(index=p.frame.index[list(d.rows)]))
    one, other = fit(p.with_columns(w=weights).case("lm")), fit(without.case("lm"))
    yield from unchanged(other, one, (*OF_COLUMNS, "vcov", *OF_THE_FIT, "hatvalues"))
    labels = [(label,) for label in without.frame.index]
    for name in ("fitted", "residuals"):
        yield from same(other, name, one.known(name).at(labels))


def missing_rows_are_left_out(fit: Ask, d: Drawn, estimator: str) -> Rows:
    """A row with a missing value is left out and counted, and nothing else happens."""
    p = d.problem
    spoiled = p.frame.copy()
    for at, row in enumerate(d.rows):
        name = ("y", *p.regressors)[at % (1 + len(p.regressors))]
        spoiled.loc[spoiled.index[row], name] = np.nan
    without = replace(p, frame=p.frame.drop(index=p.frame.index[list(d.rows)]))
    one, other = (fit(q.case(estimator, **robust_options(estimator, d))) for q in (without, replace(p, frame=spoiled)))
    yield from unchanged(other, one, EVERYTHING)
    if other.has("n_dropped"):
        count = Known(labelled(len(d.rows)), Held(np.zeros(1), "a count: equality"))
        yield from same(other, "n_dropped", count)


def offsets_are_subtracted(fit: Ask, d: Drawn) -> Rows:
    """An offset is a part of y with coefficient one."""
    p = d.problem
    o = np.round(d.a * np.arange(p.n) % 7.0, 3)
    text = f"{p.formula} + offset(o)"
    shifted = p.with_columns(y=p.frame["y"] - o)
    one, other = fit(shifted.case("lm")), fit(p.with_columns(o=o).case("lm", text))
    yield from unchanged(other, one, (*OF_COLUMNS, "vcov", "sigma", "deviance", "residuals", "hatvalues", "loglik"))
    yield from same(other, "fitted", one.known("fitted").plus(o))


# -- identities between estimators ----------------------------------------------------------------------------------

SINGLETONS = {"CR0": "HC0", "CR1S": "HC1", "CR2": "HC2", "CR3": "HC3"}


def singletons_are_rows(fit: Ask, d: Drawn) -> Rows:
    """With a cluster for every row CR0, CR1S, CR2, CR3 are HC0, HC1, HC2, HC3."""
    p = d.problem.with_columns(id=[f"row {i}" for i in d.order])
    rows = fit(p.case("vcov_hc", type=SINGLETONS[d.type]))
    clusters = fit(p.case("vcov_cluster", type=d.type, cluster=["id"]))
    yield from unchanged(clusters, rows, (*OF_COLUMNS, "vcov", "nobs", "df"))


def singletons_are_no_clusters(fit: Ask, d: Drawn) -> Rows:
    """robcov with a cluster for every row is robcov without clusters."""
    p = d.problem.with_columns(id=[f"row {i}" for i in d.order])
    one, other = fit(p.case("robcov")), fit(p.case("robcov", cluster="id"))
    yield from unchanged(other, one, (*OF_COLUMNS, "vcov", "nobs", "df_residual", "sigma"))


def gaussian_likelihood_is_hc0(fit: Ask, d: Drawn) -> Rows:
    """The sandwich of the Gaussian likelihood at the least-squares estimate is HC0."""
    p = d.problem
    rows = fit(p.case("vcov_hc", type="HC0"))
    coef = {label[0]: value for label, value in rows.known("coef").cells.as_dict().items()}
    yield from unchanged(fit(p.case("ml_sandwich", family="gaussian", coef=coef)), rows, ("vcov", "std_error"))


def f_is_t_squared(fit: Ask, d: Drawn) -> Rows:
    """The F test of one further regressor is the square of its t."""
    p, last = d.problem, d.problem.regressors[-1]
    full = fit(p.case("lm"))
    table = fit(p.case("anova", draw.formula("y", p.regressors[:-1], p.intercept), formulas=[p.formula]))
    second = {last: "2"}
    for name, known in (("f_statistic", full.known("statistic").squared()), ("p_value", full.known("p_value"))):
        wanted = known.at([(last,)]).called(second)
        got = table.known(name).at([("2",)])
        yield from compare_quantity(name, got.cells, wanted.cells, both(wanted.held, got.held.allowed))


def residuals_are_orthogonal(fit: Ask, d: Drawn) -> Rows:
    """The (weighted) residuals are orthogonal to every regressor."""
    p = d.problem
    one = fit(p.case("lm"))
    e = one.known("residuals").cells.values
    w = p.frame["w"].to_numpy() if p.weighted else np.ones(p.n)
    profile = one.scene.conditioning
    if profile is None:
        raise Unanswered(Row(Cell("residuals", ()), Verdict.NOT_RUN, reason=one.scene.problem))
    for name, x in p.X.items():
        limit = orthogonal(profile, float(np.sqrt(np.sum(w * x.to_numpy() ** 2))))
        yield zero(Cell("residuals", (f"sum of residual * {name}",)), float(w * e @ x), limit)


# -- orderings ------------------------------------------------------------------------------------------------------

# Each meat is a sum of X_i' X_i e_i^2 times a factor; the factors are ordered, so the covariances are.
HC_ORDER = (("HC0", "HC1"), ("HC0", "HC2"), ("HC2", "HC3"), ("HC0", "HC4"), ("HC0", "HC4m"), ("HC0", "HC5"))
# One covariance times factors that are ordered for n >= G > k >= 1.
CR_ORDER = (("CR0", "CR1"), ("CR1", "CR1S"), ("CR1S", "CR1p"))
# In the basis in which X'X is 1 the adjustments lengthen every cluster's scores, so that the traces are ordered;
# with several regressors the matrices need not be.
CR_TRACES = (("CR0", "CR2"), ("CR2", "CR3"))


def hc_are_ordered(fit: Ask, d: Drawn) -> Rows:
    """The larger HC covariance less the smaller has no negative eigenvalue."""
    fits = {kind: fit(d.problem.case("vcov_hc", type=kind)) for kind in dict.fromkeys(sum(HC_ORDER, ()))}
    for small, large in HC_ORDER:
        yield ordered(fits[small], fits[large], f"{large} - {small}")


def cr_are_ordered(fit: Ask, d: Drawn) -> Rows:
    """The larger of CR0, CR1, CR1S, CR1p less the smaller has no negative eigenvalue."""
    kinds = dict.fromkeys(sum(CR_ORDER, ()))
    fits = {kind: fit(d.problem.case("vcov_cluster", type=kind, cluster=["g"])) for kind in kinds}
    for small, large in CR_ORDER:
        yield ordered(fits[small], fits[large], f"{large} - {small}")


def adjustments_lengthen(fit: Ask, d: Drawn) -> Rows:
    """The sum of the fitted values' variances grows from CR0 to CR2 to CR3."""
    kinds = dict.fromkeys(sum(CR_TRACES, ()))
    fits = {kind: fit(d.problem.case("vcov_cluster", type=kind, cluster=["g"])) for kind in kinds}
    for small, large in CR_TRACES:
        names, V, noise = fits[small].matrix("vcov")
        _, W, more = fits[large].matrix("vcov")
        X = d.problem.X[names].to_numpy()
        XX = X.T @ X
        limit = Held(np.array([np.sum(np.abs(XX) * (noise + more))]), "the noise of both matrices, summed like them")
        yield not_negative(Cell("vcov", (f"sum of x'(V - U)x, {large} - {small}",)), float(np.sum(XX * (W - V))), limit)


def ordered(one: Fit, other: Fit, what: str) -> Row:
    """The smallest eigenvalue of the difference of two covariances, in units of the first's standard errors."""
    _, V, noise = one.matrix("vcov")
    _, W, more = other.matrix("vcov")
    size = np.sqrt(np.outer(np.diag(V), np.diag(V)))
    least = float(np.linalg.eigvalsh((W - V) / size)[0])
    return not_negative(Cell("vcov", ("smallest eigenvalue", what)), least, square_sum((noise + more) / size))


# -- the registry ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Relation:
    """A relation: what it says in one sentence, which estimators it asks for, and what data it is about."""

    name: str
    text: str
    estimators: frozenset[str]
    holds: Callable[[Ask, Drawn], Rows]
    strategy: SearchStrategy[Drawn]

    def check(self, implementation: Implementation, drawn: Drawn) -> list[Row]:
        """Return a row for every cell compared, and one that says why where it went no further."""
        rows: list[Row] = []
        try:
            for row in self.holds(partial(fitted, implementation), drawn):
                rows.append(row)  # one by one, so that those before an end are kept
        except Unanswered as none:
            rows.append(none.row)
        return rows


# R multiplies bread, meat and bread and loses the square of the condition of X, and clubSandwich loses that of X'X
# before its columns are brought to one length: sandwiches are asked of tame data.
_TAME, _ALIASED = 30.0, ("constant", "zero")
_HALF_A_DECADE = 0.5

WILD = draw.problems(weighted=None, kinds=draw.KINDS)
UNWEIGHTED = draw.problems()
SEVERAL = draw.problems(columns=(2, 4), weighted=None)
NONE_ALIASED = draw.problems(weighted=None, kinds=("near-copy",))
ALL_WEIGHTED = draw.problems(weighted=True)
# rms refuses dependent columns, or answers with what rounding left of them
OF_RMS = draw.problems(intercept=True, weighted=None, kinds=("near-copy",))
TAME_OF_RMS = draw.problems(condition=_TAME, intercept=True, weighted=None)
TAME = draw.problems(condition=_TAME, weighted=None, kinds=_ALIASED)
TAME_FULL_RANK = draw.problems(condition=_TAME)
CLUSTERED = draw.problems(condition=_TAME, weighted=None, kinds=_ALIASED, decades=_HALF_A_DECADE)
CLUSTERED_UNWEIGHTED = draw.problems(condition=_TAME, kinds=_ALIASED, decades=_HALF_A_DECADE)
MANY_CLUSTERS = draw.problems(condition=_TAME, columns=(1, 2), weighted=None, least_clusters=4)
# 1e-12 can be asked where the residuals are not small beside the response
CLONES = draw.problems(condition=10.0, intercept=True, decades=_HALF_A_DECADE, noise=(1.0, 100.0))
OF_ESTIMATOR = {"lm": WILD, "ols": OF_RMS, "robcov": TAME_OF_RMS, "vcov_hc": TAME, "vcov_cluster": CLUSTERED}
CR = draw.one_of("CR0", "CR1", "CR1S", "CR2", "CR3")
HC = draw.one_of("HC0", "HC1", "HC2", "HC3", "HC4", "HC4m", "HC5")

Parts = Callable[[Problem], SearchStrategy[Any]]


def _relation(
    name: str, estimators: str, holds: Callable[..., Rows], data: SearchStrategy[Problem], **parts: Parts
) -> Relation:
    """A relation whose text is the first line of its function; one with an `estimator` is told which."""
    function = holds.func if isinstance(holds, partial) else holds
    text = (function.__doc__ or "").strip().splitlines()[0]
    if "estimator" in signature(holds).parameters:
        name, holds = f"{name}-{estimators}", partial(holds, estimator=estimators)
    return Relation(name, text, frozenset(estimators.split()), holds, draw.drawn(data, **parts))


def _of_copies() -> Iterator[Relation]:
    copied: dict[str, Parts] = {"times": draw.two_to_fifty, "order": draw.row_order}
    rows, clusters = draw.one_of("CR0", "CR2", "CR3"), draw.one_of("CR0", "CR1", "CR2", "CR3")
    yield _relation("copies-leave-robcov", "robcov", copies_leave_robust, CLONES, **copied)
    yield _relation("copies-leave-hc", "vcov_hc vcov_cluster", copies_leave_rows, CLONES, **copied, type=rows)
    yield _relation("copies-leave-clusters", "vcov_cluster", copies_leave_clusters, CLONES, **copied, type=clusters)
    for estimator in ("lm", "ols"):
        yield _relation("copies-shrink", estimator, copies_shrink, CLONES, **copied)
    yield _relation("counts-are-copies", "lm", counts_are_copies, UNWEIGHTED, counts=draw.row_counts)


def _of_every_estimator() -> Iterator[Relation]:
    for estimator, data in OF_ESTIMATOR.items():
        kind = HC if estimator == "vcov_hc" else CR
        factors = draw.mild_factors if estimator == "vcov_cluster" else draw.column_factors
        units: dict[str, Parts] = {"a": draw.nonzero, "b": draw.shift, "type": kind}
        yield _relation("rows-in-any-order", estimator, rows_in_any_order, data, order=draw.row_order, type=kind)
        yield _relation("response-in-other-units", estimator, response_in_other_units, data, **units)
        yield _relation(
            "regressors-in-other-units", estimator, regressors_in_other_units, data, factors=factors, type=kind
        )
        yield _relation(
            "missing-rows-are-left-out", estimator, missing_rows_are_left_out, data, rows=draw.some_rows, type=kind
        )
        if estimator in ("robcov", "vcov_cluster"):
            names: dict[str, Parts] = {"order": draw.label_order, "type": kind}
            yield _relation("clusters-under-any-name", estimator, clusters_under_any_name, data, **names)


def _of_lm() -> Iterator[Relation]:
    order, factors, rows = draw.column_order, draw.column_factors, draw.some_rows
    yield _relation("columns-in-any-order", "lm", columns_in_any_order, NONE_ALIASED, order=order)
    yield _relation("combinations-add-nothing", "lm", combinations_add_nothing, NONE_ALIASED, factors=factors)
    yield _relation("frisch-waugh-lovell", "lm", frisch_waugh_lovell, SEVERAL, order=order)
    yield _relation("no-weight-no-part", "lm", no_weight_no_part, ALL_WEIGHTED, rows=rows)
    yield _relation("offsets-are-subtracted", "lm", offsets_are_subtracted, WILD, a=draw.nonzero)
    yield _relation("residuals-are-orthogonal", "lm", residuals_are_orthogonal, WILD)
    yield _relation("f-is-t-squared", "lm anova", f_is_t_squared, SEVERAL)


def _of_sandwiches() -> Iterator[Relation]:
    singles: dict[str, Parts] = {"order": draw.row_order, "type": draw.one_of(*SINGLETONS)}
    both_kinds = "vcov_hc vcov_cluster"
    yield _relation("singletons-are-rows", both_kinds, singletons_are_rows, CLUSTERED_UNWEIGHTED, **singles)
    yield _relation("singletons-are-no-clusters", "robcov", singletons_are_no_clusters, TAME_OF_RMS, **singles)
    yield _relation("gaussian-likelihood-is-hc0", "ml_sandwich vcov_hc", gaussian_likelihood_is_hc0, TAME_FULL_RANK)
    yield _relation("hc-are-ordered", "vcov_hc", hc_are_ordered, TAME)
    yield _relation("cr-are-ordered", "vcov_cluster", cr_are_ordered, MANY_CLUSTERS)
    yield _relation("adjustments-lengthen", "vcov_cluster", adjustments_lengthen, CLUSTERED_UNWEIGHTED)


def _of_mixed_models() -> Iterator[Relation]:
    kind: dict[str, Parts] = {"type": draw.one_of("REML", "ML")}
    order: dict[str, Parts] = {"order": draw.row_order, **kind}
    names: dict[str, Parts] = {"order": draw.label_order, **kind}
    units: dict[str, Parts] = {"a": draw.nonzero, "b": draw.shift, **kind}
    yield _relation("mixed-rows-in-any-order", "lmer", mixed.mixed_rows_in_any_order, mixed.DATA, **order)
    yield _relation("groups-under-any-name", "lmer", mixed.groups_under_any_name, mixed.DATA, **names)
    yield _relation("mixed-response-in-other-units", "lmer", mixed.mixed_response_in_other_units, mixed.DATA, **units)
    yield _relation("slopes-in-other-units", "lmer", mixed.slopes_in_other_units, mixed.DATA, **units)
    origin = {"b": draw.shift, **kind}
    yield _relation("slopes-from-another-origin", "lmer", mixed.slopes_from_another_origin, mixed.DATA, **origin)
    yield _relation(
        "copied-groups-keep-theta", "lmer", mixed.copied_groups_keep_theta, mixed.DATA, times=draw.two_to_fifty
    )
    for name, holds in (
        ("modes-add-to-nothing", mixed.modes_add_to_nothing),
        ("fixed-effects-are-gls", mixed.fixed_effects_are_generalised_least_squares),
        ("fitted-are-their-parts", mixed.fitted_are_the_sum_of_their_parts),
        ("uncorrelated-is-diagonal", mixed.uncorrelated_is_correlated_at_zero),
        ("criteria-are-apart", mixed.criteria_are_apart_by_a_determinant),
        ("predictions-are-their-parts", mixed.predictions_are_the_sum_of_their_parts),
    ):
        yield _relation(name, "lmer", holds, mixed.DATA, **kind)
    zero = mixed.no_variance_between_is_least_squares
    yield _relation("no-variance-is-lm", "lmer lm", zero, mixed.DATA, **kind)
    yield _relation("balanced-is-anova", "lmer", mixed.balanced_is_analysis_of_variance, mixed.DATA, a=draw.nonzero)
    yield _relation("anova-fits-by-ml", "lmer_anova", mixed.anova_fits_by_maximum_likelihood, mixed.DATA)
    yield _relation("anova-is-of-its-fits", "lmer lmer_anova", mixed.anova_is_of_its_fits, mixed.DATA)


RELATIONS: Mapping[str, Relation] = {
    relation.name: relation
    for relations in (
        _of_copies(),
        _of_every_estimator(),
        _of_lm(),
        _of_sandwiches(),
        _of_mixed_models(),
        panel_relations(_relation),
    )
    for relation in relations
}
