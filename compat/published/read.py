"""Reads a stretch of printed output: which blocks are in it, and which numbers nobody could read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compat.published import anova, linear, mixed, panel, rms, vectors
from compat.published.page import Block, Line, Token, numbers_of
from compat.published.state import Section, State

# The order matters: what has a title of its own comes before tables that could be anything.
SECTIONS: tuple[Section, ...] = (
    *rms.SECTIONS, *panel.SECTIONS, *mixed.SECTIONS, *anova.SECTIONS, *linear.SECTIONS, *vectors.SECTIONS
)  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """What was read: blocks in their order, and the numbers that stand outside all of them."""

    blocks: tuple[Block, ...]
    unread: tuple[Token, ...]


def read(lines: Sequence[Line]) -> Reading:
    """Read the lines that R printed for one command (or all of a page without commands).

    Lines that belong to nothing known are left out; every number on them is in `unread`. Never raises.
    """
    state = State(lines)
    at = 0
    while at < len(lines):
        taken = 0 if lines[at].blank else _take(state, at)
        at += taken or 1
    state.close()
    return Reading(tuple(state.blocks), tuple(_unread(lines, state.blocks)))


def _take(state: State, at: int) -> int:
    for section in SECTIONS:
        taken = section(state, at)
        if taken:
            if state.draft is not None:
                state.draft.lines += [line.number for line in state.lines[at : at + taken]]
            return taken
    return 0


def _unread(lines: Sequence[Line], blocks: Sequence[Block]) -> list[Token]:
    """Numbers that are neither a cell nor inside a stretch that was understood as text."""
    known: dict[int, list[Token]] = {}
    for block in blocks:
        for token in (*(cell.token for cell in block.cells), *block.labels):
            known.setdefault(token.line, []).append(token)
    out = []
    for line in lines:
        for number in numbers_of(line):
            if not any(token.start < number.end and number.start < token.end for token in known.get(line.number, [])):
                out.append(number)
    return out
