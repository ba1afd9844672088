"""Chapters as one HTML file that needs nothing besides itself: styles inline, pictures as data, formulas as MathML.

What it looks like is in page.html.j2 and page.css; here is how values become text. jinja2 is the extra `report`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from compat.compare import MEANING, Verdict
from compat.lecture.content import Chapter, Check, Checks, Formula, Slip, Table, all_checks, counts
from compat.lecture.mathml import mathml
from compat.published.numbers import Sort, read_number

MOST_COLUMNS = 5  # of a grid; more quantities stand in rows
MORE_DIGITS = 3  # of the computed number, beyond the printed ones
MARKS: Mapping[Verdict, tuple[str, str]] = {  # sign, class
    Verdict.MATCH: ("✓", "match"),
    Verdict.MATCH_UNDER_CONVENTION: ("≈", "explained"),
    Verdict.KNOWN_REFERENCE_DEFECT: ("≈", "explained"),
    Verdict.UNEXPLAINED: ("✗", "differs"),
    Verdict.STRUCTURE: ("✗", "differs"),
}


def render(chapters: Sequence[Chapter], pictures: Mapping[str, bytes], versions: str, missing: str = "") -> str:
    """The page. `pictures` are the figures' SVG by name, `versions` a line for the foot, `missing` what is not here."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.globals |= {
        "mark": mark,
        "layout": layout,
        "computed": computed,
        "reasons": reasons,
        "math": math,
        "breakable": breakable,
    }
    environment.globals |= {"kind": lambda block: type(block).__name__, "rows": table_rows, "prose": prose}
    css = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    return environment.get_template("page.html.j2").render(
        chapters=chapters,
        css=Markup(css),
        pictures={
            name: "data:image/svg+xml;base64," + base64.b64encode(svg).decode() for name, svg in pictures.items()
        },
        counts=[(verdict, number, MEANING[verdict]) for verdict, number in counts(chapters).items()],
        total=len(all_checks(chapters)),
        slips=[block for chapter in chapters for block in chapter.of(Slip)],
        versions=versions,
        missing=missing,
    )


def prose(text: str) -> Markup:
    """Text with `code` between backticks, and minus signs outside it."""
    parts = str(escape(text)).split("`")
    plain = [re.sub(r"(?<![\w-])-(?=\d)", "−", part) for part in parts[::2]]
    marked = [f"<code>{part}</code>" for part in parts[1::2]] + [""]
    return Markup("".join(a + b for a, b in zip(plain, marked, strict=True)))


def breakable(name: str) -> Markup:
    """A name that a narrow column may break between its words: GDP, Growth, Lag."""
    words = re.split(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[._])(?=.)", name)
    return Markup("<wbr>").join(words)


def math(formula: Formula) -> Markup:
    """The formula as MathML."""
    return Markup(mathml(formula.tex, label=formula.spoken or None))


# ----------------------------------------------------------------------------------------------------------
# Printed numbers
# ----------------------------------------------------------------------------------------------------------


def mark(verdict: Verdict) -> tuple[str, str]:
    """Sign and class of a verdict."""
    return MARKS.get(verdict, ("–", "absent"))


def computed(check: Check) -> str:
    """The number with a few more digits than the slide prints; nothing where it is the printed one itself."""
    value = check.computed
    if value is None:
        return "not computed"
    printed = read_number(check.printed)
    if printed is not None and printed.sort is Sort.NUMBER and printed.value == value:
        return ""
    if printed is None or not np.isfinite(value):
        return f"{value:.7g}"
    if printed.sort is Sort.BELOW or "e" in check.printed.lower():
        return f"{value:.3g}".replace("-", "−")
    if 0 < abs(value) < 1e-4 and printed.value == 0:
        return f"{value:.2g}".replace("-", "−")
    return f"{value:.{max(printed.decimals, 0) + MORE_DIGITS}f}".replace("-", "−")


@dataclass(frozen=True)
class Grid:
    """Checks in rows and columns: `cells` by (row, column); where there is none the slide prints none."""

    corner: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: Mapping[tuple[str, str], Check]


@dataclass(frozen=True)
class Layout:
    """How a block's checks stand on the page: numbers by themselves, then grids."""

    single: tuple[Check, ...]
    grids: tuple[Grid, ...]


