"""Cases: one data set, one estimator, a formula and options; an input, never a result.

The structs here are the schema: what a case file may say is what they hold, and `case.schema.json` of the
fixtures is written from them. Data sets are in data, what a stack answered is in expected.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pandas as pd

from compat.data import DataUnavailable, data_spec, fixtures_root, load_data, recipe_sha256

__all__ = ["ERROR_KINDS", "Case", "CaseError", "DataUnavailable", "case_in_memory", "load_cases", "load_data"]

ErrorKind = Literal[
    "unknown-column", "no-rows", "non-numeric-response", "infinite-values", "one-level-factor",
    "unseen-level", "cluster-length", "cluster-missing", "one-cluster", "models-differ", "bad-option",
    "rank-deficient", "missing-index", "empty-model", "not-estimable",
    "formula-syntax", "formula-forbidden", "formula-too-large", "not-converged",
    "no-random-effects", "one-level-group", "too-many-levels", "too-many-random-effects",
    "r-error", "crash", "timeout", "no-answer", "exception",
]  # fmt: skip
ERROR_KINDS: frozenset[str] = frozenset(ErrorKind.__args__)  # type: ignore[attr-defined]


# Folders of cases that are no fits: batteries of model formulas have a form of their own.
NO_ESTIMATORS = frozenset({"formula"})


class CaseError(ValueError):
    """A case file that is not a case: which file, where in it, and what is wrong."""


class _Options(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True, kw_only=True):
    """A strict part of a case file; what is left out has the default that stands here."""


Cell = float | str | bool | None
Level = Annotated[float, msgspec.Meta(gt=0, lt=1)]
ClusterValues = list[float | str | None]


class OlsOptions(_Options, frozen=True, kw_only=True):
    """Options of ols."""

    weights: str | None = None
    level: Level = 0.95


class LmOptions(OlsOptions, frozen=True, kw_only=True):
    """Options of lm: `tol` is that of R's pivoting, `newdata` the columns to predict for."""

    tol: Annotated[float, msgspec.Meta(ge=0, lt=1)] | None = None
    newdata: dict[str, list[Cell]] | None = None


class RobcovOptions(_Options, frozen=True, kw_only=True):
    """Options of robcov on an ols fit: `cluster` a column, or the values themselves."""

    weights: str | None = None
    cluster: str | ClusterValues | None = None
    method: Literal["huber", "efron"] = "huber"


class VcovHcOptions(_Options, frozen=True, kw_only=True):
    """Options of vcov_hc: `df` null means the residual degrees of freedom."""

    type: Literal["HC0", "HC1", "HC2", "HC3", "HC4", "HC4m", "HC5"]
    weights: str | None = None
    test: Literal["t", "z"] = "t"
    df: Annotated[float, msgspec.Meta(gt=0)] | None = None


class VcovClusterOptions(_Options, frozen=True, kw_only=True):
    """Options of vcov_cluster: `cluster` columns, or values; `definer` the R package that defines it."""

    type: Literal["CR0", "CR1", "CR1p", "CR1S", "CR2", "CR3"]
    cluster: Annotated[list[str | ClusterValues], msgspec.Meta(min_length=1)]
    weights: str | None = None
    definer: Literal["clubSandwich", "sandwich"] = "clubSandwich"
    small_sample: Literal["component", "min"] = "component"
    multi0: bool = False
    test: Literal["t", "z"] = "t"
    df: Annotated[float, msgspec.Meta(gt=0)] | None = None


class MlSandwichOptions(_Options, frozen=True, kw_only=True):
    """Options of ml_sandwich: `coef` is where information and scores are evaluated."""

    family: Literal["gaussian", "binomial"]
    coef: dict[str, float]
    cluster: str | None = None


class AnovaOptions(_Options, frozen=True, kw_only=True):
    """Options of anova: the further models, nested."""

    formulas: Annotated[list[str], msgspec.Meta(min_length=1)]
    weights: str | None = None


