"""Reads R's formula text into the nodes of `syntax`: the grammar, an allowlist of functions, caps. Nothing runs.

Every rule with examples, loosest binding first, as in R's ?Syntax:

    formula        y ~ x  ~ x  log(y) ~ x                          one- or two-sided
    |  ||          y ~ x | z  y ~ (1 | g)  y ~ (x || g)            parts, lme4's bars; in a call: logical or
    &  &&          y ~ I(x > 0 & z > 0)  y ~ I(x & (TRUE && TRUE))  logical and, of columns and of single values
    !              y ~ !lg  y ~ I(!lg & x > 0)                     logical not
    comparison     y ~ x > 3  y ~ I(a == "u")  y ~ (x != 0)        == != < > <= >=, never in chains
    +  -           y ~ a + b  y ~ a * b - a:b  y ~ x - 1           add and delete terms
    *  /           y ~ a * b  y ~ a/b  y ~ I(x * z / 2)            crossing, nesting; in a call: arithmetic
    %in% %% %/%    y ~ b %in% a  y ~ x %% 2  y ~ I(x %/% 2)        nesting (in a call: membership), remainder, quotient
    :              y ~ a:b  y ~ factor(i, levels = 3:1)            interaction; in a call: a range
    unary + -      y ~ -1 + x  y ~ +x  y ~ I(-x)                   signs
    ^  **          y ~ (a + b)^2  y ~ I(x^2)  y ~ I(x**2)          crossing to a degree; in a call: power
    ( )            y ~ (a + b):c  y ~ ((x))                        grouping
    call           y ~ log(x, base = 2)  y ~ bs(x, df = 4)         allowed functions only
    name           y ~ x  y ~ `my column`  y ~ .hidden + a_b.c     columns; any name in backticks
    .              y ~ .  y ~ . - x  y ~ .^2                       all other columns
    number         y ~ 0 + x  y ~ I(x + 2.5e-3 + 0x1F + 5L + .5)   R's numerals
    string         y ~ factor(a, levels = c("u", 'v'))             either quote, R's escapes
    constant       y ~ TRUE + x  y ~ cut(x, c(-Inf, 0, Inf))       TRUE FALSE NULL NA NaN Inf
    comment        y ~ x # why                                     to the end of the line
    line break     y ~ x +                                         after an operator, inside parentheses
                     z
"""

from __future__ import annotations

from functools import lru_cache

from ..errors import FormulaError
from .deparse import deparse, deparse_formula, format_double
from .lexer import Token, tokenize
from .syntax import Call, Constant, Expression, Formula, Name, Number, Text

MAX_LENGTH = 20_000  # characters of a formula
MAX_DEPTH = 50  # nested parentheses and calls: R's own parser stops at 50
MAX_VARIABLE_LENGTH = 500  # R breaks the text of a longer variable into lines

MATH = frozenset([
    "log", "log2", "log10", "log1p", "exp", "expm1", "sqrt", "abs", "round", "floor", "ceiling", "sin", "cos",
    "tan", "sign",
])  # fmt: skip
FACTORS = frozenset(["factor", "as.factor", "ordered", "relevel", "interaction", "cut", "C"])
STATEFUL = frozenset(["scale", "poly", "bs", "ns"])
CONTRASTS = frozenset(["contr.treatment", "contr.sum", "contr.helmert", "contr.poly", "contr.SAS"])
CONVERSIONS = frozenset(["as.numeric", "as.character", "ifelse", "is.na", "c", "I", "offset"])
FUNCTIONS = MATH | FACTORS | STATEFUL | CONTRASTS | CONVERSIONS
PANEL_FUNCTIONS = frozenset(["lag", "lead", "diff", "Between", "Within", "Sum"])  # see `series`
OPERATORS = frozenset([
    "~", "|", "||", "&", "&&", "!", "==", "!=", "<", ">", "<=", ">=", "+", "-", "*", "/", "%in%", "%%", "%/%",
    ":", "^", "(",
])  # fmt: skip

