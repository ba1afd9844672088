"""The second half of the lecture: hierarchical models, the panel of HIV death rates, and what the slides only name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import pandas as pd

import refimpl as ri
from compat.lecture.content import Block, Chapter, Checks, Code, Formula, Missing, Picture, Slip, Table, Text
from compat.lecture.models import Panel
from compat.lecture.schools import SHAPE, Schools
from refimpl import figures

PART: Literal["hierarchical"] = "hierarchical"
GDP_SLOPE = "slope of GDP per head (log deaths per million, per 1000 \\$)"


def chapters(panel: Panel | str, checks: Mapping[str, Checks], bias: pd.DataFrame, schools: Schools) -> list[Chapter]:
    """In the order of the slides; `panel` is the reason where the panel cannot be had."""
    out = [starting_points(), estimation(bias, panel)]
    if isinstance(panel, str):
        titles = {
            "hiv": "An example: HIV death rates, 1990–2007",
            "ols": "OLS regression",
            "fixed": "Fixed effects",
            "random": "Random effects",
            "slopes": "HLM with random β for GDP",
            "testing": "Testing",
            "coefficients": "Random coefficients",
        }
        out += [Chapter(slug, title, PART, [Missing(panel)]) for slug, title in titles.items()]
    else:
        out += [
            example(panel, checks),
            ols(panel, checks),
            fixed(panel, checks),
            random(panel, checks),
            random_slopes(panel, checks),
            testing(panel, checks),
            coefficients(panel, checks),
        ]
    return [*out, extensions(schools, panel)]


def starting_points() -> Chapter:
    """Equations (1) to (4), as hlm writes them."""
    model = ri.hlm("y ~ x", {"group": "j", "(Intercept)": "z", "x": "z"})
    return Chapter(
        "hlm",
        "Hierarchical linear models: starting points",
        PART,
        [
            Text(
                "First-level units i are nested in second-level groups j; each level-one parameter is allowed to "
                "vary with the group's own variables Z and an error of its own. Equations (1) to (3) of the slides, "
                "and what substituting the last two into the first gives:"
            ),
            Formula(
                r"Y_{ij} &= \beta_{0j} + \mathbf{X}_{ij} \beta_j + u_{ij} & \quad\text{(1)} \\"
                r"\beta_{0j} &= \gamma_{00} + \mathbf{Z}_j \gamma_0 + \varepsilon_{0j} & \quad\text{(2)} \\"
                r"\beta_{kj} &= \gamma_{k0} + \mathbf{Z}_j \gamma_k + \varepsilon_{kj} & \quad\text{(3)} \\"
                r"Y_{ij} &= \gamma_{00} + \mathbf{Z}_j \gamma_0 + \mathbf{X}_{ij} \gamma_{k0} "
                r"+ \mathbf{X}_{ij} \mathbf{Z}_j \gamma_k + \mathbf{X}_{ij} \varepsilon_{kj} "
                r"+ \varepsilon_{0j} + u_{ij} & \quad\text{(4)}",
            ),
            Slip(
                "“X is an NJ × K matrix” in (1) is one row of it, 1 × K.",
                "Y with the subscripts ij is a single number; the matrix is what one gets by stacking the rows of "
                "all i and j.",
            ),
            Text(
                "`hlm` takes a model in this form, one predictor at each level here, and writes the equations and "
                "lmer's formula:"
            ),
            Code(
                'model = refimpl.hlm("y ~ x", {"group": "j", "(Intercept)": "z", "x": "z"})\n'
                f'model.formula      # "{model.formula}"\nmodel.equations()  # model.latex()'
            ),
            Formula(
                model.latex(),
                "Levels one and two, and (4), the combined equation. The cross-level interaction is the product of x "
                "and z; both errors of level two stand in one term with its correlation.",
            ),
            Text(
                "Assumed besides: the model is linear, u is normal with one variance, and errors are independent "
                "within and across levels."
            ),
        ],
    )


def estimation(bias: pd.DataFrame, panel: Panel | str) -> Chapter:
    """ML against REML by simulation, and why REML's likelihoods cannot be compared across fixed effects."""
    ml = bias[bias["criterion"] == "ML"].set_index("groups")
    of_ml = {J: float(value) for J, value in ml["bias"].items()}
    mean, error, theory = (float(ml[column][12]) for column in ("mean", "mc_error", "theory"))
    shown = bias.rename(columns={"groups": "classes", "at_zero": "share_at_zero"})
    blocks: list[Block] = [
        Text(
            "“MLE is biased in small samples, especially for estimating variance effects.” So it is: 1000 samples "
            "for each number of classes of ten pupils, a variable of the class in the model, variance between "
            "classes 1 and within 4."
        ),
        Picture(
            "variance-bias",
            figures.variance_bias(bias),
            "Bias of the variance between classes. ML divides by the number of classes where REML divides by the "
            "classes less the coefficients of level two; bars are 95 % limits of the simulation.",
            f"Bias against 6 to 80 groups: ML's rises from {of_ml[6]:.2f} to {of_ml[80]:.2f}, REML's stays at zero.",
        ),
        Text(
            f"With the slide's 12 classes ML finds a variance of {mean:.2f} for a true 1, a bias of "
            f"{of_ml[12]:.3f} ± {error:.3f}; the algebra says {theory:.3f} where no "
            "estimate is cut at zero."
        ),
        Table(
            "variance-bias",
            shown,
            "The simulation in numbers; theory is the bias without the bound at zero.",
            index=False,
            decimals=3,
        ),
    ]
    return Chapter("estimation", "Estimation: ML and “restricted” ML", PART, [*blocks, *_reml_units(panel)])


