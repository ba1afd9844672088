"""Small jobs for R and for refimpl.printing alike: the text of numbers, p-values, tables and calls.

A job is what R is sent (compat/r/printing.R); `written` is what refimpl makes of the same job.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from compat.worker import decode_double, encode_column, encode_double
from refimpl.formula.grammar import parse
from refimpl.printing import (
    Columns,
    Options,
    deparse_lines,
    format_c,
    format_numbers,
    format_pval,
    print_coefmat,
    print_frame,
    print_named,
    round_half,
    signif,
    zapsmall,
)

Job = dict[str, Any]
Number = float | None


def job(what: str, values: Sequence[Number] = (), **parts: Any) -> Job:
    """A job by the name of R's function, its doubles as hex texts, None as NA."""
    return {"what": what, "values": ["NA" if x is None else encode_double(x) for x in values], **parts}


def coefmat_job(
    row_names: Sequence[str],
    table: Mapping[str, Sequence[Number]],
    digits: int,
    columns: Columns | None = None,
    **parts: Any,
) -> Job:
    """A table for printCoefmat; without `columns` R and refimpl guess what they are."""
    parts = {"digits": digits, "na": "NA", "row_names": list(row_names), "headers": list(table), **parts}
    if columns is not None:
        names = {"estimates": columns.estimates, "tests": columns.tests, "zap": columns.zap}
        known = [] if columns.p_value is None else [columns.p_value]
        parts["columns"] = {name: list(value) for name, value in names.items()} | {"p_value": known}
    return job("printCoefmat", [x for column in table.values() for x in column], **parts)


def frame_job(data: pd.DataFrame, digits: int, **parts: Any) -> Job:
    """A data frame to print."""
    columns = {str(name): encode_column(data[name]) for name in data}
    rows = [str(label) for label in data.index]
    return {"what": "data.frame", "values": [], "data": columns, "row_names": rows, "digits": digits, **parts}


def written(one: Job, data: pd.DataFrame | None = None) -> list[str]:
    """What refimpl writes for a job; a data frame is given beside it."""
    values = [None if text == "NA" else decode_double(text) for text in one["values"]]
    options = Options(digits=one.get("digits", 7), scipen=one.get("scipen", 0), width=one.get("width", 80))
    if one["what"] == "data.frame":
        assert data is not None
        return print_frame(data, options)
    if one["what"] == "deparse":
        return deparse_lines(parse(one["text"]), one["cutoff"])
    if one["what"] == "printCoefmat":
        return _coefmat(one, values, options)
    if one["what"] == "named":
        return print_named(one["names"], format_numbers(values, options.digits, scipen=options.scipen), options.width)
    return PIECES[one["what"]](values, one)


def _coefmat(one: Job, values: Sequence[Number], options: Options) -> list[str]:
    rows = len(one["row_names"])
    table = {name: values[i * rows : (i + 1) * rows] for i, name in enumerate(one["headers"])}
    columns = None
    if "columns" in one:
        given = {name: tuple(value) for name, value in one["columns"].items()}
        p_value = given["p_value"][0] if given["p_value"] else None
        columns = Columns(given["estimates"], given["tests"], p_value, given["zap"])
    return print_coefmat(one["row_names"], table, one["digits"], columns, na=one["na"], options=options)


def _hex(values: Sequence[Number]) -> list[str]:
    return [encode_double(math.nan if x is None else x) for x in values]


PIECES: dict[str, Callable[[Sequence[Any], Job], list[str]]] = {
    "format": lambda x, one: format_numbers(x, one["digits"], one["nsmall"], one.get("scipen", 0)),
    "format.pval": lambda x, one: format_pval(x, one["digits"], decode_double(one["eps"]), scipen=one.get("scipen", 0)),
    "formatC": lambda x, one: [format_c(value, one["digits"]) for value in x],
    "round": lambda x, one: _hex([round_half(value, one["digits"]) for value in x]),
    "signif": lambda x, one: _hex([signif(value, one["digits"]) for value in x]),
    "zapsmall": lambda x, one: _hex(zapsmall(x, one["digits"])),
}


