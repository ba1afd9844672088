"""R behind the line protocol, through rpy2 and through Rscript: values, bits, output, errors, and the formula gate."""

from __future__ import annotations

import json
import math
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compat.adapters.r import R_FOLDER, RImplementation, RRefused, r_home, worker_files
from compat.cases import case_in_memory
from compat.implementations import NotAvailable
from compat.worker import NA, Worker, decode_quantities, encode_double, is_na
from refimpl.formula.grammar import FUNCTIONS, OPERATORS, PANEL_FUNCTIONS

from .r_hosts import HOSTS, request, start_host


@pytest.fixture(params=HOSTS, scope="module")
def r(request: pytest.FixtureRequest) -> Iterator[Worker]:
    with start_host(request.param, hazards=True) as worker:
        yield worker


@pytest.fixture(scope="module")
def one_r() -> Iterator[Worker]:
    with start_host("rscript", hazards=True) as worker:
        yield worker


def doubles(*values: float) -> dict[str, Any]:
    return {"type": "double", "values": [encode_double(float(v)) for v in values]}


# ---- values -----------------------------------------------------------------------------------------------------

SPECIAL = [0.0, -0.0, 5e-324, -5e-324, 2.2250738585072014e-308, 2.225073858507201e-308, 1.7976931348623157e308]
EVERY_DOUBLE = st.integers(0, 2**64 - 1).map(lambda i: struct.unpack("<d", struct.pack("<Q", i))[0])
DRAWN = st.one_of(EVERY_DOUBLE, st.floats(), st.sampled_from([*SPECIAL, NA, math.nan, math.inf, -math.inf]))


def assert_same_bits(got: pd.Series, sent: list[float]) -> None:
    assert len(got) == len(sent)
    for back, x in zip(got, sent, strict=True):
        assert math.isnan(back) if math.isnan(x) else struct.pack("<d", back) == struct.pack("<d", x), x.hex()
        assert is_na(back) == is_na(x)


@pytest.mark.live
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(DRAWN, min_size=1, max_size=60))
def test_doubles_keep_their_bits_through_r(one_r: Worker, sent: list[float]) -> None:
    answer = one_r.ask(request("echo", data={"x": doubles(*sent)}))
    found = decode_quantities(answer["quantities"])
    assert_same_bits(found["x"], sent)
    assert list(found["missing"]) == [float(is_na(x)) for x in sent]
    assert list(found["not_a_number"]) == [float(math.isnan(x) and not is_na(x)) for x in sent]


@pytest.mark.live
def test_both_hosts_keep_the_bits(r: Worker) -> None:
    sent = [*SPECIAL, NA, math.nan, math.inf, -math.inf, 0.1, 1 / 3, *(2.0**-k for k in range(1, 1075, 7))]
    assert_same_bits(decode_quantities(r.ask(request("echo", data={"x": doubles(*sent)}))["quantities"])["x"], sent)


@pytest.mark.live
def test_labels_are_texts_of_any_alphabet(r: Worker) -> None:
    names = ["1", "é", "漢字", 'a "quoted" \\ name', "tab\tline\n", "NA", ""]
    answer = r.ask(request("echo", data={"x": doubles(*range(7))}, row_names=names))
    assert answer["quantities"]["x"]["labels"] == names


@pytest.mark.live
@pytest.mark.parametrize("levels", [["NA", "b"], ["NA", "NaN"], ["1", "2"], ["é", "TRUE"], ["b", "a"]])
def test_levels_stay_texts_in_their_order(r: Worker, levels: list[str]) -> None:
    data = {"y": doubles(1, 2, 4, 8), "g": {"type": "factor", "codes": [1, 2, 1, 2], "levels": levels}}
    answer = r.ask(request("lm", formula="y ~ g", data=data, want=["coef"]))
    assert answer["quantities"]["coef"]["labels"] == ["(Intercept)", "g" + levels[1]]


@pytest.mark.live
def test_missing_cells_drop_their_rows_by_name(r: Worker) -> None:
    data = {
        "y": {"type": "double", "values": ["0x1p+0", "NA", "0x1p+1", "0x1p+3", "0x1p+2"]},
        "n": {"type": "integer", "values": ["1", "2", "NA", "4", "7"]},
    }
    answer = r.ask(request("lm", formula="y ~ n", data=data, row_names=list("abcde"), want=["fitted", "n_dropped"]))
    found = decode_quantities(answer["quantities"])
    assert list(found["fitted"].index) == ["a", "d", "e"]
    assert found["n_dropped"] == 2.0


