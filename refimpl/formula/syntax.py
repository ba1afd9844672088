"""The parts an R formula is made of: immutable nodes, and `Formula` itself.

Only the shape of a formula is here. Reading text is in `grammar`, writing it in `deparse`, meaning in `terms` and
`evaluate`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Name:
    """A symbol: a column of the data, never anything else. `x`, `` `my column` ``, `.`"""

    name: str
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Number:
    """A number; `integer` where R's suffix L is on it. `2`, `1e-3`, `0x1F`, `5L`"""

    value: float
    integer: bool = False
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Text:
    """A string constant. `"a"`, `'a'`"""

    value: str
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Constant:
    """A reserved constant: TRUE FALSE NULL NA NaN Inf. `T`, `F` and `pi` are variables in R, so columns here."""

    name: str
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """An operator or a function; parentheses are the function `(`, as in R. `names` is empty or one an argument."""

    function: str
    arguments: tuple[Expression, ...]
    names: tuple[str | None, ...] = ()
    position: int = field(default=0, compare=False)


Expression: TypeAlias = Name | Number | Text | Constant | Call


@dataclass(frozen=True, slots=True, eq=False)
class Formula:
    """A parsed formula: `left ~ right`, or `~ right`. Equal where R's text of both is equal; `str` gives that text.

    `source` is what the person wrote: positions in errors refer to it.
    """

    left: Expression | None
    right: Expression
    text: str
    source: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Formula) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __str__(self) -> str:
        return self.text


def spine(expression: Expression, operators: tuple[str, ...]) -> tuple[Expression, list[Call]]:
    """A chain such as `a + b - c` without recursion: its leftmost operand, and the calls from there outwards."""
    calls: list[Call] = []
    while isinstance(expression, Call) and expression.function in operators and len(expression.arguments) == 2:
        calls.append(expression)
        expression = expression.arguments[0]
    return expression, calls[::-1]


def called(expression: Expression) -> set[str]:
    """Every operator and function of an expression."""
    found: set[str] = set()
    pending = [expression]
    while pending:
        node = pending.pop()
        if isinstance(node, Call):
            found.add(node.function)
            pending.extend(node.arguments)
    return found


def symbols(expression: Expression) -> Iterator[Name]:
    """Every symbol of an expression, in the order of the text."""
    pending = [expression]
    while pending:
        node = pending.pop()
        if isinstance(node, Name):
            yield node
        elif isinstance(node, Call):
            pending.extend(reversed(node.arguments))
