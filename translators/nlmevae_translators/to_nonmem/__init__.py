"""A Monolix project as a NONMEM control stream with its data set."""

from nlmevae_translators.to_nonmem.write import to_nonmem

__all__ = ["to_nonmem"]
