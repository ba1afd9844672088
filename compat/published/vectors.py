"""Sections of plain prints: summary of a data frame, `[1]` vectors, named vectors, data frames and matrices, logLik."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from compat.published.page import Draft, Line, Token, numbers_of
from compat.published.state import N, Section, State, take
from compat.published.tables import headings_of, read_named

_LOGLIK = re.compile(rf"'log Lik\.'\s+{N} \(df={N}\)")


def loglik(state: State, at: int) -> int:
    """`'log Lik.' -71.23 (df=6)`."""
    line = state.lines[at]
    if not _LOGLIK.match(line.text):
        return 0
    return int(take(state.open("loglik"), line, _LOGLIK, ("loglik", ()), ("n_parameters", ())))


def heading(state: State, at: int) -> int:
    """`$ISO3`, the name of a list's element over it."""
    found = re.match(r"\$(\S+)\s*\Z", state.lines[at].text)
    if found is None:
        return 0
    state.close()
    state.heading = found.group(1).strip("`")
    return 1


# ---- [1] ----------------------------------------------------------------------------------------------------------

_INDEXED = re.compile(r"\s*\[(\d{1,9})\]\s")
_ELEMENT = re.compile(r'"(?:[^"\\]|\\.)*"|\S+')
_TRUTHS = ("TRUE", "FALSE", "NA")


def indexed(state: State, at: int) -> int:
    """Lines that begin with the index of their first number."""
    if not _INDEXED.match(state.lines[at].text):
        return 0
    draft, taken, count = state.open("vector"), 0, 0
    words: list[str] = []
    while at + taken < len(state.lines) and (found := _INDEXED.match(state.lines[at + taken].text)):
        line = state.lines[at + taken]
        index = Token(found.group(1), line.number, *found.span(1))
        if found.group(1) == "1" and taken:
            break
        draft.cell("index", (str(count + 1),), index)
        for element in _ELEMENT.finditer(line.text, found.end(1) + 1):
            count += 1
            words.append(element.group())
            for token in numbers_of(line, *element.span()):
                draft.cell("value", (str(count),), token, style="vector")
        taken += 1
    if set(words) <= set(_TRUTHS):
        draft.facts["truths"] = " ".join(words)
    return taken


def named(state: State, at: int) -> int:
    """Names over numbers; names that are numbers of rows stand exactly over their numbers."""
    found = read_named(state.lines, at) or read_named(state.lines, at, numeric_names=True)
    if found is None or len(found.values) < 1 or not _is_whole(state.lines[at], state.lines[at + 1]):
        return 0
    if any(name.text[0].isdigit() for name in found.names) and not _are_over(found.names, found.values):
        return 0
    draft = state.open("named")
    summary = {name.text for name in found.names} >= {"Min.", "Median", "Max."}
    draft.labels += found.names
    for name, value in zip(found.names, found.values, strict=True):
        missing = name.text == "NA's"
        draft.cell("value", (name.text,), value, "" if missing else "value", "summary" if summary else "vector")
    return found.taken


def _are_over(names: Sequence[Token], values: Sequence[Token]) -> bool:
    """Whether every name ends where its number ends."""
    return all(name.end == value.end for name, value in zip(names, values, strict=True))


def _is_whole(above: Line, below: Line) -> bool:
    """Whether the names are no sentence: every name stands over its number."""
    return abs(len(above.text.rstrip()) - len(below.text.rstrip())) <= 1


# ---- summary(data.frame) ------------------------------------------------------------------------------------------


@dataclass
class _Piece:
    """`Min.   :0.00478`: key, value and where the cell starts."""

    key: str
    value: Token
    start: int


_STATISTICS = ("Min.", "1st Qu.", "Median", "Mean", "3rd Qu.", "Max.")
_PIECE = re.compile(r"\s*(\S[^:]*?)\s*:\s*(\S+)")


def _pieces(line: Line) -> list[_Piece]:
    """The cells of a line of a summary; none where something else stands on it."""
    out, at = [], 0
    while (found := _PIECE.match(line.text, at)) is not None:
        value = Token(found.group(2), line.number, *found.span(2))
        out.append(_Piece(found.group(1), value, found.start(1)))
        at = found.end()
    return out if not line.text[at:].strip() else []


def summary_frame(state: State, at: int) -> int:
    """Names of columns over cells like `Min.   :0.153`, part by part where the page is narrow."""
    lines = state.lines
    taken = _summary_part(state, at, None)
    if not taken:
        return 0
    assert state.draft is not None
    while at + taken < len(lines) and (more := _summary_part(state, at + taken, state.draft)):
        taken += more
    return taken


def _summary_part(state: State, at: int, draft: Draft | None) -> int:
    lines = state.lines
    if at + 1 >= len(lines) or lines[at].blank or _pieces(lines[at]):
        return 0
    first = _pieces(lines[at + 1])
    names = _centred_names(lines[at], len(first))
    if not first or names is None or not any(_is_first(piece.key) for piece in first):
        return 0
    starts = [piece.start for piece in first]
    n = 1
    draft = draft or state.open("summary-frame")
    draft.columns += [name.text for name in names]
    draft.labels += names
    while at + n < len(lines) and (pieces := _pieces(lines[at + n])):
        if n > 1 and _is_first(pieces[0].key) and len(pieces) == len(first):
            break
        if not _take_pieces(draft, lines[at + n], pieces, names, starts):
            break
        n += 1
    if at + n < len(lines) and lines[at + n].blank:
        n += 1
    return n