# ---- a battery to freeze ----------------------------------------------------------------------------------------

AWKWARD = [
    0.0, -0.0, 1.0, -1.0, 0.1, 0.15, 0.25, 0.35, 0.45, 0.5, 1.5, 2.5, 0.95, 9.5, 99.5, 0.995, 9.995, 99.96, 97.162,
    1e5, 123456.0, 999999.5, 1234567.0, 1e15, 1e-4, 1e-5, 1e-15, 0.1 + 0.2, 1 / 3, 2 / 3, 1e22, 1e23, 9.005e-23, 1e100,
    1e-100, 1e300, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 3.141592653589793, 31415.92653589793,
    0.00031415926, 2.0**31, 2.0**53, 4.35, 2.675, 1.005, 5.015, 0.285, 1234.5, 12345.65, 100.5, 1e5 + 0.1, 29.95,
    0.0001234567, 99999.4999999,
]  # fmt: skip
SPECIAL: list[Number] = [None, math.nan, math.inf, -math.inf]
EPSILON = encode_double(2.0**-52)


def battery() -> dict[str, list[Job]]:
    """Jobs whose answers by R are frozen, by the name of their file."""
    draw = random.Random(7222009)
    return {
        "pieces-format": list(format_battery(draw)),
        "pieces-pval": list(pval_battery(draw)),
        "pieces-round": list(round_battery()),
        "pieces-coefmat": list(coefmat_battery(draw)),
        "pieces-deparse": list(deparse_battery()),
    }


def format_battery(draw: random.Random) -> list[Job]:
    """Single numbers at every number of digits, then vectors of them."""
    single = [job("format", [x], digits=d, nsmall=0) for x in AWKWARD for d in (1, 2, 3, 4, 5, 7, 10, 15, 16, 17, 22)]
    vectors = []
    for _ in range(400):
        size, digits = draw.randint(1, 6), draw.choice([1, 2, 3, 4, 5, 7, 10, 15])
        values = [draw.choice([*AWKWARD, *SPECIAL]) for _ in range(size)]
        signed = [x if x is None else x * draw.choice([1, -1]) for x in values]
        nsmall, scipen = draw.choice([0, 0, 2, 4]), draw.choice([0, 0, 0, 1, -2, 5])
        vectors.append(job("format", signed, digits=digits, nsmall=nsmall, scipen=scipen))
        vectors.append(job("named", signed, digits=digits, names=["abcdefghij"[:n] for n in range(1, size + 1)]))
    return single + vectors


def pval_battery(draw: random.Random) -> list[Job]:
    """p-values on both sides of every limit, alone and together."""
    values: list[Number] = [
        *SPECIAL[:2], 0.0, 1.0, 0.5, 0.05, 0.04999, 0.1, 0.0123456, 0.001, 0.000999, 0.0001, 0.0000999, 1e-5,
        3.14159e-7, 2e-16, 2.2e-16, 2.3e-16, 2.0**-52, 1e-17, 5e-324, 0.99999, 0.9,
    ]  # fmt: skip
    jobs = [job("format.pval", [x], digits=d, eps=EPSILON) for x in values for d in (1, 2, 3, 4, 5, 7)]
    for _ in range(300):
        some = [draw.choice(values) for _ in range(draw.randint(2, 6))]
        eps = draw.choice([EPSILON, EPSILON, encode_double(1e-4), encode_double(0.0)])
        jobs.append(job("format.pval", some, digits=draw.randint(1, 8), eps=eps))
    return jobs + [job("formatC", [x], digits=d) for x in AWKWARD for d in (1, 3, 4, 7)]


