"""What agreement each quantity can be held to, and why: every tolerance of the project has its one home here.

Nothing here is tuned: an algebraic cell may differ by what rounding alone can do to it in this very case (see
noise and conditioning), and by R's own floor across BLAS builds. Who compares is compare.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from compat.cells import Labelled
from compat.conditioning import EPS, Conditioning
from compat.noise import Scene, rule_for
from compat.quantities import Kind, kind_of
from compat.standing import OBJECTIVE, SINGULAR, Standing

Floats = NDArray[np.float64]

# R against R: reference BLAS, OpenBLAS, BLIS and ATLAS agree to 13.0 digits or better on well-conditioned linear
# models (measured with R 4.2.2). One digit of room makes this what no port can be asked to beat.
FLOOR = 1e-12

# Below the smallest double of full precision a tail probability has fewer digits, and R prints < 2.2e-16 anyway.
SMALLEST_P = 1e-300

# Two conventions differ by a factor of the sample's size; numbers that agree to seven digits by chance are not met.
# Of an optimised fit four: its search may have stopped early, and that must not hide whose criterion it followed.
EXPLAINED_DIGITS, EXPLAINED_DIGITS_OPTIMISED = 7.0, 4.0

# R gets Satterthwaite's degrees of freedom by numerical derivatives: lmerTest 3.1-3 was up to 6e-8 off, relatively.
PRINTED_SLACK: Mapping[str, float] = {"df": 2e-7, "den_df": 2e-7}


@dataclass(frozen=True, eq=False)
class Second:
    """Another place for the cells: expected + `shift` (m,), within `allowed` (m,); R stopped early if `behind`."""

    shift: Floats
    allowed: Floats
    reason: str
    behind: bool


@dataclass(frozen=True, eq=False)
class Held:
    """What the cells of a quantity are held to: the difference allowed (m,), of logarithms if `on_log`, and why.

    `second` is what a cell beyond that may still be; `stopped` says why the answer is not at its optimum, if it is not.
    """

    allowed: Floats
    reason: str
    on_log: bool = False
    second: Second | None = None
    stopped: str = ""


def held(scene: Scene, name: str, cells: Labelled) -> Held:
    """Return what the expected `cells` of a quantity are held to in this scene."""
    kind = kind_of(name, scene.case.estimator)
    if kind is Kind.EXACT:
        return Held(np.zeros(cells.values.size), "a count: equality")
    if kind is Kind.TAIL:
        return _tail(scene, name, cells)
    if kind is Kind.BOUNDARY:
        return _boundary(scene, cells)
    if kind is Kind.OPTIMISED:
        return _optimised(scene, name, cells)
    return _algebraic(scene, name, cells)


def _algebraic(scene: Scene, name: str, cells: Labelled) -> Held:
    floor = FLOOR * np.nan_to_num(np.abs(cells.values), posinf=0.0)
    noise, reason = _noise(scene, name, cells)
    if noise is None:
        return Held(floor, f"R's own floor across BLAS builds, 1e-12 relative{reason}")
    return Held(np.maximum(np.where(np.isnan(noise), 0.0, noise), floor), f"{reason}; at least 1e-12 relative")


def _noise(scene: Scene, name: str, cells: Labelled) -> tuple[Floats | None, str]:
    """The rule's noise, or None with what stood in its way."""
    entry = rule_for(name, scene.case.estimator)
    if entry is None:
        return None, ""
    anova = scene.case.estimator == "anova"
    profile = next(iter(scene.models), None) if anova else scene.conditioning
    if profile is None or (anova and len(scene.models) != cells.values.size):
        return None, f" (no model matrix: {scene.problem})" if scene.problem else ""
    return entry.rule(scene, profile, cells), entry.reason


# -- optimised -------------------------------------------------------------------------------------------------------


