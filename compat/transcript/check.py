"""Checks a transcript: follows its commands, reads what is printed, finds the model of each block, judges each cell.

A block is held first against what its command says, or the call printed in it. What then disagrees is tried against the
neighbours of the models it comes from, and, where it has no formula of its own, against the transcript's other models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from compat.compare import Verdict
from compat.conventions import neighbours
from compat.published import Block, PrintedCell, Reading, Token, read
from compat.published.numbers import Sort
from compat.transcript import functions as _functions  # noqa: F401  (makes R's functions known)
from compat.transcript import model_functions as _model_functions  # noqa: F401
from compat.transcript import predictions as _predictions  # noqa: F401
from compat.transcript import updates as _updates  # noqa: F401
from compat.transcript.answers import Answer, answer, models_of, truths_differ
from compat.transcript.calls import call_differences, printed_call
from compat.transcript.identities import Finding, Printout, find_contradictions
from compat.transcript.interpreter import Interpreter
from compat.transcript.judge import CONSTANT, Row, judge, judge_constants, judge_marks
from compat.transcript.language import NotRead, read_commands
from compat.transcript.models import Fits
from compat.transcript.session import Step, split
from compat.transcript.stopped import Printed, stopped
from compat.transcript.values import Frame, GroupColumn, GroupTable, Model, RList, Value
from compat.transcript.values import Reading as ModelReading

ENOUGH = 0.6  # of a block's cells must agree with an answer that the transcript does not name
AGREEING = (Verdict.MATCH, Verdict.MATCH_UNDER_CONVENTION, Verdict.REFERENCE_NOT_CONVERGED)
LEAST_DIGITS = 4  # of a number that alone has to tell which model it comes from


@dataclass(frozen=True)
class Checked:
    """One block, the answer that suits it best (None where there is none), and a row for each of its cells."""

    block: Block
    answer: Answer | None
    rows: tuple[Row, ...]
    remarks: tuple[Remark, ...] = ()
    value: Value | None = None  # of the command that printed it


@dataclass(frozen=True)
class Remark:
    """Something that is no number but wrong: a call that is not the command's, a mark that is not the p-value's."""

    line: int
    text: str


@dataclass
class CheckedStep:
    """A step, whether its command was read, its blocks, and the numbers that nobody could read."""

    step: Step
    problem: str = ""
    blocks: list[Checked] = field(default_factory=list)
    unread: tuple[Token, ...] = ()
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    """A checked transcript: steps, what contradicts itself, the file's lines."""

    lines: tuple[str, ...]
    steps: tuple[CheckedStep, ...]
    contradictions: tuple[Finding, ...]
    identities: int

    @property
    def rows(self) -> list[Row]:
        """All rows."""
        return [row for step in self.steps for checked in step.blocks for row in checked.rows]

    @property
    def unread(self) -> list[Token]:
        """All numbers that were not read."""
        return [token for step in self.steps for token in step.unread]

    @property
    def remarks(self) -> list[Remark]:
        """All remarks."""
        return [remark for step in self.steps for checked in step.blocks for remark in checked.remarks]

    @property
    def counts(self) -> Counter[Verdict]:
        """How many cells got which verdict; a number that was not read is NOT_RUN."""
        out = Counter(row.verdict for row in self.rows)
        out[Verdict.NOT_RUN] += len(self.unread)
        return +out

    def passed(self, strict: bool = False) -> bool:
        """Whether something agreed and nothing is wrong; under `strict` nothing may be left out either."""
        counts = self.counts
        wrong = counts[Verdict.UNEXPLAINED] + counts[Verdict.STRUCTURE] + len(self.remarks)
        absent = counts[Verdict.NOT_RUN] + counts[Verdict.NOT_PROVIDED]
        agreed = any(row.verdict in AGREEING and row.cell.quantity not in CONSTANT for row in self.rows)
        return agreed and not wrong and not (strict and absent)


