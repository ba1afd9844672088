"""R's density(): frozen answers, the same asked of a live R, and what a density must be whatever R says."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compat.data import DataUnavailable, load_data
from refimpl.density import KERNELS, Density, density, nrd0
from refimpl.errors import DataError

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "compat" / "r" / "density.R"
FROZEN = json.loads((ROOT / "fixtures/expected/r-4.2.2-debian12/density/density.json").read_text())
CASES = {case["name"]: case for case in FROZEN["cases"]}
NAMES = {"bw": "bandwidth", "from": "low", "to": "high"}
OF_THE_HIGHEST = 2e-14  # two transforms of 1024 numbers differ by a few rounding errors of the largest


def doubles(texts: list[str]) -> np.ndarray:
    return np.array([float(text) if "Inf" in text else float.fromhex(text) for text in texts])


def estimated(case: dict[str, Any]) -> Density:
    options = {NAMES.get(k, k): v if k == "kernel" else float.fromhex(v) for k, v in case["options"].items()}
    if "n" in options:
        options["n"] = int(options["n"])
    return density(doubles(case["data"]), **options)


def assert_same(got: Density, answer: dict[str, Any]) -> None:
    y = doubles(answer["y"])
    x = np.linspace(*doubles(answer["ends"]), len(y))
    assert got.nobs == answer["nobs"]
    assert got.bandwidth == pytest.approx(float.fromhex(answer["bw"][0]), rel=1e-14)
    assert got.x.shape == x.shape
    np.testing.assert_allclose(got.x, x, rtol=1e-14, atol=1e-13 * np.abs(x).max())
    np.testing.assert_allclose(got.y, y, rtol=0, atol=tolerance(got, y))


def tolerance(got: Density, y: np.ndarray) -> float:
    """Rounding of the transform, and of the places x / h that are computed from coordinates far from zero."""
    cancelled = np.abs(got.x).max() / got.bandwidth * np.finfo(float).eps
    return float(max(OF_THE_HIGHEST, 2 * cancelled) * max(y.max(), 1 / (got.bandwidth * got.nobs)))


@pytest.mark.parametrize("name", CASES)
def test_frozen_density_is_reproduced(name: str) -> None:
    assert_same(estimated(CASES[name]), CASES[name])


def test_frozen_file_tells_where_it_comes_from() -> None:
    provenance = FROZEN["provenance"]
    assert provenance["r"].startswith("R version 4.2.2")
    assert provenance["script_sha256"] == hashlib.sha256(SCRIPT.read_bytes()).hexdigest()
    assert all(provenance[key] for key in ("platform", "os", "locale", "packages", "date"))
    assert len(CASES) == len(FROZEN["cases"]) >= 30
    assert {case["options"].get("kernel", "gaussian") for case in FROZEN["cases"]} == set(KERNELS)


def asked(cases: list[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    rscript = shutil.which("Rscript")
    if rscript is None:
        pytest.skip("Rscript is not on the path; compat/r/install-debian.sh installs R")
    (folder / "cases.json").write_text(json.dumps(cases))
    run = subprocess.run(
        [rscript, str(SCRIPT), "answer", str(folder / "cases.json")],
        check=True, timeout=120, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    answers: list[dict[str, Any]] = json.loads(run.stdout)
    assert [answer["name"] for answer in answers] == [case["name"] for case in cases]
    return answers


def hexes(values: np.ndarray) -> list[str]:
    return [float(value).hex() for value in values]


@pytest.mark.live
def test_live_density_repeats_what_was_frozen(tmp_path: Path) -> None:
    kept = [{key: case[key] for key in ("name", "data", "options")} for case in FROZEN["cases"]]
    for answer in asked(kept, tmp_path):
        assert {key: CASES[answer["name"]][key] for key in answer} == answer


@pytest.mark.live
def test_live_density_of_random_data_is_reproduced(tmp_path: Path) -> None:
    rng = np.random.default_rng(20190108)
    cases = []
    for number in range(40):
        x = rng.standard_t(3, size=int(rng.integers(2, 400))) * 10.0 ** rng.integers(-4, 5) + rng.normal()
        options = {"kernel": str(rng.choice(list(KERNELS))), "adjust": float(rng.uniform(0.2, 3)).hex()}
        options["n"] = float(rng.integers(2, 2000)).hex()
        cases.append({"name": str(number), "data": hexes(x), "options": options})
    for case, answer in zip(cases, asked(cases, tmp_path), strict=True):
        assert_same(estimated(case), answer)


@pytest.mark.live
@pytest.mark.parametrize("column", ["HIVDeathRate", "LnDeathPM", "GDPLagK"])
def test_live_density_of_the_lecture_is_reproduced(column: str, tmp_path: Path) -> None:
    try:
        x = load_data("hiv-deaths")[column].dropna().to_numpy()
    except DataUnavailable as absent:
        pytest.skip(absent.reason)
    case: dict[str, Any] = {"name": column, "data": hexes(x), "options": {}}
    (answer,) = asked([case], tmp_path)
    assert_same(estimated(case), answer)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=60), st.sampled_from(sorted(KERNELS)), st.floats(0.05, 2))
def test_density_has_the_mass_and_the_mean_of_the_data(data: list[float], kernel: str, relative: float) -> None:
    x = np.array(data)
    h = relative * (float(np.ptp(x)) or 1.0)
    got = density(x, bandwidth=h, kernel=kernel)  # type: ignore[arg-type]
    assert (got.y >= 0).all()
    # Beyond three bandwidths a kernel has 0.3 % at most, and a jump is spread over a step, 1/19 of a bandwidth here.
    step = (got.x[1] - got.x[0]) / h
    mass = float(np.trapezoid(got.y, got.x))
    assert mass == pytest.approx(1, abs=0.005 + step)
    mean = float(np.trapezoid(got.x * got.y, got.x)) / mass
    assert mean == pytest.approx(x.mean(), abs=(0.005 + step) * h)


def test_grid_artefact_of_r_before_4_4_is_there() -> None:
    x = np.array([0.0, 1.0, 3.0])
    got = density(x)
    exact = np.mean([np.exp(-0.5 * ((got.x - one) / got.bandwidth) ** 2) for one in x], axis=0)
    exact /= got.bandwidth * np.sqrt(2 * np.pi)
    ratio = np.trapezoid(got.y, got.x) / np.trapezoid(exact, got.x)
    assert ratio == pytest.approx(1 + 1 / (2 * 512 - 2), abs=1e-4)


def test_kernels_have_mass_one_and_the_bandwidth_as_standard_deviation() -> None:
    d = np.linspace(0, 12, 1_200_001)
    for name, kernel in KERNELS.items():
        y = kernel(d)
        assert 2 * np.trapezoid(y, d) == pytest.approx(1, abs=1e-5), name
        assert 2 * np.trapezoid(d**2 * y, d) == pytest.approx(1, abs=1e-4), name


def test_density_elsewhere_is_linear_between_its_points() -> None:
    got = density([1.0, 2.0, 4.0])
    middle = (got.x[:-1] + got.x[1:]) / 2
    np.testing.assert_allclose(got.at(middle), (got.y[:-1] + got.y[1:]) / 2, rtol=1e-12, atol=0)
    assert got.at([got.x[0] - 1, got.x[-1] + 1]).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("data", "options", "kind"),
    [
        ([1.0, np.nan], {}, "infinite-values"),
        ([], {}, "no-rows"),
        ([np.inf, -np.inf], {}, "no-rows"),
        ([5.0], {}, "no-rows"),
        ([1.0, 2.0], {"bandwidth": 0.0}, "bad-option"),
        ([1.0, 2.0], {"bandwidth": -1.0}, "bad-option"),
        ([1.0, 2.0], {"bandwidth": np.inf}, "bad-option"),
        ([1.0, 2.0], {"adjust": -1.0}, "bad-option"),
        ([1.0, 2.0], {"kernel": "normal"}, "bad-option"),
        ([1.0, 2.0], {"n": 0}, "bad-option"),
        ([1.0, 2.0], {"low": np.nan}, "bad-option"),
        ([1.0, 2.0], {"low": 3.0, "high": 2.0}, "bad-option"),
    ],
)
def test_what_is_no_density_is_refused(data: list[float], options: dict[str, Any], kind: str) -> None:
    with pytest.raises(DataError) as refused:
        density(data, **options)
    assert refused.value.kind == kind


def test_bandwidth_without_spread_is_positive() -> None:
    assert nrd0([1.0, 1.0, 1.0, 1.0, 5.0]) == pytest.approx(0.9 * np.sqrt(3.2) * 5**-0.2, rel=1e-14)
    assert nrd0([-3.0] * 3) == pytest.approx(0.9 * 3 * 3**-0.2, rel=1e-14)
    assert nrd0([0.0, 0.0]) == pytest.approx(0.9 * 2**-0.2, rel=1e-14)