@pytest.mark.live
def test_only_the_wanted_quantities_are_answered_and_the_call_is_told(r: Worker) -> None:
    data = {"y": doubles(1, 2, 4), "x": doubles(0, 1, 2), "w": doubles(1, 2, 1)}
    answer = r.ask(
        request("lm", formula="y ~ x", data=data, options={"weights": "w"}, want=["sigma", "coef", "no_such"])
    )
    assert sorted(answer["quantities"]) == ["coef", "sigma"]
    assert answer["call"] == "lm(formula = y ~ x, data = data, weights = w)"
    assert answer["versions"]["R"] == answer["versions"]["stats"]


@pytest.mark.live
def test_one_coefficient_and_one_new_row_keep_their_labels(r: Worker) -> None:
    new = {"x": {"type": "double", "values": ["0x1p+2"]}}
    data = {"y": doubles(1, 2, 4), "x": doubles(1, 2, 3)}
    answer = r.ask(request("lm", formula="y ~ 0 + x", data=data, options={"newdata": new}))
    for name in ("coef", "std_error", "statistic", "p_value", "conf_low", "conf_high", "aliased"):
        assert answer["quantities"][name]["labels"] == ["x"], name
    for name in ("", "_se", "_conf_low", "_conf_high", "_pred_low", "_pred_high"):
        assert answer["quantities"]["predicted" + name]["labels"] == ["1"], name


# ---- output and errors ------------------------------------------------------------------------------------------


@pytest.mark.live
def test_what_r_prints_never_reaches_the_protocol(r: Worker) -> None:
    answer = r.ask(request("hazard_noise", "noisy"))
    assert answer["id"] == "noisy"
    assert answer["quantities"] == {"value": "0x1p+0"}
    assert answer["warnings"] == ["a warning"]


@pytest.mark.live
@pytest.mark.parametrize("line", ["", "no JSON", "[1, 2]", '{"id": "x", "estimator": {}}', "null", '{"id": 3}'])
def test_a_line_that_is_no_request_is_refused_and_the_next_answered(line: str) -> None:
    with start_host("rscript") as worker:
        command, env = worker.command, worker.env
    lines = f"{line}\n{json.dumps(request('no_such', 'next'))}\n"
    run = subprocess.run(command, input=lines, capture_output=True, text=True, env=env, timeout=120, check=True)
    first, second = (json.loads(answer) for answer in run.stdout.splitlines())
    assert first["error"]["kind"] == "bad-option"
    assert second["id"] == "next"


Y, X = doubles(1, 2, 4, 7), doubles(1, 2, 3, 5)
G = {"type": "factor", "codes": [1, 2, 1, 2], "levels": ["a", "b"]}
ONE = {"type": "factor", "codes": [1, 1, 1, 1], "levels": ["a"]}
TEXT = {"type": "character", "values": ["u", "v", "u", "v"]}
BAD: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "unknown column": ("unknown-column", "y ~ z", {}, {}),
    "unknown weights": ("unknown-column", "y ~ x", {}, {"weights": "w"}),
    "no rows": ("no-rows", "y ~ z", {"z": doubles(NA, NA, NA, NA)}, {}),
    "text response": ("non-numeric-response", "t ~ x", {"t": TEXT}, {}),
    "factor response": ("non-numeric-response", "g ~ x", {"g": G}, {}),
    "infinite": ("infinite-values", "y ~ z", {"z": doubles(1, math.inf, 2, 3)}, {}),
    "infinite response": ("infinite-values", "log(z) ~ x", {"z": doubles(1, 0, 2, 3)}, {}),
    "one level": ("one-level-factor", "y ~ o", {"o": ONE}, {}),
    "unseen level": (
        "unseen-level",
        "y ~ g",
        {"g": G},
        {"newdata": {"g": {"type": "character", "values": ["new"]}}},
    ),
    "negative weights": ("bad-option", "y ~ x", {"w": doubles(1, -1, 1, 1)}, {"weights": "w"}),
    "text weights": ("bad-option", "y ~ x", {"w": TEXT}, {"weights": "w"}),
    "no number": ("bad-option", "y ~ x", {}, {"level": "much"}),
    "column lengths": ("bad-option", "y ~ x", {"z": doubles(1)}, {}),
    "code without level": ("bad-option", "y ~ x", {"z": {**G, "codes": [1, 2, 3, 1]}}, {}),
    "column type": ("bad-option", "y ~ x", {"z": {"type": "date", "values": ["1"] * 4}}, {}),
    "syntax": ("formula-syntax", "y ~ x +", {}, {}),
    "no formula": ("formula-syntax", "y + x", {}, {}),
}


