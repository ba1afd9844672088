"""Formulas nobody should run, and a child process that runs them under watch.

`python -m tests.refimpl.formula_hostile` reads {"rows", "formulas"} as JSON and answers, per formula: the error's kind,
the CPU seconds, the growth of peak memory in MB, and what Python's audit hooks saw (files, imports, processes, code).
"""

from __future__ import annotations

import json
import resource
import sys
import time
from typing import Any

COLUMNS = ("y", "x", "z", "a", "b", "g")
WATCHED = (
    "open",
    "import",
    "exec",
    "compile",
    "os.",
    "subprocess.",
    "socket.",
    "ctypes.",
    "shutil.",
    "pty.",
    "marshal.",
)

MANY = [f"x{i}" for i in range(60)]
HOSTILE = {
    # calls that R or Python would run
    "y ~ system('touch PWNED')": "formula-forbidden",
    "y ~ x + I(system('touch PWNED', intern = TRUE))": "formula-forbidden",
    "y ~ (1 | {system('touch PWNED'); g})": "formula-forbidden",
    "{system('touch PWNED'); y ~ x}": "formula-forbidden",
    "y ~ x; system('touch PWNED')": "formula-syntax",
    "y ~ x\nsystem('touch PWNED')": "formula-syntax",
    "y ~ shell('dir')": "formula-forbidden",
    "y ~ eval(parse(text = 'system(\"touch PWNED\")'))": "formula-forbidden",
    "y ~ evalq(x, globalenv())": "formula-forbidden",
    "y ~ do.call('system', list('touch PWNED'))": "formula-forbidden",
    "y ~ Reduce(`+`, x)": "formula-forbidden",
    "y ~ sapply(x, system)": "formula-forbidden",
    "y ~ get('system')('touch PWNED')": "formula-forbidden",
    "y ~ match.fun('system')(x)": "formula-forbidden",
    "y ~ (function(x) system('touch PWNED'))(x)": "formula-forbidden",
    "y ~ (\\(x) x)(x)": "formula-forbidden",
    "y ~ base::system('touch PWNED')": "formula-forbidden",
    "y ~ base:::system('touch PWNED')": "formula-forbidden",
    "y ~ 'system'('touch PWNED')": "formula-forbidden",
    "y ~ `system`('touch PWNED')": "formula-forbidden",
    "y ~ (system)('touch PWNED')": "formula-forbidden",
    "y ~ x |> system()": "formula-forbidden",
    "y ~ readLines('/etc/passwd')": "formula-forbidden",
    "y ~ source('http://example.org/x.R')": "formula-forbidden",
    "y ~ file.remove('PWNED')": "formula-forbidden",
    "y ~ Sys.sleep(100)": "formula-forbidden",
    "y ~ quit()": "formula-forbidden",
    "y ~ q('no')": "formula-forbidden",
    "y ~ library(evil)": "formula-forbidden",
    "y ~ assign('x', 1, globalenv())": "formula-forbidden",
    "y ~ x <- 1": "formula-forbidden",
    "y ~ x <<- 1": "formula-forbidden",
    "y ~ I(x = system('touch PWNED'))": "formula-forbidden",
    "y ~ .Call('x')": "formula-forbidden",
    "y ~ .Internal(x)": "formula-forbidden",
    "y ~ if (TRUE) x else z": "formula-forbidden",
    "y ~ while (TRUE) x": "formula-forbidden",
    "y ~ repeat {}": "formula-forbidden",
    "y ~ for (i in x) i": "formula-forbidden",
    "y ~ x[system('touch PWNED')]": "formula-forbidden",
    "y ~ x$a@b": "formula-forbidden",
    "y ~ x %system% z": "formula-forbidden",
    "y ~ ?system": "formula-forbidden",
    "y ~ __import__('os').system('touch PWNED')": "formula-syntax",
    "y ~ x.__class__.__mro__": "unknown-column",
    "y ~ os.system('touch PWNED')": "formula-forbidden",
    "y ~ eval(\"__import__('os')\")": "formula-forbidden",
    "y ~ open('/etc/passwd')": "formula-forbidden",
    "y ~ lambda: x": "unknown-column",
    "y ~ [x for x in z]": "formula-forbidden",
    "y ~ f'{x}'": "formula-syntax",
    "y ~ @x": "formula-forbidden",
    "y ~ C(a, system)": "unknown-column",
    "y ~ C(a, 'system')": "r-error",
    "y ~ C(a, contr.sum(system('touch PWNED')))": "formula-forbidden",
    # names that are no columns
    "y ~ T": "unknown-column",
    "y ~ pi": "unknown-column",
    "y ~ letters": "unknown-column",
    "y ~ .Machine": "unknown-column",
    "y ~ `../../etc/passwd`": "unknown-column",
    "y ~ `__class__`": "unknown-column",
    "y ~ ѕуѕtem": "unknown-column",
    "y ~ ｘ": "unknown-column",
    "y ~ ѕystem('ls')": "formula-forbidden",
    # characters
    "y ~ x\0": "formula-syntax",
    "y ~ x\0; system('touch PWNED')": "formula-syntax",
    "y ~ `x\0`": "formula-syntax",
    "y ~ x \u202e+ z": "formula-syntax",
    "y ～ x": "formula-syntax",
    "y ~ x\u200b": "formula-syntax",
    "y ~ “x”": "formula-syntax",
    "y ~ \ud800": "formula-syntax",
    "\ufeffy ~ x": "formula-syntax",
    "y ~ '\\u{0}'": "formula-syntax",
    "y ~ \x1b[31mx": "formula-syntax",
    "": "formula-syntax",
    "~": "formula-syntax",
    "y ~ ~ ~ x": "formula-syntax",
    "y ~ '" + "x" * 10_000: "formula-syntax",
    # sizes
    "y ~ " + "(" * 3_000 + "x" + ")" * 3_000: "formula-too-large",
    "y ~ " + "I(" * 300 + "x" + ")" * 300: "formula-too-large",
    "y ~ " + "-" * 5_000 + "x": "formula-too-large",
    "y ~ " + "!" * 5_000 + "x": "formula-too-large",
    "y ~ " + "x^" * 3_000 + "2": "formula-too-large",
    "y ~ " + ":".join(["x"] * 5_000): "formula-too-large",
    "y ~ " + "*".join(MANY): "formula-too-large",
    "y ~ (" + "+".join(MANY) + ")^50": "formula-too-large",
    "y ~ (x + z)^1e308": "formula-too-large",
    "y ~ (" + "+".join(MANY) + "):(" + "+".join(MANY) + "):(" + "+".join(MANY) + "):(" + "+".join(MANY) + ")":
        "formula-too-large",
    "y ~ " + "+".join(["x"] * 20_000): "formula-too-large",
    "y ~ I(" + "+".join(["x"] * 1_000) + ")": "formula-too-large",
    "y ~ I(1:1e9)": "formula-too-large",
    "y ~ poly(x, 1e9)": "formula-too-large",
    "y ~ poly(x, z, x, z, x, degree = 90)": "formula-too-large",
    "y ~ bs(x, df = 1e9)": "formula-too-large",
    "y ~ ns(x, df = 1e9)": "formula-too-large",
    "y ~ bs(x, degree = 1e9)": "r-error",
    "y ~ cut(x, 1e9)": "formula-too-large",
    "y ~ C(a, contr.sum(1e9))": "formula-too-large",
    "y ~ interaction(x, z, x, z, x, z, x, z)": "formula-too-large",
    "y ~ " + ":".join([f"factor(x + {i})" for i in range(6)]): "formula-too-large",
    "y ~ " + " + ".join(f"bs(x, df = {i})" for i in range(3, 200)): "formula-too-large",
}  # fmt: skip
HARMLESS = {
    "y ~ round(x, 1e308)": "ok",
    "y ~ I(x^1e308)": "ok",
    "y ~ cut(x, 3, dig.lab = 50)": "ok",
    "y ~ " + " + ".join(f"I(x + {i})" for i in range(1_000)): "ok",
    "y ~ (" + " + ".join(f"I(x + {i})" for i in range(40)) + ")^2": "ok",
    "y ~ " + " + ".join(f"I(x + {i}):I(z + {i})" for i in range(500)): "ok",
    "y ~ " + "+".join(["x"] * 9_000): "ok",
    "y ~ x + `" + "q" * 400 + "`": "unknown-column",
}


