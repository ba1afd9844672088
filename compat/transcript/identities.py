"""Identities between printed numbers: what must hold whatever the data are, so that no fit is needed to prove an error.

Each printed number is an interval; an identity fails where no numbers of these intervals fulfil it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from compat.published import Block, PrintedCell, Sort
from compat.transcript.answers import models_of
from compat.transcript.values import GroupColumn, GroupTable, Model, Value, make_name
from refimpl.errors import FormulaError
from refimpl.formula import parse, split_bars
from refimpl.formula.syntax import Call, Expression, Name, Number, spine

SLACK = 0.55  # of a unit: half of it, and what a number may lose that R rounds twice


@dataclass(frozen=True)
class Printout:
    """A block and the value of the command that printed it."""

    value: Value | None
    block: Block


@dataclass(frozen=True)
class Finding:
    """An identity that does not hold: its statement, the cells in it, and what they say."""

    statement: str
    cells: tuple[PrintedCell, ...]
    text: str


@dataclass(frozen=True)
class Interval:
    """All numbers from low to high."""

    low: float
    high: float

    def __add__(self, other: Interval) -> Interval:
        return Interval(self.low + other.low, self.high + other.high)

    def __sub__(self, other: Interval) -> Interval:
        return Interval(self.low - other.high, self.high - other.low)

    def __mul__(self, other: Interval) -> Interval:
        ends = [a * b for a in (self.low, self.high) for b in (other.low, other.high)]
        return Interval(min(ends), max(ends))

    def over(self, other: Interval) -> Interval:
        """Quotient; everything where the divisor may be zero."""
        if other.low <= 0 <= other.high:
            return Interval(-math.inf, math.inf)
        ends = [a / b for a in (self.low, self.high) for b in (other.low, other.high)]
        return Interval(min(ends), max(ends))

    def meets(self, other: Interval) -> bool:
        """Whether some number is in both."""
        return self.low <= other.high and other.low <= self.high


def exactly(x: float) -> Interval:
    """One number."""
    return Interval(x, x)


def interval(cell: PrintedCell) -> Interval | None:
    """The numbers that may stand behind a printed one; None for what is missing or a bound."""
    if cell.number.sort is not Sort.NUMBER:
        return None
    number = cell.number
    unit = number.unit
    while "e" in number.text.lower() and number.value and number.value % (unit * 10) == 0:
        unit *= 10  # in -5.70e-01 the zero is no digit where the number was rounded before it was laid out
    middle, half = float(number.value), SLACK * float(unit)
    return Interval(middle - half, middle + half)


def find_contradictions(printouts: Sequence[Printout]) -> tuple[int, list[Finding]]:
    """How many identities hold, and those that do not."""
    held, findings = 0, []
    for outcome in _all(printouts):
        if outcome is None:
            held += 1
        else:
            findings.append(outcome)
    return held, findings


def _all(printouts: Sequence[Printout]) -> Iterator[Finding | None]:
    for printout in printouts:
        cells = {(cell.quantity, cell.label): cell for cell in printout.block.cells}
        yield from _within(printout.block.kind, cells)
    yield from _by_group(printouts)


# ---- coefficients by group ------------------------------------------------------------------------------------------

MEAN = "the mean over the groups of coef() is the fixed effect, where the random columns are fixed effects too"
CONSTANT = "a column of coef() without random effects is the fixed effect in every group"


def _by_group(printouts: Sequence[Printout]) -> Iterator[Finding | None]:
    """coef(m) of lmer against the fixed effects of m: X'V^-1(y - Xb) = 0 makes the random effects sum to zero."""
    fixed = _fixed_effects(printouts)
    for printout in printouts:
        value = printout.value
        model = next(iter(models_of(value)), None) if isinstance(value, GroupTable | GroupColumn) else None
        if model is None or (model.place, model.name) not in fixed:
            continue
        effects = fixed[model.place, model.name]
        if isinstance(value, GroupColumn) and value.mean and value.table.which == "coef":
            yield from _mean(printout.block, value, model, effects)
        elif isinstance(value, GroupTable) and value.which == "coef":
            yield from _constants(printout.block, value, model, effects)


