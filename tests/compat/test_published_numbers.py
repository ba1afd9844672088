from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compat.published import Line, Sort, numbers_of, read_number
from compat.published.numbers import is_epsilon, without_trailing_zeros


def number(text: str):
    found = read_number(text)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("0.156798", "0.156798", "0.000001"),
        ("-9.9", "-9.9", "0.1"),
        ("2699", "2699", "1"),
        ("8.67e-16", "8.67e-16", "1e-18"),
        ("1e+05", "1e5", "1e5"),
        ("0.000000099", "9.9e-8", "1e-9"),
        (".5", "0.5", "0.1"),
        ("-0.000", "0", "0.001"),
        ("2.70e+03", "2700", "10"),
    ],
)
def test_a_number_is_its_decimal_and_the_place_of_its_last_digit(text: str, value: str, unit: str) -> None:
    found = number(text)
    assert found.sort is Sort.NUMBER
    assert found.value == Fraction(value)
    assert found.unit == Fraction(unit)
    assert found.interval == (found.value - found.unit / 2, found.value + found.unit / 2)


@pytest.mark.parametrize("text", ["", "-", ".", "e5", "1e", "abc", "<", "0e+40", "1e99999", "1" * 500])
def test_what_is_no_number_of_r_is_none(text: str) -> None:
    assert read_number(text) is None


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("0.156798", [0.1567975001, 0.1567984999], [0.1567974, 0.1567986]),
        ("0.26126", [0.261256], [0.261254878]),
        ("4.428", [4.4275001], [4.42748055]),
        ("1944", [1944.5, 1943.6], [1943.4, 1944.6]),  # ties go to the even digit
        ("1946", [1945.5, 1946.5], [1947.5]),
        ("NA", [math.nan], [0.0, math.inf]),
        ("-Inf", [-math.inf], [math.inf, -1e308, math.nan]),
        ("-0.000", [0.0, 0.0004, -0.0004], [0.0006]),
    ],
)
def test_a_value_holds_if_it_rounds_to_the_text(text: str, inside: list[float], outside: list[float]) -> None:
    found = number(text)
    assert [x for x in inside if not found.holds(x)] == []
    assert [x for x in outside if found.holds(x)] == []


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("<2e-16", [0.0, 2.1e-16, 2.2e-16], [2.3e-16, 1e-10, -1e-20]),
        ("< 2.2e-16", [2.21e-16], [2.23e-16]),
        ("< 2.220446e-16", [1e-300], [3e-16]),
        ("<0.0001", [9.9e-5], [1e-4, 0.5]),
        ("<3e-16", [], [0.0, 1e-300]),  # a bound that neither R nor rms has
        ("<0.0011", [], [0.0, 1e-5]),
        ("<0.0000", [], [0.0, 1e-20]),  # nothing is below zero
        ("<2e-06", [], [1e-20]),
    ],
)
def test_a_bound_holds_below_r_s_own_only(text: str, inside: list[float], outside: list[float]) -> None:
    found = number(text)
    assert found.sort is Sort.BELOW
    assert [x for x in inside if not found.holds(x)] == []
    assert [x for x in outside if found.holds(x)] == []


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("<2e-16", True), ("< 2.22e-16", True), ("<1e-16", False), ("<2.1e-16", False), ("<0.0000", False)],
)
def test_epsilon_is_known_at_any_number_of_digits(text: str, is_one: bool) -> None:
    assert is_epsilon(number(text)) is is_one


def test_zeros_at_the_end_of_a_whole_number_may_be_no_digits() -> None:
    assert number("2244400").holds(2244352.2) is False
    assert without_trailing_zeros(number("2244400")).holds(2244352.2)
    assert without_trailing_zeros(number("0.1000")) == number("0.1000")
    assert without_trailing_zeros(number("0")) == number("0")


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300), st.integers(0, 14))
def test_every_double_holds_in_its_own_print(x: float, digits: int) -> None:
    found = read_number(f"{x:.{digits}e}")
    assert found is None or found.holds(x)
    assert found is not None or x == 0


@given(st.floats(min_value=-1e9, max_value=1e9), st.integers(0, 8))
def test_the_neighbouring_text_does_not_hold(x: float, decimals: int) -> None:
    found = number(f"{x:.{decimals}f}")
    above = number(f"{float(found.value + found.unit):.{decimals}f}")
    below = number(f"{float(found.value - found.unit):.{decimals}f}")
    assert found.holds(x)
    # a neighbour holds too only where x is a tie up to noise
    tie = abs(abs(Fraction(x) - found.value) - found.unit / 2) <= 16 * Fraction(math.ulp(x))
    assert tie or not (above.holds(x) or below.holds(x))


def test_at_a_tie_noise_of_a_few_units_in_the_last_place_will_do_and_no_more() -> None:
    tie, step = 0.155, math.ulp(0.155)
    assert number("0.15").holds(tie + 4 * step)
    assert not number("0.15").holds(tie + 100 * step)


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        ("Unbalanced Panel: n=117, T=1-18, N=1557", ["117", "1", "18", "1557"]),
        ("BatDeaths1000Lag -0.024675   0.011732   -2.10      0.0356 *", ["-0.024675", "0.011732", "-2.10", "0.0356"]),
        (
            "(Intercept)       5.493740   0.044516  123.41     < 2e-16 ***",
            ["5.493740", "0.044516", "123.41", "< 2e-16"],
        ),
        (" 1st Qu.: -0.458   NA's   :32  ", ["-0.458", "32"]),
        ("x1 2y 3.4.5 v1.2", []),
        ("NA NaN Inf -Inf NAN", ["NA", "NaN", "Inf", "-Inf"]),
        ("(df=6) [1] +3", ["6", "1", "+3"]),
    ],
)
def test_numbers_of_a_line_are_no_parts_of_names(line: str, texts: list[str]) -> None:
    assert [token.text for token in numbers_of(Line(1, line))] == texts
    assert all(line[t.start : t.end] == t.text for t in numbers_of(Line(1, line)))
