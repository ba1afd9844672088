"""The battery against R's frozen answers: matrices, names, rows, errors, random terms; bits where arithmetic is R's."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from refimpl.errors import RefimplError
from refimpl.formula import ModelFrame, ModelMatrix, deparse, mixed_frame, model_frame, model_matrix, parse
from tests.refimpl.formula_battery import (
    SCRIPT,
    allowed,
    assert_bars,
    assert_matrix,
    assert_numbers,
    battery,
    case_file,
    matrix,
)

MATRICES, BARS = battery("matrices"), battery("bars")


def answered(part: dict[str, Any]) -> list[str]:
    return [case for case, answer in part["expected"].items() if "error" not in answer]


def refused(part: dict[str, Any]) -> list[str]:
    return [case for case, answer in part["expected"].items() if "error" in answer]


def with_new_data(refusing: bool) -> list[str]:
    new = {case: answer["new"] for case, answer in MATRICES["expected"].items() if "new" in answer}
    return [case for case, answer in new.items() if ("error" in answer) == refusing]


def make(case: str) -> tuple[ModelFrame, ModelMatrix, dict[str, Any], dict[str, Any]]:
    """The frame, the matrix, the case and R's answer."""
    given = MATRICES["cases"][case]
    frame = model_frame(parse(given["formula"]), MATRICES["data"][given["data"]])
    return frame, model_matrix(frame, given.get("contrasts"), check=False), given, MATRICES["expected"][case]


def test_battery_is_whole():
    assert len(answered(MATRICES)) >= 200
    assert len(answered(BARS)) >= 60
    for name, part in (("matrices", MATRICES), ("bars", BARS)):
        assert list(part["cases"]) == list(part["expected"])
        assert part["provenance"]["r"].startswith("R version 4.2.2")
        assert part["provenance"]["cases"] == sha256(case_file(name).read_bytes()).hexdigest()
        assert part["provenance"]["script"] == sha256(SCRIPT.read_bytes()).hexdigest()


@pytest.mark.parametrize("case", answered(MATRICES))
def test_matrix_is_rs(case):
    frame, made, given, wanted = make(case)
    assert_matrix(frame, made, wanted, allowed(given["formula"], made))


@pytest.mark.parametrize("case", refused(MATRICES))
def test_what_r_refuses_is_refused(case):
    wanted = MATRICES["expected"][case]["error"]
    with pytest.raises(RefimplError) as caught:
        make(case)
    assert caught.value.kind == wanted["kind"], f"R: {wanted['message']}"


@pytest.mark.parametrize("case", with_new_data(refusing=False))
def test_new_data_gives_rs_matrix(case):
    _, made, given, answer = make(case)
    wanted, new = answer["new"], MATRICES["data"][given["newdata"]]
    again = made.for_newdata(new)
    assert again.names == wanted["names"]
    bound = 10 * allowed(given["formula"], made)  # new values lie outside the range of the fit
    assert_numbers(again.X, matrix(wanted["X"], len(new)), bound, "new X")


@pytest.mark.parametrize("case", with_new_data(refusing=True))
def test_new_data_that_r_refuses_is_refused(case):
    _, made, given, answer = make(case)
    with pytest.raises(RefimplError) as caught:
        made.for_newdata(MATRICES["data"][given["newdata"]])
    assert caught.value.kind == answer["new"]["error"]["kind"]


@pytest.mark.parametrize("case", answered(BARS))
def test_random_terms_are_lme4s(case):
    given, wanted = BARS["cases"][case], BARS["expected"][case]
    formula = parse(given["formula"])
    assert deparse(formula) == wanted["deparse"][0]
    made = mixed_frame(formula, BARS["data"][given["data"]])
    assert_bars(made, wanted, allowed(given["formula"], made.fixed, *(term.matrix for term in made.random.terms)))


@pytest.mark.parametrize("case", refused(BARS))
def test_bars_that_lme4_refuses_are_refused(case):
    given, wanted = BARS["cases"][case], BARS["expected"][case]["error"]
    with pytest.raises(RefimplError) as caught:
        mixed_frame(parse(given["formula"]), BARS["data"][given["data"]])
    # lme4 says many things that have no kind of their own
    assert wanted["kind"] in ("r-error", caught.value.kind), f"R: {wanted['message']}"
