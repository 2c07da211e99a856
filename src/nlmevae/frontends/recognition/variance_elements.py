"""Models whose density would depend on OMEGA(i,j) or SIGMA(i,j) by name.

NONMEM gives code the current estimate. What is only printed in tables gets it; the probability of a censored value may
read it where it is the variance of the record's own residual error (verified in `censored_forms`). Elsewhere the
density would have a derivative by the element that is not computed.
"""

from __future__ import annotations

from nlmevae.errors import UnsupportedError
from nlmevae.frontends.recognition.dependencies import place_of
from nlmevae.ir import Model, is_variance_element, names_assigned, names_read


def refuse_variance_elements(model: Model, *, final: bool) -> None:
    """Look at the code that is executed.

    Args:
        final: `model` has its observation models; before that, probabilities of censored values cannot be told apart
            and code that assigns F_FLAG is not looked at.

    Raises:
        UnsupportedError: with the place where the element is read.
    """
    if not final and "F_FLAG" in names_assigned(model.program.error):
        return
    executed = model.executed
    for statements in (executed.pk, executed.des, executed.error):
        for name in sorted(names_read(statements)):
            if is_variance_element(name):
                raise UnsupportedError(
                    f"the prediction or the residual error depends on {name}, which is estimated",
                    hint="make the element FIX, or estimate a standard deviation as a THETA: W=THETA(n), Y=F+W*EPS(1) "
                    "with $SIGMA 1 FIX",
                    location=place_of(statements, name),
                )
