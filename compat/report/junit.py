"""A run as junit XML: a suite for each implementation, a test for each case, as CI systems read it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from compat.check import Result
from compat.report import describe

# Characters that XML 1.0 has no way to hold.
_UNFIT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(path: Path, results: Sequence[Result]) -> None:
    """Write the report; what did not run or is not provided counts as skipped."""
    root = ElementTree.Element("testsuites", name="rcompat")
    for name in dict.fromkeys(result.implementation for result in results):
        _suite(root, name, [result for result in results if result.implementation == name])
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _suite(root: ElementTree.Element, name: str, results: Sequence[Result]) -> None:
    failures = sum(bool(result.bad) for result in results)
    skipped = sum(not result.bad and result.compared == 0 for result in results)
    suite = ElementTree.SubElement(
        root, "testsuite", name=_fit(name), tests=str(len(results)), failures=str(failures), errors="0",
        skipped=str(skipped), time=f"{sum(result.seconds for result in results):.6f}",
    )  # fmt: skip
    for result in results:
        _case(suite, result)


def _case(suite: ElementTree.Element, result: Result) -> None:
    test = ElementTree.SubElement(
        suite, "testcase", classname=_fit(f"{result.implementation}.{result.case.estimator}"),
        name=result.case.id, time=f"{result.seconds:.6f}",
    )  # fmt: skip
    if result.bad:
        message = f"{len(result.bad)} cells differ from {result.source}: {result.bad[0].cell}"
        failure = ElementTree.SubElement(test, "failure", type=str(result.verdict), message=_fit(message))
        failure.text = _fit("\n".join(describe(row) for row in result.bad))
    elif result.compared == 0:
        reason = "; ".join(dict.fromkeys(row.reason for row in result.rows))
        ElementTree.SubElement(test, "skipped", type=str(result.verdict), message=_fit(reason))


def _fit(text: str) -> str:
    return _UNFIT.sub("?", text)
