"""Columns of text as R's print puts them on lines: named vectors, matrices, wrapped at the width of the page.

What stands in a cell is decided elsewhere (numbers.py, coefficients.py).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

WIDTH = 80  # R's option "width"
NO_ROWS = 4  # R's margin of a matrix without rows


def display_width(text: str) -> int:
    """Columns a text takes on a terminal: two for wide East Asian characters, none for combining ones."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def pad_left(text: str, width: int) -> str:
    """The text right-justified."""
    return " " * (width - display_width(text)) + text


def pad_right(text: str, width: int) -> str:
    """The text left-justified."""
    return text + " " * (width - display_width(text))


def widest(texts: Sequence[str]) -> int:
    """The display width of the widest text."""
    return max(map(display_width, texts), default=0)


def print_named(names: Sequence[str], cells: Sequence[str], width: int = WIDTH, gap: int = 1) -> list[str]:
    """A named vector: a line of names above a line of values, as many to a line as fit (R: print.default)."""
    each = widest([*names, *cells])
    per_line = max(1, width // (each + gap))
    lines = []
    for start in range(0, len(cells), per_line):
        for row in (names, cells):
            lines.append("".join(pad_left(text, each) + " " * gap for text in row[start : start + per_line]))
    return lines


def print_matrix(
    row_names: Sequence[str],
    headers: Sequence[str],
    columns: Sequence[Sequence[str]],
    right: bool = True,
    width: int = WIDTH,
) -> list[str]:
    """A character matrix without quotes, `columns` one list of cells a header (R: print.default, quote = FALSE).

    Columns that do not fit the width go on below, under their headers and beside the row names again.
    """
    pad = pad_left if right else pad_right
    margin = widest(row_names) if row_names else NO_ROWS
    padded = []
    for header, column in zip(headers, columns, strict=True):
        each = widest([header, *column])
        padded.append([pad(text, each) for text in (header, *column)])
    lines = []
    for block in _blocks([display_width(column[0]) + 1 for column in padded], width - margin):
        for i, name in enumerate(("", *row_names)):
            lines.append(" ".join([pad_right(name, margin), *(padded[j][i] for j in block)]))
    return lines


def _blocks(widths: Sequence[int], room: int) -> Iterator[range]:
    """Ranges of columns that stay below the room beside each other, at least one a block."""
    start, used = 0, 0
    for i, each in enumerate(widths):
        if i > start and used + each >= room:
            yield range(start, i)
            start, used = i, 0
        used += each
    yield range(start, len(widths))
