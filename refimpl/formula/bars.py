"""lme4's bars: taken out of a formula, expanded, ordered, turned into grouping factors, Z and Lambda's pattern.

Fixed effects, rows and offsets come from `frame` and `matrix`. Source: Bates, Maechler, Bolker & Walker (2015), J.
Stat. Software 67(1), sections 2.2 and 2.3; lme4 1.1-31 lFormula. Every form, with what it means:

    (1 | g)        an intercept for each level of g
    (x | g)        intercept and slope, correlated, as (1 + x | g)
    (0 + x | g)    the slope alone
    (x || g)       uncorrelated: (1 | g) + (0 + x | g); a factor's columns stay correlated among themselves
    (1 | a:b)      the pairs of levels that occur
    (1 | a/b)      nested: (1 | b:a) + (1 | a)
    (f | g)        a factor slope by its contrasts; (0 + f | g) by all its levels
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DataError, FormulaError
from .deparse import deparse, deparse_formula, is_syntactic
from .evaluate import Evaluator
from .factors import as_factor
from .frame import ModelFrame, model_frame, sub_frame
from .grammar import parse
from .matrix import ModelMatrix, model_matrix
from .syntax import Call, Constant, Expression, Formula, Name, Number, Text, spine, symbols
from .terms import terms
from .values import Codes, Floats, Levels

_BARS = ("|", "||")
_SUMS = ("+", "-")
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Bar:
    """One random term before any data: `slopes | group`, with `/` and `||` already expanded."""

    slopes: Expression
    group: Expression

    @property
    def label(self) -> str:
        """R's text of the term."""
        return f"{deparse(self.slopes)} | {deparse(self.group)}"


# Taking the bars out of a formula


def has_bars(formula: Formula) -> bool:
    """Whether a formula has random terms."""
    return bool(_find(formula.right, formula))


def _is_bar(node: Expression) -> bool:
    return isinstance(node, Call) and node.function in _BARS


def _find(node: Expression, formula: Formula) -> list[Call]:
    """The bars of an expression, from left to right, looking through operators and parentheses."""
    if not isinstance(node, Call):
        return []
    if node.function in _BARS:
        if _find(node.arguments[0], formula) or _find(node.arguments[1], formula):
            raise _refuse("a bar inside a bar", node, formula)
        return [node]
    first, calls = spine(node, _SUMS)
    if calls:
        found = _find(first, formula)
        for call in calls:
            found += _find(call.arguments[1], formula)
        return found
    inner = [bar for argument in node.arguments for bar in _find(argument, formula)]
    if inner and node.function.replace(".", "").isalnum():
        raise _refuse("a bar inside a function", inner[0], formula)
    return inner


def _refuse(message: str, node: Expression, formula: Formula, kind: str = "formula-syntax") -> FormulaError:
    return FormulaError(kind, message, formula.source, node.position)


def _without_bars(node: Expression) -> Expression | None:
    """The fixed part: a bar disappears, and an operator that loses one side becomes the other."""
    if _is_bar(node):
        return None
    if not isinstance(node, Call):
        return node
    first, calls = spine(node, _SUMS)
    if calls:
        left = _without_bars(first)
        for call in calls:
            left = _join(call, left, _without_bars(call.arguments[1]))
        return left
    if len(node.arguments) == 2 and not node.names:
        return _join(node, _without_bars(node.arguments[0]), _without_bars(node.arguments[1]))
    kept = [_without_bars(argument) for argument in node.arguments]
    if any(argument is None for argument in kept):
        return None
    return replace(node, arguments=tuple(a for a in kept if a is not None))


def _join(call: Call, left: Expression | None, right: Expression | None) -> Expression | None:
    if left is None or right is None:
        return right if left is None else left
    return replace(call, arguments=(left, right))


def _plussed(node: Expression, source: str) -> Expression:
    """The same expression with every bar a plus: what names the variables of the frame."""
    if not isinstance(node, Call):
        return node
    if node.function == "||":
        plain = [_plussed_bar(bar) for bar in _uncorrelated(node, source)]
        joined = plain[0]
        for part in plain[1:]:
            joined = Call("+", (joined, part), position=node.position)
        return joined
    first, calls = spine(node, _SUMS)
    if calls:
        left = _plussed(first, source)
        for call in calls:
            left = replace(call, arguments=(left, _plussed(call.arguments[1], source)))
        return left
    function = "+" if node.function == "|" else node.function
    return replace(node, function=function, arguments=tuple(_plussed(argument, source) for argument in node.arguments))


