"""<DATAFILE>: the file, its header and what each column is."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nlmevae.errors import ModelSyntaxError, SemanticError, UnsupportedError
from nlmevae.frontends.monolix.project import ColumnUse, DataFile
from nlmevae.frontends.monolix.text.entries import (
    Entries,
    assignments_of,
    items_of,
    key_of,
    labels_of,
    name_of,
    names_of,
    number_of,
    unknown_key,
    word_of,
)
from nlmevae.frontends.monolix.text.nodes import Assignment, ListNode, Node, Numeral, Quoted, Word
from nlmevae.frontends.monolix.text.split import Block
from nlmevae.frontends.monolix.text.syntax import parse_block
from nlmevae.ir import RowUse

#: Words of `use` -> the use. All but the last lines are Mlxtran's own names in lower case.
USES: dict[str, RowUse] = {
    "identifier": "identifier", "time": "time", "observation": "observation", "observationtype": "observationtype",
    "amount": "amount", "administration": "administration", "rate": "rate", "infusiontime": "infusiontime",
    "additionaldose": "additionaldose", "interdoseinterval": "interdoseinterval", "steadystate": "steadystate",
    "eventidentifier": "eventidentifier", "missingdependentvariable": "missingdependentvariable",
    "censored": "censored", "limit": "limit", "occasion": "occasion", "covariate": "covariate",
    "regressor": "regressor", "ignored": "ignored", "ignore": "ignored", "ignoreline": "ignoredline",
    "ignoredline": "ignoredline",
}  # fmt: skip
#: Uses that several columns may have.
REPEATABLE = {"occasion", "covariate", "regressor", "ignored", "ignoredline"}
DELIMITERS = {
    "comma": ",", "tab": "\t", "space": " ", "semicolon": ";", "semicolumn": ";", ",": ",", ";": ";", "\t": "\t",
    "\\t": "\t", " ": " ",
}  # fmt: skip
TYPES = ("continuous", "discrete", "event", "count", "categorical")
COLUMN_KEYS = ("use", "type", "name", "yname", "ytype", "nbdoses")
FILEINFO_KEYS = ("file", "delimiter", "header")

_PLAIN = re.compile(r"[^\W\d][\w.]*|\d+\.?\d*")
_HEADER = re.compile(r"\bheader[ \t]*=\s*\{(?P<items>[^{}]*)\}")
_KEY = re.compile(r"[ \t]*(?P<key>[^={}'\"\s][^={}'\"\r\n]*?)[ \t]*=")
_NO_VALUE = re.compile(r"^[ \t]*[\w.]+[ \t]*=[ \t]*(?=[\r\n]+[ \t]*[\w.]+[ \t]*=)", re.MULTILINE)


def read_data_file(blocks: Sequence[Block]) -> DataFile:
    """<DATAFILE> of a project.

    Raises:
        ModelError: a key or a use that is not known, a column twice, what changes the data before the fit.
    """
    path, path_node, delimiter, header = _file_info(blocks)
    columns = [c for block in blocks if block.section == "CONTENT" for c in _content(block, header)]
    for block in blocks:
        if block.section == "SETTINGS":
            _check_settings(block)
        elif block.section == "FILTER" and block.code.strip():
            raise UnsupportedError(
                "[FILTER] changes the data before the fit, and is not supported",
                hint="export the filtered data set and use it as the data file",
                location=block.at,
            )
    _check_uses(columns, path_node)
    position = {name: i for i, name in enumerate(header)}
    columns.sort(key=lambda c: position[c.name])
    return DataFile(
        path=path, header=header, delimiter=delimiter, columns=tuple(columns), at=path_node.at if path_node else None
    )


def without_empty_values(code: str) -> str:
    """`delimiter =` with nothing behind it states nothing: it becomes blanks."""
    return _NO_VALUE.sub(lambda m: " " * len(m.group()), code)


def _file_info(blocks: Sequence[Block]) -> tuple[str, Node, str | None, tuple[str, ...]]:
    found: dict[str, Assignment] = {}
    section = next((b for b in blocks if b.section == "FILEINFO"), blocks[0])
    for block in blocks:
        if block.section != "FILEINFO":
            continue
        code = _readable_header(without_empty_values(block.code))
        for node in assignments_of(parse_block(block, code=code), "[FILEINFO]"):
            key = key_of(node, "[FILEINFO]")
            if key not in FILEINFO_KEYS:
                raise unknown_key(node, "[FILEINFO]", FILEINFO_KEYS)
            if key in found:
                raise SemanticError(f"{key} is given twice", hint="keep one of them", location=node.target.at)
            found[key] = node
    for key in ("file", "header"):
        if key not in found:
            raise SemanticError(f"[FILEINFO] has no {key}", hint=f"add {key} = ...", location=section.at)
    file = found["file"].value
    delimiter = _delimiter(found["delimiter"].value) if "delimiter" in found else None
    header = tuple(_column(item) for item in items_of(found["header"].value))
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise SemanticError(
            f"the header has {twice} twice", hint="give every column its own name", location=found["header"].value.at
        )
    return file_path(file), file, delimiter, header


def file_path(node: Node) -> str:
    """Of `file = 'x'` or `file = {path='x'}`."""
    if isinstance(node, ListNode):
        node = Entries(node, of="file", known=("path",)).need("path")
    if not isinstance(node, Quoted):
        raise ModelSyntaxError("the path of a file stands in quotes", hint="write file = 'path'", location=node.at)
    if not node.text.strip():
        raise SemanticError("the path of the file is empty", hint="write file = 'path'", location=node.at)
    return node.text


def _delimiter(node: Node) -> str:
    text = name_of(node, "delimiter")
    if text in DELIMITERS:
        return DELIMITERS[text]
    return DELIMITERS[word_of(node, "delimiter", ("comma", "tab", "space", "semicolon", "semicolumn"))]


def _column(node: Node) -> str:
    if isinstance(node, Quoted):
        return node.text
    if isinstance(node, (Word, Numeral)):
        return node.written.strip()
    raise ModelSyntaxError(f"{node.written} is not the name of a column", hint="put it in quotes", location=node.at)


def _readable_header(code: str) -> str:
    """Names of columns may hold any sign (`AMT/KG`): signs that the grammar cannot read become `_`, nothing moves."""
    match = _HEADER.search(code)
    if not match or "," not in match["items"]:
        return code
    parts = []
    for item in re.split(r"(,)", match["items"]):
        name = item.strip()
        odd = name and name[0] not in "'\"" and item != "," and not _PLAIN.fullmatch(name)
        parts.append(item.replace(name, _masked(name)) if odd else item)
    return code[: match.start("items")] + "".join(parts) + code[match.end("items") :]


def _masked(name: str) -> str:
    return "_" + re.sub(r"\W", "_", name[1:])


def _readable_keys(code: str) -> str:
    """The same for the keys of [CONTENT]."""
    lines = []
    depth = 0
    for line in code.splitlines(keepends=True):
        match = _KEY.match(line) if depth == 0 else None
        if (match and not _PLAIN.fullmatch(match["key"])) or (match and match["key"][0].isdigit()):
            line = line[: match.start("key")] + _masked(match["key"]) + line[match.end("key") :]
        bare = re.sub(r"'[^']*'|\"[^\"]*\"", "", line)
        depth += bare.count("{") - bare.count("}")
        lines.append(line)
    return "".join(lines)


def _content(block: Block, header: tuple[str, ...]) -> list[ColumnUse]:
    columns: list[ColumnUse] = []
    for node in assignments_of(parse_block(block, code=_readable_keys(block.code)), "[CONTENT]"):
        if isinstance(node.target, ListNode):
            raise ModelSyntaxError("a list is not a column", hint="write COLUMN = {use=...}", location=node.target.at)
        name = _column(node.target)
        if name not in header:
            raise SemanticError(
                f"{name} is not in the header of the data file",
                hint="the header has " + ", ".join(header),
                location=node.target.at,
            )
        if any(c.name == name for c in columns):
            raise SemanticError(
                f"{name} is described twice in [CONTENT]", hint="keep one of the lines", location=node.target.at
            )
        columns.append(_column_use(name, node))
    return columns


def _column_use(name: str, node: Assignment) -> ColumnUse:
    entries = Entries(node.value, of=f"the column {name}", known=COLUMN_KEYS)
    for flag in entries.flags.values():
        raise ModelSyntaxError(f"{flag.written} has no value", hint="write key=value", location=flag.at)
    use = USES[word_of(entries.need("use"), "use of a column", tuple(USES))]
    allowed = {"covariate": ("type", "name"), "observation": ("type", "name", "yname", "ytype"),
               "steadystate": ("nbdoses",), "regressor": ("type", "name")}.get(use, ("name",))  # fmt: skip
    for key, value in entries.values.items():
        if key != "use" and key not in allowed:
            raise SemanticError(
                f"{key} has no meaning for use={use}", hint="remove it, or correct the use", location=value.at
            )
    type_ = entries.get("type")
    types: tuple[str, ...] = ()
    if type_ is not None and use == "observation":
        types = tuple(word_of(t, "type of observation", TYPES) for t in items_of(type_))
    categorical = False
    if type_ is not None and use in ("covariate", "regressor"):
        categorical = word_of(type_, f"type of {use}", ("continuous", "categorical")) == "categorical"
    names = names_of(entries.values["name"], "name of an observation") if "name" in entries else ()
    kinds = entries.get("yname") or entries.get("ytype")
    observation = use == "observation"
    labels = labels_of(kinds, "a kind of observation") if kinds is not None and observation else ()
    for what, given in (("yname", labels), ("type", types)):
        if len(given) > 1 and len(names or labels) not in (len(given),):
            raise SemanticError(
                f"{len(names or labels)} names of observations, but {len(given)} values of {what}",
                hint="one for each kind of observation",
                location=entries.at,
            )
    doses = entries.get("nbdoses")
    return ColumnUse(
        name=name,
        use=use,
        categorical=categorical,
        names=names if observation else (),
        kinds=labels,
        types=types,
        n_doses=_count(doses) if doses is not None else None,
        at=node.target.at,
    )


def _count(node: Node) -> int:
    value = number_of(node, "nbdoses")
    if value != int(value) or value < 0:
        raise SemanticError("nbdoses is a whole number", hint="write nbdoses=5", location=node.at)
    return int(value)


def _check_settings(block: Block) -> None:
    """dataType names what was measured; nothing depends on it."""
    for node in assignments_of(parse_block(block), "[SETTINGS]"):
        if key_of(node, "[SETTINGS]") != "dataType":
            raise unknown_key(node, "[SETTINGS] of <DATAFILE>", ("dataType",))


def _check_uses(columns: Sequence[ColumnUse], file: Node) -> None:
    seen: dict[str, ColumnUse] = {}
    for column in columns:
        if column.use in seen and column.use not in REPEATABLE:
            raise SemanticError(
                f"{seen[column.use].name} and {column.name} both have use={column.use}",
                hint="one column may have this use",
                location=column.at,
            )
        seen.setdefault(column.use, column)
    if "time" not in seen:
        raise UnsupportedError(
            "no column has use=time: data without times are not supported",
            hint="add TIME = {use=time} to [CONTENT], and a column of zeros to the data if the model has no time",
            location=file.at,
        )
    for use in ("identifier", "observation"):
        if use not in seen:
            raise SemanticError(
                f"no column has use={use}", hint=f"add it to [CONTENT]: COLUMN = {{use={use}}}", location=file.at
            )
    observation = seen["observation"]
    if max(len(observation.kinds), len(observation.names)) < 2:
        return
    if "observationtype" not in seen:
        raise SemanticError(
            f"{observation.name} holds several kinds of observation, but no column says which",
            hint="add COLUMN = {use=observationtype}",
            location=observation.at,
        )
    if not observation.kinds:
        raise SemanticError(
            f"which values of {seen['observationtype'].name} the observations {', '.join(observation.names)} have is "
            "not said",
            hint=f"add yname={{'1', '2', ...}} to {observation.name}, in the order of the names",
            location=observation.at,
        )
    for given in (observation.kinds, observation.names):
        if len(set(given)) < len(given):
            raise SemanticError(
                f"{observation.name} has a kind of observation twice",
                hint="give every kind its own name and value",
                location=observation.at,
            )