def check_transcript(text: str, files: Sequence[Path] = (), fits: Fits | None = None) -> Report:
    """Check a transcript with the data files at hand. Never raises for what is in the text."""
    checker = _Checker(split(text), tuple(files), fits or Fits())
    steps = tuple(checker.run())
    _look_for_stops(steps, checker.fits)
    printouts = [
        Printout(one.value, one.block) for step in steps for one in step.blocks if one.answer or one.value is not None
    ]
    held, contradictions = find_contradictions(printouts)
    return Report(tuple(text.split("\n")), steps, tuple(contradictions), held)


def _look_for_stops(steps: Sequence[CheckedStep], fits: Fits) -> None:
    """Explain what lme4 printed from a theta near the optimum, by all that is printed of a model."""
    places = [(step, i) for step in steps for i, one in enumerate(step.blocks) if one.answer is not None]
    printed = []
    for step, i in places:
        found = step.blocks[i].answer
        assert found is not None
        printed.append(Printed(step.blocks[i].block, found, step.blocks[i].rows))
    for (step, i), rows in zip(places, stopped(printed, fits), strict=True):
        step.blocks[i] = replace(step.blocks[i], rows=rows)


class _Checker:
    """The steps, the interpreter that follows them, and the sessions in which a neighbour stands in for a model."""

    def __init__(self, steps: list[Step], files: tuple[Path, ...], fits: Fits) -> None:
        self.steps, self.files, self.fits = steps, files, fits
        self.main = Interpreter(fits, files)
        self.replays: dict[tuple[int, str], list[list[Value]]] = {}

    def run(self) -> Iterator[CheckedStep]:
        for i, step in enumerate(self.steps):
            out = CheckedStep(step, step.problem)
            before = len(self.main.notes)
            shown: list[Value] = []
            try:
                shown = _shown(self.main, step)
            except NotRead as problem:
                out.problem = str(problem)
            out.notes = self.main.notes[before:]
            reading: Reading = read(step.output)
            out.unread = reading.unread
            for n, block in enumerate(reading.blocks):
                place = Place(i, n, len(reading.blocks))
                out.blocks.append(self._settle(place, block, place.of(shown), step))
            yield out

    # -- which answer -------------------------------------------------------------------------------------------

    def _settle(self, place: Place, block: Block, value: Value | None, source: Step) -> Checked:
        """The block against the answer that most of its cells agree with; what the transcript says comes first."""
        problems: list[str] = []
        stated = list(self._stated(block, value, source, problems))
        judged = [(one, judge(block, one)) for one in stated]
        unlikely = [one for one in judged if not _likely(one, block)]
        problems += [f"the data are not known, and {_assumed(one)} is not what they are" for one, _ in unlikely]
        first = best = _best([one for one in judged if one not in unlikely])
        if best is None or not all(row.fine for row in best[1]):
            others = [(one, judge(block, one)) for one in self._others(place, block, value, stated)]
            best = _better(best, others, block)
        if best is None:
            reason = problems[0] if problems else "nothing says what this is"
            return Checked(block, None, tuple(judge_constants(block, reason)), value=value)
        found, rows = best
        called = first[1] if first is not None and first is not best else [None] * len(rows)
        named = tuple(_named(row, found, as_called) for row, as_called in zip(rows, called, strict=True))
        return Checked(block, found, named, tuple(self._remarks(block, found, value)), value)

    def _stated(self, block: Block, value: Value | None, source: Step, problems: list[str]) -> Iterator[Answer]:
        """What the command says, and what the call or formula printed in the block says."""
        if value is not None:
            try:
                yield answer(value, block, self.fits, " ".join(source.source.split()))
            except NotRead as problem:
                problems.append(str(problem))
        model = self._printed_model(block, problems)
        if model is not None:
            try:
                yield answer(model, block, self.fits, model.name)
            except NotRead as problem:
                problems.append(str(problem))

    def _printed_model(self, block: Block, problems: list[str]) -> Model | None:
        """The model of the call that is printed in a block."""
        text = printed_call(block)
        if text is None:
            return None
        try:
            (node,) = read_commands(text)
            run = replace(self.main, names=dict(self.main.names), models=[], notes=[], stand_ins={}, masks=[])
            value = run.evaluate(node)
        except (NotRead, ValueError) as problem:
            problems.append(f"the call printed here: {problem}")
            return None
        return value if isinstance(value, Model) else None

    def _others(self, place: Place, block: Block, value: Value | None, stated: Sequence[Answer]) -> Iterator[Answer]:
        """Neighbours of the models that the block comes from; all models where nothing says which."""
        models = [model for one in stated for model in one.models]
        if value is not None and models_of(value):
            for model in models_of(value):
                yield from self._replayed(place, block, model)
        for model in models if value is None else ():
            yield from self._beside(block, model)
        if not stated or (value is None and not models):
            for model in self.main.models:
                yield from self._any(block, model)
            yield from self._frames(block)

    def _replayed(self, place: Place, block: Block, model: Model) -> Iterator[Answer]:
        """The same command in a session in which a neighbour stands in for one of its models."""
        for neighbour in neighbours(model.estimator, model.options):
            key = (model.place, neighbour.name)
            if key not in self.replays:
                self.replays[key] = _replay(self.steps, replace(self.main_like(), stand_ins={model.place: neighbour}))
            value = place.of(self.replays[key][place.step])
            if value is not None:
                name = f"{model.name} by {neighbour.text}"
                text = f"{neighbour.name}: {name} ({neighbour.used_by})"
                yield from self._try(value, block, name, text)

    def main_like(self) -> Interpreter:
        """A new session with the same files and fits."""
        return Interpreter(self.fits, self.files)

    def _beside(self, block: Block, model: Model) -> Iterator[Answer]:
        for neighbour in neighbours(model.estimator, model.options):
            other = replace(model, estimator=neighbour.estimator, options=neighbour.options)
            name = f"{model.name} by {neighbour.text}"
            yield from self._try(other, block, name, f"{neighbour.name}: {name} ({neighbour.used_by})")

    def _any(self, block: Block, model: Model) -> Iterator[Answer]:
        """A model of the transcript and its neighbours, as what a block without a formula may be."""
        for value, name in _views(block, model):
            yield from self._try(value, block, name, "")
        for neighbour in neighbours(model.estimator, model.options):
            other = replace(model, estimator=neighbour.estimator, options=neighbour.options)
            for value, name in _views(block, other):
                yield from self._try(value, block, name, f"{neighbour.name}: {name} ({neighbour.used_by})")

    def _frames(self, block: Block) -> Iterator[Answer]:
        """Data frames of the transcript, as what a summary or a table may be of."""
        for name, value in list(self.main.names.items()):
            if isinstance(value, Frame) and block.kind == "summary-frame":
                yield from self._try(RList((value,), ("summary",)), block, f"summary({name})", "")
            elif isinstance(value, Frame) and block.kind == "table":
                yield from self._try(value, block, name, "")

    def _try(self, value: Value, block: Block, name: str, convention: str) -> Iterator[Answer]:
        try:
            yield replace(answer(value, block, self.fits, name), convention=convention)
        except NotRead:
            return

    # -- what is no number --------------------------------------------------------------------------------------

    def _remarks(self, block: Block, found: Answer, value: Value | None) -> Iterator[Remark]:
        if value is not None and (differs := truths_differ(block, value, self.fits)):
            yield Remark(block.first, differs)
        line = int(block.facts.get("call line") or block.facts.get("formula line") or block.first)
        for difference in call_differences(block, models_of(value) if value is not None else ()):
            yield Remark(line, difference)
        for row, printed, belongs, at in judge_marks(block, found):
            yield Remark(at, f"the mark of {row} is {printed or 'missing'!r}, its p-value's is {belongs or 'none'!r}")


