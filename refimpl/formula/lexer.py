"""Cuts formula text into tokens, as R's scanner does; what R knows but no formula needs is refused by name here."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import FormulaError
from .deparse import RESERVED

_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\f\u00a0\u2000-\u200a\u3000]+|\r(?=\n)|\#[^\n]*)
  | (?P<newline>\n)
  |
  (?P<number>(?:0[xX][0-9a-fA-F]+(?:\.[0-9a-fA-F]*)?(?:[pP][+-]?[0-9]+)?|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)L?)
  | (?P<string>"(?:[^"\\\0]|\\[^\0])*"|'(?:[^'\\\0]|\\[^\0])*') | (?P<backtick>`(?:[^`\\\0]|\\[^\0])+`) |
  (?P<name>(?:[^\W\d_]|\.(?![0-9]))[\w.]*) |
  (?P<forbidden><<-|->>|->|<-|:::|::|:=|\|>|\[|\]|\{|\}|\$|@|\?|\\|%[^%\n]*%(?<!%in%)(?<!%%)(?<!%/%)) |
  (?P<operator>%in%|%/%|%%|\*\*|<=|>=|==|!=|&&|\|\||[-+*/^:~()<>!&|]) | (?P<comma>,)
  | (?P<equals>=)
  | (?P<semicolon>;)
    """,
    re.VERBOSE,
)
_BAD_NUMBER = re.compile(r"[A-Za-z0-9_.]")
_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4}|\{[0-9a-fA-F]{1,4}\})|U([0-9a-fA-F]{1,8}|\{[0-9a-fA-F]{1,8}\})|([0-7]{1,3})|(.))",
    re.DOTALL,
)
_SIMPLE = {
    "n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "\\": "\\",
    "'": "'", '"': '"', "`": "`", " ": " ", "\n": "\n",
}  # fmt: skip
_NOT_A_TERM = RESERVED - {"TRUE", "FALSE", "NULL", "NA", "NaN", "Inf"}


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text: `kind`, `text` as written (`**` becomes `^`), `value` without quotes and escapes."""

    kind: str
    text: str
    value: str
    position: int

    def describe(self) -> str:
        """How an error message calls this token."""
        return {"end": "the end of the formula", "break": "the end of the line"}.get(self.kind, f"'{self.text}'")


def tokenize(source: str) -> list[Token]:
    """The tokens of a formula, line breaks included, one `end` last. Raises FormulaError at what cannot be read."""
    tokens: list[Token] = []
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None:
            raise FormulaError("formula-syntax", _unreadable(source, at), source, at)
        kind = str(match.lastgroup)
        if kind != "space":
            tokens.append(_token(kind, match.group(), source, at))
        at = match.end()
    tokens.append(Token("end", "", "", len(source)))
    return tokens


def _unreadable(source: str, at: int) -> str:
    character = source[at]
    if character in "\"'`":
        return f"the quote {character} is never closed"
    if character == "_":
        return "a name cannot start with '_'; write it in backticks"
    shown = f"'{character}'" if character.isprintable() else "a character that cannot be printed"
    return f"{shown} (U+{ord(character):04X}) has no meaning in a formula"


def _token(kind: str, text: str, source: str, at: int) -> Token:
    if kind == "forbidden":
        raise FormulaError("formula-forbidden", f"'{text}' is not allowed in a formula", source, at)
    if kind == "newline":
        return Token("break", text, text, at)
    if kind == "number":
        return _number(text, source, at)
    if kind == "string":
        return Token("string", text, _unescape(text[1:-1], source, at), at)
    if kind == "backtick":
        return Token("quoted name", text, _unescape(text[1:-1], source, at), at)
    if kind == "name" and (text in _NOT_A_TERM or re.match(r"\.\.[0-9]+\Z", text)):
        raise FormulaError("formula-forbidden", f"'{text}' is a reserved word of R", source, at)
    if kind == "name" and not text.isascii():
        odd = next((i for i, c in enumerate(text) if not (c.isalpha() or c.isdecimal() or c in "._")), None)
        if odd is not None:
            raise FormulaError("formula-syntax", _unreadable(source, at + odd), source, at + odd)
    return Token(kind, "^" if text == "**" else text, text, at)


def _number(text: str, source: str, at: int) -> Token:
    end = at + len(text)
    if end < len(source) and _BAD_NUMBER.match(source[end]):
        raise FormulaError("formula-syntax", "this is neither a number nor a name", source, at)
    digits = text.removesuffix("L")
    try:
        value = float.fromhex(digits) if digits[:2] in ("0x", "0X") else float(digits)
    except (ValueError, OverflowError):
        raise FormulaError("formula-syntax", "this number cannot be read", source, at) from None
    return Token("number", text, repr(value), at)


def _unescape(text: str, source: str, at: int) -> str:
    if "\\" not in text:
        return text

    def replace(match: re.Match[str]) -> str:
        hexadecimal, short, long, octal, simple = match.groups()
        if simple is not None:
            if simple not in _SIMPLE:
                raise FormulaError("formula-syntax", f"'\\{simple}' is not an escape of R", source, at)
            return _SIMPLE[simple]
        point = int(octal, 8) if octal else int((hexadecimal or short or long).strip("{}"), 16)
        if point == 0 or point > 0x10FFFF or 0xD800 <= point <= 0xDFFF:
            raise FormulaError("formula-syntax", "this escape is not a character", source, at)
        return chr(point)

    return _ESCAPE.sub(replace, text)
