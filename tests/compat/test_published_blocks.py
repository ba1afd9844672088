"""What is read out of printed pages: every cell by name and text, whatever the page has gone through."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from compat.published import Block, numbers_of
from compat.published.mixed import abbreviates
from compat.transcript.session import split
from tests.compat.printed import LECTURE, PUBLISHED, SESSIONS, page


def cells(block: Block) -> dict[str, str]:
    return {cell.name: cell.number.text for cell in block.cells}


def only(text: str, unread: Sequence[str] = ()) -> Block:
    reading = page(text)
    assert [token.text for token in reading.unread] == list(unread)
    (block,) = reading.blocks
    return block


def blocks_of(path: Path) -> list[Block]:
    found = []
    for step in split(path.read_text(encoding="utf-8")):
        reading = page("\n".join(line.text for line in step.output), step.output[0].number if step.output else 1)
        assert reading.unread == ()
        found += reading.blocks
    return found


def test_more_than_sixty_outputs_of_r_are_read_to_the_last_number() -> None:
    kinds = Counter(block.kind for path in SESSIONS for block in blocks_of(path))
    assert sum(kinds.values()) >= 100
    assert sum(count for kind, count in kinds.items() if kind not in ("vector", "loglik")) >= 60
    assert set(kinds) == {
        "lm", "ols", "plm", "lmer", "coeftest", "coefficients", "anova", "anova-mixed", "varcorr", "summary-frame",
        "table", "vector", "named", "loglik",
    }  # fmt: skip


@pytest.mark.parametrize("path", [*SESSIONS, LECTURE], ids=lambda path: path.stem)
def test_every_number_of_a_page_is_a_cell_once_or_part_of_a_label(path: Path) -> None:
    steps = split(path.read_text(encoding="utf-8"))
    for step in steps:
        blocks = page("\n".join(line.text for line in step.output), step.output[0].number if step.output else 1).blocks
        taken = [(c.token.line, c.token.start) for block in blocks for c in block.cells]
        assert [key for key, count in Counter(taken).items() if count > 1] == []
        labels = [token for block in blocks for token in block.labels]
        for line in step.output:
            for number in numbers_of(line):
                inside = any(t.line == line.number and t.start <= number.start < t.end for t in labels)
                assert inside != ((line.number, number.start) in taken)


def test_sessions_say_where_they_come_from() -> None:
    assert len(SESSIONS) >= 15
    for path in SESSIONS:
        about = json.loads(path.with_suffix(".json").read_text())
        assert about["session"] == path.stem
        assert about["r_version"].startswith("R version 4.2.2")
        assert about["locale"] == "C.UTF-8"
        assert set(about) >= {"claims", "packages", "platform", "blas", "lapack", "data", "session_sha256", "date"}
    assert {path.stem for path in (PUBLISHED / "r-4.2.2").glob("*.json")} == {path.stem for path in SESSIONS}


# ---- linear models --------------------------------------------------------------------------------------------------

WIDE = """
Call:
lm(formula = mpg ~ wt + hp, data = cars)

Residuals:
   Min     1Q Median     3Q    Max
-3.941 -1.600 -0.182  1.050  5.854

Coefficients: (1 not defined because of singularities)
            Estimate Std. Error t value Pr(>|t|)
(Intercept) 37.22727    1.59879  23.285  < 2e-16 ***
wt                NA         NA      NA       NA
factor(g)2  -0.03177    0.00903  -3.519  0.00145 **
---
Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1

Residual standard error: 2.593 on 29 degrees of freedom
  (3 observations deleted due to missingness)
Multiple R-squared:  0.8268,	Adjusted R-squared:  0.8148
F-statistic: 69.21 on 2 and 29 DF,  p-value: 9.109e-12
"""


def test_summary_of_lm() -> None:
    block = only(WIDE.expandtabs())
    assert block.kind == "lm"
    assert block.facts["call"] == "lm(formula = mpg ~ wt + hp, data = cars)"
    assert block.rows == ("(Intercept)", "wt", "factor(g)2")
    assert [(row, token.text) for row, token in block.marks] == [("(Intercept)", "***"), ("factor(g)2", "**")]
    found = cells(block)
    assert found.pop("n_aliased") == "1"
    assert {name: text for name, text in found.items() if name.startswith("legend")} == {
        f"legend[{i}]": text for i, text in enumerate(["0", "0.001", "0.01", "0.05", "0.1", "1"], 1)
    }
    assert {name: text for name, text in found.items() if not name.startswith("legend")} == {
        "residual_quantiles[Min]": "-3.941", "residual_quantiles[1Q]": "-1.600", "residual_quantiles[Median]": "-0.182",
        "residual_quantiles[3Q]": "1.050", "residual_quantiles[Max]": "5.854",
        "coef[(Intercept)]": "37.22727", "std_error[(Intercept)]": "1.59879", "statistic[(Intercept)]": "23.285",
        "p_value[(Intercept)]": "< 2e-16",
        "coef[wt]": "NA", "std_error[wt]": "NA", "statistic[wt]": "NA", "p_value[wt]": "NA",
        "coef[factor(g)2]": "-0.03177", "std_error[factor(g)2]": "0.00903", "statistic[factor(g)2]": "-3.519",
        "p_value[factor(g)2]": "0.00145",
        "sigma": "2.593", "df_residual": "29", "n_dropped": "3", "r_squared": "0.8268", "adj_r_squared": "0.8148",
        "f_statistic": "69.21", "f_numdf": "2", "f_dendf": "29", "f_p_value": "9.109e-12",
    }  # fmt: skip


NARROW = """
Coefficients:
            Estimate Std. Error