@pytest.mark.live
@pytest.mark.parametrize("name", BAD)
def test_refusals_have_the_shared_kinds(one_r: Worker, name: str) -> None:
    kind, formula, columns, options = BAD[name]
    answer = one_r.ask(request("lm", formula=formula, data={"y": Y, "x": X, **columns}, options=options))
    assert "error" in answer, answer
    assert answer["error"]["kind"] == kind, answer
    assert answer["error"]["message"]


# ---- the second formula gate ------------------------------------------------------------------------------------


def allowed() -> set[str]:
    return set((R_FOLDER / "allowed.txt").read_text(encoding="utf-8").splitlines())


def test_both_gates_allow_the_same_functions() -> None:
    assert allowed() == (FUNCTIONS | OPERATORS) - {"~"}


CODE = "file.create('PWNED')"
HOSTILE = [
    f"y ~ x + I({CODE})",
    f"{{{CODE}; y ~ x}}",
    f"y ~ x; {CODE}",
    f"y ~ x\n{CODE}",
    f"y ~ (function() {CODE})()",
    f"y ~ (\\(z) {CODE})(x)",
    f"y ~ base::{CODE}",
    f"y ~ base:::{CODE}",
    "y ~ `file.create`('PWNED') + x",
    "y ~ 'file.create'('PWNED')",
    f"y ~ eval(quote({CODE}))",
    f'y ~ eval(parse(text = "{CODE}"))',
    "y ~ do.call('file.create', list('PWNED'))",
    "y ~ sapply('PWNED', file.create)",
    "y ~ Reduce(file.create, c('PWNED', 'PWNED'))",
    "y ~ get('file.create')('PWNED')",
    "y ~ match.fun('file.create')('PWNED')",
    "y ~ x + system('touch PWNED')",
    "y ~ x + I(system2('touch', 'PWNED'))",
    "y ~ I(shell('touch PWNED'))",
    "y ~ I(writeLines('x', 'PWNED'))",
    "y ~ I(cat('x', file = 'PWNED'))",
    "y ~ source('PWNED')",
    "y ~ library(rms)",
    "y ~ loadNamespace('rms')",
    "y ~ .Internal(quit('no', 0, FALSE))",
    "y ~ .Call('x')",
    "y ~ quit()",
    "y ~ x + q('no')",
    "y ~ I(Sys.setenv(A = 'b'))",
    "y ~ I(Sys.sleep(60))",
    "y ~ repeat {}",
    "y ~ while (TRUE) x",
    "y ~ for (i in 1:10) x",
    "y ~ if (TRUE) x else y",
    f"y ~ ifelse(TRUE, {CODE}, x)",
    f"{CODE} ~ x",
    f"log({CODE}) ~ x",
    f"y ~ offset({CODE})",
    f"y ~ poly(x, {CODE})",
    f"y ~ x + (1 | {{{CODE}; g}})",
    f"y ~ x | {CODE}",
    "y ~ C(g, 'file.create')",
    "y ~ C(g, file.create)",
    "y ~ C(g, c('file.create'))",
    "y ~ C(g, contr = 'file.remove')",
    "y ~ C(contr = 'file.remove', object = g)",
    "y ~ C(g, t)",
    "y ~ C(g, as.character(t))",
    "y ~ C(g, ifelse(TRUE, 'unlink', 'contr.sum'))",
    "y ~ x <- y",
    "y ~ (x <<- 1)",
    "assign('x', 1) ~ x",
    "y ~ x$names",
    "y ~ x[[1]]",
    "y ~ x[1]",
    "y ~ x@y",
    "y ~ ?x",
    "y ~ attr(x, 'a')",
    "y ~ environment()",
    "y ~ globalenv()$request",
    "y ~ request",
    "y ~ estimators",
    "y ~ T",
    "y ~ pi * x",
    "y ~ letters",
    "y ~ data",
    "y ~ formula",
    "y ~ ..1",
    "y ~ I(...)",
    "y ~ factor(x, )",
    "y ~ x ~ y",
    "y ~ I(~ x)",
    "y ~ with(data, x)",
    "y ~ 1i * x",
    "y ~ x\x00 + system('touch PWNED')",
    "y ~ ｅval(x)",
    "y ~ ѕystem('touch PWNED')",
    "y ~ x |> file.create()",
    "~",
    "",
    "y ~",
    "`",
    "y ~ 'PWNED",
]
TOO_LARGE = [
    "y ~ " + "(" * 3000 + "x" + ")" * 3000,
    "y ~ " + "-" * 3000 + "x",
    "y ~ " + "I(" * 1000 + "x" + ")" * 1000,
    "y ~ " + " + ".join(["x"] * 20000),
    "y ~ (x + g + y)^100000000",
    "y ~ x" + " + (x" * 200 + ")" * 200,
    "y ~ x" + ":x" * 1000,
    "y ~ " + "(" + " + ".join(f"I(x + {i})" for i in range(40)) + ")^20",
    "y ~ " + " * ".join(f"I(x + {i})" for i in range(30)),
    "y ~ " + ":".join(f"({' + '.join(f'I(x + {i})' for i in range(9))})" for _ in range(6)),
    "y ~ I(1:1000000000)",
    "y ~ poly(x, 1000000)",
    "y ~ ns(x, df = 1e9)",
    "y ~ C(g, contr.sum(1e6))",
    "y ~ I(sum" + "x" * 30000 + ")",
]


