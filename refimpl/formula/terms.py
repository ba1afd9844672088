"""What a formula's right side means: its variables, its terms in R's order, the intercept, the offsets, and how
factors are coded.

A term is the set of its variables, held as an integer with one bit a variable. No data is looked at, except that `.`
needs the names of the columns. Source: R 4.2 ?terms.object, ?formula; Chambers & Hastie (1992), section 2.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from ..errors import FormulaError
from .deparse import deparse
from .grammar import MAX_VARIABLE_LENGTH
from .syntax import Call, Constant, Expression, Formula, Name, Number, spine, symbols

MAX_TERMS = 5_000
MAX_PRODUCTS = 1_000_000  # products of terms formed while a formula is expanded
MAX_POWER = 50
_CHAIN = ("+", "-")
_TERM_OPERATORS = frozenset(["+", "-", "*", "/", ":", "^", "%in%", "("])


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """The terms of a formula, as R's terms.object holds them.

    `variables` in order of appearance, the response first; `names` their text (plain symbols without backticks),
    `labels_of` their text inside term labels; `terms` bit sets in R's order with `labels` and `order` (degree);
    `coding[t]` the (variable, code) pairs of term t, the code 1 where a factor enters by contrasts, 2 where by all
    its levels; `offsets` indices of offset variables; `response` 0, or None for a one-sided formula.
    """

    formula: Formula
    variables: tuple[Expression, ...]
    names: tuple[str, ...]
    labels_of: tuple[str, ...]
    terms: tuple[int, ...]
    labels: tuple[str, ...]
    order: tuple[int, ...]
    coding: tuple[tuple[tuple[int, int], ...], ...]
    intercept: bool
    response: int | None
    offsets: tuple[int, ...]


class _Expander:
    """Turns the right side into bit sets; `intercept` follows the 0s and 1s as they are met."""

    def __init__(self, formula: Formula, others: tuple[str, ...] | None) -> None:
        self.formula = formula
        self.others = others
        self.variables: list[Expression] = []
        self.index: dict[str, int] = {}
        self.intercept = True
        self.products = 0

    def fail(self, message: str, node: Expression, kind: str = "formula-syntax") -> FormulaError:
        return FormulaError(kind, message, self.formula.source, node.position)

    def variable(self, node: Expression) -> int:
        """The bit of a variable, new or met before; two calls are one variable where their labels are the same."""
        label = deparse(node, suffix="")
        if len(label) > MAX_VARIABLE_LENGTH:
            raise self.fail(f"a term longer than {MAX_VARIABLE_LENGTH} characters", node, "formula-too-large")
        if label not in self.index:
            self.index[label] = len(self.variables)
            self.variables.append(node)
        return 1 << self.index[label]

    def expand(self, node: Expression, sign: bool = True) -> list[int]:
        """The terms of an expression, each once, in order; `sign` is false where a minus makes 1 and 0 change roles."""
        if isinstance(node, Name):
            return self.dot() if node.name == "." and self.others is not None else [self.variable(node)]
        if isinstance(node, Call):
            return self.call(node, sign)
        return self.constant(node, sign)

    def constant(self, node: Expression, sign: bool) -> list[int]:
        if isinstance(node, Constant) and node.name == "NULL":
            return []
        value = {"TRUE": 1.0, "FALSE": 0.0}.get(node.name) if isinstance(node, Constant) else None
        if isinstance(node, Number):
            value = node.value
        if value not in (0.0, 1.0):
            raise self.fail("only 0 and 1 can stand alone in a formula; use I() for a number", node)
        self.intercept = (value == 1.0) == sign
        return []

    def extract(self, node: Expression) -> None:
        """R's first pass where there is a `.`: the variables in order, but no plain symbol after the `.`."""
        pending = [node]
        seen_dot = False
        while pending:
            node = pending.pop()
            if isinstance(node, Name):
                if node.name == ".":
                    self.dot()
                    seen_dot = True
                elif not seen_dot:
                    self.variable(node)
            elif isinstance(node, Call):
                if node.function in _TERM_OPERATORS:
                    pending.extend(reversed(node.arguments[:1] if node.function == "^" else node.arguments))
                else:
                    self.variable(node)

    def dot(self) -> list[int]:
        assert self.others is not None
        return [self.variable(Name(name)) for name in self.others]

    def call(self, node: Call, sign: bool) -> list[int]:
        if node.function in _CHAIN:
            return self.chain(node, sign)
        if node.function == "(":
            return self.expand(node.arguments[0], sign)
        if node.function not in _TERM_OPERATORS:
            return [self.variable(node)]
        left = self.expand(node.arguments[0], sign)
        if node.function == "^":
            return self.power(left, node)
        right = self.expand(node.arguments[1], sign)
        if not left:  # R: an empty left side annihilates, 1 * a has no terms
            return []
        if node.function == ":":
            return self.product(left, right, node)
        if node.function == "*":
            return _unique(left + right + self.product(left, right, node))
        if node.function == "/":
            whole = _union(left)
            return _unique(left + [whole | term for term in right])
        whole = _union(right)  # %in%
        return _unique([term | whole for term in left])

    def chain(self, node: Call, sign: bool) -> list[int]:
        """`a + b - c ...`, from the left and without recursion, since a sum may have hundreds of terms."""
        first, calls = spine(node, _CHAIN)
        result = self.unary(first, sign)
        for call in calls:
            minus = call.function == "-"
            right = self.unary(call.arguments[1], sign != minus)
            result = _without(result, right) if minus else _unique(result + right)
            if len(result) > MAX_TERMS:
                raise self.fail(f"more than {MAX_TERMS} terms", call, "formula-too-large")
        return result

    def unary(self, node: Expression, sign: bool) -> list[int]:
        """An operand of a chain; a minus sign in front takes terms away from nothing, so leaves nothing."""
        if isinstance(node, Call) and node.function in _CHAIN and len(node.arguments) == 1:
            minus = node.function == "-"
            terms = self.expand(node.arguments[0], sign != minus)
            return [] if minus else terms
        return self.expand(node, sign)

    def product(self, left: list[int], right: list[int], node: Call) -> list[int]:
        self.products += len(left) * len(right)
        if self.products > MAX_PRODUCTS:
            raise self.fail("too many terms to multiply out", node, "formula-too-large")
        result = _unique([a | b for a in left for b in right])
        if len(result) > MAX_TERMS:
            raise self.fail(f"more than {MAX_TERMS} terms", node, "formula-too-large")
        return result

    def power(self, left: list[int], node: Call) -> list[int]:
        exponent = node.arguments[1]
        if not isinstance(exponent, Number) or exponent.integer or exponent.value < 2:
            raise self.fail("the power of a term must be a number of at least 2", node)
        if exponent.value > MAX_POWER:
            raise self.fail(f"a power above {MAX_POWER}", node, "formula-too-large")
        result = left
        for _ in range(int(exponent.value) - 1):
            larger = self.product(result, left, node)
            if larger == result:
                break
            result = larger
        return result


