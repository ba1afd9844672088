"""Newton's method on the objective of a mixed model, until the gradient is rounding.

The free numbers x are the lower triangles of the terms' factors, of columns scaled to size one. The objective does not
change when a column of a factor changes its sign, so x needs no bounds. Far from the optimum the Hessian is the average
information (Gilmour, Thompson and Cullis 1995, Biometrics 51), near it differences of the gradient. Which of several
minima it is, and whether a variance is zero, is asked in fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from refimpl.linalg import Array, symmetric
from refimpl.mixed.blocks import Blocks
from refimpl.mixed.profile import Point, evaluate, triangles, vector

Free = NDArray[np.bool_]

STEPS = 100  # at most, far from the optimum and again near it
CLOSE = 1e-2  # decrease of the objective that is promised where differences take the place of the average information
DONE = 1e-22  # a step that promised no larger decrease was the last
ROUNDING = 1e-14  # of the objective, relative
FLAT = 1e-9  # of the Hessian's eigenvalues, relative: no curvature
NEGATIVE = 1e-5  # likewise: less than what differences of the gradient can tell from none
ESCAPES = 5  # from saddles
TINY, EPS = float(np.finfo(np.float64).tiny), float(np.finfo(np.float64).eps)


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


def principal(frame: Frame, x: Array) -> tuple[Frame, Array]:
    """The frame of the principal axes of each Sigma, and x there, with as many zeros."""
    axes, sizes = [], []
    for L, factor in zip(frame.triangles(x), frame.factors(x), strict=True):
        U, size, _ = np.linalg.svd(factor)
        size[np.count_nonzero(L.diagonal()) :] = 0.0
        axes.append(U)
        sizes.append(np.diag(size))
    return Frame(tuple(axes)), vector(sizes)


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

    def objective(self, factors: Sequence[Array]) -> float:
        """The objective alone."""
        self.evaluations += 1
        return evaluate(self.blocks, factors, self.REML).objective

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


def newton(search: Search, frame: Frame, x: Array) -> End:
    """A minimum from x on, axes that are zero staying so; saddles are left."""
    for _ in range(ESCAPES):
        place = _descend(search, search.at(frame, x), _free(frame, x))
        frame, x = principal(place.frame, place.x)
        free = _free(frame, x)
        place, H = _polish(search, search.at(frame, x), free)
        size, V = np.linalg.eigh(measured(H, place, free))
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


def measured(H: Array, place: Place, free: Free) -> Array:
    """The Hessian by entries in their units."""
    return np.asarray(H * np.outer(place.unit[free], place.unit[free]))


def _step(H: Array, place: Place, free: Free, radius: float) -> tuple[Array, float]:
    """Newton's step in units, downhill also where H curves down, no longer than the radius; the decrease it promises.

    Directions in which H is flat are left alone.
    """
    scaled, gradient = measured(H, place, free), (place.gradient * place.unit)[free]
    diagonal = np.abs(scaled.diagonal())
    there = diagonal > TINY + EPS * diagonal.max(initial=0.0)
    even = there / np.sqrt(np.where(there, diagonal, 1.0))
    size, V = np.linalg.eigh(scaled * np.outer(even, even))
    size = np.abs(size)
    flat = size <= FLAT * size.max(initial=0.0)
    along = np.where(flat, 0.0, -(V.T @ (even * gradient)) / np.where(flat, 1.0, size))
    step = even * (V @ along)
    shorter = min(1.0, radius / max(float(np.linalg.norm(step)), TINY))
    return shorter * step, float(-shorter * gradient @ step - shorter**2 * along @ (size * along) / 2)
