"""Sections of rms's print of an ols fit: titles, the call, the boxes of statistics side by side, missing values."""

from __future__ import annotations

import re

from compat.published.linear import keep_call
from compat.published.page import Token
from compat.published.state import Section, State
from compat.published.tables import read_named

_MISSING = "Frequencies of Missing Values Due to Each Variable"
_LABELS = {
    "Obs": "nobs", "sigma": "sigma", "Clusters": "n_clusters", "LR chi2": "lr_chi2", "Pr(> chi2)": "lr_p_value",
    "R2": "r_squared", "R2 adj": "adj_r_squared", "g": "g_index", "d.f.": "df_residual",
}  # fmt: skip
_PAIR = re.compile(
    r"(?<![\w.])(Obs|sigma|d\.f\.|Clusters|LR chi2|Pr\(> chi2\)|R2 adj|R2|g)\s*"
    r"((?:<\s?)?-?[0-9]+\.?[0-9]*(?:[eE][-+]?[0-9]+)?)(?![\w.])"
)
_TITLES = re.compile(r"\s*(?:Model Likelihood\s*|Ratio Test\s*|Discrimination\s*|Indexes\s*)+\Z")


def missing(state: State, at: int) -> int:
    """How many values are missing of each variable."""
    if state.lines[at].text.strip() != _MISSING:
        return 0
    named = read_named(state.lines, at + 1) if at + 1 < len(state.lines) else None
    if named is None:
        return 0
    draft = state.open("ols")
    draft.labels += named.names
    for name, value in zip(named.names, named.values, strict=True):
        draft.cell("n_missing", (name.text,), value)
    return 1 + named.taken


def title(state: State, at: int) -> int:
    """`Linear Regression Model`."""
    if state.lines[at].text.strip() != "Linear Regression Model":
        return 0
    state.within("ols", once="title ols")
    return 1


def call(state: State, at: int) -> int:
    """The call, without a title of its own."""
    if not (state.is_within("ols") and re.match(r"\s*ols\(", state.lines[at].text)):
        return 0
    n = state.until_blank(at)
    keep_call(state.within("ols", once="call"), state.lines[at : at + n])
    return n


def statistics(state: State, at: int) -> int:
    """A line of the boxes: labels and numbers. `d.f.` at its beginning is the residuals', else the test's."""
    line = state.lines[at]
    pairs = list(_PAIR.finditer(line.text))
    if not pairs or _PAIR.sub("", line.text).strip():
        return 0
    draft = state.within("ols")
    for i, pair in enumerate(pairs):
        quantity = _LABELS[pair.group(1)]
        if quantity == "df_residual" and i:
            quantity = "lr_df"
        draft.cell(quantity, (), Token(pair.group(2), line.number, *pair.span(2)))
        draft.text(line, *pair.span(1))
    return 1


def cluster(state: State, at: int) -> int:
    """`Cluster on` and what."""
    found = re.match(r"\s*Cluster on\s*(\S.*?)\s*\Z", state.lines[at].text)
    if found is None or not state.is_within("ols"):
        return 0
    draft = state.within("ols")
    draft.facts["cluster"] = found.group(1)
    draft.text(state.lines[at])
    return 1


def box_titles(state: State, at: int) -> int:
    """The titles of the boxes."""
    return int(state.is_within("ols") and bool(_TITLES.match(state.lines[at].text)))


SECTIONS: tuple[Section, ...] = (missing, title, call, box_titles, statistics, cluster)