def _optimised(scene: Scene, name: str, cells: Labelled) -> Held:
    """A cell of a mixed model is as good as its theta. Two answers may differ by what the distance of each from the
    best known optimum moves the cell, and by the rounding of the equations at a given theta.

    That distance is evaluated where a theta is known and the objective there is what the answer states; else it is the
    farthest that the cell gets where the objective is as far above its minimum (2 excess = d'Hd, H its Hessian).
    Where a theta is elsewhere but its objective as low, or where R is above its optimum by more than OBJECTIVE, the
    cells must differ by what the two thetas make them differ: that R stopped early excuses that, and nothing else.
    """
    if scene.case.estimator == "lmer_anova":
        return _likelihoods(scene, name, cells)
    standing = scene.standing
    if standing is None or name not in standing.model.labels:
        floor = FLOOR * np.nan_to_num(np.abs(cells.values), posinf=0.0)
        return Held(floor, f"1e-12 relative: no optimum is known ({scene.problem or 'nothing tells of it'})")
    place = {label: at for at, label in enumerate(standing.model.labels[name])}
    where = np.array([place.get(label, -1) for label in cells.labels], dtype=np.intp)

    def beside(values: Floats) -> Floats:
        return np.where(where < 0, 0.0, values[where]) if values.size else np.zeros(where.size)

    allowed = np.maximum(beside(standing.allowed(name)), FLOOR * np.nan_to_num(np.abs(cells.values)))
    reason = f"theta's distance from the optimum: R is {standing.r.above:.1e} above it, this {standing.mine.above:.1e}"
    return Held(allowed, reason, second=_elsewhere(standing, name, allowed, beside), stopped=standing.stopped)


def _elsewhere(standing: Standing, name: str, allowed: Floats, beside: Callable[[Floats], Floats]) -> Second | None:
    """Where the cells may be because the two thetas are far apart."""
    behind = standing.behind
    if standing.stopped:
        return None
    shift = standing.shift(name)
    if shift is not None:
        reason = behind or "another theta, where the objective is as low"
        return Second(beside(np.nan_to_num(shift)), allowed, reason, bool(behind))
    if not behind:
        return None
    further = np.nan_to_num(beside(standing.further(name)), nan=np.inf)
    return Second(np.zeros(allowed.size), allowed + further, behind, True)


def _boundary(scene: Scene, cells: Labelled) -> Held:
    """The fact of singularity, unless theta is at lme4's limit of it to within what it is known to."""
    standing = scene.standing
    if standing is None:
        return Held(np.zeros(cells.values.size), "a fact: equality")
    second = Second(np.zeros(1), np.ones(1), standing.behind, True) if standing.behind else None
    if standing.both_facts():
        return Held(np.ones(1), f"theta is known to what leaves this open: its diagonal is at {SINGULAR}")
    return Held(np.zeros(1), "a fact: equality", second=second, stopped=standing.stopped)


# How a quantity of anova moves with the deviance of its model.
_PER_DEVIANCE: Mapping[str, float] = {"deviance": 1.0, "aic": 1.0, "bic": 1.0, "loglik": 0.5, "chisq": 2.0}


def _likelihoods(scene: Scene, name: str, cells: Labelled) -> Held:
    """Deviances at the optimum are held to OBJECTIVE, differences to twice that; an R above its optimum by more is
    excused as far as the best known one.
    """
    best = {str(i): value for i, value in enumerate(scene.best_deviances, 1)}
    theirs, mine = scene.expected["deviance"].as_dict(), scene.given.get("deviance")
    size = np.nan_to_num(np.abs(np.array(list(theirs.values())))).max(initial=0.0)
    limit = OBJECTIVE + 10 * FLOOR * size
    above = {label[0]: max(value - best.get(label[0], value), 0.0) for label, value in theirs.items()}
    behind = [label for label, value in above.items() if value > limit]
    given = {} if mine is None else mine.as_dict()
    stopped = [label[0] for label, value in given.items() if value > theirs.get(label, np.inf) + limit]
    factor = _PER_DEVIANCE[name]
    second = None
    if behind:
        farther = factor * (limit + max(above.values()))
        reason = f"R's deviance of model {', '.join(behind)} is {max(above.values()):.3g} above the best known"
        second = Second(np.zeros(cells.values.size), np.full(cells.values.size, farther), reason, True)
    said = f"the deviance of model {', '.join(stopped)} is above R's" if stopped else ""
    allowed = np.full(cells.values.size, factor * limit)
    return Held(allowed, "deviances at the optimum: 1e-7", second=second, stopped=said)


# -- tails -----------------------------------------------------------------------------------------------------------


