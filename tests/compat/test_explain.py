"""A port that answers by another convention is told which, in the quantities that differ and in no other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from compat.adapters.refimpl import implementation as refimpl
from compat.cases import Case, load_cases
from compat.check import Result, check
from compat.compare import Verdict
from compat.conventions import CLOSED_FORMS
from compat.conventions.explain import conventions
from compat.conventions.minimum_norm import minimum_norm
from compat.conventions.neighbours import neighbours
from compat.expected import DEFAULT_STACK
from refimpl import lm
from refimpl.distributions import t_quantile

Answer = Mapping[str, Any]


class Port:
    """A port that answers as a function of the case does."""

    name, version, capabilities = "port", "1", refimpl.capabilities

    def __init__(self, fit: Callable[[Case], Answer]) -> None:
        self.fit = fit


def judged(case: str, fit: Callable[[Case], Answer], *conventions: str) -> Result:
    (one,) = load_cases(case)
    (result,) = check([one], [Port(fit)], DEFAULT_STACK, conventions=conventions)
    return result


def optioned(**options: Any) -> Callable[[Case], Answer]:
    """A port that takes other options than the case's."""
    return lambda case: refimpl.fit(replace(case, options={**case.options, **options}))


def changed(name: str, change: Callable[[Any, Answer], Any]) -> Callable[[Case], Answer]:
    def fit(case: Case) -> Answer:
        found = dict(refimpl.fit(case))
        return found | {name: change(found[name], found)}

    return fit


def told(result: Result) -> dict[str, set[str]]:
    """What is said of each quantity that is wrong, up to the tolerance's own reason."""
    out: dict[str, set[str]] = {}
    for row in result.bad:
        out.setdefault(row.cell.quantity, set()).add(row.reason.partition("; ")[0])
    return out


def of_ml(sigma: float, found: Answer) -> float:
    return float(sigma * np.sqrt(found["df_residual"] / found["nobs"]))


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("sigma", of_ml, "maximum-likelihood sigma"),
        ("aic", lambda aic, _: aic - 2, "AIC without sigma"),
        ("bic", lambda bic, found: bic - np.log(found["nobs"]), "BIC without sigma"),
        ("std_error", lambda se, found: of_ml(1.0, found) * se, "standard errors of maximum likelihood"),
    ],
)
def test_a_closed_form_is_named(name: str, change: Callable[[Any, Answer], Any], words: str) -> None:
    found = told(judged("lm-mtcars", changed(name, change)))
    assert set(found) == {name}
    (said,) = found[name]
    assert said.startswith(words)


@pytest.mark.parametrize(
    ("case", "options", "words"),
    [
        ("vcov-hc-stackloss-hc0", {"type": "HC1"}, "these are the numbers of type HC1"),
        ("vcov-hc-stackloss-hc3", {"type": "HC2"}, "these are the numbers of type HC2"),
        ("vcov-cluster-cr0", {"type": "CR1S"}, "these are the numbers of type CR1S"),
        ("robcov-huber", {"method": "efron"}, "these are the numbers of Efron for Huber"),
        ("lmer-sleepstudy-slope", {"REML": False}, "these are the numbers of ML for REML"),
        ("lmer-sleepstudy-slope-ml", {"REML": True}, "these are the numbers of REML for ML"),
        ("plm-vcov-fd-arellano-hc0", {"type": "HC3"}, "these are the numbers of type HC3"),
    ],
)
def test_the_choice_that_was_taken_is_named(case: str, options: dict[str, Any], words: str) -> None:
    found = told(judged(case, optioned(**options)))
    assert "std_error" in found
    assert all(said.startswith(words) for said in found["std_error"])


def test_weights_left_out_are_noticed() -> None:
    def without(case: Case) -> Answer:
        return refimpl.fit(replace(case, options={k: v for k, v in case.options.items() if k != "weights"}))

    found = told(judged("lm-weights", without))
    assert found["coef"] == {"these are the numbers of no weights"}


@pytest.mark.parametrize("case", ["lm-aliased-middle", "lm-aliased-two", "lm-weights-aliased"])
def test_dependent_columns_kept_by_a_generalised_inverse_are_noticed(case: str) -> None:
    def shortest(one: Case) -> Answer:
        return {**refimpl.fit(one), **minimum_norm(one)}

    found = told(judged(case, shortest))
    assert set(found) == {"coef", "std_error", "statistic", "p_value", "conf_low", "conf_high", "vcov"}
    assert all(said.startswith("these are the numbers of a generalised inverse") for (said,) in found.values())


