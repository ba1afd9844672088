"""Where R's optimiser stopped: one theta for all printed numbers of an lmer fit that the optimum itself does not give.

lme4 stops a little above the minimum, so the last digits it prints are those of a theta nearby. That theta is sought
from the printed numbers (a linear programme on their sensitivities), and believed where it accounts for several of
them, or for a lone one in which more than one digit differs: a single digit changed in what R prints at the optimum it
never excuses, unless the criterion is the same double either way: then no optimiser could tell.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import LinearConstraint, linprog, minimize

from compat.adapters.models import Fitted, Refused, at_theta, height, theta_of
from compat.compare import Verdict
from compat.published import Block, Sort
from compat.tolerance import PRINTED_SLACK
from compat.transcript.answers import Answer, answer
from compat.transcript.judge import Row, judge
from compat.transcript.language import NotRead
from compat.transcript.models import Fits, model_key
from compat.transcript.values import Model

Floats = NDArray[np.float64]
EPS = float(np.finfo(np.float64).eps)
HIGHEST = 1e-6  # above the least deviance: lme4 1.1-31 was seen to stop up to 3e-7 above it
SEVERAL = 2  # numbers that the optimum does not give and this theta does
ROUNDS = 3
MOST_TRIES = 40
STEP = 1e-4  # of theta, for differences
INSIDE = 0.49999  # of a unit: how near its edge a number may lie within the interval of its text


@dataclass(frozen=True)
class Printed:
    """A block, the answer it was held against, and the rows of that."""

    block: Block
    answer: Answer
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Stop:
    """A theta, and how far above the least deviance it is."""

    theta: Floats
    height: float


def stopped(printed: Sequence[Printed], fits: Fits) -> list[tuple[Row, ...]]:
    """The rows of every block again, those that a stop of R's optimiser explains with that verdict."""
    out = [one.rows for one in printed]
    for model in _models(printed):
        key = model_key(model)
        own = [i for i, one in enumerate(printed) if any(model_key(m) == key for m in one.answer.models)]
        blocks = [replace(printed[i], rows=out[i]) for i in own]
        for i, rows in zip(own, _of_model(model, blocks, fits), strict=True):
            out[i] = rows
    return out


def _models(printed: Sequence[Printed]) -> list[Model]:
    """lmer models of which some number is unexplained, each once."""
    found: dict[str, Model] = {}
    for one in printed:
        if any(row.verdict is Verdict.UNEXPLAINED for row in one.rows):
            for model in one.answer.models:
                if model.estimator == "lmer" and model.data is not None:
                    found.setdefault(model_key(model), model)
    return list(found.values())


def _of_model(model: Model, printed: Sequence[Printed], fits: Fits) -> list[tuple[Row, ...]]:
    rows = [one.rows for one in printed]
    try:
        fitted = fits.of(model)
        stop = _stop(model, fitted, printed, fits)
        if stop is None:
            return rows
        again = _judged_at(model, fitted, stop.theta, printed, fits)
    except (NotRead, Refused):
        return rows
    pairs = [(row, other) for a, b in zip(rows, again, strict=True) for row, other in zip(a, b, strict=True)]
    explained = sum(row.verdict is Verdict.UNEXPLAINED and other.fine for row, other in pairs)
    believed = explained >= SEVERAL or stop.height <= EPS * abs(fitted.fit.criterion) or _lone(pairs)
    return [
        tuple(_explained(row, other, stop, believed) for row, other in zip(a, b, strict=True))
        for a, b in zip(rows, again, strict=True)
    ]


def _lone(pairs: Sequence[tuple[Row, Row]]) -> bool:
    """Whether a single number asks for this stop, all else that is printed of the model allows it, and no one digit
    changed in what R prints at the optimum gives its text.

    The others agree with the optimum too, so they can only refuse a stop, never prove one; and R prints the optimum's
    text where it stops nearer. A lone number that differs in one digit is therefore nobody's to tell.
    """
    off = [row for row, there in pairs if row.verdict is Verdict.UNEXPLAINED and there.fine]
    allowed = all(there.fine for row, there in pairs if row.fine)
    return len(off) == 1 and allowed and _digits_differ(off[0]) > 1


def _digits_differ(row: Row) -> int:
    """In how many places a printed number differs from the value at the optimum, rounded as it is."""
    printed, unit = row.cell.number.value, row.cell.number.unit
    if row.value is None or not np.isfinite(row.value) or not unit:
        return 0
    one, other = printed / unit, round(Fraction(row.value) / unit)
    if one.denominator != 1 or (one < 0) != (other < 0):
        return 0
    a, b = str(abs(int(one))), str(abs(other))
    width = max(len(a), len(b))
    return sum(x != y for x, y in zip(a.rjust(width, "0"), b.rjust(width, "0"), strict=True))


