"""predict(): what is predicted of a model, for which rows, with what limits. Nothing is fitted here."""

from __future__ import annotations

from typing import Any

from compat.transcript.interpreter import Arguments, function
from compat.transcript.language import NotRead
from compat.transcript.values import FormulaValue, Frame, Model, Null, Prediction, Reading, RList, Value
from refimpl.formula.deparse import deparse
from refimpl.formula.syntax import Call, Number

_OF_LM = ("se.fit", "interval", "level")
_OF_LMER = ("re.form", "allow.new.levels")
_INTERVALS = ("none", "confidence", "prediction")


@function("predict", takes="object newdata se.fit interval level type re.form allow.new.levels")
def predict(a: Arguments) -> Value:
    """predict of lm and of lmer, with the options of each; of ols without any, of plm for the rows fitted."""
    model = a.value("object")
    if not isinstance(model, Model) or model.estimator == "coeftest":
        raise NotRead("predict() of what is no fit")
    _known(a, {"lm": _OF_LM, "lmer": _OF_LMER}.get(model.estimator, ()), model)
    newdata = _newdata(a)
    if model.estimator == "plm":
        return _of_panel(a, model, newdata)
    if model.estimator == "lmer":
        new_levels = a.flag("allow.new.levels", False)
        return Prediction(model, newdata, {"re_form": _re_form(a), "allow_new_levels": new_levels})
    options: dict[str, Any] = {}
    if model.estimator == "lm":
        options = {"interval": _interval(a), "level": a.number("level", 0.95)}
    found = Prediction(model, newdata, options)
    if not a.flag("se.fit", False):
        return found
    parts = (found, Prediction(model, newdata, options, "se"), Reading(model, "df_residual"), Reading(model, "sigma"))
    return RList(parts, ("fit", "se.fit", "df", "residual.scale"))


def _of_panel(a: Arguments, model: Model, newdata: Frame | None) -> Prediction:
    whole = model.data is not None and a.run.fits.of(model).quantity("nobs") == {(): float(len(model.data.rows))}
    if newdata is not None or not whole or model.options.get("model") not in ("within", "pooling", "random"):
        raise NotRead("predict() of plm is read for the rows fitted only, and where none was left out")
    return Prediction(model, None, {})


def _known(a: Arguments, options: tuple[str, ...], model: Model) -> None:
    """Refuse what this method does not take, or takes in another place."""
    unnamed = sum(name is None for name in a.call.names) if a.call.names else len(a.call.arguments)
    strange = [name or deparse(node)[:40] for name, node in a.rest]
    strange += [name for name in a.given if name not in ("object", "newdata", "type", *options)]
    if a.text("type", "response") != "response":
        strange.append("type")
    if strange or unnamed > 2:
        raise NotRead(f"predict() of {model.estimator} with {strange[0] if strange else 'more unnamed arguments'}")


def _newdata(a: Arguments) -> Frame | None:
    if not a.has("newdata"):
        return None
    value = a.value("newdata")
    return None if isinstance(value, Null) else a.run.frame(value)


def _interval(a: Arguments) -> str:
    """The kind of limits, which R takes by the beginning of its name."""
    wanted = a.text("interval", "none") or ""
    found = [name for name in _INTERVALS if wanted and name.startswith(wanted)]
    if len(found) != 1:
        raise NotRead(f"predict() with interval = {wanted}")
    return found[0]


def _re_form(a: Arguments) -> str:
    """With all random effects (NULL), or none (NA and ~0)."""
    if not a.has("re.form"):
        return "all"
    value = a.value("re.form")
    if isinstance(value, Null):
        return "all"
    if isinstance(value, FormulaValue):
        node = value.node
        none = isinstance(node, Call) and node.arguments in ((Number(0.0),),)
    else:
        none = bool(a.vector("re.form").missing().all())
    if not none:
        raise NotRead("predict() with some of the random effects is not read")
    return "none"
