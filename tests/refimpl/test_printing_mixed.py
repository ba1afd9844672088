"""What refimpl prints of mixed models is what lme4 prints, against text frozen from R.

To freeze it again (R and lme4 installed):
    python -m tests.refimpl.test_printing_mixed | Rscript --vanilla compat/r/printing_mixed.R --freeze FOLDER
with fixtures/expected/r-4.2.2-debian12/printing as FOLDER. Only fits are here whose printed digits do not depend on
where lme4's optimiser stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pandas as pd
import pytest

import refimpl as ri
from compat.cases import Case, case_in_memory, load_cases
from compat.data import DataUnavailable, load_data
from compat.worker import encode_request
from refimpl.printing import MixedSummary, Options, print_anova, summary
from refimpl.printing.abbreviations import abbreviate
from refimpl.printing.mixed import arguments
from refimpl.printing.options import DEFAULT
from tests.refimpl.printing_cases import FOLDER, as_line

pytestmark = pytest.mark.filterwarnings("ignore:fixed-effect model matrix is rank deficient:UserWarning")


@dataclass(frozen=True)
class Printed:
    """One print: of the fit's summary, the shorter one of the fit, or anova()'s table of its terms."""

    id: str
    data: str
    formula: str
    settings: tuple[tuple[str, Any], ...] = ()
    options: Options = DEFAULT
    what: Literal["summary", "short", "terms"] = "summary"

    @property
    def frame(self) -> pd.DataFrame:
        data = load_data(self.data)
        if self.data == "sleepstudy":
            data = data.assign(w=data["Days"] + 1.0, g=data["Days"].mod(3).astype(str), v=data["Days"] / 2)
        return data

    @property
    def case(self) -> Case:
        return case_in_memory("lmer", self.formula, self.frame, **dict(self.settings))

    @property
    def request(self) -> dict[str, Any]:
        request = encode_request(self.case) | {"id": self.id, "print": asdict(self.options)}
        return request if self.what == "summary" else request | {"estimator": f"lmer_{self.what}"}

    @property
    def text(self) -> str:
        given = dict(self.settings)
        fit = ri.lmer(self.formula, self.frame, **given)
        if self.what == "terms":
            return print_anova(fit, options=self.options)
        named = "".join(f", {name} = {given[name]}" for name in ("weights", "offset") if name in given)
        found = summary(fit, f"lmer(formula, data = data{named})")
        return found.short(self.options) if self.what == "short" else found.text(self.options)


@dataclass(frozen=True)
class PrintedTable:
    """The print of an anova, of a case."""

    id: str
    case: Case
    options: Options = DEFAULT

    @property
    def request(self) -> dict[str, Any]:
        return encode_request(self.case) | {"id": self.id, "print": asdict(self.options)}

    @property
    def text(self) -> str:
        asked, texts = self.case.options, (self.case.formula, *self.case.options["formulas"])
        REML = asked.get("REML", True)
        which = REML if isinstance(REML, list) else [REML] * len(texts)
        fits = [
            ri.lmer(text, self.case.data, REML=one) if "|" in text else ri.lm(text, self.case.data)
            for text, one in zip(texts, which, strict=True)
        ]
        return print_anova(*fits, refit=asked.get("refit", True), options=self.options)


HIV = (
    "LnDeathPM ~ GDPLagK + GDPGrowthLag + OPENLag + POLITYLag + POLITYSQLag + CivilWarDummy + InterstateWarLag + "
    "BatDeaths1000Lag + "
)
ML = (("REML", False),)
MODELS: list[tuple[str, str, str, tuple[tuple[str, Any], ...]]] = [
    ("slope-ml", "sleepstudy", "Reaction ~ Days + (Days | Subject)", ML),
    ("uncorrelated", "sleepstudy", "Reaction ~ Days + (Days || Subject)", ()),
    ("intercept", "sleepstudy", "Reaction ~ Days + (1 | Subject)", ()),
    ("mean", "sleepstudy", "Reaction ~ 1 + (1 | Subject)", ML),
    ("no-fixed", "sleepstudy", "Reaction ~ 0 + (1 | Subject)", ()),
    ("weights", "sleepstudy", "Reaction ~ Days + (1 | Subject)", (("weights", "w"),)),
    ("offset", "sleepstudy", "Reaction ~ Days + (1 | Subject)", (("offset", "v"), ("weights", "w"))),
    ("aliased", "sleepstudy", "Reaction ~ Days + I(2 * Days) + (1 | Subject)", ()),
    ("aliased-two", "sleepstudy", "Reaction ~ Days + I(2 * Days) + v + (1 | Subject)", ML),
    ("names", "sleepstudy", "Reaction ~ log(Days + 1) * g + (1 | Subject)", ML),
    ("poly", "sleepstudy", "Reaction ~ poly(Days, 9) + (1 | Subject)", ML),
    ("aliased-many", "sleepstudy", "Reaction ~ factor(Days) * g + (1 | Subject)", ML),
    ("penicillin", "penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)", ()),
    ("pastes", "pastes", "strength ~ 1 + (1 | batch/cask)", ()),
    ("pastes-ml", "pastes", "strength ~ 1 + (1 | batch/cask)", ML),
    ("cake", "cake", "angle ~ recipe * temperature + (1 | recipe:replicate)", ()),
    ("cake-temp", "cake", "angle ~ recipe + temp + (1 | recipe:replicate)", ()),
    ("cake-singular", "cake", "angle ~ recipe + temp + (recipe | replicate)", ()),
    ("dyestuff2", "dyestuff2", "Yield ~ 1 + (1 | Batch)", ()),
    ("hiv-intercept", "hiv-deaths", HIV + "(1 | ISO3)", ML),
    ("hiv-slope", "hiv-deaths", HIV + "(GDPLagK | ISO3)", ML),
]
FEWER = {  # shown with fewer digits, because lme4 stopped before those that R shows
    "slope-ml": 5,
    "penicillin": 6,
    "pastes-ml": 5,
    "cake": 5,
    "cake-singular": 5,
    "hiv-slope": 6,
}
FEWER_OF_TERMS = {"uncorrelated": 5}
NO_TERMS = ("no-fixed",)  # where R's anova stops
LOOKS = {
    "digits-3": Options(digits=3),
    "digits-5": Options(digits=5),
    "width-60": Options(digits=5, width=60),
    "width-100": Options(digits=5, width=100),
}


def prints() -> Iterator[Printed]:
    for name, data, formula, settings in MODELS:
        options = Options(digits=FEWER.get(name, 7))
        yield Printed(f"lmer-print-{name}", data, formula, settings, options)
        yield Printed(f"lmer-print-{name}-short", data, formula, settings, options, what="short")
        if name not in NO_TERMS:
            fewer = Options(digits=min(options.digits, FEWER_OF_TERMS.get(name, 7)))
            yield Printed(f"lmer-print-{name}-terms", data, formula, settings, fewer, what="terms")
    for name, options in LOOKS.items():
        yield Printed(f"lmer-print-hiv-{name}", "hiv-deaths", HIV + "(1 | ISO3)", ML, options)
        yield Printed(f"lmer-print-slope-ml-{name}", "sleepstudy", MODELS[0][2], ML, options)
        yield Printed(f"lmer-print-slope-ml-{name}-short", "sleepstudy", MODELS[0][2], ML, options, what="short")


def tables() -> Iterator[PrintedTable]:
    for case in load_cases("lmer-anova-*"):
        yield PrintedTable(case.id.replace("anova", "print-anova"), case, Options(digits=TABLES.get(case.id, 7)))
    for name, options in LOOKS.items():
        yield PrintedTable(f"lmer-print-anova-hiv-{name}", load_cases("lmer-anova-hiv")[0], options)
        case = case_in_memory("lmer_anova", THREE[0], load_data("sleepstudy"), formulas=list(THREE[1:]), REML=False)
        yield PrintedTable(f"lmer-print-anova-three-{name}", case, options)


THREE = ("Reaction ~ Days + (Days || Subject)", "Reaction ~ Days", "Reaction ~ 1 + (1 | Subject)")
TABLES = {"lmer-anova-hiv": 6}  # shown with fewer digits, because lme4 stopped before those that R shows
PRINTS: list[Printed | PrintedTable] = [*prints(), *tables()]


def frozen(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


def test_every_print_of_a_mixed_model_is_frozen_and_nothing_else() -> None:
    assert {path.stem for path in FOLDER.glob("lmer-print-*.json")} == {one.id for one in PRINTS}
    assert len({one.id for one in PRINTS}) == len(PRINTS) > 40


@pytest.mark.parametrize("one", PRINTS, ids=lambda one: one.id)
def test_mixed_model_reads_as_lme4_prints_it(one: Printed | PrintedTable) -> None:
    try:
        line = as_line(one.request)
    except DataUnavailable as absent:
        pytest.skip(absent.reason)
    wanted = frozen(one.id)
    assert one.text.split("\n") == wanted["text"]
    assert wanted["provenance"]["request_sha256"] == hashlib.sha256(line.encode()).hexdigest()


def test_summary_of_a_fit_is_its_print_with_names_of_its_own() -> None:
    fit = ri.lmer("Reaction ~ Days + (1 | Subject)", load_data("sleepstudy"))
    assert isinstance(fit.summary(), MixedSummary)
    assert str(fit.summary()).split("\n") == frozen("lmer-print-intercept")["text"]


def test_arguments_of_a_call_stand_in_brackets_and_quotes() -> None:
    call = 'lmer(y ~ f(x, 1) + (1 | g), d[d$x == "a,(", ], REML = FALSE, weights = w)'
    expected = {"formula": "y ~ f(x, 1) + (1 | g)", "data": 'd[d$x == "a,(", ]', "REML": "FALSE", "weights": "w"}
    assert arguments(call) == expected


def test_abbreviations_are_rs() -> None:
    names = ["(Intercept)", "POLITYLag", "POLITYSQLag", "avvnkk Cnv1", "temperature Pol_recipe", " x", "islandeater"]
    assert abbreviate(names, 6) == ["(Intr)", "POLITYL", "POLITYS", "avCnv1", "tmpPl_", "x", "islndt"]


def main() -> None:
    """One request a line, for the script that freezes."""
    for one in PRINTS:
        print(as_line(one.request))


if __name__ == "__main__":
    main()
