"""All $TABLE files of one run, and `<run>.tables.json`, which says what is in them.

A NONMEM table has no room for a mark of its author. So the JSON file keeps a digest of every table: an existing file
is replaced only if it is, byte for byte, what an earlier run wrote (or with --overwrite).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from nlmevae.ir import TableRequest
from nlmevae.results.record_table import RecordTable
from nlmevae.results.run_folder import GENERATOR, RunFolder, check_replaceable, make_folder
from nlmevae.writers.atomic import write_atomically
from nlmevae.writers.nonmem_table import table_text

SCHEMA = 1
AT = "conditional modes of the random effects (post hoc ETAs)"


class TableFiles:
    """Where the tables of a run go: FILE relative to the run's folder.

    Args:
        folder: of the run.
        requests: the model's tables; those without FILE and with OMITTED have no file.
    """

    def __init__(self, folder: RunFolder, requests: Sequence[TableRequest]) -> None:
        wanted = [r for r in requests if r.file is not None and not r.omitted]
        self.folder = folder.folder
        self.manifest = folder.folder / f"{folder.stem}.tables.json"
        self.paths = tuple(dict.fromkeys(self.path_of(r) for r in wanted))
        self._run_files = folder.files

    def path_of(self, request: TableRequest) -> Path:
        """An absolute FILE stays what it is."""
        return self.folder / (request.file or "")

    def prepare(self, *, overwrite: bool = False, inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
        """Make sure every table can be written, before hours are spent on a fit.

        Raises:
            OutputError: a file would be lost: another program's table, an input, a result file of the same run.
        """
        if not self.paths:
            return
        for path in self.paths:
            make_folder(path.parent)
        kept = [*inputs, *self._run_files]
        check_replaceable([self.manifest], overwrite=overwrite, inputs=kept)
        digests = self._digests()
        check_replaceable(
            self.paths,
            overwrite=overwrite,
            inputs=[*kept, self.manifest],
            own=lambda path: _digest(path.read_bytes()) == digests.get(path.resolve()),
        )

    def write(self, tables: Sequence[RecordTable]) -> tuple[Path, ...]:
        """Write the tables, several with one FILE behind each other, then the JSON file; the paths written.

        Raises:
            OutputError: a file cannot be written.
        """
        texts: dict[Path, str] = {}
        for number, table in enumerate(tables, 1):
            path = self.path_of(table.request)
            texts[path] = texts.get(path, "") + table_text(table, number)
        if not texts:
            return ()
        for path, text in texts.items():
            write_atomically(path, text)
        entries = [
            {
                "file": table.request.file,
                "sha256": _digest(texts[self.path_of(table.request)].encode()),
                "columns": list(table.labels),
                "records": table.request.records,
                "not_available": table.missing,
                "undefined_rows": table.undefined,
            }
            for table in tables
        ]
        document = {"generator": GENERATOR, "schema": SCHEMA, "at": AT, "tables": entries}
        write_atomically(self.manifest, json.dumps(document, indent=1) + "\n")
        return (*texts, self.manifest)

    def remove_previous(self) -> None:
        """Remove what an earlier run wrote; call only after `prepare`."""
        digests = self._digests()
        for path in self.paths:
            if path.is_file() and _digest(path.read_bytes()) == digests.get(path.resolve()):
                path.unlink()
        self.manifest.unlink(missing_ok=True)

    def _digests(self) -> dict[Path, str]:
        """What an earlier run wrote; nothing if it left no (readable) JSON file."""
        try:
            document: Any = json.loads(self.manifest.read_text(encoding="utf-8"))
            entries = [(e["file"], e["sha256"]) for e in document["tables"]]
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return {(self.folder / str(file)).resolve(): str(digest) for file, digest in entries}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
