"""A Monolix project's model -> control stream, data set and, where subjects have names, their numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nlmevae.data.dataset import Dataset
from nlmevae.data.read import read_dataset
from nlmevae.errors import UnsupportedError
from nlmevae.ir import Model, Statement, names_assigned, names_read
from nlmevae_translators.absent_data import AbsentData, absent_entries
from nlmevae_translators.report import Entry
from nlmevae_translators.to_nonmem.category_codes import Labels, category_labels, with_labels
from nlmevae_translators.to_nonmem.code_text import CodeWriter
from nlmevae_translators.to_nonmem.constructs import (
    covariate_entries,
    name_entries,
    outcome_entries,
    parameter_entries,
)
from nlmevae_translators.to_nonmem.data_set import DataSet, data_set
from nlmevae_translators.to_nonmem.dose_ways import WAY, ways
from nlmevae_translators.to_nonmem.lines import Line, attached, placed, plain, plain_text, stating
from nlmevae_translators.to_nonmem.outcome_code import with_censoring
from nlmevae_translators.to_nonmem.parameter_records import effect_numbers, omega_lines, sigma_lines, theta_lines
from nlmevae_translators.to_nonmem.program_parts import Parts, parts_of, with_own_names
from nlmevae_translators.to_nonmem.refusals import refusals
from nlmevae_translators.to_nonmem.request_records import request_lines
from nlmevae_translators.to_nonmem.stream_names import StreamNames
from nlmevae_translators.to_nonmem.structure_code import (
    Structure,
    claim_rates,
    model_record,
    structure_entries,
    structure_of,
)

#: Items the stream calls otherwise.
_ITEMS = {"YTYPE": "DVID", "CENS": "CENS", "LIMIT": "LIMIT"}


def to_nonmem(
    model: Model, project: object = None, *, dataset: Dataset | None = None, absent: AbsentData | None = None
) -> tuple[dict[str, str], tuple[Entry, ...]]:
    """Files (name -> text) of the control stream and what became of every construct; no files where one is refused.

    Args:
        project: of the Monolix front end; not needed.
        dataset: the data; None: they are read.
        absent: the data file is not there: no data set is written.

    Raises:
        ModelError, DataError: the project's data cannot be read, or its code holds what no control stream says.
    """
    if model.data.monolix is None:
        raise UnsupportedError(f"{model.source.path} is no Monolix project", hint="give a .mlxtran file", location=None)
    if dataset is None:
        dataset = read_dataset(model)
    refused = refusals(model, dataset)
    if refused:
        return {}, refused
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", Path(model.source.path).stem)  # $DATA takes no blanks
    written = _written(model, dataset, data_file=f"{stem}.csv")
    text, entries = placed(written.lines, f"{stem}.ctl")
    if absent is not None:
        columns = " ".join(name for _, name in written.data.items)
        return {f"{stem}.ctl": text}, (*entries, *absent_entries(absent, f"{stem}.csv", columns))
    files = {f"{stem}.ctl": text, f"{stem}.csv": written.data.text}
    if written.data.ids:
        files[f"{stem}_ids.csv"] = written.data.id_text
    return files, (*entries, *_data_entries(model, written.data, dataset, stem))


@dataclass(frozen=True, slots=True)
class _Written:
    lines: tuple[Line, ...]
    data: DataSet


def _written(model: Model, dataset: Dataset, *, data_file: str) -> _Written:
    structure = structure_of(model)
    parts = parts_of(model, structure)
    read = frozenset().union(*(names_read(p) for p in (parts.pk, parts.des, parts.error)))
    names = _names(model, structure, parts)
    names.give(c.name for c in model.data.columns if c.role == "covariate" and c.name in read)
    labels = category_labels(model, parts)
    parts = with_labels(parts, labels)
    data = data_set(model, dataset, names.given, read, labels)
    parts, own = with_own_names(replace(parts, error=with_censoring(parts.error, data.censored)), names)
    code = _code(model, structure, parts, names, own)
    shown = [names.given[p.name] for p in model.individual_parameters]
    tail = [*theta_lines(model), *omega_lines(model), *sigma_lines(model)]
    tail += request_lines(model, censored=any(data.censored.values()), parameters=shown)
    return _Written((*_head(model, structure, data, data_file, names, labels), *code, *tail), data)


def _names(model: Model, structure: Structure, parts: Parts) -> StreamNames:
    shown = dict(model.project.shown) if model.project is not None else {}
    names = StreamNames(shown, structure.avoid)
    claim_rates(model, structure, names)
    for k in range(1, len(model.epsilons) + 1):
        names.given |= {f"IPRED({k})": "IPRED", f"W({k})": "W"}
    names.claim_items(_ITEMS)
    if ways(model):
        names.claim(WAY, WAY[1:])
    names.give(_assigned(parts))
    return names


def _assigned(parts: Parts) -> list[str]:
    """Variables of the user in the order they appear; elements and names of the stream keep theirs."""
    found: dict[str, None] = {}
    for statements in (parts.pk, parts.error, parts.des):
        for statement in statements:
            found |= dict.fromkeys(sorted(names_assigned((statement,))))
    return [name for name in found if "(" not in name and not name.startswith("=") and name not in ("Y",)]


def _code(
    model: Model, structure: Structure, parts: Parts, names: StreamNames, own: Mapping[str, Mapping[str, str]]
) -> list[Line]:
    """$PK, $DES and $ERROR, or $PRED; the entries of parameters and outcomes stand with their assignments."""
    effects = effect_numbers(model.omega)

    def record(head: str, statements: Sequence[Statement], section: str) -> list[Line]:
        writer = CodeWriter(names={**names.given, **effects, **own[section]}, fresh=names.fresh)
        return plain([head, *writer.statements(statements)])

    parameters = [(names.given[p.name], entry) for p, entry in parameter_entries(model, names.given)]
    outcomes = [("Y", entry) for entry in outcome_entries(model)]
    if structure.advan is None:
        return attached(record("$PRED", parts.error, "error"), [*parameters, *outcomes])
    lines = attached(record("$PK", parts.pk, "pk"), parameters)
    if structure.equations:
        lines += record("$DES", parts.des, "des")
    scaled = any(s.kind != "identity" for s in (model.data.monolix.scales if model.data.monolix else ()))
    scaled |= any(o.scale == "log" for o in model.observations)
    # at dose records the prediction may be 0, which has no logarithm and no logit
    head = "$ERROR (ONLY OBSERVATIONS)" if scaled else "$ERROR"
    return lines + attached(record(head, parts.error, "error"), outcomes)


def _head(
    model: Model, structure: Structure, data: DataSet, data_file: str, names: StreamNames, labels: Labels
) -> list[Line]:
    problem = plain_text(" ".join((model.problem or model.name).split()))[:70]
    renamed = names.renamed()
    lines = plain([f"$PROBLEM {problem or model.name}"])
    lines += [line for entry, comment in name_entries(renamed) for line in stating([f"; {comment}"], entry)]
    entries, comments = covariate_entries(model, names.given, labels)
    lines += plain(f"; {comment}" for comment in comments)
    lines += _wrapped("$INPUT", [name for _, name in data.items])
    lines += stating([f"$DATA {data_file} IGNORE=@"], *entries)
    if structure.advan is not None:
        lines += stating([structure.record], *structure_entries(model, structure))
        lines += plain(model_record(model, structure))
    return lines


def _wrapped(head: str, words: Sequence[str]) -> list[Line]:
    lines = [head]
    for word in words:
        if len(lines[-1]) + len(word) > 78:
            lines.append(" ")
        lines[-1] += f" {word}"
    return plain(lines)


def _data_entries(model: Model, data: DataSet, dataset: Dataset, stem: str) -> tuple[Entry, ...]:
    target = f"{stem}.csv:1"
    found = [
        Entry(
            construct=f"data {Path(dataset.path).name}",
            kind="rule",
            reason=f"{len(data.values)} records; doses that ADDL, SS and several routes imply are records of their "
            "own, and a regressor that changes holds its old value up to a record with EVID 2",
            source=model.data.at,
            target=target,
        )
    ]
    rows = model.data.monolix
    for dose in rows.transit if rows is not None else ():
        found.append(
            Entry(
                construct=f"Ktr, Mtt of adm={dose.administration}",
                kind="rule",
                reason="time and amount of the last dose are data items that $DES reads; NONMEM's integrator is not "
                "stopped on the way of a dose as Monolix' doses are here: check that TOL resolves it",
                source=model.data.at,
                target=target,
            )
        )
    if dataset.emptied is not None and dataset.emptied.any():
        found.append(
            Entry(
                construct="empty",
                kind="rule",
                reason="records with EVID 2 turn the compartment off (CMT < 0), which empties it, and at once on again",
                source=model.data.at,
                target=target,
            )
        )
    if data.ids:
        found.append(
            Entry(
                construct="identifiers",
                kind="rule",
                reason=f"numbers from 1, with their labels in {stem}_ids.csv: NONMEM's IDs are numbers",
                source=model.data.at,
                target=target,
            )
        )
    return tuple(found)
