"""Hierarchical models written level by level, as the textbooks do, and combined into lmer's formula.

    Y_ij   = beta_0j + beta_1j x_ij + u_ij              level 1     (1)
    beta_0j = gamma_00 + gamma_01 z_j + epsilon_0j      level 2     (2)
    beta_1j = gamma_10 + gamma_11 z_j + epsilon_1j                  (3)
    Y_ij   = gamma_00 + gamma_01 z_j + gamma_10 x_ij + gamma_11 x_ij z_j + epsilon_0j + epsilon_1j x_ij + u_ij   (4)

A coefficient that a level models gets that level's predictors, each a cross-level interaction in the combined model,
and an error of its own, correlated with the others' of the level. Raudenbush and Bryk (2002), ch. 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from refimpl.errors import DataError
from refimpl.formula import deparse, parse, terms
from refimpl.mixed.models import lmer
from refimpl.mixed.results import MixedFit

INTERCEPT = "(Intercept)"
SUBSCRIPTS = "ijklmnop"
GREEK = ("beta", "gamma", "delta", "zeta", "eta", "kappa", "lambda", "mu")
ERRORS = ("u", "epsilon", "nu", "xi", "omega", "rho", "tau", "chi")


@dataclass(frozen=True)
class Level:
    """A level above the first: its grouping factor, and each coefficient it models: predictors, whether it errs."""

    group: str
    equations: tuple[tuple[str, tuple[str, ...], bool], ...]


@dataclass(frozen=True)
class Hierarchy:
    """A model given level by level; `formula` is lmer's, `fit` fits it, `equations` and `latex` show it."""

    response: str
    predictors: tuple[str, ...]
    intercept: bool
    levels: tuple[Level, ...]

    def __str__(self) -> str:
        """The levels and the combined equation."""
        return self.equations()

    @property
    def formula(self) -> str:
        """The combined model as lmer's formula."""
        return (
            f"{self.response} ~ {' + '.join([*self.fixed, *(f'({slopes} | {group})' for slopes, group in self.bars)])}"
        )

    @property
    def fixed(self) -> list[str]:
        """Right-hand side of the fixed part, cross-level interactions included, lower levels first."""
        return [
            ("1" if self.intercept else "0") if name == INTERCEPT else name
            for name in self.coefficients(len(self.levels))
        ]

    @property
    def bars(self) -> list[tuple[str, str]]:
        """Columns and group of each random term."""
        out = []
        for level in self.levels:
            names = [name for name, _, error in level.equations if error]
            if names:
                slopes = [name for name in names if name != INTERCEPT]
                lead = "1" if INTERCEPT in names else "0"
                out.append((" + ".join([lead, *slopes]), level.group))
        return out

    def coefficients(self, upto: int) -> list[str]:
        """Coefficients of the model combined over level 1 and `upto` levels above it."""
        out = [INTERCEPT, *self.predictors]
        for level in self.levels[:upto]:
            for name, predictors, _ in level.equations:
                out += [crossed(name, z) for z in predictors if crossed(name, z) not in out]
        return out

    def fit(self, data: Any, REML: bool = True, **options: Any) -> MixedFit:
        """Fit the combined model; options as of `lmer`."""
        return lmer(self.formula, data, REML=REML, **options)

    def equations(self) -> str:
        """The levels and the combined equation as text, a line each."""
        lines = []
        for number, rows in enumerate(self._rows(), 1):
            lines += [f"level {number}: {left} = {' + '.join(parts)}" for left, parts in rows]
        left, parts = self._combined()
        return "\n".join([*lines, f"combined: {left} = {' + '.join(parts)}"])

    def latex(self) -> str:
        """The levels and the combined equation as a LaTeX align environment."""
        rows = [row for level in self._rows() for row in level] + [self._combined()]
        body = " \\\\\n".join(f"  {_tex(left)} &= {' + '.join(_tex(part) for part in parts)}" for left, parts in rows)
        return "\\begin{align}\n" + body + "\n\\end{align}"

    def _symbols(self, upto: int) -> dict[str, str]:
        """Each coefficient's symbol over `upto` levels: beta_1, gamma_10, gamma_11; one not modelled keeps its own."""
        names = [INTERCEPT, *self.predictors]
        out = {name: f"{GREEK[0]}_{k}" for k, name in enumerate(names)}
        for number, level in enumerate(self.levels[:upto], 1):
            for name, predictors, _ in level.equations:
                digits = out[name].rpartition("_")[2]
                for k, z in enumerate(predictors, 1):
                    out.setdefault(crossed(name, z), f"{GREEK[number]}_{digits}{k if k < 10 else f',{k}'}")
                out[name] = f"{GREEK[number]}_{digits}0"
        return out

    def _rows(self) -> list[list[tuple[str, list[str]]]]:
        """For each level its equations, each the left side and the summands."""
        index = SUBSCRIPTS[: len(self.levels) + 1]
        symbols = self._symbols(0)
        names = self.coefficients(0) if self.intercept else list(self.predictors)
        first = [self._varying(0, name, symbols[name]) + self._times(name) for name in names]
        out = [[(f"{self.response}_{index}", [*first, f"{ERRORS[0]}_{index}"])]]
        for number, level in enumerate(self.levels, 1):
            below, here, rows = self._symbols(number - 1), self._symbols(number), []
            for name, predictors, error in level.equations:
                parts = [self._varying(number, name, here[name])]
                parts += [
                    self._varying(number, c, here[c]) + self._times(z) for z in predictors for c in [crossed(name, z)]
                ]
                parts += [self._error(number, below[name])] if error else []
                rows.append((self._varying(number - 1, name, below[name]), parts))
            out.append(rows)
        return out

    def _varying(self, level: int, name: str, symbol: str) -> str:
        """A coefficient's symbol with the groups that it varies over, where a higher level models it."""
        for number, higher in enumerate(self.levels[level:], level + 1):
            if name in {modelled for modelled, _, _ in higher.equations}:
                return symbol + SUBSCRIPTS[number : len(self.levels) + 1]
        return symbol

    def _error(self, level: int, symbol: str) -> str:
        digits = symbol.rpartition("_")[2]
        return f"{ERRORS[level]}_{digits}{SUBSCRIPTS[level : len(self.levels) + 1]}"

    def _times(self, name: str) -> str:
        """The product of a term's variables, each with the units of the level it belongs to."""
        if name == INTERCEPT:
            return ""
        own = {z: number for number, level in enumerate(self.levels, 1) for _, zs, _ in level.equations for z in zs}
        return "".join(f" {v}_{SUBSCRIPTS[own.get(v, 0) : len(self.levels) + 1]}" for v in name.split(":"))

    def _combined(self) -> tuple[str, list[str]]:
        top, index = len(self.levels), SUBSCRIPTS[: len(self.levels) + 1]
        symbols = self._symbols(top)
        names = self.coefficients(top) if self.intercept else self.coefficients(top)[1:]
        parts = [symbols[name] + self._times(name) for name in names]
        for number, level in enumerate(self.levels, 1):
            below = self._symbols(number - 1)
            parts += [
                self._error(number, below[name]) + self._times(name) for name, _, error in level.equations if error
            ]
        return f"{self.response}_{index}", [*parts, f"{ERRORS[0]}_{index}"]


