"""Where a reading stands: the lines, the block that is being read, the blocks that are done.

A section is a function (state, at) -> lines taken, 0 where the line is none of its own. Sections are in linear.py,
rms.py, panel.py, mixed.py, anova.py and vectors.py; read.py tries them in their order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from compat.published.numbers import NUMBER
from compat.published.page import Block, Draft, Line, Token

N = rf"({NUMBER.pattern})"  # a number, as one group of a pattern


@dataclass
class State:
    """The lines of one stretch of output, the block in the making and those before it."""

    lines: Sequence[Line]
    draft: Draft | None = None
    blocks: list[Block] = field(default_factory=list)
    heading: str = ""  # `$ISO3` over the element of a list

    def open(self, kind: str) -> Draft:
        """Begin a block."""
        self.close()
        self.draft = Draft(kind)
        if self.heading:
            self.draft.facts["heading"] = self.heading
            self.heading = ""
        return self.draft

    def within(self, *kinds: str, once: str = "") -> Draft:
        """The block at hand if it is of one of these kinds and has no such part yet, else a new one of the first."""
        if self.draft is None or self.draft.kind not in kinds or (once and once in self.draft.done):
            self.open(kinds[0])
        assert self.draft is not None
        if once:
            self.draft.done.add(once)
        return self.draft

    def is_within(self, *kinds: str) -> bool:
        """Whether the block at hand is of one of these kinds."""
        return self.draft is not None and self.draft.kind in kinds

    def close(self) -> None:
        """End the block at hand."""
        if self.draft is not None and self.draft.lines:
            self.blocks.append(self.draft.block())
        self.draft = None

    def until_blank(self, at: int) -> int:
        """How many lines from `at` on are not blank."""
        n = 0
        while at + n < len(self.lines) and not self.lines[at + n].blank:
            n += 1
        return n


Section = Callable[[State, int], int]


def take(
    draft: Draft,
    line: Line,
    pattern: re.Pattern[str],
    *cells: tuple[str, tuple[str, ...]],
    group: str = "",
    style: str = "",
) -> bool:
    """Take the numbers of a line that has this pattern, one cell a group; False where it has not."""
    found = pattern.search(line.text)
    if found is None:
        return False
    for i, (quantity, label) in enumerate(cells, 1):
        if found.group(i) is not None:
            draft.cell(quantity, label, Token(found.group(i), line.number, *found.span(i)), group, style)
    return True
