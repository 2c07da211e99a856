"""Labels for parameters that have none: what the code does with them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nlmevae.ir import IndividualParameter, Model, Symbol, assignments, needed_names

#: Longest label that tables of results print whole.
LONGEST = 20


def label_names(model: Model) -> dict[str, str]:
    """THETA(n), ETA(n), EPS(n) without a label -> one that no other parameter has."""
    labelled = {t.name: t.label for t in model.thetas if t.label != t.name}
    for block in (*model.omega, *model.sigma):
        for name, label in zip(block.names, block.labels or block.names, strict=True):
            if label != name:
                labelled[name] = label
    taken = {label.upper() for label in labelled.values()}
    found = {}
    for name, wanted in _wanted(model):
        if name in labelled or not wanted:
            continue
        label, n = wanted, 2
        while label.upper() in taken:
            label, n = f"{wanted}_{n}", n + 1
        taken.add(label.upper())
        found[name] = label
    return found


def _wanted(model: Model) -> Iterator[tuple[str, str]]:
    parameters = {p.eta: p for p in model.individual_parameters}
    for theta in model.thetas:
        yield theta.name, _clean(_theta(model, theta.name, theta.role))
    for eta in model.etas:
        level = "IOV" if _repeated(model, eta) else "IIV"
        target = parameters[eta].name if eta in parameters else _acts_on(model, eta)
        yield eta, _clean(f"{level}_{target}") if target else ""
    for epsilon in model.epsilons:
        yield epsilon, _clean(_error(model, epsilon))


def _repeated(model: Model, eta: str) -> bool:
    """Other blocks are the SAME."""
    blocks = model.omega
    return any(b.same_as is not None and eta in (*b.names, *blocks[b.same_as].names) for b in blocks)


def _clean(label: str) -> str:
    return re.sub(r"\W+", "_", label).strip("_")[:LONGEST].rstrip("_")


def _theta(model: Model, name: str, role: str) -> str:
    effect = next((e for e in model.covariate_effects if name in e.coefficients), None)
    if role == "covariate_effect" and effect is not None:
        return f"{effect.parameter}_{effect.covariate}"
    if role == "residual_error":
        return _error(model, name)
    own = [a.target for a in assignments((*model.program.pk, *model.program.error)) if a.value == Symbol(name)]
    own = [target for target in own if not target.startswith("MU_") and "(" not in target]
    if own:
        return own[0]
    readers = [p for p in model.individual_parameters if name in p.thetas]
    typical = _typical(readers, name)
    return typical.name if typical is not None else _reader(model, name)


def _typical(readers: list[IndividualParameter], name: str) -> IndividualParameter | None:
    """The parameter with the fewest THETAs that reads it."""
    return min(readers, key=lambda p: len(p.thetas), default=None)


def _reader(model: Model, name: str) -> str:
    """The first variable that is computed from it; "": none."""
    code = (*model.program.pk, *model.program.des, *model.program.error)
    for assign in assignments(code):
        if name in assign.value.names() and not assign.target.startswith(("MU_", "DADT", "Y")):
            return re.sub(r"\W", "", assign.target)
    return ""


def _acts_on(model: Model, eta: str) -> str:
    """The individual parameter that an effect without one of its own is part of, the residual error, or a variable."""
    if any(o.error.effect is not None and o.error.effect.eta == eta for o in model.observations):
        return "RUV"
    code = model.program.pk or model.program.error
    found = (p.name for p in model.individual_parameters if eta in needed_names(code, (p.name,)))
    return next(found, "") or _reader(model, eta)


def _error(model: Model, name: str) -> str:
    """RUV_ADD or RUV_PROP where it is one coefficient of a known error, else RUV."""
    kinds = set()
    for observation in model.observations:
        for coefficient, kind in ((observation.error.a, "ADD"), (observation.error.b, "PROP")):
            if coefficient is not None and coefficient.parameter == name:
                kinds.add(kind)
    return f"RUV_{kinds.pop()}" if len(kinds) == 1 else "RUV"