_BINDING = {  # left binding power of a binary operator
    "~": 20, "|": 30, "||": 30, "&": 40, "&&": 40, "==": 60, "!=": 60, "<": 60, ">": 60, "<=": 60, ">=": 60,
    "+": 70, "-": 70, "*": 80, "/": 80, "%in%": 90, "%%": 90, "%/%": 90, ":": 100, "^": 120,
}  # fmt: skip
_PREFIX = {"~": 20, "!": 50, "+": 110, "-": 110}
_CONSTANTS = frozenset(["TRUE", "FALSE", "NULL", "NA", "NaN", "Inf"])


class _Parser:
    """Precedence climbing over the tokens; line breaks end an expression only outside parentheses, as in R."""

    def __init__(self, source: str, functions: frozenset[str]) -> None:
        self.source = source
        self.functions = functions
        self.tokens = tokenize(source)
        self.at = 0
        self.depth = 0
        self.open = 0

    def fail(self, message: str, token: Token, kind: str = "formula-syntax") -> FormulaError:
        return FormulaError(kind, message, self.source, token.position)

    def skip_breaks(self) -> None:
        while self.tokens[self.at].kind == "break":
            self.at += 1

    def peek(self) -> Token:
        if self.open:
            self.skip_breaks()
        return self.tokens[self.at]

    def take(self) -> Token:
        token = self.peek()
        self.at += 1
        return token

    def expect(self, text: str) -> Token:
        token = self.take()
        if token.kind != "operator" or token.text != text:
            raise self.fail(f"expected '{text}' here, found {token.describe()}", token)
        return token

    def whole(self) -> Expression:
        """The one expression that the text must be."""
        self.skip_breaks()
        result = self.expression(0)
        self.skip_breaks()
        if self.tokens[self.at].kind == "semicolon":
            self.at += 1
            self.skip_breaks()
        token = self.tokens[self.at]
        if token.kind != "end":
            raise self.fail(f"the formula has ended, but {token.describe()} follows", token)
        return result

    def expression(self, binding: int) -> Expression:
        """An expression whose operators bind tighter than `binding`."""
        self.depth += 1
        if self.depth > 2 * MAX_DEPTH:
            raise self.fail("operators nested too deep", self.peek(), "formula-too-large")
        self.skip_breaks()
        left = self.operand()
        while True:
            token = self.peek()
            power = _BINDING.get(token.text, 0) if token.kind == "operator" else 0
            if power <= binding:
                break
            self.take()
            right = self.expression(power - 1 if token.text == "^" else power)
            left = Call(token.text, (left, right), position=token.position)
            following = self.peek()
            if power == 60 and following.kind == "operator" and _BINDING.get(following.text) == 60:
                raise self.fail("comparisons cannot be chained; use & between two of them", following)
        self.depth -= 1
        return left

    def operand(self) -> Expression:
        token = self.take()
        if token.kind == "operator" and token.text in _PREFIX:
            return Call(token.text, (self.expression(_PREFIX[token.text]),), position=token.position)
        if token.kind == "operator" and token.text == "(":
            inner = self.within_parentheses(token)
            result: Expression = Call("(", (inner,), position=token.position)
        elif token.kind == "number":
            result = self.number(token)
        elif token.kind == "string":
            result = Text(token.value, token.position)
        elif token.kind in ("name", "quoted name"):
            result = self.name_or_call(token)
        else:
            raise self.fail(f"expected a term here, found {token.describe()}", token)
        following = self.peek()
        if following.kind == "operator" and following.text == "(":
            raise self.fail("only a plain function name can be called", following, "formula-forbidden")
        return result

    def number(self, token: Token) -> Number:
        value, integer = float(token.value), token.text.endswith("L")
        if integer and (value != int(value) or abs(value) > 2**31 - 1):
            integer = False
        if not integer and float(format_double(value)) != value:
            raise self.fail("a number keeps at most 15 significant digits in a formula", token, "formula-forbidden")
        return Number(value, integer, token.position)

    def enter(self, token: Token) -> None:
        self.open += 1
        if self.open > MAX_DEPTH:
            raise self.fail(f"more than {MAX_DEPTH} nested parentheses", token, "formula-too-large")

    def within_parentheses(self, token: Token) -> Expression:
        self.enter(token)
        inner = self.expression(0)
        self.expect(")")
        self.open -= 1
        return inner

    def name_or_call(self, token: Token) -> Expression:
        following = self.peek()
        called = following.kind == "operator" and following.text == "("
        if token.kind == "quoted name":
            if called:
                raise self.fail("a function is called by its plain name, without backticks", token, "formula-forbidden")
            return Name(token.value, token.position)
        if not called:
            if token.text in _CONSTANTS:
                return Constant(token.text, token.position)
            return Name(token.text, token.position)
        if token.text not in self.functions:
            raise self.fail(f"the function '{token.text}' is not allowed in a formula", token, "formula-forbidden")
        return self.call(token)

    def call(self, token: Token) -> Call:
        self.enter(self.take())
        arguments: list[Expression] = []
        names: list[str | None] = []
        following = self.peek()
        while not (following.kind == "operator" and following.text == ")"):
            names.append(self.argument_name())
            arguments.append(self.expression(0))
            following = self.peek()
            if following.kind == "comma":
                self.take()
                if self.peek().text == ")":
                    raise self.fail("an argument is missing after the comma", self.peek())
            elif following.text != ")" or following.kind != "operator":
                raise self.fail(f"expected ',' or ')' here, found {following.describe()}", following)
        self.take()
        self.open -= 1
        given = tuple(names) if any(n is not None for n in names) else ()
        return Call(token.text, tuple(arguments), given, token.position)

    def argument_name(self) -> str | None:
        token = self.peek()
        if token.kind not in ("name", "quoted name"):
            return None
        before = self.at
        self.take()
        if self.peek().kind == "equals":
            self.take()
            return token.value
        self.at = before
        return None