(Intercept)  -8.5271    47.5153
value         0.1346     0.0287
            t-value Pr(>|t|)
(Intercept)   -0.18   0.8627
value          4.68   0.0023
\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20
(Intercept)
value       **
---
Signif. codes:
  0 ‘***’ 0.001 ‘**’ 0.01
  ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1
"""


def test_a_table_wrapped_at_a_narrow_page_is_one_table() -> None:
    block = only("Oneway (individual) effect Between Model\n" + NARROW)
    assert (block.kind, block.facts["model"], block.facts["effect"]) == ("plm", "between", "individual")
    block = only("Oneway (time) effect Within Model\n" + NARROW)
    assert (block.facts["model"], block.facts["effect"]) == ("within", "time")
    assert [(row, token.text) for row, token in block.marks] == [("value", "**")]
    found = cells(block)
    assert {name: text for name, text in found.items() if "legend" not in name} == {
        "coef[(Intercept)]": "-8.5271", "std_error[(Intercept)]": "47.5153", "statistic[(Intercept)]": "-0.18",
        "p_value[(Intercept)]": "0.8627", "coef[value]": "0.1346", "std_error[value]": "0.0287",
        "statistic[value]": "4.68", "p_value[value]": "0.0023",
    }  # fmt: skip
    assert [found[f"legend[{i}]"] for i in range(1, 7)] == ["0", "0.001", "0.01", "0.05", "0.1", "1"]


def test_rms_s_boxes_in_the_old_layout_and_in_the_new() -> None:
    old = """
Linear Regression Model

ols(formula = y ~ x, x = TRUE, y = TRUE)

                 Model Likelihood     Discrimination
                    Ratio Test           Indexes
Obs      100    LR chi2     61.54    R2       0.460
sigma 0.9538    d.f.            1    R2 adj   0.454
d.f.      98    Pr(> chi2) 0.0000    g        1.002
Cluster on bigdata$bigID
Clusters  16
"""
    wanted = {
        "nobs": "100", "lr_chi2": "61.54", "r_squared": "0.460", "sigma": "0.9538", "lr_df": "1",
        "adj_r_squared": "0.454", "df_residual": "98", "lr_p_value": "0.0000", "g_index": "1.002", "n_clusters": "16",
    }  # fmt: skip
    block = only(old)
    assert cells(block) == wanted
    assert block.facts["cluster"] == "bigdata$bigID"
    new = old.replace("sigma 0.9538", "sigma0.9538").replace("Cluster on bigdata", "Cluster onbigdata")
    assert cells(only(new)) == wanted
    assert only(new).facts["cluster"] == "bigdata$bigID"


# ---- mixed models ---------------------------------------------------------------------------------------------------

MIXED = """
Linear mixed model fit by REML. t-tests use Satterthwaite's method [
lmerModLmerTest]
Formula: inv ~ scaled + capital + (scaled |
    firm)
   Data: firms

REML criterion at convergence: 2152.2

Scaled residuals:
    Min      1Q  Median      3Q     Max
-3.7869 -0.3066  0.0638  0.3244  4.9400

Random effects:
 Groups   Name        Variance Std.Dev. Corr
 firm     (Intercept)   835.3   28.90
          scaled      25281.7  159.00   -0.40
 Residual              2327.6   48.25
Number of obs: 200, groups:  firm, 10; year, 20

Fixed effects:
             Estimate Std. Error        df t value Pr(>|t|)
(Intercept) -27.97581   14.51346   6.03424  -1.928    0.102
scaled       11.56086   60.22560   3.85339   0.192    0.857
capital       0.31575    0.01573 191.28100  20.079   <2e-16 ***

Correlation of Fixed Effects:
        (Intr) scaled
