"""Printed output as lines, words with their places, cells and blocks. Nothing is recognised or judged here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from compat.published.numbers import NUMBER, Printed, read_number


class Line(NamedTuple):
    """A line of the file: its number, from 1, and its text."""

    number: int
    text: str

    @property
    def blank(self) -> bool:
        """Whether nothing stands on it."""
        return not self.text.strip()


class Token(NamedTuple):
    """A stretch of a line: columns start to end, from 0."""

    text: str
    line: int
    start: int
    end: int


def numbers_of(line: Line, start: int = 0, end: int | None = None) -> Iterator[Token]:
    """Every number that stands on a line, between two columns."""
    for found in NUMBER.finditer(line.text, start, len(line.text) if end is None else end):
        yield Token(found.group(), line.number, *found.span())


class PrintedCell(NamedTuple):
    """A number of the page and what it is said to be: a quantity at its labels.

    Cells of one `group` were formatted together, in the `style` of rendering.STYLES.
    """

    quantity: str
    label: tuple[str, ...]
    number: Printed
    token: Token
    group: str = ""
    style: str = ""

    @property
    def name(self) -> str:
        """`std_error[GDPLagK]`, `sigma`."""
        return f"{self.quantity}[{', '.join(self.label)}]" if self.label else self.quantity


@dataclass(frozen=True)
class Block:
    """One thing that R printed: a summary, a table, a vector.

    `kind` says which ("lm", "ols", "plm", "lmer", "coeftest", "anova", "summary-frame", "table", "vector", ...);
    `facts` is what it says of itself in words (`formula`, `call`, `data`, `REML`, ...), `labels` the stretches of text
    that were understood as such, `columns` the headings of a table, `marks` the significance marks by row.
    """

    kind: str
    first: int
    last: int
    cells: tuple[PrintedCell, ...]
    facts: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[Token, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    marks: tuple[tuple[str, Token], ...] = ()


@dataclass
class Draft:
    """A block while it is being read."""

    kind: str
    cells: list[PrintedCell] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    labels: list[Token] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    marks: list[tuple[str, Token]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    done: set[str] = field(default_factory=set)

    def cell(self, quantity: str, label: Sequence[str], token: Token, group: str = "", style: str = "") -> None:
        """Take a number as a cell; what is none stays unread."""
        number = read_number(token.text)
        if number is not None:
            self.cells.append(PrintedCell(quantity, tuple(label), number, token, group or quantity, style))

    def text(self, line: Line, start: int = 0, end: int | None = None) -> None:
        """Take a stretch of a line as text that holds no number to check."""
        end = len(line.text) if end is None else end
        self.labels.append(Token(line.text[start:end], line.number, start, end))

    def block(self) -> Block:
        """The block as read."""
        return Block(
            self.kind, min(self.lines), max(self.lines), tuple(self.cells), dict(self.facts), tuple(self.labels),
            tuple(self.columns), tuple(self.rows), tuple(self.marks),
        )  # fmt: skip
