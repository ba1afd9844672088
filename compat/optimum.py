"""The best known optimum of a mixed model's case, how far a theta is above it, and how far that moves each quantity.

Newton's method from where the sides ended, on the judge's own algebra (mixed): what is compared here are objectives,
cells are compared by compare. What agreement follows for a cell is put together in tolerance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from compat.conditioning import EPS, LAMBDA
from compat.mixed import At, Floats, MixedModel

NEWTON_STEPS = 60
STEP = 1e-5  # of the differences that make the Hessian: its error is about this squared, and rounding over this
FLAT = 1e-9  # a curvature below this part of the largest is what such a Hessian's rounding may be
FLAT_STEP = 1e-4  # tells what moves along a flat direction from what rounding and the direction's own bend do
LEAST = 1e-8  # below this excess a quantity moves as its square root, to first order


@dataclass(frozen=True, eq=False)
class Optimum:
    """A stationary point: scaled theta, the objective, curvatures (t,) and their directions (t, t) in columns."""

    theta: Floats
    objective: float
    curvatures: Floats
    directions: Floats

    @property
    def flat(self) -> NDArray[np.bool_]:
        """Directions in which the objective does not change."""
        return np.asarray(self.curvatures <= FLAT * np.abs(self.curvatures).max(initial=0.0))


def minimise(model: MixedModel, start: Floats) -> Optimum:
    """The minimum that Newton's method reaches from a scaled theta, leaving saddles by their falling directions."""
    theta = start
    f, g = model.gradient(theta)
    H, before, promise, of = np.zeros((0, 0)), np.inf, np.inf, theta
    for _ in range(NEWTON_STEPS):
        if not len(H) or promise > 0.01 * before:
            H, of = _hessian(model, theta), theta
        h, V = np.linalg.eigh(H)
        used = np.abs(h) > FLAT * np.abs(h).max(initial=0.0)
        direction = -V[:, used] @ ((V[:, used].T @ g) / np.abs(h[used]))
        before, promise = promise, float(-direction @ g)
        if promise <= EPS * max(abs(f), 1.0) * (1.0 if promise > 0.01 * before else 1e-10):
            if not (h[used] < 0).any():
                break
            direction = V[:, 0] * np.abs(theta).max(initial=1.0)
            H = H[:0, :0]
        moved = _step(model, theta, f, direction)
        if moved is None:
            break
        theta, f, g = moved
    theta = model.canonical(theta)
    if not len(H) or np.abs(theta - of).max() > STEP:  # nearer than this it is the same Hessian
        H = _hessian(model, theta)
    h, V = np.linalg.eigh(H)
    return Optimum(theta, f, h, V)


def _hessian(model: MixedModel, theta: Floats) -> Floats:
    H = np.empty((len(theta), len(theta)))
    for k in range(len(theta)):
        move = np.zeros(len(theta))
        move[k] = STEP * max(abs(theta[k]), 1.0)
        H[k] = (model.gradient(theta + move)[1] - model.gradient(theta - move)[1]) / (2 * move[k])
    return (H + H.T) / 2


def _step(model: MixedModel, theta: Floats, f: float, direction: Floats) -> tuple[Floats, float, Floats] | None:
    """The longest of the halved steps that does not raise the objective; None where none does."""
    noise = 10 * EPS * max(abs(f), 1.0)
    for halving in range(40):
        ahead = theta + 0.5**halving * direction
        value, slope = model.gradient(ahead)
        if value <= f + noise:
            return (ahead, value, slope) if halving < 20 or value < f else None
    return None


def starts(model: MixedModel) -> list[tuple[float, ...]]:
    """The identity, and the same without one of the terms: a variance of zero may be a minimum of its own."""
    identity = np.where(model.diagonal, 1.0, 0.0)
    out, at = [tuple(identity)], 0
    for term in model.random if len(model.random) > 1 else ():
        size = len(term.names) * (len(term.names) + 1) // 2
        without = identity.copy()
        without[at : at + size] = 0.0
        out.append(tuple(without))
        at += size
    return out


# -- how far a side is from it ---------------------------------------------------------------------------------------


def excess(model: MixedModel, best: Optimum, theta: Floats) -> float:
    """How far the objective at a theta is above the best known one.

    Where the difference drowns in rounding it is what Newton's method promises from there, g'H^-1 g/2.
    """
    f, g = model.gradient(theta)
    rounding = 1e3 * EPS * max(abs(f), 1.0)
    if f - best.objective > rounding:
        return f - best.objective
    bent = ~best.flat
    along = best.directions[:, bent].T @ g
    return float(min(0.5 * np.sum(along**2 / best.curvatures[bent]), rounding))


def reach(model: MixedModel, best: Optimum, level: float) -> dict[str, Floats]:
    """How far each cell moves where the objective is `level` above its minimum: on that ellipsoid, the root of the sum
    of squares over its axes. Infinite for what moves in a direction in which the objective is flat.
    """
    at_best = model.quantities(best.theta)
    total = {name: np.zeros(len(values)) for name, values in at_best.items()}
    for flat, h, v in zip(best.flat, best.curvatures, best.directions.T, strict=True):
        move = v * (FLAT_STEP if flat else np.sqrt(2 * level / h))
        ahead, back = model.quantities(best.theta + move), model.quantities(best.theta - move)
        for name, there in at_best.items():
            if flat:
                linear = np.abs(ahead[name] - back[name]) > 1e-4 * FLAT_STEP * np.abs(there)
                total[name][linear] = np.inf
            else:
                total[name] += ((ahead[name] - there) ** 2 + (back[name] - there) ** 2) / 2
    return {name: np.sqrt(squares) for name, squares in total.items()}


