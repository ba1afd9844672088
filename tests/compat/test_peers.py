"""The Python libraries judged through their adapters: right where they are, and told why where they are not R's."""

from __future__ import annotations

import pytest

from compat.cases import DataUnavailable, load_cases
from compat.check import Result, check
from compat.compare import ABSENT, Verdict
from compat.expected import DEFAULT_STACK
from compat.implementations import find, registered

PEERS = ("statsmodels", "linearmodels", "pyfixest", "mixedlm")
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]


def judged(peer: str, case: str) -> Result:
    (one,) = load_cases(case)
    try:
        assert len(one.data)
    except DataUnavailable as absent:
        pytest.skip(absent.reason)
    (result,) = check([one], [find(peer)], DEFAULT_STACK)
    return result


def by_verdict(result: Result) -> dict[Verdict, set[str]]:
    """The quantities that each verdict stands in, those that were not provided left out."""
    out: dict[Verdict, set[str]] = {}
    for row in result.rows:
        if row.verdict not in ABSENT:
            out.setdefault(row.verdict, set()).add(row.cell.quantity)
    return out


def reasons(result: Result, quantity: str) -> set[str]:
    """What is said of the cells of a quantity that are not simply R's."""
    rows = (row for row in result.rows if row.cell.quantity == quantity and row.verdict is not Verdict.MATCH)
    return {row.reason.partition(";")[0] for row in rows}


def test_the_libraries_are_registered() -> None:
    assert set(PEERS) < set(registered())
    assert all(find(peer).version for peer in PEERS)


# -- statsmodels -----------------------------------------------------------------------------------------------------


def test_statsmodels_agrees_but_for_sigma_in_its_criteria() -> None:
    found = by_verdict(judged("statsmodels", "lm-mtcars"))
    assert found.pop(Verdict.MATCH_UNDER_CONVENTION) == {"aic", "bic"}
    (matched,) = found.values()
    table = {"coef", "std_error", "statistic", "p_value", "conf_low", "conf_high", "vcov"}
    assert table | {"r_squared", "f_statistic", "f_p_value", "hatvalues", "fitted", "residuals", "loglik"} < matched
    assert set(found) == {Verdict.MATCH}


def test_statsmodels_gives_aliased_columns_a_number() -> None:
    result = judged("statsmodels", "lm-aliased-middle")
    table = {"coef", "std_error", "statistic", "p_value", "conf_low", "conf_high", "vcov"}
    assert by_verdict(result)[Verdict.UNEXPLAINED] == table
    said = (
        "these are the numbers of a generalised inverse (b = X^+ y, no column left out), as statsmodels, numpy's lstsq"
    )
    assert all(reasons(result, name) == {said} for name in table)
    assert "fitted" in by_verdict(result)[Verdict.MATCH]


@pytest.mark.parametrize(
    "case",
    ["vcov-hc-stackloss-hc0", "vcov-hc-stackloss-hc3", "vcov-hc-weights-hc1", "vcov-cluster-cr0", "vcov-cluster-cr1s"],
)
def test_statsmodels_robust_covariances_are_rs(case: str) -> None:
    found = by_verdict(judged("statsmodels", case))
    assert found == {Verdict.MATCH: found[Verdict.MATCH]}
    assert {"vcov", "std_error", "p_value"} < found[Verdict.MATCH]


@pytest.mark.parametrize("case", ["lmer-sleepstudy-slope", "lmer-sleepstudy-slope-ml", "lmer-dyestuff"])
def test_statsmodels_mixed_models_are_rs_where_the_search_arrives(case: str) -> None:
    found = by_verdict(judged("statsmodels", case))
    assert set(found) == {Verdict.MATCH}
    given = {"coef", "std_error", "sd", "sigma", "theta", "loglik", "objective", "ranef", "fitted", "residuals"}
    assert given <= found[Verdict.MATCH]


def test_statsmodels_stop_at_a_likelihood_of_1186_75_is_told() -> None:
    result = judged("statsmodels", "lmer-hiv-slope-ml")
    found = by_verdict(result)
    assert {"coef", "std_error", "sd", "cor", "sigma", "objective", "ranef"} <= found[Verdict.CANDIDATE_NOT_CONVERGED]
    (loglik,) = (row for row in result.rows if row.cell.quantity == "loglik")
    assert loglik.verdict is Verdict.CANDIDATE_NOT_CONVERGED
    assert loglik.got == pytest.approx(-1186.75, abs=0.005)
    assert loglik.expected == pytest.approx(-1136.40, abs=0.005)


