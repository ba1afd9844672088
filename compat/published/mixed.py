"""Sections of lme4's and lmerTest's prints: title and formula, criteria, random effects, sizes, correlations."""

from __future__ import annotations

import re
from collections.abc import Sequence

from compat.published.page import Draft, Line, Token, numbers_of
from compat.published.state import N, Section, State, take

_TITLE = re.compile(r"Linear mixed model fit by\s+(REML|maximum likelihood)\b")
_FORMULA = re.compile(r"Formula:\s?")
_DATA = re.compile(r"\s+Data:\s*(\S.*?)\s*\Z")
_OTHER = re.compile(r"\s*(Weights|Subset|Control|Offset):\s*(\S.*?)?\s*\Z")
_CRITERION = re.compile(rf"REML criterion at convergence:\s*{N}")
_CRITERIA = {
    "AIC": "aic", "BIC": "bic", "logLik": "loglik", "deviance": "deviance", "-2*log(L)": "deviance",
    "df.resid": "df_residual", "REMLdev": "criterion",
}  # fmt: skip
_OBSERVATIONS = re.compile(rf"Number of obs:\s*{N}")
_GROUP = re.compile(rf"(?:groups:|;)\s*([^;]+?),\s*{N}")
_RANDOM = re.compile(r"\s*Groups\s+Name\s")
_SPREADS = {"Variance": "variance", "Std.Dev.": "sd", "Corr": "cor"}
_CORRELATION = re.compile(r"Correlation of Fixed Effects:")


def title(state: State, at: int) -> int:
    """`Linear mixed model fit by REML ['lmerMod']`, which may take two lines."""
    found = _TITLE.match(state.lines[at].text)
    if found is None:
        return 0
    n = 1
    while at + n < len(state.lines) and "[" in state.lines[at + n - 1].text and "]" not in state.lines[at + n - 1].text:
        n += 1
    if at + n < len(state.lines) and state.lines[at + n].text.strip().startswith(("method [", "t-tests use")):
        n += 1
    draft = state.open("lmer")
    draft.facts["REML"] = "TRUE" if found.group(1) == "REML" else "FALSE"
    for line in state.lines[at : at + n]:
        draft.text(line)
    return n


def formula(state: State, at: int) -> int:
    """`Formula:` and its lines, up to `Data:`."""
    found = _FORMULA.match(state.lines[at].text)
    if found is None:
        return 0
    draft = state.within("lmer", once="formula")
    pieces, n = [state.lines[at].text[found.end() :]], 1
    while at + n < len(state.lines) and not _ends(state.lines[at + n]):
        pieces.append(state.lines[at + n].text)
        n += 1
    draft.facts["formula"] = " ".join(" ".join(pieces).split())
    draft.facts["formula line"] = str(state.lines[at].number)
    for line in state.lines[at : at + n]:
        draft.text(line)
    return n


def _ends(line: Line) -> bool:
    """Whether a formula has ended before this line."""
    return line.blank or bool(_DATA.match(line.text) or _OTHER.match(line.text) or re.match(r"\s*AIC\s", line.text))


def data(state: State, at: int) -> int:
    """`Data: HIV`, `Subset: Days > 1`, weights and the like."""
    line = state.lines[at]
    if not state.is_within("lmer") or not (_DATA.match(line.text) or _OTHER.match(line.text)):
        return 0
    draft = state.within("lmer")
    if found := _DATA.match(line.text):
        draft.facts["data"] = found.group(1)
    elif found := _OTHER.match(line.text):
        draft.facts[found.group(1).lower()] = found.group(2) or ""
    draft.text(line)
    return 1


def criteria(state: State, at: int) -> int:
    """The REML criterion, or AIC, BIC and the like: names over numbers."""
    line = state.lines[at]
    if _CRITERION.search(line.text):
        return int(take(state.within("lmer"), line, _CRITERION, ("criterion", ())))
    names = line.text.split()
    if len(names) < 3 or not set(names) <= set(_CRITERIA) or at + 1 >= len(state.lines):
        return 0
    numbers = list(numbers_of(state.lines[at + 1]))
    if len(numbers) != len(names):
        return 0
    draft = state.within("lmer")
    for name, token in zip(names, numbers, strict=True):
        counted = name == "df.resid"
        draft.cell(_CRITERIA[name], (), token, "" if counted else "criteria", "" if counted else "criteria")
    return 2


# ---- random effects ---------------------------------------------------------------------------------------------


def random_effects(state: State, at: int) -> int:
    """The table of variances, standard deviations and correlations, wrapped or not; VarCorr's print is the same."""
    line = state.lines[at]
    if not _RANDOM.match(line.text):
        return 0
    name_at = line.text.index("Name")
    spreads = line.text[name_at + 4 :].split()
    if not spreads or not set(spreads) <= set(_SPREADS):
        return 0
    titled = at > 0 and state.lines[at - 1].text.startswith("Random effects")
    draft = state.within("lmer") if titled or state.is_within("lmer") else state.open("varcorr")
    rows = _random_rows(state.lines, at + 1, name_at)
    for group, name, numbers in rows:
        _spread_cells(draft, group, name, spreads, numbers, rows)
    for one in state.lines[at + 1 : at + 1 + len(rows)]:
        first = next(numbers_of(one, name_at), None)
        draft.text(one, 0, first.start if first else None)
    taken = 1 + len(rows)
    while rows and (more := _random_wrapped(draft, state.lines, at + taken, rows)):
        taken += more
    return taken


