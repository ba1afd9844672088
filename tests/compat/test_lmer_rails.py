"""Mixed models on the rails: who stopped before the optimum, what the judge allows a cell, and that it can be wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np
import pytest

from compat.adapters.refimpl import implementation as refimpl
from compat.cases import Case, DataUnavailable, case_in_memory, load_cases
from compat.cells import Labelled, labelled
from compat.check import ask
from compat.compare import Row, Verdict, compare
from compat.mixed import Floats, MixedModel
from compat.optimum import Rounding, excess, minimise, reach
from compat.quantities import Kind, kind_of, of_estimator
from compat.standing import OBJECTIVE, Standing, model_of
from tests.compat.fakes import Quantities, frozen_values

CASES = {case.id: case for case in load_cases("lmer-*")}
FITS = [name for name, case in CASES.items() if case.estimator == "lmer" and case.expects_error is None]
SMALL = [name for name in FITS if name != "lmer-insteval-5000"]
LECTURE = "lmer-hiv-slope-ml"


def available(name: str) -> Case:
    case = CASES[name]
    try:
        assert len(case.data)
    except DataUnavailable as absent:
        pytest.skip(absent.reason)
    return case


@lru_cache(maxsize=128)
def expected_cells(name: str) -> dict[str, Labelled]:
    return {key: labelled(value) for key, value in frozen_values(CASES[name]).items()}


@lru_cache(maxsize=128)
def fitted(name: str) -> Quantities:
    answer = ask(refimpl, available(name))
    assert isinstance(answer, Mapping), answer
    return dict(answer)


def verdicts(rows: list[Row]) -> dict[str, set[Verdict]]:
    out: dict[str, set[Verdict]] = {}
    for row in rows:
        out.setdefault(row.cell.quantity, set()).add(row.verdict)
    return out


# -- the reference ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FITS)
def test_refimpls_objective_is_not_above_lme4s(name: str) -> None:
    mine, theirs = fitted(name)["objective"], frozen_values(CASES[name])["objective"]
    assert mine <= theirs + 1e-9


@pytest.mark.parametrize("name", [name for name in FITS if "singular" in CASES[name].features])
def test_singular_fits_are_singular_here_and_exactly(name: str) -> None:
    found = fitted(name)
    diagonal = np.asarray(found["theta"])[model_of(available(name)).diagonal]
    assert found["is_singular"] == 1.0
    assert (diagonal == 0).any()


# -- who stopped -----------------------------------------------------------------------------------------------------


def test_nlminbwrap_on_the_lectures_model_stops_25_above_and_is_told_so() -> None:
    case = available(LECTURE)
    stopped = frozen_values(CASES["lmer-hiv-slope-nlminbwrap"])
    assert stopped["objective"] - frozen_values(case)["objective"] == pytest.approx(25.88, abs=0.01)
    rows = compare(case, stopped, frozen_values(case))
    bad = [row for row in rows if row.verdict is not Verdict.MATCH and row.verdict is not Verdict.NOT_PROVIDED]
    assert {row.verdict for row in bad} == {Verdict.CANDIDATE_NOT_CONVERGED}
    assert {"objective", "coef", "std_error", "theta", "sd", "ranef"} <= {row.cell.quantity for row in bad}
    assert all("2298.68946" in row.reason and "2272.80940" in row.reason for row in bad)


# MixedLM of statsmodels 0.15.0 for the lecture's model, after saying that it converged.
STATSMODELS = {
    "coef": {
        "(Intercept)": 4.804824627, "GDPLagK": 0.1432664324, "GDPGrowthLag": 0.0006738506895,
        "OPENLag": 0.005192663777, "POLITYLag": 0.0345828647, "POLITYSQLag": -0.003211054722,
        "CivilWarDummy": -0.009248251047, "InterstateWarLag": -0.220444568, "BatDeaths1000Lag": 0.01150325724,
    },
    "std_error": {
        "(Intercept)": 0.2390362482, "GDPLagK": 0.106911894, "GDPGrowthLag": 0.001542020704,
        "OPENLag": 0.0008547752766, "POLITYLag": 0.004046595098, "POLITYSQLag": 0.0007822762587,
        "CivilWarDummy": 0.04013463098, "InterstateWarLag": 0.1765433487, "BatDeaths1000Lag": 0.007896805507,
    },
    "sd": {"ISO3.(Intercept)": 2.228941182, "ISO3.GDPLagK": 1.069882068},
    "cor": {"ISO3.GDPLagK.(Intercept)": -0.3086511293},
    "sigma": 0.3595881301169177,
    "loglik": -1186.7513817879253,
    "nobs": 1557,
}  # fmt: skip


def test_statsmodels_stop_at_a_likelihood_of_1186_75_is_told() -> None:
    """It gives no theta: what it is above the optimum is read from its likelihood."""
    case = available(LECTURE)
    rows = [row for row in compare(case, STATSMODELS, frozen_values(case)) if row.verdict is not Verdict.NOT_PROVIDED]
    found = verdicts(rows)
    assert found.pop("nobs") == {Verdict.MATCH}
    assert set(found) == set(STATSMODELS) - {"nobs"}
    assert set().union(*found.values()) == {Verdict.CANDIDATE_NOT_CONVERGED}
    assert all("2373.50276" in row.reason and "2272.80940" in row.reason for row in rows if row.bad)


def test_where_lme4_is_off_both_objectives_are_told() -> None:
    case = available("lmer-hiv-growth-reml")
    rows = compare(case, fitted(case.id), frozen_values(case))
    behind = [row for row in rows if row.verdict is Verdict.REFERENCE_NOT_CONVERGED]
    assert behind
    assert {row.verdict for row in rows} == {Verdict.MATCH, Verdict.REFERENCE_NOT_CONVERGED}
    assert all("2730.03055335" in row.reason and "2730.03055297" in row.reason for row in behind)


@pytest.mark.parametrize("name", ["lmer-sleepstudy-times-1000", "lmer-hiv-slope-nlminbwrap", "lmer-fans-edge"])
@pytest.mark.parametrize(
    ("quantity", "factor"), [("std_error", 1.001), ("sd", 1.001), ("ranef", -1.0), ("aic", 1.00001), ("sigma", 1.0001)]
)
def test_that_r_stopped_early_excuses_nothing_else(name: str, quantity: str, factor: float) -> None:
    got = dict(fitted(name))
    got[quantity] = {"/".join(k): v * factor for k, v in labelled(got[quantity]).as_dict().items()}
    if quantity in ("aic", "sigma"):
        got[quantity] = got[quantity][""]
    found = verdicts(compare(CASES[name], got, frozen_values(CASES[name])))
    assert Verdict.UNEXPLAINED in found.pop(quantity)
    assert set().union(*found.values()) <= {Verdict.MATCH, Verdict.REFERENCE_NOT_CONVERGED}


def test_an_objective_below_the_best_known_one_is_not_believed() -> None:
    name = "lmer-sleepstudy-slope"
    got = dict(fitted(name)) | {"objective": fitted(name)["objective"] - 1.0}
    found = verdicts(compare(CASES[name], got, frozen_values(CASES[name])))
    assert {key for key, seen in found.items() if seen != {Verdict.MATCH}} == {"objective"}
    assert found["objective"] == {Verdict.UNEXPLAINED}


def test_an_answer_without_theta_is_held_to_its_objective() -> None:
    name = "lmer-sleepstudy-slope-ml"
    got = {key: fitted(name)[key] for key in ("coef", "std_error", "sd", "sigma", "loglik", "nobs", "cor")}
    found = verdicts(compare(CASES[name], got, frozen_values(CASES[name])))
    assert all(found[key] == {Verdict.MATCH} for key in got)
    got["std_error"] = got["std_error"] * (1 + 1e-4)
    assert verdicts(compare(CASES[name], got, frozen_values(CASES[name])))["std_error"] == {Verdict.UNEXPLAINED}


def test_the_other_of_two_equal_minima_is_as_good_but_its_cells_must_be_its_own() -> None:
    case, other = CASES["lmer-swapped-first"], fitted("lmer-swapped-second")
    rows = compare(case, other, frozen_values(case))
    assert {row.verdict for row in rows} == {Verdict.MATCH}
    assert any("another theta" in row.reason for row in rows)
    wrong = dict(other) | {"sd": other["sd"] * 1.001}
    assert verdicts(compare(case, wrong, frozen_values(case)))["sd"] == {Verdict.UNEXPLAINED}


def nudged(name: str, above: float) -> Quantities:
    """The answer of a search that stops so far above the optimum, along the flattest direction."""
    model = model_of(CASES[name])
    best = minimise(model, np.asarray(fitted(name)["theta"]) * model.scales)
    theta = best.theta + best.directions[:, 0] * np.sqrt(2 * above / best.curvatures[0])
    values = model.quantities(theta)
    return {
        key: dict(zip(("/".join(one) for one in model.labels[key]), values[key].tolist(), strict=True))
        if model.labels[key] != [()] else float(values[key][0])
        for key in set(values) - {"vcov", "fixef_correlation"}
    }  # fmt: skip


@pytest.mark.parametrize("name", ["lmer-sleepstudy-slope", "lmer-penicillin", "lmer-plots-crossed", "lmer-singles"])
@pytest.mark.parametrize(
    ("above", "verdict"), [(1e-8, Verdict.MATCH), (5e-8, Verdict.MATCH), (1e-5, Verdict.CANDIDATE_NOT_CONVERGED)]
)
def test_a_search_may_stop_a_ten_millionth_above_the_optimum(name: str, above: float, verdict: Verdict) -> None:
    rows = compare(CASES[name], nudged(name, above), frozen_values(CASES[name]))
    seen = {row.verdict for row in rows if row.verdict is not Verdict.NOT_PROVIDED}
    assert seen <= {Verdict.MATCH, verdict}
    assert verdict in seen


def test_singularity_is_open_where_theta_is_known_to_no_better() -> None:
    name = "lmer-plots-factor-slope"
    assert frozen_values(CASES[name])["is_singular"] == 0.0
    rows = compare(CASES[name], fitted(name), frozen_values(CASES[name]))
    assert verdicts(rows)["is_singular"] == {Verdict.MATCH}
    regular = "lmer-sleepstudy-slope"
    got = dict(fitted(regular)) | {"is_singular": 1.0}
    assert verdicts(compare(CASES[regular], got, frozen_values(CASES[regular])))["is_singular"] == {Verdict.UNEXPLAINED}


# -- the judge -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in FITS if "theta_at" in CASES[name].options])
def test_the_judges_objective_is_lme4s_at_given_thetas(name: str) -> None:
    model = model_of(available(name))
    thetas = np.array(CASES[name].options["theta_at"]) * model.scales
    mine = np.array([model.at(theta).objective for theta in thetas])
    np.testing.assert_allclose(mine, expected_cells(name)["objective_at"].values, rtol=1e-12)


@pytest.mark.parametrize("name", FITS)
def test_at_lme4s_theta_the_judge_has_lme4s_cells_to_rounding(name: str) -> None:
    """Every cell that lme4 gave is at its theta what the judge's algebra says, within the noise it grants."""
    model, cells = model_of(available(name)), expected_cells(name)
    theta = cells["theta"].values * model.scales
    values, noise = model.quantities(theta), Rounding(model, theta).cells()
    compared = 0
    for key in set(cells) & set(values):
        assert list(cells[key].labels) == list(model.labels[key]), key
        limit = np.maximum(noise.get(key, np.zeros(1)), 1e-12 * np.abs(values[key]))
        near = np.abs(cells[key].values - values[key]) <= limit
        assert (near | (np.isnan(cells[key].values) & np.isnan(values[key]))).all(), key
        compared += near.size
    assert compared > 10
    optimised = {key for key in of_estimator("lmer") if kind_of(key, "lmer") is Kind.OPTIMISED}
    assert (optimised & set(cells)) - set(values) == set()


