"""What the worker answers is what R says: its printed summaries, and the identities of the corrections' definers."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from compat.adapters.r import RImplementation, host_environment, r_home
from compat.cases import case_in_memory

from .r_hosts import start_host

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def r() -> Iterator[RImplementation]:
    with start_host("rscript"):
        found = RImplementation(host="rscript")
    yield found
    found.close()


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    n = 60
    x = rng.normal(size=n)
    return pd.DataFrame(
        {
            "y": 1 + x + rng.normal(size=n) * (1 + np.abs(x)),
            "x": x,
            "z": rng.uniform(size=n),
            "w": np.where(np.arange(n) % 9 == 0, 0.0, rng.uniform(0.5, 2, size=n)),
            "g": rng.integers(1, 9, size=n),
            "h": rng.integers(1, 6, size=n),
        }
    )


def fit(r: RImplementation, frame: pd.DataFrame, estimator: str, formula: str = "y ~ x + z", **options: Any) -> Any:
    return r.fit(case_in_memory(estimator, formula, frame, **options))


def printed(frame: pd.DataFrame, folder: Path, call: str) -> str:
    """What R prints, asked without the worker; the data goes as text with 17 digits."""
    home = r_home()
    path = folder / "data.csv"
    frame.to_csv(path, index=False, float_format="%.17g")
    code = f"options(digits = 15, width = 200); d <- read.csv({str(path)!r}); print({call}, digits = 12)"
    command = [str(home / "bin" / "Rscript"), "--vanilla", "-e", code]
    run = subprocess.run(command, capture_output=True, text=True, env=host_environment(home), check=True, timeout=120)
    return run.stdout


def numbers_after(text: str, label: str) -> list[float]:
    """The numbers of the printed line that starts with a label."""
    (line,) = [line for line in text.splitlines() if re.match(rf"\s*{re.escape(label)}\s", line)]
    rest = line.split(label, 1)[1]
    return [float(number) for number in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", rest)]


def test_lm_is_what_summary_prints(r: RImplementation, frame: pd.DataFrame, tmp_path: Path) -> None:
    got = fit(r, frame, "lm", weights="w")
    text = printed(frame, tmp_path, "summary(lm(y ~ x + z, d, weights = w))")
    for name in ("(Intercept)", "x", "z"):
        row = [got[quantity][name] for quantity in ("coef", "std_error", "statistic", "p_value")]
        np.testing.assert_allclose(row, numbers_after(text, name)[:4], rtol=2e-4)
    assert [got["sigma"], got["df_residual"]] == pytest.approx(numbers_after(text, "Residual standard error:")[:2])
    r2, adjusted = numbers_after(text, "Multiple R-squared:")
    assert (got["r_squared"], got["adj_r_squared"]) == pytest.approx((r2, adjusted))
    f_line = numbers_after(text, "F-statistic:")
    assert [got[name] for name in ("f_statistic", "f_numdf", "f_dendf", "f_p_value")] == pytest.approx(f_line)
    quantiles = [float(q) for q in text.split("Max", 1)[1].split()[:5]]
    np.testing.assert_allclose(got["residual_quantiles"], quantiles, rtol=1e-9)


@pytest.mark.parametrize("weights", [None, "w"])
def test_ols_is_what_rms_prints(r: RImplementation, frame: pd.DataFrame, tmp_path: Path, weights: str | None) -> None:
    got = fit(r, frame, "ols", "y ~ z + h", weights=weights)  # weak on purpose: P is printed to four places
    argument = f", weights = {weights}" if weights else ""
    text = printed(frame, tmp_path, f"rms::ols(y ~ z + h, d{argument})")
    for name in ("Intercept", "z", "h"):
        coef, std_error, statistic, p_value = numbers_after(text, name)[:4]
        np.testing.assert_allclose([got["coef"][name], got["std_error"][name]], [coef, std_error], rtol=1e-9)
        np.testing.assert_allclose(got["statistic"][name], statistic, atol=0.0051)
        np.testing.assert_allclose(got["p_value"][name], p_value, atol=5.1e-5)
    seen = {
        name: float(re.search(rf"{re.escape(label)}\s*(-?[\d.]+)", text)[1])  # type: ignore[index]
        for name, label in {
            "r_squared": "R2 ",
            "adj_r_squared": "R2 adj",
            "g_index": "g ",
            "lr_chi2": "LR chi2",
            "lr_p_value": "Pr(> chi2)",
            "sigma": "sigma",
        }.items()
    }
    for name, value in seen.items():
        assert got[name] == pytest.approx(value, abs=0.0051), name


@pytest.mark.parametrize("kind", ["CR0", "CR1", "CR1S", "CR2", "CR3"])
def test_both_definers_agree_on_one_unweighted_way(r: RImplementation, frame: pd.DataFrame, kind: str) -> None:
    got, other = (
        fit(r, frame, "vcov_cluster", type=kind, cluster=["g"], definer=definer)["vcov"]
        for definer in ("clubSandwich", "sandwich")
    )
    pd.testing.assert_frame_equal(got, other, rtol=1e-10)


@pytest.mark.parametrize("kind", ["CR0", "CR1", "CR1S"])
def test_one_way_has_one_factor(r: RImplementation, frame: pd.DataFrame, kind: str) -> None:
    component, smallest = (
        fit(r, frame, "vcov_cluster", type=kind, cluster=["g", "g"], definer="sandwich", small_sample=small)["vcov"]
        for small in ("component", "min")
    )
    pd.testing.assert_frame_equal(component, smallest, rtol=1e-10)


def test_the_smallest_dimension_gives_the_one_factor(r: RImplementation, frame: pd.DataFrame) -> None:
    options: dict[str, Any] = {"cluster": ["g", "h"], "definer": "sandwich", "small_sample": "min"}
    plain = fit(r, frame, "vcov_cluster", type="CR0", **options)
    scaled = fit(r, frame, "vcov_cluster", type="CR1", **options)
    g = plain["n_clusters"].min()
    assert dict(plain["n_clusters"]) == {"g": frame["g"].nunique(), "h": frame["h"].nunique()}
    pd.testing.assert_frame_equal(scaled["vcov"], plain["vcov"] * g / (g - 1), rtol=1e-12)


def test_robcov_is_clubsandwich_cr0_under_other_names(r: RImplementation, frame: pd.DataFrame) -> None:
    robcov = fit(r, frame, "robcov", cluster="g")
    cr0 = fit(r, frame, "vcov_cluster", type="CR0", cluster=["g"])
    np.testing.assert_allclose(robcov["vcov"], cr0["vcov"], rtol=1e-10)
    assert list(robcov["vcov"].index) == ["Intercept", "x", "z"]
    assert robcov["n_clusters"] == cr0["n_clusters"]["g"]


def test_z_and_t_are_two_answers(r: RImplementation, frame: pd.DataFrame) -> None:
    t, z, few = (
        fit(r, frame, "vcov_hc", type="HC1", **options) for options in ({}, {"test": "z"}, {"test": "t", "df": 4})
    )
    assert (t["df"], z["df"], few["df"]) == (t["nobs"] - 3, np.inf, 4.0)
    assert (z["p_value"] < t["p_value"]).all()
    assert (t["p_value"] < few["p_value"]).all()
    pd.testing.assert_series_equal(t["statistic"], z["statistic"])


def test_dropped_rows_leave_the_cluster_too(r: RImplementation, frame: pd.DataFrame) -> None:
    holes = frame.assign(x=frame["x"].where(frame.index % 7 != 3))
    kept = holes.dropna(subset=["x"])
    for estimator, options in (
        ("robcov", {"cluster": "g"}),
        ("vcov_cluster", {"type": "CR2", "cluster": ["g"]}),
        ("vcov_cluster", {"type": "CR1S", "cluster": ["g", "h"], "definer": "sandwich"}),
        ("vcov_hc", {"type": "HC3"}),
    ):
        got, other = fit(r, holes, estimator, **options), fit(r, kept, estimator, **options)
        pd.testing.assert_frame_equal(got["vcov"], other["vcov"], rtol=1e-12)
        assert got["nobs"] == other["nobs"] == len(kept)


def test_tails_do_not_end_at_the_rounding_error(r: RImplementation) -> None:
    x = np.arange(200.0)
    frame = pd.DataFrame({"y": 3 * x + np.tile([6.0, -6.0], 100), "x": x})
    for estimator in ("lm", "ols"):
        p = fit(r, frame, estimator, "y ~ x")["p_value"]["x"]
        assert 1e-307 < p < 1e-280
