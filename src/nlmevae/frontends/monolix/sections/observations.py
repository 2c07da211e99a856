"""DEFINITION: of [LONGITUDINAL], in the project or in the model file: outcomes and their residual errors; <FIT>."""

from __future__ import annotations

from collections.abc import Sequence

from nlmevae.errors import ModelSyntaxError, SemanticError, UnsupportedError
from nlmevae.frontends.monolix.project import ErrorModel, Fit, NameOrNumber, ObservationDefinition
from nlmevae.frontends.monolix.sections.bounds import bounds_of
from nlmevae.frontends.monolix.text.entries import (
    Entries,
    assignments_of,
    items_of,
    key_of,
    label_of,
    labels_of,
    name_of,
    name_or_number,
    unknown_key,
    word_of,
)
from nlmevae.frontends.monolix.text.nodes import Assignment, CallNode, Node, Pair, Word
from nlmevae.frontends.monolix.text.split import Block
from nlmevae.frontends.monolix.text.syntax import parse_block

DISTRIBUTIONS = ("normal", "lognormal", "logitnormal")
OBSERVATION_KEYS = (
    "type",
    "distribution",
    "prediction",
    "errorModel",
    "min",
    "max",
    "autoCorrCoef",
    "sd",
    "var",
    "mean",
)
#: errorModel -> (kind, roles of its arguments: the number of arguments says which).
ERROR_MODELS = {
    "constant": ("constant", ("a",)),
    "proportional": ("proportional", ("b",)),
    "combined1": ("combined1", ("a", "b")),
    "combined2": ("combined2", ("a", "b")),
    "proportionalc": ("proportional", ("b", "power")),
    "combined1c": ("combined1", ("a", "b", "power")),
    "combined2c": ("combined2", ("a", "b", "power")),
}
#: Outcomes that are not continuous: by their type.
REFUSED_TYPES = ("count", "event", "categorical")
#: errorModel of versions before 2016, with the distribution that says the same.
OLD_ERROR_MODELS = {
    "exponential": "distribution=logNormal, errorModel=constant(a)",
    "logit": "distribution=logitNormal, errorModel=constant(a)",
    "band": "distribution=logitNormal with min, max and errorModel=constant(a)",
}


def read_observations(block: Block) -> tuple[ObservationDefinition, ...]:
    """The outcomes that one DEFINITION: block defines.

    Raises:
        ModelError: outcomes that are not continuous, autocorrelated errors, an unknown error model.
    """
    nodes = assignments_of(parse_block(block), "DEFINITION: of [LONGITUDINAL]")
    return tuple(observation_definition(key_of(node, "DEFINITION:"), node) for node in nodes)


def observation_definition(name: str, node: Assignment) -> ObservationDefinition:
    """`y = {distribution=normal, prediction=Cc, errorModel=combined1(a, b)}`, or 2016's with type=continuous."""
    _check_type(name, node)
    entries = Entries(node.value, of=f"the observation {name}", known=OBSERVATION_KEYS)
    for flag in entries.flags.values():
        raise ModelSyntaxError(f"{flag.written} has no value", hint="write key=value", location=flag.at)
    if "autoCorrCoef" in entries:
        raise UnsupportedError(
            "autocorrelated residual errors (autoCorrCoef) are not supported",
            hint="remove autoCorrCoef",
            location=entries.values["autoCorrCoef"].at,
        )
    for key in ("var", "mean"):
        if key in entries:
            raise UnsupportedError(
                f"{key}= in the definition of an observation is not supported",
                hint="write prediction=... and errorModel=...",
                location=entries.values[key].at,
            )
    given = entries.get("distribution")
    distribution = "normal" if given is None else word_of(given, "distribution of observations", DISTRIBUTIONS)
    lower, upper = bounds_of(entries, distribution, name)
    return ObservationDefinition(
        name=name,
        distribution=distribution,  # type: ignore[arg-type]
        prediction=name_of(entries.need("prediction"), "a prediction"),
        error=_error_model(entries, name),
        lower=lower,
        upper=upper,
        at=node.target.at,
    )


