"""A problem with some of the subjects: what only has to find the neighbourhood of the optimum need not see all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nlmevae.codegen.latent_form import LatentForm
from nlmevae.data.events import EventTable
from nlmevae.decoder.base import Decoder
from nlmevae.likelihood.importance import observation_index

_OF_EVENTS = ("ev_time", "ev_kind", "ev_cmt", "ev_amt", "ev_rate", "ev_ii", "ev_order")
_OF_OBSERVATIONS = ("ob_time", "ob_value", "ob_cmt", "ob_row", "ob_order", "ob_data")
_MAYBE = ("ob_endpoint", "ob_limits", "ob_scale")
_OF_COVARIATES = ("cov_time", "cov_order", "cov")


def spread_subjects(table: EventTable, n_subjects: int) -> np.ndarray:
    """Evenly spaced positions of `n_subjects` of the subjects that have observations; all of them if there are
    not more. Data are often sorted by study or arm: a run of neighbours would not represent them."""
    seen = np.flatnonzero(np.diff(table.ob_ptr) > 0)
    if len(seen) <= n_subjects:
        return seen
    return seen[np.round(np.linspace(0, len(seen) - 1, n_subjects)).astype(int)]


def restricted(table: EventTable, subjects: np.ndarray) -> EventTable:
    """The rows of `subjects`, renumbered from 0 in that order; ob_row still counts rows of the data set."""
    changes: dict[str, object] = {}
    for names, pointer in ((_OF_EVENTS, "ev_ptr"), (_OF_OBSERVATIONS, "ob_ptr"), (_OF_COVARIATES, "cov_ptr")):
        ptr = getattr(table, pointer)
        counts = np.diff(ptr)[subjects]
        rows = observation_index(ptr, np.asarray(subjects, dtype=int))
        changes[pointer] = np.concatenate([[0], np.cumsum(counts)]).astype(ptr.dtype)
        changes |= {name: np.ascontiguousarray(getattr(table, name)[rows]) for name in names}
        if pointer == "ob_ptr":
            changes |= {name: getattr(table, name)[rows] for name in _MAYBE if getattr(table, name) is not None}
    labels = tuple(table.subject_labels[i] for i in subjects)
    return replace(table, **changes, start_time=table.start_time[subjects], subject_labels=labels)


def decoder_of(decoder: Decoder, table: EventTable, form: LatentForm | None = None) -> Decoder:
    """One like `decoder` for another table of the same model, or for another form of it."""
    from nlmevae.decoder.make import make_decoder

    tolerances = getattr(decoder, "tolerances", None)
    usual = tolerances is None or decoder.for_draws is not decoder
    return make_decoder(
        decoder.form if form is None else form,
        table,
        backend=decoder.backend,
        rtol=None if usual else tolerances.rtol,
        threads=getattr(decoder, "threads", 1),
        device=decoder.device,
    )
