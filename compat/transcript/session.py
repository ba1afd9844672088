"""A console transcript as steps: a command and the lines that R printed for it.

Three ways of writing one down are known: prompts (`> `, continued by `+ ` or, as on slides, by indented lines), knitr's
commented output (`## ` or `#> `), and output alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from compat.published import Line
from compat.transcript.language import Incomplete, NotRead, read_commands
from refimpl.formula.syntax import Expression

MAX_CONTINUED = 200  # lines of one command
_PROMPT = re.compile(r">(?: |\Z|(?=[^>=]))")
_CONTINUED = re.compile(r"\+(?: |\Z)")
COMMENTED = re.compile(r"#(?:#|>) ?")


@dataclass
class Step:
    """A command, what it is read as (or why it is not), and the output below it."""

    source: str
    first: int
    last: int
    commands: list[Expression] = field(default_factory=list)
    problem: str = ""
    output: list[Line] = field(default_factory=list)


def split(text: str) -> list[Step]:
    """The steps of a transcript. Output before the first command is a step without one. Never raises."""
    lines = [Line(i, line.rstrip("\r")) for i, line in enumerate(text.expandtabs().split("\n"), 1)]
    if any(_PROMPT.match(line.text) for line in lines):
        return _prompted(lines)
    if is_commented([line.text for line in lines]):
        return _commented(lines)
    return [Step("", 1, 0, output=lines)]


def is_commented(lines: Sequence[str]) -> bool:
    """Whether this is a page of knitr's, its output behind comment signs."""
    return not any(_PROMPT.match(line) for line in lines) and any(COMMENTED.match(line) for line in lines)


def _prompted(lines: Sequence[Line]) -> list[Step]:
    steps = [Step("", 1, 0)]
    at = 0
    while at < len(lines):
        found = _PROMPT.match(lines[at].text)
        if not found:
            steps[-1].output.append(lines[at])
            at += 1
            continue
        taken, step = _command(lines, at, found.end())
        steps.append(step)
        at += taken
    return [step for step in steps if step.source or any(not line.blank for line in step.output)]


def _command(lines: Sequence[Line], at: int, start: int) -> tuple[int, Step]:
    """A command from its prompt on: it goes on while it is incomplete, or where R's continuation prompt stands."""
    pieces, taken = [lines[at].text[start:]], 1
    step = Step(pieces[0], lines[at].number, lines[at].number)
    while True:
        following = lines[at + taken] if at + taken < len(lines) else None
        try:
            step.commands, step.problem = read_commands(step.source), ""
            more = False
        except Incomplete as problem:
            step.problem, more = str(problem), taken < MAX_CONTINUED
        except NotRead as problem:
            step.problem, more = str(problem), False
        if following is None or _PROMPT.match(following.text):
            return taken, step
        continued = _CONTINUED.match(following.text)
        if not more and not (continued and step.problem):
            return taken, step
        pieces.append(following.text[continued.end() :] if continued else following.text)
        step.source, step.last = "\n".join(pieces), following.number
        taken += 1


def _commented(lines: Sequence[Line]) -> list[Step]:
    """knitr's pages: what is not commented is code, as much of it as makes a command."""
    steps: list[Step] = [Step("", 1, 0)]
    at = 0
    while at < len(lines):
        mark = COMMENTED.match(lines[at].text)
        if mark:
            steps[-1].output.append(Line(lines[at].number, lines[at].text[mark.end() :]))
            at += 1
        elif lines[at].blank:
            at += 1
        else:
            taken, step = _command(_until_comment(lines, at), 0, 0)
            steps.append(step)
            at += taken
    return [step for step in steps if step.source or any(not line.blank for line in step.output)]


def _until_comment(lines: Sequence[Line], at: int) -> list[Line]:
    end = at
    while end < len(lines) and not COMMENTED.match(lines[end].text):
        end += 1
    return list(lines[at:end])
