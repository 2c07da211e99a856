"""Old control streams -> modern ones: MU-referenced, labelled, in today's spelling, everything else as it was."""

from nlmevae_translators.modernise.write import modernise

__all__ = ["modernise"]