scaled  -0.510
capital -0.046 -0.120
optimizer (nloptwrap) convergence code: 0 (OK)
boundary (singular) fit: see help('isSingular')
"""


def test_summary_of_lmer_as_lmer_test_prints_it() -> None:
    block = only(MIXED, unread=["0"])  # the optimiser's own code
    assert block.kind == "lmer"
    assert block.facts == {
        "REML": "TRUE", "formula": "inv ~ scaled + capital + (scaled | firm)", "formula line": "4", "data": "firms"
    }  # fmt: skip
    assert cells(block) == {
        "criterion": "2152.2",
        "scaled_residual_quantiles[Min]": "-3.7869", "scaled_residual_quantiles[1Q]": "-0.3066",
        "scaled_residual_quantiles[Median]": "0.0638", "scaled_residual_quantiles[3Q]": "0.3244",
        "scaled_residual_quantiles[Max]": "4.9400",
        "variance[firm, (Intercept)]": "835.3", "sd[firm, (Intercept)]": "28.90", "variance[firm, scaled]": "25281.7",
        "sd[firm, scaled]": "159.00", "cor[firm, scaled, (Intercept)]": "-0.40", "variance[Residual]": "2327.6",
        "sd[Residual]": "48.25", "nobs": "200", "n_groups[firm]": "10", "n_groups[year]": "20",
        "coef[(Intercept)]": "-27.97581", "std_error[(Intercept)]": "14.51346", "df[(Intercept)]": "6.03424",
        "statistic[(Intercept)]": "-1.928", "p_value[(Intercept)]": "0.102",
        "coef[scaled]": "11.56086", "std_error[scaled]": "60.22560", "df[scaled]": "3.85339",
        "statistic[scaled]": "0.192", "p_value[scaled]": "0.857",
        "coef[capital]": "0.31575", "std_error[capital]": "0.01573", "df[capital]": "191.28100",
        "statistic[capital]": "20.079", "p_value[capital]": "<2e-16",
        "fixef_correlation[scaled, (Intercept)]": "-0.510", "fixef_correlation[capital, (Intercept)]": "-0.046",
        "fixef_correlation[capital, scaled]": "-0.120",
    }  # fmt: skip


WRAPPED_CORRELATIONS = """\
Linear mixed model fit by REML ['lmerMod']
Fixed effects:
            Estimate Std. Error t value
(Intercept)  1.00000    0.10000  10.000
alpha        2.00000    0.20000  10.000
beta         3.00000    0.30000  10.000
gamma        4.00000    0.40000  10.000

Correlation of Fixed Effects:
      (Intr) alpha
alpha -0.100
beta   0.200  0.300
gamma  0.400  0.500
      beta
alpha
beta
gamma  0.600
"""


def test_correlations_in_two_parts_belong_to_the_columns_over_them() -> None:
    cells = {
        cell.label: float(cell.number.value)
        for cell in only(WRAPPED_CORRELATIONS).cells
        if cell.quantity == "fixef_correlation"
    }
    assert cells == {
        ("alpha", "(Intercept)"): -0.1, ("beta", "(Intercept)"): 0.2, ("beta", "alpha"): 0.3,
        ("gamma", "(Intercept)"): 0.4, ("gamma", "alpha"): 0.5, ("gamma", "beta"): 0.6,
    }  # fmt: skip


def test_several_correlations_of_random_effects_belong_to_the_rows_above() -> None:
    table = """
Random effects:
 Groups   Name        Std.Dev. Corr
 g        (Intercept) 1.0
          x           2.0      -0.10
          z           3.0       0.20  0.30
 Residual             4.0
"""
    assert cells(only(table)) == {
        "sd[g, (Intercept)]": "1.0", "sd[g, x]": "2.0", "cor[g, x, (Intercept)]": "-0.10", "sd[g, z]": "3.0",
        "cor[g, z, (Intercept)]": "0.20", "cor[g, z, x]": "0.30", "sd[Residual]": "4.0",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("short", "name", "fits"),
    [
        ("(Intr)", "(Intercept)", True),
        ("GDPLgK", "GDPLagK", True),
        ("BtDths1000L", "BatDeaths1000Lag", True),
        ("POLITYS", "POLITYSQLag", True),
        ("POLITYS", "POLITYLag", False),
        ("OPENLg", "LagOPEN", False),
        ("", "x", False),
    ],
)
def test_abbreviated_names_keep_their_letters_in_order(short: str, name: str, fits: bool) -> None:
    assert abbreviates(short, name) is fits


ANOVA = """
Data: HIV
Models:
small: y ~ x +
small:     (1 | g)
large: y ~ x + (x | g)
      {0}  AIC  BIC logLik deviance Chisq {1} Pr(>Chisq)