@pytest.mark.parametrize("name", SMALL)
def test_the_judges_gradient_is_that_of_its_objective(name: str) -> None:
    model = model_of(available(name))
    theta = np.where(model.diagonal, 0.8, 0.1)
    gradient = model.gradient(theta)[1]
    step = 1e-5
    moves = step * np.eye(len(theta))
    numeric = np.array([model.at(theta + m).objective - model.at(theta - m).objective for m in moves]) / (2 * step)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=1e-5 * np.abs(gradient).max())


@pytest.mark.parametrize("name", SMALL)
def test_the_judges_optimum_is_refimpls(name: str) -> None:
    """Two searches that share no code end at the same place, to what curvature and rounding tell apart."""
    model = model_of(available(name))
    mine = np.asarray(fitted(name)["theta"]) * model.scales
    best = minimise(model, expected_cells(name)["theta"].values * model.scales)
    assert fitted(name)["objective"] <= best.objective + 1e-9
    assert excess(model, best, mine) <= 1e-18 * abs(best.objective)


def balanced(seed: int, groups: int = 12, size: int = 5) -> tuple[Case, MixedModel]:
    """A case of correlated slopes in memory."""
    import pandas as pd

    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(groups), size)
    x = rng.normal(size=g.size)
    y = 1 + x + rng.normal(size=groups)[g] + 0.5 * rng.normal(size=groups)[g] * x + rng.normal(size=g.size)
    data = pd.DataFrame({"y": y, "x": x, "g": [f"g{k}" for k in g]})
    case = case_in_memory("lmer", "y ~ x + (x | g)", data)
    return case, MixedModel(case)


