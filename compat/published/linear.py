"""Sections of R's print of linear models: the call, residuals, tables of coefficients, legend, and what stands below.

Tables of coefficients and the legend are the same in summary(plm), summary(lmer), lmerTest and coeftest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from compat.published.page import Draft, Line, Token, numbers_of
from compat.published.state import N, Section, State, take
from compat.published.tables import Table, read_named, read_table

FITS = ("lm", "ols", "plm", "lmer")  # kinds of blocks that are the print or the summary of a fit

ESTIMATES = {"Estimate": "coef", "Coef": "coef", "Std. Error": "std_error", "S.E.": "std_error"}
COLUMNS = ESTIMATES | {
    "t value": "statistic", "z value": "statistic", "t-value": "statistic", "z-value": "statistic", "t": "statistic",
    "Z": "statistic", "Pr(>|t|)": "p_value", "Pr(>|z|)": "p_value", "Pr(>|Z|)": "p_value", "df": "df",
}  # fmt: skip
LIMITS = {"2.5 %": "conf_low", "97.5 %": "conf_high"}
QUANTILES = {
    "Min": "Min", "1Q": "1Q", "Median": "Median", "3Q": "3Q", "Max": "Max", "Mean": "Mean",
    "Min.": "Min", "1st Qu.": "1Q", "3rd Qu.": "3Q", "Max.": "Max",
}  # fmt: skip
LEGEND = ("0", "0.001", "0.01", "0.05", "0.1", "1")


# ---- the call and the residuals ---------------------------------------------------------------------------------


def call(state: State, at: int) -> int:
    """`Call:` and the lines of the call, up to a blank one."""
    if state.lines[at].text.strip() != "Call:":
        return 0
    n = state.until_blank(at + 1)
    draft = state.within("plm", "ols", once="call") if state.is_within("plm", "ols") else state.open("lm")
    keep_call(draft, state.lines[at + 1 : at + 1 + n])
    state.draft = draft
    draft.text(state.lines[at])
    return 1 + n


def keep_call(draft: Draft, lines: Sequence[Line]) -> None:
    """The text of a call and where it stands."""
    draft.facts["call"] = "\n".join(line.text for line in lines)
    draft.facts["call line"] = str(lines[0].number) if lines else ""
    for line in lines:
        draft.text(line)


_RESIDUALS = re.compile(r"(Weighted |Scaled )?[Rr]esiduals:?\s*\Z")


def residuals(state: State, at: int) -> int:
    """Five quantiles of the residuals, or all of them under their labels."""
    titled = _RESIDUALS.match(state.lines[at].text)
    if titled is None:
        return 0
    start = at + 1
    while start < len(state.lines) and state.lines[start].blank and start < at + 3:
        start += 1
    named = read_named(state.lines, start, numeric_names=True) if start < len(state.lines) else None
    if named is None:
        return 0
    quantity = "scaled_residual_quantiles" if titled.group(1) == "Scaled " else "residual_quantiles"
    draft = state.within(*(("lmer",) if quantity.startswith("scaled") else FITS), once="residuals")
    summary = all(name.text in QUANTILES for name in named.names)
    for name, value in zip(named.names, named.values, strict=True):
        label = QUANTILES[name.text] if summary else name.text
        draft.cell(quantity if summary else "residuals", (label,), value, style="quantiles" if summary else "vector")
    draft.text(state.lines[at])
    draft.labels += named.names
    return start - at + named.taken


def no_residuals(state: State, at: int) -> int:
    """`ALL 4 residuals are 0: no residual degrees of freedom!`"""
    line = state.lines[at]
    if not re.match(rf"ALL {N} residuals are 0", line.text):
        return 0
    take(state.within(*FITS), line, re.compile(rf"ALL {N} residuals"), ("rank", ()))
    return 1


# ---- coefficients -----------------------------------------------------------------------------------------------

_TITLE = re.compile(
    rf"(?:Coefficients|Fixed effects|Fixed Effects)\s*:\s*(?:\({N} not defined because of singularities\))?"
)


def coefficients_title(state: State, at: int) -> int:
    """`Coefficients:`, perhaps with how many are not defined; named coefficients below it (print of a fit)."""
    line = state.lines[at]
    found = _TITLE.match(line.text)
    if found is None:
        return 0
    draft = state.within(*(("lmer",) if line.text.startswith("Fixed") else FITS), once="title")
    draft.text(line, 0, len(line.text) if found.group(1) is None else found.start(1))
    if found.group(1) is not None:
        draft.cell("n_aliased", (), Token(found.group(1), line.number, *found.span(1)))
    named = read_named(state.lines, at + 1) if at + 1 < len(state.lines) else None
    if named is None or any(one.text in COLUMNS for one in named.names):
        return 1
    draft.done.add("coefficients")
    draft.rows += [name.text for name in named.names]
    draft.labels += named.names
    for name, value in zip(named.names, named.values, strict=True):
        draft.cell("coef", (name.text,), value, style="vector")
    return 1 + named.taken


def coefficients(state: State, at: int) -> int:
    """A table of estimates: with a fit's or coeftest's other parts, or alone (kind `coefficients`)."""
    table = read_table(state.lines, at)
    if table is None or not ({"Estimate", "Coef"} & set(table.headings)) or set(table.headings) - set(COLUMNS):
        return 0
    kinds = (*FITS, "coeftest")
    alone = not state.is_within(*kinds) or state.draft is None or "coefficients" in state.draft.done
    draft = state.open("coefficients") if alone else state.within(*kinds)
    draft.done.add("coefficients")
    keep_table(draft, table, COLUMNS, together="vector" if alone else "rms" if draft.kind == "ols" else "table")
    draft.text(state.lines[at])
    return table.taken


def limits(state: State, at: int) -> int:
    """confint's table."""
    table = read_table(state.lines, at)
    if table is None or set(table.headings) != set(LIMITS):
        return 0
    draft = state.open("coefficients")
    keep_table(draft, table, LIMITS, together="vector")
    draft.text(state.lines[at])
    return table.taken


