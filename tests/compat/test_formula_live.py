"""Random formulas on random data against a live R: the same matrix, names, rows and random terms, or a refusal by both.

Formulas are drawn ten at a time for one data set, so that R is asked once for ten.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from compat.worker import Worker, WorkerError, encode_column
from refimpl.errors import RefimplError
from refimpl.formula import mixed_frame, model_frame, model_matrix, parse
from tests.refimpl.formula_battery import SCRIPT, allowed, assert_bars, assert_matrix, assert_numbers, matrix

pytestmark = pytest.mark.live
TOGETHER = 10  # formulas a request
MATRIX_REQUESTS, BAR_REQUESTS = 320, 110
LOOSER = 100.0  # a random basis of few points is worse conditioned than the battery's
# A failure names its formula and prints its data; shrinking ten formulas and a data set would ask R for minutes.
SETTINGS = {
    "deadline": None, "suppress_health_check": list(HealthCheck), "database": None, "phases": [Phase.generate],
    "report_multiple_bugs": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def r() -> Iterator[Worker]:
    if shutil.which("Rscript") is None:
        pytest.skip("no Rscript on the PATH; compat/r/install-debian.sh installs R")
    with Worker(["Rscript", "--vanilla", str(SCRIPT), "--serve"], env={"LC_ALL": "C.UTF-8"}) as worker:
        try:
            worker.ask({"id": "start", "data": {}, "formulas": []})
        except WorkerError as error:
            pytest.skip(f"R cannot load jsonlite, splines and lme4: {error}")
        yield worker


# ---- data -----------------------------------------------------------------------------------------------------------

NUMBERS = st.sampled_from([0.0, 1.0, -1.5, 2.25, 0.1, 1 / 3, -0.7, 345.678, 1e-3, 3.0, 0.30000000000000004, -2.0])
POSITIVE = st.sampled_from([0.5, 1.0, 0.1, 2.25, 7.0, 1 / 3, 3.0, 0.01, 12.5, 1.75])
VARIABLES = ["x", "z", "i", "lg", "ch", "a", "b", "`my f`", "o", "`if`"]


def column(values: st.SearchStrategy[Any], n: int, missing: bool) -> st.SearchStrategy[list[Any]]:
    """n values; where `missing`, one in eight of them is."""
    drawn = st.one_of(*[values] * 7, st.none()) if missing else values
    return st.lists(drawn, min_size=n, max_size=n)


def factor(values: list[Any], levels: list[str], ordered: bool = False) -> pd.Categorical:
    return pd.Categorical(values, categories=levels, ordered=ordered)


@st.composite
def frames(draw: st.DrawFn, least: int, most: int, gaps: bool = True) -> pd.DataFrame:
    """Numbers, integers, logicals, strings, factors with unused levels, an ordered factor, names in backticks."""
    n = draw(st.integers(least, most))
    gap = {name: gaps and draw(st.integers(0, 3)) == 0 for name in ("x", "i", "lg", "ch", "a", "o")}

    def of(values: list[Any], name: str = "") -> list[Any]:
        return draw(column(st.sampled_from(values), n, gap.get(name, False)))

    columns = {
        "y": np.array(draw(column(NUMBERS, n, False))),
        "x": np.array(draw(column(NUMBERS, n, gap["x"])), dtype=np.float64),
        "z": np.array(draw(column(POSITIVE, n, False))) + np.arange(n) / 8,  # no constant: a spline needs a range
        "i": pd.array(of([1, 2, 3, 4], "i"), dtype="Int64"),
        "lg": pd.array(of([True, False], "lg"), dtype="boolean"),
        "ch": pd.array(of(["B", "a", "Zed", "é"], "ch"), dtype="str"),
        "a": factor(of(["u", "v", "w"], "a"), ["v", "unused", "u", "w"]),
        "b": factor(of(["p", "q"]), ["q", "p"]),
        "my f": factor(of(["1", "2 x"]), ["1", "2 x"]),
        "o": factor(of(["l", "m", "h"], "o"), ["l", "m", "h"], ordered=True),
        "if": np.array(draw(column(NUMBERS, n, False))),
        "g": factor(of(["g1", "g2", "g3", "g4"]), ["g3", "none", "g1", "g4", "g2"]),
        "k": pd.array(of([1, 2, 3]), dtype="Int64"),
        "w": np.array(draw(column(POSITIVE, n, False))),
    }
    return pd.DataFrame(columns, index=pd.Index([str(i + 1) for i in range(n)]))


# ---- formulas -------------------------------------------------------------------------------------------------------

CALLS = """
log(z)|log(x)|log(z, 2)|log(z, base = 3)|log1p(z)|exp(x)|expm1(z)|sqrt(z)|sqrt(x)|abs(x)|sign(x)|cos(x)|round(x, 1)
floor(z)|I(x^2)|I(x^3)|I(z^-0.5)|I(x * z)|I(x %% 2)|I(x %/% 0.5)|I(i %/% 2L)|I(i %% 2)|I(-i)|I(lg + i)|I(lg * 1L)
I(x + c(1, 2, 3))|x > 0|I(x > 1)|!lg|lg & z > 1|I(a == 'u')|a != 'v'|I(o >= 'm')|I(ch < 'a')|I(ch %in% c('a', 'B'))
I(i %in% 1:2)|is.na(x)|factor(i)|factor(i, levels = 4:1)|factor(lg)|factor(x > 1)|factor(ch, labels = 'L')
as.factor(ch)|as.factor(x)|factor(o)|ordered(i)|ordered(ch)|relevel(a, 'u')|relevel(b, ref = 2)|interaction(a, b)
interaction(ch, lg, drop = TRUE)|cut(z, 3)|cut(x, c(-2, 0, 1, 2))|cut(z, c(0, 1, 20), right = FALSE)|C(a, sum)
C(o, treatment)|C(b, helmert)|C(o, poly, 1)|C(factor(i), SAS)|as.numeric(o)|as.numeric(a)|as.character(i)|`if`
ifelse(x > 0, 'pos', ch)|ifelse(lg, x, z)|ifelse(is.na(x), 0, x)|scale(x)|scale(z, scale = FALSE)|scale(i, FALSE)
poly(z, 2)|poly(x, 2, raw = TRUE)|poly(i, 2)|bs(z, df = 4)|ns(z, df = 2)
""".strip().replace("\n", "|").split("|")  # fmt: skip
LOOSE = tuple("<>!&")  # operators that bind more loosely than the formula's own


def bracketed(text: str) -> str:
    return f"({text})" if any(c in text for c in LOOSE) and not text.endswith(")") else text


atoms = st.one_of(
    *[st.sampled_from(VARIABLES)] * 6,
    *[st.sampled_from(CALLS).map(bracketed)] * 3,
    st.sampled_from(["1", "0", ".", "offset(z)", "offset(x)", "I(offset(z))"]),
)


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from(["+", "+", "+", "*", ":", ":", "/", "-", "%in%"])
    joined = st.tuples(inner, operators, inner).map(" ".join)
    return st.one_of(
        joined, joined, joined, inner.map("({})".format), inner.map("({})^2".format), inner.map("-{}".format)
    )


terms = st.recursive(atoms, grown, max_leaves=6)
responses = st.sampled_from(["y", "y", "y", "log(z)", "", "x", "lg", "I(y > 0)"])
starts = st.sampled_from(["", "", "", "0 + ", "-1 + "])
formulas = st.tuples(responses, starts, terms).map(lambda t: f"{t[0]} ~ {t[1]}{t[2]}")

grouping = st.sampled_from(["g", "g", "g", "k", "a", "b", "ch", "lg", "`my f`", "o", "i"])
groups = st.one_of(
    grouping, grouping, grouping,
    st.tuples(grouping, st.sampled_from([":", "/"]), grouping).map("".join),
    st.tuples(grouping, grouping, grouping).map("/".join),
    st.tuples(grouping, grouping, grouping).map(lambda t: f"{t[0]}/{t[1]}:{t[2]}"),
    grouping.map("({})".format),
    st.sampled_from(["factor(k)", "interaction(a, b)", "z", "x > 0"]),
    st.sampled_from(["a + b", "g * a", "log(z)", "1", "(a)/b", "a:b/g", "(a/b)"]),
)  # fmt: skip
slope = st.one_of(st.sampled_from(["w"] * 6 + VARIABLES), st.sampled_from(CALLS).map(bracketed))
slopes = st.one_of(
    st.just("1"), st.just("1"), slope, slope.map("0 + {}".format), slope.map("{} - 1".format),
    st.tuples(slope, st.sampled_from([" + ", " + ", " * ", ":", " - "]), slope).map("".join),
    st.sampled_from(["0 + ch:w", "1 + offset(z)", "w + 0"]),
)  # fmt: skip
bars = st.tuples(slopes, st.sampled_from(["|", "|", "|", "||"]), groups).map(lambda t: f"({' '.join(t)})")
bar_formulas = st.tuples(
    st.sampled_from(["y", "y", "y", "log(z)"]),
    st.lists(st.one_of(bars, bars, terms), min_size=0, max_size=2),
    bars,
    st.lists(terms, max_size=1),
    st.sampled_from(["", "", "", " - 1", " + 0", " * w"]),
).map(lambda t: f"{t[0]} ~ {' + '.join([*t[1], t[2], *t[3]])}{t[4]}")


# ---- comparing ------------------------------------------------------------------------------------------------------


def encode(data: pd.DataFrame) -> dict[str, Any]:
    return {name: encode_column(data[name]) for name in data}


def refusal(make: Any) -> tuple[Any, RefimplError | None]:
    try:
        return make(), None
    except RefimplError as error:
        return None, error


def assert_same_refusal(text: str, ours: RefimplError | None, answer: dict[str, Any]) -> None:
    """Both refuse; where R's message has a kind, of the same kind."""
    wanted = answer["error"]
    assert ours is not None, f"{text}: R refuses ({wanted['message']})"
    assert wanted["kind"] in ("r-error", ours.kind), f"{text}: R says {wanted['message']}, we say {ours}"


