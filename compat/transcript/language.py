"""The part of R's language that a transcript's commands are read in: text -> expressions of refimpl.formula.syntax.

Assignments, calls, operators, indexing and formulas are read; functions, loops, conditions and blocks are refused by
name. Nothing is evaluated here. An index that is left out, as in x[i, ], is Name("").
"""

from __future__ import annotations

import re
from typing import NamedTuple

from refimpl.formula.syntax import Call, Constant, Expression, Name, Number, Text

MAX_DEPTH = 60
MAX_LENGTH = 20_000

EMPTY = Name("")
ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


class NotRead(Exception):
    """A command, or something in it, that is not read here; its text says what."""


class Incomplete(NotRead):
    """A command that goes on after the end of its text."""


class Lexeme(NamedTuple):
    """A piece of the text."""

    kind: str
    text: str
    position: int


_LEXEME = re.compile(
    r"""
    (?P<space>[ \t\f\r\u00a0]+|\#[^\n]*)
  | (?P<break>\n)
  | (?P<number>(?:0[xX][0-9a-fA-F]+|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)L?)
  | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
  | (?P<backtick>`[^`]+`)
  | (?P<name>(?:[^\W\d_]|\.(?![0-9]))[\w.]*)
  | (?P<operator><<-|->>|<-|->|<=|>=|==|!=|&&|\|\||\|>|:::|::|\*\*|%[^%\n]*%|\[\[|[-+*/^:~()<>!&|$@\[\]{},;=?\\])
    """,
    re.VERBOSE | re.DOTALL,
)
_CONSTANTS = frozenset(["TRUE", "FALSE", "NULL", "NA", "NaN", "Inf", "NA_real_", "NA_integer_", "NA_character_"])
_KEYWORDS = frozenset(["function", "if", "else", "for", "while", "repeat", "next", "break", "in"])
_BINDING = {
    "<-": 5, "<<-": 5, "=": 4, "->": 6, "->>": 6, "~": 10, "||": 20, "|": 20, "&&": 30, "&": 30, "==": 50, "!=": 50,
    "<": 50, ">": 50, "<=": 50, ">=": 50, "+": 60, "-": 60, "*": 70, "/": 70, "|>": 80, ":": 90, "^": 110, "**": 110,
}  # fmt: skip
_PREFIX = {"-": 100, "+": 100, "!": 40, "~": 10}
_SPECIAL = 80  # %in% and its like
_RIGHT = frozenset(["<-", "<<-", "=", "^", "**"])
_INSIDE = 7  # binding within an argument: assignments by `=` and arrows need parentheses there


def tokenize(text: str) -> list[Lexeme]:
    """The pieces of a command, one `end` last. Raises NotRead, or Incomplete where a quote is not closed."""
    if len(text) > MAX_LENGTH:
        raise NotRead(f"a command of {len(text)} characters")
    out, at = [], 0
    while at < len(text):
        found = _LEXEME.match(text, at)
        if found is None:
            if text[at] in "\"'`":
                raise Incomplete(f"the quote {text[at]} is never closed")
            raise NotRead(f"the character {text[at]!r} has no meaning here")
        if found.lastgroup != "space":
            out.append(Lexeme(str(found.lastgroup), found.group(), at))
        at = found.end()
    out.append(Lexeme("end", "", len(text)))
    return out


def read_commands(text: str) -> list[Expression]:
    """The expressions of a text, apart by line breaks or semicolons. Raises NotRead and Incomplete."""
    return _Reader(tokenize(text)).commands()


