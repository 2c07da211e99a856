"""Predictions on a logarithmic scale need amounts that are right in every decade.

Virus falls from 1e9 to 1e-5 within days: an error that is small against the largest amount would be a wrong logarithm
later. Absolute tolerances are then so small that relative ones decide.
"""

from __future__ import annotations

from nlmevae.codegen.latent_form import LatentForm

#: Of the usual absolute tolerance: amounts count down to twenty decades below the largest.
_SHARE = 1e-12


def share_for_logarithms(form: LatentForm) -> float:
    """Factor of the absolute tolerance of amounts; 1 for models that predict no logarithm of an amount."""
    return _SHARE if predicts_logarithms(form) else 1.0


def predicts_logarithms(form: LatentForm) -> bool:
    """The prediction depends on a logarithm of something that depends on an amount."""
    graph, amounts = form.output.graph, {f"A({i + 1})" for i in range(form.n_compartments)}
    logarithms = [n for n in graph.reachable(form.output.output_nodes) if graph.nodes[n].op == "log"]
    return not amounts.isdisjoint(graph.inputs_of(logarithms))