small {2}11 2699 2758  -1338     2677
large {2}13 2299 2368  -1136     2273 404.1 {3}2     <2e-16 ***
"""


@pytest.mark.parametrize("layout", [("Df", "Chi Df", "", "     "), ("npar", "Df", "  ", " ")], ids=["old", "new"])
def test_anova_of_lmer_fits_in_the_old_and_the_new_layout(layout: tuple[str, ...]) -> None:
    block = only(ANOVA.format(*layout))
    assert block.facts == {"data": "HIV", "model small": "y ~ x + (1 | g)", "model large": "y ~ x + (x | g)"}
    assert cells(block) == {
        "npar[small]": "11", "aic[small]": "2699", "bic[small]": "2758", "loglik[small]": "-1338",
        "deviance[small]": "2677", "npar[large]": "13", "aic[large]": "2299", "bic[large]": "2368",
        "loglik[large]": "-1136", "deviance[large]": "2273", "chisq[large]": "404.1", "chi_df[large]": "2",
        "p_value[large]": "<2e-16",
    }  # fmt: skip


# ---- data -----------------------------------------------------------------------------------------------------------


def test_summary_of_a_data_frame_by_column_with_what_is_missing() -> None:
    text = """
     name           a            b
 x:y  :2   Min.   :1.0   Mode :logical
 other:1   1st Qu.:2.0   FALSE:2
           Mean   :3.5   TRUE :1
           NA's   :2
"""
    reading = page(text.replace("x:y  ", "x    "))
    assert reading.unread == ()
    (block,) = reading.blocks
    assert cells(block) == {
        "summary[name, x]": "2", "summary[a, Min.]": "1.0", "summary[name, other]": "1", "summary[a, 1st Qu.]": "2.0",
        "summary[b, FALSE]": "2", "summary[a, Mean]": "3.5", "summary[b, TRUE]": "1", "summary[a, NA's]": "2",
    }  # fmt: skip


def test_a_data_frame_with_columns_of_text() -> None:
    text = """
  firm           name  value
1    1 General Motors 3078.5
2   12      U S Steel     NA
"""
    block = only(text)
    assert block.columns == ("firm", "name", "value")
    assert cells(block) == {
        "cell[1, firm]": "1", "cell[1, value]": "3078.5", "cell[2, firm]": "12", "cell[2, value]": "NA"
    }  # fmt: skip


def test_vectors_with_indices_over_several_lines() -> None:
    found = cells(only(" [1]  4  9 -1e-05\n[11]  NA  7"))
    assert found == {
        "index[1]": "1", "value[1]": "4", "value[2]": "9", "value[3]": "-1e-05", "index[4]": "11", "value[4]": "NA",
        "value[5]": "7",
    }  # fmt: skip


def test_named_vectors_with_spaces_in_their_names() -> None:
    block = only(
        "   Min. 1st Qu.  Median \n   0.93   33.56   57.48 \n   Mean 3rd Qu.    Max. \n 145.96  138.04 1486.70 "
    )
    assert cells(block) == {
        "value[Min.]": "0.93", "value[1st Qu.]": "33.56", "value[Median]": "57.48", "value[Mean]": "145.96",
        "value[3rd Qu.]": "138.04", "value[Max.]": "1486.70",
    }  # fmt: skip


def test_loglik() -> None:
    assert cells(only("'log Lik.' -71.23 (df=6)")) == {"loglik": "-71.23", "n_parameters": "6"}


# ---- pages that have suffered ---------------------------------------------------------------------------------------


def test_numbers_of_what_is_not_known_are_unread() -> None:
    reading = page("'data.frame':\t32 obs. of  11 variables:\n $ mpg : num  21 22.8\nsome words")
    assert reading.blocks == ()
    assert [token.text for token in reading.unread] == ["32", "11", "21", "22.8"]


def test_a_table_that_has_lost_its_spaces_is_read_by_order() -> None:
    squeezed = "\n".join(" ".join(line.split()) for line in WIDE.split("\n"))
    assert cells(only(squeezed)) == cells(only(WIDE.expandtabs()))


@pytest.mark.parametrize("lost", range(3, 20))
def test_a_summary_that_begins_or_ends_in_the_middle_keeps_its_other_parts(lost: int) -> None:
    whole = cells(only(WIDE.expandtabs()))
    lines = WIDE.expandtabs().split("\n")
    for part in (lines[:lost], lines[lost:]):
        found = [cell for block in page("\n".join(part)).blocks for cell in block.cells]
        assert {
            cell.name: cell.number.text for cell in found if cell.quantity in ("coef", "sigma")
        }.items() <= whole.items()


def test_a_row_with_a_number_too_few_is_not_guessed() -> None:
    text = "            Estimate Std. Error\nx   0.1346  0.0287\n y 0.5\n"
    found = {cell.name for block in page(text).blocks for cell in block.cells}
    assert "coef[x]" in found
    assert not any("y" in name for name in found)