def round_battery() -> list[Job]:
    """Rounding to decimals and to digits, ties included."""
    moderate = [x for x in AWKWARD if 1e-100 <= abs(x) <= 1e100]
    jobs = [job("round", moderate, digits=d) for d in range(-3, 16)]
    jobs += [job("signif", moderate, digits=d) for d in range(1, 8)]
    return jobs + [job("zapsmall", [x, 0.37 * x, x / 1e5, -x / 3e9], digits=d) for x in moderate for d in (3, 5, 7, 10)]


def coefmat_battery(draw: random.Random) -> list[Job]:
    """Tables of estimates, tests and p-values, some with NA, and of variance analyses."""
    jobs = []
    for _ in range(150):
        rows = draw.randint(1, 6)
        estimated = random_table(draw, rows)
        names = [f"{draw.choice(['x', '(Intercept)', 'factor(g)b', 'é'])}{i}" for i in range(rows)]
        jobs.append(
            coefmat_job(names, estimated, draw.choice([2, 3, 4, 4, 5, 7]), width=draw.choice([80, 80, 80, 63, 50, 35]))
        )
    for _ in range(50):
        rows = draw.randint(1, 5)
        headers = ["Df", "Sum Sq", "Mean Sq", "F value", "Pr(>F)"]
        table: dict[str, list[Number]] = {name: [draw.lognormvariate(0, 4) for _ in range(rows)] for name in headers}
        table["Df"] = [float(draw.randint(1, 200)) for _ in range(rows)]
        table["Pr(>F)"] = [draw.random() ** draw.choice([1, 10]) for _ in range(rows - 1)] + [None]
        table["F value"][-1] = None
        columns = Columns((), ("F value",), "Pr(>F)", ("Sum Sq", "Mean Sq"))
        jobs.append(coefmat_job([f"t{i}" for i in range(rows)], table, 5, columns, na=""))
    return jobs


def random_table(draw: random.Random, rows: int) -> dict[str, list[Number]]:
    """Estimates over many magnitudes with their tests; an aliased row now and then."""
    scale = 10.0 ** draw.choice([0, 0, 0, -3, 5, -9, 9])
    table: dict[str, list[Number]] = {"Estimate": [], "Std. Error": [], "t value": [], "Pr(>|t|)": []}
    for _ in range(rows):
        estimate = draw.gauss(0, 1) * scale * 10 ** draw.uniform(-3, 3)
        t = draw.gauss(0, 1) * 10 ** draw.uniform(-2, 1.5)
        row: list[Number] = [estimate, abs(estimate / t), t, math.erfc(abs(t) / math.sqrt(2))]
        if draw.random() < 0.1:
            row = [None] * 4
        for column, x in zip(table.values(), row, strict=True):
            column.append(x)
    return table


def deparse_battery() -> list[Job]:
    """Formulas of growing length at several cutoffs."""
    words = [
        "GDPLagK",
        "GDPGrowthLag",
        "OPENLag",
        "POLITYLag",
        "POLITYSQLag",
        "CivilWarDummy",
        "InterstateWarLag",
        "Bat",
    ]
    sums = [f"LnDeathPM ~ {' + '.join(words[:n])}" for n in range(1, 9)]
    others = [f"y ~ {sign.join(words)}" for sign in (" * ", ":", " - ", "/")]
    nested = [
        f"log(y) ~ factor(a, levels = c({', '.join(map(str, range(10, 60)))})) + I(({' + '.join(words)})^2)",
        f"y ~ ({' + '.join(words)}):(a + b) + ({words[0]} > {words[1]} & {words[2]} == {words[3]} | {words[4]})",
        f"y ~ poly({words[6]}, 3) + bs({words[5]}, knots = c(1, 2, 3), degree = 2) + ns(x, df = 4) %in% {words[4]}",
        f"y ~ x + ({' + '.join(words[:4])} | {words[5]}/{words[6]})",
        "`a b` ~ `c d` + é",
    ]
    return [job("deparse", text=text, cutoff=cutoff) for text in sums + others + nested for cutoff in (20, 40, 60, 100)]
