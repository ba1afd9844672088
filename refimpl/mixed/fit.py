"""The search for the optimum of a mixed model: Newton's method until the gradient is rounding.

The free numbers x are the lower triangles of the terms' factors, of columns scaled to size one. Far from the optimum
the Hessian is the average information (Gilmour, Thompson and Cullis 1995, Biometrics 51), near it differences of the
gradient. The objective does not change when a column of a factor changes its sign, so x needs no bounds, and a zero
variance is a stationary point whatever the data say; whether it is the minimum is read from the derivative by Sigma,
which must have no negative eigenvalue there (Karush, Kuhn and Tucker).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refimpl.errors import NotConverged
from refimpl.linalg import Array, symmetric
from refimpl.mixed.blocks import Blocks
from refimpl.mixed.profile import Point, evaluate, triangles, vector

Free = NDArray[np.bool_]

STEPS = 100
CLOSE = 1e-2  # decrease of the objective that is promised where differences take the place of the average information
FLAT = 1e-9  # of the Hessian's eigenvalues, relative: no curvature
NEGATIVE = 1e-5  # likewise: less than what differences of the gradient can tell from none
ESCAPES = 5  # from saddles
ROUNDING = 1e-14  # of the objective, relative
TINY, EPS = float(np.finfo(np.float64).tiny), float(np.finfo(np.float64).eps)
DONE = 1e-25  # a step that promised no more than this of the objective was the last
SMALL = 1e-3  # a diagonal below this may be a zero that the search has not reached
STARTS = (1.0, 0.2, 4.0)  # tried after the first where that ends singular
LEVEL = 5e4  # times the rounding of pwrss: what rounding may leave of a scaled gradient
WORST = 1e-6  # and no more than that


@dataclass(frozen=True)
class Place:
    """A point of the search: x, the objective there, its gradient by x and the size of what that is a difference of.

    unit (k,): what an entry of x is measured in, the length of its row in the factor or one.
    """

    x: Array
    point: Point
    gradient: Array
    size: Array
    unit: Array

    @property
    def objective(self) -> float:
        """The objective."""
        return self.point.objective

    @property
    def noise(self) -> float:
        """What rounding may do to the objective."""
        return ROUNDING * abs(self.objective) + 4 * self.point.df * self.point.rounding


@dataclass(frozen=True)
class Optimum:
    """Where the search ended: factors of the scaled columns, the point there, and how it was reached.

    gradient: by the free entries of the factors; scaled_gradient: the largest of them relative to the two parts that it
    is the difference of; hessian_eigenvalues: by the same entries, each in units of its row's length or one;
    evaluations: of the objective with its gradient; singular: whether a Sigma is; kkt: the least eigenvalue of the
    derivatives by singular Sigmas, relative likewise (inf without one).
    """

    factors: tuple[Array, ...]
    point: Point
    gradient: Array
    scaled_gradient: float
    hessian_eigenvalues: Array
    evaluations: int
    singular: bool
    kkt: float

    @property
    def rounding(self) -> float:
        """What rounding may leave of a gradient, scaled likewise."""
        return LEVEL * self.point.rounding

    def checked(self) -> Optimum:
        """This, or NotConverged where it is a saddle, or the gradient is not down to its rounding."""
        allowed, curvature = min(self.rounding, WORST), self.hessian_eigenvalues
        if self.kkt < -allowed or curvature.min(initial=0.0) < -NEGATIVE * curvature.max(initial=0.0):
            raise NotConverged("the search ended on a saddle of the objective")
        if not self.scaled_gradient <= allowed:
            raise NotConverged(f"the gradient stays at {self.scaled_gradient:.1e} of what it is the difference of")
        return self


@dataclass
class Search:
    """The objective as a function of x; counts its evaluations."""

    blocks: Blocks
    REML: bool
    evaluations: int = 0

    def factors(self, x: Array) -> tuple[Array, ...]:
        """x as lower triangular factors, filled column by column."""
        return tuple(triangles(x, [term.r for term in self.blocks.terms]))

    def at(self, x: Array) -> Place:
        """The objective and its gradient 2 (dObjective/dSigma) Lambda."""
        self.evaluations += 1
        point = evaluate(self.blocks, self.factors(x), self.REML)
        parts = point.parts
        sizes = [np.full_like(A, np.abs(A).max() + np.abs(B).max()) for A, B in parts]
        units = [np.ones_like(L) * np.maximum(np.sqrt((L * L).sum(axis=1, keepdims=True)), 1.0) for L in point.factors]
        return Place(x, point, vector([A - B for A, B in parts]), vector(sizes), vector(units))

    def hessian(self, place: Place, free: Free) -> Array:
        """By differences of the gradient, in the free entries."""
        rows = []
        for entry in np.flatnonzero(free):
            h = max(1e-6, 10 * np.sqrt(place.point.rounding)) * place.unit[entry]
            ahead = place.x.copy()
            ahead[entry] += h
            rows.append((self.at(ahead).gradient - place.gradient)[free] / h)
        H = np.array(rows).reshape(len(rows), len(rows))
        return symmetric(H)


def optimise(blocks: Blocks, REML: bool, start: Sequence[Array] | None = None) -> Optimum:
    """The minimum, from `start` (factors of the scaled columns) or from the identity; to be `checked`.

    Where the first search ends singular, others start elsewhere and the lowest end is taken.
    """
    search = Search(blocks, REML)
    eye = [np.eye(term.r) for term in blocks.terms]
    ends = [_minimum(search, vector(eye if start is None else start))]
    if ends[0].singular:
        ends += [_minimum(search, size * vector(eye)) for size in STARTS[start is None :]]
    return min(ends, key=lambda end: end.point.objective)


def _minimum(search: Search, x: Array) -> Optimum:
    """From x down to a minimum, small variances taken for zeros where zero is no worse."""
    bumped = vector([factor + 0.1 * np.diag(factor.diagonal() == 0) for factor in search.factors(x)])
    free = np.ones(len(x), dtype=bool)
    place, H = _newton(search, bumped, free)
    for tried in _zeros(search, place.x):
        kept = vector([np.tril(np.ones_like(L)) * (L.diagonal() != 0) for L in search.factors(tried)]) > 0
        end, curvature = _newton(search, tried, kept)
        if end.objective <= place.objective + place.noise and _kkt(end.point) >= -LEVEL * end.point.rounding:
            place, H, free = end, curvature, kept
            break
    factors = tuple(canonical(factor) for factor in search.factors(place.x))
    return Optimum(
        factors=factors,
        point=place.point,
        gradient=place.gradient[free],
        scaled_gradient=float(np.max(np.abs(place.gradient / np.maximum(place.size, TINY))[free], initial=0.0)),
        hessian_eigenvalues=np.asarray(np.linalg.eigvalsh(_measured(H, place, free)), dtype=np.float64),
        evaluations=search.evaluations,
        singular=any((factor.diagonal() == 0).any() for factor in factors),
        kkt=_kkt(place.point),
    )


def _zeros(search: Search, x: Array) -> Iterator[Array]:
    """x with its small diagonals zero: all of them, then each alone."""
    factors = [canonical(factor) for factor in search.factors(x)]
    small = [(t, j) for t, factor in enumerate(factors) for j in range(len(factor)) if factor[j, j] < SMALL]
    for chosen in [small] * bool(small) + [[one] for one in small if len(small) > 1]:
        yield vector([canonical(factor, [j for s, j in chosen if s == t]) for t, factor in enumerate(factors)])


def canonical(factor: Array, zero: Sequence[int] = ()) -> Array:
    """The lower triangular factor of the same Sigma with a diagonal that is not negative, and zero columns under zeros.

    The rows named `zero` are taken to depend on those before them.
    """
    out, basis = np.zeros_like(factor), np.zeros_like(factor)
    for i, row in enumerate(factor):
        rest = row.copy()
        for j in range(i):
            out[i, j] = rest @ basis[j]
            rest -= out[i, j] * basis[j]
        size = np.linalg.norm(rest)
        if i not in zero and size > 1e-14 * np.linalg.norm(row):
            out[i, i], basis[i] = size, rest / size
    return out


def _kkt(point: Point) -> float:
    """The least eigenvalue of the derivatives by singular Sigmas, relative to their size; inf without any."""
    if all((factor.diagonal() != 0).all() for factor in point.factors):
        return np.inf
    least = np.inf
    for factor, (N, D) in zip(point.factors, point.scores, strict=True):
        if (factor.diagonal() == 0).any():
            size = np.abs(N).max() + np.abs(D).max()
            least = min(least, float(np.linalg.eigvalsh(N - D)[0]) / (size or 1.0))
    return least


def _newton(search: Search, x: Array, free: Free) -> tuple[Place, Array]:
    """A minimum in the free entries from x on, and the Hessian there; off again from a saddle."""
    for _ in range(ESCAPES):
        place, H = _polish(search, _descend(search, search.at(x), free), free)
        size, V = np.linalg.eigh(_measured(H, place, free))
        if size.min(initial=0.0) >= -NEGATIVE * size.max(initial=0.0):
            break
        x = _moved(place, free, 0.1 * V[:, 0])
    return place, H


def _descend(search: Search, place: Place, free: Free) -> Place:
    """Steps by the average information, no longer than a radius that follows what came of the promises so far.

    What the average information lacks of the Hessian is learnt from the steps made, as NL2SOL does (Dennis, Gay and
    Welsch 1981, ACM Trans. Math. Software 7).
    """
    radius, lacks, use = 1.0, np.zeros((int(free.sum()),) * 2), 0.0
    for _ in range(STEPS):
        H = place.point.information[np.ix_(free, free)]
        step, promise = _step(H + use * lacks, place, free, radius)
        if promise < CLOSE:
            break
        ahead = search.at(_moved(place, free, step))
        fall = place.objective - ahead.objective
        if not 0.1 * promise <= fall <= 0.75 * promise:
            radius = 2 * radius if fall > promise / 2 else float(np.linalg.norm(step)) / 4
        move = (ahead.x - place.x)[free]
        curvature = 2 * (-place.gradient[free] @ move - fall)  # move'H move of a model that had foreseen the fall
        use = float(abs(move @ (H + lacks) @ move - curvature) < abs(move @ H @ move - curvature))
        change = (ahead.gradient - place.gradient)[free]
        lacks = _learnt(lacks, move, change - ahead.point.information[np.ix_(free, free)] @ move)
        place = ahead if fall > 0 else place
    return place


def _learnt(lacks: Array, step: Array, change: Array) -> Array:
    """The symmetric matrix nearest to `lacks` (shrunk to the size seen) that takes the step to the change."""
    was = float(step @ lacks @ step)
    if was:
        lacks = lacks * min(1.0, abs(float(step @ change) / was))
    v, length = change - lacks @ step, float(step @ step)
    return lacks + (np.outer(v, step) + np.outer(step, v)) / length - (step @ v) * np.outer(step, step) / length**2


def _polish(search: Search, place: Place, free: Free) -> tuple[Place, Array]:
    """Newton steps until none makes the gradient smaller.

    The Hessian is kept while each step takes two digits off the decrease that the next one promises. Where that is
    less than the objective's rounding, the gradient alone judges a step.
    """
    H, radius, before, noise = search.hessian(place, free), 1.0, np.inf, place.noise
    for _ in range(STEPS):
        step, promise = _step(H, place, free, radius)
        if promise > max(before / 100, noise):
            H, before = search.hessian(place, free), np.inf
            continue
        ahead = search.at(_moved(place, free, step))
        if promise > noise and ahead.objective > place.objective:
            radius, before = float(np.linalg.norm(step)) / 4, np.inf
            continue
        last = promise <= DONE * abs(place.objective) or _steepest(ahead, free) >= _steepest(place, free) / 2
        if promise <= noise and last:
            return min(place, ahead, key=lambda end: _steepest(end, free)), H
        place, before = ahead, promise
    return place, H


def _steepest(place: Place, free: Free) -> float:
    return float(np.abs(place.gradient * place.unit)[free].max(initial=0.0))


def _measured(H: Array, place: Place, free: Free) -> Array:
    """The Hessian by entries in their units."""
    return np.asarray(H * np.outer(place.unit[free], place.unit[free]))


def _step(H: Array, place: Place, free: Free, radius: float) -> tuple[Array, float]:
    """Newton's step in units, downhill also where H curves down, no longer than the radius; the decrease it promises.

    Directions in which H is flat are left alone.
    """
    measured, gradient = _measured(H, place, free), (place.gradient * place.unit)[free]
    diagonal = np.abs(measured.diagonal())
    there = diagonal > TINY + EPS * diagonal.max(initial=0.0)
    even = there / np.sqrt(np.where(there, diagonal, 1.0))
    size, V = np.linalg.eigh(measured * np.outer(even, even))
    size = np.abs(size)
    flat = size <= FLAT * size.max(initial=0.0)
    along = np.where(flat, 0.0, -(V.T @ (even * gradient)) / np.where(flat, 1.0, size))
    step = even * (V @ along)
    shorter = min(1.0, radius / max(float(np.linalg.norm(step)), TINY))
    return shorter * step, float(-shorter * gradient @ step - shorter**2 * along @ (size * along) / 2)


def _moved(place: Place, free: Free, step: Array) -> Array:
    """x a step (in units) further."""
    ahead = place.x.copy()
    ahead[free] += step * place.unit[free]
    return ahead
