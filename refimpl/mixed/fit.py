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
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from refimpl.errors import NotConverged
from refimpl.linalg import Array, symmetric
from refimpl.mixed.blocks import Blocks
from refimpl.mixed.profile import Point, evaluate, triangles, vector

Free = NDArray[np.bool_]

STEPS = 100  # at most, far from the optimum and again near it
CLOSE = 1e-2  # decrease of the objective that is promised where differences take the place of the average information
FLAT = 1e-9  # of the Hessian's eigenvalues, relative: no curvature
NEGATIVE = 1e-5  # likewise: less than what differences of the gradient can tell from none
ESCAPES = 5  # from saddles
ROUNDING = 1e-14  # of the objective, relative
TINY, EPS = float(np.finfo(np.float64).tiny), float(np.finfo(np.float64).eps)
DONE = 1e-22  # a step that promised no larger decrease was the last
SMALL = 0.03  # a diagonal below this may be a zero that the search has not reached
STARTS, LITTLE = (1.0, 0.2, 4.0), 0.05  # sizes of the factors; all but the first are tried where that ends singular
LEVEL = 1e4  # times the rounding of pwrss: what rounding may leave of a scaled gradient
WORST = 1e-6  # and no more than that


@dataclass(frozen=True)
class Frame:
    """Axes (r, r) that a search turns the columns of each term to: Lambda is axes L, with lower triangular L.

    Along the principal axes of a Sigma, the longest first, a Sigma of lower rank is a zero at the end of L's diagonal.
    """

    axes: tuple[Array, ...]

    def triangles(self, x: Array) -> list[Array]:
        """L of each term, of x: the lower triangles, column by column."""
        return triangles(x, [len(R) for R in self.axes])

    def factors(self, x: Array) -> list[Array]:
        """Lambda of each term."""
        return [R @ L for R, L in zip(self.axes, self.triangles(x), strict=True)]

    def by_x(self, by_Lambda: Sequence[Array]) -> Array:
        """A gradient by x, of one by each Lambda."""
        return vector([R.T @ G for R, G in zip(self.axes, by_Lambda, strict=True)])

    @cached_property
    def jacobian(self) -> Array:
        """The derivative of all cells of each Lambda, row by row, by x."""
        steps = np.eye(sum(len(R) * (len(R) + 1) // 2 for R in self.axes))
        return np.array([np.concatenate([A.ravel() for A in self.factors(step)]) for step in steps]).T


def principal(factors: Sequence[Array]) -> tuple[Frame, Array]:
    """The frame of the principal axes of each Sigma, and x there."""
    turned = [np.linalg.svd(factor)[:2] for factor in factors]
    return Frame(tuple(U for U, _ in turned)), vector([np.diag(size) for _, size in turned])


@dataclass(frozen=True)
class Place:
    """A point of the search: x in its frame, the objective there, its gradient by x.

    size (k,): of what the gradient is a difference of; unit (k,): what an entry of x is measured in, the length of its
    row in L or one.
    """

    frame: Frame
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
    def L(self) -> list[Array]:
        """The lower triangular factors along the frame's axes."""
        return self.frame.triangles(self.x)

    @property
    def noise(self) -> float:
        """What rounding may do to the objective."""
        return ROUNDING * abs(self.objective) + 4 * self.point.df * self.point.rounding

    @cached_property
    def information(self) -> Array:
        """The average information by x."""
        J = self.frame.jacobian
        return np.asarray(J.T @ self.point.information @ J)

    def moved(self, free: Free, step: Array) -> Array:
        """x a step (in units) further."""
        ahead = self.x.copy()
        ahead[free] += step * self.unit[free]
        return ahead


End = tuple[Place, Array, Free]
"""Where Newton's method ended: the place, the Hessian there, and the entries of x that were free."""


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

    def at(self, frame: Frame, x: Array) -> Place:
        """The objective and its gradient, by Lambda 2 (dObjective/dSigma) Lambda."""
        self.evaluations += 1
        point = evaluate(self.blocks, frame.factors(x), self.REML)
        parts = point.parts
        sizes = [np.full_like(N, np.abs(N).max() + np.abs(D).max()) for N, D in parts]
        lengths = (np.sqrt((L * L).sum(axis=1, keepdims=True)) for L in frame.triangles(x))
        units = [np.repeat(np.maximum(length, 1.0), len(length), axis=1) for length in lengths]
        return Place(frame, x, point, frame.by_x([N - D for N, D in parts]), vector(sizes), vector(units))

    def hessian(self, place: Place, free: Free) -> Array:
        """By differences of the gradient, in the free entries."""
        rows = []
        for entry in np.flatnonzero(free):
            h = max(1e-6, 10 * np.sqrt(place.point.rounding)) * place.unit[entry]
            ahead = place.x.copy()
            ahead[entry] += h
            rows.append((self.at(place.frame, ahead).gradient - place.gradient)[free] / h)
        H = np.array(rows).reshape(len(rows), len(rows))
        return symmetric(H)


def optimise(blocks: Blocks, REML: bool, start: Sequence[Array] | None = None) -> Optimum:
    """The minimum, from `start` (factors of the scaled columns) or from the identity; to be `checked`.

    Where the first search ends singular, others start elsewhere and the lowest end is taken.
    """
    search = Search(blocks, REML)
    starts = _starts(blocks)
    ends = [_minimum(search, next(starts) if start is None else start)]
    if ends[0].singular:
        ends += [_minimum(search, other) for other in starts]
    return min(ends, key=lambda end: end.point.objective)


def _starts(blocks: Blocks) -> Iterator[list[Array]]:
    """All terms alike, of several sizes; then each term large among small ones."""
    eye, terms = [np.eye(term.r) for term in blocks.terms], range(len(blocks.terms))
    for size in STARTS:
        yield [size * one for one in eye]
    for large in terms if len(terms) > 1 else ():
        yield [one if t == large else LITTLE * one for t, one in enumerate(eye)]


def _minimum(search: Search, start: Sequence[Array]) -> Optimum:
    """From a start down to a minimum, small variances taken for zeros where zero is no worse."""
    off_zero = [factor + 0.1 * np.diag(factor.diagonal() == 0) for factor in start]
    end = _newton(search, Frame(tuple(np.eye(len(L)) for L in start)), vector(off_zero))
    place, H, free = _without_small_axes(search, end)
    factors = tuple(
        canonical(factor, int(np.count_nonzero(L.diagonal())))
        for factor, L in zip(place.point.factors, place.L, strict=True)
    )
    return Optimum(
        factors=factors,
        point=place.point,
        gradient=place.gradient[free],
        scaled_gradient=float(np.max(np.abs(place.gradient / np.maximum(place.size, TINY))[free], initial=0.0)),
        hessian_eigenvalues=np.asarray(np.linalg.eigvalsh(_measured(H, place, free)), dtype=np.float64),
        evaluations=search.evaluations,
        singular=not free.all(),
        kkt=_kkt(place),
    )


def _without_small_axes(search: Search, end: End) -> End:
    """Small axes taken for zeros where zero is no worse: all at once, or else one by one."""
    place = end[0]
    all_small = [int(_is_small(L).sum()) for L in place.L]
    if any(all_small) and (without := _dropped(search, end, all_small)):
        return without
    for t in range(len(place.L)):
        one = [int(s == t) for s in range(len(place.L))]
        while _is_small(end[0].L[t]).any() and (without := _dropped(search, end, one)):
            end = without
    return end


def _is_small(L: Array) -> Free:
    return np.asarray((L.diagonal() != 0) & (np.abs(L.diagonal()) < SMALL))


def _dropped(search: Search, end: End, counts: Sequence[int]) -> End | None:
    """The minimum without so many of the smallest axes of each term; None where it is higher, or none by KKT."""
    place, kept = end[0], []
    for L, count in zip(place.L, counts, strict=True):
        size = np.where(L.diagonal() == 0, np.inf, np.abs(L.diagonal()))
        kept.append(L * (np.argsort(np.argsort(size)) >= count))
    found = _newton(search, place.frame, vector(kept))
    no_worse = found[0].objective <= place.objective + place.noise
    return found if no_worse and _kkt(found[0]) >= -LEVEL * found[0].point.rounding else None


def canonical(factor: Array, rank: int) -> Array:
    """The lower triangular factor of the same Sigma and of the rank given: no negative diagonal, zeros under zeros."""
    out, basis, rounding = np.zeros_like(factor), np.zeros_like(factor), 8 * EPS * float(np.linalg.norm(factor))
    for i, row in enumerate(factor):
        rest = row.copy()
        for j in range(i):
            out[i, j] = rest @ basis[j]
            rest -= out[i, j] * basis[j]
        size = float(np.linalg.norm(rest))
        if size > rounding and np.count_nonzero(out.diagonal()) < rank:
            out[i, i], basis[i] = size, rest / size
        elif np.linalg.norm(row) <= rounding:
            out[i] = 0.0
    return out


def _kkt(place: Place) -> float:
    """The least eigenvalue of the derivatives by singular Sigmas, relative to their size; inf without any."""
    singular = [t for t, L in enumerate(place.L) if (L.diagonal() == 0).any()]
    least = np.inf
    for N, D in (place.point.scores[t] for t in singular):
        size = np.abs(N).max() + np.abs(D).max()
        least = min(least, float(np.linalg.eigvalsh(N - D)[0]) / max(size, TINY))
    return least


def _newton(search: Search, frame: Frame, x: Array) -> End:
    """A minimum from x on, axes that are zero staying so; saddles are left."""
    for _ in range(ESCAPES):
        place = _descend(search, search.at(frame, x), _free(frame, x))
        frame, x = principal(place.point.factors)
        free = _free(frame, x)
        place, H = _polish(search, search.at(frame, x), free)
        size, V = np.linalg.eigh(_measured(H, place, free))
        if size.min(initial=0.0) >= -NEGATIVE * size.max(initial=0.0):
            break
        x = place.moved(free, 0.1 * V[:, 0])
    return place, H, free


def _free(frame: Frame, x: Array) -> Free:
    """The entries in columns of L whose diagonal is not zero."""
    return vector([np.tril(np.ones_like(L)) * (L.diagonal() != 0) for L in frame.triangles(x)]) > 0


def _descend(search: Search, place: Place, free: Free) -> Place:
    """Steps by the average information, no longer than a radius that follows what came of the promises so far.

    What the average information lacks of the Hessian is learnt from the steps made, as NL2SOL does (Dennis, Gay and
    Welsch 1981, ACM Trans. Math. Software 7).
    """
    radius, lacks, use = 1.0, np.zeros((int(free.sum()),) * 2), 0.0
    for _ in range(STEPS):
        H = place.information[np.ix_(free, free)]
        step, promise = _step(H + use * lacks, place, free, radius)
        if promise < CLOSE:
            break
        ahead = search.at(place.frame, place.moved(free, step))
        fall = place.objective - ahead.objective
        if not 0.1 * promise <= fall <= 0.75 * promise:
            radius = 2 * radius if fall > promise / 2 else float(np.linalg.norm(step)) / 4
        move = (ahead.x - place.x)[free]
        curvature = 2 * (-place.gradient[free] @ move - fall)  # move'H move of a model that had foreseen the fall
        use = float(abs(move @ (H + lacks) @ move - curvature) < abs(move @ H @ move - curvature))
        change = (ahead.gradient - place.gradient)[free]
        lacks = _learnt(lacks, move, change - ahead.information[np.ix_(free, free)] @ move)
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
        ahead = search.at(place.frame, place.moved(free, step))
        if promise > noise and ahead.objective > place.objective:
            radius, before = float(np.linalg.norm(step)) / 4, np.inf
            continue
        last = promise <= DONE or _steepest(ahead, free) >= _steepest(place, free) / 2
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
