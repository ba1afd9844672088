"""Functions of vectors and data frames that a transcript's data steps may call, each as R defines it.

Random numbers are refimpl.rrandom's, so that set.seed starts R's own stream. Models are in model_functions.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compat.transcript.interpreter import Arguments, colon, function, recycled
from compat.transcript.language import NotRead
from compat.transcript.models import concrete
from compat.transcript.values import (
    MAX_VALUES,
    FileText,
    Frame,
    GroupColumn,
    GroupTable,
    Kind,
    Null,
    Reading,
    RList,
    Unknown,
    Value,
    Vector,
    character,
    make_name,
    numeric,
    read_csv,
)
from refimpl import rrandom
from refimpl.errors import RefimplError
from refimpl.formula.deparse import deparse
from refimpl.formula.syntax import Name
from refimpl.printing.numbers import round_half, signif

Floats = NDArray[np.float64]

# ---- called for their effects -----------------------------------------------------------------------------------


@function(
    "library", "require", "options", "rm", "setwd", "plot", "hist", "lines", "points", "abline", "legend", "par",
    "dev.off", "pdf", "png", "curve", "boxplot", "densityplot", "axis", "text", "title", "polygon", "segments",
    visible=False,
)  # fmt: skip
def effect(a: Arguments) -> Value:
    """What changes nothing that is read here."""
    return Null()


@function("suppressMessages", "suppressWarnings", "suppressPackageStartupMessages", "(", takes="x")
def itself(a: Arguments) -> Value:
    """The value of the expression."""
    return a.value("x")


@function("print", "identity", takes="x")
def shown(a: Arguments) -> Value:
    """The object, which is printed."""
    return a.value("x")


@function("invisible", takes="x", visible=False)
def invisible(a: Arguments) -> Value:
    """The object, which is not printed."""
    return a.value("x")


# ---- random numbers ---------------------------------------------------------------------------------------------


def _random(a: Arguments) -> rrandom.RRandom:
    if a.run.random is None:
        raise NotRead("random numbers without set.seed()")
    return a.run.random


def _draw(a: Arguments, draw: Callable[[], Any]) -> Vector:
    try:
        return numeric(draw())
    except (RefimplError, ValueError, OverflowError, MemoryError) as problem:
        raise NotRead(f"{a.call.function}(): {problem}") from None


def _count(a: Arguments) -> int:
    values = a.vector("n").numbers()
    n = float(values[0]) if len(values) == 1 else float(len(values))
    if not 0 <= n <= MAX_VALUES:
        raise NotRead(f"{n:g} random numbers")
    return int(n)


@function("set.seed", takes="seed kind normal.kind sample.kind", visible=False)
def set_seed(a: Arguments) -> Value:
    """Start the stream."""
    try:
        kinds = {name.replace(".", "_"): a.text(name) for name in ("kind", "normal.kind", "sample.kind")}
        a.run.random = rrandom.RRandom(0)
        a.run.random.set_seed(a.number("seed"), **kinds)
    except (RefimplError, ValueError, OverflowError) as problem:
        raise NotRead(f"set.seed(): {problem}") from None
    return Null()


@function("rnorm", takes="n mean sd")
def rnorm(a: Arguments) -> Value:
    """Normal numbers."""
    n, mean, sd = _count(a), _many(a, "mean", 0.0), _many(a, "sd", 1.0)
    return _draw(a, lambda: _random(a).rnorm(n, mean, sd))


@function("runif", takes="n min max")
def runif(a: Arguments) -> Value:
    """Uniform numbers."""
    n, low, high = _count(a), _many(a, "min", 0.0), _many(a, "max", 1.0)
    return _draw(a, lambda: _random(a).runif(n, low, high))


@function("rexp", takes="n rate")
def rexp(a: Arguments) -> Value:
    """Exponential numbers."""
    n, rate = _count(a), _many(a, "rate", 1.0)
    return _draw(a, lambda: _random(a).rexp(n, rate))


def _many(a: Arguments, name: str, default: float) -> Any:
    return a.vector(name).numbers() if a.has(name) else default


@function("sample", takes="x size replace prob")
def sample(a: Arguments) -> Value:
    """Elements of x, or of 1:x."""
    x = a.vector("x")
    whole = len(x) == 1 and x.kind in ("double", "integer") and x.numbers()[0] >= 1
    n = int(x.numbers()[0]) if whole and x.numbers()[0] < 2**31 else len(x)
    size = int(a.number("size", float(n)))
    if size > MAX_VALUES or n > MAX_VALUES:
        raise NotRead("a sample that is too large")
    prob = a.vector("prob").numbers() if a.has("prob") else None
    drawn = _draw(a, lambda: _random(a).sample(n, size, a.flag("replace", False), prob))
    places = drawn.numbers().astype(np.intp) - 1
    return Vector(places + 1.0, "integer") if whole else x.take(places)


# ---- making vectors ---------------------------------------------------------------------------------------------


@function("c")
def combine(a: Arguments) -> Value:
    """One vector of several; names are kept."""
    parts = [(name, a.run.vector(a.run.evaluate(node))) for name, node in a.rest]
    if not parts:
        return Null()
    texts = any(part.kind == "character" for _, part in parts)
    if any(part.kind == "factor" for _, part in parts):
        raise NotRead("c() of factors")
    names: list[str] = []
    for name, part in parts:
        own = part.names or ("",) * len(part)
        names += [f"{name}{i}" if name and len(part) > 1 else name or label for i, label in enumerate(own, 1)]
    if texts:
        return character([text for _, part in parts for text in part.texts()])
    kinds = {part.kind for _, part in parts}
    kind: Kind = "logical" if kinds == {"logical"} else "integer" if kinds <= {"integer", "logical"} else "double"
    return numeric(np.concatenate([part.numbers() for _, part in parts]), kind, names if any(names) else None)


@function("seq", "seq.int", takes="from to by length.out along.with")
def seq(a: Arguments) -> Value:
    """A regular sequence."""
    if a.has("along.with"):
        return _upto(len(a.vector("along.with")))
    if not a.has("to") and not a.has("by") and not a.has("length.out"):
        given = a.vector("from")
        return _upto(int(given.numbers()[0]) if len(given) == 1 else len(given))
    if a.has("length.out"):
        return _seq_length(a, math.ceil(a.number("length.out")))
    start, stop = a.number("from", 1.0), a.number("to")
    if not a.has("by"):
        return colon(numeric(start), numeric(stop))
    by = a.number("by")
    steps = (stop - start) / by if by else math.nan
    if not 0 <= steps <= MAX_VALUES:
        raise NotRead("seq(): these steps lead nowhere")
    return numeric(start + np.arange(int(steps + 1e-10) + 1) * by)


def _seq_length(a: Arguments, n: int) -> Vector:
    if not 0 <= n <= MAX_VALUES:
        raise NotRead(f"a sequence of {n} values")
    if a.has("by"):
        by = a.number("by")
        start = a.number("to") - (n - 1) * by if a.has("to") and not a.has("from") else a.number("from", 1.0)
        return numeric(start + np.arange(n) * by)
    start = a.number("from", 1.0)
    return numeric(np.linspace(start, a.number("to", start + n - 1), n))


def _upto(n: int) -> Vector:
    if not 0 <= n <= MAX_VALUES:
        raise NotRead(f"a sequence of {n} values")
    return numeric(np.arange(1, n + 1), "integer")


@function("seq_len", takes="length.out")
def seq_len(a: Arguments) -> Value:
    """1 to n."""
    return _upto(int(a.number("length.out")))


@function("seq_along", takes="along.with")
def seq_along(a: Arguments) -> Value:
    """1 to the length of x."""
    return _upto(len(a.vector("along.with")))


@function("rep", "rep.int", takes="x times each length.out")
def rep(a: Arguments) -> Value:
    """x over and over, or each of its values."""
    x = a.vector("x")
    each = int(a.number("each", 1.0))
    times = a.vector("times").numbers() if a.has("times") else np.ones(1)
    if not (each >= 0 and (times >= 0).all() and len(x) * max(each, 1) * max(times.sum(), 1) <= MAX_VALUES):
        raise NotRead("rep(): too many or too few times")
    places = np.repeat(np.arange(len(x)), each)
    if len(times) == len(places) and len(times) > 1:
        places = np.repeat(places, times.astype(int))
    elif len(times) == 1:
        places = np.tile(places, int(times[0]))
    else:
        raise NotRead("rep(): times of another length than x")
    if a.has("length.out"):
        places = np.resize(places, min(int(a.number("length.out")), MAX_VALUES))
    return x.take(places)


@function("factor", "as.factor", takes="x levels labels ordered")
def factor(a: Arguments) -> Value:
    """A factor; of given levels in their order."""
    x = a.vector("x")
    if a.has("ordered"):
        raise NotRead("an ordered factor")
    if not a.has("levels"):
        found = x if a.call.function == "as.factor" and x.kind == "factor" else x.factor()
    else:
        wanted = [text for text in a.vector("levels").texts() if text is not None]
        place = {text: float(i) for i, text in enumerate(wanted)}
        codes = [np.nan if text is None else place.get(text, np.nan) for text in x.texts()]
        found = Vector(np.array(codes, dtype=np.float64), "factor", x.names, tuple(wanted))
    if a.has("labels"):
        labels = a.vector("labels").texts()
        if len(labels) != len(found.levels) or None in labels:
            raise NotRead("factor(): labels that are not one a level")
        return Vector(found.values, "factor", found.names, tuple(str(one) for one in labels))
    return found


@function("as.numeric", "as.double", "as.integer", takes="x")
def as_numeric(a: Arguments) -> Value:
    """Numbers; of a factor its codes."""
    x = a.vector("x")
    if x.kind == "character":
        raise NotRead("texts as numbers")
    values = np.asarray(x.values, dtype=np.float64) + (x.kind == "factor")
    whole = a.call.function == "as.integer"
    return Vector(np.trunc(values) if whole else values, "integer" if whole else "double")


@function("as.character", takes="x")
def as_character(a: Arguments) -> Value:
    """Texts."""
    return character(a.vector("x").texts())


@function("ifelse", takes="test yes no")
def ifelse(a: Arguments) -> Value:
    """yes or no by test."""
    test = a.vector("test").numbers()
    yes, no = (recycled(a.vector(name), len(test)).numbers() for name in ("yes", "no"))
    return numeric(np.where(np.isnan(test), np.nan, np.where(test != 0, yes, no)))


# ---- of vectors ---------------------------------------------------------------------------------------------------

_ELEMENTWISE: dict[str, Callable[[Floats], Any]] = {
    "abs": np.abs, "sqrt": np.sqrt, "exp": np.exp, "log10": np.log10, "log2": np.log2, "log1p": np.log1p,
    "expm1": np.expm1, "floor": np.floor, "ceiling": np.ceil, "trunc": np.trunc, "sin": np.sin, "cos": np.cos,
    "tan": np.tan, "sign": np.sign,
}  # fmt: skip


@function(*_ELEMENTWISE, takes="x")
def elementwise(a: Arguments) -> Value:
    """Each value by itself."""
    x = a.vector("x")
    with np.errstate(all="ignore"):
        return Vector(np.asarray(_ELEMENTWISE[a.call.function](x.numbers())), "double", x.names)


@function("log", takes="x base")
def log(a: Arguments) -> Value:
    """The natural logarithm, or to a base."""
    x = a.vector("x")
    with np.errstate(all="ignore"):
        values = np.log(x.numbers())
        return Vector(values / np.log(a.number("base")) if a.has("base") else values, "double", x.names)


@function("round", "signif", takes="x digits")
def rounded(a: Arguments) -> Value:
    """round() to decimals, signif() to digits."""
    x, by = a.vector("x"), round_half if a.call.function == "round" else signif
    digits = int(a.number("digits", 0.0 if by is round_half else 6.0))
    return Vector(np.array([by(float(v), digits) for v in x.numbers()]), "double", x.names)


@function("is.na", takes="x")
def is_na(a: Arguments) -> Value:
    """Where it is missing."""
    return Vector(a.vector("x").missing().astype(np.float64), "logical")


@function("complete.cases", takes="x")
def complete_cases(a: Arguments) -> Value:
    """Rows without a missing value."""
    return Vector((~_rows_missing(a.run.frame(a.value("x")))).astype(np.float64), "logical")


def _rows_missing(frame: Frame) -> NDArray[np.bool_]:
    out = np.zeros(len(frame.rows), dtype=bool)
    for column in frame.columns.values():
        out |= column.missing()
    return out


@function("na.omit", takes="x")
def na_omit(a: Arguments) -> Value:
    """Without rows that miss a value."""
    found = concrete(a.value("x"), a.run.fits)
    if isinstance(found, Frame):
        return found.take(np.flatnonzero(~_rows_missing(found)))
    vector = a.run.vector(found)
    return vector.take(np.flatnonzero(~vector.missing()))


@function("which", takes="x")
def which(a: Arguments) -> Value:
    """Places that are TRUE."""
    x = a.vector("x")
    if x.kind != "logical":
        raise NotRead("which() of what is not logical")
    return numeric(np.flatnonzero(np.nan_to_num(x.values) != 0) + 1, "integer")


@function("length", "NROW", takes="x")
def length(a: Arguments) -> Value:
    """How many."""
    found = concrete(a.value("x"), a.run.fits)
    if isinstance(found, Frame):
        return numeric(len(found.rows) if a.call.function == "NROW" else len(found.columns), "integer")
    return numeric(len(a.run.vector(found)), "integer")


@function("nrow", "ncol", "dim", takes="x")
def dimensions(a: Arguments) -> Value:
    """Rows and columns."""
    frame = a.run.frame(a.value("x"))
    both = {"nrow": [len(frame.rows)], "ncol": [len(frame.columns)], "dim": [len(frame.rows), len(frame.columns)]}
    return numeric(both[a.call.function], "integer")


@function("unique", takes="x")
def unique(a: Arguments) -> Value:
    """Each value once, in the order they come."""
    x = a.vector("x")
    seen: dict[str | None, int] = {}
    for i, text in enumerate(x.texts()):
        seen.setdefault(text, i)
    return x.take(np.array(list(seen.values()), dtype=np.intp))


@function("sort", takes="x decreasing")
def sort(a: Arguments) -> Value:
    """In order, NA left out."""
    values = a.vector("x").numbers()
    values = np.sort(values[~np.isnan(values)])
    return numeric(values[::-1] if a.flag("decreasing", False) else values)


@function("cumsum", "diff", takes="x")
def running(a: Arguments) -> Value:
    """Running sums, or differences of neighbours."""
    values = a.vector("x").numbers()
    return numeric(np.cumsum(values) if a.call.function == "cumsum" else np.diff(values))


# ---- statistics ---------------------------------------------------------------------------------------------------


def _known_values(a: Arguments, name: str = "x") -> Floats:
    values = a.vector(name).numbers()
    return values[~np.isnan(values)] if a.flag("na.rm", False) else values


def exact_mean(values: Floats) -> float:
    """The mean with one rounding, which R's long doubles come to."""
    if not len(values) or not np.isfinite(values).all():
        return float(np.mean(values)) if len(values) else math.nan
    return math.fsum(values) / len(values)