def _reml_units(panel: Panel | str) -> list[Block]:
    if isinstance(panel, str):
        return []
    table = panel.reml_in_units
    difference = table["REML"].iloc[0] - table["REML"].iloc[1]
    return [
        Text(
            "And REML “prevents use of LR tests when the models do not have identical fixed effects”: its criterion "
            "depends on the units of X. Dropping GDP from the random-intercept model of the panel, in thousands of "
            "dollars and in dollars:"
        ),
        Table(
            "reml-units",
            table,
            f"The likelihood-ratio statistic of GDP. ML's does not know the unit; REML's moves by {difference:.4f}, "
            f"which is 2\N{NO-BREAK SPACE}ln\N{NO-BREAK SPACE}1000 = {2 * math.log(1000):.4f}. So `anova` refits by "
            "ML first.",
            6,
        ),
    ]


def example(panel: Panel, checks: Mapping[str, Checks]) -> Chapter:
    """The data."""
    return Chapter(
        "hiv",
        "An example: HIV death rates, 1990–2007",
        PART,
        [
            Code('HIV = HIV[HIV["HIVDeathRate"].notna()]\nHIV["LnDeathPM"] = log(HIV["HIVDeathRate"] * 1000)'),
            checks["summary"],
            Slip(
                "Two cells of the summary were rounded twice.",
                "0.26126 and 4.428 are not what 0.261254878 and 4.42748055 round to; they are what one decimal more, "
                "rounded again, gives. R 4.2 does so still.",
            ),
            Picture(
                "hiv-densities",
                figures.hiv_densities(panel.data["HIVDeathRate"]),
                "“Log? Si.” Densities as R's density() estimates them, bandwidth and grid included; a stroke below "
                "for each country and year.",
                "Two densities: the rate is skewed with a long right tail up to 2.5 per 1000, its logarithm is "
                "single-peaked near 5.7 with a tail to the left.",
            ),
        ],
    )


def ols(panel: Panel, checks: Mapping[str, Checks]) -> Chapter:
    """Pooled least squares."""
    return Chapter(
        "ols",
        "OLS regression",
        PART,
        [
            Code("fit = refimpl.lm(formula, HIV)"),
            checks["lm"],
            Code(str(panel.lm.summary()), "As R prints it"),
            Table("lm", panel.lm.tidy().set_index("term"), "The fit in broom's columns.", 6, title="As a table"),
        ],
    )


def fixed(panel: Panel, checks: Mapping[str, Checks]) -> Chapter:
    """Country effects."""
    fit = panel.within
    return Chapter(
        "fixed",
        "Fixed effects",
        PART,
        [
            Code('refimpl.plm(formula, HIV, index=("ISO3", "year"), model="within", effect="individual")'),
            checks["plm"],
            Slip(
                "The printed adjusted R², 0.1384, is an older plm's definition.",
                f"It multiplies R² by df / N = {fit.df_residual}/{fit.nobs}. Counting the {fit.n_individuals} country "
                f"means as the parameters they are gives {fit.adj_r_squared:.4f}, about half.",
            ),
            Code(str(fit.summary()), "As plm prints it"),
            Table("plm-within", fit.tidy().set_index("term"), "The fit in broom's columns.", 6, title="As a table"),
        ],
    )


