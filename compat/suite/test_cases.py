"""One test for each case and implementation: every number against R's, every bad cell in the failure message.

pytest --pyargs compat.suite --implementation mypkg.adapter:implementation
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable

import pytest

from compat.cases import Case
from compat.check import Result, ask, frozen, judge
from compat.implementations import Implementation
from compat.pytest_plugin import CASE, COUNTS, EXCUSED, known_failures_of, stack_of
from compat.report import describe


def test_case_agrees_with_r(
    rcompat_case: Case,
    rcompat_implementation: Implementation,
    rcompat_r: Implementation | None,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    """Every cell of the case is what R says, as far as rounding lets two correct computations agree."""
    result = _fit(rcompat_case, rcompat_implementation, rcompat_r, request.config)
    record_property(CASE, rcompat_case.id)
    record_property(COUNTS, json.dumps(Counter(str(row.verdict) for row in result.rows)))
    if not result.compared:
        pytest.skip("; ".join(dict.fromkeys(f"{row.verdict}: {row.reason}" for row in result.rows)))
    known = known_failures_of(request.config)
    excuses = [known.entry_for(rcompat_case.id, row.cell) for row in result.bad]
    record_property(EXCUSED, json.dumps(sorted({entry.line for entry in excuses if entry is not None})))
    if not all(excuses):
        pytest.fail(_message(result), pytrace=False)
    if excuses:
        pytest.xfail("; ".join(dict.fromkeys(entry.reason for entry in excuses if entry is not None)))
    assert result.compared > 0


def _fit(case: Case, implementation: Implementation, r: Implementation | None, config: pytest.Config) -> Result:
    stack, accepted = stack_of(config), config.getoption("--rcompat-convention") or ()
    start = time.perf_counter()
    answer = ask(implementation, case)
    seconds = time.perf_counter() - start
    reference = frozen(case, stack) if r is None else ask(r, case)
    source = f"frozen {stack}" if r is None else f"live {r.name}"
    return judge(
        case, implementation, answer, reference, source=source, stack=stack, seconds=seconds, conventions=accepted
    )


def _message(result: Result) -> str:
    """The case as it was given, then every bad cell."""
    case = result.case
    lines = [
        f"{result.implementation} on {case.id}, against {result.source}: {len(result.bad)} bad cells",
        f"  {case.estimator}({case.formula}), data {case.data_name}, options {json.dumps(dict(case.options))}",
        *(f"  {describe(row)}" for row in result.bad),
    ]
    return "\n".join(lines)