def _data(rows: int) -> dict[str, Any]:
    letters = [chr(97 + i % 3) for i in range(rows)]
    numbers = {name: [((i * k) % 97) / 8 for i in range(rows)] for k, name in enumerate(COLUMNS[:3], 5)}
    more = dict.fromkeys(MANY, numbers["x"])
    return {**numbers, "a": letters, "b": letters[::-1], "g": letters, **more}


def main() -> None:
    """Answer one request."""
    import pandas as pd

    from refimpl.errors import RefimplError
    from refimpl.formula import has_bars, mixed_frame, model_frame, model_matrix, parse

    request = json.load(sys.stdin)
    data = pd.DataFrame(_data(request["rows"])).astype({"a": "category"})
    seen: list[str] = []
    sys.addaudithook(lambda event, args: seen.append(event) if event.startswith(WATCHED) else None)

    def kind(text: str) -> str:
        try:
            formula = parse(text)
            model_matrix(model_frame(formula, data), check=False)
            if has_bars(formula):
                mixed_frame(formula, data)
        except RefimplError as error:
            return error.kind
        return "ok"

    for warm in ("y ~ x * a + poly(x, 2) + bs(x, 4) + C(a, sum)", "y ~ x + (x | g)", "y ~ nowhere", "y ~ x +"):
        kind(warm)
    answers = []
    for text in request["formulas"]:
        seen.clear()
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        found = kind(text)
        spent = time.process_time() - start
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        answers.append([found, spent, grown, list(seen)])
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