def _check_tree(expression: Expression, source: str, tilde: int) -> None:
    """One `~`, and no tree too deep to walk; a sum may be as long as it likes, for nothing recurses along it."""
    pending = [(expression, 0)]
    while pending:
        node, depth = pending.pop()
        if not isinstance(node, Call):
            continue
        if node.function == "~":
            raise FormulaError("formula-syntax", "a formula has one '~'", source, max(tilde, node.position))
        if depth > 2 * MAX_DEPTH:
            raise FormulaError("formula-too-large", "operators nested too deep", source, node.position)
        long = node.function in ("+", "-") and len(node.arguments) == 2
        pending.extend((a, depth if long and i == 0 else depth + 1) for i, a in enumerate(node.arguments))


def _check_left(left: Expression, source: str) -> None:
    if isinstance(left, Text | Constant | Number):
        raise FormulaError("formula-syntax", "the response must be a variable", source, left.position)
    if len(deparse(left)) > MAX_VARIABLE_LENGTH:
        raise FormulaError(
            "formula-too-large", f"the response is longer than {MAX_VARIABLE_LENGTH} characters", source, 0
        )


@lru_cache(maxsize=1024)
def parse(text: str, functions: frozenset[str] = frozenset()) -> Formula:
    """Read the text of an R formula; `functions` are allowed beside those of the language (see `series`).

    Nothing is run and no data is needed. Raises FormulaError with line, column and caret: `formula-syntax` where R's
    parser or terms() refuses too, `formula-forbidden` for R that a formula may not hold here, `formula-too-large`
    beyond the caps. Source: R 4.2 ?formula, ?Syntax, ?NumericConstants, ?Quotes.
    """
    if not isinstance(text, str):
        raise FormulaError("formula-syntax", f"a formula is a string, not {type(text).__name__}")
    if len(text) > MAX_LENGTH:
        raise FormulaError("formula-too-large", f"a formula of {len(text)} characters; {MAX_LENGTH} are allowed")
    root = _Parser(text, FUNCTIONS | functions).whole()
    if not (isinstance(root, Call) and root.function == "~"):
        raise FormulaError("formula-syntax", "a formula needs a '~', as in y ~ x", text, 0)
    for side in root.arguments:
        _check_tree(side, text, root.position)
    left = root.arguments[0] if len(root.arguments) == 2 else None
    right = root.arguments[-1]
    if left is not None:
        _check_left(left, text)
    return Formula(left, right, deparse_formula(left, right), text)
