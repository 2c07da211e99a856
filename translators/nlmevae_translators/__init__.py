"""Translators: turn one foreign project into another, once, for legacy projects.

A translator composes a front end of `nlmevae` with text of the other language and adds a report of what became of every
construct. It contains no parsing of its own; nothing in `nlmevae` imports it.
"""

from nlmevae_translators.convert import convert
from nlmevae_translators.modernise import modernise
from nlmevae_translators.report import Conversion, Entry, Proof, Report

__all__ = ["Conversion", "Entry", "Proof", "Report", "convert", "modernise"]
