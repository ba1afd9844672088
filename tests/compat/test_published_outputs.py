"""Output that R really printed, session by session: all of it agrees; any changed digit is the cell that does not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from compat.compare import Verdict
from compat.tolerance import PRINTED_SLACK
from compat.transcript.check import AGREEING
from compat.transcript.judge import holds
from tests.compat.printed import OPEN, SESSIONS, WRONG, changes, check, checked, data_of, place, verdicts

IDS = [path.stem for path in SESSIONS]


@pytest.mark.parametrize("path", SESSIONS, ids=IDS)
def test_all_that_r_printed_agrees(path: Path) -> None:
    report = checked(path)
    assert report.unread == []
    assert report.remarks == []
    assert [step.problem for step in report.steps if step.problem] == []
    wrong = {row.cell.name for row in report.rows if row.verdict not in AGREEING}
    assert wrong == OPEN.get(path.stem, set())
    assert report.contradictions == ()
    assert report.passed(strict=True) is (path.stem not in OPEN)


def test_more_than_two_thousand_numbers_are_checked_and_nearly_all_agree_by_themselves() -> None:
    counts: Counter[Verdict] = sum((checked(path).counts for path in SESSIONS), Counter())
    assert counts.total() > 2000
    assert set(counts) == {*AGREEING, Verdict.UNEXPLAINED}
    assert counts[Verdict.UNEXPLAINED] == sum(len(names) for names in OPEN.values())
    assert counts[Verdict.MATCH_UNDER_CONVENTION] < 20
    assert counts[Verdict.REFERENCE_NOT_CONVERGED] < 100


def test_only_lmer_s_numbers_are_where_an_optimiser_stopped() -> None:
    stopped = {path.stem for path in SESSIONS if checked(path).counts[Verdict.REFERENCE_NOT_CONVERGED]}
    assert stopped == {
        "lmer-crossed", "lmer-stops", "lmer-summaries", "lmer-tests", "lmer-updates", "lmertest", "own-data"
    }  # fmt: skip


def test_what_r_rounds_twice_is_told() -> None:
    told = {
        (path.stem, row.cell.name)
        for path in SESSIONS
        for row in checked(path).rows
        if row.verdict is Verdict.MATCH_UNDER_CONVENTION
    }
    assert {row.convention for path in SESSIONS for row in checked(path).rows if row.convention} == {"rounded twice"}
    assert told == {
        ("lm-scipen", "residual_quantiles[Median]"), ("lm-scipen", "statistic[(Intercept)]"),
        ("lm-scipen", "statistic[year]"), ("lmer-crossed", "scaled_residual_quantiles[Median]"),
        ("lmer-updates", "loglik[g]"), ("lmertest", "aic"), ("lmertest", "deviance"),
    }  # fmt: skip


def test_every_value_is_one_that_rounds_to_its_text() -> None:
    for path in SESSIONS:
        for row in checked(path).rows:
            if row.verdict in (Verdict.MATCH, Verdict.REFERENCE_NOT_CONVERGED) and row.cell.style != "signif":
                assert row.value is not None
                assert holds(row.cell, row.value), (path.stem, row.cell.name)
                assert row.cell.number.holds(row.value) or row.cell.quantity in PRINTED_SLACK


# ---- one digit changed ----------------------------------------------------------------------------------------------

DIGITS = 14  # changed in each session here; which ones is settled by its name
SLOW = {
    "lmertest",
    "lmer-tests",
    "lmer-summaries",
    "lmer-crossed",
    "lmer-updates",
}  # an optimiser's stop is sought again each time


@pytest.mark.parametrize("path", SESSIONS, ids=IDS)
def test_a_changed_digit_is_exactly_the_cell_reported(path: Path) -> None:
    text, report = path.read_text(encoding="utf-8"), checked(path)
    before = verdicts(report)
    rows = [row for row in report.rows if row.verdict in AGREEING]
    total = sum(c.isdigit() for row in rows for c in row.cell.token.text)
    step = max(1, total // (DIGITS // 2 if path.stem in SLOW else DIGITS))
    tried = 0
    for change in changes(text, rows, step, offset=sum(map(ord, path.stem))):
        after = check(change.text, data_of(text))
        found = verdicts(after)
        different = {key for key in before.keys() | found.keys() if before.get(key) != found.get(key)}
        assert different == {place(change.row)}, str(change)
        assert found[place(change.row)] in WRONG, str(change)
        assert not after.passed()
        tried += 1
    assert tried >= 6


@pytest.mark.parametrize(
    ("name", "old", "new", "what"),
    [
        ("lm-digits", "wt          -3.87783    0.63273", "wd          -3.87783    0.63273", {"wd"}),
        ("lm-kinds", "poly(Temp, 2)1  190.887", "poly(Temp, 3)1  190.887", {"poly(Temp, 3)1"}),
        ("frames", " General Motors   :20 ", " General Motor    :20 ", {"General Motor"}),
    ],
)
def test_a_changed_name_is_a_row_that_is_not_there(name: str, old: str, new: str, what: set[str]) -> None:
    (path,) = [path for path in SESSIONS if path.stem == name]
    text = path.read_text(encoding="utf-8")
    assert old in text
    report = check(text.replace(old, new, 1), data_of(text))
    wrong = [row for row in report.rows if row.verdict not in AGREEING]
    assert {row.verdict for row in wrong} == {Verdict.STRUCTURE}
    assert {row.cell.label[-1] for row in wrong} == what


@pytest.mark.parametrize(
    ("name", "old", "new", "remark"),
    [
        (
            "lm-digits",
            "mpg ~ wt + hp, data = cars)\n\nRes",
            "mpg ~ wt + hq, data = cars)\n\nRes",
            "formula = mpg ~ wt + hq",
        ),
        ("plm-models", '"firm", "year"))\n\nBal', '"firm", "yeas"))\n\nBal', "index = "),
        ("lmer-summaries", "Formula: y ~ x + (x | school)", "Formula: y ~ x + (1 | school)", "the formula printed"),
        ("lmer-tests", "b: inv ~ scaled + capital + (scaled", "b: inv ~ scaled + capital + (1", "the formula printed"),
        ("lmer-summaries", "by REML ['lmerMod']", "by maximum likelihood ['lmerMod']", "REML = FALSE is printed"),
        ("lmer-summaries", "   Data: pupils", "   Data: pupil", "the data are printed"),
        ("lm-kinds", "woolB:tensionL -10.5556     7.2935  -1.447  0.15433    ", None, "mark"),
        ("lm-digits", "1.12e-06 ***", "1.12e-06 ** ", "the mark of wt is '**', its p-value's is '***'"),
    ],
)
def test_a_call_or_a_mark_that_is_not_right_is_remarked(name: str, old: str, new: str | None, remark: str) -> None:
    (path,) = [path for path in SESSIONS if path.stem == name]
    text = path.read_text(encoding="utf-8")
    assert old in text
    new = old.rstrip() + " *" if new is None else new
    report = check(text.replace(old, new, 1), data_of(text))
    assert len(report.remarks) == 1
    assert remark in report.remarks[0].text
    assert not report.passed()
