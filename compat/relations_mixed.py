"""What must hold between fits of mixed models: the relations of lmer and of its anova, registered by relations.

The model is y ~ x1 + (1 | g), or with (x1 | g), on drawn data to whose response an effect of each group is added.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from compat import strategies as draw
from compat.cases import Case
from compat.cells import Cell, Label, Labelled, labelled
from compat.refits import Ask, Fit, Floats, Known, Rows, same, unchanged, zero
from compat.strategies import Drawn, Problem
from compat.tolerance import Held

INTERCEPT, SLOPE = "y ~ 1 + x1 + (1 | g)", "y ~ 1 + x1 + (x1 | g)"
OF_FIXED = ("coef", "std_error", "statistic", "conf_low", "conf_high", "vcov", "fixef_correlation")
OF_COVARIANCE = ("theta", "sd", "cor", "sigma", "is_singular")
OF_THE_FIT = ("objective", "loglik", "aic", "bic", "deviance", "nobs", "rank", "df_residual", "n_groups")
OF_GROUPS = ("ranef", "ranef_condvar", "coef_by_group")


def grouped(p: Problem) -> Problem:
    """The same with an effect of each group, and of x1 in each group, in the response."""
    codes = np.unique(p.frame["g"], return_inverse=True)[1]
    rng = np.random.default_rng(p.n)
    effects = rng.normal(size=(2, codes.max() + 1))
    x = (p.frame["x1"] - p.frame["x1"].mean()) / p.frame["x1"].std()
    return p.with_columns(y=p.frame["y"] + 2 * effects[0, codes] + 0.7 * effects[1, codes] * x)


def mixed(p: Problem, d: Drawn, text: str = INTERCEPT) -> Case:
    """A case of lmer by the criterion that was drawn."""
    return p.case("lmer", text, REML=d.type == "REML")


def renamed(known: Known, change: Callable[[str], str]) -> Known:
    """The cells with their one label changed."""
    labels = tuple((change(label),) for (label,) in known.cells.labels)
    return replace(known, cells=replace(known.cells, labels=labels))


# -- another order, other names ---------------------------------------------------------------------------------------


def mixed_rows_in_any_order(fit: Ask, d: Drawn) -> Rows:
    """The order of the rows is of no account to a mixed model; their names go with them."""
    case = mixed(grouped(d.problem), d, SLOPE)
    one, other = fit(case), fit(case.with_data(case.data.iloc[list(d.order)]))
    yield from unchanged(other, one, (*OF_FIXED, *OF_COVARIANCE, *OF_THE_FIT, *OF_GROUPS, "scaled_residual_quantiles"))
    labels = [(label,) for label in other.case.data.index]
    for name in ("fitted", "residuals"):
        yield from same(other, name, one.known(name).at(labels))


def groups_under_any_name(fit: Ask, d: Drawn) -> Rows:
    """Groups are told apart, not sorted: under other names they keep their random effects."""
    p = grouped(d.problem)
    names = {label: f"n{d.order[at]:02d}" for at, label in enumerate(sorted(set(p.frame["g"])))}
    one, other = fit(mixed(p, d)), fit(mixed(p.with_columns(g=p.frame["g"].map(names)), d))
    yield from unchanged(other, one, (*OF_FIXED, *OF_COVARIANCE, *OF_THE_FIT, "fitted", "residuals"))

    def moved(label: str) -> str:
        group, level, *rest = label.split("/")
        return "/".join([group, names[level], *rest])

    for name in OF_GROUPS:
        yield from same(other, name, renamed(one.known(name), moved).at(other.known(name).cells.labels))


# -- other units -------------------------------------------------------------------------------------------------------


def mixed_response_in_other_units(fit: Ask, d: Drawn) -> Rows:
    """y -> a y + b leaves theta and moves the criterion by its number of rows (less coefficients) times log a^2."""
    p = grouped(d.problem)
    one, other = fit(mixed(p, d)), fit(mixed(p.with_columns(y=d.a * p.frame["y"] + d.b), d))
    coef = one.known("coef").times(d.a)
    yield from same(
        other, "coef", coef.plus(d.b * np.array([label == ("(Intercept)",) for label in coef.cells.labels]))
    )
    for name, factor in (
        ("std_error", abs(d.a)),
        ("sigma", abs(d.a)),
        ("sd", abs(d.a)),
        ("theta", 1.0),
        ("ranef", d.a),
    ):
        yield from same(other, name, one.known(name).times(factor))
    yield from unchanged(other, one, ("cor", "is_singular", "fixef_correlation"))
    rows = one.number("nobs") - (one.number("rank") if d.type == "REML" else 0)
    yield from same(other, "objective", one.known("objective").plus(2 * rows * np.log(abs(d.a))))


def slopes_in_other_units(fit: Ask, d: Drawn) -> Rows:
    """x -> a x divides by a what belongs to x, in theta and among the random effects too."""
    p, a = grouped(d.problem), d.a
    one, other = fit(mixed(p, d, SLOPE)), fit(mixed(p.with_columns(x1=a * p.frame["x1"]), d, SLOPE))

    def divided(known: Known, own: Callable[[str], bool], by: float) -> Known:
        return known.times(np.array([1 / by if own(label[0]) else 1.0 for label in known.cells.labels]))

    yield from same(other, "coef", divided(one.known("coef"), lambda label: label == "x1", a))
    yield from same(other, "std_error", divided(one.known("std_error"), lambda label: label == "x1", abs(a)))
    yield from same(other, "sd", divided(one.known("sd"), lambda label: label == "g.x1", abs(a)))
    yield from same(other, "ranef", divided(one.known("ranef"), lambda label: label.endswith("/x1"), a))
    theta = divided(one.known("theta"), lambda label: label == "g.x1", abs(a))
    yield from same(other, "theta", divided(theta, lambda label: label == "g.x1.(Intercept)", a))
    yield from same(other, "cor", one.known("cor").times(np.sign(a)))
    shift = 2 * np.log(abs(a)) if d.type == "REML" else 0.0
    yield from same(other, "objective", one.known("objective").plus(shift))
    yield from unchanged(other, one, ("sigma", "is_singular", "nobs", "df_residual"))


def slopes_from_another_origin(fit: Ask, d: Drawn) -> Rows:
    """x -> x + b takes b times the slopes off the intercepts, theta turned accordingly, and leaves all else."""
    p = grouped(d.problem)
    b = float(d.b / 50 * p.frame["x1"].std())
    one, other = fit(mixed(p, d, SLOPE)), fit(mixed(p.with_columns(x1=p.frame["x1"] + b), d, SLOPE))

    def moved(values: Floats) -> Floats:
        """Pairs of an intercept and a slope."""
        pairs = values.reshape(-1, 2)
        return np.column_stack([pairs[:, 0] - b * pairs[:, 1], pairs[:, 1]]).ravel()

    def turned(theta: Floats) -> Floats:
        """The lower triangular factor of A Lambda Lambda'A', with A = [[1, -b], [0, 1]] and Lambda of this theta."""
        first, below, last = theta[0] - b * theta[1], theta[1], theta[2]
        size = np.hypot(first, b * last)
        return np.array([size, (first * below - b * last**2) / size, theta[0] * last / size])

    for name in ("coef", "ranef", "coef_by_group"):
        yield from same(other, name, one.known(name).through(moved))
    yield from same(other, "theta", one.known("theta").through(turned))
    A = np.array([[1.0, -b], [0.0, 1.0]])
    yield from same(other, "vcov", one.known("vcov").through(lambda V: (A @ V.reshape(2, 2) @ A.T).ravel()))
    yield from unchanged(other, one, ("sigma", "is_singular", "fitted", "residuals", *OF_THE_FIT))


# -- copies ------------------------------------------------------------------------------------------------------------


def copied_groups_keep_theta(fit: Ask, d: Drawn) -> Rows:
    """The whole data again as new groups leaves the estimates by maximum likelihood, with smaller standard errors."""
    p, k = grouped(d.problem), min(d.times, 4)
    many = p.with_rows(np.tile(np.arange(p.n), k))
    many = many.with_columns(g=[f"{label} {i // p.n}" for i, label in enumerate(many.frame["g"])])
    one, other = (fit(q.case("lmer", INTERCEPT, REML=False)) for q in (p, many))
    yield from unchanged(other, one, ("coef", "theta", "sd", "sigma", "is_singular"))
    yield from same(other, "std_error", one.known("std_error").times(1 / np.sqrt(k)))
    yield from same(other, "objective", one.known("objective").times(k))


# -- one fit -----------------------------------------------------------------------------------------------------------


def modes_add_to_nothing(fit: Ask, d: Drawn) -> Rows:
    """Random effects of a column that is among the fixed effects add up to zero over the groups."""
    one = fit(mixed(grouped(d.problem), d, SLOPE))
    known = one.known("ranef")
    for column in ("(Intercept)", "x1"):
        mine = np.array([label[0].endswith(f"/{column}") for label in known.cells.labels])
        limit = Held(np.array([np.sum(known.held.allowed[mine])]), f"summed: {known.held.reason}")
        yield zero(Cell("ranef", ("sum", column)), float(np.sum(known.cells.values[mine])), limit)


def fixed_effects_are_generalised_least_squares(fit: Ask, d: Drawn) -> Rows:
    """At its theta a random intercept's coefficients are those of least squares with V = I + theta^2 Z Z'."""
    p = grouped(d.problem)
    one = fit(mixed(p, d))
    theta, sigma = one.number("theta"), one.number("sigma")
    Z = np.equal.outer(p.frame["g"].to_numpy(), np.unique(p.frame["g"])).astype(np.float64)
    root = np.linalg.cholesky(np.eye(p.n) + theta**2 * Z @ Z.T)
    X, y = np.linalg.solve(root, p.X.to_numpy()), np.linalg.solve(root, p.frame["y"].to_numpy())
    R = np.linalg.qr(X, mode="r")
    inverse = np.linalg.inv(R)
    coef, se = np.linalg.lstsq(X, y)[0], sigma * np.linalg.norm(inverse, axis=1)
    for name, values in (("coef", coef), ("std_error", se)):
        known = one.known(name)
        cells = Labelled(tuple((column,) for column in p.X.columns), values)
        yield from same(one, name, Known(cells, known.held))


def fitted_are_the_sum_of_their_parts(fit: Ask, d: Drawn) -> Rows:
    """Fitted values are the row's columns times the coefficients of its group."""
    p = grouped(d.problem)
    one = fit(mixed(p, d, SLOPE))
    of_group = one.known("coef_by_group").cells.as_dict()
    rows = zip(p.frame["g"], p.frame["x1"], strict=True)
    values = [of_group[(f"g/{g}/(Intercept)",)] + x * of_group[(f"g/{g}/x1",)] for g, x in rows]
    cells = Labelled(tuple((label,) for label in p.frame.index), np.array(values))
    yield from same(one, "fitted", Known(cells, one.known("fitted").held))


