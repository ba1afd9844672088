"""Sections of summary(plm) that lm has not: titles, the panel's size, the error's components, sums of squares."""

from __future__ import annotations

import re

from compat.published.linear import QUANTILES
from compat.published.state import N, Section, State, take
from compat.published.tables import read_named, read_table

_TITLE = re.compile(
    r"(?:(Oneway|Twoways)\s*(?:\((individual|time)\))?\s*effects? )?"
    r"(Within|Random Effects?|Pooling|Between|First-Difference) Model\s*\Z"
)
_MODELS = {
    "Within": "within", "Random Effect": "random", "Random Effects": "random", "Pooling": "pooling",
    "Between": "between", "First-Difference": "fd",
}  # fmt: skip
_METHOD = re.compile(r"\s+\((.+)'s transformation\)")
_SIZES = re.compile(rf"(?:Unb|B)alanced Panel:\s*n\s*=\s*{N},\s*T\s*=\s*{N}(?:-{N})?,\s*N\s*=\s*{N}")
_USED = re.compile(rf"Observations used in estimation: {N}")
_LINES = (
    (re.compile(rf"\s*Total Sum of Squares\s*:\s*{N}"), "tss"),
    (re.compile(rf"\s*Residual Sum of Squares\s*:\s*{N}"), "rss"),
    (re.compile(rf"\s*Adj\. R-Squared\s*:\s*{N}"), "adj_r_squared"),
    (re.compile(rf"\s*R-Squared\s*:\s*{N}"), "r_squared"),
)
_CHISQ = re.compile(rf"Chisq:\s*{N} on {N} DF,\s*p-value:\s*{N}")
_THETA = re.compile(r"theta\s*:")
_EFFECTS = {"var": "error_variance", "std.dev": "error_sd", "share": "error_share"}


def title(state: State, at: int) -> int:
    """`Oneway (individual) effect Within Model`."""
    found = _TITLE.match(state.lines[at].text)
    if found is None:
        return 0
    draft = state.open("plm")
    ways, effect, model = found.groups()
    draft.facts |= {"model": _MODELS[model], "effect": "twoways" if ways == "Twoways" else effect or "individual"}
    return 1


def method(state: State, at: int) -> int:
    """`(Swamy-Arora's transformation)`."""
    found = _METHOD.match(state.lines[at].text)
    if found is None or not state.is_within("plm"):
        return 0
    state.within("plm").facts["random_method"] = found.group(1)
    return 1


def sizes(state: State, at: int) -> int:
    """`Unbalanced Panel: n = 117, T = 1-18, N = 1557`, and the rows used where they are others."""
    line = state.lines[at]
    if found := _SIZES.search(line.text):
        most = "T_max" if found.group(3) else "T"
        cells = (("n_individuals", ()), ("T_min" if found.group(3) else "T", ()), (most, ()), ("N", ()))
        return int(take(state.within("plm"), line, _SIZES, *cells))
    if _USED.search(line.text):
        return int(take(state.within("plm"), line, _USED, ("nobs", ())))
    return 0


def effects(state: State, at: int) -> int:
    """The variances of the error's components."""
    table = read_table(state.lines, at)
    if table is None or set(table.headings) != set(_EFFECTS):
        return 0
    draft = state.within("plm")
    for row in table.rows:
        for i, token in row.cells.items():
            draft.cell(_EFFECTS[table.headings[i]], (row.label,), token)
        draft.labels += row.places
    draft.text(state.lines[at])
    return table.taken


def theta(state: State, at: int) -> int:
    """The share of the group means that is taken off: one number, one an effect, or quantiles over the groups."""
    line = state.lines[at]
    if not _THETA.match(line.text) or not state.is_within("plm"):
        return 0
    draft = state.within("plm")
    if line.text.strip() == "theta:":
        named = read_named(state.lines, at + 1) if at + 1 < len(state.lines) else None
        if named is None:
            return 0
        for one, value in zip(named.names, named.values, strict=True):
            draft.cell("theta_quantiles", (QUANTILES.get(one.text, one.text),), value)
        return 1 + named.taken
    named_ones = [found.group(2) for found in re.finditer(rf"{N}\s*\((\w+)\)", line.text)]
    if not named_ones:
        return int(take(draft, line, re.compile(rf"theta\s*:\s*{N}"), ("theta", ())))
    for name in named_ones:
        take(draft, line, re.compile(rf"{N}\s*\({name}\)"), ("theta", (name,)))
    return 1


def squares(state: State, at: int) -> int:
    """Sums of squares and R-squared, as signif() leaves them; the chi-squared of random effects."""
    line = state.lines[at]
    for pattern, quantity in _LINES:
        if pattern.match(line.text):
            return int(take(state.within("plm"), line, pattern, (quantity, ()), group="squares", style="signif"))
    if _CHISQ.search(line.text):
        cells = (("wald_chi2", ()), ("wald_df", ()), ("wald_p_value", ()))
        return int(take(state.within("plm"), line, _CHISQ, *cells))
    return 0


SECTIONS: tuple[Section, ...] = (title, method, sizes, effects, theta, squares)