HausmanModel = Literal["within", "random", "between"]
RandomModel = Literal["within", "pooling", "Between", "between"]


class PanelOptions(_Options, frozen=True, kw_only=True):
    """What every panel case says: the columns of individual and time (or the number of individuals), and the effect."""

    index: Annotated[list[str], msgspec.Meta(min_length=1, max_length=2)] | int
    effect: Literal["individual", "time", "twoways"] = "individual"


class PlmOptions(PanelOptions, frozen=True, kw_only=True):
    """Options of plm: `random_*` how variance components are estimated, `newdata` the columns to predict for."""

    model: Literal["within", "random", "between", "pooling", "fd"] = "within"
    random_method: Literal["swar", "amemiya", "walhus", "nerlove"] | None = None
    random_models: list[RandomModel] | None = None
    random_dfcor: list[int] | None = None
    weights: str | None = None
    level: Level = 0.95
    newdata: dict[str, list[Cell]] | None = None
    na_fill: bool = False


class PlmVcovOptions(PanelOptions, frozen=True, kw_only=True):
    """Options of plm_vcov: which of plm's vcovHC, vcovBK, vcovNW, vcovSCC, vcovDC, of which model."""

    vcov: Literal["HC", "BK", "NW", "SCC", "DC"]
    type: Literal["HC0", "sss", "HC1", "HC2", "HC3", "HC4"] = "HC0"
    model: Literal["within", "random", "pooling", "fd", "between"] = "within"
    random_method: Literal["swar", "amemiya", "walhus", "nerlove"] | None = None
    method: Literal["arellano", "white1", "white2"] | None = None
    cluster: Literal["group", "time"] | None = None
    maxlag: Annotated[int, msgspec.Meta(ge=0)] | None = None
    inner: Literal["cluster", "white", "diagavg"] | None = None
    diagonal: bool | None = None


class PlmTestOptions(PanelOptions, frozen=True, kw_only=True):
    """Options of plm_test: plm's function by name, and what it is told; `models` those that phtest compares."""

    test: Literal["pFtest", "phtest", "plmtest", "pbgtest", "pwartest", "pcdtest"]
    model: Literal["within", "random", "pooling"] | None = None
    random_method: Literal["swar", "amemiya", "walhus", "nerlove"] | None = None
    models: Annotated[list[HausmanModel], msgspec.Meta(min_length=2, max_length=2)] | None = None
    method: Literal["chisq", "aux"] | None = None
    robust: bool = False
    type: str | None = None
    order: Annotated[int, msgspec.Meta(ge=1)] | None = None


Theta = Annotated[list[float], msgspec.Meta(min_length=1)]


class LmerOptions(_Options, frozen=True, kw_only=True):
    """Options of lmer: `start` a theta, `control` lme4's optimizer, `theta_at` where the objective is asked as well."""

    REML: bool = True
    weights: str | None = None
    offset: str | None = None
    start: Theta | None = None
    control: Literal["nloptwrap", "bobyqa", "Nelder_Mead", "nlminbwrap"] = "nloptwrap"
    theta_at: Annotated[list[Theta], msgspec.Meta(min_length=1)] | None = None
    level: Level = 0.95
    newdata: dict[str, list[Cell]] | None = None
    allow_new_levels: bool = False


class LmerAnovaOptions(_Options, frozen=True, kw_only=True):
    """Options of lmer_anova: the further models, by lm where a formula has no bar; `REML` of all, or one a model."""

    formulas: Annotated[list[str], msgspec.Meta(min_length=1)]
    REML: bool | list[bool] = True
    refit: bool = True
    weights: str | None = None


