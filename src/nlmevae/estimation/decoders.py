"""One model's decoders at the accuracies an estimation needs.

Integrators are the expensive part of a fit, and most of its predictions need not be accurate: those of a VAE
that only starts the polish, and the draws of the polish (its estimates, not the reported likelihood). A tolerance
the user chose holds everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from nlmevae.codegen.latent_form import LatentForm
from nlmevae.data.events import EventTable
from nlmevae.decoder.base import Decoder
from nlmevae.decoder.make import make_decoder
from nlmevae.estimation.settings import FitSettings

#: Back ends whose solutions cost tens of times those of the others.
INTEGRATORS = {"compiled", "torchode"}
#: Measured: a target-mediated model takes 1855 steps at 1e-8, 124 at 1e-5, and ends at the same optimum.
ROUGH_RTOL = 1e-5
#: Measured on 189 subjects: -2LL changes by 1e-3 (1e-5 at 1e-8, 1e-2 at 1e-6); predictions cost a third less than
#: at 1e-9.
DRAWS_RTOL = 1e-7


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoders:
    """exact: of everything that is reported; draws: of the polish; rough: of the VAE and the approach. The same
    object where there is nothing to gain."""

    exact: Decoder
    draws: Decoder
    rough: Decoder

    @classmethod
    def of(cls, form: LatentForm, table: EventTable, settings: FitSettings) -> Decoders:
        """For one model with one data set; close them after use."""
        settings = settings.on(table)
        exact = make_decoder(
            form,
            table,
            backend=settings.backend,
            rtol=settings.rtol,
            threads=settings.threads,
            device=settings.device,
        )
        if exact.backend not in INTEGRATORS or settings.method == "vae" or settings.rtol is not None:
            return cls(exact=exact, draws=exact, rough=exact)

        def at(rtol: float) -> Decoder:
            return make_decoder(
                form, table, backend=exact.backend, rtol=rtol, threads=settings.threads, device=settings.device
            )

        tighter = getattr(exact, "tolerances", None)
        needless = tighter is not None and tighter.rtol < DRAWS_RTOL
        return cls(exact=exact, draws=at(DRAWS_RTOL) if needless else exact, rough=at(ROUGH_RTOL))

    def close(self) -> None:
        for decoder in {id(d): d for d in (self.exact, self.draws, self.rough)}.values():
            decoder.close()
