"""Individual parameters that no prediction depends on: they stay as they start, and a warning names them.

Monolix keeps them, too: the likelihood does not depend on their typical value, coefficients and standard deviation.
"""

from __future__ import annotations

from dataclasses import replace

from nlmevae.errors import Location, SemanticError
from nlmevae.frontends.idle_blocks import idle_blocks
from nlmevae.frontends.recognition.dependencies import outputs
from nlmevae.ir import CovarianceBlock, Diagnostic, Model


def with_idle_parameters(model: Model, owners: dict[str, str]) -> Model:
    """Args:
        owners: ``ETA(n)`` -> the individual parameter that has it.

    Raises:
        SemanticError: no prediction depends on any random effect, or one of a correlation group is not read.
    """
    used = frozenset().union(*outputs(model, {}).values())
    idle = [t for t in model.thetas if t.name not in used and not t.fixed]

    def refuse(block: CovarianceBlock, name: str, others: bool) -> SemanticError:
        if not others:
            return SemanticError(
                "no prediction depends on an individual parameter with a random effect",
                hint="use the parameters of [INDIVIDUAL] in the model",
                location=block.at,
            )
        return SemanticError(
            f"no prediction depends on {owners[name]}, which is correlated with parameters that are used",
            hint=f"use {owners[name]} in the model, take it out of correlation={{...}}, or remove it",
            location=block.at,
        )

    def warn(block: CovarianceBlock) -> Diagnostic:
        values = ", ".join(f"{block.matrix[k][k] ** 0.5:g}" for k in range(len(block.names)))
        return _warning(" and ".join(owners[n] for n in block.names), " and ".join(block.labels), values, block.at)

    omega, notes = idle_blocks(model.omega, used, refuse, warn)
    notes = [n for k, n in enumerate(notes) if n.message not in {m.message for m in notes[:k]}]  # occasions
    notes += [_warning("", t.label, f"{t.init:g}", t.at) for t in idle]
    thetas = tuple(replace(t, fixed=True) if t in idle else t for t in model.thetas)
    return replace(model, thetas=thetas, omega=omega, diagnostics=(*model.diagnostics, *notes))


def _warning(what: str, stays: str, value: str, at: Location | None) -> Diagnostic:
    return Diagnostic(
        code="unused-parameter",
        severity="warning",
        message=f"no prediction depends on {what or stays}: {stays if what else 'it'} stays at {value}",
        hint="remove it, or use it in the model",
        location=at,
    )
