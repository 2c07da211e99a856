"""A page as a reader's program sees it: elements, references, text. With the standard library's parser."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "input", "hr"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    text: list[str] = field(default_factory=list)
    path: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.text)).strip()


class Page(HTMLParser):
    """`elements` in document order; an element's text includes that of what is in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self.unbalanced: list[str] = []
        self._open: list[Element] = []
        self.feed(html)
        self.close()
        self.unbalanced += [e.tag for e in self._open]

    def handle_starttag(self, tag, attrs):
        element = Element(tag, {k: v or "" for k, v in attrs}, path=tuple(e.tag for e in self._open))
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if not self._open or self._open[-1].tag != tag:
            self.unbalanced.append(tag)
            return
        self._open.pop()

    def handle_data(self, data):
        for element in self._open:
            element.text.append(data)

    def all(self, tag: str) -> list[Element]:
        return [e for e in self.elements if e.tag == tag]

    @property
    def references(self) -> list[str]:
        """Everything a browser may fetch or go to."""
        names = ("src", "href", "srcset", "poster", "action", "data", "background", "formaction", "xlink:href")
        return [e.attributes[n] for e in self.elements for n in names if n in e.attributes]
