"""The summaries whose print by R is frozen: every linear case of the fixtures, and fits chosen for what they print.

To freeze them again (R, rms, sandwich and lmtest installed):
    python -m tests.refimpl.printing_cases | Rscript --vanilla compat/r/printing.R --freeze FOLDER
with fixtures/expected/r-4.2.2-debian12/printing as FOLDER.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import pandas as pd

import refimpl as ri
from compat.cases import Case, case_in_memory, load_cases
from compat.data import fixtures_root, load_data
from compat.expected import DEFAULT_STACK
from compat.worker import encode_request
from refimpl.printing import Options, print_anova
from refimpl.printing.options import DEFAULT
from tests.refimpl.printing_pieces import battery

FOLDER = fixtures_root() / "expected" / DEFAULT_STACK / "printing"

# Not compared, with the reason: R shows the rounding errors of its own arithmetic, or what a fit's call does not carry.
NOT_PRINTED = {
    "lm-aliased-near-tol": "the call has tol",
    "lm-nist-filip-tol": "the call has tol",
    "lm-constant-response": "an exact fit",
    "lm-nist-wampler1": "an exact fit",
    "lm-nist-wampler2": "an exact fit but for the rounding of the data",
    "lm-perfect-fit": "an exact fit",
    "lm-factors-empty-cell": "a residual of -3.29125 and a coefficient of 1.33875, ties at the digits shown",
    "vcov-hc-weights-zeros": "a defect of sandwich",
    "robcov-one-cluster": "a covariance of zero",
    "robcov-one-cluster-efron": "a covariance of zero",
}


@dataclass(frozen=True)
class Print:
    """One print: a case, the options of R under which its summary is printed, or anova()'s table of its terms."""

    id: str
    case: Case
    terms: bool = False
    options: Options = DEFAULT

    @property
    def request(self) -> dict[str, Any]:
        """What R is sent."""
        request = encode_request(self.case) | {"id": self.id, "print": asdict(self.options)}
        return request | {"estimator": "anova"} if self.terms else request

    @cached_property
    def text(self) -> str:
        """What refimpl prints."""
        case, asked = self.case, self.case.options
        if case.estimator == "anova" or self.terms:
            texts = [case.formula, *asked.get("formulas", ())]
            fits = [ri.lm(one, case.data, asked.get("weights")) for one in texts]
            return print_anova(*fits, options=self.options)
        if case.estimator in ("ols", "robcov"):
            fit = ri.ols(case.formula, case.data, asked.get("weights"))
        else:
            fit = ri.lm(case.formula, case.data, asked.get("weights"))
        if case.estimator == "robcov":
            fit = ri.robcov(fit, asked.get("cluster"), asked.get("method", "huber"))
        if case.estimator == "vcov_hc":
            vcov = ri.vcov_hc(fit, asked.get("type", "HC3"))
            fit = ri.with_vcov(fit, vcov, asked.get("test", "t"), asked.get("df"))
        return fit.summary().text(self.options)


def prints() -> list[Print]:
    """All of them, in the order of their ids."""
    cases = [
        case
        for case in load_cases(["lm-*", "ols-*", "robcov-*", "anova-*", "vcov-hc-*"])
        if case.expects_error is None and case.id not in NOT_PRINTED
    ]
    return sorted([*(Print(case.id, case) for case in cases), *chosen()], key=lambda one: one.id)


def chosen() -> Iterator[Print]:
    """Fits that print what no case prints."""
    yield from by_options()
    yield from small()
    yield from scaled()
    yield from named()
    yield from of_rms()
    yield from of_anova()


def made(name: str, estimator: str, formula: str, data: pd.DataFrame, **options: Any) -> Print:
    """A print of a fit that is in no file."""
    return Print(f"{estimator.replace('_', '-')}-print-{name}", case_in_memory(estimator, formula, data, **options))


def by_options() -> Iterator[Print]:
    """R's options digits, width and show.signif.stars."""
    one = made("options", "lm", "mpg ~ wt * hp + qsec + factor(carb)", load_data("mtcars"))
    for digits in (1, 3, 4, 5, 6, 8, 10, 12):
        yield replace(one, id=f"{one.id}-digits-{digits}", options=Options(digits=digits))
    for width in (30, 45, 60, 100):
        yield replace(one, id=f"{one.id}-width-{width}", options=Options(width=width))
    yield replace(one, id=f"{one.id}-no-stars", options=Options(signif_stars=False))
    for scipen in (-2, 2, 5, 99):
        yield replace(one, id=f"{one.id}-scipen-{scipen}", options=Options(scipen=scipen))