# -- what rounding does at a given theta -----------------------------------------------------------------------------


class Rounding:
    """The noise of solving the mixed model equations at one theta, as lme4 does: normal equations by Cholesky.

    At a given theta coefficients and random effects are least squares of [y, 0] on M = [[Z Lambda, X], [I, 0]]. To
    form M'M costs a relative lambda sqrt(n) eps, to factor it lambda sqrt(k) eps (Higham & Mary 2019), which is as if M
    itself were perturbed by that times its condition (Higham 2002, section 20.4); columns' sizes do not matter (van der
    Sluis 1969). Then as in conditioning: |dx| <= root of (M'M)^-1 times |dM x|, and the same for any linear form.
    """

    def __init__(self, model: MixedModel, theta: Floats) -> None:
        self.model = model
        self.at: At = model.at(theta)
        self.theta = theta
        Xw = model.X * model.root[:, None]
        ZX = self.at.Lambda_t @ (model.Z.T @ Xw)
        K = np.block([[self.at.L @ self.at.L.T, ZX], [ZX.T, Xw.T @ Xw]])
        lengths = np.sqrt(K.diagonal())
        h, V = np.linalg.eigh(K / np.outer(lengths, lengths))
        h = np.maximum(h, EPS * h[-1])
        self.kappa = float(np.sqrt(h[-1] / h[0]))
        self.inverse = (V / h) @ V.T / np.outer(lengths, lengths)
        k = len(K)
        self.unit = LAMBDA * EPS * (np.sqrt(model.n) + np.sqrt(k))
        coef = np.concatenate([self.at.u, model.b0 + np.linalg.solve(model.R0, self.at.beta)])
        self.size = model.size + float(np.abs(coef) @ lengths)

    @property
    def sigma(self) -> float:
        """Relative noise of sigma: residuals are sums of few terms, and their noise is in their length."""
        return float(LAMBDA * EPS * self.size / np.sqrt(self.at.pwrss))

    @cached_property
    def matrix(self) -> float:
        """Relative noise of the inverse."""
        return float(self.unit * self.kappa**2)

    @property
    def objective(self) -> float:
        """Noise of the objective: that of the sum of squares and of the determinants."""
        return float(2 * self.model.df * self.sigma + self.matrix + 10 * EPS * abs(self.at.objective))

    def cells(self) -> dict[str, Floats]:
        """The noise of every quantity, in the order of the model's labels."""
        m, at = self.model, self.at
        here = {name: np.abs(values) for name, values in m.quantities(self.theta).items()}
        q, length = len(at.u), self.unit * self.kappa * (self.size + self.kappa * np.sqrt(at.pwrss))
        root = np.sqrt(np.maximum(self.inverse.diagonal()[q:], 0.0)) * length
        spread = np.asarray((at.Lambda @ self.inverse[:q, :q] * at.Lambda.toarray()).sum(axis=1)).ravel()
        blocks = m.by_term(np.sqrt(np.maximum(spread, 0.0)) * length)
        half, both = self.sigma + self.matrix, 2 * (self.sigma + self.matrix)
        se, f = here["std_error"], self.objective
        limit = root + half * np.maximum(here["conf_high"], here["conf_low"])
        with np.errstate(divide="ignore", invalid="ignore"):
            out = {
                "coef": root, "std_error": se * half, "statistic": root / se + here["statistic"] * half,
                "conf_low": limit, "conf_high": limit, "vcov": np.outer(se, se).ravel() * both,
                "fixef_correlation": np.full(m.p**2, 2 * both), "sigma": here["sigma"] * self.sigma,
                "sd": here["sd"] * half, "fitted": length / m.root, "residuals": length / m.root,
                "scaled_residual_quantiles": here["scaled_residual_quantiles"] * self.sigma + length / here["sigma"],
                "ranef": np.concatenate([one.ravel() for one in m.by_group(blocks).values()]),
                "coef_by_group": m.table_by_group(root, blocks), "ranef_condvar": self._condvar(here, both),
            }  # fmt: skip
        fits = {"objective": f, "deviance": f, "loglik": f / 2, "aic": f, "bic": f}
        return out | {name: np.array([value]) for name, value in fits.items()} | self._predicted(root, blocks)

    def _condvar(self, here: Mapping[str, Floats], both: float) -> Floats:
        """Relative to the largest cell: a covariance may vanish where its variances do not."""
        values = here["ranef_condvar"]
        return np.full(len(values), both * float(values.max(initial=0.0)))

    def _predicted(self, root: Floats, blocks: Sequence[Floats]) -> dict[str, Floats]:
        """The noise of what is added up."""
        new = self.model.new_rows
        if new is None:
            return {}
        fixed = np.abs(new[0]) @ root
        parts = [np.einsum("ir,ir->i", np.abs(M), b[at]) for (M, at), b in zip(new[2], blocks, strict=True)]
        return {"predicted": fixed + np.sum(parts, axis=0), "predicted_fixed": fixed}
