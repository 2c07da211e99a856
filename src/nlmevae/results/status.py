"""How a fit ended, as sentences a user can act on."""

from __future__ import annotations

import enum


class FitStatus(enum.Enum):
    """How a fit ended; the value is a sentence for the user."""

    CONVERGED = "The fit converged: the likelihood gain of fresh draws fell below the stopping threshold."
    FINISHED_SCHEDULE = "The VAE schedule ran to its end; the paper's algorithm has no convergence test."
    NOT_CONVERGED = "The iteration limit was reached before the likelihood stopped improving."
    MONTE_CARLO_LIMITED = "The remaining changes are smaller than the Monte-Carlo error; more draws would be needed."
    INTERRUPTED = "The fit was interrupted; the estimates are those of the last complete iteration."
    NUMERICAL_FAILURE = "The model could not be evaluated at the current estimates."
    EVALUATED = "The likelihood was evaluated at the given parameters; nothing was estimated."

    @property
    def sentence(self) -> str:
        return self.value

    @property
    def completed(self) -> bool:
        """Estimates may be used as final."""
        return self in {FitStatus.CONVERGED, FitStatus.FINISHED_SCHEDULE, FitStatus.EVALUATED}
