"""The lecture's session checked without a hint, and sessions that were cut, shifted or garbled on their way."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from compat.cli import app
from compat.compare import Verdict
from compat.transcript import Report
from compat.transcript.check import AGREEING
from compat.transcript.interpreter import Interpreter
from compat.transcript.judge import BEYOND_DOUBLES, holds
from compat.transcript.language import NotRead, read_commands
from compat.transcript.models import Fits
from compat.transcript.values import Frame, Model
from tests.compat.printed import (
    LECTURE,
    SESSIONS,
    WRONG,
    changes,
    check,
    checked,
    data_of,
    has_lecture_data,
    lecture_data,
    page,
    place,
    verdicts,
)

needs_panel = pytest.mark.skipif(not has_lecture_data(), reason="HIVDeaths.csv is not here: see RCOMPAT_DATA")
QUIET = settings(derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))


# ---- the lecture ----------------------------------------------------------------------------------------------------


@needs_panel
def test_every_number_of_the_lecture_is_found_and_explained() -> None:
    report = checked(LECTURE)
    assert report.counts == {Verdict.MATCH: 446, Verdict.MATCH_UNDER_CONVENTION: 28}
    assert report.unread == []
    assert report.passed(strict=True)


@needs_panel
def test_what_is_wrong_in_the_lecture_is_found_unaided() -> None:
    rows = [row for row in checked(LECTURE).rows if row.convention]
    assert Counter(row.convention for row in rows) == {
        "REML for ML": 25, "rounded twice": 2, "plm's old adjusted R2": 1,
    }  # fmt: skip
    of = {
        name: {row.cell.token.text for row in rows if row.convention == name} for name in {r.convention for r in rows}
    }
    assert of["plm's old adjusted R2"] == {"0.1384"}
    assert of["rounded twice"] == {"0.26126", "4.428"}
    assert {"0.156798", "3.96339", "0.3234238", "0.00598492"} <= of["REML for ML"]


@needs_panel
def test_identities_prove_the_contradiction() -> None:
    found = [str(one) for one in checked(LECTURE).contradictions]
    assert len(found) == 3
    assert any("0.156798" in one and "0.155304" in one for one in found)


def test_the_contradiction_is_proved_without_the_data() -> None:
    report = check(LECTURE.read_text(encoding="utf-8"), ())
    assert any("0.156798" in str(one) and "0.155304" in str(one) for one in report.contradictions)
    assert not report.passed(strict=True)


@needs_panel
def test_a_changed_digit_of_the_lecture_is_exactly_the_cell_reported() -> None:
    text, report = LECTURE.read_text(encoding="utf-8"), checked(LECTURE)
    before, tried = verdicts(report), 0
    for change in changes(text, report.rows, step=60, offset=7):
        found = check(change.text, (lecture_data(),))
        after = verdicts(found)
        different = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        assert different == {place(change.row)}, str(change)
        assert after[place(change.row)] in WRONG, str(change)
        assert not found.passed(), str(change)
        tried += 1
    assert tried > 30


@needs_panel
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("-0.050509", "-0.050508"), ("0.086694", "0.086695"), ("0.060362", "0.060363"), ("0.3234238", "0.3234237"),
        ("-0.1999752", "-0.1999751"), ("0.0133378", "0.0133379"), ("2368.4", "2368.3"),
    ],
)  # fmt: skip
def test_a_unit_of_the_last_digit_is_no_stop_and_no_convention(old: str, new: str) -> None:
    text = LECTURE.read_text(encoding="utf-8")
    found = check(text.replace(old, new, 1), (lecture_data(),))
    assert [row.cell.token.text for row in found.rows if row.verdict in WRONG] == [new]
    assert not found.passed()


@needs_panel
def test_a_bound_of_zero_is_reported_and_no_convention_excuses_it() -> None:
    text = LECTURE.read_text(encoding="utf-8")
    line = next(i for i, one in enumerate(text.split("\n"), 1) if "0.0943 9.41 <0.0001" in one)
    found = check(text.replace("0.0943 9.41 <0.0001", "0.0943 9.41 <0.0000", 1), (lecture_data(),))
    assert [row.cell.token.line for row in found.rows if row.verdict in WRONG] == [line]


# ---- what users write -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_no_printed_number(value: float) -> None:
    cells = page("[1] 0.25 NA").blocks[0].cells
    assert [holds(cell, value) for cell in cells if cell.quantity == "value"] == [False, math.isnan(value)]


CARS_FILE = data_of('read.csv("mtcars.csv")')


def told(text: str, data: tuple[Path, ...] = CARS_FILE) -> list[tuple[str, Verdict]]:
    report = check(text, data)
    return [(row.cell.token.text, row.verdict) for row in report.rows if row.cell.quantity != "index"]


def test_commands_of_one_line_are_held_against_their_own_output() -> None:
    text = "> fit <- lm(mpg ~ wt, mtcars)\n> AIC(fit); BIC(fit)\n[1] 166.0294\n[1] 170.4266\n"
    assert told(text) == [("166.0294", Verdict.MATCH), ("170.4266", Verdict.MATCH)]
    assert told(text.replace("166.0294", "166.0295"))[0] == ("166.0295", Verdict.UNEXPLAINED)
    assert told(text.replace("[1] 166.0294\n", "")) == [("170.4266", Verdict.NOT_RUN)]


@pytest.mark.parametrize(
    "command", ["AIC(fit, k = 3)", "nobs(fit, use.fallback = TRUE)", 'residuals(fit, "pearson")', "fixef(fit)",
                "confint(fit, level = 0.9)", 'confint(fit, "wt")']
)  # fmt: skip
def test_options_that_are_not_known_are_not_passed_over(command: str) -> None:
    report = check(f"> fit <- lm(mpg ~ wt, mtcars)\n> {command}\n[1] 171.2345\n", CARS_FILE)
    assert [step.problem for step in report.steps][1]
    assert report.counts[Verdict.UNEXPLAINED] == 0


def test_profiles_of_lmer_are_not_taken_for_wald_s_limits() -> None:
    text = (
        "> m <- lmer(Reaction ~ Days + (Days | Subject), sleepstudy)\n> confint(m)\n"
        "                  2.5 %      97.5 %\n"
        ".sigma       22.898263  28.8579965\n(Intercept) 237.680695 265.1295147\nDays          7.358653  13.5759188\n"
    )
    found = told(text, data_of('read.csv("sleepstudy.csv")'))
    assert {verdict for _, verdict in found} == {Verdict.NOT_RUN}


def test_data_that_nothing_speaks_for_are_not_believed() -> None:
    """A data frame of another name may be the only file there is, or another altogether."""
    call = "Call:\nlm(formula = mpg ~ wt, data = d)\n\n"
    printed = call + "Coefficients:\n(Intercept)           wt  \n     39.571       -5.647  \n"
    assert {verdict for _, verdict in told("> f()\n\n" + printed)} == {Verdict.NOT_RUN}
    whole = printed.replace("39.571", "37.285").replace("5.647", "5.344")
    assert {verdict for _, verdict in told("> f()\n\n" + whole)} == {Verdict.MATCH}


def test_a_part_of_the_rows_is_taken_only_where_the_variables_do_not_depend_on_it() -> None:
    command = "> coef(lm(mpg ~ {}, mtcars, subset = cyl == 4))\n(Intercept)          wt \n  39.571196   -5.647025 \n"
    assert {verdict for _, verdict in told(command.format("wt"))} == {Verdict.MATCH}
    assert {verdict for _, verdict in told(command.format("poly(wt, 1)"))} == {Verdict.NOT_RUN}


def test_the_subset_that_lmer_prints_is_part_of_its_call() -> None:
    text = (
        "> m <- f()\n> m\nLinear mixed model fit by REML ['lmerMod']\nFormula: Reaction ~ Days + (Days | Subject)\n"
        "   Data: sleepstudy\n Subset: Days > 1\nREML criterion at convergence: 1404.094\n"
    )
    assert told(text, data_of('read.csv("sleepstudy.csv")')) == [("1404.094", Verdict.MATCH)]


def test_what_an_optimiser_says_of_itself_is_left_unread() -> None:
    text = (
        "> m <- lmer(Reaction ~ Days + (Days | Subject), sleepstudy)\n> m\nLinear mixed model fit by REML ['lmerMod']\n"
        "REML criterion at convergence: 1743.628\noptimizer (nloptwrap) convergence code: 0 (OK) ; 1 lme4 warnings\n"
    )
    report = check(text, data_of('read.csv("sleepstudy.csv")'))
    assert [token.text for token in report.unread] == ["0", "1"]
    assert report.passed()
    assert not report.passed(strict=True)


def test_a_table_that_a_fit_does_not_give_is_not_called_wrong() -> None:
    command = "> summary(lm(mpg ~ wt, mtcars), correlation = TRUE)\n\n"
    text = f"{command}Correlation of Coefficients:\n   (Intercept)\nwt -0.96\n"
    assert told(text) == [("-0.96", Verdict.NOT_PROVIDED)]


def test_levels_that_are_numbers_are_numbers_of_a_table() -> None:
    text = "> d <- data.frame(y = c(1.5, 2), g = factor(c(7, 3)))\n> d\n    y g\n1 1.5 7\n2 2.0 {}\n"
    assert told(text.format(3))[-1] == ("3", Verdict.MATCH)
    assert told(text.format(4))[-1] == ("4", Verdict.UNEXPLAINED)


@pytest.mark.parametrize(
    ("printed", "verdict", "convention"),
    [
        ("-5.344471572722677", Verdict.MATCH, ""),
        ("-5.344471572722691", Verdict.MATCH_UNDER_CONVENTION, BEYOND_DOUBLES),
        ("-5.344471572752677", Verdict.UNEXPLAINED, ""),
    ],
)
def test_digits_beyond_doubles_are_told_apart_from_wrong_ones(printed: str, verdict: Verdict, convention: str) -> None:
    command = "> coef(lm(mpg ~ wt, mtcars))\n       (Intercept)                 wt \n"
    report = check(f"{command}37.285126167342028 {printed} \n", CARS_FILE)
    assert (report.rows[-1].verdict, report.rows[-1].convention) == (verdict, convention)


@pytest.mark.parametrize("text", ["a;b\n1;-\n2;3\n", "a;b\n1;NA\n2;3\n"])
def test_tables_are_read_as_their_options_say(text: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    session = '> t <- read.csv("t.csv", sep = ";", na.strings = c("NA", "-"))\n> mean(t$b, na.rm = TRUE)\n[1] 3\n'
    assert told(session, (path,)) == [("3", Verdict.MATCH)]


@pytest.mark.parametrize("mark", ["", "## "], ids=["prompts", "knitr"])
def test_json_names_the_column_of_the_file(mark: str, tmp_path: Path) -> None:
    text = CARS.read_text(encoding="utf-8")
    if mark:
        commands = re.compile(r"^> ?", re.MULTILINE)
        text = "\n".join(commands.sub("", line) if line[:1] == ">" else mark + line for line in text.split("\n"))
    session = tmp_path / "session.txt"
    session.write_text(text, encoding="utf-8")
    run(session, "--data", *data_of(text), "--json", tmp_path / "out.json")
    lines = text.split("\n")
    numbers = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["numbers"]
    assert any("\t" in lines[n["line"] - 1][: n["column"]] for n in numbers)
    assert [n for n in numbers if not lines[n["line"] - 1].startswith(n["text"], n["column"] - 1)] == []


# ---- sessions that lost something on their way ----------------------------------------------------------------------

PAGES = [path for path in SESSIONS if path.stem.startswith(("lm", "ols", "plm", "heads", "vectors", "coeftest"))]


def never_more_than_stands_there(text: str, report: Report) -> None:
    """What agrees is a number of the text, where the text has it, and its value rounds to it."""
    lines = text.expandtabs().split("\n")
    for row in report.rows:
        token = row.cell.token
        assert lines[token.line - 1][token.start : token.end] == token.text
        if row.verdict is Verdict.MATCH:
            assert row.value is not None
            assert row.cell.style == "signif" or holds(row.cell, row.value)
    places = [place(row) for row in report.rows]
    assert len(set(places)) == len(places)


@given(page=st.sampled_from(PAGES), cut=st.tuples(st.integers(0, 400), st.integers(0, 400)))
@settings(QUIET, max_examples=25)
def test_a_cut_session_agrees_in_what_is_left(page: Path, cut: tuple[int, int]) -> None:
    lines = page.read_text(encoding="utf-8").split("\n")
    first, last = sorted(one % (len(lines) + 1) for one in cut)
    text = "\n".join([*lines[:first], *lines[last:]])
    never_more_than_stands_there(text, check(text, data_of(page.read_text(encoding="utf-8"))))


@given(page=st.sampled_from(PAGES), line=st.integers(0, 400), shift=st.integers(-6, 12))
@settings(QUIET, max_examples=25)
def test_a_shifted_line_is_read_or_left_but_not_made_up(page: Path, line: int, shift: int) -> None:
    whole = page.read_text(encoding="utf-8")
    lines = whole.split("\n")
    at = line % len(lines)
    lines[at] = " " * shift + lines[at] if shift > 0 else lines[at][-shift:]
    text = "\n".join(lines)
    never_more_than_stands_there(text, check(text, data_of(whole)))


@given(
    page=st.sampled_from(PAGES),
    garble=st.lists(
        st.tuples(st.integers(0, 20_000), st.characters(codec="utf-8", exclude_characters="\r")), max_size=12
    ),
)
@settings(QUIET, max_examples=40)
def test_garbled_letters_never_crash(page: Path, garble: list[tuple[int, str]]) -> None:
    whole = page.read_text(encoding="utf-8")
    letters = list(whole)
    for at, letter in garble:
        letters[at % len(letters)] = letter
    text = "".join(letters)
    never_more_than_stands_there(text, check(text, data_of(whole)))


@given(text=st.text(max_size=300))
@settings(QUIET, max_examples=100)
def test_any_text_at_all_is_taken(text: str) -> None:
    report = check(text, ())
    assert all(row.verdict not in AGREEING for row in report.rows if row.value is None)
    never_more_than_stands_there(text, report)


# ---- the command ----------------------------------------------------------------------------------------------------

CARS = next(path for path in SESSIONS if path.stem == "lm-digits")


def run(*arguments: object) -> tuple[int, str]:
    found = CliRunner().invoke(app, ["transcript", *map(str, arguments)])
    return found.exit_code, found.output


def test_the_command_tells_the_counts_and_writes_json(tmp_path: Path) -> None:
    code, said = run(
        CARS, "--data", *data_of(CARS.read_text(encoding="utf-8")), "--quiet", "--json", tmp_path / "out.json"
    )
    assert code == 0
    assert "155 numbers found: 155 MATCH" in said
    written = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert written


def test_the_command_fails_where_a_digit_was_changed(tmp_path: Path) -> None:
    text = CARS.read_text(encoding="utf-8")
    assert text.count("-3.87783") >= 1
    changed = tmp_path / "changed.txt"
    changed.write_text(text.replace("-3.87783", "-3.87784", 1), encoding="utf-8")
    code, said = run(changed, "--data", *data_of(text), "--quiet")
    assert code == 1
    assert "-3.87784" in said


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\x00\xff\xfe\x01 binary", "no R here: ½".encode()])
def test_the_command_takes_a_file_that_is_no_session(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "session.txt"
    path.write_bytes(content)
    code, said = run(path)
    assert code in (1, 2)
    assert "Traceback" not in said
    assert said.strip()


def test_the_command_says_which_data_it_lacks() -> None:
    code, said = run(CARS, "--strict")
    assert code == 1
    assert "mtcars.csv" in said


# ---- update(), predict() and what is read off a fit ----------------------------------------------------------------

CHANGED_FORMULAS = [  # as R 4.2.2 prints update(old, new)
    ("y ~ x", ". ~ . - x - 1", "y ~ 1 - 1"),
    ("y ~ x", ". ~ . - x", "y ~ 1"),
    ("y ~ x + offset(z)", ". ~ . + w", "y ~ x + w + offset(z)"),
    ("y ~ x + (x | g)", ". ~ . - x", "y ~ (x | g)"),
    ("y ~ x + (1 | g) + (0 + x | g)", ". ~ . + w:x", "y ~ x + (1 | g) + (0 + x | g) + x:w"),
    ("y ~ a + b + (1 | g)", ". ~ . - (1 | g) + (a | g)", "y ~ a + b + (a | g)"),
    ("y ~ x * z + (x || g)", "log(.) ~ .", "log(y) ~ x + z + (x || g) + x:z"),
    ("y ~ x", "~ . + I(x^2)", "y ~ x + I(x^2)"),
    ("y ~ a + b", ". ~ (.)^2", "y ~ a + b + a:b"),
    ("y ~ a + b", ". ~ . * c", "y ~ a + b + c + a:c + b:c"),
    ("y ~ 0 + a", ". ~ . + 1", "y ~ a"),
    ("`my y` ~ `x x`", ". ~ . + z", "`my y` ~ `x x` + z"),
    ("y ~ x + z", ". ~ log(.)", "y ~ log(x + z)"),
    ("y ~ x + (1 | g/h)", ". ~ . + z", "y ~ x + (1 | g/h) + z"),
    ("y ~ x", ". ~ . - x + offset(z) - 1", "y ~ offset(z) - 1"),
    ("~x", "y ~ .", "y ~ x"),
]


@pytest.mark.parametrize(("old", "new", "text"), CHANGED_FORMULAS)
def test_a_formula_is_updated_as_r_updates_it(old: str, new: str, text: str) -> None:
    run = Interpreter(Fits())
    (fit,) = read_commands(f"lm({old}, nowhere)")
    run.names["m"] = run.evaluate(fit)
    (call,) = read_commands(f"update(m, {new})")
    updated = run.evaluate(call)
    assert isinstance(updated, Model)
    assert updated.formula == text
    assert updated.call == {"formula": text, "data": "nowhere"}


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("update(m, . ~ . | z)", "in several parts"),
        ("update(m, . ~ . + x:(1 | g))", "interaction of random effects"),
        ("update(m, . ~ ., evaluate = FALSE)", "evaluate"),
        ("update(3, . ~ .)", "no model"),
        ('update(m, "y")', "no formula"),
        ("predict(3)", "no fit"),
        ('predict(m, type = "terms")', "type"),
        ('predict(m, interval = "x")', "interval = x"),
        ("predict(m, re.form = NA)", "re.form"),
        ("predict(m, d, TRUE)", "more unnamed arguments"),
        ("isSingular(m)", "no lmer fit"),
        ("ngrps(m)", "ngrps() of lm"),
        ("fixef(m)", "fixef() of lm"),
        ("AIC(m, 3)", "not known"),
    ],
)
def test_what_is_not_read_says_so(command: str, reason: str) -> None:
    run = Interpreter(Fits())
    (fit,) = read_commands("lm(y ~ x, nowhere)")
    run.names |= {"m": run.evaluate(fit), "d": Frame({}, ())}
    (call,) = read_commands(command)
    with pytest.raises(NotRead, match=re.escape(reason)):
        run.evaluate(call)


def _changed(name: str, old: str, new: str) -> Report:
    """A frozen session with one text in it changed."""
    (path,) = [path for path in SESSIONS if path.stem == name]
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    return check(text.replace(old, new), data_of(text))


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("lmer-updates", "[1] FALSE\n", "[1] TRUE\n", "TRUE is printed, value 1 is FALSE"),
        ("lm-updates", "FALSE  TRUE\n", "FALSE FALSE\n", "FALSE is printed, value 117 is TRUE"),
        ("lmer-updates", "g: diameter ~ (1 | sample)", "g: diameter ~ (1 | plate)", "the formula printed"),
    ],
)
def test_words_that_are_not_the_value_s_are_remarked(name: str, old: str, new: str, said: str) -> None:
    report = _changed(name, old, new)
    assert len(report.remarks) == 1
    assert said in report.remarks[0].text
    assert not report.passed()


@pytest.mark.parametrize(
    ("name", "old", "new", "cell"),
    [
        ("lmer-updates", '4 x 4 Matrix of class "dpoMatrix"', '4 x 5 Matrix of class "dpoMatrix"', "cell[columns]"),
        ("lmer-updates", "-166.09", "-176.09", "loglik[f]"),  # the other of its column was rounded twice
        ("plm-updates", " 0.7667576 0.7531104", " 0.7667576 0.7531105", "value[adjrsq]"),
    ],
)
def test_a_changed_number_of_a_reading_is_the_cell_reported(name: str, old: str, new: str, cell: str) -> None:
    report = _changed(name, old.lstrip(), new.lstrip())
    assert [row.cell.name for row in report.rows if row.verdict in WRONG] == [cell]


def test_a_row_number_over_another_number_is_no_name() -> None:
    (block,) = page("      1       2\n26.2943 21.7810").blocks
    assert [cell.label for cell in block.cells] == [("1",), ("2",)]
    assert page("  1     2\n26.2943 21.7810").blocks == ()


def test_an_index_counts_words_and_numbers_alike() -> None:
    (block,) = page('[1] "a b" "c"\n[3] "d"').blocks
    assert [(cell.quantity, cell.number.text) for cell in block.cells] == [("index", "1"), ("index", "3")]
    assert [cell.label for cell in block.cells] == [("1",), ("3",)]


# ---- a lone number that an optimiser's stop would explain ----------------------------------------------------------

STOPPED = """> library(lme4)
> pen <- read.csv("penicillin.csv")
> f <- lmer(diameter ~ 1 + (1 | plate) + (1 | sample), pen)
> sigma(f)
[1] {}
"""


@pytest.mark.parametrize(
    ("printed", "verdict"),
    [
        ("0.5499227", Verdict.REFERENCE_NOT_CONVERGED),  # R's; 0.5499231 at the optimum
        ("0.5499231", Verdict.MATCH),
        ("0.5499232", Verdict.UNEXPLAINED),  # any one digit of the optimum's
        ("0.5499221", Verdict.UNEXPLAINED),
        ("0.5498231", Verdict.UNEXPLAINED),
        ("0.5498105", Verdict.UNEXPLAINED),  # farther than lme4 stops
    ],
)
def test_a_lone_number_is_a_stop_s_only_if_no_single_digit_makes_it(printed: str, verdict: Verdict) -> None:
    text = STOPPED.format(printed)
    (row,) = [row for row in check(text, data_of(text)).rows if row.cell.quantity == "value"]
    assert row.verdict is verdict
    assert ("single changed digit" in row.reason) is (printed == "0.5499221")


DOTTED = """> cars <- read.csv("mtcars.csv")
> dotted <- lm(mpg ~ . - qsec, cars[, c("mpg", "wt", "hp", "qsec")])
> coef(update(dotted, . ~ . - hp))
(Intercept)          wt
  37.285126   -5.344472
> library(lme4)
> cake <- read.csv("cake.csv")
> k <- lmer(angle ~ recipe * temp + (1 | recipe:replicate), cake)
> anova(k)
Analysis of Variance Table
            npar  Sum Sq Mean Sq F value
recipe         2   10.39    5.20  0.2488
temp           1 1966.71 1966.71 94.1632
recipe:temp    2    1.74    0.87  0.0417
> anova(k, update(k, . ~ . - recipe:temp))
refitting model(s) with ML (instead of REML)
Data: cake
Models:
update(k, . ~ . - recipe:temp): angle ~ recipe + temp + (1 | recipe:replicate)
k: angle ~ recipe * temp + (1 | recipe:replicate)
"""


def test_a_dot_of_the_data_and_a_model_without_a_name() -> None:
    """As R 4.2.2 with lme4 1.1-31 printed it."""
    report = check(DOTTED, data_of(DOTTED))
    assert report.unread == []
    assert [step.problem for step in report.steps if step.problem] == []
    assert {row.verdict for row in report.rows} == {Verdict.MATCH}