def gate(r: Worker, formula: str) -> dict[str, Any]:
    data = {"y": Y, "x": X, "g": G, "t": {"type": "character", "values": ["file.create"] * 4}}
    return r.ask(request("lm", formula=formula, data=data, want=["coef"]))


@pytest.fixture
def sentinel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "PWNED"


@pytest.mark.live
def test_hostile_formulas_are_refused_and_run_nothing(sentinel: Path) -> None:
    assert len(HOSTILE) >= 60
    with start_host("rscript") as worker:
        worker.timeout = 30.0
        for formula in HOSTILE:
            error = gate(worker, formula).get("error", {})
            assert error.get("kind") in ("formula-forbidden", "formula-syntax", "unknown-column"), (formula, error)
            assert list(sentinel.parent.iterdir()) == [], formula
        assert gate(worker, "y ~ x")["quantities"]["coef"]["labels"] == ["(Intercept)", "x"]


@pytest.mark.live
@pytest.mark.parametrize("formula", TOO_LARGE, ids=lambda text: text[:24])
def test_formulas_without_measure_are_refused(one_r: Worker, formula: str) -> None:
    error = gate(one_r, formula).get("error", {})
    assert error.get("kind") in ("formula-too-large", "formula-syntax", "formula-forbidden"), error


@pytest.mark.live
def test_further_models_and_hidden_names_pass_the_same_gate(one_r: Worker, sentinel: Path) -> None:
    data = {"y": Y, "x": X}
    answer = one_r.ask(request("anova", formula="y ~ 1", data=data, options={"formulas": [f"y ~ x + I({CODE})"]}))
    assert answer["error"]["kind"] == "formula-forbidden"
    assert not sentinel.exists()


PANEL = {"g": {"type": "integer", "values": [1, 1, 2, 2]}, "t": {"type": "integer", "values": [1, 2, 1, 2]}}


def panel_gate(r: Worker, formula: str) -> dict[str, Any]:
    options = {"index": ["g", "t"], "model": "pooling"}
    return r.ask(request("plm", formula=formula, data={"y": Y, "x": X} | PANEL, options=options, want=["nobs"]))


def test_the_gate_of_panels_allows_plm_its_own_functions() -> None:
    text = (R_FOLDER / "plm.R").read_text(encoding="utf-8")
    listed = re.search(r"^panel_functions <- c\((.*)\)$", text, re.MULTILINE)
    assert listed is not None
    assert set(re.findall(r'"(\w+)"', listed.group(1))) == PANEL_FUNCTIONS


@pytest.mark.live
def test_plm_has_its_functions_in_panels_only_and_nothing_more(one_r: Worker, sentinel: Path) -> None:
    for name in sorted(PANEL_FUNCTIONS):
        formula = f"y ~ {name}(x)"
        let_through = panel_gate(one_r, formula)  # to plm, which finds too few rows for some
        assert let_through.get("error", {}).get("kind") in (None, "rank-deficient"), let_through
        assert gate(one_r, formula)["error"]["kind"] == "formula-forbidden"
        assert panel_gate(one_r, f"y ~ {name}({CODE})")["error"]["kind"] == "formula-forbidden"
    assert panel_gate(one_r, "y ~ cumsum(x)")["error"]["kind"] == "formula-forbidden"
    assert gate(one_r, "y ~ lag(x)")["error"]["kind"] == "formula-forbidden"  # after a refusal of a panel's formula too
    assert not sentinel.exists()


