"""What a page is made of: chapters of paragraphs, formulas, pictures, tables, and printed numbers with their verdicts.

Only values are here. What the chapters say is in robust.py and hierarchical.py, how they look in page.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import pandas as pd

from compat.compare import Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Check:
    """A number of the slides beside ours: `printed` as it stands there, `computed` in full, and what follows.

    `quantity` and `labels` name the cell (no label for a number by itself, two within a matrix); `explanation` is empty
    for a MATCH, and says for every other verdict why.
    """

    quantity: str
    labels: tuple[str, ...]
    printed: str
    computed: float | None
    verdict: Verdict
    explanation: str = ""

    @property
    def what(self) -> str:
        """The cell's name: `std_error[GDPLagK]`."""
        return f"{self.quantity}[{', '.join(self.labels)}]" if self.labels else self.quantity


@dataclass(frozen=True)
class Text:
    """A paragraph. `code` within backticks, nothing else is marked up."""

    text: str


@dataclass(frozen=True)
class Slip:
    """Something that the slides have wrong, in one sentence, with the evidence in another."""

    claim: str
    evidence: str


@dataclass(frozen=True)
class Formula:
    """A formula in the TeX of mathml.py, with a caption and words for those who hear it."""

    tex: str
    caption: str = ""
    spoken: str = ""


@dataclass(frozen=True)
class Code:
    """Lines of a program or of output, verbatim; folded behind `title` where that is given."""

    text: str
    title: str = ""


@dataclass(frozen=True)
class Table:
    """A table, written to tables/<name>.csv in full.

    The page shows `shown` for it, where that is given; numbers to `digits` significant digits, or to `decimals`; folded
    behind `title`, where there is one.
    """

    name: str
    frame: pd.DataFrame
    caption: str
    digits: int = 4
    index: bool = True
    shown: pd.DataFrame | None = None
    decimals: int | None = None
    title: str = ""


@dataclass(frozen=True)
class Picture:
    """A figure, written to figures/<name>.svg and .png; `alt` says what is seen in it."""

    name: str
    figure: Figure
    caption: str
    alt: str


@dataclass(frozen=True)
class Checks:
    """The printed numbers of one block of a slide."""

    name: str
    title: str
    rows: tuple[Check, ...]


@dataclass(frozen=True)
class Missing:
    """Why a part is not here."""

    reason: str


Block = Text | Slip | Formula | Code | Table | Picture | Checks | Missing


@dataclass(frozen=True)
class Chapter:
    """One slide, or a few that belong together."""

    slug: str
    title: str
    part: Literal["robust", "hierarchical"]
    blocks: Sequence[Block] = field(default=())

    def of(self, kind: type) -> list[Block]:
        """The blocks of one kind."""
        return [block for block in self.blocks if isinstance(block, kind)]


def all_checks(chapters: Iterable[Chapter]) -> list[tuple[str, Check]]:
    """Every printed number with the name of its block, in the order of the page."""
    return [
        (block.name, row)
        for chapter in chapters
        for block in chapter.blocks
        if isinstance(block, Checks)
        for row in block.rows
    ]


def counts(chapters: Iterable[Chapter]) -> Mapping[Verdict, int]:
    """How many printed numbers got each verdict; those that none got are left out."""
    found = [check.verdict for _, check in all_checks(chapters)]
    return {verdict: found.count(verdict) for verdict in Verdict if verdict in found}
