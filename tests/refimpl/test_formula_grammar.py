"""Reading and writing formulas: every rule of the grammar's docstring, R's text back, errors that name the place."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refimpl.errors import FormulaError
from refimpl.formula import Formula, deparse, has_bars, parse, split_bars, split_parts, terms
from refimpl.formula import bars as bars_module
from refimpl.formula import grammar as grammar_module
from refimpl.formula.deparse import format_double, is_syntactic, quote_name
from refimpl.formula.syntax import Call, Name, Number, Text

# R's text of a formula and what deparse(str2lang(text)) writes in R 4.2.2.
R_TEXTS = {
    "y~x": "y ~ x",
    "~x": "~x",
    "y~a*b+c/d-1": "y ~ a * b + c/d - 1",
    "y~(a+b)^2": "y ~ (a + b)^2",
    "y~(a+b)**2": "y ~ (a + b)^2",
    "y~a%in%b": "y ~ a %in% b",
    "y~a %% b+x%/%2": "y ~ a%%b + x%/%2",
    "y~a:b:c": "y ~ a:b:c",
    "y ~ - a + -1": "y ~ -a + -1",
    "y~ - -a": "y ~ --a",
    "y~!a+b": "y ~ !a + b",
    "y~(!a)+b": "y ~ (!a) + b",
    "y~a+!b+c": "y ~ a + !b + c",
    "y~I(2^-x:z)": "y ~ I(2^-x:z)",
    "y~I(-x^2)+I((-x)^2)": "y ~ I(-x^2) + I((-x)^2)",
    "y~a&b||!c": "y ~ a & b || !c",
    "y~I(a==b)": "y ~ I(a == b)",
    "y~log( x,base=2 )": "y ~ log(x, base = 2)",
    "y~`my var`+`x`": "y ~ `my var` + x",
    "y~`if`+`_u`+.h+`.5`": "y ~ `if` + `_u` + .h + `.5`",
    "y~I(x*1e5)+I(x*100000L)+I(x*0x1F)": "y ~ I(x * 1e+05) + I(x * 100000L) + I(x * 31)",
    "y~I(x+1e-3+1e-5+.5+5.)": "y ~ I(x + 0.001 + 1e-05 + 0.5 + 5)",
    "y~I(x+1234567890123456768)": "y ~ I(x + 1234567890123456768)",
    "y~I(x + 1e15 + 123456.7)": "y ~ I(x + 1e+15 + 123456.7)",
    "y~I(ch=='it\\'s')+I(ch==\"a\\\"b\\n\")": 'y ~ I(ch == "it\'s") + I(ch == "a\\"b\\n")',
    "y~I(ch=='\\u00e9\\x41\\101')": 'y ~ I(ch == "éAA")',
    "y~cut(x,c(-Inf,0,Inf),labels=NULL)": "y ~ cut(x, c(-Inf, 0, Inf), labels = NULL)",
    "y~TRUE+FALSE+NULL": "y ~ TRUE + FALSE + NULL",
    "y ~ x # why\n": "y ~ x",
    "\n\ny ~ (x\n +\n z)\n": "y ~ (x + z)",
    "y ~ x +\n\n z;": "y ~ x + z",
    "é ~ ü": "é ~ ü",
    "y~(x||g)+(1|a/b)": "y ~ (x || g) + (1 | a/b)",
}


@pytest.mark.parametrize(("text", "wanted"), R_TEXTS.items())
def test_deparse_gives_rs_text(text, wanted):
    formula = parse(text)
    assert deparse(formula) == str(formula) == wanted
    assert parse(wanted) == formula
    assert deparse(parse(wanted)) == wanted


def documented() -> dict[str, list[str]]:
    """The rules of the grammar's docstring with their examples: the cells that hold a `~`, two spaces apart."""
    lines = (grammar_module.__doc__ or "").split("\n\n")[2].splitlines()
    rules = {}
    for line in lines:
        rule, *cells = re.split(r"  +", line.strip())
        rules[rule if rule not in ("|", "&", "+", "*", "^") else f"{rule} {cells[0]}"] = [c for c in cells if "~" in c]
    return rules


