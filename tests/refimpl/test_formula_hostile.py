"""Formulas are text from anybody: hostile ones run nothing, and cost neither much time nor much memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from refimpl.formula.deparse import BINARY
from refimpl.formula.functions import FUNCTIONS as EVALUATED
from refimpl.formula.grammar import CONTRASTS, FUNCTIONS, OPERATORS
from tests.refimpl.formula_hostile import HARMLESS, HOSTILE

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list]:
    """What a child process made of every formula, started in an empty directory."""
    here = tmp_path_factory.mktemp("hostile")
    formulas = [*HOSTILE, *HARMLESS]
    command = [sys.executable, "-m", "tests.refimpl.formula_hostile"]
    request = json.dumps({"rows": 1_000, "formulas": formulas})
    env = {"PYTHONPATH": str(ROOT), "PATH": "", "OPENBLAS_NUM_THREADS": "1"}
    child = subprocess.run(command, input=request, capture_output=True, text=True, cwd=here, env=env, timeout=300)
    assert child.returncode == 0, child.stderr[-2_000:]
    assert not list(here.iterdir())
    return dict(zip(formulas, json.loads(child.stdout), strict=True))


def test_there_are_enough():
    assert len(HOSTILE) >= 60


@pytest.mark.parametrize("text", [*HOSTILE, *HARMLESS], ids=lambda t: ascii(t)[:60])
def test_hostile_formula_is_refused_and_runs_nothing(answers, text):
    kind, seconds, megabytes, seen = answers[text]
    assert kind == (HOSTILE | HARMLESS)[text]
    assert seen == []
    assert seconds < 1.0  # processor time of the child, not of the clock
    assert megabytes < 200.0


def test_one_allowlist_everywhere():
    """What the grammar lets through is what can be evaluated, and what R's gate lets through."""
    allowed = set((ROOT / "compat" / "r" / "allowed.txt").read_text().split())
    assert allowed == FUNCTIONS | (OPERATORS - {"~"})
    assert set(EVALUATED) == FUNCTIONS - CONTRASTS | {"%in%"}
    assert BINARY | {"!", "("} == OPERATORS