Effects = Mapping[str, PrintedCell]


def _fixed_effects(printouts: Sequence[Printout]) -> dict[tuple[int, str], Effects]:
    """The fixed effects that are printed of each lmer model, the first time they are."""
    out: dict[tuple[int, str], Effects] = {}
    for printout in printouts:
        for model in models_of(printout.value) if printout.value is not None else ():
            cells = {cell.label[0]: cell for cell in printout.block.cells if cell.quantity == "coef" and cell.label}
            if model.estimator == "lmer" and cells:
                out.setdefault((model.place, model.name), cells)
    return out


def _mean(block: Block, value: GroupColumn, model: Model, effects: Effects) -> Iterator[Finding | None]:
    effect = _effect(str(value.column), value.table, effects)
    means = [cell for cell in block.cells if cell.quantity == "value"]
    random = random_columns(model.formula)
    if effect is None or len(means) != 1 or random is None or not random <= set(effects):
        return
    yield _same(MEAN, means[0], effect, f"coef({model.name}) and the summary of {model.name} are not of one fit")


def _constants(block: Block, table: GroupTable, model: Model, effects: Effects) -> Iterator[Finding | None]:
    random = random_columns(model.formula)
    if random is None:
        return
    for column in block.columns:
        effect = _effect(column, table, effects)
        if effect is None or effect.label[0] in random:
            continue
        cells = [cell for cell in block.cells if cell.quantity == "cell" and cell.label[1] == column]
        if cells:
            text = f"coef({model.name}) and the summary of {model.name} are not of one fit"
            yield next((found for cell in cells if (found := _same(CONSTANT, cell, effect, text))), None)


def _effect(column: str, table: GroupTable, effects: Effects) -> PrintedCell | None:
    """The fixed effect of a column, whatever data.frame() has made of its name."""
    if table.naming == "prefixed":
        fit = [name for name in effects if column.endswith(f".{make_name('a' + name)[1:]}")]
        return effects[max(fit, key=len)] if fit else None
    return next((cell for name, cell in effects.items() if column in (name, make_name(name))), None)


def random_columns(formula: str) -> frozenset[str] | None:
    """Names of the columns that have random effects; None where a term is more than names and numbers."""
    try:
        bars = split_bars(parse(formula))[1]
    except (FormulaError, ValueError, RecursionError):
        return None
    found: set[str] = set()
    for bar in bars:
        columns = _sum_columns(bar.slopes)
        if columns is None:
            return None
        found |= columns
    return frozenset(found)


def _sum_columns(node: Expression) -> set[str] | None:
    """Columns of `1 + x`, `0 + x`, `x`; the intercept is there unless it is taken out."""
    first, calls = spine(node, ("+",))
    terms = [first, *(call.arguments[1] for call in calls)]
    names: set[str] = set()
    intercept = True
    for term in terms:
        if isinstance(term, Number) and term.value in (0, 1):
            intercept = term.value == 1
        elif isinstance(term, Name):
            names.add(term.name)
        elif isinstance(term, Call) and term.function == "(" and _sum_columns(term.arguments[0]) is not None:
            names |= _sum_columns(term.arguments[0]) or set()
        else:
            return None
    return names | ({"(Intercept)"} if intercept else set())


def _same(statement: str, one: PrintedCell, other: PrintedCell, text: str) -> Finding | None:
    """A finding where two printed numbers cannot be the same."""
    a, b = interval(one), interval(other)
    if a is None or b is None or a.meets(b):
        return None
    where = (
        f"{one.number.text} (line {one.token.line}) is not {other.number.text} ({other.name}, line {other.token.line})"
    )
    return Finding(statement, (one, other), f"{where}: {text}")


