"""Certified optima: files are current, refimpl has their digits, and what is no optimum cannot be proved to be one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from typer.testing import CliRunner

from compat.adapters.refimpl import implementation as refimpl
from compat.cases import Case, DataUnavailable, data_digests, load_cases
from compat.cells import labelled
from compat.check import ask, certified_files, certified_values
from compat.cli import app
from compat.compare import Verdict, certified_digits, compare
from compat.data import fixtures_root
from compat.mixed import MixedModel
from compat.optimum import minimise
from tests.compat.fakes import frozen_values

ROOT = fixtures_root()
FILES = {path.stem: path for path in sorted((ROOT / "certified").glob("*.json"))}
CASES = {case.id: case for case in load_cases("lmer-*")}

# Found before and elsewhere, by another method: 60-digit Newton and ball arithmetic on sufficient statistics per group.
KNOWN: dict[str, dict[str, list[str]]] = {
    "lmer-hiv-intercept-ml": {"objective": ["2676.860411964957576103346"], "theta": ["0.9907867193531681"]},
    "lmer-hiv-slope-ml": {
        "objective": ["2272.80940111440102209111857"],
        "theta": ["8.2117506766732415", "-0.8938818458197370", "0.8174997375913758"],
        "coef": ["4.7910239680463942", "0.1553042788201259"],
        "std_error": ["0.3023930535123073", "0.0482326351412650"],
    },
    "lmer-hiv-slope-reml": {
        "objective": ["2337.6703087397869"],
        "theta": ["8.3030947784524947", "-0.9169789209329859", "0.8464201730342901"],
    },
}


def available(name: str) -> Case:
    try:
        assert len(CASES[name].data)
    except DataUnavailable as absent:
        pytest.skip(absent.reason)
    return CASES[name]


def texts(value: str | Mapping[str, str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value.values())


# -- the files -------------------------------------------------------------------------------------------------------


def test_most_cases_of_lmer_are_certified() -> None:
    fits = [name for name, case in CASES.items() if case.estimator == "lmer" and case.expects_error is None]
    assert len(FILES) >= 70
    assert len(set(fits) - set(FILES)) <= 10
    assert set(FILES) <= set(fits)


@pytest.mark.parametrize("name", FILES)
def test_certified_files_are_of_the_case_as_it_is(name: str) -> None:
    file = certified_files(ROOT)[name]
    assert file.case_sha256 == CASES[name].sha256
    assert file.data_sha256_doubles == data_digests(CASES[name])["data_sha256_doubles"]
    assert "ball arithmetic" in file.source
    assert {"objective", "sigma", "theta", "sd", "coef", "std_error", "ranef", "coef_by_group"} <= set(file.quantities)
    for value in file.quantities.values():
        for text in texts(value):
            digits = re.sub(r"e.*|[-.]", "", text).lstrip("0")
            assert text in ("0", "NaN") or len(digits) == 20, text


@pytest.mark.parametrize("name", KNOWN)
def test_certified_values_are_those_that_were_found_elsewhere(name: str) -> None:
    quantities = certified_files(ROOT)[name].quantities
    for quantity, known in KNOWN[name].items():
        for mine, theirs in zip(texts(quantities[quantity]), known, strict=False):
            unit = Decimal(1).scaleb(Decimal(min(mine, theirs, key=len)).as_tuple().exponent)  # type: ignore[arg-type]
            assert abs(Decimal(mine) - Decimal(theirs)) <= unit, quantity


def test_variances_of_the_lectures_slopes_are_those_that_were_found_elsewhere() -> None:
    sd = certified_files(ROOT)["lmer-hiv-slope-ml"].quantities["sd"]
    assert [float(Decimal(text) ** 2) for text in texts(sd)] == [9.1684363671865886, 0.1995040573431463]


# -- refimpl ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_refimpl_has_twelve_digits_of_the_objective_and_ten_of_all_else(name: str) -> None:
    case = available(name)
    truth = certified_values(case)
    answer = ask(refimpl, case)
    assert truth is not None
    assert isinstance(answer, Mapping)
    found = certified_digits({key: labelled(answer[key]) for key in truth}, truth)
    assert {one.quantity for one in found} == set(truth)
    short = {one.quantity: one for one in found if one.digits < (12 if one.quantity == "objective" else 10)}
    assert short == {}


def test_a_search_is_not_asked_for_the_digits_that_r_has_by_luck() -> None:
    """An R with every digit does not make eight digits of theta too few, where the objective has all of its own."""
    case = CASES["lmer-sleepstudy-slope"]
    truth = certified_values(case)
    assert truth is not None
    at = {key: {label: float(text) for label, text in truth[key].items()} for key in ("theta", "sd")}  # type: ignore[union-attr]
    expected = {**frozen_values(case), **at}
    model = MixedModel(case)

    def verdicts(factor: float) -> set[Verdict]:
        values = model.quantities(np.array(list(at["theta"].values())) * factor * model.scales)
        near = {key: dict(zip(at[key], values[key].tolist(), strict=True)) for key in at}
        rows = compare(case, near, expected, truth)
        return {row.verdict for row in rows if row.cell.label == ("certified",)}

    assert verdicts(1 + 1e-8) == {Verdict.MATCH}
    assert verdicts(1.01) == {Verdict.CANDIDATE_NOT_CONVERGED}


# -- the proof -------------------------------------------------------------------------------------------------------


@pytest.fixture
def certify() -> Any:
    pytest.importorskip("flint", reason="python-flint, the extra `certify`, is not installed")
    from compat import certify

    return certify


def optimum(case: Case) -> tuple[MixedModel, Any]:
    model = MixedModel(case)
    return model, minimise(model, np.where(model.diagonal, 1.0, 0.0)).theta


@pytest.mark.parametrize(
    "name",
    ["lmer-sleepstudy-slope", "lmer-dyestuff2", "lmer-fans-up", "lmer-plots-weights-offset", "lmer-swapped-second"],
)
def test_proved_again_the_digits_are_the_same(name: str, certify: Any) -> None:
    assert certify.dumps(certify.certify(CASES[name])) == FILES[name].read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["lmer-plots-weights", "lmer-penicillin-ml", "lmer-plots-crossed-slopes"])
def test_enclosures_hold_the_judges_objective_gradient_and_hessian(name: str, certify: Any) -> None:
    model = MixedModel(CASES[name])
    theta = np.where(model.diagonal, 0.7, 0.2)
    with certify.ctx.workprec(200):
        search = certify._Search(certify.BallModel(model), certify._start(model, theta))
        at, gradient, H = search.evaluate(search.x)
        mine = [float(one.mid()) for one in gradient.entries()]
        hessian = np.array([[float(H[i, j].mid()) for j in range(len(theta))] for i in range(len(theta))])
        value = float(at.objective.mid())
    f, g = model.gradient(theta)
    assert value == pytest.approx(f, rel=1e-13)
    np.testing.assert_allclose(np.array(mine) / model.scales, g, rtol=1e-10, atol=1e-10)
    step = 1e-6
    numeric = [
        (model.gradient(theta + d)[1] - model.gradient(theta - d)[1]) / (2 * step) for d in step * np.eye(len(theta))
    ]
    scaled = hessian / np.outer(model.scales, model.scales)
    np.testing.assert_allclose(scaled, numeric, rtol=1e-5, atol=1e-5 * np.abs(scaled).max())


def test_a_variance_that_is_not_zero_cannot_be_proved_zero(certify: Any) -> None:
    model = MixedModel(CASES["lmer-penicillin"])
    alone = minimize_scalar(lambda t: model.at(np.array([0.0, t])).objective, bounds=(0.1, 5), method="bounded").x
    theta = np.array([0.0, alone])
    with pytest.raises(certify.NotCertified, match="score where a covariance is zero"):
        certify.prove(model, theta)


def test_a_saddle_cannot_be_proved_a_minimum(certify: Any) -> None:
    """Between two equal minima there is a saddle."""
    model = MixedModel(CASES["lmer-swapped-first"])
    along = np.linspace(0.5, 4, 2001)
    saddle = along[np.argmin([model.at(np.array([t, t])).objective for t in along])]
    with pytest.raises(certify.NotCertified, match="Hessian is not positive definite"):
        certify.prove(model, np.array([saddle, saddle]))


def test_a_flat_direction_and_what_is_too_large_are_not_proved(certify: Any) -> None:
    with pytest.raises(certify.NotCertified, match=r"flat|Krawczyk|Newton"):
        certify.certify(CASES["lmer-machines-factor-bars"])
    with pytest.raises(certify.NotCertified, match="1039 random effects depend on each other"):
        certify.certify(CASES["lmer-insteval-5000"])


@pytest.mark.parametrize("bits", [24, 40, 60, 80])
def test_with_too_few_bits_nothing_is_proved_or_no_digit_is(bits: int, certify: Any) -> None:
    model, theta = optimum(CASES["lmer-orthodont"])
    with pytest.raises(certify.NotCertified):
        certify.quantities(certify.prove(model, theta, bits), bits)


def test_the_command_writes_what_is_proved_and_tells_what_differs(tmp_path: Path, certify: Any) -> None:
    from tests.compat.trees import small_tree

    tree = small_tree(tmp_path, "lmer-dyestuff")
    run = CliRunner().invoke(app, ["certify", "--case", "lmer-dyestuff", "--fixtures", str(tree)])
    assert (run.exit_code, run.output) == (0, "")
    path = tree / "certified" / "lmer-dyestuff.json"
    assert path.read_text(encoding="utf-8") == FILES["lmer-dyestuff"].read_text(encoding="utf-8")
    path.write_text(path.read_text(encoding="utf-8").replace("0.848323", "0.848324"), encoding="utf-8")
    run = CliRunner().invoke(app, ["certify", "--check", "--case", "lmer-dyestuff", "--fixtures", str(tree)])
    assert (run.exit_code, run.output) == (1, "lmer-dyestuff: differs\n")
    path.unlink()
    run = CliRunner().invoke(app, ["certify", "--case", "lmer-dyestuff", "--fixtures", str(tree)])
    assert (run.exit_code, run.output) == (0, "lmer-dyestuff: new\n")
    assert path.is_file()