def _variance(values: Floats) -> float:
    if len(values) < 2 or not np.isfinite(values).all():
        return math.nan
    centred = values - exact_mean(values)
    return math.fsum(centred**2) / (len(values) - 1)


_STATISTICS: dict[str, Callable[[Floats], float]] = {
    "sum": lambda x: math.fsum(x) if np.isfinite(x).all() else float(np.sum(x)),
    "median": lambda x: float(np.median(x)) if len(x) else math.nan,
    "var": _variance,
    "sd": lambda x: math.sqrt(_variance(x)) if len(x) > 1 and np.isfinite(x).all() else math.nan,
    "min": lambda x: float(np.min(x)) if len(x) else math.inf,
    "max": lambda x: float(np.max(x)) if len(x) else -math.inf,
}


@function(*_STATISTICS, takes="x na.rm")
def statistic(a: Arguments) -> Value:
    """One number of a vector."""
    if a.rest:
        raise NotRead(f"{a.call.function}() of several vectors")
    return numeric(_STATISTICS[a.call.function](_known_values(a)))


@function("mean", takes="x na.rm")
def mean(a: Arguments) -> Value:
    """The mean; of a column of coefficients by group it is remembered what it is the mean of."""
    value = a.value("x")
    if isinstance(value, GroupColumn) and not value.mean:
        return replace(value, mean=True)
    return numeric(exact_mean(_known_values(a)))


