"""`rcompat lecture`: fit, simulate and draw, then write tables, figures and the page into a folder."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import matplotlib
import numpy as np
import pandas as pd
import scipy

from compat.compare import Verdict
from compat.data import DataUnavailable, data_spec, fixtures_root, load_copy, load_data, locate
from compat.lecture import hierarchical, robust
from compat.lecture.content import Chapter, Picture, Table, all_checks, counts
from compat.lecture.models import Clones, Panel
from compat.lecture.page import render
from compat.lecture.printed import printed_checks
from compat.lecture.schools import fit_schools
from compat.lecture.simulations import cluster_coverage, variance_bias
from refimpl import figures

PANEL = "hiv-deaths"
PAGE = "lecture.html"
B = TypeVar("B")
Tell = Callable[[str], None]
STEPS = (
    "the clones",
    "coverage with few clusters",
    "ML against REML",
    "three and four levels",
    "the panel",
    "the page",
    "files",
)


@dataclass(frozen=True)
class Made:
    """What was written, how many printed numbers got each verdict, and why the panel is missing ("" if it is not)."""

    page: Path
    files: tuple[Path, ...]
    verdicts: Mapping[Verdict, int]
    missing: str


def make(out: Path, data: Path | None = None, tell: Tell = lambda step: None) -> Made:
    """Write the lecture into `out`: lecture.html, tables/*.csv, figures/*.svg and *.png.

    `data` is the panel's CSV; without it the panel is looked for as every data set is. `tell` hears each of STEPS as
    it begins. Raises ValueError for a CSV whose columns are not the panel's.
    """
    chapters, missing = compose(data, tell)
    tell("the page")
    pictures = {block.name: _bytes(block, ".svg") for block in _blocks(chapters, Picture)}
    text = render(chapters, pictures, versions(), missing)
    tell("files")
    written = [_write(out / PAGE, text.encode())]
    for picture in _blocks(chapters, Picture):
        written.append(_write(out / "figures" / f"{picture.name}.svg", pictures[picture.name]))
        written.append(_write(out / "figures" / f"{picture.name}.png", _bytes(picture, ".png")))
    for table in _blocks(chapters, Table):
        written.append(_write(out / "tables" / f"{table.name}.csv", _csv(table.frame, table.index)))
    written.append(_write(out / "tables" / "printed-numbers.csv", _csv(printed_numbers(chapters), False)))
    return Made(written[0], tuple(written), counts(chapters), missing)


def compose(data: Path | None, tell: Tell) -> tuple[list[Chapter], str]:
    """The chapters, and why the panel is missing, if it is."""
    tell("the clones")
    clones = Clones()
    tell("coverage with few clusters")
    coverage = cluster_coverage()
    tell("ML against REML")
    bias = variance_bias()
    tell("three and four levels")
    schools = fit_schools()
    tell("the panel")
    panel = find_panel(data)
    checks = printed_checks([panel.file] if isinstance(panel, Panel) else [])
    chapters = [*robust.chapters(clones, checks, coverage), *hierarchical.chapters(panel, checks, bias, schools)]
    return chapters, panel if isinstance(panel, str) else ""


def find_panel(data: Path | None) -> Panel | str:
    """The panel of the file, or of the data set by name; or the reason why there is none."""
    if data is not None:
        return Panel(load_copy(PANEL, data), data)
    try:
        root = fixtures_root()
        return Panel(load_data(PANEL), locate(data_spec(PANEL, root), root))
    except DataUnavailable as absent:
        return f"{absent.reason}; or name the file: rcompat lecture --data HIVDeaths.csv"


def printed_numbers(chapters: Iterable[Chapter]) -> pd.DataFrame:
    """Every printed number: block, what, printed, computed, verdict, explanation."""
    rows = [
        (block, check.what, check.printed, check.computed, str(check.verdict), check.explanation)
        for block, check in all_checks(chapters)
    ]
    return pd.DataFrame(rows, columns=["block", "what", "printed", "computed", "verdict", "explanation"])


def versions() -> str:
    """One line: what computed the page."""
    try:
        own = version("rcompat")
    except PackageNotFoundError:
        own = "unknown"
    used = ", ".join(f"{library.__name__} {library.__version__}" for library in (np, scipy, pd, matplotlib))
    return f"Computed by refimpl (rcompat {own}; Python {platform.python_version()}, {used}). R was not asked."


def _blocks(chapters: Iterable[Chapter], kind: type[B]) -> list[B]:
    return [block for chapter in chapters for block in chapter.blocks if isinstance(block, kind)]


def _bytes(picture: Picture, suffix: str) -> bytes:
    buffer = BytesIO()
    figures.save(picture.figure, buffer, suffix)
    return buffer.getvalue()


def _csv(frame: pd.DataFrame, index: bool) -> bytes:
    return frame.to_csv(index=index, lineterminator="\n").encode()


def _write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
