"""Summaries of panel models read as plm prints them."""

from __future__ import annotations

import hashlib
import json
import warnings

import pytest

from compat.adapters.refimpl import panel_fit
from compat.data import DataUnavailable
from tests.refimpl.panel_prints import FOLDER, prints, request
from tests.refimpl.printing_cases import as_line

PRINTS = prints()


def test_every_print_is_frozen_and_nothing_else() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(PRINTS)
    assert len(PRINTS) > 60


@pytest.mark.parametrize("name", PRINTS)
def test_summary_reads_as_plm_prints_it(name: str) -> None:
    case, options = PRINTS[name]
    frozen = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    try:
        line = as_line(request(name, case, options))
    except DataUnavailable as absent:
        pytest.skip(absent.reason)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of duplicates, which is not what is tested
        text = panel_fit(case).summary().text(options)
    assert text.split("\n") == frozen["text"]
    assert frozen["provenance"]["request_sha256"] == hashlib.sha256(line.encode()).hexdigest()