class ExpectsError(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The kind of error with which R refuses the case."""

    error: ErrorKind


Expects = Literal["values"] | ExpectsError


class _CaseFile(_Options, frozen=True, kw_only=True, tag_field="estimator"):
    """One case file."""

    id: Annotated[str, msgspec.Meta(pattern="^[a-z0-9]+(-[a-z0-9]+)*$")]
    description: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    data: str
    formula: str
    features: list[str] = []
    expects: Expects = "values"


class LmCase(_CaseFile, frozen=True, kw_only=True, tag="lm"):
    """A case of R's lm."""

    options: LmOptions = LmOptions()


class OlsCase(_CaseFile, frozen=True, kw_only=True, tag="ols"):
    """A case of rms's ols."""

    options: OlsOptions = OlsOptions()


class RobcovCase(_CaseFile, frozen=True, kw_only=True, tag="robcov"):
    """A case of rms's robcov."""

    options: RobcovOptions = RobcovOptions()


class VcovHcCase(_CaseFile, frozen=True, kw_only=True, tag="vcov_hc"):
    """A case of sandwich's vcovHC."""

    options: VcovHcOptions


class VcovClusterCase(_CaseFile, frozen=True, kw_only=True, tag="vcov_cluster"):
    """A case of a cluster-robust covariance."""

    options: VcovClusterOptions


class MlSandwichCase(_CaseFile, frozen=True, kw_only=True, tag="ml_sandwich"):
    """A case of the general sandwich of maximum likelihood."""

    options: MlSandwichOptions


class AnovaCase(_CaseFile, frozen=True, kw_only=True, tag="anova"):
    """A case of R's anova of nested linear models."""

    options: AnovaOptions


class PlmCase(_CaseFile, frozen=True, kw_only=True, tag="plm"):
    """A case of plm's plm."""

    options: PlmOptions


class PlmVcovCase(_CaseFile, frozen=True, kw_only=True, tag="plm_vcov"):
    """A case of a robust covariance of a panel model."""

    options: PlmVcovOptions


class PlmTestCase(_CaseFile, frozen=True, kw_only=True, tag="plm_test"):
    """A case of a test of panel models."""

    options: PlmTestOptions


class LmerCase(_CaseFile, frozen=True, kw_only=True, tag="lmer"):
    """A case of lme4's lmer."""

    options: LmerOptions = LmerOptions()


class LmerAnovaCase(_CaseFile, frozen=True, kw_only=True, tag="lmer_anova"):
    """A case of lme4's anova of several fits."""

    options: LmerAnovaOptions


CaseFile = (
    LmCase | OlsCase | RobcovCase | VcovHcCase | VcovClusterCase | MlSandwichCase | AnovaCase
    | PlmCase | PlmVcovCase | PlmTestCase | LmerCase | LmerAnovaCase
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Case:
    """A case as implementations see it; `options` holds every option of the estimator that is not null.

    `data` is loaded when first asked for and raises DataUnavailable(reason). A case made from a frame (see
    `with_data`, `case_in_memory`) belongs to no file.
    """

    id: str
    estimator: str
    description: str
    data_name: str
    formula: str
    options: Mapping[str, Any]
    features: tuple[str, ...] = ()
    expects: str | Mapping[str, str] = "values"
    root: Path = field(default_factory=fixtures_root)
    sha256: str = ""
    frame: pd.DataFrame | None = field(default=None, repr=False)

    @property
    def data(self) -> pd.DataFrame:
        """The data with R's row names as string labels; not to be written to."""
        return self.frame if self.frame is not None else load_data(self.data_name, self.root)

    @property
    def expects_error(self) -> str | None:
        """The kind of error R answers with, or None."""
        return None if isinstance(self.expects, str) else self.expects["error"]

    @property
    def formulas(self) -> tuple[str, ...]:
        """The formula, and after it anova's further ones."""
        return (self.formula, *self.options.get("formulas", ()))

    def with_data(self, frame: pd.DataFrame, **changes: Any) -> Case:
        """Return the same case on another frame; `changes` are further fields, `options` replaced whole."""
        return replace(self, frame=frame, sha256="", **changes)


def case_in_memory(estimator: str, formula: str, frame: pd.DataFrame, **options: Any) -> Case:
    """Return a case that is in no file, its options validated and completed like any other's.

    The frame's row labels become strings. Raises CaseError for an unknown estimator or option.
    """
    raw = {
        "id": f"{estimator.replace('_', '-')}-in-memory",
        "estimator": estimator,
        "description": "a case made in memory",
        "data": "in-memory",
        "formula": formula,
        "options": options,
    }
    case = _case(_decode(msgspec.json.encode(raw), "in memory"), fixtures_root())
    return case.with_data(frame.set_axis(frame.index.map(str), axis=0))


def load_cases(glob: str | Iterable[str] = "*", root: Path | None = None) -> list[Case]:
    """Return the cases whose id matches one of the globs, in the order of estimator and id.

    Raises CaseError for a file that holds no case, for one in the wrong folder and for an id used twice.
    """
    globs = [glob] if isinstance(glob, str) else list(glob)
    found = _all_cases(root or fixtures_root())
    return [case for case in found if any(fnmatchcase(case.id, one) for one in globs)]


@lru_cache(maxsize=16)
def _all_cases(root: Path) -> tuple[Case, ...]:
    paths = sorted(path for path in (root / "cases").glob("*/*.json") if path.parent.name not in NO_ESTIMATORS)
    cases = [_load(path, root) for path in paths]
    seen: dict[str, Path] = {}
    for case, path in zip(cases, paths, strict=True):
        if case.id in seen:
            raise CaseError(f"{path}: the id {case.id} is also in {seen[case.id]}")
        seen[case.id] = path
    return tuple(cases)


def _load(path: Path, root: Path) -> Case:
    case = _case(_decode(path.read_bytes(), str(path)), root)
    if path.stem != case.id or path.parent.name != case.estimator:
        raise CaseError(f"{path}: belongs at cases/{case.estimator}/{case.id}.json")
    return case


def _decode(text: bytes, where: str) -> CaseFile:
    try:
        found: CaseFile = msgspec.json.decode(text, type=CaseFile)
    except msgspec.DecodeError as error:
        raise CaseError(f"{where}: {error}") from None
    return found


def _case(raw: CaseFile, root: Path) -> Case:
    given = msgspec.structs.asdict(raw.options)
    return Case(
        id=raw.id,
        estimator=str(raw.__struct_config__.tag),
        description=raw.description,
        data_name=raw.data,
        formula=raw.formula,
        options={name: value for name, value in given.items() if value is not None},
        features=tuple(raw.features),
        expects=raw.expects if isinstance(raw.expects, str) else {"error": raw.expects.error},
        root=root,
        sha256=_case_sha256(raw),
    )


def _case_sha256(raw: CaseFile) -> str:
    """What R's answer depends on: a better description or a further feature does not make it stale."""
    options = {
        option.name: value
        for option in msgspec.structs.fields(raw.options)
        if (value := getattr(raw.options, option.name)) != option.default
    }
    parts: Sequence[object] = [raw.__struct_config__.tag, raw.data, raw.formula, options]
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()


def features(root: Path | None = None) -> dict[str, str]:
    """Return the registry of features, `features.json`: word -> one line."""
    path = (root or fixtures_root()) / "features.json"
    return msgspec.json.decode(path.read_bytes(), type=dict[str, str])


def data_digests(case: Case) -> dict[str, str]:
    """Return the name and checksums of a case's data as an expected file records them."""
    spec = data_spec(case.data_name, case.root)
    return {
        "data": spec.name,
        "data_sha256_doubles": spec.sha256_doubles,
        "data_recipe_sha256": recipe_sha256(spec),
    }


def case_schema() -> dict[str, Any]:
    """Return the JSON Schema of a case file."""
    title = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A case of rcompat"}
    return {**title, **msgspec.json.schema(CaseFile)}