@pytest.mark.parametrize("seed", range(6))
def test_what_has_an_objective_so_far_above_is_within_reach(seed: int) -> None:
    """Any theta, not only those on the axes, moves every cell by less than the root of the sum of squares."""
    _, model = balanced(seed)
    best = minimise(model, np.where(model.diagonal, 1.0, 0.0))
    assert (best.curvatures > 0).all()
    level = 1e-7
    limit, there = reach(model, best, level), model.quantities(best.theta)
    rng = np.random.default_rng(seed)
    for _ in range(20):
        d = rng.normal(size=len(best.theta))
        d /= np.linalg.norm(d)
        theta = best.theta + best.directions @ (d * np.sqrt(2 * level / best.curvatures))
        assert excess(model, best, theta) == pytest.approx(level, rel=0.01)
        for key, values in model.quantities(theta).items():
            moved = np.abs(values - there[key])
            assert (moved <= 1.01 * limit[key] + 1e-10 * np.abs(there[key])).all(), key


@pytest.mark.parametrize("seed", range(4))
def test_what_perturbed_data_does_at_a_theta_is_granted(seed: int) -> None:
    """The noise is a bound of what a relative perturbation of the size it assumes does, scaled to be seen."""
    case, model = balanced(seed)
    theta = np.array([0.9, 0.2, 0.5]) * model.scales
    rounding = Rounding(model, theta)
    limit, before = rounding.cells(), model.quantities(theta)
    size = 1e-9
    rng = np.random.default_rng(seed)
    data = case.data.copy()
    for column in ("y", "x"):
        data[column] = data[column] * (1 + size * rng.uniform(-1, 1, len(data)))
    changed = MixedModel(case.with_data(data))
    after = changed.quantities(np.array([0.9, 0.2, 0.5]) * changed.scales)
    for key in set(limit) - {"sd"}:
        moved = np.abs(after[key] - before[key])
        assert (moved <= limit[key] * (size / rounding.unit) + 1e-13).all(), key