def _check_type(name: str, node: Assignment) -> None:
    """Other outcomes than continuous ones stop before anything else of them is looked at."""
    for item in items_of(node.value):
        if not (isinstance(item, Pair) and isinstance(item.key, Word) and item.key.text == "type"):
            continue
        kind = name_of(item.value, "the type of an observation").lower()
        if kind in REFUSED_TYPES:
            raise UnsupportedError(
                f"{name} is an outcome of type={kind}: only continuous outcomes can be fitted",
                hint="take it out of the model and of <FIT>, or fit it elsewhere",
                location=item.at,
            )
        if kind != "continuous":
            word_of(item.value, "type of observation", ("continuous", *REFUSED_TYPES))


def _error_model(entries: Entries, name: str) -> ErrorModel:
    given, deviation = entries.get("errorModel"), entries.get("sd")
    if given is not None and deviation is not None:
        raise SemanticError(f"{name} has errorModel and sd", hint="keep one of them", location=deviation.at)
    if deviation is not None:
        raise UnsupportedError(
            f"{name} has a standard deviation of its own (sd=) instead of an error model",
            hint="write errorModel=constant(a), or one of the others: " + ", ".join(ERROR_MODELS),
            location=deviation.at,
        )
    if given is None:
        raise SemanticError(
            f"the observation {name} has no errorModel", hint="add errorModel=constant(a)", location=entries.at
        )
    if not isinstance(given, CallNode):
        raise ModelSyntaxError(
            f"{given.written} is not an error model", hint="write errorModel=combined1(a, b)", location=given.at
        )
    return error_model(given)


def error_model(node: CallNode) -> ErrorModel:
    """`combined1(a, b)`, with a power as third argument or with the suffix c."""
    name = node.name.text
    if name.lower() in OLD_ERROR_MODELS:
        raise UnsupportedError(
            f"the error model {name} is of an older form of Mlxtran",
            hint=f"write {OLD_ERROR_MODELS[name.lower()]}",
            location=node.at,
        )
    kind, roles = ERROR_MODELS[word_of(node.name, "error model", tuple(ERROR_MODELS))]
    values = [name_or_number(argument, f"an argument of {name}") for argument in node.arguments]
    if len(values) == len(roles) + 1 and roles in (("b",), ("a", "b")):
        roles = (*roles, "power")
    if len(values) != len(roles):
        raise SemanticError(
            f"{name} takes {len(roles)} argument{'s' if len(roles) > 1 else ''}, not {len(values)}",
            hint=f"write {name}({', '.join('c' if r == 'power' else r for r in roles)})",
            location=node.at,
        )
    arguments: dict[str, NameOrNumber] = dict(zip(roles, values, strict=True))
    return ErrorModel(kind=kind, **arguments)  # type: ignore[arg-type]


def read_fit(blocks: Sequence[Block]) -> Fit | None:
    """<FIT>, None where the project has none.

    Raises:
        ModelError: unknown keys, lists of different lengths, one name twice.
    """
    found: dict[str, Node] = {}
    first: Assignment | None = None
    for block in blocks:
        for node in assignments_of(parse_block(block), "<FIT>"):
            key = key_of(node, "<FIT>")
            if key not in ("data", "model"):
                raise unknown_key(node, "<FIT>", ("data", "model"))
            if key in found:
                raise SemanticError(f"{key} is given twice in <FIT>", hint="keep one of them", location=node.at)
            first = first or node
            found[key] = node.value
    if first is None:
        return None
    for key in ("data", "model"):
        if key not in found:
            raise SemanticError(f"<FIT> has no {key}", hint=f"add {key} = ...", location=first.at)
    data = labels_of(found["data"], "a kind of observation")
    models = tuple(label_of(item, "an observation model") for item in items_of(found["model"]))
    if len(data) != len(models):
        raise SemanticError(
            f"<FIT> has {len(data)} kinds of data, but {len(models)} models",
            hint="give one model for each kind of data",
            location=found["model"].at,
        )
    for what, names in (("data", data), ("model", models)):
        twice = next((n for n in names if names.count(n) > 1), None)
        if twice is not None:
            raise SemanticError(
                f"{twice} stands twice in {what} of <FIT>", hint="keep one of them", location=found[what].at
            )
    return Fit(data=data, models=models, at=first.at)