class _Reader:
    """Precedence climbing; a line break ends an expression only outside parentheses and brackets."""

    def __init__(self, tokens: list[Lexeme]) -> None:
        self.tokens = tokens
        self.at = 0
        self.depth = 0
        self.open = 0

    def peek(self) -> Lexeme:
        while self.open and self.tokens[self.at].kind == "break":
            self.at += 1
        return self.tokens[self.at]

    def take(self) -> Lexeme:
        token = self.peek()
        self.at += token.kind != "end"
        return token

    def skip(self) -> None:
        while self.tokens[self.at].kind == "break" or self.tokens[self.at].text == ";":
            self.at += 1

    def commands(self) -> list[Expression]:
        out = []
        self.skip()
        while self.tokens[self.at].kind != "end":
            out.append(self.expression(0))
            token = self.tokens[self.at]
            if token.kind not in ("break", "end") and token.text != ";":
                raise self.unexpected(token)
            self.skip()
        return out

    def unexpected(self, token: Lexeme) -> NotRead:
        if token.kind == "end":
            return Incomplete("the command ends before it is complete")
        return NotRead(f"{token.text!r} is not expected here")

    def expression(self, binding: int) -> Expression:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise NotRead("nested too deep")
        while self.tokens[self.at].kind == "break":
            self.at += 1
        left = self.operand()
        while (power := self.power(self.peek())) > binding:
            token = self.take()
            right = self.expression(power - 1 if token.text in _RIGHT else power)
            left = _binary(token, left, right)
        self.depth -= 1
        return left

    def power(self, token: Lexeme) -> int:
        if token.kind != "operator":
            return 0
        return _SPECIAL if token.text.startswith("%") else _BINDING.get(token.text, 0)

    def operand(self) -> Expression:
        token = self.take()
        if token.kind == "operator" and token.text in _PREFIX:
            return Call(token.text, (self.expression(_PREFIX[token.text]),), position=token.position)
        return self.postfix(self.primary(token))

    def primary(self, token: Lexeme) -> Expression:
        if token.kind == "number":
            return _number(token)
        if token.kind == "string":
            return Text(_unescape(token.text[1:-1]), token.position)
        if token.kind == "backtick":
            return Name(token.text[1:-1], token.position)
        if token.kind == "name":
            if token.text in _KEYWORDS:
                raise NotRead(f"'{token.text}' is not read here")
            return Constant(token.text) if token.text in _CONSTANTS else Name(token.text, token.position)
        if token.text == "(":
            self.open += 1
            inner = self.expression(0)
            self.expect(")")
            return Call("(", (inner,), position=token.position)
        raise NotRead(f"'{token.text}' is not read here") if token.text in ("{", "\\", "?") else self.unexpected(token)

    def expect(self, text: str) -> None:
        token = self.take()
        if token.text != text or token.kind != "operator":
            raise self.unexpected(token)
        self.open -= 1

    def postfix(self, left: Expression) -> Expression:
        for _ in range(MAX_DEPTH):
            token = self.peek()
            if token.kind != "operator" or token.text not in ("(", "[", "[[", "$", "@", "::", ":::"):
                return left
            self.take()
            member = token.text in ("$", "@", "::", ":::")
            left = self.member(token, left) if member else self.called(token, left)
        raise NotRead("nested too deep")

    def member(self, token: Lexeme, left: Expression) -> Expression:
        """What stands after $ is a name, or a string that is one; a package before :: is left out."""
        right = self.take()
        if right.kind not in ("name", "backtick", "string"):
            raise self.unexpected(right)
        name = right.text.strip("`\"'")
        if token.text.startswith("::"):
            return Name(name, right.position)
        return Call(token.text, (left, Name(name)), position=token.position)

    def called(self, token: Lexeme, left: Expression) -> Expression:
        arguments, names = self.arguments({"(": ")", "[": "]", "[[": "]"}[token.text])
        if token.text == "[[":
            self.open += 1
            self.expect("]")
        if token.text == "(":
            if not isinstance(left, Name):
                raise NotRead("only a function's name can be called here")
            return Call(left.name, arguments, names, token.position)
        return Call(token.text, (left, *arguments), (None, *names) if names else (), token.position)

    def arguments(self, close: str) -> tuple[tuple[Expression, ...], tuple[str | None, ...]]:
        self.open += 1
        values: list[Expression] = []
        names: list[str | None] = []
        while True:
            token = self.peek()
            if token.kind == "operator" and token.text in (",", close):
                if token.text == "," or values or close == "]":
                    values.append(EMPTY)
                    names.append(None)
            else:
                names.append(self.argument_name())
                values.append(EMPTY if self.peek().text in (",", close) else self.expression(_INSIDE))
            token = self.take()
            if token.text == close and token.kind == "operator":
                break
            if token.text != "," or token.kind != "operator":
                raise self.unexpected(token)
        self.open -= 1
        return tuple(values), tuple(names) if any(name is not None for name in names) else ()

    def argument_name(self) -> str | None:
        token, before = self.peek(), self.at
        if token.kind in ("name", "backtick", "string"):
            self.take()
            if self.peek().text == "=" and self.peek().kind == "operator":
                self.take()
                return token.text.strip("`\"'")
        self.at = before
        return None


def _binary(token: Lexeme, left: Expression, right: Expression) -> Expression:
    """An operator with both sides; arrows to the right are turned round, `=` is `<-`, a pipe is a first argument."""
    if token.text in ("->", "->>"):
        return Call("<-", (right, left), position=token.position)
    if token.text in ("=", "<<-"):
        return Call("<-", (left, right), position=token.position)
    if token.text == "|>":
        if not isinstance(right, Call):
            raise NotRead("a pipe ends in a call")
        names = (None, *right.names) if right.names else ()
        return Call(right.function, (left, *right.arguments), names, token.position)
    return Call("^" if token.text == "**" else token.text, (left, right), position=token.position)


def _number(token: Lexeme) -> Number:
    text = token.text.removesuffix("L")
    value = float(int(text, 16)) if text[:2] in ("0x", "0X") else float(text)
    return Number(value, token.text.endswith("L"), token.position)


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda m: ESCAPES.get(m.group(1), m.group(1)), text, flags=re.DOTALL)
