"""The numbers that the slides print, as the check of transcripts judges them: one Check a number, block by block.

The slides' session lies in fixtures/published/lecture. Numbers that are the same whatever was fitted, as the legend of
the significance marks, are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from compat.data import fixtures_root
from compat.lecture.content import Check, Checks
from compat.transcript import Checked, Row, check_transcript
from compat.transcript.judge import CONSTANT

SESSION = ("published", "lecture", "session.txt")
BLOCKS: Mapping[str, str] = {  # by the command that printed them
    "fit": "ols",
    "RVCV": "robcov",
    "bigOLS": "clones",
    "BigRVCV": "clones-robcov",
    "summary(HIV)": "summary",
    "summary(OLSfit)": "lm",
    "summary(FEfit)": "plm",
    "summary(REfit)": "lmer-intercept",
    "summary(HLMfit1)": "lmer-slope",
    "anova(REfit,HLMfit1)": "anova",
    "head(Bs)": "coef",
    "mean(Bs$ISO3.GDPLagK)": "mean",
}


def printed_checks(files: Sequence[Path]) -> dict[str, Checks]:
    """Every block of the session by its name, held against refimpl's fits; `files` are the data at hand.

    Without the panel the blocks that come from it are NOT_RUN. Raises LookupError where the session is not the one
    that BLOCKS knows.
    """
    text = fixtures_root().joinpath(*SESSION).read_text(encoding="utf-8")
    out = {}
    for step in check_transcript(text, files).steps:
        for checked in step.blocks:
            command = " ".join(step.step.source.split())
            if command not in BLOCKS:
                raise LookupError(f"the session prints something under {command!r}, which no chapter is about")
            out[BLOCKS[command]] = _checks(BLOCKS[command], command, checked)
    if missing := set(BLOCKS.values()) - set(out):
        raise LookupError(f"the session does not print {', '.join(sorted(missing))}")
    return out


def _checks(name: str, command: str, checked: Checked) -> Checks:
    return Checks(name, command, tuple(_check(row) for row in checked.rows if row.cell.quantity not in CONSTANT))


def _check(row: Row) -> Check:
    reason = row.reason
    if row.convention and not reason.startswith(row.convention):
        reason = f"{row.convention}: {reason}"
    return Check(row.cell.quantity, row.cell.label, row.cell.token.text, row.value, row.verdict, reason)