CARS = [
    "Mazda RX4",
    "Mazda RX4 Wag",
    "Datsun 710",
    "Hornet 4 Drive",
    "Hornet Sportabout",
    "Valiant",
    "Duster 360",
    "Merc",
]


def small() -> Iterator[Print]:
    """Few rows, few columns: all residuals shown, no degrees of freedom, nothing to estimate."""
    data = load_data("mtcars")
    cars = data.iloc[:8].set_axis(CARS, axis=0)
    for n in range(3, 9):
        yield made(f"rows-{n}", "lm", "mpg ~ wt", cars.iloc[:n])
    yield made("saturated", "lm", "mpg ~ wt + hp", data.iloc[[0, 2, 4]])
    yield made("more-columns-than-rows", "lm", "mpg ~ wt + hp + qsec + drat", data.iloc[[0, 2, 4]])
    yield made("nothing", "lm", "mpg ~ 0", data)
    yield made("mean", "lm", "mpg ~ 1", data)
    yield made("mean-of-three", "lm", "mpg ~ 1", cars.iloc[:3])
    yield made("no-intercept", "lm", "mpg ~ 0 + wt + hp", data)
    yield made("offset", "lm", "mpg ~ wt + offset(qsec)", data)
    yield made("one-missing", "lm", "mpg ~ wt", data.assign(wt=data["wt"].where(data["wt"] != data["wt"].iloc[2])))
    yield made(
        "two-missing", "lm", "mpg ~ wt + z", data.assign(z=data["hp"].astype(float).mask(data.index.isin(["3", "9"])))
    )
    yield made("constant-weights", "lm", "mpg ~ wt", data.assign(w=2.0), weights="w")
    yield made("weights", "lm", "mpg ~ wt", data.assign(w=data["hp"] / 100), weights="w")
    yield made("weights-few", "lm", "mpg ~ wt", cars.iloc[:5].assign(w=[1.0, 2.0, 0.5, 4.0, 3.0]), weights="w")


def scaled() -> Iterator[Print]:
    """Numbers far from one, far from each other, near zero."""
    data = load_data("mtcars")
    for power in (-100, -12, -6, -3, 3, 6, 12, 100):
        yield made(f"response-1e{power}", "lm", "y ~ wt + hp", data.assign(y=data["mpg"] * 10.0**power))
    yield made("mixed", "lm", "mpg ~ a + b + hp", data.assign(a=data["wt"] * 1e8, b=data["qsec"] / 1e8))
    yield made("large-f", "lm", "y ~ wt", data.assign(y=data["wt"] * 3 + 1 + data["qsec"] * 1e-6))
    yield made(
        "whole-numbers", "lm", "y ~ x", pd.DataFrame({"x": [1, 2, 3, 4, 5, 6, 7, 8], "y": [3, 5, 4, 8, 9, 9, 13, 14]})
    )
    yield made("tiny-p", "lm", "weight ~ height", load_data("women"))


def named() -> Iterator[Print]:
    """Names and calls: wrapped, quoted, wide, of factors."""
    data, air = load_data("mtcars"), load_data("airquality")
    wide = " + ".join(data.columns.drop("mpg"))
    yield made("long-call", "lm", f"mpg ~ {wide}", data)
    long = {"wt": "weight_in_thousands_of_pounds", "qsec": "quarter_mile_time", "hp": "horse_power_of_the_engine"}
    yield made("long-names", "lm", "mpg ~ {wt} * {qsec} + {hp}".format(**long), data.rename(columns=long))
    quoted = data.rename(columns={"mpg": "miles per gallon", "wt": "weight, lb"})
    yield made("quoted", "lm", "`miles per gallon` ~ `weight, lb`", quoted)
    yield made("accents", "lm", "mpg ~ größe + été", data.rename(columns={"wt": "größe", "hp": "été"}))
    yield made("functions", "lm", "log(Ozone) ~ sqrt(Wind) + I(Solar.R^2) + poly(Temp, 2) + factor(Month)", air)
    yield made(
        "nested-call", "lm", "log(Ozone) ~ (Wind + Temp + Solar.R)^2 - Wind:Temp + cut(Temp, c(50, 70, 80, 100))", air
    )
    yield made("warpbreaks", "lm", "breaks ~ wool * tension", load_data("warpbreaks"))
    yield made("nothing-significant", "lm", "qsec ~ drat", data)
    yield made("aliased", "lm", "mpg ~ wt + I(2 * wt) + hp + I(wt + hp)", data)