def test_flat_directions_leave_open_what_moves_along_them_and_nothing_else() -> None:
    """(Machine || Worker): the intercept's variance is in the machines' block too."""
    name = "lmer-machines-factor-bars"
    model = model_of(CASES[name])
    best = minimise(model, expected_cells(name)["theta"].values * model.scales)
    assert best.flat.sum() == 1
    limit = reach(model, best, 1e-8)
    assert np.isinf(limit["sd"]).any()
    for key in ("coef", "std_error", "sigma", "fitted", "objective"):
        assert np.isfinite(limit[key]).all(), key


def test_two_ends_of_a_flat_curve_match_cell_by_cell() -> None:
    name = "lmer-machines-factor-bars"
    rows = compare(CASES[name], fitted(name), frozen_values(CASES[name]))
    assert {row.verdict for row in rows} <= {Verdict.MATCH, Verdict.REFERENCE_NOT_CONVERGED}
    assert np.abs(np.asarray(fitted(name)["theta"]) - expected_cells(name)["theta"].values).max() > 0.1


CONTRADICTIONS: list[Callable[[Floats], Floats]] = [lambda t: t * 1.01, lambda t: t[::-1], lambda t: t + 0.05]


@pytest.mark.parametrize("change", CONTRADICTIONS)
def test_a_theta_where_the_objective_is_another_is_not_believed(change: Callable[[Floats], Floats]) -> None:
    name = "lmer-penicillin"
    theta = fitted(name)["theta"]
    got = {key: labelled(value) for key, value in fitted(name).items()}
    got["theta"] = Labelled(got["theta"].labels, change(theta.to_numpy()))
    standing = Standing(CASES[name], expected_cells(name), got)
    assert standing.mine.contradicts
    assert standing.mine.theta is None
    assert standing.stopped == ""
    assert standing.mine.above <= OBJECTIVE


def test_without_an_expected_theta_cells_are_held_to_r_itself() -> None:
    name = "lmer-dyestuff"
    expected = {key: value for key, value in frozen_values(CASES[name]).items() if key != "theta"}
    rows = compare(CASES[name], {**expected, "sigma": expected["sigma"] * (1 + 1e-9)}, expected)
    assert verdicts(rows)["sigma"] == {Verdict.UNEXPLAINED}
    assert verdicts(rows)["coef"] == {Verdict.MATCH}