def test_every_rule_of_the_grammar_has_an_example_that_parses():
    rules = documented()
    assert rules.pop("z") == []
    assert len(rules) == 20
    for rule, examples in rules.items():
        assert examples, rule
        for example in examples:
            formula = parse(example + "\n  z" if example.endswith("+") else example)
            assert parse(str(formula)) == formula, example


def test_every_form_of_a_bar_is_documented_and_parses():
    forms = re.findall(r"^    (\(\S+(?: \S+)*\))  ", bars_module.__doc__ or "", re.MULTILINE)
    assert len(forms) == 7
    for form in forms:
        formula = parse(f"y ~ x + {form}")
        assert has_bars(formula)
        fixed, found = split_bars(formula)
        assert str(fixed) == "y ~ x"
        assert len(found) >= 1


def test_the_tree_is_what_r_parses():
    formula = parse("y ~ -a:b^2 + f")
    assert formula.left == Name("y")
    minus = Call("-", (Name("a"),))
    power = Call("^", (Name("b"), Number(2.0)))
    assert formula.right == Call("+", (Call(":", (minus, power)), Name("f")))
    assert parse('~ I(x, y = "s")').right == Call("I", (Name("x"), Text("s")), (None, "y"))


@pytest.mark.parametrize(
    ("text", "kind", "place", "says"),
    [
        ("y ~ x +", "formula-syntax", (1, 8), "expected a term here, found the end of the formula"),
        ("y ~ (x", "formula-syntax", (1, 7), "expected ')'"),
        ("y ~ x)", "formula-syntax", (1, 6), "the formula has ended, but ')' follows"),
        ("y ~ x\n+ z", "formula-syntax", (2, 1), "the formula has ended"),
        ("y ~ x +\n z z", "formula-syntax", (2, 4), "'z' follows"),
        ("y ~ a < b < c", "formula-syntax", (1, 11), "comparisons cannot be chained"),
        ("y ~ _u", "formula-syntax", (1, 5), "cannot start with '_'"),
        ("y ~ 5a", "formula-syntax", (1, 5), "neither a number nor a name"),
        ("y ~ x²", "formula-syntax", (1, 6), "U+00B2"),
        ("y ~ log(x,)", "formula-syntax", (1, 11), "missing after the comma"),
        ("y ~ 'x", "formula-syntax", (1, 5), "never closed"),
        ("y ~ I(ch == '\\q')", "formula-syntax", (1, 13), "not an escape"),
        ("y ~ x ~ z", "formula-syntax", (1, 7), "one '~'"),
        ("x + z", "formula-syntax", (1, 1), "needs a '~'"),
        ("y ~ system('ls')", "formula-forbidden", (1, 5), "the function 'system' is not allowed"),
        ("y ~ x[1]", "formula-forbidden", (1, 6), "'[' is not allowed"),
        ("y ~ x$z", "formula-forbidden", (1, 6), "'$' is not allowed"),
        ("y ~ `log`(x)", "formula-forbidden", (1, 5), "plain name"),
        ("y ~ if", "formula-forbidden", (1, 5), "reserved word"),
        ("y ~ I(x + 0.12345678901234567)", "formula-forbidden", (1, 11), "15 significant digits"),
        ("y ~ " + "(" * 60 + "x" + ")" * 60, "formula-too-large", (1, 55), "nested parentheses"),
    ],
)
def test_error_names_the_place(text, kind, place, says):
    with pytest.raises(FormulaError, match=re.escape(says)) as caught:
        parse(text)
    assert caught.value.kind == kind
    assert f"(line {place[0]}, column {place[1]})" in str(caught.value)
    pointer = str(caught.value).splitlines()[-1]
    assert pointer == "  " + " " * (place[1] - 1) + "^"


