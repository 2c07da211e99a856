"""What the verbs that fit a model have in common: their options, and how they show what was noticed before the fit."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nlmevae.ir import Diagnostic
    from nlmevae.results.fit_result import FitResult
    from nlmevae.resumption import Resumption

#: Between two checkpoints; `resumption.USUAL_SECONDS`, which is not loaded for every command line.
USUAL_SECONDS = 30.0
METHODS = ("vae", "vae+polish")
COVARIANCES = ("none", "observed", "cross-product", "sandwich")
BACKENDS = ("auto", "formula", "closed_form", "compiled", "torchode")


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Method, seed, files, settings."""
    parser.add_argument(
        "--method",
        choices=METHODS,
        help="vae+polish (default): VAE, then Monte-Carlo EM to the maximum likelihood; vae: the published algorithm",
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        help="random seed (default: $ESTIMATION SEED, seed of the project, else 1); same seed, same numbers",
    )
    add_backend_arguments(parser)
    parser.add_argument(
        "--covariance",
        choices=COVARIANCES,
        help="of the estimates (default: what $COVARIANCE or the task fim asks for, else observed); none: no "
        "standard errors",
    )
    parser.add_argument(
        "--threads",
        metavar="N",
        help="that share the subjects (default: all cores this process may use where there are many observations, "
        "else 1); the numbers do not depend on it",
    )
    add_file_arguments(parser)


def add_file_arguments(
    parser: argparse.ArgumentParser,
    *,
    out: str = "folder for the result files; created if missing",
    overwrite: str = "also replace result files that another program wrote",
) -> None:
    """What is read and where it goes (`out` and `overwrite` in words), what is printed, and settings of a fit."""
    parser.add_argument("--data", metavar="PATH", help="read this data file instead of the one the model names")
    parser.add_argument("--out", metavar="DIR", help=out)
    parser.add_argument("--overwrite", action="store_true", help=overwrite)
    parser.add_argument("--quiet", action="store_true", help="print nothing but warnings and errors")
    parser.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        dest="settings",
        help="any other setting of a fit, for example --set n_draws=512; may be repeated",
    )


def add_backend_arguments(parser: argparse.ArgumentParser) -> None:
    """``--backend`` and ``--device``."""
    parser.add_argument("--backend", choices=BACKENDS, help="how predictions are computed (default: auto)")
    parser.add_argument(
        "--device",
        metavar="NAME",
        help="where they are integrated: cpu (default), or with the back end torchode, which auto then is, on a GPU: "
        "cuda, cuda:1",
    )


def add_result_arguments(parser: argparse.ArgumentParser) -> None:
    """Checkpoints of a fit or a search, and what else is computed and written at its end."""
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on from <run>.checkpoint, where this run was killed or interrupted (if there is none: from the start)",
    )
    parser.add_argument(
        "--checkpoint-every",
        metavar="SECONDS",
        type=float,
        default=USUAL_SECONDS,
        help=f"time between checkpoints (default: {USUAL_SECONDS:g}); 0: none",
    )
    parser.add_argument("--report", action="store_true", help="also write <run>.html, as nlmevae report does")
    parser.add_argument(
        "--samples",
        metavar="N",
        help="write N samples of each subject's random effects to .ets (default: none)",
    )
    parser.add_argument(
        "--save-encoder",
        action="store_const",
        const="true",
        help="train the encoder at the final estimates and write it to .encoder, for nlmevae predict",
    )
    parser.add_argument(
        "--likelihoods",
        metavar="LIST",
        help="more methods of -2LL at the end, with commas between them: laplace, gauss-hermite, foce, fo",
    )


def named_settings(arguments: argparse.Namespace, *, also: tuple[str, ...] = ()) -> dict[str, str]:
    """The settings that have an option of their own, where given; `also`: those only this verb has."""
    names = ("method", "seed", "backend", "device", "likelihoods", "samples", "save_encoder", "covariance", "threads")
    names += also
    given = {name: getattr(arguments, name, None) for name in names}
    return {name: value for name, value in given.items() if value is not None}


def print_diagnostics(diagnostics: Iterable[Diagnostic]) -> None:
    """Warnings about model and data, to stderr, before hours are spent."""
    from nlmevae.cli.summary_text import diagnostic_lines

    for line in diagnostic_lines(n for n in diagnostics if n.severity == "warning"):
        print(line, file=sys.stderr)


def print_notes(notes: Iterable[str]) -> None:
    """To stderr."""
    for note in notes:
        print(f"note: {note}", file=sys.stderr)


def end_resumption(resumption: Resumption, fit: FitResult) -> None:
    """The files are written: the checkpoint goes, or what is left of it is named."""
    resumption.done(fit)
    name_checkpoint(resumption)


def name_checkpoint(resumption: Resumption) -> None:
    """What to do with a checkpoint that is left."""
    if resumption.path.exists():
        print_notes([f"The same command with --resume goes on from {resumption.path}."])
