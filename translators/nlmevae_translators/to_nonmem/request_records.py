"""$ESTIMATION, $COVARIANCE and $TABLE for what the project's tasks ask for."""

from __future__ import annotations

from collections.abc import Sequence

from nlmevae.ir import Model
from nlmevae_translators.report import Entry
from nlmevae_translators.to_nonmem.lines import Line, plain, stating


def request_lines(model: Model, *, censored: bool, parameters: Sequence[str]) -> list[Line]:
    """SAEM, then the likelihood by importance sampling at its end; standard errors where they are asked for.

    Args:
        censored: probabilities are computed, which NONMEM's methods take with LAPLACE only.
        parameters: names of individual parameters for the table.
    """
    laplace = " LAPLACE" if censored else ""
    steps = [f"$ESTIMATION METHOD=IMP INTERACTION{laplace} EONLY=1 ISAMPLE=1000 NITER=5 PRINT=1"]
    if not model.evaluates_only:
        seed = f" SEED={model.seed}" if model.seed else ""
        saem = f"$ESTIMATION METHOD=SAEM INTERACTION{laplace} NBURN=500 NITER=200 ISAMPLE=3 CTYPE=3{seed} PRINT=50"
        steps = [saem, steps[0]]
    entry = Entry(
        construct="populationParameters, logLikelihood",
        kind="rule",
        reason="METHOD=SAEM, then METHOD=IMP for -2LL (NONMEM's OFV is without n log(2 pi)); numbers of iterations are "
        "NONMEM's, not those of the project",
        source=model.estimation[0].at if model.estimation else None,
    )
    lines = stating(steps, entry)
    if model.covariance is not None and not model.covariance.omitted:
        reason = f"$COVARIANCE MATRIX={model.covariance.matrix or 'R'}"
        entry = Entry(construct="fim", kind="rule", reason=reason, source=model.covariance.at)
        lines += stating([f"$COVARIANCE MATRIX={model.covariance.matrix or 'R'} UNCONDITIONAL PRINT=E"], entry)
    lines += plain(["$TABLE ID TIME MDV IPRED CWRES NPDE NOPRINT ONEHEADER FILE=sdtab"])
    return lines + plain(_parameter_table(parameters))


def _parameter_table(parameters: Sequence[str]) -> list[str]:
    if not parameters:
        return []
    lines = ["$TABLE ID"]
    for name in parameters:
        if len(lines[-1]) + len(name) > 78:
            lines.append(" ")
        lines[-1] += f" {name}"
    return [*lines, "  NOAPPEND NOPRINT ONEHEADER FILE=patab"]