GOOD = [
    "y ~ x * g",
    "log(y) ~ poly(x, 2, raw = TRUE)",
    "y ~ 0 + g:x",
    "y ~ ns(x, 2)",
    "y ~ bs(x, df = 3, degree = 2)",
    "y ~ scale(x) + offset(log(y))",
    "y ~ C(g, contr.sum)",
    "y ~ C(g, 'contr.helmert', 1)",
    "y ~ C(g, contr.treatment(2, base = 2))",
    "y ~ C(g, c(-1, 1))",
    "y ~ factor(x > 2, labels = c('low', 'high'))",
    "y ~ relevel(g, ref = 'b')",
    "y ~ cut(x, c(0, 2, 6))",
    "y ~ interaction(g, x > 3, sep = '')",
    "y ~ I(x^2) + I(x %/% 2) + I(x %% 2)",
    "y ~ ifelse(is.na(x), 0, x)",
    "y ~ g %in% x",
    "y ~ (x + g)^2 - x:g",
    "y ~ I(-x) + I(!(x > 2 & y < 3 | x == 1))",
    "y ~ .",
    "y ~ x + as.numeric(g == 'a')",
]


@pytest.mark.live
@pytest.mark.parametrize("formula", GOOD)
def test_the_gate_lets_pass_what_is_allowed(one_r: Worker, formula: str) -> None:
    data = {"y": doubles(1, 2, 4, 7, 5, 3, 1, 9), "x": doubles(1, 2, 3, 5, 4, 2, 6, 1), "g": {**G, "codes": [1, 2] * 4}}
    answer = one_r.ask(request("lm", formula=formula, data=data, want=["coef"]))
    assert answer["quantities"]["coef"]["labels"], answer


@pytest.mark.live
def test_a_long_sum_is_not_a_deep_one(one_r: Worker) -> None:
    formula = "y ~ " + " + ".join(f"I(x + {i})" for i in range(1, 1000))
    answer = gate(one_r, formula)
    assert len(answer["quantities"]["coef"]["labels"]) == 1000, answer


# ---- the implementation -----------------------------------------------------------------------------------------


@pytest.fixture
def implementation() -> Iterator[RImplementation]:
    with start_host("rscript"):
        found = RImplementation(host="rscript")
    yield found
    found.close()


@pytest.mark.live
def test_the_implementation_returns_quantities_by_label(implementation: RImplementation) -> None:
    frame = pd.DataFrame({"y": [1.0, 2.0, 4.0], "x": [0.0, 1.0, 2.0]})
    found = implementation.fit(case_in_memory("lm", "y~x", frame))
    np.testing.assert_allclose(found["coef"]["x"], 1.5, rtol=1e-15)
    assert list(found["vcov"].columns) == ["(Intercept)", "x"]
    assert implementation.version.count(".") == 2


@pytest.mark.live
@pytest.mark.parametrize(("formula", "kind"), [("y ~ system('x')", "formula-forbidden"), ("y ~ x +", "formula-syntax")])
def test_r_speaks_for_itself_where_it_refuses(implementation: RImplementation, formula: str, kind: str) -> None:
    frame = pd.DataFrame({"y": [1.0, 2.0, 4.0], "x": [0.0, 1.0, 2.0]})
    with pytest.raises(RRefused) as refused:
        implementation.fit(case_in_memory("lm", formula, frame))
    assert refused.value.kind == kind


@pytest.mark.live
def test_r_may_start_up_beforehand(implementation: RImplementation) -> None:
    implementation.prepare()
    implementation.prepare()
    assert implementation.version == ""
    assert implementation.ask(request("versions"))["versions"]["R"] == implementation.version


def test_where_no_host_answers_every_reason_is_told() -> None:
    with pytest.raises(NotAvailable, match=r"R does not start \(command: .*status 0.*rcompat doctor"):
        RImplementation(command=[sys.executable, "-c", ""]).ask(request("versions"))


@pytest.mark.live
def test_provenance_names_what_the_numbers_depend_on(implementation: RImplementation) -> None:
    found = implementation.provenance("robcov")
    assert found["r_version"].startswith("R version ")
    assert {"jsonlite", "rms", "sandwich", "clubSandwich", "lmtest", "lme4", "plm"} <= found["packages"].keys()
    assert found["blas"]
    assert found["lapack"]
    assert "LC_COLLATE=C;" in found["locale"]
    assert len(found["r_code_sha256"]) == 64
    assert found["host"] == "rscript"


def test_an_answer_depends_on_its_own_rooms_only() -> None:
    lm = [path.name for path in worker_files("lm")]
    robcov = [path.name for path in worker_files("robcov")]
    assert lm == ["worker.R", "allowed.txt", "lm.R"]
    assert robcov == [*lm, "robcov.R"]
    assert all(path.is_file() for path in worker_files())


def test_without_r_the_reason_tells_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("R_HOME", raising=False)
    with pytest.raises(NotAvailable, match=r"no R on the path: .*install-debian\.sh"):
        r_home()
    with pytest.raises(NotAvailable):
        RImplementation().ask(request("versions"))