# ---- within a block -------------------------------------------------------------------------------------------------

Cells = Mapping[tuple[str, tuple[str, ...]], PrintedCell]
Known = Callable[[str], Interval | None]


@dataclass(frozen=True)
class Identity:
    """`left` as a function of other quantities of the same block and label, in some kinds of blocks."""

    left: str
    statement: str
    kinds: frozenset[str]
    needs: tuple[str, ...]
    right: Callable[..., Interval]


_TABLES = frozenset(["lm", "ols", "plm", "lmer", "coeftest", "coefficients"])
_MIXED = frozenset(["lmer", "anova-mixed"])
TWO = exactly(2.0)

IDENTITIES: tuple[Identity, ...] = (
    Identity("statistic", "estimate / standard error", _TABLES, ("coef", "std_error"), lambda b, s: b.over(s)),
    Identity("variance", "the standard deviation squared", frozenset(["lmer"]), ("sd",), lambda s: s * s),
    Identity("deviance", "-2 logLik", _MIXED, ("loglik",), lambda ll: exactly(-2.0) * ll),
    Identity("aic", "deviance + 2 npar", frozenset(["anova-mixed"]), ("deviance", "npar"), lambda d, k: d + TWO * k),
    Identity(
        "aic", "deviance + 2 (n - df.resid)", frozenset(["lmer"]), ("deviance", "nobs", "df_residual"),
        lambda d, n, df: d + TWO * (n - df),
    ),
    Identity(
        "adj_r_squared", "1 - (1 - R2)(df1 + df2) / df2", frozenset(["lm"]), ("r_squared", "f_numdf", "f_dendf"),
        lambda r, a, b: exactly(1.0) - (exactly(1.0) - r) * (a + b).over(b),
    ),
    Identity(
        "f_statistic", "R2 / (1 - R2) df2 / df1", frozenset(["lm"]), ("r_squared", "f_numdf", "f_dendf"),
        lambda r, a, b: r.over(exactly(1.0) - r) * b.over(a),
    ),
)  # fmt: skip


def _within(kind: str, cells: Cells) -> Iterator[Finding | None]:
    for identity in IDENTITIES:
        if kind not in identity.kinds:
            continue
        for (quantity, label), cell in cells.items():
            if quantity == identity.left:
                yield from _holds(identity, cell, [cells.get((name, label)) for name in identity.needs])
    yield from _differences(cells)


def _holds(identity: Identity, cell: PrintedCell, others: Sequence[PrintedCell | None]) -> Iterator[Finding | None]:
    given = [other for other in others if other is not None]
    intervals = [interval(other) for other in given]
    left = interval(cell)
    if left is None or len(given) < len(others) or any(one is None for one in intervals):
        return
    right = identity.right(*intervals)
    if left.meets(right):
        yield None
        return
    printed = f"{cell.name} is printed {cell.number.text} (line {cell.token.line})"
    text = f"{printed}; the others make it {right.low:.6g} to {right.high:.6g}"
    yield Finding(f"{identity.left} = {identity.statement}", (cell, *given), text)


def _differences(cells: Cells) -> Iterator[Finding | None]:
    """Chisq of anova: the drop of the deviance from the model before."""
    rows = [label for quantity, label in cells if quantity == "deviance" and label]
    for before, after in pairwise(rows):
        chisq = cells.get(("chisq", after))
        if chisq is None:
            continue
        first, second, own = (interval(c) for c in (cells["deviance", before], cells["deviance", after], chisq))
        if first is None or second is None or own is None:
            continue
        if own.meets(first - second):
            yield None
        else:
            printed = f"chisq[{after[0]}] is printed {chisq.number.text} (line {chisq.token.line})"
            text = f"{printed}, not the drop of the deviance"
            yield Finding("Chisq = the drop of the deviance", (chisq,), text)
