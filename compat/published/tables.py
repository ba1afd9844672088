"""Tables and named vectors as R prints them: a heading line over rows, wrapped where the page is narrow.

Cells go to columns by where they end, and by their order where the count is right but the places are not (a pasted page
may have lost its spaces). What the columns mean is the business of those who call.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from compat.published.page import Line, Token, numbers_of

_PAIRS = r"Std\. Error|[tzF] value|Pr\(>\|?\w+\|?\)|Sum of Sq|Sum Sq|Mean Sq|Chi Df|[0-9.]+ ?%|1st Qu\.|3rd Qu\."
_HEADING = re.compile(rf"{_PAIRS}|\S+")
_MARK = re.compile(r"(?<=\s)(\*{1,3}|\.)\s*\Z")
_NUMBER_ALONE = re.compile(r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?\Z")


@dataclass
class Row:
    """A row: its label and where that stands, its cells by column, the significance mark at its end."""

    label: str
    places: list[Token]
    cells: dict[int, Token]
    mark: Token | None


@dataclass
class Table:
    """A table as read: the headings of all wrapped parts, the rows, and how many lines it took."""

    headings: list[str]
    rows: list[Row]
    taken: int


def headings_of(line: Line) -> list[Token]:
    """The headings of a line, or none where it cannot be a line of headings: a number alone is no heading."""
    found = [Token(m.group(), line.number, *m.span()) for m in _HEADING.finditer(line.text)]
    if any(_NUMBER_ALONE.match(one.text) for one in found):
        return []
    return found


def read_table(lines: Sequence[Line], at: int, least_rows: int = 1) -> Table | None:
    """The table whose headings are on line `at`, with its wrapped parts; None where there is none."""
    headings = headings_of(lines[at])
    rows = _rows(lines, at + 1, headings) if headings else []
    if len(rows) < least_rows:
        return None
    table = Table([one.text for one in headings], rows, 1 + len(rows))
    while _wrapped(lines, at + table.taken, table):
        pass
    return table


def _rows(lines: Sequence[Line], start: int, headings: Sequence[Token]) -> list[Row]:
    rows: list[Row] = []
    for line in lines[start:]:
        row = read_row(line, headings)
        if row is None:
            break
        rows.append(row)
    return rows


def read_row(line: Line, headings: Sequence[Token]) -> Row | None:
    """A row under these headings; None where the numbers of the line do not belong to them."""
    text = line.text.rstrip()
    marked = _MARK.search(text)
    end = marked.start(1) if marked else len(text)
    numbers = list(numbers_of(line, 0, end))
    cells = _assign(numbers, headings)
    if cells is None:
        return None
    first = min(token.start for token in cells.values())
    last = max(token.end for token in cells.values())
    label = text[:first].strip()
    if text[last:end].strip() or not label or not _only_spaces(text, first, last, cells):
        return None
    mark = Token(marked.group(1), line.number, *marked.span(1)) if marked else None
    return Row(label, [Token(text[:first], line.number, 0, first)], cells, mark)


def _only_spaces(text: str, first: int, last: int, cells: dict[int, Token]) -> bool:
    """Whether nothing but the cells stands between the first and the last of them."""
    left = list(text[first:last])
    for token in cells.values():
        left[token.start - first : token.end - first] = " " * (token.end - token.start)
    return not "".join(left).strip()


def _assign(numbers: Sequence[Token], headings: Sequence[Token]) -> dict[int, Token] | None:
    """Numbers to columns: all by their order where there is one for each, else each by where it ends or starts."""
    wanted = len(headings)
    if len(numbers) >= wanted:
        return dict(enumerate(numbers[len(numbers) - wanted :]))
    ends = {heading.end: i for i, heading in enumerate(headings)}
    placed = {ends[token.end]: token for token in numbers if token.end in ends}
    beyond = [token for token in numbers if token.end not in ends]
    label_only = all(token.end < headings[0].start for token in beyond)
    return placed if placed and label_only else None


def _wrapped(lines: Sequence[Line], at: int, table: Table) -> bool:
    """Take the next part of a table that was too wide: other headings, the same rows again."""
    count = len(table.rows)
    if at + count >= len(lines):
        return False
    block = lines[at + 1 : at + 1 + count]
    if lines[at].blank:
        return bool(lines[at].text) and _marks(block, table)
    headings = headings_of(lines[at])
    rows = _rows(block, 0, headings) if headings else []
    same = len(rows) == count and all(a.label == b.label for a, b in zip(rows, table.rows, strict=True))
    if not same:
        return False
    shift = len(table.headings)
    for old, new in zip(table.rows, rows, strict=True):
        old.cells |= {shift + i: token for i, token in new.cells.items()}
        old.places += new.places
        old.mark = old.mark or new.mark
    table.headings += [one.text for one in headings]
    table.taken += 1 + count
    return True


def _marks(block: Sequence[Line], table: Table) -> bool:
    """A last part that holds nothing but significance marks, under a heading of spaces."""
    found: list[Token | None] = []
    for line, row in zip(block, table.rows, strict=True):
        rest = line.text[len(row.label) :]
        mark = rest.strip()
        if not line.text.startswith(row.label) or mark not in ("", ".", "*", "**", "***"):
            return False
        start = len(row.label) + len(rest) - len(rest.lstrip())
        found.append(Token(mark, line.number, start, start + len(mark)) if mark else None)
    for row, one, line in zip(table.rows, found, block, strict=True):
        row.mark = row.mark or one
        row.places.append(Token(row.label, line.number, 0, len(row.label)))
    table.taken += 1 + len(block)
    return True


# ---- named vectors ----------------------------------------------------------------------------------------------


@dataclass
class Named:
    """A named vector: names over numbers, and how many lines it took. `names` are where they stand."""

    names: list[Token]
    values: list[Token]
    taken: int


def read_named(lines: Sequence[Line], at: int, numeric_names: bool = False) -> Named | None:
    """Names on line `at`, their numbers on the next, and so on for the lines below while they go on in the same way."""
    out = Named([], [], 0)
    while at + out.taken + 1 < len(lines):
        pair = _pair(lines[at + out.taken], lines[at + out.taken + 1], numeric_names)
        if pair is None:
            break
        out.names += pair[0]
        out.values += pair[1]
        out.taken += 2
    return out if out.values else None


def _pair(above: Line, below: Line, numeric_names: bool) -> tuple[list[Token], list[Token]] | None:
    values = list(numbers_of(below))
    if not values or above.blank or not _nothing_else(below, values):
        return None
    names = _names_over(above, values)
    if names is None or (not numeric_names and all(_NUMBER_ALONE.match(name.text) for name in names)):
        return None
    return names, values


def _nothing_else(line: Line, tokens: Sequence[Token]) -> bool:
    return not _without(line.text, tokens).strip()


def _without(text: str, tokens: Sequence[Token]) -> str:
    for token in tokens:
        text = text[: token.start] + " " * (token.end - token.start) + text[token.end :]
    return text


def _names_over(line: Line, values: Sequence[Token]) -> list[Token] | None:
    """A name for each value: what ends where the value ends, or as many words as values."""
    text, start, names = line.text, 0, []
    for value in values:
        piece = text[start : value.end]
        if not piece.strip() or piece[-1] == " " or text[value.end : value.end + 1] not in ("", " "):
            break
        left = value.end - len(piece.strip())
        names.append(Token(piece.strip(), line.number, left, value.end))
        start = value.end
    if len(names) == len(values) and not text[start:].strip():
        return names
    words = [Token(m.group(), line.number, *m.span()) for m in re.finditer(r"\S+", text)]
    return words if len(words) == len(values) else None