def t_elasticity(t: Floats, df: float) -> Floats:
    """Bound of |d log p / dt| for the two-sided p-value of t on `df` (or the normal, df infinite).

    Integrating d/ds[f(s)(df + s^2)/(df s)] = -f(s)(1 + 1/s^2) from t on bounds f(t)/sf(t) by
    (t + 1/t) df/(df + t^2); and a normal hazard, which no t exceeds, is below 1 + t.
    """
    t = np.abs(t)
    with np.errstate(divide="ignore", invalid="ignore"):
        far = (t + 1 / t) * (1 / (1 + t**2 / df))
    return np.fmin(far, 1 + t)


def f_elasticity(value: Floats, df1: Floats, df2: Floats) -> Floats:
    """Bound of |d log p / d log F|: it increases to df2/2, and for df2 infinite (chi-squared/df1) to (df1 F + 1)/2."""
    return np.fmin(df2 / 2, (df1 * value + 1) / 2)


def _tail(scene: Scene, name: str, cells: Labelled) -> Held:
    """The logarithm of p moves by its elasticity times the noise of its statistic; R's own p is good to 1e-12."""
    if scene.case.estimator == "lmer_anova":
        return _chi2_tail(scene, cells)
    if scene.case.estimator == "plm_test":
        source, moved = _test_tail(scene, cells)
    else:
        source, moved = _TAILS[(scene.case.estimator == "anova", name)](scene, cells)
    statistic = scene.expected.get(source)
    logs = np.abs(np.log(np.clip(np.nan_to_num(cells.values, nan=1.0), SMALLEST_P, None)))
    own = np.full(cells.values.size, FLOOR) + 16 * EPS * logs
    if statistic is None:
        return Held(own, "log scale, 1e-12: the statistic is not known", on_log=True)
    reason = f"log scale: the noise of {source} times the tail's elasticity; at least 1e-12"
    return Held(own + np.where(np.isnan(moved), 0.0, moved), reason, on_log=True)


def _of_statistic(scene: Scene, source: str, cells: Labelled) -> tuple[Floats, Floats]:
    """The expected statistic at the labels of its p-values, and its noise."""
    found = scene.expected.get(source)
    if found is None:
        return np.full(cells.values.size, np.nan), np.full(cells.values.size, np.nan)
    noise = dict(zip(found.labels, _algebraic(scene, source, found).allowed.tolist(), strict=True))
    values = scene.beside(source, cells)
    return values, np.array([noise.get(label, np.nan) for label in cells.labels])


def _t_tail(scene: Scene, cells: Labelled) -> tuple[str, Floats]:
    df = scene.scalar("df")
    df = scene.scalar("df_residual") if np.isnan(df) else df
    values, noise = _of_statistic(scene, "statistic", cells)
    return "statistic", np.where(np.isinf(noise), np.inf, t_elasticity(values, df if df == df else np.inf) * noise)


def _ratio_tail(source: str, df1: str, df2: str) -> Callable[[Scene, Labelled], tuple[str, Floats]]:
    def tail(scene: Scene, cells: Labelled) -> tuple[str, Floats]:
        values, noise = _of_statistic(scene, source, cells)
        lower = scene.beside(df1, cells)
        upper = np.full(cells.values.size, np.inf) if not df2 else scene.beside(df2, cells)
        if source in ("lr_chi2", "wald_chi2"):
            values, noise = values / lower, noise / lower
        if scene.case.estimator == "anova":  # the largest model's
            upper = np.full(cells.values.size, np.nanmin(upper, initial=np.inf))
        with np.errstate(divide="ignore", invalid="ignore"):
            return source, np.where(
                np.isinf(noise), np.inf, f_elasticity(np.abs(values), np.abs(lower), upper) * noise / np.abs(values)
            )

    return tail