@function("range", takes="x na.rm")
def spread(a: Arguments) -> Value:
    """The least and the largest."""
    values = _known_values(a)
    if not len(values):
        raise NotRead("range() of nothing")
    return numeric([values.min(), values.max()])


@function("quantile", takes="x probs na.rm")
def quantile(a: Arguments) -> Value:
    """Quantiles by R's type 7, named in per cent."""
    values = _known_values(a)
    probs = a.vector("probs").numbers() if a.has("probs") else np.array([0, 0.25, 0.5, 0.75, 1])
    if not len(values) or np.isnan(values).any() or not ((probs >= 0) & (probs <= 1)).all():
        raise NotRead("quantile() of nothing, of missing values, or of no probabilities")
    names = [f"{100 * p:.7g}%" for p in probs]
    return numeric(np.quantile(values, probs), names=names)


@function("cor", "cov", takes="x y")
def correlation(a: Arguments) -> Value:
    """Pearson's correlation of two vectors, or their covariance."""
    x, y = a.vector("x").numbers(), a.vector("y").numbers()
    if len(x) != len(y) or len(x) < 2:
        raise NotRead("cor() of vectors of different lengths")
    dx, dy = x - exact_mean(x), y - exact_mean(y)
    product = math.fsum(dx * dy)
    if a.call.function == "cov":
        return numeric(product / (len(x) - 1))
    scale = math.sqrt(math.fsum(dx**2)) * math.sqrt(math.fsum(dy**2))
    return numeric(product / scale if scale else math.nan)


