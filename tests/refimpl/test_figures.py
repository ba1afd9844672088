"""The pictures: what is drawn is what was computed, axes are labelled, the same picture gives the same bytes."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from PIL import Image

import refimpl as ri
from refimpl import figures
from refimpl.density import density
from refimpl.errors import DataError
from refimpl.rrandom import RRandom


@pytest.fixture(scope="module")
def clones() -> dict[str, ri.LinearFit]:
    random = RRandom(7222009)
    x = random.rnorm(100)
    data = pd.DataFrame({"id": range(100), "x": x, "y": 1 + x + random.rnorm(100) * np.abs(x)})
    big = pd.concat([data] * 16, ignore_index=True)
    one, many = ri.ols("y ~ x", data), ri.ols("y ~ x", big)
    return {"one": one, "many": many, "robust": ri.robcov(many, "id"), "robust one": ri.robcov(one)}


@pytest.fixture(scope="module")
def mixed() -> ri.MixedFit:
    random = RRandom(5)
    group = np.repeat(np.arange(30), 8)
    x = random.rnorm(240)
    y = 1 + x + random.rnorm(30)[group] + 0.7 * random.rnorm(30)[group] * x + random.rnorm(240)
    labels = np.array([f"group {k}" for k in range(30)])[group]
    return ri.lmer("y ~ x + (x | g)", pd.DataFrame({"y": y, "x": x, "g": labels}))


def bias_table() -> pd.DataFrame:
    rows = [(J, c, -1 / J if c == "ML" else 0.0, 0.01, -1 / J) for J in (6, 12, 40) for c in ("ML", "REML")]
    return pd.DataFrame(rows, columns=["groups", "criterion", "bias", "mc_error", "theory"])


def coverage_table() -> pd.DataFrame:
    names = [(name, df) for df in ("n - k", "G - 1") for name in figures.COVERAGE_STYLES] + [("CR2", "Satterthwaite")]
    rows = [(G, name, df, 0.8 + G / 400, 0.005) for G in (5, 10, 40) for name, df in names]
    return pd.DataFrame(rows, columns=["clusters", "estimator", "df", "coverage", "mc_error"])


@pytest.fixture(scope="module")
def drawings(clones: dict[str, ri.LinearFit], mixed: ri.MixedFit) -> dict[str, Callable[[], Figure]]:
    rate = np.exp(RRandom(1).rnorm(300))
    return {
        "clones": lambda: figures.clones(clones["one"], clones["many"], clones["robust"]),
        "hiv_densities": lambda: figures.hiv_densities(rate),
        "slope_density": lambda: figures.slope_density(mixed.coef_by_group["g"]["x"], "slope (y per x)"),
        "caterpillar": lambda: figures.caterpillar(mixed, column="x"),
        "variance_bias": lambda: figures.variance_bias(bias_table()),
        "coverage": lambda: figures.coverage(coverage_table()),
    }


NAMES = ("clones", "hiv_densities", "slope_density", "caterpillar", "variance_bias", "coverage")


def saved(figure: Figure, suffix: str) -> bytes:
    buffer = io.BytesIO()
    figures.save(figure, buffer, suffix)
    return buffer.getvalue()


@pytest.mark.parametrize("name", NAMES)
def test_picture_has_labelled_axes_and_something_on_them(name: str, drawings: dict[str, Any]) -> None:
    figure = drawings[name]()
    assert isinstance(figure, Figure)
    assert figure.axes
    for number, ax in enumerate(figure.axes):
        assert ax.get_xlabel().strip()
        assert not ax.yaxis.get_visible() or number > 0 or ax.get_ylabel().strip()
        assert ax.has_data()
    pixels = np.asarray(Image.open(io.BytesIO(saved(figure, ".png"))).convert("L"))
    assert min(pixels.shape) >= 500
    assert 0.005 < (pixels < 200).mean() < 0.5


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_same_picture_gives_the_same_bytes(name: str, suffix: str, drawings: dict[str, Any]) -> None:
    first, second = saved(drawings[name](), suffix), saved(drawings[name](), suffix)
    assert len(first) > 3000
    assert first == second


def test_picture_is_saved_by_the_suffix_of_its_file(drawings: dict[str, Any], tmp_path: Path) -> None:
    for suffix, head in ((".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF")):
        figures.save(drawings["variance_bias"](), tmp_path / f"bias{suffix}")
        assert (tmp_path / f"bias{suffix}").read_bytes().startswith(head)


# -- what is drawn -------------------------------------------------------------------------------------------------


def test_band_is_the_interval_of_the_prediction() -> None:
    data = {"x": [1.0, 2.0, 4.0, 7.0, 8.0], "y": [1.0, 3.0, 2.0, 6.0, 5.0]}
    fit = ri.lm("y ~ x", data)
    grid = np.array([0.0, 3.5, 9.0])
    band = figures.confidence_band(fit, "x", grid, level=0.9)
    V, b = fit.vcov.to_numpy(), fit.coef.to_numpy()
    half = 2.353363434801823 * np.sqrt(V[0, 0] + 2 * grid * V[0, 1] + grid**2 * V[1, 1])  # R: qt(0.95, 3)
    for column, sign in (("fit", 0), ("low", -1), ("high", 1)):
        np.testing.assert_allclose(band[column], b[0] + b[1] * grid + sign * half, rtol=1e-12)
    assert band["x"].tolist() == grid.tolist()


def test_clones_show_three_pairs_of_bands(clones: dict[str, ri.LinearFit]) -> None:
    figure = figures.clones(clones["one"], clones["many"], clones["robust"])
    (ax,) = figure.axes
    lines = ax.get_lines()
    assert len(lines) == 7
    for number, fit in enumerate((clones["one"], clones["many"], clones["robust"])):
        low, high = lines[2 * number], lines[2 * number + 1]
        band = figures.confidence_band(fit, "x", np.asarray(low.get_xdata()))
        np.testing.assert_array_equal(low.get_ydata(), band["low"])
        np.testing.assert_array_equal(high.get_ydata(), band["high"])
        assert low.get_linestyle() == high.get_linestyle()
        assert low.get_color() == high.get_color()
    assert len({line.get_color() for line in lines}) == 4
    points = ax.collections[0].get_offsets()
    np.testing.assert_array_equal(points[:, 1], clones["one"].frame.response)


def test_robust_band_of_the_clones_is_that_of_the_originals(clones: dict[str, ri.LinearFit]) -> None:
    grid = np.linspace(-2, 2, 9)
    bands = {name: figures.confidence_band(fit, "x", grid) for name, fit in clones.items()}
    width = {name: (band["high"] - band["low"]).to_numpy() for name, band in bands.items()}
    quantile = figures.t_quantile(0.975, 98) / figures.t_quantile(0.975, 1598)
    np.testing.assert_allclose(width["robust one"], quantile * width["robust"], rtol=1e-12)
    assert (width["many"] < width["one"] / 3.9).all()


def curve(ax: Axes) -> np.ndarray:
    return np.asarray(ax.get_lines()[0].get_xydata())


def test_densities_are_those_of_the_density_function() -> None:
    rate = np.exp(RRandom(1).rnorm(300))
    figure = figures.hiv_densities(np.append(rate, np.nan))
    for ax, values in zip(figure.axes, (rate, np.log(rate * 1000)), strict=True):
        found = density(values)
        np.testing.assert_array_equal(curve(ax), np.column_stack([found.x, found.y]))
        assert f"bandwidth {found.bandwidth:.4g}" in ax.get_xlabel()
        assert "300" in ax.get_xlabel()


def test_mean_of_the_slopes_is_marked() -> None:
    slopes = np.array([-0.5, 0.25, 1.0, 0.125])
    (ax,) = figures.slope_density(slopes, "slope").axes
    marked = [line for line in ax.get_lines() if line.get_color() == figures.RED]
    assert [list(line.get_xdata()) for line in marked] == [[0.21875, 0.21875]]
    assert "mean 0.218750" in [text.get_text() for text in ax.texts]


@pytest.mark.parametrize("column", ["(Intercept)", "x"])
def test_caterpillar_shows_every_level_with_its_interval(mixed: ri.MixedFit, column: str) -> None:
    (ax,) = figures.caterpillar(mixed, column=column).axes
    k = mixed.ranef["g"].columns.get_loc(column)
    effect, sd = mixed.ranef["g"][column], np.sqrt(mixed.ranef_condvar["g"][:, k, k])
    order = np.argsort(effect.to_numpy())
    z = 1.959963984540054
    segments = [s for c in ax.collections if isinstance(c, LineCollection) for s in c.get_segments()]
    got = np.array(sorted((s[0, 1], s[0, 0], s[1, 0]) for s in segments))
    np.testing.assert_array_equal(got[:, 0], np.arange(30))
    np.testing.assert_allclose(got[:, 1], (effect - z * sd).to_numpy()[order], rtol=1e-12)
    np.testing.assert_allclose(got[:, 2], (effect + z * sd).to_numpy()[order], rtol=1e-12)
    assert [text.get_text() for text in ax.texts] == list(effect.index[order])


def test_caterpillar_colours_what_leaves_zero_out(mixed: ri.MixedFit) -> None:
    table = figures.effects_table(mixed, column="x")
    apart = int(((table["low"] > 0) | (table["high"] < 0)).sum())
    (ax,) = figures.caterpillar(mixed, column="x").axes
    drawn = {line.get_color(): len(line.get_xdata()) for line in ax.get_lines() if line.get_marker() == "o"}
    assert 0 < apart < 30
    assert drawn == {figures.GREY: 30 - apart, figures.BLUE: apart}
    assert f"{apart} leave zero out" in ax.get_title(loc="left")


def test_effects_of_each_term_of_a_crossed_model() -> None:
    random = RRandom(9)
    a, b = np.repeat(np.arange(10), 12), np.tile(np.arange(12), 10)
    y = random.rnorm(10)[a] + 2 * random.rnorm(12)[b] + random.rnorm(120)
    fit = ri.lmer("y ~ 1 + (1 | a) + (1 | b)", pd.DataFrame({"y": y, "a": a.astype(str), "b": b.astype(str)}))
    for term, levels in (("a", 10), ("b", 12)):
        table = figures.effects_table(fit, term)
        assert len(table) == levels
        assert table["effect"].is_monotonic_increasing
        pd.testing.assert_series_equal(
            table["effect"].sort_index(), fit.ranef[term]["(Intercept)"].sort_index(), check_names=False
        )


def test_bias_and_coverage_show_every_row_with_its_error() -> None:
    bias, table = bias_table(), coverage_table()
    (ax,) = figures.variance_bias(bias).axes
    drawn = [bar.lines[0].get_ydata() for bar in ax.containers]
    assert [list(h) for h in drawn] == [list(bias[bias["criterion"] == c]["bias"]) for c in ("ML", "REML")]
    left, right = figures.coverage(table).axes
    assert (len(left.containers), len(right.containers)) == (5, 6)
    for container, name in zip(right.containers, [*figures.COVERAGE_STYLES, "CR2, Satterthwaite"], strict=True):
        assert container.get_label() == name
        heights = np.asarray(container.lines[0].get_ydata(), dtype=float)
        np.testing.assert_allclose(heights, 100 * (0.8 + np.array([5, 10, 40]) / 400))
        low_high = np.array([s[:, 1] for s in container.lines[2][0].get_segments()])
        np.testing.assert_allclose(low_high[:, 1] - low_high[:, 0], 2 * 196 * 0.005)


def test_colours_are_told_apart_without_red_and_green() -> None:
    """By simulated deuteranopia (Vienot, Brettel and Mollon 1999) every two lines stay apart, and so do the markers."""
    to_lms = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
    blind = np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]])
    seen = np.linalg.inv(to_lms) @ blind @ to_lms
    rgb = {c: np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) / 255 for c, _ in figures.COVERAGE_STYLES.values()}
    found = {colour: seen @ value for colour, value in rgb.items()}
    styles = list(figures.COVERAGE_STYLES.values())
    assert len({marker for _, marker in styles}) == len(styles)
    for i, (one, _) in enumerate(styles):
        for other, _ in styles[:i]:
            assert np.abs(found[one] - found[other]).max() > 0.1, (one, other)


# -- what is refused ------------------------------------------------------------------------------------------------


def test_what_cannot_be_drawn_is_refused(mixed: ri.MixedFit) -> None:
    data = {"x": [1.0, 2.0, 4.0, 7.0], "z": [1.0, 0.0, 1.0, 1.0], "y": [1.0, 3.0, 2.0, 6.0]}
    fit = ri.ols("y ~ x + z", data)
    refused: list[Callable[[], object]] = [
        lambda: figures.clones(fit, fit, fit),
        lambda: figures.caterpillar(mixed, term="h"),
        lambda: figures.caterpillar(mixed, column="z"),
        lambda: figures.slope_density([1.0]),
    ]
    for draw in refused:
        with pytest.raises(DataError):
            draw()


def test_missing_matplotlib_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r"rcompat\[figures\]"):
        figures.variance_bias(bias_table())


def test_matplotlib_is_imported_with_the_first_picture_and_pyplot_never(tmp_path: Path) -> None:
    program = (
        "import sys, pandas as pd, refimpl.figures as f\n"
        "assert 'matplotlib' not in sys.modules\n"
        "t = pd.DataFrame([(6, 'ML', 0., 1., 0.)], columns=['groups', 'criterion', 'bias', 'mc_error', 'theory'])\n"
        "f.save(f.variance_bias(t), sys.argv[1])\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
    )
    file = tmp_path / "bias.svg"
    run = subprocess.run([sys.executable, "-c", program, str(file)], capture_output=True, text=True, timeout=120)
    assert (run.returncode, run.stderr) == (0, "")
    assert file.stat().st_size > 3000