def _explained(row: Row, there: Row, stop: Stop, believed: bool) -> Row:
    if row.verdict is not Verdict.UNEXPLAINED or not there.fine or there.value is None:
        return row
    theta = ", ".join(f"{x:.8g}" for x in stop.theta)
    if believed:
        where = f"R stopped {stop.height:.1e} above the minimum, at theta = ({theta})"
        return replace(row, verdict=Verdict.REFERENCE_NOT_CONVERGED, value=there.value, reason=where, called=row.value)
    would = f"a stop of R's optimiser {stop.height:.1e} above the minimum would, but too few numbers speak for it"
    if _digits_differ(row) == 1:
        would += " and a single changed digit looks the same"
    return replace(row, reason=f"{row.reason}; {would}")


# ---- the theta that the printed numbers ask for ---------------------------------------------------------------------


def _stop(model: Model, fitted: Fitted, printed: Sequence[Printed], fits: Fits) -> Stop | None:
    theta = theta_of(fitted)
    if theta is None:
        return None

    def values(at: Floats) -> Floats:
        return _values(model, at_theta(fitted, at), printed, fits)

    slopes = _slopes(values, theta)
    texts = [row.cell.number for one in printed for row in one.rows]
    use = np.array([t.sort is Sort.NUMBER for t in texts]) & np.isfinite(slopes).all(axis=1)
    unit, target = (np.array([float(x) for x in xs]) for xs in zip(*((t.unit, t.value) for t in texts), strict=True))
    slack = [PRINTED_SLACK.get(row.cell.quantity, 0.0) for one in printed for row in one.rows]
    unit = unit + 2 * np.array(slack) * np.abs(target)
    H = _curvature(fitted, theta)
    reach, there = _reach(H, theta), theta
    for _ in range(ROUNDS):  # the slopes are good enough for what is left of the way
        r = (target - values(there)) / unit
        shift = _shift(slopes[use] / unit[use, None], r[use], reach)
        if shift is None:
            return None
        there = there + shift
    above = height(fitted, there)
    if above > HIGHEST:
        r = (target - values(there)) / unit
        there = theta + _lowest(slopes[use] / unit[use, None], r[use], H, there - theta, reach)
        above = height(fitted, there)
    return Stop(there, max(above, 0.0)) if above <= HIGHEST else None


def _slopes(values: Callable[[Floats], Floats], theta: Floats) -> Floats:
    """Derivatives of every cell by each theta, (cells, thetas); a theta on its bound stays there."""
    columns = []
    for k in range(len(theta)):
        step = np.zeros(len(theta))
        step[k] = STEP * max(1.0, abs(theta[k]))
        change = values(theta + step) - values(theta - step) if theta[k] else np.zeros(len(values(theta)))
        columns.append(change / (2 * step[k]))
    return np.stack(columns, axis=1)


def _values(model: Model, fitted: Fitted, printed: Sequence[Printed], fits: Fits) -> Floats:
    """What every cell would be with this fit; NaN where it has no value."""
    answers = _answers(model, fitted, printed, fits)
    found = [one.value(row.cell) for one, p in zip(answers, printed, strict=True) for row in p.rows]
    return np.array([np.nan if x is None else x for x in found], dtype=np.float64)


def _answers(model: Model, fitted: Fitted, printed: Sequence[Printed], fits: Fits) -> list[Answer]:
    key = model_key(model)
    fits.instead[key] = fitted
    try:
        return [
            one.answer if one.answer.of is None
            else replace(answer(one.answer.of, one.block, fits, one.answer.name), convention=one.answer.convention)
            for one in printed
        ]  # fmt: skip
    finally:
        del fits.instead[key]


def _judged_at(
    model: Model, fitted: Fitted, theta: Floats, printed: Sequence[Printed], fits: Fits
) -> list[tuple[Row, ...]]:
    """The rows had the search ended there."""
    key, moved = model_key(model), at_theta(fitted, theta)
    answers = _answers(model, moved, printed, fits)
    fits.instead[key] = moved
    try:
        return [tuple(judge(p.block, one)) for p, one in zip(printed, answers, strict=True)]
    finally:
        del fits.instead[key]