def random(panel: Panel, checks: Mapping[str, Checks]) -> Chapter:
    """Random intercepts."""
    return Chapter(
        "random",
        "Random effects",
        PART,
        [
            Code('refit = refimpl.lmer(formula + " + (1 | ISO3)", HIV, REML=False)'),
            checks["lmer-intercept"],
            Code(str(panel.intercepts.summary()), "As lme4 prints it"),
            Table(
                "lmer-intercept",
                panel.intercepts.tidy(),
                "Fixed effects and variances in broom.mixed's columns.",
                6,
                index=False,
                title="As a table",
            ),
        ],
    )


def random_slopes(panel: Panel, checks: Mapping[str, Checks]) -> Chapter:
    """Random slopes of GDP, through equations (1) to (3)."""
    apart = round(abs(panel.hierarchy.fit(panel.data, REML=False).criterion - panel.slopes.criterion), 8)
    return Chapter(
        "slopes",
        "HLM with random β for GDP",
        PART,
        [
            Text("Intercept and slope of GDP vary by country; the other coefficients do not, as level one keeps them:"),
            Formula(_short_latex(panel.hierarchy.latex()), "As hlm writes the model."),
            Code(
                'hlmfit = refimpl.lmer(formula + " + (GDPLagK | ISO3)", HIV, REML=False)\n'
                'model = refimpl.hlm(formula, {"group": "ISO3", "(Intercept)": "1", "GDPLagK": "1"})\n'
                "same = model.fit(HIV, REML=False)\n"
                f"abs(same.criterion - hlmfit.criterion)   # {apart}"
            ),
            checks["lmer-slope"],
            Code(str(panel.slopes.summary()), "As lme4 prints it"),
            Table(
                "lmer-slope",
                panel.slopes.tidy(),
                "Fixed effects and variances in broom.mixed's columns.",
                6,
                index=False,
                title="As a table",
            ),
        ],
    )


def _short_latex(latex: str) -> str:
    """The panel's long names under shorter ones."""
    short = {
        "LnDeathPM": "Y",
        "GDPLagK": "GDP",
        "GDPGrowthLag": "Growth",
        "OPENLag": "Open",
        "POLITYLag": "Polity",
        "POLITYSQLag": "Polity2",
        "CivilWarDummy": "Civil",
        "InterstateWarLag": "War",
        "BatDeaths1000Lag": "Deaths",
    }
    for name, word in short.items():
        latex = latex.replace(f"{{{name}}}", f"{{{word}}}")
    middle = " + ".join(rf"\beta_{{{k}}}\, \mathrm{{{w}}}_{{ij}}" for k, w in enumerate(list(short.values())[2:], 2))
    return latex.replace(middle, r"\sum_{k=2}^{8} \beta_k X_{kij}")


def _broken(latex: str) -> str:
    """The combined equation over two lines, its errors in the second."""
    *rows, combined = latex.split("\\\\")
    return "\\\\".join([*rows, combined.replace(" + \\epsilon", r" \\ & \quad + \epsilon", 1)])


def testing(panel: Panel, checks: Mapping[str, Checks]) -> Chapter:
    """The likelihood-ratio test."""
    table = ri.anova(panel.intercepts, panel.slopes)
    table.index = pd.Index(["REfit", "HLMfit1"], name="model")
    return Chapter(
        "testing",
        "Testing",
        PART,
        [
            Text(
                "Do the slopes differ? Both fits are by ML and have the same fixed effects; the second has a "
                "variance and a covariance more. A variance cannot be negative, so the chi-squared on 2 df is "
                "cautious; at this size it does not matter."
            ),
            Code("refimpl.anova(refit, hlmfit)"),
            checks["anova"],
            Code(repr(ri.anova(panel.intercepts, panel.slopes, names=["refit", "hlmfit"])), "As lme4 prints it"),
            Table("anova", table, "The test in full.", 8, title="As a table"),
        ],
    )


