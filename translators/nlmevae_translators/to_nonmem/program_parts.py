"""The code of each record, and variables that more than one record assigns.

NM-TRAN lets a record read what $PK assigns, not assign it again: the later record's variable gets a name of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nlmevae.ir import Statement, names_assigned
from nlmevae_translators.to_nonmem.stream_names import StreamNames


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """$PK, $DES and $ERROR; of a model without compartments `error` is $PRED."""

    pk: tuple[Statement, ...] = ()
    des: tuple[Statement, ...] = ()
    error: tuple[Statement, ...] = ()


def own_names(parts: Parts, names: StreamNames) -> Mapping[str, Mapping[str, str]]:
    """Of each record, the variables whose name in it differs from that in the others."""
    pk, des, error = (_variables(p) for p in (parts.pk, parts.des, parts.error))
    in_des = {name: names.fresh(f"{names.given[name]}_D") for name in sorted(des & (pk | error))}
    in_error = {name: names.fresh(f"{names.given[name]}_E") for name in sorted(error & pk)}
    return {"pk": {}, "des": in_des, "error": in_error}


def _variables(statements: tuple[Statement, ...]) -> set[str]:
    fixed = ("IPRED(", "W(", "DADT(", "=")
    return {name for name in names_assigned(statements) if name != "Y" and not name.startswith(fixed)}