def uncorrelated_is_correlated_at_zero(fit: Ask, d: Drawn) -> Rows:
    """(x || g) has the objective of (x | g) where the factor is diagonal."""
    p, REML = grouped(d.problem), d.type == "REML"
    thetas = [[1.0, 0.5], [0.3, 2.0], [0.0, 1.0]]
    two = fit(p.case("lmer", "y ~ 1 + x1 + (x1 || g)", REML=REML, theta_at=thetas))
    whole = fit(p.case("lmer", SLOPE, REML=REML, theta_at=[[a, 0.0, b] for a, b in thetas]))
    yield from unchanged(two, whole, ("objective_at",))


def balanced_is_analysis_of_variance(fit: Ask, d: Drawn) -> Rows:
    """In a balanced one-way layout REML is what the mean squares give, and zero where they give less."""
    groups, size = 6, d.problem.n // 6
    p = d.problem.with_rows(range(groups * size))
    g = np.arange(groups * size) % groups
    y = p.frame["y"].to_numpy() + d.a / 100 * np.cos(g)
    one = fit(p.with_columns(g=[f"g{k}" for k in g], y=y).case("lmer", "y ~ 1 + (1 | g)"))
    means = np.array([y[g == k].mean() for k in range(groups)])
    within = float(np.sum((y - means[g]) ** 2)) / (groups * (size - 1))
    between = float(np.sum((means - y.mean()) ** 2)) * size / (groups - 1)
    variance = max(between - within, 0.0) / size
    if variance == 0:
        within = float(np.sum((y - y.mean()) ** 2)) / (groups * size - 1)
    yield from wanted(one, {"sigma": {(): np.sqrt(within)}, "sd": {("g.(Intercept)",): np.sqrt(variance)}})
    yield from wanted(one, {"coef": {("(Intercept)",): float(y.mean())}})