def _curvature(fitted: Fitted, theta: Floats) -> Floats:
    """Second derivatives of the criterion at its minimum; zero for a theta on its bound."""
    k = len(theta)
    step = 1e-3 * np.maximum(1.0, np.abs(theta))
    H = np.zeros((k, k))
    for i, j in itertools.product(np.flatnonzero(theta), repeat=2):
        a, b = np.eye(k)[i] * step, np.eye(k)[j] * step
        corners = [height(fitted, theta + s * a + t * b) for s, t in ((1, 1), (1, -1), (-1, 1), (-1, -1))]
        H[i, j] = (corners[0] - corners[1] - corners[2] + corners[3]) / (4 * step[i] * step[j])
    return np.asarray((H + H.T) / 2)


def _reach(H: Floats, theta: Floats) -> Floats:
    """How far each theta may go before the deviance has risen by HIGHEST, were it alone quadratic."""
    return np.asarray(np.sqrt(2 * HIGHEST * np.maximum(np.diag(np.linalg.pinv(H)), 0.0)) + 1e-12 * (theta != 0))


def _lowest(A: Floats, r: Floats, H: Floats, d: Floats, reach: Floats) -> Floats:
    """The shift of the least deviance that gives every number that the shift d gives; r is what is left there."""
    met = np.abs(r) <= 0.5
    size = np.where(reach > 0, reach, 1.0)
    A, r, Q, x = A[met] * size, r[met], H * np.outer(size, size) / HIGHEST, d / size
    margin = (0.5 + np.abs(r).max()) / 2

    def criterion(y: Floats) -> float:
        return float(y @ Q @ y) / 2

    def slope(y: Floats) -> Floats:
        return np.asarray(Q @ y)

    within = LinearConstraint(A, A @ x + r - margin, A @ x + r + margin)
    found = minimize(criterion, x, jac=slope, method="SLSQP", constraints=within)
    return np.asarray(found.x * size if found.success else d, dtype=np.float64)


def _shift(A: Floats, r: Floats, reach: Floats) -> Floats | None:
    """d with |r - A d| <= 1/2 for as many rows as can be found, and as deep inside these intervals as can be.

    An L1 fit over all rows, and one without each row that the optimum itself does not give, since one wrong number may
    pull hard. Every row counts the same in a fit, however many digits it has: its slack is measured by how far d can
    move it.
    """
    scale = A * reach
    leverage = np.abs(scale).sum(axis=1)
    near = np.abs(r) <= leverage + 0.5  # what no theta within reach can give says nothing of theta
    scale, r, leverage = scale[near], r[near], leverage[near]
    every = np.arange(len(r))
    tries = [every, *(np.delete(every, i) for i in np.flatnonzero(np.abs(r) > 0.5)[:MOST_TRIES])]
    found = [d for rows in tries if (d := _l1(scale[rows], r[rows], leverage[rows])) is not None]
    if not found:
        return None
    best = max(found, key=lambda d: int((np.abs(r - scale @ d) <= 0.5).sum()))
    met = np.abs(r - scale @ best) <= 0.5
    return np.asarray(_deepest(scale[met], r[met], best) * reach, dtype=np.float64)


def _l1(A: Floats, r: Floats, leverage: Floats) -> Floats | None:
    """d in the box of one that leaves least of |r - A d| beyond 1/2."""
    n, k = A.shape
    found = linprog(
        np.concatenate([np.zeros(k), 1 / np.maximum(leverage, 1.0)]),
        A_ub=np.block([[A, -np.eye(n)], [-A, -np.eye(n)]]),
        b_ub=np.concatenate([r + INSIDE, INSIDE - r]),
        bounds=[(-1.0, 1.0)] * k + [(0.0, None)] * n,
    )
    return np.asarray(found.x[:k], dtype=np.float64) if found.success and found.x is not None else None


def _deepest(A: Floats, r: Floats, otherwise: Floats) -> Floats:
    """d with all |r - A d| below 1/2, by half of what can be had, and there as small together as can be."""
    n, k = A.shape
    inside = np.ones((n, 1))
    first = linprog(
        np.append(np.zeros(k), -1.0),
        A_ub=np.block([[A, inside], [-A, inside]]),
        b_ub=np.concatenate([r + 0.5, 0.5 - r]),
        bounds=[*([(-1.0, 1.0)] * k), (0.0, 0.5)],
    )
    if not first.success or first.x is None:
        return otherwise
    margin = 0.5 - float(first.x[k]) / 2
    second = linprog(
        np.concatenate([np.zeros(k), np.ones(n)]),
        A_ub=np.block([[A, -np.eye(n)], [-A, -np.eye(n)]]),
        b_ub=np.concatenate([r, -r]),
        bounds=[(-1.0, 1.0)] * k + [(0.0, margin)] * n,
    )
    found = second.x if second.success and second.x is not None else first.x
    return np.asarray(found[:k], dtype=np.float64)
