"""The code of each record, and variables that more than one record assigns.

NM-TRAN lets a record read what $PK assigns, not assign it again: the later record's variable gets a name of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nlmevae.ir import Assign, Model, Statement, Symbol, names_assigned, names_read
from nlmevae_translators.to_nonmem.individual_code import mu_referenced
from nlmevae_translators.to_nonmem.stream_names import StreamNames
from nlmevae_translators.to_nonmem.structure_code import Structure, structure_statements


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """$PK, $DES and $ERROR; of a model without compartments `error` is $PRED."""

    pk: tuple[Statement, ...] = ()
    des: tuple[Statement, ...] = ()
    error: tuple[Statement, ...] = ()


def parts_of(model: Model, structure: Structure) -> Parts:
    """The programs with MU referencing, without what PREDPP computes itself."""
    program = model.program
    if structure.advan is None:
        return Parts(error=mu_referenced(program.error))
    kept = tuple(s for s in program.pk if names_assigned((s,)).isdisjoint(structure.dropped))
    pk = (*mu_referenced(kept), *structure_statements(model, structure))
    return Parts(pk=pk, des=program.des if structure.equations else (), error=program.error)


def with_own_names(parts: Parts, names: StreamNames) -> tuple[Parts, Mapping[str, Mapping[str, str]]]:
    """The parts, and of each record the variables whose name in it differs from that in the others."""
    pk, des, error = (_variables(p) for p in (parts.pk, parts.des, parts.error))
    in_des = {name: names.fresh(f"{names.given[name]}_D") for name in sorted(des & (pk | error))}
    in_error = {name: names.fresh(f"{names.given[name]}_E") for name in sorted(error & pk)}
    copied = Parts(
        pk=parts.pk,
        des=(*_copies(parts.des, in_des, pk, names), *parts.des),
        error=(*_copies(parts.error, in_error, pk, names), *parts.error),
    )
    return copied, {"pk": {}, "des": in_des, "error": in_error}


def _copies(
    statements: Sequence[Statement], own: Mapping[str, str], before: set[str], names: StreamNames
) -> list[Statement]:
    """Where a record reads the value of $PK before it assigns its own."""
    assigned: set[str] = set()
    early: set[str] = set()
    for statement in statements:
        early |= names_read((statement,)) - assigned
        certain = isinstance(statement, Assign) or not (names_assigned((statement,)) & before)
        if certain:
            assigned |= names_assigned((statement,))
        else:
            early |= names_assigned((statement,)) - assigned
    return [Assign(f"={own[n]}", Symbol(f"={names.given[n]}")) for n in sorted(early & before & own.keys())]


def _variables(statements: tuple[Statement, ...]) -> set[str]:
    fixed = ("IPRED(", "W(", "DADT(", "=")
    return {name for name in names_assigned(statements) if name != "Y" and not name.startswith(fixed)}
