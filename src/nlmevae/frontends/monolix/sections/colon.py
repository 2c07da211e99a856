"""Projects of Monolix 4 (`DATA: VARIABLES: INDIVIDUAL: ...`) -> `Project`, as far as their meaning is certain.

Names of columns stand in the first line of the data file. Population parameters have no declaration: `pop_V`, `omega_V`
(or `omega2_V`, variances), `beta_{V,lw70}` (here `beta_V_lw70`), `a_y1`, `b_y1` follow from the definitions, and braces
in their names mean nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from nlmevae.errors import Location, ModelSyntaxError, SemanticError, UnsupportedError
from nlmevae.frontends.monolix.project import (
    CategoricalCovariate,
    ColumnUse,
    ComputedCovariate,
    Correlation,
    Covariate,
    CovariateTerm,
    DataFile,
    ErrorModel,
    Fit,
    IndividualDefinition,
    InitialValue,
    ObservationDefinition,
    RegroupedCovariate,
    Task,
    Variability,
)
from nlmevae.frontends.monolix.sections.data_file import TYPES
from nlmevae.frontends.monolix.sections.files import model_source, resolved_path
from nlmevae.frontends.monolix.sections.individual import DISTRIBUTIONS
from nlmevae.frontends.monolix.text.entries import (
    Entries,
    items_of,
    label_of,
    labels_of,
    name_of,
    names_of,
    number_of,
    word_of,
)
from nlmevae.frontends.monolix.text.expression import value_of
from nlmevae.frontends.monolix.text.nodes import Assignment, CallNode, ListNode, Node, Pair, Quoted, Word
from nlmevae.frontends.monolix.text.split import Block, read_text
from nlmevae.frontends.monolix.text.syntax import parse_block
from nlmevae.frontends.nonmem.records import SourceText
from nlmevae.ir import Diagnostic, RowUse

BLOCKS = (
    "DESCRIPTION", "DATA", "VARIABLES", "COVARIATES", "INDIVIDUAL", "CORRELATION", "STRUCTURAL_MODEL", "OBSERVATIONS",
    "OBSERVATION", "TASKS",
)  # fmt: skip
#: Words of `headers` -> the use of the column.
HEADERS: dict[str, RowUse] = {
    "ID": "identifier", "TIME": "time", "AMT": "amount", "DOSE": "amount", "Y": "observation", "DV": "observation",
    "X": "regressor", "COV": "covariate", "CAT": "covariate", "YTYPE": "observationtype", "ITYPE": "observationtype",
    "ADM": "administration", "RATE": "rate", "TINF": "infusiontime", "EVID": "eventidentifier",
    "MDV": "missingdependentvariable", "CENS": "censored", "LIMIT": "limit", "OCC": "occasion",
    "ADDL": "additionaldose", "II": "interdoseinterval", "SS": "steadystate", "IGNORE": "ignored",
}  # fmt: skip
ERRORS = {
    "constant": ("constant", ("a",)),
    "proportional": ("proportional", ("b",)),
    "combined1": ("combined1", ("a", "b")),
    "combined2": ("combined2", ("a", "b")),
}
PROJECT_FOLDER = "%MLXPROJECT%"


class ColonProject:
    """The blocks of a project of Monolix 4, and what each of them states. Read in order: later methods use what earlier
    ones have found."""

    def __init__(self, source: SourceText, blocks: Sequence[Block]) -> None:
        self.source = source
        self.notes: list[Diagnostic] = []
        self.nodes: dict[str, list[Node]] = {}
        self.heads: dict[str, Location] = {}
        for block in blocks:
            if block.label not in (*BLOCKS, ""):
                raise UnsupportedError(
                    f"{block.label}: is not a block of a Monolix 4 project that is known",
                    hint="its blocks are " + ", ".join(BLOCKS),
                    location=block.at,
                )
            if block.label in ("", "DESCRIPTION"):
                continue
            label = {"OBSERVATION": "OBSERVATIONS"}.get(block.label, block.label)
            self.heads.setdefault(label, block.at)
            self.nodes.setdefault(label, []).extend(parse_block(block, grammar="colon.lark"))
        for label in ("DATA", "INDIVIDUAL", "STRUCTURAL_MODEL", "OBSERVATIONS", "TASKS"):
            if label not in self.nodes:
                raise ModelSyntaxError(
                    f"the Monolix 4 project has no {label}: block",
                    hint="give a whole project, or save it with a newer Monolix",
                    location=source.location(0),
                )
        self.values = self._initial_values()

    def _statements(self, label: str) -> Iterator[tuple[str, Node, Location]]:
        """(key, value, place) of a block."""
        for node in self.nodes.get(label, []):
            if not (isinstance(node, Assignment) and isinstance(node.target, (Word, Quoted))):
                raise ModelSyntaxError(
                    f"{node.written.split()[0]} is not expected in {label}:",
                    hint="here stands name = value",
                    location=node.at,
                )
            yield node.target.text, node.value, node.target.at

    def _known(self, label: str, known: Sequence[str]) -> dict[str, tuple[Node, Location]]:
        found: dict[str, tuple[Node, Location]] = {}
        for key, value, at in self._statements(label):
            if key not in known:
                raise UnsupportedError(
                    f"{key} is not a known key of {label}:", hint="its keys are " + ", ".join(known), location=at
                )
            found[key] = (value, at)
        return found

    # data ------------------------------------------------------------------------------------------------------------

    def data(self, kinds: Sequence[str]) -> DataFile:
        """DATA:. `kinds`: values of the column YTYPE, in the order of the observations."""
        found = self._known("DATA", ("path", "file", "headers", "columnDelimiter"))
        for key in ("file", "headers"):
            if key not in found:
                raise SemanticError(f"DATA: has no {key}", hint=f"add {key} = ...", location=self.heads["DATA"])
        folder = label_of(found["path"][0], "a path") if "path" in found else ""
        path = _in_project(folder, label_of(found["file"][0], "a path"))
        delimiter = label_of(found["columnDelimiter"][0], "a delimiter") if "columnDelimiter" in found else None
        delimiter = "\t" if delimiter == "\\t" else delimiter
        node = found["headers"][0]
        words = [(name_of(item, "a column").upper(), item.at) for item in items_of(node)]
        names = self._column_names(path, delimiter, len(words), found["file"][1])
        columns = []
        for (word, at), name in zip(words, names, strict=True):
            if word not in HEADERS:
                raise UnsupportedError(
                    f"{word} is no known use of a column", hint="known are " + ", ".join(HEADERS), location=at
                )
            use = HEADERS[word]
            several = tuple(kinds) if use == "observation" and len(kinds) > 1 else ()
            columns.append(
                ColumnUse(name=name, use=use, categorical=word == "CAT", kinds=several, at=at)  # CAT: covariate
            )
        return DataFile(path=path, header=tuple(names), delimiter=delimiter, columns=tuple(columns), at=node.at)

    def _column_names(self, path: str, delimiter: str | None, count: int, at: Location) -> list[str]:
        """From the first line of the data file."""
        file, note = resolved_path(path, Path(self.source.path), at)
        if file is None:
            raise SemanticError(
                f"the data file {path} does not exist, and names of columns stand only in it",
                hint="put it next to the project",
                location=at,
            )
        if note is not None:
            self.notes.append(note)
        lines = read_text(file).text.splitlines()
        first = lines[0].lstrip("#") if lines else ""
        names = [name.strip().strip("\"'") for name in (first.split(delimiter) if delimiter else first.split())]
        if len(names) != count:
            raise SemanticError(
                f"headers has {count} columns, the first line of {path} {len(names)}",
                hint="give one word for every column",
                location=at,
            )
        return names

    # covariates ------------------------------------------------------------------------------------------------------

    def covariates(self) -> tuple[Covariate, ...]:
        """VARIABLES: computed and regrouped covariates; plain names only say what may be used."""
        found: list[Covariate] = []
        for node in (*self.nodes.get("VARIABLES", []), *self.nodes.get("COVARIATES", [])):
            stated = node.key if isinstance(node, Pair) else node
            if isinstance(stated, Word) or stated.written == "S-OCC":  # a covariate Monolix makes of the occasions
                continue
            if not (isinstance(stated, Assignment) and isinstance(stated.target, Word)):
                raise ModelSyntaxError(
                    f"{node.written.split()[0]} is not a variable", hint="write name = expression", location=node.at
                )
            name, value = stated.target.text, stated.value
            if isinstance(value, CallNode) and value.name.text == "transform":
                found.append(_regrouped(name, value))
            else:
                found.append(ComputedCovariate(name=name, value=value_of(value), at=stated.target.at))
        return tuple(found)

    # individual parameters -------------------------------------------------------------------------------------------

    def individual(self, covariates: Sequence[Covariate]) -> tuple[IndividualDefinition, ...]:
        """INDIVIDUAL:."""
        groups = {c.name: c for c in covariates if isinstance(c, (RegroupedCovariate, CategoricalCovariate))}
        found = []
        for name, node, at in self._statements("INDIVIDUAL"):
            entries = Entries(
                node, of=f"the parameter {name}", known=("distribution", "covariate", "iiv", "iov", "min", "max")
            )
            if "iov" in entries and name_of(entries.values["iov"], "iov").lower() != "no":
                raise UnsupportedError(
                    "variability between occasions in a Monolix 4 project is not supported",
                    hint="save the project with a newer Monolix",
                    location=entries.values["iov"].at,
                )
            for key in ("min", "max"):
                if key in entries:
                    raise UnsupportedError(
                        f"{key} in a Monolix 4 project is not supported",
                        hint="save the project with a newer Monolix",
                        location=entries.values[key].at,
                    )
            distribution = word_of(entries.need("distribution"), "distribution of individual parameters", DISTRIBUTIONS)
            varies = "iiv" not in entries or word_of(entries.values["iiv"], "iiv", ("yes", "no")) == "yes"
            given = entries.get("covariate")
            names = names_of(given, "a covariate") if given is not None else ()
            logit = distribution == "logitnormal"
            found.append(
                IndividualDefinition(
                    name=name,
                    distribution=distribution,  # type: ignore[arg-type]
                    typical=f"pop_{name}",
                    lower=0.0 if logit else None,
                    upper=1.0 if logit else None,
                    terms=tuple(self._term(name, covariate, groups, at) for covariate in names),
                    variability=(self._deviation(name),) if varies else (),
                    at=at,
                )
            )
        return tuple(found)

    def _term(self, parameter: str, covariate: str, groups: dict[str, Covariate], at: Location) -> CovariateTerm:
        coefficient = f"beta_{parameter}_{covariate}"
        group = groups.get(covariate)
        if group is None:
            return CovariateTerm(covariate=covariate, coefficients=(coefficient,), at=at)
        labels = [label for label, _ in group.groups] if isinstance(group, RegroupedCovariate) else []
        if len(labels) != 2 or not isinstance(group, RegroupedCovariate):
            raise UnsupportedError(
                f"{covariate} has {len(labels)} categories: the order of its coefficients in Monolix 4 is not certain",
                hint="save the project with a newer Monolix",
                location=at,
            )
        reference = group.reference or labels[0]
        return CovariateTerm(
            covariate=covariate,
            coefficients=tuple(0.0 if label == reference else coefficient for label in labels),
            at=at,
        )

    def _deviation(self, parameter: str) -> Variability:
        variance = f"omega2_{parameter}" in self.values and f"omega_{parameter}" not in self.values
        return Variability(
            level=("id",), value=f"omega2_{parameter}" if variance else f"omega_{parameter}", variance=variance
        )

    def correlations(self) -> tuple[Correlation, ...]:
        """CORRELATION: `correlationIIV = {{Cl, V}}`, blocks of parameters."""
        found = []
        for key, value, at in self._statements("CORRELATION"):
            if key != "correlationIIV":
                raise UnsupportedError(f"{key} in CORRELATION: is not supported", hint="correlationIIV is", location=at)
            blocks = items_of(value)
            # {Cl, V} is one block, {{Cl, V}, {ka, Tlag}} are two
            for block in blocks if any(isinstance(b, ListNode) for b in blocks) else (value,):
                names = names_of(block, "a parameter")
                for i, first in enumerate(names):
                    for second in names[i + 1 :]:
                        found.append(
                            Correlation(
                                level=("id",), parameters=(first, second), value=f"corr_{first}_{second}", at=block.at
                            )
                        )
        return tuple(found)

    # outcomes and model ----------------------------------------------------------------------------------------------

    def observations(self) -> tuple[ObservationDefinition, ...]:
        found = []
        for name, node, at in self._statements("OBSERVATIONS"):
            entries = Entries(node, of=f"the observation {name}", known=("type", "prediction", "error"))
            kind = word_of(entries.need("type"), "type of observation", TYPES)
            if kind != "continuous":
                raise UnsupportedError(
                    f"{name} is an outcome of type={kind}: only continuous outcomes can be fitted",
                    hint="take it out of the project, or fit it elsewhere",
                    location=entries.values["type"].at,
                )
            error, roles = ERRORS[word_of(entries.need("error"), "error model", tuple(ERRORS))]
            found.append(
                ObservationDefinition(
                    name=name,
                    distribution="normal",
                    prediction=name_of(entries.need("prediction"), "a prediction"),
                    error=ErrorModel(kind=error, **{r: f"{r}_{name}" for r in roles}),  # type: ignore[arg-type]
                    at=at,
                )
            )
        return tuple(found)

    def model_file(self) -> tuple[SourceText, str]:
        """The text of STRUCTURAL_MODEL: `file = "mlxt:name"` is name.txt."""
        found = self._known("STRUCTURAL_MODEL", ("file", "path", "output"))
        if "file" not in found:
            raise SemanticError(
                "STRUCTURAL_MODEL: has no file", hint="add file = ...", location=self.heads["STRUCTURAL_MODEL"]
            )
        node, _ = found["file"]
        name = label_of(node, "a file")
        if name.startswith("mlxt:"):
            name = f"{name.removeprefix('mlxt:')}.txt"
        folder = label_of(found["path"][0], "a path") if "path" in found else ""
        text, note = model_source(_in_project(folder, name), Path(self.source.path), node.at)
        if note is not None:
            self.notes.append(note)
        return text, text.path

    def fit(self, data: DataFile, observations: Sequence[ObservationDefinition]) -> Fit:
        """The j-th observation is YTYPE j."""
        column = data.of("observation")
        if not column:
            raise SemanticError("headers has no Y", hint="name the observations' column Y", location=data.at)
        if len(observations) > 1 and not data.of("observationtype"):
            raise SemanticError(
                "several observations, but headers has no YTYPE",
                hint="name the column that says which",
                location=data.at,
            )
        if len(observations) == 1 and data.of("observationtype"):
            raise UnsupportedError(
                "one observation, but the data have a column YTYPE: which of its values is fitted is not said",
                hint="save the project with a newer Monolix, or write IGNORE for the column",
                location=data.of("observationtype")[0].at,
            )
        return Fit(data=column[0].kinds or (column[0].name,), models=tuple(o.name for o in observations), at=data.at)

    # initial values and tasks ----------------------------------------------------------------------------------------

    def _initial_values(self) -> dict[str, InitialValue]:
        """`initialValues` of estimatePopulationParameters."""
        found: dict[str, InitialValue] = {}
        for node in self.nodes["TASKS"]:
            if not (isinstance(node, CallNode) and node.name.text == "estimatePopulationParameters"):
                continue
            for argument in node.arguments:
                if isinstance(argument, Pair) and argument.key.written == "initialValues":
                    for item in items_of(argument.value):
                        value = _initial_value(item)
                        found[value.name] = value
        return found

    def tasks(self) -> tuple[Task, ...]:
        return tuple(
            Task(name=node.name.text, arguments={}, at=node.at)
            for node in self.nodes["TASKS"]
            if isinstance(node, CallNode)
        )


def _in_project(folder: str, name: str) -> str:
    """`%MLXPROJECT%/` is the folder of the project."""
    folder = folder.replace(PROJECT_FOLDER, "").replace("\\", "/").strip("/")
    return f"{folder}/{name}" if folder else name


def _regrouped(name: str, node: CallNode) -> RegroupedCovariate:
    """`transform(GENOTYPE, G1 = {1} reference, G2 = {2,3,4})`."""
    source = name_of(node.arguments[0], "a covariate") if node.arguments else ""
    groups: list[tuple[str, tuple[str, ...]]] = []
    reference = None
    for argument in node.arguments[1:]:
        if isinstance(argument, Pair):
            label = label_of(argument.key, "a group of categories")
            groups.append((label, labels_of(argument.value, "a category")))
        elif isinstance(argument, Word) and argument.text == "reference" and groups:
            reference = groups[-1][0]
        else:
            raise ModelSyntaxError(
                f"{argument.written} is not a group of categories", hint="write group = {member}", location=argument.at
            )
    return RegroupedCovariate(name=name, source=source, groups=tuple(groups), reference=reference, at=node.at)


def _initial_value(node: Node) -> InitialValue:
    """`pop_V = 1 [method=FIXED]`, `beta_{V,lw70} = 0`, `omega2_{V} = 1`."""
    stated, attributes = (
        (node.key, node.value) if isinstance(node, Pair) and isinstance(node.key, Pair) else (node, None)
    )
    if not (isinstance(stated, Pair) and isinstance(stated.key, Word)):
        raise ModelSyntaxError(f"{node.written} is not an initial value", hint="write name = value", location=node.at)
    name = re.sub(r"[,\s]+", "_", re.sub(r"[{}]", "", stated.key.text).strip())
    method = "mle"
    for item in items_of(attributes) if attributes is not None else ():
        if not (isinstance(item, Pair) and item.key.written == "method"):
            raise UnsupportedError(
                f"{item.written} is not a known attribute of an initial value",
                hint="write [method=FIXED]",
                location=item.at,
            )
        method = word_of(item.value, "method of estimation", ("mle", "fixed"))
    value = number_of(stated.value, f"the value of {name}")
    return InitialValue(name=name, value=value, method=method, at=stated.key.at)  # type: ignore[arg-type]