def test_error_of_terms_names_the_place():
    with pytest.raises(FormulaError, match=r"only 0 and 1 can stand alone.*line 1, column 9"):
        terms(parse("y ~ x + 2"))
    with pytest.raises(FormulaError, match=r"at least 2.*line 1, column 12"):
        terms(parse("y ~ (a + b)^1"))


def test_a_long_sum_is_no_deep_formula():
    text = "y ~ " + " + ".join(f"x{i}" for i in range(1500))
    formula = parse(text)
    assert deparse(formula) == text
    assert len(terms(formula).labels) == 1500


def test_parts_share_the_left_side_and_the_dot_is_the_first_part():
    first, second, third = split_parts(parse("log(y) ~ a + b | . - b + z | w"))
    assert [str(p) for p in (first, second, third)] == ["log(y) ~ a + b", "log(y) ~ (a + b) - b + z", "log(y) ~ w"]
    assert split_parts(parse("y ~ x")) == (parse("y ~ x"),)


R_NUMBERS = {
    "0.1": 0.1, "1e+05": 1e5, "123456": 123456.0, "1e+15": 1e15, "1e-04": 0.0001, "0.333333333333333": 1 / 3,
    "0.3": 0.1 + 0.2, "1e-300": 1e-300, "1152921504606846976": 2.0**60, "-0.5": -0.5, "0": 0.0, "100000.5": 100000.5,
    "Inf": float("inf"), "NaN": float("nan"), "1e+22": 1e22, "0.00012": 0.00012, "3.14159265358979": 3.141592653589793,
}  # fmt: skip


@pytest.mark.parametrize(("text", "value"), R_NUMBERS.items())
def test_numbers_are_written_as_r_writes_them(text, value):
    assert format_double(value) == text


CHARACTERS = st.characters(exclude_characters="\0", exclude_categories=["Cs"])


@given(st.text(CHARACTERS, min_size=1, max_size=20))
def test_any_name_survives_in_backticks(name):
    formula = parse(f"y ~ {quote_name(name)}")
    assert formula.right == Name(name)
    assert quote_name(name).startswith("`") != is_syntactic(name)
    assert parse(str(formula)) == formula


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=0, max_value=1e300).map(lambda v: float(f"{v:.15g}")))
def test_any_number_of_15_digits_survives(value):
    formula = parse(f"~ I(x + {format_double(value)})")
    assert parse(str(formula)) == formula
    call = formula.right
    assert isinstance(call, Call)
    total = call.arguments[0]
    assert isinstance(total, Call)
    assert total.arguments[1] == Number(value)


NAMES = st.sampled_from(["a", "b", "x", "`my var`", ".h", "1", "0", "2.5", "3L", "TRUE", "'s'"])
OPERATORS = st.sampled_from(["+", "-", "*", "/", ":", "^", "%in%", "%%", "%/%", "&", "|", "&&", "||"])
EXPRESSIONS = st.recursive(
    NAMES,
    lambda inner: st.one_of(
        st.tuples(inner, OPERATORS, inner).map(" ".join),
        inner.map(lambda e: f"({e})"),
        st.tuples(st.sampled_from("+-!"), inner).map("".join),
        st.tuples(inner, st.sampled_from(["==", "!=", "<", ">=", "<=", ">"]), inner).map(lambda t: f"({' '.join(t)})"),
        st.lists(inner, min_size=1, max_size=3).map(lambda e: f"log({', '.join(e)})"),
        st.tuples(inner, inner).map(lambda t: f"cut({t[0]}, breaks = {t[1]})"),
    ),
    max_leaves=12,
)


def parsed(text: str) -> Formula | None:
    """A formula, or None where the drawing made chained comparisons."""
    try:
        return parse(text)
    except FormulaError:
        return None


@given(EXPRESSIONS.map("y ~ {}".format).map(parsed).filter(lambda formula: formula is not None))
def test_parse_of_deparse_is_the_identity(formula):
    again = parse(deparse(formula))
    assert (again.left, again.right) == (formula.left, formula.right)
    assert deparse(again) == deparse(formula)
