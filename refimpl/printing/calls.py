"""A call's text with line breaks where R puts them (deparse with a width.cutoff), as printed under `Call:`.

The text of a single line is formula.deparse's; only the breaking is here.
"""

from __future__ import annotations

from refimpl.formula.deparse import BINARY, SPACED, deparse, quote_name
from refimpl.formula.syntax import Call, Expression, Formula, spine

UNARY = frozenset(["+", "-", "!", "~"])
CUTOFF = 60  # R's default: a line is ended at the first place after this many characters


class _Lines:
    """Lines in the making; a line is full when it is longer than `cutoff` bytes, its indentation counted."""

    def __init__(self, cutoff: int) -> None:
        self.cutoff = cutoff
        self.depth = 0
        self.done: list[str] = []
        self._start, self._line = "", ""

    def put(self, text: str) -> None:
        """Add text to the line."""
        self._line += text

    def end(self) -> None:
        """End the line; the next one starts at the depth reached: four spaces a level, two from the fifth on."""
        self.done.append(self._start + self._line)
        self._start, self._line = "    " * min(self.depth, 4) + "  " * max(self.depth - 4, 0), ""

    def may_end(self, deeper: bool) -> bool:
        """End the line if it is full, one level deeper on request; returns whether it went deeper."""
        if len((self._start + self._line).encode()) <= self.cutoff:
            return False
        self.depth += deeper
        self.end()
        return deeper


def deparse_lines(node: Expression | Formula, cutoff: int = CUTOFF) -> list[str]:
    """R's deparse(node, width.cutoff = cutoff): the lines of a call's or a formula's text."""
    if isinstance(node, Formula):
        node = Call("~", (node.right,) if node.left is None else (node.left, node.right))
    lines = _Lines(cutoff)
    _write(node, lines)
    lines.end()
    return lines.done


def _write(node: Expression, lines: _Lines) -> None:
    if not isinstance(node, Call):
        lines.put(deparse(node))
    elif node.function in BINARY and len(node.arguments) == 2:
        _write_chain(node, lines)
    elif node.function == "(" or (node.function in UNARY and len(node.arguments) == 1):
        lines.put(node.function)
        _write(node.arguments[0], lines)
        lines.put(")" if node.function == "(" else "")
    else:
        _write_arguments(node, lines)


def _write_chain(node: Call, lines: _Lines) -> None:
    """Operators: a line may end after one that has spaces around it, and its right side goes on one level deeper."""
    first, calls = spine(node, tuple(BINARY))
    _write(first, lines)
    for call in calls:
        spaced = call.function in SPACED
        lines.put(f" {call.function} " if spaced else call.function)
        deeper = spaced and lines.may_end(deeper=True)
        _write(call.arguments[1], lines)
        lines.depth -= deeper


def _write_arguments(node: Call, lines: _Lines) -> None:
    """A function: a line may end before each argument, and all after the first such end are one level deeper."""
    lines.put(f"{node.function}(")
    deeper = False
    for i, argument in enumerate(node.arguments):
        if i:
            lines.put(", ")
            deeper |= lines.may_end(deeper=not deeper)
        name = node.names[i] if node.names else None
        lines.put("" if name is None else f"{quote_name(name)} = ")
        _write(argument, lines)
    lines.put(")")
    lines.depth -= deeper