def check_matrix(text: str, data: pd.DataFrame, new: pd.DataFrame, answer: dict[str, Any]) -> str:
    """Compare one formula; the verdict for the count."""
    made, error = refusal(lambda: (f := model_frame(parse(text), data), model_matrix(f, check=False)))
    if error is not None and error.kind == "formula-too-large":
        return "too large"  # our caps, R has none
    if "error" in answer:
        assert_same_refusal(text, error, answer)
        return "refused"
    assert error is None, f"{text}: we refuse ({error}), R does not"
    frame, design = made
    bound = LOOSER * allowed(text, design)
    assert_matrix(frame, design, answer, bound)
    response = frame.terms.response
    if any(v == response for row in frame.terms.coding for v, _ in row):
        return "equal"  # R drops the response from such terms and then misreads them; we refuse new data there
    again, error = refusal(lambda: design.for_newdata(new))
    if "error" in answer["new"]:
        assert_same_refusal(text, error, answer["new"])
        return "equal, new data refused"
    assert error is None, f"{text}: we refuse the new data ({error}), R does not"
    assert again.names == answer["new"]["names"]
    assert_numbers(again.X, matrix(answer["new"]["X"], len(new)), LOOSER * bound, f"{text}: new X")
    return "equal"


def check_bars(text: str, data: pd.DataFrame, answer: dict[str, Any]) -> str:
    """Compare one formula with bars; the verdict for the count."""
    made, error = refusal(lambda: mixed_frame(parse(text), data))
    if "error" in answer:  # of several reasons lme4 meets another one first
        assert error is not None, f"{text}: R refuses ({answer['error']['message']})"
        return "refused"
    if error is not None and error.kind in ("infinite-values", "formula-too-large"):
        return error.kind  # lFormula lets infinite values pass, the fit does not; the caps are ours
    assert error is None, f"{text}: we refuse ({error}), R does not"
    assert_bars(made, answer, LOOSER * allowed(text, made.fixed, *(term.matrix for term in made.random.terms)))
    return "equal"