class Place(NamedTuple):
    """Where a block stands: in which step, which of its blocks, and of how many."""

    step: int
    block: int
    blocks: int

    def of(self, shown: Sequence[Value]) -> Value | None:
        """What the block shows, of the values that its step shows; None where that cannot be told."""
        if len(shown) == 1:
            return shown[0]
        return shown[self.block] if len(shown) == self.blocks else None


def _shown(run: Interpreter, step: Step) -> list[Value]:
    """The values that R prints for the commands of a step. Raises NotRead; then none of them is known."""
    results = [run.command(command) for command in step.commands] if not step.problem else []
    return [result.value for result in results if result.visible]


def _replay(steps: Sequence[Step], run: Interpreter) -> list[list[Value]]:
    """What each step shows in another session."""
    out: list[list[Value]] = []
    for step in steps:
        try:
            out.append(_shown(run, step))
        except NotRead:
            out.append([])
    return out


def _views(block: Block, model: Model) -> Iterator[tuple[Value, str]]:
    """What of a model a block of this kind may show."""
    if block.kind in ("table", "vector") and model.estimator == "lmer":
        for which in ("coef", "ranef"):
            table = GroupTable(model, which, 1)
            for naming in ("", "prefixed", "checked"):
                shown = replace(table, naming=naming)
                yield from ([(shown, f"{which}({model.name})")] if block.kind == "table" else ())
            if block.kind == "vector":
                for column in range(1, 4):
                    mean = GroupColumn(table, column, mean=True)
                    yield mean, f"the mean of column {column} of {which}({model.name})"
    elif block.kind == "named":
        yield ModelReading(model, "coef"), f"coef({model.name})"
    elif block.kind not in ("vector", "table", "summary-frame"):
        yield model, model.name


