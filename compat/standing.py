"""Where two answers to a case of mixed models stand beside the best known optimum: one comparison's view of it.

Objectives decide who stopped too early; how far theta's distance moves a cell decides what the cell can be held to.
The optimum is found in optimum, the verdicts are given in compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from compat.cases import Case
from compat.cells import Labelled
from compat.conditioning import EPS
from compat.mixed import Floats, MixedModel
from compat.optimum import LEAST, Optimum, Rounding, excess, minimise, reach
from refimpl.formula import has_bars, parse

# lmer's optimiser stops when the objective moves by less than 1e-8 (nloptwrap's ftol_abs), and -2 loglik is read to a
# few decimals: two answers whose objectives are as near as this are both at the optimum.
OBJECTIVE = 1e-7

# What the objective's ellipsoid gives is right to this factor where the objective is not quite quadratic.
NEAR = 2.0

# Newton's method stops where it promises a decrease of less than this part of the objective's rounding.
FOUND = 1e-9

SINGULAR = 1e-4  # isSingular: a relative factor's diagonal below this (lme4 1.1-31)


@dataclass(frozen=True)
class Side:
    """One answer: the objective it states (NaN if it states none), its scaled theta if that is where the objective is
    what it states, and how far above the best known optimum it is. `contradicts`: its theta says another objective.
    """

    objective: float
    theta: Floats | None
    above: float
    contradicts: bool = False


@lru_cache(maxsize=64)
def model_of(case: Case, formula: str | None = None, REML: bool | None = None) -> MixedModel:
    """The judge's model of a case."""
    return MixedModel(case, formula, REML)


@lru_cache(maxsize=256)
def optimum_from(model: MixedModel, start: tuple[float, ...]) -> Optimum:
    """The minimum from a scaled theta."""
    return minimise(model, np.array(start))


@lru_cache(maxsize=64)
def rounding(model: MixedModel, theta: tuple[float, ...]) -> tuple[dict[str, Floats], float]:
    """The noise of every quantity at a theta, and of the objective."""
    found = Rounding(model, np.array(theta))
    return found.cells(), found.objective


@lru_cache(maxsize=128)
def reach_of(model: MixedModel, best: Optimum, level: float) -> dict[str, Floats]:
    """How far each cell moves where the objective is so far above its minimum."""
    return reach(model, best, level)


@lru_cache(maxsize=128)
def quantities_at(model: MixedModel, theta: tuple[float, ...]) -> dict[str, Floats]:
    """Every quantity at a scaled theta."""
    return model.quantities(np.array(theta))


def stated_objective(given: Mapping[str, Labelled]) -> float:
    """The objective that an answer states, by that name or as its likelihood."""
    for name, factor in (("objective", 1.0), ("loglik", -2.0), ("deviance", 1.0)):
        if name in given and given[name].values.size == 1:
            return factor * float(given[name].values[0])
    return float("nan")