def test_random_formulas_give_rs_matrix(r: Worker) -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=MATRIX_REQUESTS, **SETTINGS)
    @given(frames(5, 16), frames(4, 4), st.lists(formulas, min_size=TOGETHER, max_size=TOGETHER))
    def run(data: pd.DataFrame, new: pd.DataFrame, texts: list[str]) -> None:
        request = {"id": "m", "what": "matrix", "data": encode(data), "newdata": encode(new), "formulas": texts}
        answers = r.ask(request)["quantities"]["answers"]
        for text, answer in zip(texts, answers, strict=True):
            seen[check_matrix(text, data, new, answer)] += 1

    run()
    assert seen.total() >= 3_000
    assert seen["equal"] >= 1_500
    assert seen["too large"] <= 30


def test_random_bars_give_lme4s_terms(r: Worker) -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=BAR_REQUESTS, **SETTINGS)
    @given(frames(20, 40), st.lists(bar_formulas, min_size=TOGETHER, max_size=TOGETHER))
    def run(data: pd.DataFrame, texts: list[str]) -> None:
        request = {"id": "b", "what": "bars", "data": encode(data), "formulas": texts}
        for text, answer in zip(texts, r.ask(request)["quantities"]["answers"], strict=True):
            seen[check_bars(text, data, answer)] += 1

    run()
    assert seen.total() >= 1_000
    assert seen["equal"] >= 400
    assert seen["infinite-values"] + seen["formula-too-large"] <= 60
