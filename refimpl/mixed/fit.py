"""The optimum of a mixed model: where Newton's method ends, from several starts and with variances taken for zeros.

A zero variance is a stationary point by the entries of a factor whatever the data say. Whether it is the minimum is
read from the derivative by Sigma, which must have no negative eigenvalue there (Karush, Kuhn and Tucker).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from refimpl.errors import NotConverged
from refimpl.linalg import Array
from refimpl.mixed.blocks import Blocks
from refimpl.mixed.newton import EPS, NEGATIVE, TINY, End, Frame, Free, Place, Search, measured, newton, principal
from refimpl.mixed.profile import Point, vector

SMALL = 0.03  # a diagonal below this may be a zero that the search has not reached
STARTS, LITTLE = (1.0, 0.2, 0.03, 4.0), 0.05  # sizes of factors; all but the first are for where that ends singular
REACH = 50.0  # of the objective: where leaving out an axis raises it by more, no second minimum is looked for there
LEVEL = 1e4  # times the rounding of pwrss: what rounding may leave of a scaled gradient
WORST = 1e-6  # and no more than that


@dataclass(frozen=True)
class Optimum:
    """Where the search ended: factors of the scaled columns, the point there, and how it was reached.

    gradient: by the free entries of the factors; scaled_gradient: the largest of them relative to the two parts that it
    is the difference of; hessian_eigenvalues: by the same entries, each in units of its row's length or one;
    evaluations: of the objective with its gradient; singular: whether a Sigma is; kkt: the least eigenvalue of the
    derivatives by singular Sigmas, relative likewise (inf without one); noise: what rounding may do to the objective.
    """

    factors: tuple[Array, ...]
    point: Point = field(repr=False)
    gradient: Array
    scaled_gradient: float
    hessian_eigenvalues: Array
    evaluations: int
    singular: bool
    kkt: float
    noise: float

    @property
    def objective(self) -> float:
        """ML deviance or REML criterion."""
        return self.point.objective

    def checked(self) -> Optimum:
        """This, or NotConverged where it is a saddle, or the gradient is not down to its rounding."""
        allowed, curvature = _allowed(self.point), self.hessian_eigenvalues
        if self.kkt < -allowed or curvature.min(initial=0.0) < -NEGATIVE * curvature.max(initial=0.0):
            raise NotConverged("the search ended on a saddle of the objective")
        if not self.scaled_gradient <= allowed:
            raise NotConverged(f"the gradient stays at {self.scaled_gradient:.1e} of what it is the difference of")
        return self


def optimise(blocks: Blocks, REML: bool, start: Sequence[Array] | None = None) -> Optimum:
    """The minimum, from `start` (factors of the scaled columns) or from the identity; to be `checked`.

    Where the first search ends singular, others start elsewhere; where it does not, they start at the ends of the
    models with fewer axes, and where two terms have exchanged their sizes, if that is not much worse. The lowest end is
    taken.
    """
    search = Search(blocks, REML)
    starts = _starts(blocks)
    ends = [_minimum(search, next(starts) if start is None else start)]
    if not ends[0].singular:
        starts = _smaller(search, ends[0])
    ends += [_minimum(search, other) for other in starts]
    lowest = min(end.objective for end in ends)
    best = min((end for end in ends if end.objective <= lowest + end.noise), key=lambda end: end.scaled_gradient)
    for other in () if ends[0].singular else _exchanged(search, best):
        end = _minimum(search, other)
        best = end if end.objective < best.objective - best.noise else best  # of equal ones the start's
    return best


def _starts(blocks: Blocks) -> Iterator[list[Array]]:
    """All terms alike, of several sizes; then each term large among small ones."""
    eye, terms = [np.eye(term.r) for term in blocks.terms], range(len(blocks.terms))
    for size in STARTS:
        yield [size * one for one in eye]
    for large in terms if len(terms) > 1 else ():
        yield [one if t == large else LITTLE * one for t, one in enumerate(eye)]


def _smaller(search: Search, end: Optimum) -> Iterator[list[Array]]:
    """The ends of models in which a term lacks its smallest axes, one and more, where that raises the objective little.

    With few groups the objective can have a second minimum, lower, near such a model.
    """
    frame, x = principal(Frame(tuple(np.eye(len(L)) for L in end.factors)), vector(end.factors))
    for t, diagonal in enumerate(frame.triangles(x)):
        for kept in range(len(diagonal)):
            without = frame.triangles(x)
            without[t][:, kept:] = 0.0
            if search.at(frame, vector(without)).objective <= end.objective + REACH:
                place, _, _ = newton(search, frame, vector(without))
                yield [
                    canonical(one, int(np.count_nonzero(L.diagonal())))
                    for one, L in zip(place.point.factors, place.L, strict=True)
                ]


def _exchanged(search: Search, end: Optimum) -> Iterator[list[Array]]:
    """Two terms of each other's size, where that raises the objective little.

    What is common to all levels of several factors, as a mean that is no fixed effect, is in one term's variance at one
    minimum and in another's at the next.
    """
    sizes = [float(np.linalg.norm(L) / np.sqrt(len(L))) for L in end.factors]
    for s, t in combinations(range(len(sizes)), 2):
        start = list(end.factors)
        start[s], start[t] = sizes[t] * np.eye(len(start[s])), sizes[s] * np.eye(len(start[t]))
        if search.objective(start) <= end.objective + REACH:
            yield start


def _minimum(search: Search, start: Sequence[Array]) -> Optimum:
    """From a start down to a minimum, small variances taken for zeros where zero is no worse."""
    off_zero = [factor + 0.1 * np.diag(factor.diagonal() == 0) for factor in start]
    end = newton(search, Frame(tuple(np.eye(len(L)) for L in start)), vector(off_zero))
    end = _without_small_axes(search, end)
    if _scaled_gradient(end) > _allowed(end[0].point):
        end = _without_an_axis(search, end)
    place, H, free = end
    factors = tuple(
        canonical(factor, int(np.count_nonzero(L.diagonal())))
        for factor, L in zip(place.point.factors, place.L, strict=True)
    )
    return Optimum(
        factors=factors,
        point=place.point,
        gradient=place.gradient[free],
        scaled_gradient=_scaled_gradient(end),
        hessian_eigenvalues=np.asarray(np.linalg.eigvalsh(measured(H, place, free)), dtype=np.float64),
        evaluations=search.evaluations,
        singular=not free.all(),
        kkt=_kkt(place),
        noise=place.noise,
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


def _without_an_axis(search: Search, end: End) -> End:
    """The end without the smallest axis of a term, where a search got stuck on its way there.

    Terms of one factor that can take each other's place leave a narrow valley, which bends towards that zero.
    """
    for t in range(len(end[0].L)):
        one = [int(s == t) for s in range(len(end[0].L))]
        if end[0].L[t].any() and (without := _dropped(search, end, one)):
            return without
    return end


def _scaled_gradient(end: End) -> float:
    """The largest free entry of the gradient, relative to what it is the difference of."""
    place, _, free = end
    return float(np.max(np.abs(place.gradient / np.maximum(place.size, TINY))[free], initial=0.0))


def _allowed(point: Point) -> float:
    """What rounding may leave of a gradient, scaled likewise."""
    return min(LEVEL * point.rounding, WORST)


def _is_small(L: Array) -> Free:
    return np.asarray((L.diagonal() != 0) & (np.abs(L.diagonal()) < SMALL))


def _dropped(search: Search, end: End, counts: Sequence[int]) -> End | None:
    """The minimum without so many of the smallest axes of each term; None where it is higher, or none by KKT."""
    place, kept = end[0], []
    for L, count in zip(place.L, counts, strict=True):
        size = np.where(L.diagonal() == 0, np.inf, np.abs(L.diagonal()))
        kept.append(L * (np.argsort(np.argsort(size)) >= count))
    found = newton(search, place.frame, vector(kept))
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
