"""The lecture's simulations, models and printed numbers: held to refimpl's own estimators and to what R repeats."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import refimpl as ri
from compat.compare import Verdict
from compat.data import DataUnavailable, fixtures_root, load_data, locate
from compat.data import data_spec as spec_of
from compat.lecture import printed, schools, simulations
from compat.lecture.content import Checks
from compat.lecture.models import Clones, Panel
from compat.lecture.simulations import Classes, balanced_variances, cluster_sizes, draw_clusters, slopes

ROOT = fixtures_root()
SCRIPT = Path(printed.__file__).parents[1] / "r" / "lecture.R"
FROZEN = json.loads((ROOT / "expected/r-4.2.2-debian12/lecture/lecture.json").read_text())
ESTIMATORS = simulations.ESTIMATORS


def numbers(texts: list[str]) -> np.ndarray:
    return np.array([float(text) for text in texts])


@pytest.fixture(scope="module")
def panel() -> Panel:
    try:
        return Panel(load_data("hiv-deaths"), locate(spec_of("hiv-deaths", ROOT), ROOT))
    except DataUnavailable as absent:
        pytest.skip(absent.reason)


# -- ML and REML ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("criterion", ["ML", "REML"])
@pytest.mark.parametrize("design", FROZEN["variances"], ids=lambda one: str(one["classes"]))
def test_variances_are_those_of_lme4(design: dict[str, Any], criterion: str) -> None:
    expected = numbers(design[criterion])
    z, y = Classes().draw(design["classes"], len(expected))
    # lme4 stops where the deviance is flat to 1e-13: its variances have some seven digits.
    np.testing.assert_allclose(balanced_variances(z, y, criterion == "REML"), expected, rtol=3e-6, atol=1e-9)


def test_variances_are_zero_where_lme4_finds_none() -> None:
    small = next(one for one in FROZEN["variances"] if one["classes"] == 6)
    for criterion in ("ML", "REML"):
        expected = numbers(small[criterion])
        z, y = Classes().draw(6, len(expected))
        assert (balanced_variances(z, y, criterion == "REML") == 0).tolist() == (expected < 1e-9).tolist()
    assert (numbers(small["ML"]) < 1e-9).sum() > (numbers(small["REML"]) < 1e-9).sum() > 0


@pytest.mark.parametrize("REML", [False, True])
def test_variances_are_those_of_lmer(REML: bool) -> None:
    design = Classes(pupils=4, class_variance=0.3, residual_variance=2.0)
    z, y = design.draw(9, 12)
    got = balanced_variances(z, y, REML)
    found = []
    for one, values in zip(z, y, strict=True):
        group = np.repeat(np.arange(9), 4)
        data = pd.DataFrame({"y": values.ravel(), "z": one[group], "class": group.astype(str)})
        found.append(float(ri.lmer("y ~ z + (1 | class)", data, REML=REML).covariance["class"].to_numpy()[0, 0]))
    assert (got == 0).any()
    assert (got > 0).any()
    np.testing.assert_allclose(got, found, rtol=1e-9, atol=1e-12)


def test_bias_is_what_the_algebra_says_where_no_estimate_is_zero() -> None:
    table = simulations.variance_bias(classes=(40, 60), replicates=400, design=Classes(class_variance=2.0))
    assert table["at_zero"].tolist() == [0.0] * 4
    assert table["criterion"].tolist() == ["ML", "REML"] * 2
    np.testing.assert_allclose(table["bias"], table["mean"] - 2.0, rtol=1e-12)
    assert (np.abs(table["bias"] - table["theory"]) < 4 * table["mc_error"]).all()
    ml = table[table["criterion"] == "ML"]
    np.testing.assert_allclose(ml["theory"], [-2 / 40 * 2.4, -2 / 60 * 2.4], rtol=1e-12)


def test_bias_has_the_monte_carlo_error_of_its_replicates() -> None:
    table = simulations.variance_bias(classes=(8,), replicates=50)
    z, y = Classes().draw(8, 50)
    found = balanced_variances(z, y, REML=False)
    assert table["mean"][0] == pytest.approx(found.mean(), rel=1e-12)
    assert table["mc_error"][0] == pytest.approx(found.std(ddof=1) / np.sqrt(50), rel=1e-12)
    assert table["at_zero"][0] == (found == 0).mean()


# -- few clusters ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("design", FROZEN["clusters"], ids=lambda one: str(one["clusters"]))
def test_standard_errors_are_those_of_sandwich_and_club_sandwich(design: dict[str, Any]) -> None:
    G, replicates = design["clusters"], len(design["slope"])
    found = slopes(*draw_clusters(G, replicates), cluster_sizes(G))
    np.testing.assert_allclose(found.slope, numbers(design["slope"]), rtol=1e-10)
    assert set(found.std_error) == set(ESTIMATORS)
    for name in ESTIMATORS:
        np.testing.assert_allclose(found.std_error[name], numbers(design[name]), rtol=1e-10, err_msg=name)
    np.testing.assert_allclose(found.satterthwaite, numbers(design["satterthwaite"]), rtol=1e-9)


def test_standard_errors_are_those_of_the_estimators() -> None:
    x, y = draw_clusters(7, 4)
    sizes = cluster_sizes(7)
    group = np.repeat(np.arange(7), sizes)
    found = slopes(x, y, sizes)
    for i in range(4):
        fit = ri.lm("y ~ x", {"x": x[i], "y": y[i]})
        vcov = {"HC0": ri.vcov_hc(fit, "HC0"), **{t: ri.vcov_cluster(fit, group, t) for t in ESTIMATORS[1:]}}
        assert found.slope[i] == pytest.approx(fit.coef["x"], rel=1e-12)
        got = {name: float(error[i]) for name, error in found.std_error.items()}
        assert got == pytest.approx({name: float(np.sqrt(V.loc["x", "x"])) for name, V in vcov.items()}, rel=1e-12)


def test_coverage_counts_the_intervals_that_hold_the_slope() -> None:
    table = simulations.cluster_coverage(clusters=(6,), replicates=80)
    found = slopes(*draw_clusters(6, 80), cluster_sizes(6))
    rows = int(cluster_sizes(6).sum())
    # R: qt(0.975, 50), qt(0.975, 5)
    quantiles = {"n - k": 2.008559112100761, "G - 1": 2.570581835636314}
    assert rows == 52
    assert len(table) == 11
    for _, row in table[table["df"] != "Satterthwaite"].iterrows():
        half = quantiles[row["df"]] * found.std_error[row["estimator"]]
        held = (found.slope - half <= 1) & (found.slope + half >= 1)
        assert row["coverage"] == held.mean()
        assert row["mc_error"] == pytest.approx(np.sqrt(held.mean() * (1 - held.mean()) / 80), rel=1e-12)
        spread = found.std_error[row["estimator"]].mean() / found.slope.std(ddof=1)
        assert row["std_error"] == pytest.approx(spread, rel=1e-12)


def test_coverage_falls_short_as_the_cautions_say() -> None:
    table = simulations.cluster_coverage(clusters=(5,), replicates=600).set_index(["estimator", "df"])["coverage"]
    for df in ("n - k", "G - 1"):
        covered = [table[name, df] for name in ("CR0", "CR1S", "CR2", "CR3")]
        assert covered == sorted(covered)
        assert covered[0] < 0.9
    assert table["CR2", "Satterthwaite"] == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / 600))


# -- more levels -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted_schools() -> schools.Schools:
    return schools.fit_schools()


def test_pupils_are_those_that_r_draws() -> None:
    data = schools.pupils()
    assert len(data) == FROZEN["schools"]["rows"] == 2880
    ends = [float.fromhex(text) for text in FROZEN["schools"]["math"]]
    np.testing.assert_allclose(data["math"].to_numpy()[[0, -1]], ends, rtol=1e-14)
    for lower, higher in (("class", "school"), ("school", "district")):
        assert (data.groupby(lower, observed=True)[higher].nunique() == 1).all()
    assert [data[name].nunique() for name in ("class", "school", "district")] == [240, 60, 10]


@pytest.mark.parametrize("name", list(FROZEN["schools"]["fits"]))
def test_levels_are_fitted_as_lme4_fits_them(name: str, fitted_schools: schools.Schools) -> None:
    expected, fit = FROZEN["schools"]["fits"][name], fitted_schools.fits[name]
    assert fit.criterion <= float(expected["criterion"][0]) + 1e-7
    assert fit.criterion == pytest.approx(float(expected["criterion"][0]), rel=1e-9)
    sd = {**fit.sd.to_dict(), "Residual": fit.sigma}
    for got, frozen in ((fit.coef, expected["coef"]), (fit.std_error, expected["std_error"]), (sd, expected["sd"])):
        assert dict(got) == pytest.approx({label: float(text) for label, text in frozen.items()}, rel=2e-4)
        assert list(dict(got)) == list(frozen)


def test_levels_are_tested_as_lme4_tests_them(fitted_schools: schools.Schools) -> None:
    tests, frozen = fitted_schools.tests(), FROZEN["schools"]
    np.testing.assert_allclose(tests["chisq"].iloc[1:], numbers(frozen["chisq"]), rtol=1e-6)
    assert tests["chi_df"].iloc[1:].tolist() == frozen["chi_df"]
    np.testing.assert_allclose(np.log(tests["p_value"].iloc[1:]), np.log(numbers(frozen["p_value"])), rtol=1e-5)


def test_truth_is_found_within_its_error(fitted_schools: schools.Schools) -> None:
    table = fitted_schools.table()
    name = "cross-level interaction"
    for term in schools.TRUE_FIXED:
        assert abs(table.loc[term, name] - table.loc[term, "true"]) < 3 * table.loc[term, f"{name}, std. error"]
    shown = fitted_schools.shown().set_index("parameter")
    assert shown.loc["size", "true"] == "−1"
    assert shown.loc["ses:size", "three levels"] == ""
    fit = fitted_schools.fits[name]
    assert shown.loc["ses:size", name] == f"{fit.coef['ses:size']:.3f} ({fit.std_error['ses:size']:.3f})"


# -- R now -----------------------------------------------------------------------------------------------------------


def test_frozen_file_tells_where_it_comes_from() -> None:
    provenance = FROZEN["provenance"]
    assert provenance["script_sha256"] == hashlib.sha256(SCRIPT.read_bytes()).hexdigest()
    assert {"lme4", "sandwich", "clubSandwich"} <= set(provenance["packages"])
    assert all(provenance[key] for key in ("r", "platform", "os", "locale", "blas", "lapack", "date"))


@pytest.mark.live
def test_live_r_repeats_what_was_frozen() -> None:
    rscript = shutil.which("Rscript")
    if rscript is None:
        pytest.skip("Rscript is not on the path; compat/r/install-debian.sh installs R")
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    run = subprocess.run(
        [rscript, str(SCRIPT), "answer"], check=True, timeout=300, capture_output=True, text=True, env=environment
    )
    assert_same(json.loads(run.stdout), {key: FROZEN[key] for key in ("variances", "clusters", "schools")})


def assert_same(got: Any, frozen: Any, where: str = "") -> None:
    """Equal but for the last digits, which another BLAS may round otherwise."""
    if isinstance(frozen, dict):
        assert list(got) == list(frozen), where
        for key in frozen:
            assert_same(got[key], frozen[key], f"{where}/{key}")
    elif isinstance(frozen, list):
        assert len(got) == len(frozen), where
        for number, (one, other) in enumerate(zip(got, frozen, strict=True)):
            assert_same(one, other, f"{where}/{number}")
    elif isinstance(frozen, str) and "0x" not in frozen:
        assert float(got) == pytest.approx(float(frozen), rel=1e-6, abs=1e-9), where
    else:
        assert got == frozen, where


# -- printed numbers --------------------------------------------------------------------------------------------------


def verdicts(checks: Checks) -> Counter[Verdict]:
    return Counter(row.verdict for row in checks.rows)


def test_every_printed_number_is_explained(panel: Panel) -> None:
    found = printed.printed_checks([panel.file])
    assert list(found) == list(printed.BLOCKS.values())
    total = sum((verdicts(checks) for checks in found.values()), Counter())
    assert total == {Verdict.MATCH: 427, Verdict.MATCH_UNDER_CONVENTION: 28}
    explained = {name: n for name, c in found.items() if (n := verdicts(c)[Verdict.MATCH_UNDER_CONVENTION])}
    assert explained == {"summary": 2, "plm": 1, "coef": 24, "mean": 1}
    for checks in found.values():
        for row in checks.rows:
            assert (row.explanation == "") == (row.verdict is Verdict.MATCH), row.what
            assert row.computed is not None, row.what


def test_clones_are_checked_without_the_panel() -> None:
    found = printed.printed_checks([])
    for name in ("ols", "robcov", "clones", "clones-robcov"):
        assert set(verdicts(found[name])) == {Verdict.MATCH}
        assert len(found[name].rows) >= 13
    for name in ("summary", "lmer-slope", "coef", "mean"):
        assert set(verdicts(found[name])) == {Verdict.NOT_RUN}


def test_a_changed_digit_is_reported_as_itself(panel: Panel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = (ROOT.joinpath(*printed.SESSION)).read_text()
    changed = text.replace(" 0.302393 ", " 0.302394 ")
    assert sum(one != other for one, other in zip(text, changed, strict=True)) == 1
    (tmp_path / "published/lecture").mkdir(parents=True)
    (tmp_path / "published/lecture/session.txt").write_text(changed)
    monkeypatch.setattr(printed, "fixtures_root", lambda: tmp_path)
    rows = [row for checks in printed.printed_checks([panel.file]).values() for row in checks.rows]
    assert [(row.what, row.printed) for row in rows if row.verdict is Verdict.UNEXPLAINED] == [
        ("std_error[(Intercept)]", "0.302394")
    ]


def test_a_session_of_other_commands_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "published/lecture").mkdir(parents=True)
    monkeypatch.setattr(printed, "fixtures_root", lambda: tmp_path)
    for text, message in (("> 1 + 1\n[1] 2\n", "no chapter is about"), ("> x <- 1\n", "does not print anova")):
        (tmp_path / "published/lecture/session.txt").write_text(text)
        with pytest.raises(LookupError, match=message):
            printed.printed_checks([])


# -- models -----------------------------------------------------------------------------------------------------------


def test_clustered_copies_repeat_the_originals() -> None:
    clones = Clones()
    errors = clones.slope_errors
    assert errors["CR0"] == pytest.approx(errors["HC0, one of each"], rel=1e-12)
    assert errors["HC0"] == pytest.approx(errors["HC0, one of each"] / 4, rel=1e-12)
    assert errors["CR1"] == pytest.approx(errors["CR0"] * np.sqrt(100 / 99), rel=1e-12)
    assert errors["CR0"] < errors["CR1"] < errors["CR1S"] < errors["CR2"] < errors["CR3"]
    assert clones.likelihood_error == pytest.approx(errors["HC0, one of each"], rel=1e-12)


def test_levels_written_out_are_the_model_of_the_formula(panel: Panel) -> None:
    same = panel.hierarchy.fit(panel.data, REML=False)
    assert same.criterion == pytest.approx(panel.slopes.criterion, rel=1e-12)
    np.testing.assert_allclose(same.coef, panel.slopes.coef, rtol=1e-9)
    assert "GDPLagK:PolityMean" in panel.crossed.coef.index
    assert panel.crossed.REML


def test_reml_moves_with_the_unit_and_ml_does_not(panel: Panel) -> None:
    table = panel.reml_in_units
    assert table.loc["dollars", "ML"] == pytest.approx(table.loc["thousands of dollars", "ML"], rel=1e-8)
    moved = table.loc["thousands of dollars", "REML"] - table.loc["dollars", "REML"]
    assert moved == pytest.approx(2 * np.log(1000), abs=1e-6)


def test_mean_slope_is_the_fixed_effect(panel: Panel) -> None:
    assert panel.country_slopes.shape == (117,)
    assert panel.country_slopes.mean() == pytest.approx(panel.slopes_reml.coef["GDPLagK"], rel=1e-9)
    assert f"{panel.country_slopes.mean():.6f}" == "0.156798"