# ---- data frames --------------------------------------------------------------------------------------------------


@function("getURL", "url", "file", takes="url")
def address(a: Arguments) -> Value:
    """What an address holds: one of the data files at hand."""
    return FileText(a.text("url") or "")


@function("data", visible=False)
def data(a: Arguments) -> Value:
    """Data sets that R brings with it: the data files of their names, or the only one there is."""
    for name, node in a.rest:
        if name is None:
            wanted = node.name if isinstance(node, Name) else a.run.vector(a.run.evaluate(node)).texts()[0] or ""
            a.run.names[wanted] = Unknown(f"no data file is called {wanted} (--data)")
            a.run.names[wanted] = a.run.data_set(wanted)
    return Null()


@function("read.csv", "read.table", takes="file header sep stringsAsFactors na.strings row.names text")
def read_table(a: Arguments) -> Value:
    """The data file of that name, or the only one there is."""
    source = a.value("text") if a.has("text") else a.value("file")
    name = source.name if isinstance(source, FileText) else (a.run.vector(source).texts()[0] or "")
    factors = a.flag("stringsAsFactors", a.run.strings_as_factors)
    if not a.flag("header", True) or (a.has("row.names") and a.number("row.names") != 1):
        raise NotRead(f"{a.call.function}() without a header, or with row names of its own")
    missing = [text for text in a.vector("na.strings").texts() if text is not None] if a.has("na.strings") else ["NA"]
    sep = a.text("sep", ",") or ","
    return read_csv(_file(a, name), factors, sep if len(sep) == 1 else ",", missing, a.has("row.names"))


