"""The search for the optimum of a mixed model: quasi-Newton, then Newton until the gradient is rounding.

The free numbers x are the lower triangles of the terms' factors, of columns scaled to size one. The objective does not
change when a column of a factor changes its sign, so a factor on the boundary is a stationary point whatever the data
say; whether it is the minimum is read from the derivative by Sigma, which must not be negative in any direction in
which Sigma is zero (Karush, Kuhn and Tucker).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from refimpl.errors import NotConverged
from refimpl.linalg import Array
from refimpl.mixed.blocks import Blocks, Point, evaluate

SMALL = 0.05  # a diagonal below this may be a zero that the search has not reached
NEWTON_STEPS = 30
STARTS = (1.0, 0.2, 4.0)  # tried after the first where that ends singular
ESCAPES = 3  # times that a saddle on the boundary is left
ROUNDING = 1e-25  # a Newton step done that promised no more than this, relative to the objective, was the last


@dataclass(frozen=True)
class Optimum:
    """Where the search ended: factors of the scaled columns, the point there, and how it was reached.

    gradient: by the free entries; hessian_eigenvalues: of those; evaluations: of the objective with its gradient;
    singular: whether a Sigma is; kkt: the least derivative in a direction in which a Sigma is zero (inf without one).
    """

    factors: tuple[Array, ...]
    point: Point
    gradient: Array
    hessian_eigenvalues: Array
    evaluations: int
    singular: bool
    kkt: float


@dataclass
class Objective:
    """The objective as a function of x, with its gradient; counts its evaluations."""

    blocks: Blocks
    REML: bool
    evaluations: int = 0
    sizes: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sizes = [term.r for term in self.blocks.terms]

    def factors(self, x: Array) -> list[Array]:
        """x as lower triangular factors, filled column by column."""
        out, at = [], 0
        for r in self.sizes:
            factor = np.zeros((r, r))
            stop = at + r * (r + 1) // 2
            factor.T[np.triu_indices(r)] = x[at:stop]
            out.append(factor)
            at = stop
        return out

    def vector(self, factors: Sequence[Array]) -> Array:
        """Lower triangles as x."""
        return np.concatenate([factor.T[np.triu_indices(len(factor))] for factor in factors])

    @property
    def diagonal(self) -> NDArray[np.bool_]:
        """Which entries of x stand on a diagonal."""
        return self.vector([np.eye(r) for r in self.sizes]) > 0

    def at(self, x: Array) -> tuple[Point, Array]:
        """The point and the gradient 2 (dObjective/dSigma) Lambda."""
        self.evaluations += 1
        factors = self.factors(x)
        point = evaluate(self.blocks, factors, self.REML)
        return point, self.vector([2 * score @ factor for score, factor in zip(point.scores, factors, strict=True)])

    def for_scipy(self, x: Array) -> tuple[float, Array]:
        """Value and gradient."""
        point, gradient = self.at(x)
        return point.objective, gradient


def optimise(blocks: Blocks, REML: bool, start: Sequence[Array] | None = None) -> Optimum:
    """The minimum, from `start` (factors of the scaled columns) or from the identity.

    Where the first search ends singular or on a saddle, others start elsewhere and the lowest end is taken. Raises
    NotConverged where the gradient does not reach rounding level.
    """
    objective = Objective(blocks, REML)
    begin = objective.vector([np.eye(r) for r in objective.sizes]) if start is None else objective.vector(start)
    best = _search(objective, begin)
    if best.singular or best.hessian_eigenvalues.min(initial=1.0) <= 0:
        ends = [best] + [_search(objective, objective.diagonal * size) for size in STARTS]
        best = min(ends, key=lambda end: end.point.objective)
    for _ in range(ESCAPES):
        if not _is_saddle(best):
            break
        best = min(best, _search(objective, _off_the_boundary(objective, best)), key=lambda end: end.point.objective)
    if best.hessian_eigenvalues.min(initial=1.0) < 0 or _is_saddle(best):
        raise NotConverged("the search ended on a saddle of the objective")
    return best


def _is_saddle(end: Optimum) -> bool:
    """Whether the objective falls in a direction in which a Sigma is zero."""
    return end.kkt < -1e-6 * max(1.0, abs(end.point.objective))


def _off_the_boundary(objective: Objective, end: Optimum) -> Array:
    """The end moved in the direction of the null spaces that the objective falls in most, as far as it falls.

    By the factor's entries the end is a stationary point, which no gradient leaves.
    """
    factors = list(end.factors)
    for t, (factor, score) in enumerate(zip(end.factors, end.point.scores, strict=True)):
        Sigma = factor @ factor.T
        null = _null_space(Sigma)
        slopes, V = np.linalg.eigh(null.T @ score @ null)
        if not slopes.size or slopes[0] >= 0:
            continue
        v = null @ V[:, 0]
        rank = int(np.count_nonzero(factor.diagonal())) + 1
        for halving in range(40):
            raised = semidefinite_cholesky(Sigma + 0.25**halving * np.outer(v, v), rank)
            ahead = objective.vector([*factors[:t], raised, *factors[t + 1 :]])
            if objective.at(ahead)[0].objective < end.point.objective:
                factors[t] = raised
                break
    return objective.vector(factors)


def _null_space(Sigma: Array) -> Array:
    """Orthonormal directions (r, k) in which a Sigma is zero."""
    size, V = np.linalg.eigh(Sigma)
    return np.asarray(V[:, size <= 1e-14 * max(size.max(), 1e-300)])


def _search(objective: Objective, x: Array) -> Optimum:
    bounds = [(0.0 if diagonal else None, None) for diagonal in objective.diagonal]
    options = {"maxiter": 500, "maxfun": 2000, "ftol": 1e-9, "gtol": 1e-4, "maxcor": 20}
    found = minimize(objective.for_scipy, x, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    x = canonical(objective, found.x)
    free = np.ones(len(x), dtype=bool)
    x, point, gradient, eigenvalues = _newton(objective, x, free)
    for entry in np.flatnonzero(objective.diagonal & (np.abs(x) < SMALL)):
        tried, keep = x.copy(), free.copy()
        tried[entry], keep[entry] = 0.0, False
        tried, at_zero, slope, curvature = _newton(objective, tried, keep)
        if at_zero.objective <= point.objective + 1e-9 and _least_score(objective, tried, at_zero) > -1e-7:
            x, point, gradient, eigenvalues, free = tried, at_zero, slope, curvature, keep
    x = canonical(objective, x)
    factors = tuple(objective.factors(x))
    singular = any((factor.diagonal() == 0).any() for factor in factors)
    kkt = _least_score(objective, x, point)
    return Optimum(factors, point, gradient, eigenvalues, objective.evaluations, singular, kkt)


def canonical(objective: Objective, x: Array) -> Array:
    """The lower triangular factors of the same Sigmas whose diagonals are not negative."""
    out = []
    for factor in objective.factors(x):
        out.append(semidefinite_cholesky(factor @ factor.T, int(np.count_nonzero(factor.diagonal()))))
    return objective.vector(out)


def semidefinite_cholesky(Sigma: Array, rank: int) -> Array:
    """Lower triangular L of the rank given with LL' = Sigma; a pivot that is rounding becomes an exact zero."""
    A, L = Sigma.copy(), np.zeros_like(Sigma)
    for j in range(len(Sigma)):
        left = rank - np.count_nonzero(L.diagonal())
        if left == 0 or A[j, j] <= 1e-13 * Sigma[j, j]:
            continue
        L[j:, j] = A[j:, j] / np.sqrt(A[j, j])
        A[j:, j:] -= np.outer(L[j:, j], L[j:, j])
    return L


