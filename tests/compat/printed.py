"""What the tests of printed output share: the frozen sessions with their data, and single digits changed in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from compat.compare import Verdict
from compat.data import DataUnavailable, data_spec, fixtures_root, locate
from compat.published import Line, Reading, read
from compat.transcript import Report, Row, check_transcript
from compat.transcript.data_sets import file_called
from compat.transcript.models import Fits

PUBLISHED = fixtures_root() / "published"
SESSIONS = tuple(sorted((PUBLISHED / "r-4.2.2").glob("*.txt")))
LECTURE = PUBLISHED / "lecture" / "session.txt"
WRONG = frozenset({Verdict.UNEXPLAINED, Verdict.STRUCTURE})
Place = tuple[int, int]

# What is printed here of an lmer fit rounds otherwise at the minimum, and alone: too little to tell where R stopped.
OPEN = {"lmer-crossed": {"variance[firm, (Intercept)]"}}

_FITS = Fits()  # shared: a changed digit of the output changes no fit


def data_of(text: str) -> tuple[Path, ...]:
    """The data files that a session reads, and those of R's own data sets in it."""
    folder = fixtures_root() / "data"
    read_from = [folder / name for name in re.findall(r'read\.csv\("([^"]+)"', text)]
    of_r = [*re.findall(r'data\("?(\w+)"?\)', text), *re.findall(r"\bmtcars(?=[,)])", text)]
    found = [file_called(name, sorted(folder.glob("*.csv"))) for name in of_r]
    return tuple(sorted({*read_from, *(file for file in found if file is not None)}))


def lecture_data() -> Path:
    """The lecture's data set; raises DataUnavailable."""
    return locate(data_spec("hiv-deaths", fixtures_root()), fixtures_root())


def has_lecture_data() -> bool:
    try:
        lecture_data()
    except DataUnavailable:
        return False
    return True


def check(text: str, data: tuple[Path, ...]) -> Report:
    """Check a text with fits shared between all tests of a process."""
    return check_transcript(text, data, _FITS)


@lru_cache(maxsize=64)
def checked(path: Path) -> Report:
    """A session as it is."""
    text = path.read_text(encoding="utf-8")
    return check(text, (lecture_data(),) if path == LECTURE else data_of(text))


def page(text: str, first: int = 1) -> Reading:
    """Printed output alone, read."""
    return read([Line(i, line) for i, line in enumerate(text.split("\n"), first)])


def place(row: Row) -> Place:
    return row.cell.token.line, row.cell.token.start


def verdicts(report: Report) -> dict[Place, Verdict]:
    return {place(row): row.verdict for row in report.rows}


@dataclass(frozen=True)
class Change:
    """One digit of a printed number, and the text of the page with another in its place."""

    row: Row
    before: str
    after: str
    text: str

    def __str__(self) -> str:
        return f"line {self.row.cell.token.line}, {self.row.cell.name}: {self.before} -> {self.after}"


def changes(text: str, rows: list[Row], step: int = 1, offset: int = 0) -> Iterator[Change]:
    """Every `step`th digit of the printed numbers, changed to another one; which other goes round with the count."""
    lines = text.expandtabs().split("\n")
    count = 0
    for row in rows:
        token = row.cell.token
        for i, old in enumerate(token.text):
            if not old.isdigit():
                continue
            count += 1
            if (count + offset) % step:
                continue
            new = str((int(old) + 1 + count % 9) % 10)
            after = token.text[:i] + new + token.text[i + 1 :]
            line = lines[token.line - 1]
            changed = line[: token.start] + after + line[token.end :]
            yield Change(row, token.text, after, "\n".join([*lines[: token.line - 1], changed, *lines[token.line :]]))