RandomRow = tuple[str, str, list[Token]]


def _random_rows(lines: Sequence[Line], start: int, name_at: int) -> list[RandomRow]:
    """Group, column and numbers of each row, up to the residual's."""
    rows: list[RandomRow] = []
    for line in lines[start:]:
        numbers = list(numbers_of(line, name_at))
        if not numbers or (not line.text[:name_at].strip() and not rows):
            break
        group = line.text[:name_at].strip() or rows[-1][0]
        name = line.text[name_at : numbers[0].start].strip()
        rows.append((group, name, numbers))
        if group == "Residual":
            break
    return rows


def _spread_cells(
    draft: Draft, group: str, name: str, spreads: Sequence[str], numbers: Sequence[Token], rows: Sequence[RandomRow]
) -> None:
    """Cells of one row. Beyond the headings all numbers are correlations with the rows of the group before."""
    own = [other for g, other, _ in rows if g == group]
    label = (group, name) if name else (group,)
    plain = [one for one in spreads if one != "Corr"]
    for i, token in enumerate(numbers):
        if i < len(plain):
            draft.cell(_SPREADS[plain[i]], label, token)
        elif i - len(plain) < own.index(name):
            draft.cell("cor", (group, name, own[i - len(plain)]), token)


def _random_wrapped(draft: Draft, lines: Sequence[Line], at: int, rows: Sequence[RandomRow]) -> int:
    """The columns that did not fit the page: their headings, then a line a row."""
    count = len(rows)
    spreads = lines[at].text.split() if at + count < len(lines) else []
    if not spreads or not set(spreads) <= set(_SPREADS):
        return 0
    for (group, name, _), line in zip(rows, lines[at + 1 : at + 1 + count], strict=True):
        numbers = list(numbers_of(line))
        _spread_cells(draft, group, name, spreads, numbers, rows)
    return 1 + count


# ---- sizes and correlations -------------------------------------------------------------------------------------


def observations(state: State, at: int) -> int:
    """`Number of obs: 1557, groups:  ISO3, 117`; several groups may take several lines."""
    line = state.lines[at]
    if not _OBSERVATIONS.match(line.text):
        return 0
    draft = state.within("lmer")
    take(draft, line, _OBSERVATIONS, ("nobs", ()))
    n = 1
    while at + n < len(state.lines) and state.lines[at + n - 1].text.rstrip().endswith(";"):
        n += 1
    for one in state.lines[at : at + n]:
        for found in _GROUP.finditer(one.text if one is line else ";" + one.text):
            shift = 0 if one is line else 1
            start, end = found.start(2) - shift, found.end(2) - shift
            draft.cell("n_groups", (found.group(1).strip(),), Token(found.group(2), one.number, start, end))
    return n


def correlation(state: State, at: int) -> int:
    """The lower triangle of correlations under abbreviated names, in one part or several."""
    if not _CORRELATION.match(state.lines[at].text) or not state.is_within("lmer"):
        return 0
    draft = state.within("lmer")
    taken, first = 1, 0
    while taken_now := _correlation_part(draft, state.lines, at + taken, first):
        first += len(state.lines[at + taken].text.split())
        taken += taken_now
    return taken


def _correlation_part(draft: Draft, lines: Sequence[Line], at: int, first: int) -> int:
    """Columns from the `first` fixed effect on. Row i of the table is fixed effect i + 1."""
    names = draft.rows
    if at >= len(lines) or not lines[at].text.startswith(" ") or lines[at].blank or list(numbers_of(lines[at])):
        return 0
    heads = lines[at].text.split()
    if len(names) < 2 or first + len(heads) > len(names) - 1:
        return 0
    if not all(abbreviates(short, name) for short, name in zip(heads, names[first:], strict=False)):
        return 0
    rows = lines[at + 1 : at + len(names)]
    for i, line in enumerate(rows, 1):
        numbers = list(numbers_of(line))
        wanted = min(max(i - first, 0), len(heads))
        label = line.text[: numbers[0].start] if numbers else line.text
        if len(numbers) != wanted or not abbreviates(label.strip(), names[i]):
            return i if i > 1 else 0
        for j, token in enumerate(numbers):
            draft.cell("fixef_correlation", (names[i], names[first + j]), token, style="fixed")
        draft.text(line, 0, len(label))
    return 1 + len(rows)


def abbreviates(short: str, name: str) -> bool:
    """Whether a text has letters of a name in their order, as R's abbreviate leaves them."""
    rest = iter(name)
    return bool(short) and all(letter in rest for letter in short)


def note(state: State, at: int) -> int:
    """Remarks below a summary: how the optimiser ended, that a fit is singular, why there are no correlations.

    Their numbers are nobody's to check, and stay unread.
    """
    line = state.lines[at]
    if not state.is_within("lmer", "anova-mixed"):
        return 0
    found = re.match(
        r"(optimizer \(|boundary \(singular\)|Correlation matrix not shown|Use print\(x|\s*vcov\(x\)|Model failed to|"
        r"fit warnings:|convergence code|fixed-effect model matrix is rank deficient)",
        line.text,
    )
    if found is None:
        return 0
    state.within("lmer", "anova-mixed")
    return 1


SECTIONS: tuple[Section, ...] = (
    title, formula, data, criteria, random_effects, observations, correlation, note,
)  # fmt: skip