def _test_tail(scene: Scene, cells: Labelled) -> tuple[str, Floats]:
    """A panel test's tail: of F or chi-squared where it has degrees of freedom, else of the normal."""
    values, noise = _of_statistic(scene, "statistic", cells)
    found = scene.expected.get("parameter")
    given = {} if found is None else {label[0]: value for label, value in found.as_dict().items()}
    if "w0" in given:  # a mixture of chi-squared: no tail is steeper than that of two degrees of freedom
        return "statistic", f_elasticity(values / 2, np.full(1, 2.0), np.full(1, np.inf)) * noise / np.abs(values)
    if not given:
        return "statistic", t_elasticity(values, np.inf) * noise
    df1 = np.full(1, given.get("df1", given.get("df", 1.0)))
    df2 = np.full(1, given.get("df2", np.inf))
    per_df = values / (1.0 if "df2" in given else df1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return "statistic", f_elasticity(per_df, df1, df2) * noise / np.abs(values)


def _chi2_tail(scene: Scene, cells: Labelled) -> Held:
    """Of a likelihood ratio that is held to what its deviances are."""
    statistic = scene.expected["chisq"]
    values, df = statistic.values, scene.beside("chi_df", cells)
    limits = _likelihoods(scene, "chisq", statistic)

    def on_log(moved: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            far = f_elasticity(values / df, df, np.full(df.size, np.inf)) * moved / values
        # Near zero p is 1 less the root of chisq, times less than one (df = 1, and less for more).
        return np.nan_to_num(np.where(values > moved, far, np.sqrt(moved + np.abs(values)))) + FLOOR

    second = limits.second
    if second is not None:
        second = Second(second.shift, on_log(second.allowed), second.reason, second.behind)
    reason = "log scale: what chisq is held to times the tail's elasticity"
    return Held(on_log(limits.allowed), reason, on_log=True, second=second, stopped=limits.stopped)


_TAILS: Mapping[tuple[bool, str], Callable[[Scene, Labelled], tuple[str, Floats]]] = {
    (False, "p_value"): _t_tail,
    (False, "f_p_value"): _ratio_tail("f_statistic", "f_numdf", "f_dendf"),
    (False, "lr_p_value"): _ratio_tail("lr_chi2", "lr_df", ""),
    (False, "wald_p_value"): _ratio_tail("wald_chi2", "wald_df", ""),
    (True, "p_value"): _ratio_tail("f_statistic", "df", "df_residual"),
}


# -- two fits of one implementation, for relations -------------------------------------------------------------------

# Copies of rows change no condition and only sums of equal terms: on data of condition below a hundred, what R's own
# floor leaves.
CLONED = 1e-12


def both(one: Held, other: Floats, stopped: str = "") -> Held:
    """What a cell known from one fit is held to in another: the noise of both. `stopped`: why one is no optimum."""
    return Held(one.allowed + np.nan_to_num(other), f"in both fits: {one.reason}", one.on_log, stopped=stopped)


def early(limits: Held) -> str:
    """Why the fit whose cells are held to this is not at its optimum, empty where it is."""
    return limits.second.reason if limits.second is not None and limits.second.behind else limits.stopped


def cloned(size: Floats) -> Held:
    """1e-12 of each cell's size: its own, or the two standard errors' for a covariance."""
    return Held(CLONED * np.nan_to_num(np.abs(size)), "copies of rows: 1e-12 relative")


def square_sum(noise: Floats) -> Held:
    """An eigenvalue of a symmetric matrix moves by no more than the length of what is added (Weyl 1912)."""
    return Held(np.array([np.sqrt(np.sum(noise**2))]), "noise of both matrices: an eigenvalue moves by no more")


def orthogonal(profile: Conditioning, length: float) -> Held:
    """A column of a length times the residuals: their noise, and the rounding of the sum."""
    limit = length * (profile.fit_noise + profile.unit * profile.residual)
    return Held(np.array([limit]), "the length of the column times the noise of the residuals")


# -- numbers that somebody printed, and certified ones ---------------------------------------------------------------


def printed(text: str) -> Decimal:
    """Half a unit of the last digit of a printed number: what its rounding hides."""
    exponent = Decimal(text).as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"{text!r} is not a finite number")
    return Decimal(1).scaleb(exponent) / 2


# A factor of two in the last rounding error is luck, not accuracy; and from 13 digits on R's own digits change with
# its BLAS, so nobody is asked for more.
LUCK = 0.3
ENOUGH = 13.0


def accurate_enough(digits: float, digits_of_r: float) -> bool:
    """Whether so many certified digits will do where R has `digits_of_r`: as many as R, up to 13, less a factor of 2.

    Both are the least over the cells of one quantity: R may be lucky in one coefficient, not in all.
    """
    return digits >= min(digits_of_r, ENOUGH) - LUCK