def _is_first(key: str) -> bool:
    """Whether this is what the first line of a column's summary says."""
    return key in ("Min.", "Length", "Mode")


def _centred_names(line: Line, count: int) -> list[Token] | None:
    words = [Token(m.group(), line.number, *m.span()) for m in re.finditer(r"\S+", line.text)]
    if count and len(words) == count:
        return words
    words = [Token(m.group(), line.number, *m.span()) for m in re.finditer(r"\S+(?: \S+)*", line.text)]
    return words if count and len(words) == count else None


def _take_pieces(
    draft: Draft, line: Line, pieces: Sequence[_Piece], names: Sequence[Token], starts: Sequence[int]
) -> bool:
    """Cells of a line, each to the column that starts where it starts, else by order where none is missing."""
    places = [starts.index(piece.start) if piece.start in starts else -1 for piece in pieces]
    if len(pieces) == len(starts):
        places = list(range(len(starts)))
    if -1 in places:
        return False
    for place, piece in zip(places, pieces, strict=True):
        column = names[place].text
        counted = piece.key not in _STATISTICS
        draft.cell(
            "summary", (column, piece.key), piece.value,
            f"count {column}" if counted else column, "" if counted else "summary",
        )  # fmt: skip
        draft.text(line, piece.start, piece.value.start)
    return True


# ---- data frames and matrices -------------------------------------------------------------------------------------


_MATRIX = re.compile(rf"{N} x {N} Matrix of class \"d\w+Matrix\"\s*\Z")


def matrix_title(state: State, at: int) -> int:
    """`2 x 2 Matrix of class "dpoMatrix"` over a matrix."""
    line = state.lines[at]
    if not _MATRIX.match(line.text) or at + 1 >= len(state.lines) or not headings_of(state.lines[at + 1]):
        return 0
    return int(take(state.open("table"), line, _MATRIX, ("cell", ("rows",)), ("cell", ("columns",))))


def frame(state: State, at: int) -> int:
    """A data frame or a matrix: headings over rows, numbers in their columns; columns of text are passed over."""
    lines = state.lines
    headings = headings_of(lines[at])
    rows = _frame_rows(lines, at + 1, headings) if headings else []
    if not rows:
        return 0
    labels = [label.text.strip() for label, _ in rows]
    draft = state.within("table", once="rows")
    taken = _keep_part(draft, lines[at], headings, rows)
    while at + taken < len(lines):
        headings = headings_of(lines[at + taken])
        more = _frame_rows(lines[: at + taken + 1 + len(rows)], at + taken + 1, headings) if headings else []
        if [label.text.strip() for label, _ in more] != labels:
            break
        taken += _keep_part(draft, lines[at + taken], headings, more)
    draft.rows += labels
    return taken


FrameRow = tuple[Token, dict[int, Token]]


def _keep_part(draft: Draft, head: Line, headings: Sequence[Token], rows: Sequence[FrameRow]) -> int:
    draft.columns += [one.text for one in headings]
    draft.text(head)
    for label, cells in rows:
        draft.labels.append(label)
        for i, token in cells.items():
            column = headings[i].text
            if next(numbers_of(Line(token.line, token.text)), None) is None or not _is_number(token.text):
                draft.labels.append(token)
            else:
                draft.cell("cell", (label.text.strip(), column), token, column, "vector")
    return 1 + len(rows)


def _is_number(text: str) -> bool:
    return next((t.text == text for t in numbers_of(Line(0, text))), False)


def _frame_rows(lines: Sequence[Line], start: int, headings: Sequence[Token]) -> list[FrameRow]:
    """Rows whose cells end where the headings end, or that have as many words as there are headings and a label."""
    out: list[FrameRow] = []
    for line in lines[start:]:
        row = _aligned_row(line, headings) or _counted_row(line, headings)
        if row is None:
            break
        out.append(row)
    return out


def _aligned_row(line: Line, headings: Sequence[Token]) -> FrameRow | None:
    text, cells, start = line.text, {}, 0
    for i, heading_ in enumerate(headings):
        end = heading_.end
        if len(text) < end or text[end - 1] == " " or text[end : end + 1] not in ("", " "):
            return None
        piece = text[start:end]
        word = piece.split()[-1] if i == 0 and piece.split() else piece.strip()
        cells[i] = Token(word, line.number, end - len(word), end)
        start = end
    if text[start:].strip():
        return None
    label = Token(text[: cells[0].start], line.number, 0, cells[0].start)
    return (label, cells) if label.text.strip() else None


def _counted_row(line: Line, headings: Sequence[Token]) -> FrameRow | None:
    words = [Token(m.group(), line.number, *m.span()) for m in re.finditer(r"\S+", line.text)]
    if len(words) != len(headings) + 1 or not all(_is_number(word.text) for word in words[1:]):
        return None
    return Token(words[0].text, line.number, words[0].start, words[0].end), dict(enumerate(words[1:]))


SECTIONS: tuple[Section, ...] = (loglik, heading, indexed, summary_frame, matrix_title, named, frame)
