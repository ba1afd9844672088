"""The call or formula that is printed in a block: as a command, and in what it differs from the command's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from compat.published import Block
from compat.transcript.language import NotRead, read_commands
from compat.transcript.model_functions import formula_text
from compat.transcript.values import Model
from refimpl.formula.deparse import deparse
from refimpl.formula.syntax import Call


def printed_call(block: Block) -> str | None:
    """The command that the call or formula of a block stands for."""
    facts = block.facts
    if "call" in facts:
        call = facts["call"]
        return f"robcov({call}, {facts['cluster']})" if "cluster" in facts and block.kind == "ols" else call
    if "formula" in facts:
        given = [f", {name} = {facts[name]}" for name in ("data", "weights", "subset", "offset") if facts.get(name)]
        return f"lmer({facts['formula']}{''.join(given)}, REML = {facts.get('REML', 'TRUE')})"
    return None


def call_differences(block: Block, models: Sequence[Model]) -> Iterator[str]:
    """In what the call or the formulas printed in a block differ from the command's models."""
    if len(models) == 1 and "call" in block.facts:
        yield from _call_difference(block.facts["call"], models[0])
    elif len(models) == 1 and "formula" in block.facts:
        yield from _formula_difference(block.facts["formula"], models[0])
        wanted = "TRUE" if models[0].options.get("REML", True) else "FALSE"
        if block.facts.get("REML", wanted) != wanted:
            yield f"REML = {block.facts['REML']} is printed, the command says REML = {wanted}"
        if "data" in block.facts and models[0].call.get("data", block.facts["data"]) != block.facts["data"]:
            yield f"the data are printed as {block.facts['data']}, the command says {models[0].call['data']}"
    elif len(models) > 1:
        by_name = {model.name: model for model in models}
        for key, text in block.facts.items():
            name = key.removeprefix("model ")
            if key != name and name in by_name:
                yield from _formula_difference(text, by_name[name])


def _formula_difference(text: str, model: Model) -> Iterator[str]:
    printed, own = formula_text(text), formula_text(model.formula)
    if printed != own:
        yield f"the formula printed is {text}, the command's {model.formula}"


def _call_difference(text: str, model: Model) -> Iterator[str]:
    try:
        (node,) = read_commands(text)
    except (NotRead, ValueError):
        yield "the call printed here cannot be read"
        return
    if not isinstance(node, Call):
        yield "what is printed as the call is none"
        return
    named = zip(node.names, node.arguments, strict=False)
    printed: Mapping[str, str] = {name or str(i): deparse(value) for i, (name, value) in enumerate(named)}
    for name in dict.fromkeys([*printed, *model.call]):
        if printed.get(name) != model.call.get(name):
            here, there = printed.get(name, "nothing"), model.call.get(name, "nothing")
            yield f"the call printed has {name} = {here}, the command {there}"
