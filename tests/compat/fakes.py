"""Small implementations for tests: one repeats what was frozen, the others do one thing wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from compat.cases import Case
from compat.expected import load_expected, number
from compat.implementations import Refused
from compat.quantities import ESTIMATORS
from tests.compat.trees import STACK

Quantities = dict[str, Any]


def frozen_values(case: Case) -> Quantities:
    """What was frozen for a case, as plain floats; Refused where that is an error."""
    expected = load_expected(case, STACK)
    if expected.error is not None:
        raise Refused(expected.error.kind, expected.error.message)
    return {name: _floats(value) for name, value in expected.quantities.items()}


def _floats(value: Any) -> Any:
    return {k: _floats(v) for k, v in value.items()} if isinstance(value, Mapping) else number(value)


class Replay:
    """Repeats what was frozen, after `change` has had its way with it; counts how often it was asked."""

    name = "replay"
    version = "1"
    capabilities = frozenset(ESTIMATORS)

    def __init__(self, change: Callable[[Quantities], None] = lambda quantities: None) -> None:
        self.change = change
        self.asked: list[str] = []

    def fit(self, case: Case) -> Quantities:
        self.asked.append(case.id)
        quantities = frozen_values(case)
        self.change(quantities)
        return quantities


class Raising:
    """Raises the same error for every case."""

    name = "raising"
    version = "1"
    capabilities = frozenset(ESTIMATORS)

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def fit(self, case: Case) -> Quantities:
        raise self.error


def off_by_a_little() -> Replay:
    """Every standard error is right to nine digits only."""

    def change(quantities: Quantities) -> None:
        quantities["std_error"] = {k: v * (1 + 1e-9) for k, v in quantities["std_error"].items()}

    return Replay(change)


replay = Replay()
