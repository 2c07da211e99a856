"""The generated code of a model, for people (`nlmevae code run1.ctl`)."""

from __future__ import annotations

from nlmevae.codegen.latent_form import Latent, LatentForm, latent_form
from nlmevae.codegen.print_torch import emit_torch
from nlmevae.data.events import EventTable
from nlmevae.ir import Model


def generated_code(model: Model, table: EventTable) -> str:
    """The functions of the latent form as torch source (no initial amounts and right-hand side for a model given
    by a formula), with a header that says what z and the inputs are.

    The compiled kernels are generated from the same graph; a linear model with a closed form runs without its
    right-hand side unless an integrator is asked for.
    """
    form = latent_form(model, table)
    functions = [form.individual, form.mu]
    if form.n_compartments:
        functions += [form.initial, form.rhs]
    functions.append(form.output)
    return "\n".join([_header(form), *(emit_torch(f, title=_TITLES[f.name]) for f in functions)])


_TITLES = {
    "individual": "Individual parameters from z (and structural THETAs, covariates)",
    "mu": "Mean of z from the THETAs and covariates",
    "initial": "Amounts at the first record",
    "rhs": "Right-hand side of the differential equations",
    "output": "Prediction at an observation (EPS = 0)",
}


def _header(form: LatentForm) -> str:
    model = form.model
    lines = [f"# Generated from {model.source.path or model.name}", "#", "# z, the Gaussian scale:"]
    for k, latent in enumerate(form.latents):
        meaning = f"{latent.eta}, mean 0" if latent.name == latent.eta else f"mu({k + 1}) + {latent.eta}"
        lines.append(f"#   Z({k + 1}) = {gaussian_scale(latent)} = {meaning}")
    if form.structural:
        lines.append(f"# decoder inputs without a random effect: {', '.join(form.structural)}")
    lines += ["", "import torch", ""]
    return "\n".join(lines)


def gaussian_scale(latent: Latent) -> str:
    """z = h(psi) in words: ``log(CL)``."""
    transform = latent.transform
    if transform.kind == "identity":
        return latent.name
    if transform.kind == "log":
        return f"log({latent.name} - {transform.lower:g})" if transform.lower else f"log({latent.name})"
    return f"logit of {latent.name} between {transform.lower:g} and {transform.upper:g}"
