"""Translators: turn one foreign project into another, once, for legacy projects.

A translator composes a front end of `nlmevae` with a writer of `nlmevae` and adds a report of what changed.
It contains no parsing of its own; nothing in `nlmevae` imports it. This release has none yet.
"""