def _newton(objective: Objective, x: Array, free: NDArray[np.bool_]) -> tuple[Array, Point, Array, Array]:
    """Newton steps in the free entries, halved where they rise.

    The Hessian comes from differences of the gradient and is kept while each step takes two digits off the decrease
    that the next one promises.
    """
    point, gradient = objective.at(x)
    H, before, promise = np.zeros((0, 0)), np.inf, 0.0
    eigenvalues = np.zeros(0)
    for _ in range(NEWTON_STEPS):
        if not free.any():
            return x, point, gradient[free], eigenvalues
        if not len(H) or promise > 1e-2 * before:
            H = _hessian(objective, x, gradient, free)
        eigenvalues, V = np.linalg.eigh(H)
        flat = np.abs(eigenvalues) <= 1e-10 * np.abs(eigenvalues).max(initial=0.0)
        inverse = np.where(flat, 0.0, 1 / np.where(flat, 1.0, np.abs(eigenvalues)))
        direction = -V @ (inverse * (V.T @ gradient[free]))
        before, promise = promise or np.inf, float(-direction @ gradient[free])
        x, point, gradient, moved = _step(objective, x, point, gradient, free, direction)
        if not moved or promise <= ROUNDING * max(1.0, abs(point.objective)):
            return x, point, gradient[free], eigenvalues
    if promise > 1e-9:
        raise NotConverged(f"Newton's method still promises a decrease of {promise:.1e} after {NEWTON_STEPS} steps")
    return x, point, gradient[free], eigenvalues


def _hessian(objective: Objective, x: Array, gradient: Array, free: NDArray[np.bool_]) -> Array:
    entries = np.flatnonzero(free)
    H = np.empty((len(entries), len(entries)))
    for k, entry in enumerate(entries):
        h = 1e-6 * max(abs(x[entry]), 1.0)
        ahead = x.copy()
        ahead[entry] += h
        H[k] = (objective.at(ahead)[1] - gradient)[free] / h
    return (H + H.T) / 2


def _step(
    objective: Objective, x: Array, point: Point, gradient: Array, free: NDArray[np.bool_], direction: Array
) -> tuple[Array, Point, Array, bool]:
    """The longest of the halved steps that does not raise the objective beyond its rounding."""
    noise = 1e-14 * max(1.0, abs(point.objective))
    for halving in range(30):
        ahead = x.copy()
        ahead[free] += direction * 0.5**halving
        at, slope = objective.at(ahead)
        if at.objective <= point.objective + noise:
            better = at.objective < point.objective - noise or np.abs(slope[free]).max() < np.abs(gradient[free]).max()
            return (ahead, at, slope, True) if better else (x, point, gradient, False)
    return x, point, gradient, False


def _least_score(objective: Objective, x: Array, point: Point) -> float:
    """The least eigenvalue of the derivative by Sigma on the directions in which Sigma is zero; inf without any."""
    least = np.inf
    for factor, score in zip(objective.factors(x), point.scores, strict=True):
        null = _null_space(factor @ factor.T)
        if null.shape[1]:
            least = min(least, float(np.linalg.eigvalsh(null.T @ score @ null)[0]))
    return least
