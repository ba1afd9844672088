"""What a deliberately wrong implementation is: refimpl with one mistake, and where that mistake is caught.

The mistakes themselves are in the tests that use them, and those of mixed models in mixed_mistakes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from compat.adapters.refimpl import implementation as refimpl
from compat.cases import Case
from compat.compare import Verdict
from refimpl.distributions import two_sided_t

Quantities = dict[str, Any]
Spoil = Callable[[Case, Quantities], Mapping[str, Any]]

COEFFICIENT_TABLE = frozenset({"std_error", "statistic", "p_value", "vcov"})  # all that follows from a covariance
LIMITS = frozenset({"conf_low", "conf_high"})


@dataclass(frozen=True)
class Mistake:
    """What is done wrong, on which cases, in which quantities it is caught, and with what verdict."""

    name: str
    spoil: Spoil
    cases: tuple[str, ...]
    caught: frozenset[str]
    verdicts: frozenset[Verdict]


MISTAKES: dict[str, Mistake] = {}


def mistake(cases: str, caught: str | frozenset[str], *verdicts: Verdict) -> Callable[[Spoil], Spoil]:
    """Register a mistake under the name of its function."""

    def register(spoil: Spoil) -> Spoil:
        quantities = frozenset(caught.split()) if isinstance(caught, str) else caught
        expected = frozenset(verdicts or {Verdict.UNEXPLAINED})
        MISTAKES[spoil.__name__] = Mistake(spoil.__name__, spoil, tuple(cases.split()), quantities, expected)
        return spoil

    return register


class Wrong:
    """refimpl with one mistake."""

    version = "1"
    capabilities = refimpl.capabilities

    def __init__(self, name: str, spoil: Spoil) -> None:
        self.name = name
        self.spoil = spoil

    def fit(self, case: Case) -> Mapping[str, Any]:
        return self.spoil(case, dict(refimpl.fit(case)))


def with_options(case: Case, **options: Any) -> Mapping[str, Any]:
    """What refimpl answers for other options."""
    return refimpl.fit(case.with_data(case.data, options={**case.options, **options}))


def scaled(q: Quantities, factor: float) -> Quantities:
    """The covariance times a factor, and what follows from it."""
    q["vcov"] = q["vcov"] * factor
    q["std_error"] = q["std_error"] * np.sqrt(factor)
    q["statistic"] = q["coef"] / q["std_error"]
    q["p_value"] = pd.Series(two_sided_t(q["statistic"], q.get("df", q.get("df_residual"))), index=q["coef"].index)
    return q