def _agreeing(rows: Sequence[Row]) -> int:
    """How many cells agree that could as well not: all but legends and indices."""
    return sum(row.fine for row in rows if row.cell.quantity not in CONSTANT)


Judged = tuple[Answer, list[Row]]


def _best(judged: Sequence[Judged]) -> Judged | None:
    """The answer that most cells agree with, the first of equals."""
    return max(judged, key=lambda one: _agreeing(one[1]), default=None)


def _better(stated: Judged | None, others: Sequence[Judged], block: Block) -> Judged | None:
    """What is stated, unless another answer has more cells on its side, and enough of them."""
    other = _best(others)
    if other is None:
        return stated
    agreed = _agreeing(other[1])
    cells = sum(cell.quantity not in CONSTANT for cell in block.cells)
    telling = [row.cell for row in other[1] if row.fine and row.cell.quantity not in CONSTANT]
    enough = agreed >= ENOUGH * cells and (len(telling) > 1 or any(_digits(cell) >= LEAST_DIGITS for cell in telling))
    if not enough or (stated is not None and _agreeing(stated[1]) >= agreed):
        return stated
    return other


def _assumed(one: Answer) -> str:
    """The file that the data of an answer are only taken to be."""
    return next((m.data.assumed for m in one.models if m.data is not None and m.data.assumed), "")


def _likely(judged: Judged, block: Block) -> bool:
    """Whether an answer may be believed: where its data are a guess, enough cells must speak for it."""
    cells = sum(cell.quantity not in CONSTANT for cell in block.cells)
    return not _assumed(judged[0]) or _agreeing(judged[1]) >= ENOUGH * cells


def _digits(cell: PrintedCell) -> int:
    """Significant digits of a printed number."""
    if cell.number.sort is not Sort.NUMBER:
        return 0
    return len(str(abs(int(cell.number.value / cell.number.unit))))


def _named(row: Row, found: Answer, as_called: Row | None) -> Row:
    """A row that agrees with an answer by a convention says so, and what the transcript's own answer would be."""
    if row.verdict is not Verdict.MATCH or not found.convention or row.cell.quantity in CONSTANT:
        return row
    name, _, reason = found.convention.partition(": ")
    called = None if as_called is None else as_called.value
    return replace(row, verdict=Verdict.MATCH_UNDER_CONVENTION, convention=name, reason=reason, called=called)