def _plussed_bar(bar: Call) -> Expression:
    return Call("(", (Call("+", bar.arguments, position=bar.position),), position=bar.position)


def _uncorrelated(bar: Call, source: str) -> list[Call]:
    """`(x || g)` as its uncorrelated terms, in the order of the terms of `~ x`."""
    slopes, group = bar.arguments
    at = bar.position
    spec = terms(Formula(None, slopes, deparse_formula(None, slopes), source))
    if not spec.terms:
        raise FormulaError("formula-syntax", "'||' needs slopes to separate; write (1 | g)", source, at)
    if isinstance(group, Name) and not is_syntactic(group.name):
        raise FormulaError(
            "formula-syntax", "lme4 cannot expand '||' before a name in backticks; write the terms out", source, at
        )
    texts = ["1"] * spec.intercept + [f"0 + {label}" for label in spec.labels]
    return [Call("|", (_moved(parse(f"~{text}").right, at), group), position=at) for text in texts]


def without_double_bars(formula: Formula) -> Formula:
    """The same formula with every `(x || g)` written out as ((1 | g) + (0 + x | g)), as lme4 shows it."""
    right = _written_out(formula.right, formula.source)
    return Formula(formula.left, right, deparse_formula(formula.left, right), formula.source)


def _written_out(node: Expression, source: str) -> Expression:
    if not isinstance(node, Call):
        return node
    if node.function == "||":
        parts: list[Expression] = [Call("(", (bar,), position=bar.position) for bar in _uncorrelated(node, source)]
        return reduce(lambda left, right: Call("+", (left, right), position=node.position), parts)
    return replace(node, arguments=tuple(_written_out(argument, source) for argument in node.arguments))


def _moved(node: Expression, position: int) -> Expression:
    """The same expression at another place: lme4 too writes the terms of `||` as text and reads them again."""
    if isinstance(node, Call):
        return replace(node, arguments=tuple(_moved(a, position) for a in node.arguments), position=position)
    return replace(node, position=position)


def _nested(group: Expression, formula: Formula) -> list[Expression]:
    """`a/b/c` as c:(b:a), b:a, a."""
    if not (isinstance(group, Call) and group.function == "/"):
        return [group]
    outer, inner = group.arguments
    if not (isinstance(outer, Name) or (isinstance(outer, Call) and outer.function == "/")):
        raise _refuse("the left side of '/' in a grouping factor must be a column", group, formula)
    wider = _nested(outer, formula)
    whole = wider[0]
    nested = Call("(", (whole,), position=group.position) if isinstance(whole, Call) else whole
    return [Call(":", (inner, nested), position=group.position), *wider]


def split_bars(formula: Formula) -> tuple[Formula, tuple[Bar, ...]]:
    """The fixed part of a formula (`y ~ 1` where only bars stand) and its random terms, expanded, in the order of the
    text.

    Raises FormulaError where lme4 cannot read a bar either. Source: lme4 1.1-31 nobars, findbars, expandDoubleVerts.
    """
    bars: list[Bar] = []
    for found in _find(formula.right, formula):
        singles = _uncorrelated(found, formula.source) if found.function == "||" else [found]
        for single in singles:
            slopes, group = single.arguments
            bars.extend(Bar(slopes, part) for part in _nested(group, formula))
    right = _without_bars(formula.right) or Number(1.0)
    return _rebuilt(formula, right), tuple(bars)


def _rebuilt(formula: Formula, right: Expression) -> Formula:
    return Formula(formula.left, right, deparse_formula(formula.left, right), formula.source)


# Random terms on data


@dataclass(frozen=True)
class RandomTerm:
    """One random term: `group` and its `levels`, `codes` (n,) of the rows, the term's own `matrix` with r columns."""

    bar: Bar
    group: str
    levels: tuple[str, ...]
    codes: Indices
    matrix: ModelMatrix

    @property
    def names(self) -> list[str]:
        """R's cnms of the term."""
        return self.matrix.names

    @property
    def n_columns(self) -> int:
        """How many columns of Z the term has: levels times r."""
        return len(self.levels) * len(self.matrix.names)


