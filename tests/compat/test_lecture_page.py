"""`rcompat lecture`: the page holds every number and picture, loads nothing from outside, and says what is missing."""

from __future__ import annotations

import base64
import csv
import re
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from typer.testing import CliRunner

from compat.cli import app
from compat.compare import Verdict
from compat.data import DataUnavailable, fixtures_root, load_data
from compat.lecture import run, simulations
from compat.lecture.content import Chapter, Check, Checks, Code, Formula, Missing, Slip, Table, Text
from compat.lecture.mathml import UnknownTeX, mathml
from compat.lecture.page import computed, layout, prose, render, table_rows
from compat.lecture.schools import hierarchies

PICTURES = {"clones", "coverage", "variance-bias", "hiv-densities", "country-slopes", "caterpillar"}
WITHOUT_PANEL = {"clones", "coverage", "variance-bias"}


class Page(HTMLParser):
    """What a browser would load, link to and show."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: Counter[str] = Counter()
        self.images: list[dict[str, str]] = []
        self.open: list[str] = []
        self.shown: list[str] = []
        self.marks: Counter[str] = Counter()
        self.unclosed: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags[tag] += 1
        self.loaded += [given[name] for name in ("src", "srcset", "data", "poster", "background") if name in given]
        self.links += [given["href"]] if "href" in given else []
        self.ids += [given["id"]] if "id" in given else []
        if tag == "img":
            self.images.append(given)
        if given.get("role") == "img" and "mark" in given.get("class", ""):
            self.marks[given["aria-label"]] += 1
        if tag not in ("meta", "img", "br", "wbr", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unclosed.append(tag)

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.shown.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.shown).split())


def quick(patch: pytest.MonkeyPatch) -> None:
    """Simulations of few replicates: what the page says of them is not looked at here."""
    patch.setattr(run, "cluster_coverage", lambda: simulations.cluster_coverage(replicates=60))
    patch.setattr(run, "variance_bias", lambda: simulations.variance_bias(replicates=60))


def unavailable(name: str) -> pd.DataFrame:
    raise DataUnavailable("the panel <is> not here")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> run.Made:
    try:
        load_data("hiv-deaths")
    except DataUnavailable as absent:
        pytest.skip(absent.reason)
    with pytest.MonkeyPatch.context() as patch:
        quick(patch)
        return run.make(tmp_path_factory.mktemp("lecture"))


@pytest.fixture(scope="module")
def partial(tmp_path_factory: pytest.TempPathFactory) -> run.Made:
    with pytest.MonkeyPatch.context() as patch:
        quick(patch)
        patch.setattr(run, "load_data", unavailable)
        return run.make(tmp_path_factory.mktemp("partial"))


def parsed(made: run.Made) -> Page:
    return Page(made.page.read_text(encoding="utf-8"))


# -- what is written -------------------------------------------------------------------------------------------------


def test_files_are_written_and_named(whole: run.Made) -> None:
    out = whole.page.parent
    names = {file.relative_to(out).as_posix() for file in whole.files}
    assert names == {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {f"figures/{name}{suffix}" for name in PICTURES for suffix in (".svg", ".png")} <= names
    tables = {"printed-numbers", "coverage", "variance-bias", "levels", "levels-tests", "country-coefficients", "anova"}
    assert {f"tables/{name}.csv" for name in tables} <= names
    assert len(names) == len(whole.files) == 1 + 12 + 14


def test_table_of_printed_numbers_has_every_one(whole: run.Made) -> None:
    with (whole.page.parent / "tables/printed-numbers.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert Counter(row["verdict"] for row in rows) == whole.verdicts == {"MATCH": 427, "MATCH_UNDER_CONVENTION": 28}
    assert {row["block"] for row in rows} >= {"ols", "lm", "plm", "lmer-slope", "anova", "coef", "mean"}
    by_name = {(row["block"], row["what"]): row for row in rows}
    assert by_name["clones-robcov", "std_error[bigX]"]["printed"] == "0.1352"
    assert by_name["anova", "chisq[HLMfit1]"]["printed"] == "404.1"
    assert float(by_name["mean", "value[1]"]["computed"]) == pytest.approx(0.156798, abs=5e-7)


def test_coverage_and_bias_are_written_in_full(whole: run.Made) -> None:
    coverage = pd.read_csv(whole.page.parent / "tables/coverage.csv")
    assert list(coverage.columns) == ["clusters", "estimator", "df", "coverage", "mc_error", "std_error"]
    assert len(coverage) == 4 * 11
    bias = pd.read_csv(whole.page.parent / "tables/variance-bias.csv")
    assert len(bias) == 6 * 2
    assert {"bias", "mc_error", "theory"} <= set(bias.columns)


def test_same_lecture_is_written_to_the_same_bytes(partial: run.Made, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        quick(patch)
        patch.setattr(run, "load_data", unavailable)
        again = run.make(tmp_path)
    for one, other in zip(partial.files, again.files, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


# -- the page --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["whole", "partial"])
def test_page_loads_nothing_from_outside(which: str, request: pytest.FixtureRequest) -> None:
    made: run.Made = request.getfixturevalue(which)
    text, page = made.page.read_text(encoding="utf-8"), parsed(made)
    assert page.loaded
    assert [url[:40] for url in page.loaded if not url.startswith("data:image/svg+xml;base64,")] == []
    assert [link for link in page.links if not link.startswith("#")] == []
    assert page.tags.keys() & {"script", "link", "iframe", "object", "embed", "base", "form"} == set()
    css = "".join(re.findall(r"<style>(.*?)</style>", text, flags=re.DOTALL))
    assert len(css) > 1000
    assert re.search(r"url\(|@import|https?:", css) is None
    assert "default-src 'none'" in text
    for url in page.loaded:
        svg = base64.b64decode(url.partition(",")[2]).decode()
        outside = re.findall(r"(?:href|src)=\"(?!#|data:)([^\"]*)\"|url\((?!#)([^)]*)\)|<(?:script|image)", svg)
        assert outside == []


@pytest.mark.parametrize("which", ["whole", "partial"])
def test_page_is_well_formed_and_its_links_lead_somewhere(which: str, request: pytest.FixtureRequest) -> None:
    page = parsed(request.getfixturevalue(which))
    assert page.unclosed == []
    assert page.open == []
    assert [name for name, count in Counter(page.ids).items() if count > 1] == []
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert page.tags["h1"] == 1


def test_page_shows_every_picture_and_describes_it(whole: run.Made, partial: run.Made) -> None:
    for made, names in ((whole, PICTURES), (partial, WITHOUT_PANEL)):
        page = parsed(made)
        assert {one.removeprefix("figure-") for one in page.ids if one.startswith("figure-")} == names
        assert len(page.images) == len(names)
        assert all(len(image["alt"]) > 40 for image in page.images)
        for image in page.images:
            ElementTree.fromstring(base64.b64decode(image["src"].partition(",")[2]))


def test_page_marks_every_printed_number(whole: run.Made) -> None:
    page = parsed(whole)
    assert page.marks == {str(verdict): count for verdict, count in whole.verdicts.items()}
    chapters = [one for one in page.ids if not one.startswith(("figure-", "table-", "slip-"))]
    assert chapters == [
        "top", "estimators", "illustration", "robust", "clones", "rescue", "cautions", "hlm", "estimation", "hiv",
        "ols", "fixed", "random", "slopes", "testing", "coefficients", "extensions",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "shown",
    [
        "0.1352", "0.1352417", "984.69", "404.1", "404.0510", "0.156798", "0.156798035", "−0.0987550",
        "R2 * df.residual / N", "REML for ML", "rounded twice", "lacks a minus", "K × K already", "0.0338",
        "13.8155", "455 printed numbers", "refimpl.hlm",
        "math ~ 1 + ses + size + ses:size + (1 + ses | class) + (1 | school) + (1 | district)",
    ],
)  # fmt: skip
def test_page_says_what_the_lecture_comes_to(shown: str, whole: run.Made) -> None:
    assert shown in parsed(whole).text


def test_page_without_the_panel_says_why(partial: run.Made) -> None:
    page = parsed(partial)
    assert partial.missing.startswith("the panel <is> not here; or name the file")
    assert page.text.count("the panel <is> not here") == 1 + 7
    assert partial.verdicts == {Verdict.MATCH: 80}
    assert page.marks == {"MATCH": 80}
    for slug in ("hiv", "ols", "fixed", "random", "slopes", "testing", "coefficients", "extensions"):
        assert slug in page.ids
    assert "cross-level interaction" in page.text


def test_text_is_escaped_and_code_marked() -> None:
    hostile = "<script>alert(1)</script>"
    check = Check("coef", (hostile,), "1.0", 1.0, Verdict.UNEXPLAINED, hostile)
    blocks = [
        Text(f"a `b < c` {hostile} -1"), Slip(hostile, hostile), Code(hostile, hostile), Missing(hostile),
        Table("t", pd.DataFrame({hostile: [hostile]}), hostile), Checks("c", hostile, (check,)),
        Formula("x < y", hostile),
    ]  # fmt: skip
    text = render([Chapter("one", hostile, "robust", blocks)], {}, hostile, hostile)
    assert "<script" not in text
    assert "<code>b &lt; c</code>" in text
    assert str(prose("from -0.5 to x-1, `-1`")) == "from −0.5 to x-1, <code>-1</code>"
    assert Page(text).marks == {"UNEXPLAINED": 1}
    assert "1 printed number: it does not agree" in Page(text).text


# -- how numbers and tables stand --------------------------------------------------------------------------------------


def check(quantity: str, *labels: str) -> Check:
    return Check(quantity, labels, "1", 1.0, Verdict.MATCH)


def test_quantities_of_the_same_labels_share_a_grid() -> None:
    rows = [check(q, label) for label in ("a", "b") for q in ("coef", "std_error")]
    found = layout(Checks("x", "x", (check("sigma"), *rows, check("quantile", "Min"), check("quantile", "Max"))))
    assert [one.what for one in found.single] == ["sigma"]
    first, second = found.grids
    assert (first.rows, first.columns) == (("a", "b"), ("coef", "std_error"))
    assert first.cells["b", "coef"].what == "coef[b]"
    assert (second.rows, second.columns) == (("quantile",), ("Min", "Max"))


def test_matrix_keeps_its_triangle_and_unlike_rows_stand_apart() -> None:
    corner = [check("cor", "b", "a"), check("cor", "c", "a"), check("cor", "c", "b")]
    (grid,) = layout(Checks("x", "x", tuple(corner))).grids
    assert (grid.corner, grid.rows, grid.columns) == ("cor", ("b", "c"), ("a", "b"))
    assert set(grid.cells) == {("b", "a"), ("c", "a"), ("c", "b")}
    summary = [check("summary", "x", one) for one in ("Min.", "Max.")] + [check("summary", "f", one) for one in "uv"]
    assert [one.rows for one in layout(Checks("x", "x", tuple(summary))).grids] == [("x",), ("f",)]


def test_every_check_stands_once_on_the_page(whole: run.Made) -> None:
    from compat.lecture.printed import printed_checks

    for block in printed_checks([]).values():
        found = layout(block)
        shown = [*found.single, *(cell for grid in found.grids for cell in grid.cells.values())]
        assert sorted(one.what for one in shown) == sorted(one.what for one in block.rows)


@pytest.mark.parametrize(
    ("printed", "value", "shown"),
    [
        ("0.1352", 0.13524166981, "0.1352417"),
        ("-1338.4", -1338.43020599, "−1338.4302"),
        ("<2e-16", 1.83e-88, "1.83e−88"),
        ("8.67e-16", 8.6719e-16, "8.67e−16"),
        ("0.0000", 4.3e-15, "4.3e−15"),
        ("1557", 1557.0, ""),
        ("0.000", 0.0, ""),
        ("2699", 2698.8604, "2698.860"),
        ("1.5", None, "not computed"),
        ("1.5", float("nan"), "nan"),
    ],
)
def test_computed_number_has_more_digits_than_the_printed_one(printed: str, value: float | None, shown: str) -> None:
    assert computed(Check("coef", (), printed, value, Verdict.MATCH)) == shown


def test_tables_keep_whole_numbers_whole() -> None:
    frame = pd.DataFrame({"n": [1, 20], "x": [0.5, -1234.5678], "y": [1.0, None], "z": ["a", None]})
    headings, rows = table_rows(Table("t", frame, "", digits=3, index=False))
    assert headings == [("n", True), ("x", True), ("y", True), ("z", False)]
    assert [[text for text, _ in row] for row in rows] == [["1", "0.500", "1", "a"], ["20", "−1.23e+03", "", ""]]
    _, rows = table_rows(Table("t", frame, "", decimals=1, index=False))
    assert [row[1][0] for row in rows] == ["0.5", "−1234.6"]


# -- formulas ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tex", "expected"),
    [
        ("x", "<mi>x</mi>"),
        ("-2.5", '<mo>−</mo><mn>2.5</mn>'),
        ("a_1", "<msub><mi>a</mi><mn>1</mn></msub>"),
        ("a_{ij}^2", "<msubsup><mi>a</mi><mrow><mi>i</mi><mi>j</mi></mrow><mn>2</mn></msubsup>"),
        ("X'", "<msup><mi>X</mi><mrow><mo>′</mo></mrow></msup>"),
        (r"\beta", "<mi>β</mi>"),
        (r"\mathbf{\Omega}", '<mi class="bold" mathvariant="normal">Ω</mi>'),
        (r"\mathrm{GDP\_x}", '<mi mathvariant="normal">GDP_x</mi>'),
        (r"\text{a < b}", '<mi mathvariant="normal">a\xa0&lt;\xa0b</mi>'),
        (r"\frac{1}{n}", "<mfrac><mrow><mn>1</mn></mrow><mrow><mi>n</mi></mrow></mfrac>"),
        (
            r"\sum_{i}^N x",
            '<munderover><mo movablelimits="false">∑</mo><mrow><mi>i</mi></mrow><mi>N</mi></munderover><mi>x</mi>',
        ),
        (r"\hat{u}", '<mover accent="true"><mrow><mi>u</mi></mrow><mo stretchy="false">^</mo></mover>'),
        (
            r"\left(x\right)^2",
            '<msup><mrow><mo stretchy="true">(</mo><mi>x</mi><mo stretchy="true">)</mo></mrow><mn>2</mn></msup>',
        ),
    ],
)  # fmt: skip
def test_formula_becomes_mathml(tex: str, expected: str) -> None:
    assert mathml(tex, display=False) == f"<math><mrow>{expected}</mrow></math>"


def test_aligned_rows_become_a_table() -> None:
    found = ElementTree.fromstring(mathml("\\begin{align}\n  y &= x \\\\\n  z &= 1\n\\end{align}", label="y < z"))
    assert [len(row) for row in found.iter("mtr")] == [2, 2]
    assert found.attrib == {"display": "block", "aria-label": "y < z"}


@pytest.mark.parametrize("tex", [r"\unknown", "{x", r"\left(x", "x_", "x^", r"\frac{1}", "x}", "§", r"\left( x ]"])
def test_what_is_not_known_is_refused_and_not_dropped(tex: str) -> None:
    with pytest.raises(UnknownTeX):
        mathml(tex)


def test_every_formula_is_well_formed(whole: run.Made) -> None:
    text = whole.page.read_text(encoding="utf-8")
    formulas = re.findall(r"<math.*?</math>", text, flags=re.DOTALL)
    assert len(formulas) == 8
    for formula in formulas:
        ElementTree.fromstring(formula)
    for model in hierarchies().values():
        found = ElementTree.fromstring(mathml(model.latex()))
        assert len(list(found.iter("mtr"))) == model.latex().count("&=")


# -- the command -------------------------------------------------------------------------------------------------------


def invoked(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["lecture", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, " ".join(result.stderr.split())


def test_command_tells_each_step_and_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    monkeypatch.setattr(run, "load_data", unavailable)
    code, out, errors = invoked("--out", str(tmp_path))
    assert code == 0
    assert "80 MATCH" in out
    assert "lecture.html and 12 files beside it" in out
    steps = [f"[{number}/{len(run.STEPS)}] {step}" for number, step in enumerate(run.STEPS, 1)]
    assert " ".join(steps) in errors
    assert "NOT_RUN: the panel <is> not here" in errors


def test_command_takes_the_panel_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: run.Made) -> None:
    quick(monkeypatch)
    monkeypatch.setattr(run, "load_data", unavailable)
    path = run.find_panel(None)
    assert isinstance(path, str)
    monkeypatch.undo()
    quick(monkeypatch)
    file = run.find_panel(None)
    assert not isinstance(file, str)
    copy = tmp_path / "panel.csv"
    copy.write_bytes(file.file.read_bytes())
    monkeypatch.setattr(run, "load_data", unavailable)
    code, out, errors = invoked("--out", str(tmp_path / "out"), "--data", str(copy))
    assert (code, "NOT_RUN" in errors) == (0, False)
    assert "427 MATCH, 28 MATCH_UNDER_CONVENTION" in out
    assert (tmp_path / "out/lecture.html").read_bytes() == whole.page.read_bytes()


def test_command_fails_where_a_printed_number_is_not_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: run.Made
) -> None:
    quick(monkeypatch)
    file = run.find_panel(None)
    assert not isinstance(file, str)
    lines = file.file.read_text().splitlines(keepends=True)
    changed = tmp_path / "HIVDeaths.csv"
    changed.write_text("".join([*lines[:300], *lines[340:]]))
    code, out, _ = invoked("--out", str(tmp_path / "out"), "--data", str(changed))
    assert code == 1
    assert "UNEXPLAINED" in out
    assert '<span class="mark differs"' in (tmp_path / "out/lecture.html").read_text()


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"", b"\xff\xfe\x00"])
def test_command_refuses_a_file_that_is_not_the_panel(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    (tmp_path / "other.csv").write_bytes(content)
    code, _, errors = invoked("--out", str(tmp_path / "out"), "--data", str(tmp_path / "other.csv"))
    assert code == 2
    assert "Invalid value for --data" in errors
    assert not (tmp_path / "out").exists()


def test_command_says_where_it_cannot_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "compose", lambda data, tell: ([Chapter("one", "One", "robust")], ""))
    (tmp_path / "file").write_text("")
    code, _, errors = invoked("--out", str(tmp_path / "file" / "out"))
    assert code == 2
    assert "cannot write" in errors


@pytest.mark.parametrize("module", ["jinja2", "matplotlib"])
def test_command_names_the_extra_that_is_missing(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in sys.modules if one.startswith("compat.lecture.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    code, _, errors = invoked("--out", str(tmp_path))
    assert code == 2
    assert "pip install 'rcompat[report]'" in errors


def test_templates_lie_beside_the_module() -> None:
    folder = Path(run.__file__).parent
    assert (folder / "page.html.j2").is_file()
    assert (folder / "page.css").is_file()
    assert fixtures_root().joinpath("published", "lecture", "session.txt").is_file()
