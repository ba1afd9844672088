"""update(): a model's call with another formula, in which `.` is what stood there, or with other arguments."""

from __future__ import annotations

from dataclasses import replace

from compat.transcript.interpreter import Arguments, function
from compat.transcript.language import NotRead, read_commands
from compat.transcript.values import FormulaValue, Model, Value
from refimpl.errors import FormulaError
from refimpl.formula import parse
from refimpl.formula.bars import without_double_bars
from refimpl.formula.deparse import deparse, deparse_formula
from refimpl.formula.syntax import Call, Constant, Expression, Formula, Name, symbols
from refimpl.formula.terms import terms

_CALLED = {"lm": "lm", "ols": "ols", "robcov": "ols", "plm": "plm", "lmer": "lmer"}  # what each fit's call is of
_BARS = ("|", "||")
_OPERATORS = ("+", "-", "*", "/", ":", "^", "%in%", *_BARS)


@function("update", takes="object formula.")
def update(a: Arguments) -> Value:
    """stats::update, and lme4's and plm's: the call of a fit, changed and run again."""
    model = a.value("object")
    if not isinstance(model, Model) or model.estimator not in _CALLED:
        raise NotRead("update() of what is no model")
    given = _call_arguments(model)
    if a.has("formula."):
        change = a.value("formula.")
        if not isinstance(change, FormulaValue):
            raise NotRead("update() by what is no formula")
        given["formula"] = _updated(model, change)
    for name, node in a.rest:
        if name is None or name == "evaluate":
            raise NotRead(f"update() with {name or deparse(node)[:40]} is not read")
        if isinstance(node, Constant) and node.name == "NULL":
            given.pop(name, None)
        else:
            given[name] = node
    return a.run.evaluate(Call(_CALLED[model.estimator], tuple(given.values()), tuple(given)))


def _call_arguments(model: Model) -> dict[str, Expression]:
    """The arguments of a model's call, its formula the one that was fitted."""
    return {**model.arguments, "formula": read_commands(model.formula)[0]}


def _updated(model: Model, change: FormulaValue) -> Expression:
    """R's update of a formula: each `.` replaced by its side of the old one, the terms multiplied out and in order."""
    try:
        old = parse(_written_out(model))
        new = parse(change.text)
        left = old.left if new.left is None else _filled(new.left, old.left)
        right = _filled(new.right, old.right)
        if any(_is_bar(one) for one in (old.right, new.right)):
            raise NotRead("update() of a formula in several parts is not read")
        text = _simplified(parse(deparse_formula(left, right)))
    except (FormulaError, RecursionError) as problem:
        raise NotRead(f"update(): {str(problem).splitlines()[0]}") from None
    return read_commands(text)[0]


def _written_out(model: Model) -> str:
    """A model's formula as R keeps it: `.` replaced by the columns it stands for, `||` by the terms it stands for."""
    formula = parse(model.formula)
    if model.estimator == "lmer":
        formula = without_double_bars(formula)
    if not any(name.name == "." for name in symbols(formula.right)):
        return formula.text
    if model.data is None:
        raise NotRead(f"update(): what `.` stands for in {model.formula} is not known")
    return _simplified(formula, tuple(model.data.columns))


def _filled(node: Expression, by: Expression | None) -> Expression:
    """An expression with every `.` replaced, in parentheses where an operator stands next to it."""
    if _is_dot(node):
        if by is None:
            raise NotRead("update() of a formula without a left side")
        return by
    if not isinstance(node, Call):
        return node
    inner = Call("(", (by,)) if isinstance(by, Call) and node.function in _OPERATORS else by
    return replace(node, arguments=tuple(_filled(one, inner if _is_dot(one) else by) for one in node.arguments))


def _is_dot(node: Expression) -> bool:
    return isinstance(node, Name) and node.name == "."


def _is_bar(node: Expression) -> bool:
    return isinstance(node, Call) and node.function in _BARS


def _simplified(formula: Formula, columns: tuple[str, ...] | None = None) -> str:
    """A formula written out term by term, terms of bars in parentheses, offsets last."""
    found = terms(formula, columns)
    bars = [_is_bar(variable) for variable in found.variables]
    own = [next(i for i in range(len(bars)) if term >> i & 1) for term in found.terms]  # a term's first variable
    if any(order > 1 and any(bar and term >> i & 1 for i, bar in enumerate(bars))
           for order, term in zip(found.order, found.terms, strict=True)):  # fmt: skip
        raise NotRead("update() with an interaction of random effects is not read")
    right = [f"({label})" if bars[i] else label for label, i in zip(found.labels, own, strict=True)]
    right += [found.labels_of[i] for i in found.offsets]
    text = " + ".join(right) or "1"
    left = f"{deparse(formula.left)} ~ " if formula.left is not None else "~"
    return f"{left}{text}" if found.intercept else f"{left}{text} - 1"