STYLES = {"coef": "estimates", "std_error": "estimates", "statistic": "tests", "p_value": "p", "df": "vector"}


def keep_table(draft: Draft, table: Table, columns: dict[str, str], together: str) -> None:
    """Cells of a table whose headings are quantities, rows and marks with them.

    `together` says how it was formatted: "table" as printCoefmat does, "vector" a column at a time, "rms" to fixed
    decimals.
    """
    draft.columns += table.headings
    for row in table.rows:
        draft.rows.append(row.label)
        for i, token in row.cells.items():
            quantity = columns[table.headings[i]]
            style = {"table": STYLES.get(quantity, ""), "vector": "vector", "rms": ""}[together]
            group = "estimates" if style == "estimates" else quantity
            draft.cell(quantity, (row.label,), token, group, style)
        if row.mark is not None:
            draft.marks.append((row.label, row.mark))
        draft.labels += row.places


def legend(state: State, at: int) -> int:
    """What the significance marks mean, perhaps over several lines; its numbers are always the same six."""
    if not re.match(r"\s*Signif\.? codes:", state.lines[at].text) or state.draft is None:
        return 0
    taken = 0
    tokens: list[Token] = []
    while len(tokens) < len(LEGEND) and at + taken < len(state.lines):
        line = state.lines[at + taken]
        if taken and re.search(r"[^\s0-9e.+*‘’'\"`-]", line.text):
            break
        tokens += list(numbers_of(line))
        taken += 1
    for i, token in enumerate(tokens[: len(LEGEND)]):
        state.draft.cell("legend", (str(i + 1),), token)
    return taken


# ---- what stands below ------------------------------------------------------------------------------------------

_SIGMA = re.compile(rf"Residual standard error: {N} on {N} degrees of freedom")
_DELETED = re.compile(rf"\({N} observations? deleted due to missingness\)")
_R2 = re.compile(rf"Multiple R-squared:\s*{N},\s*Adjusted R-squared:\s*{N}")
_F = re.compile(rf"F-statistic:\s*{N} on {N} and {N} DF,\s*p-value:\s*{N}")

_TAIL = (
    (_SIGMA, (("sigma", ()), ("df_residual", ()))),
    (_DELETED, (("n_dropped", ()),)),
    (_R2, (("r_squared", ()), ("adj_r_squared", ()))),
    (_F, (("f_statistic", ()), ("f_numdf", ()), ("f_dendf", ()), ("f_p_value", ()))),
)


def tail(state: State, at: int) -> int:
    """One of the lines below the coefficients of summary(lm); plm shares the last."""
    line = state.lines[at]
    for pattern, cells in _TAIL:
        if pattern.search(line.text):
            draft = state.within(*(("lm", "plm") if pattern is _F else ("lm",)))
            return int(take(draft, line, pattern, *cells))
    return 0


def coeftest_title(state: State, at: int) -> int:
    """`t test of coefficients:` of lmtest."""
    found = re.match(r"\s*([tz]) test of coefficients:", state.lines[at].text)
    if found is None:
        return 0
    draft = state.open("coeftest")
    draft.facts["test"] = found.group(1)
    return 1


SECTIONS: tuple[Section, ...] = (
    call, coeftest_title, residuals, no_residuals, coefficients_title, coefficients, limits, legend, tail,
)  # fmt: skip
