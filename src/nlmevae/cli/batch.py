"""`nlmevae fit run1.ctl run2.ctl run3.ctl`: several models at once, each as one is fitted alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nlmevae.cli.interrupts import interrupts_held, one_interrupt
from nlmevae.cli.run_arguments import named_settings, print_notes
from nlmevae.cli.study_arguments import exit_code, workers_of
from nlmevae.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from nlmevae.results.fit_record import FitRecord


def run_batch_of(arguments: argparse.Namespace) -> int:
    """Exit code 0 when every fit may be used as final, else 1; 130 when interrupted."""
    from nlmevae.cli.options import settings_from_text, settings_given
    from nlmevae.cli.study_progress import StudyProgress
    from nlmevae.studies.batch import batch_records, plan_batch, run_batch
    from nlmevae.writers.study_tables import write_batch

    _refuse_single(arguments)
    workers = workers_of(arguments)
    named = named_settings(arguments)
    given = settings_given(arguments.settings, named)
    settings = settings_from_text(arguments.settings, named)
    plan = plan_batch(
        arguments.model,
        {name: getattr(settings, name) for name in given},
        out=arguments.out,
        data=arguments.data,
        restart=arguments.restart,
        overwrite=arguments.overwrite,
        derive=arguments.derive,
        checkpoint_every=arguments.checkpoint_every,
    )
    print_notes(plan.notes)
    with one_interrupt():
        fits = run_batch(plan, workers, StudyProgress("models", quiet=arguments.quiet))
    with interrupts_held():
        records = batch_records(plan, fits)
        paths = write_batch(plan.folder, records)
    for record in records:
        if not record.completed:
            print(f"warning: {record.name}: {record.message}", file=sys.stderr)
    if not arguments.quiet:
        print(batch_text(records, paths))
    failed = sum(not r.completed for r in records)
    code = exit_code(interrupted=fits.interrupted, missing=len(fits.missing), usable=len(records) - failed)
    return code or int(failed > 0)


def _refuse_single(arguments: argparse.Namespace) -> None:
    """
    Raises:
        SettingsError: an option is for one model.
    """
    for name in ("report", "lst", "monolix_folder"):
        if getattr(arguments, name):
            option = f"--{name.replace('_', '-')}"
            raise SettingsError(f"{option} is for one model", hint="leave it out, or fit the models one by one")


def batch_text(records: Sequence[FitRecord], paths: Sequence[Path]) -> str:
    """One line per model."""
    from nlmevae.cli.text_table import text_table

    rows = [
        [
            r.name,
            r.status.replace("_", " ").lower(),
            "" if r.minus_two_ll != r.minus_two_ll else f"{r.minus_two_ll:.2f}",
            "" if r.ofv != r.ofv else f"{r.ofv:.2f}",
            f"{r.seconds:.1f}",
        ]
        for r in records
    ]
    table = text_table(["model", "status", "-2LL", "OFV", "seconds"], rows, left=2)
    return "\n".join([*table, "", *(f"Wrote {path}" for path in paths)])