@dataclass(frozen=True)
class RandomEffects:
    """The random terms in lme4's order: by falling number of levels.

    Within a term Z's columns go level by level, the r columns of the term's matrix within each level. theta holds,
    term by term, the lower triangle of that term's r x r block of Lambda, column by column.
    """

    terms: tuple[RandomTerm, ...]
    n: int

    @property
    def q(self) -> int:
        """The number of columns of Z."""
        return sum(term.n_columns for term in self.terms)

    @property
    def names(self) -> list[tuple[str, list[str]]]:
        """lme4's cnms: the group of each term with the names of its columns."""
        return [(term.group, term.names) for term in self.terms]

    @property
    def group_pointers(self) -> Indices:
        """lme4's Gp: where each term's columns of Z begin, and the end."""
        return np.cumsum([0, *(term.n_columns for term in self.terms)])

    @cached_property
    def Z(self) -> Floats:
        """The dense (n, q) model matrix of the random effects."""
        result = np.zeros((self.n, self.q), order="F")
        rows = np.arange(self.n)
        for start, term in zip(self.group_pointers, self.terms, strict=False):
            r = len(term.names)
            for j in range(r):
                result[rows, start + term.codes * r + j] = term.matrix.X[:, j]
        return result

    @cached_property
    def Z_names(self) -> list[str]:
        """The level that each column of Z belongs to (lme4: rownames of Zt)."""
        return [level for term in self.terms for level in term.levels for _ in term.names]

    @property
    def theta_start(self) -> Floats:
        """1 on the diagonals of Lambda, 0 below."""
        return np.where(self.theta_lower == 0.0, 1.0, 0.0)

    @cached_property
    def theta_lower(self) -> Floats:
        """Lower bounds of theta: 0 on the diagonals of Lambda, -inf below."""
        bounds = [0.0 if i == j else -np.inf for term in self.terms for i, j in _lower_triangle(len(term.names))]
        return np.array(bounds)

    def lambda_pattern(self) -> tuple[Indices, Indices, Indices]:
        """Lambda's nonzero cells, row by row as lme4's Lind: the row, the column and the index into theta of each."""
        rows, columns, index = [], [], []
        start = first = 0
        for term in self.terms:
            r = len(term.names)
            place = {cell: first + k for k, cell in enumerate(_lower_triangle(r))}
            for level in range(len(term.levels)):
                for i in range(r):
                    for j in range(i + 1):
                        rows.append(start + level * r + i)
                        columns.append(start + level * r + j)
                        index.append(place[i, j])
            start += term.n_columns
            first += len(place)
        return np.array(rows, np.intp), np.array(columns, np.intp), np.array(index, np.intp)


def _lower_triangle(r: int) -> list[tuple[int, int]]:
    """The cells of a lower triangle, column by column."""
    return [(i, j) for j in range(r) for i in range(j, r)]


@dataclass(frozen=True)
class MixedFrame:
    """A mixed model's data: `frame` with every variable, the `fixed` design matrix, the `random` effects."""

    frame: ModelFrame
    fixed: ModelMatrix
    random: RandomEffects


def _group(node: Expression, frame: ModelFrame, formula: Formula) -> Levels:
    """The grouping factor, evaluated on the frame, where every variable counts as a factor."""
    if isinstance(node, Call) and node.function == "(":
        return _group(node.arguments[0], frame, formula)
    if isinstance(node, Call) and node.function == ":":
        left, right = (_group(argument, frame, formula) for argument in node.arguments)
        return _pairs(left, right)
    if isinstance(node, (Number, Text, Constant)):
        raise _refuse("the grouping factor must be a column", node, formula)
    if isinstance(node, Call) and node.function in ("+", "-", "*", "/", "^"):
        raise _refuse(f"'{node.function}' cannot be used here in a grouping factor", node, formula)
    named = {n.name: v for n, v in zip(frame.terms.variables, frame.values, strict=True) if isinstance(n, Name)}
    for symbol in symbols(node):
        if symbol.name not in named:
            message = f"the grouping factor '{deparse(node)}' needs the column '{symbol.name}' in the model"
            raise _refuse(message, node, formula, "unknown-column")
    evaluator = Evaluator({}, frame.n, formula.source)
    evaluator.read.update({name: as_factor(named[name]) for name in {s.name for s in symbols(node)}})
    factor = as_factor(evaluator.value(node)).without_unused()
    if len(factor) != frame.n:
        raise _refuse(f"the grouping factor has {len(factor)} values, not {frame.n}", node, formula, "r-error")
    return factor


