"""$ERROR: the outcomes, with the probability of an interval where records are censored.

IPRED, W as in the project; Y = IPRED + W*EPS(k), and with F_FLAG = 1 where CENS says so
below DV              Y = PHI((DV - IPRED)/W)
between LIMIT and DV  Y = PHI((DV - IPRED)/W) - PHI((LIMIT - IPRED)/W)
above DV              Y = 1 - PHI((DV - IPRED)/W)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nlmevae.ir import Assign, Binary, Call, Compare, Expression, If, Number, Statement, Symbol
from nlmevae_translators.to_nonmem.data_set import ABOVE, BELOW, BETWEEN

_FLAG = "=F_FLAG"


def with_censoring(statements: Sequence[Statement], censored: Mapping[int, Sequence[float]]) -> tuple[Statement, ...]:
    """The statements with the code of censored records in place of every assignment to Y.

    Args:
        censored: number of the outcome, that of its EPS -> values of CENS its records have.
    """
    if not any(censored.values()):
        return tuple(statements)
    found: list[Statement] = []
    for statement in statements:
        if isinstance(statement, If):
            arms = tuple((condition, with_censoring(body, censored)) for condition, body in statement.arms)
            found.append(If(arms, with_censoring(statement.orelse, censored), statement.at))
        elif statement.target == "Y":
            found += _outcome(statement, censored)
        else:
            found.append(statement)
    return tuple(found)


def _outcome(statement: Assign, censored: Mapping[int, Sequence[float]]) -> list[Statement]:
    number = next(int(name[4:-1]) for name in statement.value.names() if name.startswith("EPS("))
    known = (Assign(_FLAG, Number(0.0)), statement)
    codes = censored.get(number, ())
    if not codes:
        return list(known)
    arms = tuple(
        (
            Compare("==", Symbol("CENS"), Number(code)),
            (Assign(_FLAG, Number(1.0)), Assign("Y", _probability(code, number), at=statement.at)),
        )
        for code in codes
    )
    return [If(arms, known, at=statement.at)]


def _probability(code: float, number: int) -> Expression:
    below = _phi("DV", number)
    if code == BETWEEN:
        return Binary("-", below, _phi("LIMIT", number))
    if code == ABOVE:
        return Binary("-", Number(1.0), below)
    assert code == BELOW
    return below


def _phi(limit: str, number: int) -> Expression:
    distance = Binary("-", Symbol(limit), Symbol(f"IPRED({number})"))
    return Call("PHI", (Binary("/", distance, Symbol(f"W({number})")),))
