"""Every frozen answer of R against refimpl, as `rcompat check` compares them: what a machine without R can tell."""

from __future__ import annotations

from collections import defaultdict

import pytest

from compat.adapters.refimpl import implementation as refimpl
from compat.cases import Case, load_cases
from compat.check import check
from compat.compare import Verdict
from compat.expected import DEFAULT_STACK

CASES: dict[str, list[Case]] = defaultdict(list)
for _case in load_cases():
    CASES[_case.estimator].append(_case)

RIGHT = {Verdict.MATCH, Verdict.KNOWN_REFERENCE_DEFECT, Verdict.REFERENCE_NOT_CONVERGED}


@pytest.mark.parametrize("estimator", CASES)
def test_nothing_is_unexplained_against_r_s_frozen_answers(estimator: str) -> None:
    results = list(check(CASES[estimator], [refimpl], DEFAULT_STACK))
    assert len(results) == len(CASES[estimator])
    assert {f"{one.case.id}: {row.cell}": row.reason for one in results for row in one.bad} == {}
    assert {result.verdict for result in results} - RIGHT <= {Verdict.NOT_RUN}
    absent = [result.case.features for result in results if result.verdict is Verdict.NOT_RUN]
    assert all("external-data" in features for features in absent)
    assert any(result.compared for result in results)
