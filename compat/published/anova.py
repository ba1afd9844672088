"""Sections of anova's prints: of lmer fits in lme4's old and new layout, of linear models, of lmerTest."""

from __future__ import annotations

import re

from compat.published.state import Section, State
from compat.published.tables import Row, read_table

_MIXED = {
    "npar": "npar", "Df": "npar", "AIC": "aic", "BIC": "bic", "logLik": "loglik", "deviance": "deviance",
    "-2*log(L)": "deviance", "Chisq": "chisq", "Chi Df": "chi_df", "Pr(>Chisq)": "p_value",
}  # fmt: skip
_TERMS = {
    "Df": "df", "Sum Sq": "sum_sq", "Mean Sq": "mean_sq", "F value": "f_statistic", "Pr(>F)": "p_value",
    "NumDF": "num_df", "DenDF": "den_df", "npar": "npar",
}  # fmt: skip
_MODELS = {
    "Res.Df": "df_residual", "RSS": "rss", "Df": "df", "Sum of Sq": "sum_sq", "F": "f_statistic", "Pr(>F)": "p_value"
}  # fmt: skip
_ZAPPED = ("aic", "bic", "loglik", "deviance", "sum_sq", "mean_sq", "rss")
_STYLES = {"f_statistic": "", "p_value": "p"} | dict.fromkeys(_ZAPPED, "zapped")


def mixed_title(state: State, at: int) -> int:
    """`Data: HIV`, `Models:` and a line or more a model, its name before each."""
    lines = state.lines
    found = re.match(r"Data: (\S.*?)\s*\Z", lines[at].text)
    start = at + 1 if found else at
    if start >= len(lines) or lines[start].text.strip() != "Models:":
        return 0
    draft = state.open("anova-mixed")
    if found:
        draft.facts["data"] = found.group(1)
    taken = start - at + 1
    while at + taken < len(lines) and (model := re.match(r"(\S.*?): +(\S.*?)\s*\Z", lines[at + taken].text)):
        key = f"model {model.group(1)}"
        draft.facts[key] = " ".join([*draft.facts.get(key, "").split(), *model.group(2).split()])
        draft.text(lines[at + taken])
        taken += 1
    for line in lines[at : start + 1]:
        draft.text(line)
    return taken


def mixed_table(state: State, at: int) -> int:
    """The table of the tests; its second `Df` is the difference's."""
    table = read_table(state.lines, at)
    if table is None or not {"AIC", "logLik"} <= set(table.headings) or set(table.headings) - set(_MIXED):
        return 0
    draft = state.within("anova-mixed", once="table")
    names, seen = [], set()
    for heading in table.headings:
        names.append("chi_df" if heading == "Df" and ("Df" in seen or "npar" in seen) else _MIXED[heading])
        seen.add(heading)
    for row in table.rows:
        _keep(state, row, names)
    draft.text(state.lines[at])
    return table.taken


def _keep(state: State, row: Row, names: list[str]) -> None:
    draft = state.draft
    assert draft is not None
    draft.rows.append(row.label)
    for i, token in row.cells.items():
        draft.cell(names[i], (row.label,), token, style=_STYLES.get(names[i], "vector"))
    if row.mark is not None:
        draft.marks.append((row.label, row.mark))
    draft.labels += row.places


_TITLE = re.compile(r"(?:Type (I+) )?Analysis of Variance Table(?: with (\S+) method)?")


def title(state: State, at: int) -> int:
    """`Analysis of Variance Table`, what response, which models."""
    found = _TITLE.match(state.lines[at].text.strip())
    if found is None:
        return 0
    draft = state.open("anova")
    if found.group(2):
        draft.facts["method"] = found.group(2)
    draft.text(state.lines[at])
    return 1


def models(state: State, at: int) -> int:
    """`Response: mpg` or `Model 1: mpg ~ wt`, whose formula may go on below."""
    line = state.lines[at]
    found = re.match(r"(?:Response: |Model (\d+): )(.*)", line.text)
    if found is None or not state.is_within("anova"):
        return 0
    n = 1
    draft = state.within("anova")
    if found.group(1):
        while at + n < len(state.lines) and re.match(r"    \S", state.lines[at + n].text):
            n += 1
        text = " ".join(" ".join([found.group(2), *(one.text for one in state.lines[at + 1 : at + n])]).split())
        draft.facts[f"model {found.group(1)}"] = text
    for one in state.lines[at : at + n]:
        draft.text(one)
    return n


def table(state: State, at: int) -> int:
    """A row a term, or a row a model."""
    found = read_table(state.lines, at)
    if found is None:
        return 0
    headings = set(found.headings)
    columns = _MODELS if "Res.Df" in headings else _TERMS if {"Sum Sq", "Mean Sq"} <= headings else None
    if columns is None or headings - set(columns):
        return 0
    draft = state.within("anova", once="table")
    names = [columns[heading] for heading in found.headings]
    for row in found.rows:
        _keep(state, row, names)
    draft.text(state.lines[at])
    return found.taken


SECTIONS: tuple[Section, ...] = (mixed_title, mixed_table, title, models, table)