def _file(a: Arguments, name: str) -> Path:
    files = a.run.files
    if not files:
        raise NotRead(f"{name or 'the data'} is not at hand (--data)")
    base = name.replace("\\", "/").rsplit("/", 1)[-1].split("?")[0]
    for file in files:
        if file.name == base:
            return file
    if len(files) > 1:
        raise NotRead(f"none of the data files is called {base}")
    a.run.notes.append(f"{base or name} is taken to be {files[0].name}")
    return files[0]


@function("cbind")
def cbind(a: Arguments) -> Value:
    """Columns side by side, named by their names or by the variables they come from."""
    return _frame(a, syntactic=False)


@function("data.frame")
def data_frame(a: Arguments) -> Value:
    """A data frame of columns and data frames."""
    options = ("stringsAsFactors", "check.names", "row.names")
    rest = [(name, node) for name, node in a.rest if name not in options]
    if len(rest) == 1 and rest[0][0] is None:
        value = a.run.evaluate(rest[0][1])
        if isinstance(value, GroupTable) and value.group is not None:
            return replace(value, naming="prefixed" if value.listed else "checked", listed=False)
    return _frame(a, syntactic=True)


def _frame(a: Arguments, syntactic: bool) -> Frame:
    columns: dict[str, Vector] = {}
    rows: tuple[str, ...] = ()
    for name, node in a.rest:
        if name in ("stringsAsFactors", "check.names", "row.names"):
            continue
        value = concrete(a.run.evaluate(node), a.run.fits)
        if isinstance(value, Frame):
            columns |= {(f"{name}.{key}" if name else key): column for key, column in value.columns.items()}
            rows = rows or value.rows
            continue
        label = name or (node.name if isinstance(node, Name) else deparse(node))
        columns[make_name(label) if syntactic else label] = a.run.vector(value)
    n = max((len(column) for column in columns.values()), default=0)
    same = {name: recycled(column, n) for name, column in columns.items()}
    return Frame(same, rows if len(rows) == n else tuple(str(i) for i in range(1, n + 1)))


