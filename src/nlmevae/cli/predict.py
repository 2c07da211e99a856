"""`nlmevae predict run1.ctl --fit run1.results.json --data new.csv`: subjects a fit has not seen."""

from __future__ import annotations

import argparse
import sys

from nlmevae.cli.run_arguments import add_backend_arguments


def add_parser(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser(
        "predict",
        help="individual parameters and predictions for new subjects at the estimates of a fit",
        description="Posteriors and predictions for the subjects of another data set, at the estimates of a fit. "
        "Nothing is fitted. Records of EVID 2 and MDV 1 are predicted, too.",
    )
    parser.add_argument("model", metavar="MODEL", help="the control stream or Monolix project that was fitted")
    parser.add_argument("--fit", metavar="PATH", required=True, help="results.json of the fit")
    parser.add_argument(
        "--data", metavar="PATH", required=True, help="data of the new subjects, columns as in the data of the fit"
    )
    parser.add_argument("--encoder", metavar="PATH", help="encoder of the fit; compared with the refined posteriors")
    parser.add_argument(
        "--route",
        choices=("refined", "encoder"),
        default="refined",
        help="refined (default): mode search, then importance sampling; encoder: the network alone, unchecked",
    )
    parser.add_argument("--samples", metavar="N", help="write N samples of each subject's random effects to .ets")
    parser.add_argument("--seed", metavar="N", default="1", help="random seed; same seed, same numbers")
    add_backend_arguments(parser)
    parser.add_argument("--out", metavar="DIR", help="folder for the files (default: beside the data)")
    parser.add_argument("--overwrite", action="store_true", help="also replace files that another program wrote")
    parser.add_argument("--quiet", action="store_true", help="print nothing but warnings and errors")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Exit code 0; 1 when the model could not be evaluated for a subject."""
    from nlmevae.cli.options import read_number
    from nlmevae.cli.prediction_text import prediction_text, prediction_warnings
    from nlmevae.cli.step_progress import StepProgress
    from nlmevae.pipeline import predict
    from nlmevae.results.prediction_folder import PredictionFolder
    from nlmevae.writers.prediction_files import write_prediction

    folder = PredictionFolder.beside(arguments.model, arguments.data, arguments.out)
    inputs = [p for p in (arguments.model, arguments.data, arguments.fit, arguments.encoder) if p]
    folder.prepare(overwrite=arguments.overwrite, inputs=inputs)
    result = predict(
        arguments.model,
        fit=arguments.fit,
        data=arguments.data,
        encoder=arguments.encoder,
        samples=None if arguments.samples is None else read_number("samples", arguments.samples, int),
        route=arguments.route,
        seed=read_number("seed", arguments.seed, int),
        backend=arguments.backend or "auto",
        device=arguments.device or "cpu",
        steps=StepProgress(quiet=arguments.quiet),
    )
    paths = write_prediction(folder, result)
    for warning in prediction_warnings(result):
        print(f"warning: {warning}", file=sys.stderr)
    if not arguments.quiet:
        print(prediction_text(result, paths=paths))
    return 0 if result.complete else 1