def _pairs(left: Levels, right: Levels) -> Levels:
    """The pairs of levels that occur, the left one running slowest; levels `u:p`."""
    codes: Codes = left.codes.astype(np.intp) * len(right.levels) + right.codes
    codes = np.where((left.codes < 0) | (right.codes < 0), -1, codes)
    present = np.unique(codes[codes >= 0])
    place = np.searchsorted(present, codes)
    levels = tuple(
        f"{left.levels[k // len(right.levels)]}:{right.levels[k % len(right.levels)]}" for k in present.tolist()
    )
    return Levels(np.where(codes < 0, -1, place), levels)


def _with_factors(frame: ModelFrame, group: Expression) -> ModelFrame:
    """The frame as lme4 builds a term's columns from it: the columns that its group names are factors there."""
    grouping = {symbol.name for symbol in symbols(group)}
    pairs = zip(frame.terms.variables, frame.values, strict=True)
    return replace(
        frame, values=tuple(as_factor(v) if isinstance(n, Name) and n.name in grouping else v for n, v in pairs)
    )


def _group_name(group: Expression) -> str:
    return group.name if isinstance(group, Name) else deparse(group)


def _random_term(bar: Bar, frame: ModelFrame, formula: Formula) -> RandomTerm:
    factor = _group(bar.group, frame, formula)
    if any(symbol.name == "." for symbol in symbols(bar.slopes)):
        raise _refuse("'.' cannot stand in a random term", bar.slopes, formula)
    slopes = Formula(None, bar.slopes, deparse_formula(None, bar.slopes), formula.source)
    matrix = model_matrix(sub_frame(_with_factors(frame, bar.group), slopes, None), check=False)
    return RandomTerm(bar, _group_name(bar.group), factor.levels, factor.codes.astype(np.intp), matrix)


def _check(term: RandomTerm, n: int) -> None:
    """lme4's checks of a grouping factor (lmerControl: check.nlev.gtr.1, check.nobs.vs.nlev, check.nobs.vs.nRE)."""
    count = len(term.levels)
    if not term.names:
        raise DataError("r-error", f"the random term ({term.bar.label}) has no columns")
    if count < 2:
        raise DataError("one-level-group", f"grouping factors must have > 1 sampled level: '{term.group}' has {count}")
    if count >= n:
        raise DataError(
            "too-many-levels",
            f"the number of levels of '{term.group}' ({count}) must be < the number of observations ({n})",
        )
    if term.n_columns >= n:
        raise DataError(
            "too-many-random-effects",
            f"number of observations (={n}) <= number of random effects (={term.n_columns}) "
            f"for term ({term.bar.label}): they and the residual variance cannot be told apart",
        )


def mixed_frame(
    formula: Formula,
    data: Any,
    extra: Mapping[str, Any] | None = None,
    na_action: str = "omit",
    keep: Sequence[str] = (),
    contrasts: Mapping[str, str] | None = None,
    check: bool = True,
) -> MixedFrame:
    """Everything that a mixed model needs of its data: rows, fixed design, random terms.

    Arguments as of `model_frame` and `model_matrix`. `check`: also refuse grouping factors that lmer refuses. Aliased
    columns of the fixed design stay (lmer drops them later). Raises FormulaError and DataError as R does.
    Source: lme4 1.1-31 lFormula.
    """
    fixed, bars = split_bars(formula)
    if not bars:
        raise FormulaError(
            "no-random-effects", "no random effects terms: no bar as in y ~ x + (1 | g)", formula.source, 0
        )
    if formula.left is None:
        raise FormulaError("r-error", "a mixed model needs a response", formula.source, 0)
    frame = model_frame(_rebuilt(formula, _plussed(formula.right, formula.source)), data, extra, na_action, keep)
    if frame.n == 0:
        raise DataError("no-rows", f"0 (non-NA) cases: none of the {len(frame.kept)} rows is complete")
    built = [_random_term(bar, frame, formula) for bar in bars]
    if check:
        for term in built:
            _check(term, frame.n)
    counts = [len(term.levels) for term in built]
    if any(later > earlier for earlier, later in pairwise(counts)):
        order = sorted(range(len(built)), key=counts.__getitem__)[::-1]  # ties come out reversed, as in lme4
        built = [built[i] for i in order]
    part = sub_frame(frame, fixed, frame.terms.names if "." in fixed.text else None)
    return MixedFrame(frame, model_matrix(part, contrasts, check=check), RandomEffects(tuple(built), frame.n))