def no_variance_between_is_least_squares(fit: Ask, d: Drawn) -> Rows:
    """Groups that do not differ have a variance of zero, and the coefficients and residual variance of lm."""
    p = d.problem
    within = {name: p.frame[name] - p.frame.groupby("g")[name].transform("mean") for name in ("y", "x1")}
    p = p.with_columns(**within)
    one, linear = fit(mixed(p, d)), fit(p.case("lm", "y ~ 1 + x1"))
    n, df = linear.number("nobs"), linear.number("df_residual")
    factor = 1.0 if d.type == "REML" else np.sqrt(df / n)
    for name, by in (("coef", 1.0), ("sigma", factor), ("std_error", factor), ("fitted", 1.0), ("residuals", 1.0)):
        yield from same(one, name, linear.known(name).times(by))
    yield from wanted(one, {"sd": {("g.(Intercept)",): 0.0}, "is_singular": {(): 1.0}})
    if d.type == "ML":
        yield from same(one, "loglik", linear.known("loglik"))


def criteria_are_apart_by_a_determinant(fit: Ask, d: Drawn) -> Rows:
    """At one theta the REML criterion is the deviance and log|X'V^-1X|, with n - p in the place of n."""
    p = grouped(d.problem)
    thetas = [0.0, 0.5, 2.0]
    REML, ML = (fit(p.case("lmer", INTERCEPT, REML=kind, theta_at=[[t] for t in thetas])) for kind in (True, False))
    Z = np.equal.outer(p.frame["g"].to_numpy(), np.unique(p.frame["g"])).astype(np.float64)
    X, y, apart = p.X.to_numpy(), p.frame["y"].to_numpy(), []
    n, k = X.shape
    for theta in thetas:
        V = np.eye(n) + theta**2 * Z @ Z.T
        XVX, XVy = X.T @ np.linalg.solve(V, X), X.T @ np.linalg.solve(V, y)
        e = y - X @ np.linalg.solve(XVX, XVy)
        rss = float(e @ np.linalg.solve(V, e))
        rows = [df * (1 + np.log(2 * np.pi * rss / df)) for df in (n - k, n)]
        apart.append(float(np.linalg.slogdet(XVX)[1]) + rows[0] - rows[1])
    yield from same(REML, "objective_at", ML.known("objective_at").plus(np.array(apart)))