def of_rms() -> Iterator[Print]:
    """print.ols: widths of its boxes, missing values, clusters of any name."""
    data, air = load_data("mtcars"), load_data("airquality")
    for power in (-9, -5, -3, 2, 4, 6, 9):
        yield made(f"response-1e{power}", "ols", "y ~ wt + hp", data.assign(y=data["mpg"] * 10.0**power))
    for times in (10, 100, 400):
        yield made(f"rows-times-{times}", "ols", "mpg ~ wt", pd.concat([data] * times, ignore_index=True))
    yield made("rows-3", "ols", "mpg ~ wt", data.iloc[:3])
    yield made("rows-5", "ols", "mpg ~ wt", data.iloc[:5].set_axis(CARS[:5], axis=0))
    yield made("saturated", "ols", "mpg ~ wt + hp", data.iloc[[0, 2, 4]])
    yield made("nothing-explained", "ols", "qsec ~ drat", data)
    yield made(
        "weights-missing", "ols", "Ozone ~ Wind + Temp", air.assign(w=air["Day"].mask(air["Day"] == 9)), weights="w"
    )
    yield made(
        "missing-factor",
        "ols",
        "Temp ~ Wind * m",
        air.assign(m=air["Month"].astype("str").astype("category").mask(air["Day"] == 1)),
    )
    yield made("functions", "ols", "log(Ozone) ~ sqrt(Wind) + I(Temp^2) * m", air.assign(m=air["Month"].astype("str")))
    yield made("offset", "ols", "Ozone ~ log(Wind) + offset(Solar.R)", air)
    yield made("long-call", "ols", "mpg ~ " + " + ".join(data.columns.drop("mpg")), data)
    for length in (1, 4, 5, 6, 9, 20, 30):
        name = "abcdefghijklmnopqrstuvwxyzabcd"[:length]
        yield made(f"cluster-{length}", "robcov", "mpg ~ wt", data.assign(**{name: data["cyl"]}), cluster=name)
        big = data.assign(**{name: data["cyl"], "y": data["mpg"] * 1e7})
        yield made(f"cluster-{length}-large", "robcov", "y ~ wt", big, cluster=name)
    yield made(
        "many-clusters",
        "robcov",
        "mpg ~ wt",
        pd.concat([data] * 40, ignore_index=True).assign(g=range(1280)),
        cluster="g",
    )


def of_anova() -> Iterator[Print]:
    """Tables of a single fit's terms."""
    data = load_data("mtcars")
    tables = [
        made("terms", "lm", "mpg ~ wt * hp + qsec", data),
        made("terms-factors", "lm", "breaks ~ wool * tension", load_data("warpbreaks")),
        made("terms-weights", "lm", "mpg ~ wt", data.assign(w=data["hp"] / 100), weights="w"),
        made("terms-none", "lm", "mpg ~ 1", data),
        made("terms-small", "lm", "y ~ wt + hp", data.assign(y=data["mpg"] / 1e6)),
        made("terms-saturated", "lm", "mpg ~ wt + hp", data.iloc[[0, 2, 4]]),
    ]
    yield from (replace(one, terms=True) for one in tables)


def requests() -> Iterator[dict[str, Any]]:
    """Everything that R is asked for what is frozen; may raise DataUnavailable."""
    yield from (one.request for one in prints())
    yield from ({"id": name, "jobs": jobs} for name, jobs in battery().items())


def as_line(request: dict[str, Any]) -> str:
    """A request as it travels, and as its checksum is taken."""
    return json.dumps(request, separators=(",", ":"))


def main() -> None:
    """One request a line, for the script that freezes."""
    for request in requests():
        print(as_line(request))


if __name__ == "__main__":
    main()