def layout(checks: Checks) -> Layout:
    """Quantities that share labels become one grid; of a matrix the rows that share columns; the rest stands alone."""
    lines: dict[str, dict[str, dict[str, Check]]] = {}  # corner -> line -> label -> check
    for row in checks.rows:
        corner, line, label = _place(row, checks.rows)
        lines.setdefault(corner, {}).setdefault(line, {})[label] = row
    single: list[Check] = []
    grids: list[Grid] = []
    for corner, found in lines.items():
        for group in _groups(found):
            (first, *others) = group.values()
            if len(first) == 1 and not others:
                single += first.values()
            else:
                grids.append(_grid(corner, group))
    return Layout(tuple(single), tuple(grids))


def _place(check: Check, rows: Sequence[Check]) -> tuple[str, str, str]:
    """The grid a check belongs to, its line there and its place in the line."""
    if len(check.labels) == 2 and all(len(row.labels) == 2 for row in rows if row.quantity == check.quantity):
        return check.quantity, *check.labels
    return "", check.quantity, " ".join(check.labels)


def _groups(lines: Mapping[str, Mapping[str, Check]]) -> list[dict[str, Mapping[str, Check]]]:
    """Lines that have most of their labels in common; a number without label shares with none."""
    groups: list[dict[str, Mapping[str, Check]]] = []
    for line, cells in lines.items():
        home = None if "" in cells else next((group for group in groups if _shares(cells, group)), None)
        if home is None:
            groups.append({line: cells})
        else:
            home[line] = cells
    return groups


def _shares(cells: Mapping[str, Check], group: Mapping[str, Mapping[str, Check]]) -> bool:
    known = {label for line in group.values() for label in line}
    return 2 * len(known & set(cells)) > min(len(known), len(cells))


def _grid(corner: str, group: Mapping[str, Mapping[str, Check]]) -> Grid:
    """Labels down and quantities across, as R prints coefficients; lines across where there are many, or a matrix."""
    labels, lines = tuple(dict.fromkeys(label for cells in group.values() for label in cells)), tuple(group)
    if corner or len(lines) == 1 or len(lines) > MOST_COLUMNS:
        return Grid(
            corner,
            lines,
            labels,
            {(line, label): check for line, found in group.items() for label, check in found.items()},
        )
    return Grid(
        corner, labels, lines, {(label, line): check for line, found in group.items() for label, check in found.items()}
    )


def reasons(checks: Checks) -> list[tuple[str, list[Check]]]:
    """Every explanation of a block once, with the checks it is for."""
    out: dict[str, list[Check]] = {}
    for row in checks.rows:
        if row.verdict is not Verdict.MATCH:
            out.setdefault(row.explanation, []).append(row)
    return list(out.items())


# ----------------------------------------------------------------------------------------------------------
# Tables
# ----------------------------------------------------------------------------------------------------------


def table_rows(table: Table) -> tuple[list[tuple[str, bool]], list[list[tuple[str, bool]]]]:
    """Headings and rows of a table as text, each cell with whether it is of a column of numbers."""
    frame = table.frame if table.shown is None else table.shown
    if table.index and table.shown is None:
        frame = frame.reset_index()
    numeric = [_numeric(frame[name]) for name in frame.columns]
    form = f"#.{table.digits}g" if table.decimals is None else f".{table.decimals}f"
    columns = [_texts(frame[name], form) for name in frame.columns]
    headings = [(str(name).replace("_", " "), right) for name, right in zip(frame.columns, numeric, strict=True)]
    return headings, [list(zip(row, numeric, strict=True)) for row in zip(*columns, strict=True)]


def _numeric(column: pd.Series[Any]) -> bool:
    return pd.api.types.is_numeric_dtype(column) or all(re.match(r"[-−]?\d", str(value)) for value in column)


def _texts(column: pd.Series[Any], form: str) -> list[str]:
    """A column's values; whole numbers as such where all are, otherwise every one in the form asked for."""
    if not pd.api.types.is_numeric_dtype(column):
        return ["" if pd.isna(value) else str(value) for value in column]
    there = column.dropna().to_numpy(dtype=np.float64)
    whole = bool((there == np.round(there)).all() and (np.abs(there) < 1e9).all())
    shown = [("" if pd.isna(v) else f"{v:.0f}" if whole else f"{v:{form}}".rstrip(".")) for v in column]
    return [text.replace("-", "−") for text in shown]
