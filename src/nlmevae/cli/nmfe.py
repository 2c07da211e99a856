"""`nlmevae nmfe install DIR`: a folder that other programs take for an installation of NONMEM."""

from __future__ import annotations

import argparse


def add_parser(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser(
        "nmfe",
        help="make a folder in which Pharmpy, PsN and bbi find nlmevae as NONMEM's nmfe75",
        description="Make DIR/run/nmfe75 and DIR/util/nmfe75. Programs that run NONMEM are given DIR as its folder.",
    )
    parser.add_argument("action", choices=("install",), help="make the folder")
    parser.add_argument("folder", metavar="DIR", help="created if missing; the folder of a real NONMEM is left alone")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Exit code 0."""
    from nlmevae.hosts.nmfe_folder import install_nmfe

    for path in install_nmfe(arguments.folder):
        print(f"Wrote {path}")
    print(f"Give {arguments.folder} to Pharmpy (default_nonmem_path), PsN (psn.conf) or bbi (bbi init) as NONMEM.")
    return 0