class Standing:
    """The standing of an answer (`given`) and of what is expected, for one case of lmer.

    Raises ValueError where what is expected has no theta of this model.
    """

    def __init__(self, case: Case, expected: Mapping[str, Labelled], given: Mapping[str, Labelled]) -> None:
        self.model = model_of(case)
        theta = self._theta(expected)
        if theta is None:
            raise ValueError("no theta is expected")
        self.best = optimum_from(self.model, tuple(theta))
        mine = self._theta(given)
        if mine is not None and self.model.at(mine).objective < self.best.objective - self.noise:
            other = optimum_from(self.model, tuple(mine))
            self.best = min(self.best, other, key=lambda one: one.objective)
        self.r = self._side(stated_objective(expected), theta)
        self.mine = self._side(stated_objective(given), mine)

    def _theta(self, answer: Mapping[str, Labelled]) -> Floats | None:
        """An answer's theta, scaled, in the model's order; None where it has no such labels."""
        found = answer["theta"].as_dict() if "theta" in answer else {}
        values = np.array([found.get(label, np.nan) for label in self.model.labels["theta"]])
        return values * self.model.scales if np.isfinite(values).all() else None

    @property
    def noise(self) -> float:
        """The noise of an objective here."""
        return rounding(self.model, tuple(self.best.theta))[1]

    def _side(self, stated: float, theta: Floats | None) -> Side:
        if theta is None:
            return Side(stated, None, self._above(stated))
        there = self.model.at(theta).objective
        tolerance = 2 * self.noise + 1e-12 * abs(there)
        if np.isfinite(stated) and abs(there - stated) > tolerance:
            return Side(stated, None, self._above(stated), contradicts=True)
        return Side(there if np.isnan(stated) else stated, theta, excess(self.model, self.best, theta))

    def _above(self, stated: float) -> float:
        """How far an objective is above the best known at most, known to rounding; OBJECTIVE where none is stated."""
        return max(stated - self.best.objective, 0.0) + self.noise if np.isfinite(stated) else OBJECTIVE

    # -- who stopped ------------------------------------------------------------------------------------------------

    @cached_property
    def stopped(self) -> str:
        """Why the answer is not at its optimum, empty where it is as low as what is expected."""
        if self.mine.contradicts or not self.mine.objective > self.r.objective + OBJECTIVE + self.noise:
            return ""
        return f"its objective is {self.mine.objective:.12g}, R's {self.r.objective:.12g}, the best {self._best}"

    @cached_property
    def behind(self) -> str:
        """Why what is expected is not at its optimum, empty where it is."""
        if self.r.above <= OBJECTIVE + self.noise:
            return ""
        here = "" if np.isnan(self.mine.objective) else f", here it is {self.mine.objective:.12g}"
        return f"R's objective is {self.r.objective:.12g}{here}, the best {self._best}"

    @property
    def _best(self) -> str:
        return f"known is {self.best.objective:.12g}"

    # -- what a cell can be held to -----------------------------------------------------------------------------------

    def _reach(self, above: float, name: str) -> Floats:
        level = max(above, LEAST)
        return np.asarray(reach_of(self.model, self.best, level)[name] * np.sqrt(min(above / level, 1.0)))

    def _moved(self, theta: Floats, name: str) -> Floats:
        """How far a cell at a theta is from where it is at the optimum."""
        here, there = (quantities_at(self.model, tuple(one))[name] for one in (theta, self.best.theta))
        return np.abs(here - there)

    def distance(self, side: Side, name: str) -> Floats:
        """How far a side's own distance from the optimum moves the cells of a quantity, at most."""
        near = self._reach(min(side.above, OBJECTIVE), name)
        if side.theta is None or side.above > OBJECTIVE:
            return near
        return np.fmin(self._moved(side.theta, name), np.where(np.isinf(near), np.inf, NEAR * near))

    def allowed(self, name: str) -> Floats:
        """What rounding and both sides' distances from the optimum allow; infinite where that is undetermined."""
        noise = rounding(self.model, tuple(self.best.theta))[0].get(name, np.zeros(1))
        own = self._reach(FOUND * EPS * max(abs(self.best.objective), 1.0), name)
        total = noise + own + self.distance(self.r, name) + self.distance(self.mine, name)
        return np.where(np.isnan(total), np.inf, total)

    def shift(self, name: str) -> Floats | None:
        """What the difference of the two thetas makes of the expected cells; None where a theta is not known."""
        if self.mine.theta is None or self.r.theta is None:
            return None
        mine, theirs = (quantities_at(self.model, tuple(one))[name] for one in (self.mine.theta, self.r.theta))
        return np.asarray(mine - theirs)

    def further(self, name: str) -> Floats:
        """How far R's own distance moves the cells, whatever it is."""
        return self._reach(self.r.above, name) if self.r.theta is None else self._moved(self.r.theta, name)

    def both_facts(self) -> bool:
        """Whether theta is so near to the limit of lme4's isSingular that either answer may be right."""
        diagonal = self.model.diagonal
        theta = (self.best.theta / self.model.scales)[diagonal]
        room = self.allowed("theta")[diagonal]
        return bool((theta - room < SINGULAR).any() and (theta + room >= SINGULAR).all())


# -- anova -----------------------------------------------------------------------------------------------------------


def best_deviances(case: Case) -> list[float]:
    """The least deviance known of each model of an anova, as it is compared; NaN for a model without random effects."""
    refit, REML = case.options.get("refit", True), case.options.get("REML", True)
    each = REML if isinstance(REML, list) else [REML] * len(case.formulas)
    out = []
    for text, flag in zip(case.formulas, each, strict=True):
        if not has_bars(parse(text)):
            out.append(float("nan"))
            continue
        model = model_of(case, text, flag and not refit)
        start = np.where(model.diagonal, 1.0, 0.0)
        out.append(optimum_from(model, tuple(start)).objective)
    return out
