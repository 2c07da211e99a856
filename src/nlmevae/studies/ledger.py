"""The finished fits of a study on disk: one file each, whole or not there, whoever writes it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlmevae.errors import OutputError, SettingsError
from nlmevae.results.fit_record import FitRecord
from nlmevae.results.run_folder import GENERATOR, is_own_file, make_folder
from nlmevae.writers.atomic import write_atomically
from nlmevae.writers.record_json import record_document, record_from
from nlmevae.writers.results_json import plain

#: What a continued study may differ in from the one it continues: last digits may.
MAY_DIFFER = ("Python", "numpy", "torch", "numba", "processor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """`folder` holds ``study.json``, which says what is studied, and the finished fits in ``fits/``. `identity` is that
    of the study: a fit of another one is none."""

    folder: Path
    identity: str

    @property
    def fits(self) -> Path:
        return self.folder / "fits"

    def path(self, number: int, model: int = 0) -> Path:
        return self.fits / f"{model}-{number:05d}.json"

    def keep(self, record: FitRecord) -> None:
        """Write a finished fit, unless it is there.

        Raises:
            OutputError: it cannot be written.
        """
        path = self.path(record.number, record.model)
        if self._read(path) is None:
            document = {"generator": GENERATOR, "study": self.identity, "fit": record_document(record)}
            write_atomically(path, json.dumps(document, indent=1, allow_nan=False) + "\n")

    def finished(self) -> dict[tuple[int, int], FitRecord]:
        """(model, number) -> the fit. A file that is no fit of this study does not count."""
        found = (self._read(path) for path in sorted(self.fits.glob("*.json")))
        return {(r.model, r.number): r for r in found if r is not None}

    def _read(self, path: Path) -> FitRecord | None:
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if document["study"] != self.identity:
                return None
            record = record_from(document["fit"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return record if path == self.path(record.number, record.model) else None

    def is_here(self) -> bool:
        """Whether this machine sees the folder of this very study."""
        return _known(self.folder / "study.json").get("identity") == self.identity


def open_ledger(
    folder: Path, provenance: dict[str, str], *, restart: bool = False, overwrite: bool = False
) -> tuple[Ledger, tuple[str, ...]]:
    """The ledger of a study in `folder`, and notes for the user: new, or that of an earlier run of the same study.

    Args:
        provenance: what the numbers depend on, by the name a user knows it by.
        restart: forget what is there.
        overwrite: also use a folder whose files are another program's.

    Raises:
        SettingsError: the folder holds a study of something else.
        OutputError: it cannot be written to, or is another program's.
    """
    make_folder(folder)
    described = folder / "study.json"
    if described.exists() and not is_own_file(described) and not overwrite:
        raise OutputError(
            f"{described} exists and was not written by nlmevae",
            hint="choose another folder with --out, or --overwrite",
        )
    identity = _identity(provenance)
    known = _known(described)
    notes: tuple[str, ...] = ()
    if known and not restart:
        notes = _notes(folder, known, provenance)
        identity = known["identity"]
    ledger = Ledger(folder=folder, identity=identity)
    make_folder(ledger.fits)
    if not known or restart:
        _forget(ledger)
        document = {"generator": GENERATOR, "identity": identity, "provenance": provenance}
        write_atomically(described, json.dumps(plain(document), indent=1) + "\n")
    return ledger, notes


def _forget(ledger: Ledger) -> None:
    for path in ledger.fits.glob("*.json"):
        if is_own_file(path):
            path.unlink(missing_ok=True)


def _notes(folder: Path, known: dict[str, Any], provenance: dict[str, str]) -> tuple[str, ...]:
    before = known["provenance"]
    names = list(dict.fromkeys(n for n in (*provenance, *before) if provenance.get(n) != before.get(n)))
    refused = [n for n in names if n not in MAY_DIFFER]
    if refused:
        raise SettingsError(
            f"{folder} holds another study: {listed(refused)} differ",
            hint="restore what was changed, choose another folder with --out, or begin anew with --restart",
        )
    if not names:
        return ()
    return (f"The study began with another {listed(names)}: last digits may differ between its fits.",)


def _known(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    whole = isinstance(document, dict) and isinstance(document.get("provenance"), dict) and "identity" in document
    return document if whole else {}


def _identity(provenance: dict[str, str]) -> str:
    import hashlib

    return hashlib.sha256(json.dumps(provenance, sort_keys=True).encode()).hexdigest()[:16]


def listed(names: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    names = list(names)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