# -- linearmodels ----------------------------------------------------------------------------------------------------


def test_linearmodels_within_model_is_plms_with_t_limits() -> None:
    found = by_verdict(judged("linearmodels", "plm-grunfeld-within"))
    assert found.pop(Verdict.MATCH_UNDER_CONVENTION) == {"conf_low", "conf_high"}
    assert set(found) == {Verdict.MATCH}
    assert {"coef", "std_error", "vcov", "p_value", "r_squared", "rss", "residuals"} <= found[Verdict.MATCH]


def test_linearmodels_random_effects_are_swar_tested_by_t() -> None:
    result = judged("linearmodels", "plm-grunfeld-random-swar")
    found = by_verdict(result)
    assert {"coef", "std_error", "vcov", "ercomp"} <= found[Verdict.MATCH]
    (said,) = {reason.partition(":")[0] for reason in reasons(result, "p_value")}
    assert said == "t p-values on the residual df"


@pytest.mark.parametrize("kind", ["hc0", "hc1", "sss"])
def test_linearmodels_clustered_covariances_are_plms_by_their_factors(kind: str) -> None:
    found = by_verdict(judged("linearmodels", f"plm-vcov-grunfeld-arellano-{kind}"))
    assert {"vcov", "std_error", "statistic"} <= found[Verdict.MATCH]


# -- pyfixest --------------------------------------------------------------------------------------------------------


def test_pyfixest_loses_small_p_values_and_is_told_how() -> None:
    result = judged("pyfixest", "lm-grunfeld")
    assert by_verdict(result)[Verdict.UNEXPLAINED] == {"p_value"}
    assert {"coef", "std_error", "vcov", "residuals"} <= by_verdict(result)[Verdict.MATCH]
    assert {reason.partition(":")[0] for reason in reasons(result, "p_value")} == {"p-values by subtraction"}


@pytest.mark.parametrize("case", ["plm-vcov-grunfeld-arellano-sss", "vcov-cluster-cr0", "vcov-cluster-cr1s"])
def test_pyfixest_clusters_are_tested_on_g_minus_1(case: str) -> None:
    result = judged("pyfixest", case)
    found = by_verdict(result)
    assert {"vcov", "std_error", "statistic"} <= found[Verdict.MATCH]
    assert found[Verdict.MATCH_UNDER_CONVENTION] == {"p_value"}
    (said,) = {reason.partition(":")[0] for reason in reasons(result, "p_value")}
    assert said == "t p-values on G - 1 df"


# -- mixedlm ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["lmer-sleepstudy-slope", "lmer-penicillin", "lmer-dyestuff-ml"])
def test_mixedlm_is_lme4s_but_for_the_residual_df(case: str) -> None:
    found = by_verdict(judged("mixedlm", case))
    assert found.pop(Verdict.MATCH_UNDER_CONVENTION) == {"df_residual"}
    assert set(found) == {Verdict.MATCH}
    assert {"coef", "std_error", "objective", "aic", "bic", "fitted", "residuals"} <= found[Verdict.MATCH]


def test_mixedlm_stops_short_where_a_regressor_is_large() -> None:
    found = by_verdict(judged("mixedlm", "lmer-sleepstudy-times-1000"))
    assert {"objective", "std_error"} <= found[Verdict.CANDIDATE_NOT_CONVERGED]


# -- what they have not ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "case", "reason"),
    [
        ("statsmodels", "lmer-penicillin", "MixedLM fits one bar, without weights"),
        ("statsmodels", "vcov-hc-stackloss-hc4", "no type HC4"),
        ("linearmodels", "plm-grunfeld-random-amemiya", "no random model of individual effects like plm's"),
        ("linearmodels", "lm-mtcars", "linearmodels does not offer lm"),
        ("pyfixest", "plm-grunfeld-between", "no between model like plm's"),
    ],
)
def test_what_a_library_has_not_is_not_provided(peer: str, case: str, reason: str) -> None:
    result = judged(peer, case)
    assert result.verdict is Verdict.NOT_PROVIDED
    assert [row.reason for row in result.rows] == [reason]