def predictions_are_the_sum_of_their_parts(fit: Ask, d: Drawn) -> Rows:
    """A prediction is the fixed part's, and the random effects of its group times its columns."""
    p = grouped(d.problem)
    rows = p.frame.iloc[:5].assign(x1=lambda frame: 2 * frame["x1"] + 1)
    case = p.case("lmer", SLOPE, REML=d.type == "REML", newdata=rows[["x1", "g"]].to_dict("list"))
    one = fit(case)
    b = one.known("ranef").cells.as_dict()
    random = [b[(f"g/{g}/(Intercept)",)] + x * b[(f"g/{g}/x1",)] for g, x in zip(rows["g"], rows["x1"], strict=True)]
    yield from same(one, "predicted", one.known("predicted_fixed").plus(np.array(random)))
    X, coef = np.column_stack([np.ones(len(rows)), rows["x1"]]), one.known("coef").cells.values
    labels = one.known("predicted_fixed").cells.labels
    yield from wanted(one, {"predicted_fixed": dict(zip(labels, X @ coef, strict=True))})


def wanted(one: Fit, values: Mapping[str, Mapping[Label, float]]) -> Rows:
    """Quantities of a fit against numbers known from elsewhere, held to what the fit's own are."""
    for name, cells in values.items():
        known = Labelled(tuple(cells), np.array(list(cells.values())))
        yield from same(one, name, Known(known, one.known(name).held))


# -- anova -------------------------------------------------------------------------------------------------------------

MODELS = {"1": INTERCEPT, "2": SLOPE}
OF_ANOVA = ("npar", "aic", "bic", "loglik", "deviance", "chisq", "chi_df", "p_value")


def anova_fits_by_maximum_likelihood(fit: Ask, d: Drawn) -> Rows:
    """Fits by REML are compared as those by maximum likelihood are."""
    p = grouped(d.problem)
    one, other = (fit(p.case("lmer_anova", INTERCEPT, formulas=[SLOPE], REML=REML)) for REML in (True, False))
    yield from unchanged(other, one, OF_ANOVA)


def anova_is_of_its_fits(fit: Ask, d: Drawn) -> Rows:
    """anova's deviances are those of the fits alone."""
    p = grouped(d.problem)
    table = fit(p.case("lmer_anova", INTERCEPT, formulas=[SLOPE], REML=False))
    alone = {label: fit(p.case("lmer", text, REML=False)).number("objective") for label, text in MODELS.items()}
    yield from same(table, "deviance", Known(labelled(alone), table.known("deviance").held))


# More rows than twice as many groups as may be drawn: lmer refuses more random effects.
DATA = draw.problems(
    rows=(40, 60), columns=(1, 1), condition=10.0, intercept=True, decades=0.5, noise=(1.0,), least_clusters=5
)
