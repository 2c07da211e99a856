"""Sections that cannot be drawn say why."""

from __future__ import annotations

from nlmevae.report.page.blocks import Paragraph, Section
from nlmevae.report.page.contents import Contents


def without_diagnostics(contents: Contents, anchor: str, title: str) -> Section:
    """The section with one sentence in it."""
    reason = contents.why_no_diagnostics or "No diagnostics were computed."
    return Section(anchor=anchor, title=title, blocks=(Paragraph(text=reason),))
