"""The recogniser is the same for every front end; this is its NONMEM name."""

from nlmevae.frontends.recognition import recognise

__all__ = ["recognise"]
