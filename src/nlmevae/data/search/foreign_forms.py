"""Shapes of covariate effects in other programs, and the form of ours that is the same model.

"The same" means: for each value of the other program's coefficients there is one of ours with the same likelihood, and
the other way round; centres and typical values may differ.

    typical     the effect multiplies the typical value (PsN: TVCL = CLWGT*TVCL)
    added       it is added to the typical value (PsN with logit=)
    individual  it multiplies the individual value, random effect included (Pharmpy, op *)
    shifted     it is added to the individual value (Pharmpy, op +)
"""

from __future__ import annotations

from typing import Literal

from nlmevae.ir import Transform
from nlmevae.ir.candidate import EffectForm

Place = Literal["typical", "added", "individual", "shifted"]

#: What the shapes are, for messages; w is the covariate, c its centre.
WORDS = {
    "linear": "linear, 1 + theta (w - c)",
    "added-linear": "linear, theta (w - c)",
    "hockey-stick": "hockey-stick, linear with two slopes",
    "exponential": "exponential, exp(theta (w - c))",
    "power": "power, (w/c)**theta",
    "categorical": "a coefficient for each level but one",
    "custom": "custom",
    "other": "its own code",
}
KINDS = {"log": "log-normal", "identity": "normal", "logit": "logit-normal"}


def same_form(shape: str, place: Place, transform: Transform) -> EffectForm | None:
    """Our form of the same model, None if there is none.

    On a log-normal parameter a factor on the typical value is one on the individual value. On a normal one
    TV (1 + theta (w - c)) + ETA is TV + beta (w - c) + ETA with beta = TV theta, but a factor on TV + ETA also
    multiplies ETA. A factor for each category is another typical value for each, whatever the distribution.
    """
    if shape == "categorical":
        if place in ("typical", "added"):
            return "categorical"
        return "categorical" if transform.kind == ("log" if place == "individual" else "identity") else None
    if place in ("typical", "individual"):
        if transform.kind == "log" and transform.lower == 0.0 and shape in ("exponential", "power"):
            return shape  # type: ignore[return-value]
        return "linear" if place == "typical" and transform.kind == "identity" and shape == "linear" else None
    additive = shape in ("linear", "added-linear")
    if place == "added":
        return "linear" if additive and transform.kind in ("identity", "logit") else None
    return "linear" if additive and transform.kind == "identity" else None