@function("as.data.frame", "as.matrix", takes="x")
def as_data_frame(a: Arguments) -> Value:
    """A data frame as it is."""
    value = a.value("x")
    return value if isinstance(value, GroupTable) else a.run.frame(value)


@function("head", "tail", takes="x n")
def ends(a: Arguments) -> Value:
    """The first or the last values or rows, six unless it is said."""
    value, n = a.value("x"), int(a.number("n", 6.0))
    first = a.call.function == "head"
    if isinstance(value, GroupTable) and value.group is not None and first and n > 0 and not value.listed:
        return replace(value, rows=n if value.rows is None else min(n, value.rows))
    found = concrete(value, a.run.fits)
    size = len(found.rows) if isinstance(found, Frame) else len(a.run.vector(found))
    count = min(n, size) if n >= 0 else max(size + n, 0)
    places = np.arange(count) if first else np.arange(size - count, size)
    return found.take(places) if isinstance(found, Frame | Vector) else Null()


@function("subset", takes="x subset select")
def subset(a: Arguments) -> Value:
    """Rows of a data frame that fulfil a condition."""
    frame = a.run.frame(a.value("x"))
    if a.has("select") or not a.has("subset"):
        raise NotRead("subset() with select, or without a condition")
    a.run.masks.append(frame)
    try:
        wanted = recycled(a.vector("subset"), len(frame.rows))
    finally:
        a.run.masks.pop()
    return frame.take(np.flatnonzero(np.nan_to_num(wanted.numbers()) != 0))


@function("with", takes="data expr")
def with_data(a: Arguments) -> Value:
    """An expression in which the columns of a data frame are names."""
    try:
        frame = a.run.frame(a.value("data"))
    except NotRead as problem:
        frame = None
        reason = str(problem)
    if frame is None:
        return _with_unknown(a, reason)
    a.run.masks.append(frame)
    try:
        return a.value("expr")
    finally:
        a.run.masks.pop()


def _with_unknown(a: Arguments, reason: str) -> Value:
    """A model of data that are not known is still a model; all else is not read."""
    from compat.transcript.model_functions import ESTIMATORS

    node = a.given.get("expr")
    if node is None or not hasattr(node, "function") or node.function not in ESTIMATORS:
        raise NotRead(reason)
    return a.value("expr")


@function("names", "colnames", takes="x")
def names(a: Arguments) -> Value:
    """Names of columns, or of values."""
    found = concrete(a.value("x"), a.run.fits)
    if isinstance(found, Frame):
        return character(list(found.columns))
    labels = a.run.vector(found).names
    return Null() if labels is None else character(list(labels))


@function("list")
def make_list(a: Arguments) -> Value:
    """A list."""
    items = tuple(a.run.evaluate(node) for _, node in a.rest)
    return RList(items, tuple(name or "" for name, _ in a.rest))


@function("summary", takes="object")
def summary(a: Arguments) -> Value:
    """The object; what is printed of it says that it is a summary."""
    from compat.transcript.values import Model

    value = a.value("object")
    if isinstance(value, Model):
        return Reading(value, "summary")
    found = concrete(value, a.run.fits)
    if isinstance(found, Unknown | Null):
        raise NotRead("summary() of nothing")
    return RList((found,), ("summary",))
