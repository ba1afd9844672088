"""Known failures of an implementation: a file its authors keep, one line an entry, each with its reason.

    # case (glob)      cell (glob)        # why
    lm-nist-filip*     std_error[*]       # normal equations lose these digits: issue 17

An entry that no longer fails is an error: delete the line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import translate
from pathlib import Path
from re import compile as regex
from typing import NamedTuple

from compat.cells import Cell


class Entry(NamedTuple):
    """One line: globs over case and cell, the reason, and where it stands."""

    line: int
    case: str
    cell: str
    reason: str

    def covers(self, case: str, cell: Cell) -> bool:
        """Whether a bad cell is this one."""
        return _matches(self.case, case) and _matches(self.cell, str(cell))


def _matches(glob: str, text: str) -> bool:
    """Shell globs in which brackets stand for themselves, as cells are written with them."""
    return regex(translate(glob.replace("[", "[[]"))).match(text) is not None


@dataclass(frozen=True)
class KnownFailures:
    """All entries of a file."""

    path: str
    entries: tuple[Entry, ...]

    def entry_for(self, case: str, cell: Cell) -> Entry | None:
        """The entry that covers a bad cell."""
        return next((entry for entry in self.entries if entry.covers(case, cell)), None)

    def unmatched(self, used: set[int], cases: set[str]) -> list[str]:
        """Say which entries excused nothing although a case of theirs was run."""
        return [
            f"{self.path}:{entry.line}: nothing fails at {entry.case} {entry.cell}: delete the entry"
            for entry in self.entries
            if entry.line not in used and any(_matches(entry.case, case) for case in cases)
        ]


def read(path: Path | None) -> KnownFailures:
    """Read a file of known failures; ValueError names the line that is not an entry or has no reason."""
    if path is None:
        return KnownFailures("", ())
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [_entry(path, number, text) for number, text in enumerate(lines, start=1) if _says_something(text)]
    return KnownFailures(str(path), tuple(found))


def _says_something(text: str) -> bool:
    return bool(text.strip()) and not text.lstrip().startswith("#")


def _entry(path: Path, number: int, text: str) -> Entry:
    globs, _, reason = text.partition("#")
    parts: Sequence[str] = globs.split(maxsplit=1)
    if len(parts) != 2 or not reason.strip():
        raise ValueError(f"{path}:{number}: not 'case cell # reason': {text.strip()!r}")
    return Entry(number, parts[0], parts[1].strip(), reason.strip())