def coefficients(panel: Panel, checks: Mapping[str, Checks]) -> Chapter:
    """Country coefficients: not of the fit that the call says."""
    ml, reml = panel.slopes, panel.slopes_reml
    by = reml.coef_by_group["ISO3"].rename_axis("ISO3")
    order = list(figures.effects_table(reml, column="GDPLagK").index)
    return Chapter(
        "coefficients",
        "Random coefficients",
        PART,
        [
            Code('hlmfit.coef_by_group["ISO3"].head()   # R: head(data.frame(coef(HLMfit1)[1]))'),
            checks["coef"],
            checks["mean"],
            Slip(
                "These coefficients are not those of the HLMfit1 above: they are its REML fit's.",
                "No fit is needed to see it. Random effects of a model with an intercept and the slope itself among "
                "its fixed effects average to zero, so the slopes' mean must be the fixed effect: 0.156798 is "
                "printed here, 0.155304 there. And GDP growth has no random effect, so its column must repeat the "
                "fixed effect: 0.000869237 here, 0.000872 there. Fitted by REML the mean is "
                f"{by['GDPLagK'].mean():.6f} (the fixed effect {reml.coef['GDPLagK']:.6f}), by ML "
                f"{ml.coef_by_group['ISO3']['GDPLagK'].mean():.6f} ({ml.coef['GDPLagK']:.6f}).",
            ),
            Picture(
                "country-slopes",
                figures.slope_density(panel.country_slopes, GDP_SLOPE),
                "Random coefficients, plotted: the density of the countries' slopes of GDP and their mean (REML, as "
                "printed).",
                "Density of 117 slopes from -0.7 to 2.6 with most mass between -0.5 and 0.7; a dashed line marks the "
                f"mean at {by['GDPLagK'].mean():.6f}.",
            ),
            Picture(
                "caterpillar",
                figures.caterpillar(reml, column="GDPLagK", unit="country's deviation from the mean slope of GDP"),
                "The slopes' random effects by country with 95 % intervals from the conditional variances.",
                f"{len(order)} countries sorted by their random effect: {order[0]} lowest, {order[-1]} highest.",
            ),
            Table(
                "country-coefficients",
                by,
                "Coefficients of all countries (REML).",
                5,
                shown=by.iloc[:8, :4].reset_index(),
            ),
        ],
    )


def extensions(schools: Schools, panel: Panel | str) -> Chapter:
    """Three and four levels, cross-level interactions."""
    D, S, C, P = SHAPE
    model = schools.models["cross-level interaction"]
    formulas = "\n".join(f"# {name}:\n#   {m.formula}" for name, m in schools.models.items())
    blocks: list[Block] = [
        Text(
            f"More levels: {P} pupils in each of {C} classes in each of {S} schools in each of {D} districts "
            f"({D * S * C * P} pupils, made by R's generator from seed 8012019). Level two has the size of the class, "
            "which bears on the level of its pupils and, in the third model, on their slope of socio-economic "
            "status: a cross-level interaction."
        ),
        Code(
            'hlm("math ~ ses", {"group": "class", "(Intercept)": "size", "ses": "size"},\n'
            '    level3={"group": "school", "(Intercept)": "1"},\n'
            '    level4={"group": "district", "(Intercept)": "1"})\n\n' + formulas
        ),
        Formula(_broken(model.latex()), "The third model by levels and combined, as hlm writes it."),
        Table(
            "levels",
            schools.table(),
            "What was put in and what was found (REML). Without the districts their variance goes to the schools; "
            "without its variation among classes the slope of ses passes for more certain than it is.",
            shown=schools.shown(),
        ),
        Table("levels-tests", schools.tests(), "Each model against the one before, refitted by ML.", 5),
    ]
    return Chapter("extensions", "Wrap-up & extensions", PART, [*blocks, *_crossed(panel)])


def _crossed(panel: Panel | str) -> list[Block]:
    if isinstance(panel, str):
        return []
    fit = panel.crossed
    rows = ["GDPLagK", "PolityMean", "GDPLagK:PolityMean"]
    table = pd.DataFrame({"coef": fit.coef, "std_error": fit.std_error, "statistic": fit.statistic}).loc[rows]
    table.index.name = "term"
    return [
        Text(
            "The same on the panel: do intercept and slope of GDP depend on how democratic a country is on average? "
            "The mean POLITY score of a country, less the mean of countries, as a variable of level two:"
        ),
        Code(
            'level2 = {"group": "ISO3", "(Intercept)": "PolityMean", "GDPLagK": "PolityMean"}\n'
            "refimpl.hlm(formula, level2).fit(HIV)"
        ),
        Table(
            "cross-level-panel",
            table,
            "The cross-level interaction and its parts (REML): the slope's dependence on it is "
            f"{abs(float(fit.statistic[rows[-1]])):.2f} of its standard errors.",
            4,
        ),
    ]