def _unique(terms: list[int]) -> list[int]:
    return list(dict.fromkeys(terms))


def _without(terms: list[int], removed: list[int]) -> list[int]:
    gone = frozenset(removed)
    return [term for term in terms if term not in gone]


def _union(terms: list[int]) -> int:
    result = 0
    for term in terms:
        result |= term
    return result


def _bits(term: int) -> list[int]:
    """The variables of a term, in order."""
    found = []
    while term:
        lowest = term & -term
        found.append(lowest.bit_length() - 1)
        term ^= lowest
    return found


def _code(terms: list[int]) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Per term its variables, each with 1 where an earlier term contains the margin without it (or the margin is
    empty), with 2 where none does.
    """
    having: dict[int, int] = {}  # for each variable, the earlier terms that have it, as bits
    rows = []
    for position, term in enumerate(terms):
        variables = _bits(term)
        row = []
        for variable in variables:
            holders = (1 << position) - 1
            for other in variables:
                if other != variable:
                    holders &= having.get(other, 0)
            row.append((variable, 1 if holders or len(variables) == 1 else 2))
        rows.append(tuple(row))
        for variable in variables:
            having[variable] = having.get(variable, 0) | 1 << position
    return tuple(rows)


def _others(formula: Formula, columns: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """What `.` stands for: every column that the response does not mention."""
    if columns is None or not any(name.name == "." for name in symbols(formula.right)):
        return None
    used = {name.name for name in symbols(formula.left)} if formula.left is not None else set()
    return tuple(name for name in columns if name not in used)


@lru_cache(maxsize=512)
def _terms(formula: Formula, others: tuple[str, ...] | None) -> Terms:
    expander = _Expander(formula, others)
    if formula.left is not None:
        expander.variable(formula.left)
    if others is not None:
        expander.extract(formula.right)
    found = expander.unary(formula.right, True)
    variables = tuple(expander.variables)
    response = None if formula.left is None else 0
    offsets = tuple(
        i for i, v in enumerate(variables) if isinstance(v, Call) and v.function == "offset" and i != response
    )
    offset_bits = _union([1 << i for i in offsets])
    ordered = sorted((term for term in found if not term & offset_bits), key=int.bit_count)
    labels_of = tuple(expander.index)
    return Terms(
        formula=formula,
        variables=variables,
        names=tuple(v.name if isinstance(v, Name) else deparse(v) for v in variables),
        labels_of=labels_of,
        terms=tuple(ordered),
        labels=tuple(":".join(labels_of[i] for i in _bits(term)) for term in ordered),
        order=tuple(term.bit_count() for term in ordered),
        coding=_code(ordered),
        intercept=expander.intercept,
        response=response,
        offsets=offsets,
    )


def terms(formula: Formula, columns: tuple[str, ...] | None = None) -> Terms:
    """The terms of a formula. `columns`: the names of the data, which `.` stands for.

    Raises FormulaError (`formula-syntax` where R's terms() refuses, `formula-too-large` beyond the caps).
    Source: R 4.2 ?terms.formula.
    """
    return _terms(formula, _others(formula, columns))
