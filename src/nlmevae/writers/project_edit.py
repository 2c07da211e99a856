"""Small edits of a Monolix project's text: what is not edited stays as it is, to the byte."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from nlmevae.errors import UnsupportedError
from nlmevae.frontends.monolix.names import fresh
from nlmevae.frontends.monolix.text.split import Block, split_blocks
from nlmevae.frontends.nonmem.records import SourceText

_INPUT = re.compile(r"(?<![\w.])input\s*=\s*(\{[^{}]*\}|[\w.]+)")
_FILE = re.compile(r"(?<![\w.])(?:file|path)\s*=\s*(['\"])(.*?)\1")
_EQUATION = re.compile(r"\s*([A-Za-z_][\w.]*)\s*=\s*([^{}]+?)\s*$")
_WORD = re.compile(r"[A-Za-z_][\w.]*")


@dataclass(slots=True)
class ProjectEdit:
    """Collects edits; `text` applies them."""

    source: SourceText
    _blocks: tuple[Block, ...] = ()
    _replaced: list[tuple[int, int, str]] = field(default_factory=list)
    _inputs: dict[str, list[str]] = field(default_factory=dict)
    _declared: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _covariates: dict[str, str] = field(default_factory=dict)
    _parameters: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._blocks = split_blocks(self.source)

    def words(self) -> set[str]:
        """Every name in the text."""
        return set(_WORD.findall(self.source.text))

    def add_covariate_input(self, name: str) -> None:
        """A column that [COVARIATE] reads."""
        self._inputs.setdefault("COVARIATE", []).append(name)

    def add_covariate(self, value: str, name: str, taken: set[str], used: Collection[str] = ()) -> str:
        """The name of a covariate with this value, a new one unless it was added before or the project has one that is
        none of `used`."""
        known = self.known_covariates().get(value.replace(" ", ""), "")
        if known and known not in used:
            return known
        if value not in self._covariates:
            self._covariates[value] = fresh(name, taken)
        return self._covariates[value]

    def known_covariates(self) -> dict[str, str]:
        """Equation without blanks -> the name of the covariate it defines."""
        lines = [b.code for b in self._of("MODEL", "COVARIATE") if b.label == "EQUATION"]
        found = [m for text in lines for line in text.splitlines() if (m := _EQUATION.match(line))]
        return {match[2].replace(" ", ""): match[1] for match in reversed(found)}

    def add_individual_inputs(self, names: Sequence[str], covariate: str, categories: tuple[str, ...]) -> None:
        """Names that [INDIVIDUAL] reads; with `categories`, the declaration of the covariate."""
        self._inputs.setdefault("INDIVIDUAL", []).extend(names)
        if categories:
            self._declared[covariate] = categories

    def add_parameters(self, values: Mapping[str, float]) -> None:
        """Entries of <PARAMETER>, estimated."""
        self._parameters |= values

    def replace_definition(self, name: str, new: Callable[[str, str], str]) -> None:
        """The entry `name = {...}` of [INDIVIDUAL] DEFINITION, by what `new` makes of its text and of its text without
        comments.

        Raises:
            UnsupportedError: it is not found.
        """
        head = re.compile(rf"(?<![\w.]){re.escape(name)}\s*=\s*\{{")
        for block in self._of("MODEL", "INDIVIDUAL"):
            if block.label == "DEFINITION" and (match := head.search(block.code)):
                start, end = match.start(), _closing(block.code, match.end() - 1) + 1
                text = new(block.text[start:end], block.code[start:end])
                self._replaced.append((block.start + start, block.start + end, text))
                return
        raise UnsupportedError(
            f"the definition of {name} is not found in [INDIVIDUAL]", hint="add its covariates by hand"
        )

    def move_files(self, moved: Callable[[str], str]) -> None:
        """Quoted names of the data file and of the model file, as `moved` says."""
        for block in (*self._of("DATAFILE", "FILEINFO"), *self._of("MODEL", "LONGITUDINAL")):
            for match in _FILE.finditer(block.code):
                self._replaced.append((block.start + match.start(2), block.start + match.end(2), moved(match[2])))

    def set_values(self, values: Mapping[str, float]) -> None:
        """`value=` of entries of <PARAMETER>; names without an entry are left out."""
        for block in self._of("PARAMETER", ""):
            for name, value in values.items():
                entry = re.compile(rf"(?<![\w.]){re.escape(name)}\s*=\s*\{{[^{{}}]*?\bvalue\s*=\s*([^\s,{{}}]+)")
                if match := entry.search(block.code):
                    number = f"{value:.6g}"
                    self._replaced.append((block.start + match.start(1), block.start + match.end(1), number))

    def replace_setting(self, key: str, old: str, new: str) -> None:
        """``key = 'old'`` of <MONOLIX> [SETTINGS]."""
        pattern = re.compile(rf"(?<![\w.]){key}\s*=\s*(['\"]?){re.escape(old)}\1", re.IGNORECASE)
        for block in self._of("MONOLIX", "SETTINGS"):
            for match in pattern.finditer(block.code):
                self._replaced.append((block.start + match.start(), block.start + match.end(), f"{key} = '{new}'"))

    def text(self) -> str:
        """The new text."""
        edits = [*self._replaced, *self._input_edits(), *self._equation_edits(), *self._parameter_edits()]
        text = self.source.text
        new_line = "\r\n" if "\r\n" in text else "\n"
        for start, end, new in sorted(edits, reverse=True):
            text = text[:start] + new.replace("\n", new_line) + text[end:]
        return text

    def _of(self, tag: str, section: str) -> list[Block]:
        return [b for b in self._blocks if b.tag == tag and b.section == section]

    def _input_edits(self) -> Iterator[tuple[int, int, str]]:
        for section, names in self._inputs.items():
            found = next(
                ((b, m) for b in self._of("MODEL", section) for m in [_INPUT.search(b.code)] if b.label == "" and m),
                None,
            )
            if found is None:
                continue
            block, match = found
            known = re.split(r"[\s,]+", match[1].strip("{} \r\n"))
            missing = [n for n in dict.fromkeys(names) if n not in known]
            written = block.text[match.start(1) : match.end(1)]
            start, end = block.start + match.start(1), block.start + match.end(1)
            if missing and written.startswith("{"):
                inside = written[1:-1].rstrip()
                inside = inside if not inside or inside.endswith(",") else f"{inside},"
                joined = f"{inside} {', '.join(missing)}".strip()
                yield start, end, f"{{{joined}}}"
            elif missing:
                yield start, end, f"{{{', '.join([written, *missing])}}}"
            if section == "INDIVIDUAL":
                yield from self._declarations(block, end)

    def _declarations(self, block: Block, at: int) -> Iterator[tuple[int, int, str]]:
        new = [
            f"\n{name} = {{type=categorical, categories={{{', '.join(map(_quoted, categories))}}}}}"
            for name, categories in self._declared.items()
            if not re.search(rf"(?<![\w.]){re.escape(name)}\s*=", block.code)
        ]
        if new:
            yield at, at, "\n" + "".join(new)

    def _equation_edits(self) -> Iterator[tuple[int, int, str]]:
        """New covariates at the end of EQUATION of [COVARIATE], or in one of its own; in a section of its own where the
        project has none."""
        if not self._covariates:
            return
        lines = "".join(f"\n{name} = {value}" for value, name in self._covariates.items())
        blocks = self._of("MODEL", "COVARIATE")
        equations = [b for b in blocks if b.label == "EQUATION"]
        if equations:
            yield _behind(equations[-1], lines)
        elif blocks:
            yield _behind(blocks[0], f"\n\nEQUATION:{lines}")  # before DEFINITION
        else:
            at = self._of("MODEL", "INDIVIDUAL")[0].head
            names = ", ".join(dict.fromkeys(self._inputs.get("COVARIATE", ())))
            yield at, at, f"[COVARIATE]\ninput = {{{names}}}\n\nEQUATION:{lines}\n\n"

    def _parameter_edits(self) -> Iterator[tuple[int, int, str]]:
        if self._parameters:
            block = [b for b in self._blocks if b.tag == "PARAMETER" and b.section == ""][-1]
            lines = "".join(f"\n{name} = {{value={value:.6g}, method=MLE}}" for name, value in self._parameters.items())
            yield _behind(block, lines)


def _quoted(text: str) -> str:
    return f"'{text}'"


def _behind(block: Block, text: str) -> tuple[int, int, str]:
    """Behind the last line of the block that has text."""
    at = block.start + len(block.text.rstrip())
    return at, at, text


def _closing(code: str, opening: int) -> int:
    """Offset of the brace that closes the one at `opening`; quotes hold no braces that count."""
    depth, position = 0, opening
    while position < len(code):
        character = code[position]
        if character in "'\"":
            closing = code.find(character, position + 1)
            position = closing if closing > 0 else position
        depth += (character == "{") - (character == "}")
        if depth == 0 and character == "}":
            return position
        position += 1
    return len(code) - 1
