"""statsmodels' MixedLM through its adapter: right where its search arrives, told so where it stops before."""

from __future__ import annotations

import pytest

from compat.cases import DataUnavailable, load_cases
from compat.check import Result, check
from compat.compare import ABSENT, Verdict
from compat.implementations import find
from tests.compat.trees import STACK

pytest.importorskip("statsmodels")


def judged(name: str) -> Result:
    (case,) = load_cases(name)
    try:
        assert len(case.data)
    except DataUnavailable as absent:
        pytest.skip(absent.reason)
    (result,) = check([case], [find("compat.adapters.statsmodels:implementation")], STACK)
    return result


def found(result: Result) -> set[Verdict]:
    """Of what it gave."""
    return {row.verdict for row in result.rows} - ABSENT


@pytest.mark.parametrize("name", ["lmer-sleepstudy-slope", "lmer-sleepstudy-slope-ml", "lmer-dyestuff"])
def test_its_cells_are_rs_where_it_arrives(name: str) -> None:
    rows = judged(name).rows
    given = {row.cell.quantity for row in rows if row.verdict is Verdict.MATCH}
    assert found(judged(name)) == {Verdict.MATCH}
    assert {"coef", "std_error", "sd", "sigma", "loglik", "objective", "ranef", "fitted", "residuals"} <= given


def test_its_stop_at_a_likelihood_of_1186_75_is_told() -> None:
    result = judged("lmer-hiv-slope-ml")
    bad = {row.cell.quantity for row in result.rows if row.verdict is Verdict.CANDIDATE_NOT_CONVERGED}
    assert found(result) == {Verdict.MATCH, Verdict.CANDIDATE_NOT_CONVERGED}
    assert {"coef", "std_error", "sd", "cor", "sigma", "loglik", "objective", "ranef"} <= bad
    (loglik,) = [row for row in result.rows if row.cell.quantity == "loglik"]
    assert loglik.got == pytest.approx(-1186.75, abs=0.005)
    assert loglik.expected == pytest.approx(-1136.40, abs=0.005)


@pytest.mark.parametrize("name", ["lmer-penicillin", "lmer-plots-weights", "lmer-plots-offset"])
def test_what_it_does_not_have_is_not_run(name: str) -> None:
    assert judged(name).verdict is Verdict.NOT_RUN
