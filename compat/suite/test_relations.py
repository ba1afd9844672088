"""One test for each relation and implementation: what must hold between two fits, on data drawn by hypothesis.

pytest --pyargs compat.suite --implementation mypkg.adapter:implementation
RCOMPAT_EXAMPLES=1000 draws other and more data than the few that are always the same.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable

import pytest

pytest.importorskip("hypothesis", reason="relations need hypothesis: pip install 'rcompat[test]'")

from hypothesis import HealthCheck, Phase, given, settings

from compat.compare import ABSENT, Row
from compat.implementations import Implementation
from compat.pytest_plugin import CASE, COUNTS, EXCUSED, known_failures_of
from compat.refits import describe, violations
from compat.relations import RELATIONS, Relation
from compat.strategies import Drawn
from compat.suite.known import KnownFailures

_MORE = os.environ.get("RCOMPAT_EXAMPLES")
SETTINGS = settings(
    max_examples=int(_MORE or 20),
    derandomize=_MORE is None,
    deadline=None,
    database=None,
    phases=(Phase.generate, Phase.shrink),  # which lines were run explains nothing here
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("relation", RELATIONS.values(), ids=list(RELATIONS))
def test_relation_holds(
    relation: Relation,
    rcompat_implementation: Implementation,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    """The relation holds for every case drawn, as far as rounding lets it."""
    if missing := relation.estimators - rcompat_implementation.capabilities:
        pytest.skip(f"NOT_PROVIDED: {rcompat_implementation.name} does not offer {', '.join(sorted(missing))}")
    known = known_failures_of(request.config)
    record_property(CASE, relation.name)
    counts: Counter[str] = Counter()
    excused: dict[int, str] = {}
    reasons: set[str] = set()

    @SETTINGS
    @given(relation.strategy)
    def holds(drawn: Drawn) -> None:
        rows = relation.check(rcompat_implementation, drawn)
        counts.update(str(row.verdict) for row in rows)
        reasons.update(f"{row.verdict}: {row.reason}" for row in rows if row.verdict in ABSENT)
        bad = _unexcused(relation, known, violations(rows), excused)
        assert not bad, _message(relation, rcompat_implementation, drawn, bad)

    holds()
    record_property(COUNTS, json.dumps(counts))
    record_property(EXCUSED, json.dumps(sorted(excused)))
    if not sum(count for verdict, count in counts.items() if verdict not in ABSENT):
        pytest.skip("; ".join(sorted(reasons)))
    if excused:
        pytest.xfail("; ".join(dict.fromkeys(excused.values())))


def _unexcused(relation: Relation, known: KnownFailures, bad: list[Row], excused: dict[int, str]) -> list[Row]:
    """The violations that are not known failures; those that are go into `excused`."""
    entries = [known.entry_for(relation.name, row.cell) for row in bad]
    excused.update({entry.line: entry.reason for entry in entries if entry is not None})
    return [row for row, entry in zip(bad, entries, strict=True) if entry is None]


def _message(relation: Relation, implementation: Implementation, drawn: Drawn, bad: list[Row]) -> str:
    """What does not hold, of which model, in which cells; hypothesis shows the data."""
    problem = drawn.problem
    weights = ", weighted by w" if problem.weighted else ""
    lines = [
        f"{implementation.name}, {relation.name}: {relation.text}",
        f"  {problem.formula}{weights}, {problem.n} rows: {len(bad)} bad cells",
        *(f"  {describe(row)}" for row in bad),
    ]
    return "\n".join(lines)
