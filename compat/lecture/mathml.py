"""The slides' formulas as MathML: a small part of TeX, enough for them and for `Hierarchy.latex()`, and no more.

Letters, numbers, operators, Greek, scripts, primes, \\hat, \\frac, \\sum, \\mathbf, \\mathrm, \\text, \\left, \\right
and align rows. A command that is not among them is an error, so that nothing is dropped in silence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape

WORDS = re.compile(r"\\(text|mathrm|mathbf)\{((?:[^{}\\]|\\.)*)\}")
TOKEN = re.compile(
    r"\\(?:text|mathrm|mathbf)\{(?:[^{}\\]|\\.)*\}|\\[A-Za-z]+|\\.|[A-Za-z]|\d+(?:\.\d+)?|\s+|.", re.DOTALL
)
GREEK: Mapping[str, str] = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "varepsilon": "ε", "zeta": "ζ", "eta": "η",
    "theta": "θ", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "rho": "ρ", "sigma": "σ", "tau": "τ",
    "chi": "χ", "omega": "ω", "Omega": "Ω", "Lambda": "Λ", "Sigma": "Σ", "ell": "ℓ",
}  # fmt: skip
OPERATORS: Mapping[str, str] = {
    "sum": "∑", "partial": "∂", "sim": "∼", "in": "∈", "times": "×", "cdot": "⋅", "ldots": "…", "neq": "≠", "mid": "|",
    "{": "{", "}": "}", "approx": "≈", "to": "→", "leq": "≤", "prime": "′",
}  # fmt: skip
SPACES: Mapping[str, str] = {",": "0.17em", ";": "0.28em", "quad": "1em", " ": "0.25em", "!": "-0.17em"}
NAMES = ("ln", "log", "Var", "Cov", "E", "tr", "max", "min")
LARGE = "∑"


class UnknownTeX(ValueError):
    """A command or a construction that this room does not know."""


def mathml(tex: str, display: bool = True, label: str | None = None) -> str:
    """A <math> element; rows of an align environment, or separated by `\\\\`, become a table's rows.

    `label` is what a screen reader says instead of spelling the formula.
    """
    body = re.sub(r"\\(?:begin|end)\{align\*?\}", "", tex).strip()
    rows = [row.split("&") for row in body.split("\\\\")]
    if len(rows) == 1 and len(rows[0]) == 1:
        inner = _Parser(rows[0][0]).everything()
    else:
        cells = ["".join(f"<mtd>{_Parser(cell).everything()}</mtd>" for cell in row) for row in rows]
        inner = '<mtable displaystyle="true">' + "".join(f"<mtr>{row}</mtr>" for row in cells) + "</mtable>"
    shown = ' display="block"' if display else ""
    said = f' aria-label="{escape(label)}"' if label else ""
    return f"<math{shown}{said}>{inner}</math>"


class _Parser:
    """One pass over the tokens; every method returns MathML text."""

    def __init__(self, tex: str) -> None:
        self.tokens: list[str] = [token for token in TOKEN.findall(tex) if not token.isspace()]
        self.at = 0

    def everything(self) -> str:
        out = []
        while self.at < len(self.tokens):
            out.append(self.scripted())
        return f"<mrow>{''.join(out)}</mrow>"

    def scripted(self) -> str:
        """An atom with what stands below and above it."""
        large = self.tokens[self.at] == "\\sum"
        base, below, above, primes = self.atom(), "", "", 0
        while self.at < len(self.tokens) and self.tokens[self.at] in ("_", "^", "'"):
            mark = self._next()
            if mark == "'":
                primes += 1
            elif mark == "_":
                below = self.atom()
            else:
                above = self.atom()
        if primes:
            above = f"<mrow><mo>{'′' * primes}</mo>{above}</mrow>"
        return _with_scripts(base, below, above, large)

    def atom(self) -> str:
        """A group, a command with its arguments, or one token."""
        token = self._next()
        if token == "{":
            return self._group()
        if words := WORDS.fullmatch(token):
            return _upright(words[2], bold=words[1] == "mathbf")
        if token.startswith("\\"):
            return self._command(token[1:])
        if token[0].isdigit():
            return f"<mn>{token}</mn>"
        if token.isalpha():
            return f"<mi>{token}</mi>"
        if token in "()[]|":
            return f'<mo stretchy="false">{token}</mo>'
        if token in "+-=,.:/<>*":
            return f"<mo>{escape('−' if token == '-' else token)}</mo>"
        raise UnknownTeX(f"{token!r} in {''.join(self.tokens)!r}")

    def _group(self) -> str:
        out = []
        while self.at < len(self.tokens) and self.tokens[self.at] != "}":
            out.append(self.scripted())
        self._expect("}")
        return f"<mrow>{''.join(out)}</mrow>"

    def _fenced(self) -> str:
        """From \\left( to \\right), brackets as high as what they hold; scripts after them are the whole's."""
        out = [f'<mo stretchy="true">{escape(self._next().removeprefix(chr(92)))}</mo>']
        while self.at < len(self.tokens) and self.tokens[self.at] != "\\right":
            out.append(self.scripted())
        self._expect("\\right")
        return f'<mrow>{"".join(out)}<mo stretchy="true">{escape(self._next().removeprefix(chr(92)))}</mo></mrow>'

    def _command(self, name: str) -> str:
        if name in GREEK:
            return f"<mi>{GREEK[name]}</mi>"
        if name in OPERATORS:
            limits = ' movablelimits="false"' if OPERATORS[name] == LARGE else ""
            return f"<mo{limits}>{OPERATORS[name]}</mo>"
        if name in SPACES:
            return f'<mspace width="{SPACES[name]}"></mspace>'
        if name in NAMES:
            return f"<mi>{name}</mi>" if len(name) > 1 else f'<mi mathvariant="normal">{name}</mi>'
        if name == "left":
            return self._fenced()
        if name in ("hat", "widehat"):
            wide = "true" if name == "widehat" else "false"
            return f'<mover accent="true">{self.atom()}<mo stretchy="{wide}">^</mo></mover>'
        if name == "frac":
            return f"<mfrac>{self.atom()}{self.atom()}</mfrac>"
        raise UnknownTeX(f"\\{name}")

    def _next(self) -> str:
        if self.at >= len(self.tokens):
            raise UnknownTeX(f"{''.join(self.tokens)!r} ends too early")
        self.at += 1
        return self.tokens[self.at - 1]

    def _expect(self, token: str) -> None:
        if self._next() != token:
            raise UnknownTeX(f"no {token!r} where it is due in {''.join(self.tokens)!r}")


def _upright(text: str, bold: bool) -> str:
    """Words as they stand; bold by the style sheet, which is how MathML Core has it."""
    plain = re.sub(r"\\([A-Za-z]+|.)", lambda found: str(GREEK.get(found[1], found[1])), text)
    shown = escape(plain).replace(" ", "\N{NO-BREAK SPACE}")
    style = ' class="bold"' if bold else ""
    return f'<mi{style} mathvariant="normal">{shown}</mi>'


def _with_scripts(base: str, below: str, above: str, large: bool) -> str:
    kind = ("under", "over") if large else ("sub", "sup")
    if below and above:
        return f"<m{kind[0]}{kind[1]}>{base}{below}{above}</m{kind[0]}{kind[1]}>"
    if below:
        return f"<m{kind[0]}>{base}{below}</m{kind[0]}>"
    return f"<m{kind[1]}>{base}{above}</m{kind[1]}>" if above else base