def hlm(level1: str, level2: Mapping[str, Any], **higher: Mapping[str, Any]) -> Hierarchy:
    """A hierarchical model from its levels.

    `level1` is a formula, "y ~ x1 + x2". Each higher level (level2, level3, ...) is a mapping with "group", its
    grouping factor, and for each coefficient that it models ("(Intercept)", "x1", and from level 3 on the interactions
    of the levels below, "x1:z") the predictors of that level, "z1 + z2" or "1" for none. Each such coefficient has an
    error, unless "no_error" lists it. Groups with labels that repeat in higher groups are written "class:school".

        hlm(level1="math ~ ses", level2={"group": "school", "(Intercept)": "size", "ses": "size"}).fit(data)

    Raises FormulaError, and DataError `bad-option` for a level that models a coefficient the ones below do not have.
    """
    parsed = parse(level1)
    if parsed.left is None:
        raise DataError("bad-option", "level 1 needs a response: y ~ x")
    spec = terms(parsed)
    levels = [level2, *(higher[name] for name in sorted(higher))]
    expected = [f"level{number}" for number in range(3, 3 + len(higher))]
    if sorted(higher) != expected or len(levels) >= len(GREEK):
        raise DataError(
            "bad-option", f"the levels above the second are {', '.join(expected) or 'level3, ...'}, in order"
        )
    model = Hierarchy(deparse(parsed.left), tuple(spec.labels), spec.intercept, ())
    for number, given in enumerate(levels, 2):
        model = Hierarchy(
            model.response, model.predictors, model.intercept, (*model.levels, _level(model, number, given))
        )
    return model


def _level(below: Hierarchy, number: int, given: Mapping[str, Any]) -> Level:
    if "group" not in given:
        raise DataError("bad-option", f'level {number} needs its grouping factor: {{"group": "school", ...}}')
    without: Sequence[str] = given.get("no_error", ())
    known = below.coefficients(len(below.levels))
    rows = []
    for name, text in given.items():
        if name in ("group", "no_error"):
            continue
        if name not in known:
            raise DataError("bad-option", f"level {number} models {name!r}; the levels below have {', '.join(known)}")
        rows.append((name, tuple(terms(parse(f"~ {text}")).labels), name not in without))
    unknown = [name for name in without if name not in given]
    if not rows or unknown:
        raise DataError(
            "bad-option", f"level {number} models no coefficient{': ' + ', '.join(unknown) if unknown else ''}"
        )
    return Level(str(given["group"]), tuple(rows))


def crossed(coefficient: str, predictor: str) -> str:
    """The term that a predictor of a coefficient becomes in the combined model."""
    return predictor if coefficient == INTERCEPT else f"{coefficient}:{predictor}"


def _tex(part: str) -> str:
    """One summand: symbols with braces, Greek letters as commands, names upright."""
    words = []
    for word in part.split(" "):
        symbol, _, index = word.rpartition("_")
        letter = (
            f"\\{symbol}"
            if symbol in (*GREEK, *ERRORS[1:])
            else symbol
            if len(symbol) == 1
            else f"\\mathrm{{{symbol}}}"
        )
        words.append(f"{letter.replace('_', chr(92) + '_')}_{{{index}}}" if symbol else word)
    return "\\, ".join(words)
