"""One model's decoders at the accuracies an estimation needs.

Integrators are the expensive part of a fit, and most of its predictions need not be accurate: those of a VAE
that only starts the polish, and importance draws, which are only weighed. A tolerance the user chose holds everywhere.
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


def is_integrated(decoder: Decoder) -> bool:
    """Whether solutions are expensive."""
    return decoder.backend in INTEGRATORS


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoders:
    """exact: of what is reported, except that it weighs draws of `exact.for_draws`; draws: of the polish; rough: of the
    VAE and the approach. The same object where there is nothing to gain."""

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
        if settings.method == "vae" or settings.rtol is not None:
            return cls(exact=exact, draws=exact, rough=exact)
        return cls(exact=exact, draws=exact.for_draws, rough=exact.at(ROUGH_RTOL))

    def close(self) -> None:
        for decoder in (self.rough, self.exact):  # which closes `draws`
            decoder.close()
