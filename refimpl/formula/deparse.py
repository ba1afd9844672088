"""R's text of a formula: `deparse` writes what R's own deparse writes, so that names agree to the letter.

Numbers come out at 15 significant digits, in fixed or scientific notation, whichever is shorter (R: as.character).
"""

from __future__ import annotations

import math
import re

from .syntax import Call, Constant, Expression, Formula, Name, Number, Text, spine

RESERVED = frozenset([
    "if", "else", "repeat", "while", "function", "for", "next", "break", "TRUE", "FALSE", "NULL", "Inf", "NaN",
    "NA", "NA_integer_", "NA_real_", "NA_character_", "NA_complex_", "in", "...",
])  # fmt: skip
_SYNTACTIC = re.compile(r"(?:[^\W\d_]|\.(?![0-9]))[\w.]*\Z")
SPACED = frozenset(["~", "+", "-", "*", "<", ">", "<=", ">=", "==", "!=", "&", "&&", "|", "||", "%in%"])
TIGHT = frozenset(["/", "^", ":", "%%", "%/%"])
BINARY = SPACED | TIGHT
_ESCAPES = {
    "\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\a": "\\a", "\b": "\\b", "\f": "\\f",
    "\v": "\\v", "\0": "\\0",
}  # fmt: skip


def is_syntactic(name: str) -> bool:
    """Whether R writes this name without backticks."""
    if not _SYNTACTIC.match(name) or name in RESERVED or re.match(r"\.\.[0-9]+\Z", name):
        return False
    return name.isascii() or all(c.isalpha() or c.isdecimal() or c in "._" for c in name)


def quote_name(name: str) -> str:
    """A symbol as R writes it in a formula: backticks where the name needs them."""
    if is_syntactic(name):
        return name
    return "`" + _escape(name, "`") + "`"


def quote_text(text: str) -> str:
    """A string constant as R writes it: double quotes, escapes."""
    return '"' + _escape(text, '"') + '"'


def _escape(text: str, quote: str) -> str:
    out = []
    for character in text:
        if character in _ESCAPES and character != '"':
            out.append(_ESCAPES[character])
        elif character == quote:
            out.append("\\" + quote)
        elif character.isprintable():
            out.append(character)
        else:
            point = ord(character)
            out.append(
                f"\\{point:03o}" if point < 0x80 else f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
            )
    return "".join(out)


def format_double(value: float) -> str:
    """A double as R 4.2 writes it: at most 15 significant digits, the shorter notation, fixed on a tie."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    if value == 0:
        return "0"
    mantissa, exponent_text = f"{abs(value):.14e}".split("e")
    exponent, digits = int(exponent_text), mantissa.replace(".", "").rstrip("0") or "0"
    width_exponent = 3 if abs(exponent) >= 100 else 2
    scientific_width = len(digits) + (len(digits) > 1) + 2 + width_exponent
    decimals = max(0, len(digits) - 1 - exponent)
    fixed_width = max(exponent + 1, 1) + decimals + (decimals > 0)
    sign = "-" if value < 0 else ""
    if fixed_width <= scientific_width:
        return f"{sign}{abs(value):.{decimals}f}"
    significand = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
    return f"{sign}{significand}e{'-' if exponent < 0 else '+'}{abs(exponent):0{width_exponent}d}"


def format_integer(value: float) -> str:
    """An R integer: never in scientific notation."""
    return str(int(value))


def deparse(node: Expression | Formula, suffix: str = "L") -> str:
    """R's text of an expression or a formula (deparse, R 4.2, without line breaks).

    `suffix`: what marks an integer; R leaves it out of term labels and column names.
    """
    if isinstance(node, Formula):
        return node.text
    if isinstance(node, Name):
        return quote_name(node.name)
    if isinstance(node, Number):
        return format_integer(node.value) + suffix if node.integer else format_double(node.value)
    if isinstance(node, Text):
        return quote_text(node.value)
    if isinstance(node, Constant):
        return node.name
    return _deparse_call(node, suffix)


def _deparse_call(call: Call, suffix: str) -> str:
    operator, arguments = call.function, call.arguments
    if operator == "(":
        return f"({deparse(arguments[0], suffix)})"
    if operator in BINARY and len(arguments) == 2:
        first, calls = spine(call, tuple(BINARY))
        pieces = [deparse(first, suffix)]
        for inner in calls:
            pieces.append(f" {inner.function} " if inner.function in SPACED else inner.function)
            pieces.append(deparse(inner.arguments[1], suffix))
        return "".join(pieces)
    if operator in ("+", "-", "!") and len(arguments) == 1:
        return operator + deparse(arguments[0], suffix)
    names = call.names or (None,) * len(arguments)
    inside = (
        deparse(a, suffix) if n is None else f"{quote_name(n)} = {deparse(a, suffix)}"
        for n, a in zip(names, arguments, strict=True)
    )
    return f"{operator}({', '.join(inside)})"


def deparse_formula(left: Expression | None, right: Expression) -> str:
    """R's text of `left ~ right`."""
    return f"~{deparse(right)}" if left is None else f"{deparse(left)} ~ {deparse(right)}"