@pytest.mark.parametrize("case", ["lm-aliased-middle", "lm-weights-aliased"])
def test_the_generalised_inverse_gives_the_variances_of_the_fitted_values(case: str) -> None:
    """V is another where columns depend on each other, X V X' is not; and limits are of the level asked for."""
    (one,) = load_cases(case)
    if "weights" in one.options:  # which are all one there
        one = one.with_data(one.data.assign(one=1.0 + np.arange(len(one.data)) % 3))
    fit = lm(one.formula, one.data, weights=one.options.get("weights"))
    found = minimum_norm(replace(one, options={**one.options, "level": 0.9}))
    X = fit.design.X
    wanted = X[:, fit.solution.kept] @ fit.vcov_kept @ X[:, fit.solution.kept].T
    np.testing.assert_allclose(X @ found["vcov"].to_numpy() @ X.T, wanted, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(X @ found["coef"].to_numpy(), fit.solution.fitted, rtol=1e-8, atol=1e-9)
    half = t_quantile(0.95, fit.df_residual) * found["std_error"]
    np.testing.assert_allclose(found["conf_high"] - found["coef"], half, rtol=1e-8)


def test_what_lacks_a_label_is_explained_by_nothing() -> None:
    def shorter(se: Any, found: Answer) -> Any:
        return (of_ml(1.0, found) * se).drop("hp")

    found = told(judged("lm-mtcars", changed("std_error", shorter)))
    assert not any(said.startswith("standard errors of maximum") for said in found["std_error"])


def test_an_accepted_convention_does_not_excuse_another_order() -> None:
    port = changed("std_error", lambda se, found: (of_ml(1.0, found) * se).iloc[::-1])
    result = judged("lm-mtcars", port, "standard errors of maximum likelihood")
    assert verdicts(result)["std_error"] == {Verdict.MATCH_UNDER_CONVENTION, Verdict.STRUCTURE}
    assert result.verdict is Verdict.STRUCTURE


def test_what_is_classical_has_no_options_of_robcov() -> None:
    (plain, *others) = neighbours("robcov", {"cluster": "g", "method": "huber", "weights": "w"})
    assert (plain.estimator, plain.options) == ("ols", {"weights": "w"})
    assert [(one.name, one.options) for one in others] == [
        ("no clusters", {"method": "huber", "weights": "w"}),
        ("Efron for Huber", {"cluster": "g", "method": "efron", "weights": "w"}),
    ]


def test_an_explained_number_is_still_not_rs() -> None:
    result = judged("vcov-hc-stackloss-hc0", optioned(type="HC1"))
    assert result.verdict is Verdict.UNEXPLAINED


def verdicts(result: Result) -> dict[str, set[Verdict]]:
    out: dict[str, set[Verdict]] = {}
    for row in result.rows:
        out.setdefault(row.cell.quantity, set()).add(row.verdict)
    return out


def test_an_accepted_closed_form_is_a_match_under_its_name() -> None:
    result = judged("lm-mtcars", changed("aic", lambda aic, _: aic - 2), "AIC without sigma")
    (row,) = (row for row in result.rows if row.cell.quantity == "aic")
    assert (row.verdict, row.reason) == (
        Verdict.MATCH_UNDER_CONVENTION,
        "AIC without sigma: AIC - 2, as statsmodels",
    )
    assert result.bad == []


def test_an_accepted_choice_is_a_match_in_every_quantity_that_depends_on_it() -> None:
    result = judged("vcov-hc-stackloss-hc0", optioned(type="HC1"), "type HC1")
    assert result.verdict is Verdict.MATCH_UNDER_CONVENTION
    under = {name for name, found in verdicts(result).items() if Verdict.MATCH_UNDER_CONVENTION in found}
    assert under == {"vcov", "std_error", "statistic", "p_value"}


def test_an_accepted_convention_excuses_no_other() -> None:
    result = judged("vcov-hc-stackloss-hc0", optioned(type="HC1"), "type HC2")
    assert result.verdict is Verdict.UNEXPLAINED


def test_an_implementation_declares_its_own_conventions() -> None:
    port = Port(changed("aic", lambda aic, _: aic - 2))
    port.conventions = ("AIC without sigma",)  # type: ignore[attr-defined]
    (result,) = check(load_cases("lm-mtcars"), [port], DEFAULT_STACK)
    assert result.verdict is Verdict.MATCH_UNDER_CONVENTION


def test_every_convention_is_listed_once_with_what_it_is_for() -> None:
    listed = conventions(load_cases())
    names = [one.name for one in listed]
    assert len(names) == len(set(names)) > 30
    assert {form.name for form in CLOSED_FORMS} < set(names)
    assert {"type HC1", "type CR1S", "no weights", "REML for ML", "Efron for Huber"} < set(names)
    assert all(one.estimators for one in listed)


def test_what_no_convention_gives_stays_unexplained() -> None:
    result = judged("lm-mtcars", changed("sigma", lambda sigma, _: 1.01 * sigma))
    assert [row.reason for row in result.bad if "maximum" in row.reason or "numbers of" in row.reason] == []
    assert {row.cell.quantity for row in result.bad} == {"sigma"}


def test_right_answers_are_left_alone() -> None:
    assert judged("lm-mtcars", refimpl.fit).bad == []
