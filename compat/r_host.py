"""The child that embeds R through rpy2: requests on stdin, answers on stdout, one JSON line each.

rpy2 hosts R in this process's main thread and passes strings, nothing else: no converter is loaded. What the
lines mean is worker.R's business. Start it as `python -m compat.r_host`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

R_FOLDER = Path(__file__).parent / "r"


def claim_stdout() -> IO[bytes]:
    """Return the protocol's stdout and let file descriptor 1 be stderr, so nothing that prints can break a line."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def start_r() -> Callable[[str], str]:
    """Start R in this process, load worker.R and return its `answer_line`; ImportError where rpy2 cannot."""
    os.environ.setdefault("LC_ALL", "C.UTF-8")
    if find_spec("_rinterface_cffi_api") is None:  # rpy2 was built without it, and would complain at every start
        os.environ.setdefault("RPY2_CFFI_MODE", "ABI")
    rinterface: Any = import_module("rpy2.rinterface")
    callbacks: Any = import_module("rpy2.rinterface_lib.callbacks")
    embedded: Any = import_module("rpy2.rinterface_lib.embedded")

    def to_stderr(text: str) -> None:
        sys.stderr.write(text)

    callbacks.consolewrite_print = to_stderr
    callbacks.consolewrite_warnerror = to_stderr
    callbacks.consoleread = _no_console
    embedded.set_initoptions(("rpy2", "--quiet", "--no-save", "--vanilla"))
    rinterface.initr(interactive=False)
    text = rinterface.StrSexpVector
    rinterface.baseenv["source"](text([str(R_FOLDER / "worker.R")]), encoding=text(["UTF-8"]))
    rinterface.globalenv["start"](text([str(R_FOLDER)]))
    answer_line = rinterface.globalenv["answer_line"]
    return lambda line: str(answer_line(text([line]))[0])


def _no_console(prompt: str) -> str:
    """R asks nobody: an empty line is the answer to every prompt."""
    return "\n"


def main() -> None:
    """Answer requests until stdin ends."""
    answers = claim_stdout()
    answer_line = start_r()
    for line in sys.stdin:
        answers.write(answer_line(line).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    main()
