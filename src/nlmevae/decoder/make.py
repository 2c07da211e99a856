"""Which back end runs a model."""

from __future__ import annotations

from nlmevae.codegen.latent_form import LatentForm
from nlmevae.data.events import EventTable
from nlmevae.decoder.base import Decoder
from nlmevae.decoder.device import CPU, GPU_BACKEND, device_name, require_device
from nlmevae.errors import SettingsError

BACKENDS = ("auto", "formula", "closed_form", "compiled", "torchode")

#: Relative tolerance of integrated amounts unless the model or the user says otherwise.
DEFAULT_RTOL = 1e-8
#: Of importance draws, unless the user says otherwise (decision 28): -2LL changes by 1e-5 to 3e-3, two hundred times
#: less than its Monte-Carlo error, and solutions cost 0.7 to 0.2 times as much as at 1e-8.
DRAWS_RTOL = 1e-6


def make_decoder(
    form: LatentForm,
    table: EventTable,
    *,
    backend: str = "auto",
    rtol: float | None = None,
    atol: float | None = None,
    max_steps: int | None = None,
    threads: int = 1,
    device: str = CPU,
) -> Decoder:
    """The decoder of a model with its data.

    Args:
        backend: one of BACKENDS; "auto" is `LatentForm.automatic_backend`, on a GPU torchode.
        rtol, atol, max_steps: of the integrators only; None: 1e-8 or the model text's if tighter (1e-6 for draws), an
            atol that follows the size of the doses, and 10 000 steps or more (compiled.py).
        threads: rows are split among so many threads (closed form and compiled).
        device: where torchode integrates, "cpu", "cuda" or "cuda:1"; "auto" is torchode on a GPU.

    Raises:
        SettingsError: an unknown back end, one that cannot run this model or on this device, a device that is not
            there; says why.
    """
    if backend not in BACKENDS:
        raise SettingsError(f"there is no decoder back end '{backend}'", hint=f"use one of {', '.join(BACKENDS)}")
    device = device_name(device, backend)
    automatic = form.automatic_backend(table) if device == CPU else GPU_BACKEND
    chosen = automatic if backend == "auto" else backend
    obstacle = _obstacle(chosen, form, table)
    if obstacle:
        advice = "use backend 'auto'" if device == CPU else f"only {GPU_BACKEND} runs on device {device}: leave it out"
        raise SettingsError(f"the {chosen} back end cannot run this model: {obstacle}", hint=advice)
    require_device(device)
    if chosen == "formula":
        from nlmevae.decoder.formula import FormulaDecoder

        return FormulaDecoder(form, table)
    if chosen == "closed_form":
        from nlmevae.decoder.closed_form import ClosedFormDecoder

        return ClosedFormDecoder(form, table, threads=threads)
    options = {
        "rtol": _rtol(form) if rtol is None else rtol,
        "draws_rtol": DRAWS_RTOL if rtol is None and atol is None else None,
        "atol": atol,
        "max_steps": max_steps,
    }
    if chosen == "compiled":
        from nlmevae.decoder.compiled import CompiledDecoder

        return CompiledDecoder(form, table, threads=threads, **options)
    from nlmevae.decoder.ode_torch import TorchodeDecoder

    return TorchodeDecoder(form, table, device=device, **options)


def _obstacle(backend: str, form: LatentForm, table: EventTable) -> str:
    """Why the back end cannot run the model, empty if it can."""
    if backend == "formula":
        return "it has compartments" if form.n_compartments else ""
    if form.n_compartments == 0:
        return "it has no compartments"
    return form.closed_form_obstacle(table) if backend == "closed_form" else ""


def _rtol(form: LatentForm) -> float:
    """The model text's own tolerance if it asks for a tighter one than ours."""
    stated = form.model.structural.rtol if form.model is not None else None
    return DEFAULT_RTOL if stated is None else min(stated, DEFAULT_RTOL)
