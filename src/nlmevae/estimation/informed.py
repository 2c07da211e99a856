"""Which random effects the data of a subject can say something about.

Where a subject lacks an occasion, the posterior of that occasion's effects is their prior. They add nothing to the
likelihood, so EM may leave them out (integrated, not observed): it then needs no iterations to carry the prior's own
variance along. Only whole blocks are left out, for the elements of one block are correlated.
"""

from __future__ import annotations

import numpy as np

from nlmevae.codegen.influence import influence
from nlmevae.codegen.latent_form import LatentForm
from nlmevae.data.events import EventTable
from nlmevae.ir import CovarianceBlock


def informed_latents(form: LatentForm, table: EventTable, omega: tuple[CovarianceBlock, ...]) -> np.ndarray:
    """(N, d) bool, alike for all latents of a block of OMEGA. A latent that no prediction reads (a random effect on
    the residual error) counts as informed wherever there are observations."""
    seen = np.diff(table.ob_ptr) > 0
    read = form.individual.graph.inputs_of(form.individual.output_nodes)
    unread = np.array([f"Z({k + 1})" not in read for k in range(form.n_latents)], dtype=bool)
    touched = (_touched(form, table) | unread) & seen[:, None]
    informed = touched.copy()
    latent_of = {latent.eta: k for k, latent in enumerate(form.latents)}
    for block in omega:
        members = [latent_of[eta] for eta in block.names if eta in latent_of]
        informed[:, members] = touched[:, members].any(axis=1, keepdims=True)
    return informed


def _touched(form: LatentForm, table: EventTable) -> np.ndarray:
    """(N, d) bool: the latent can reach a prediction, through parameters of the subject's records up to its last
    observation."""
    n, names = table.n_subjects, tuple(f"Z({k + 1})" for k in range(form.n_latents))
    n_rows = len(table.cov)
    covariates = {name: table.cov[:, j] for j, name in enumerate(form.covariates)}
    carried = influence(form.individual, covariates, names, n_rows)
    owner = np.repeat(np.arange(n), np.diff(table.cov_ptr))
    carried &= _in_use(table, owner)[:, None, None]
    by_subject = np.zeros((n, len(form.parameters), len(names)), dtype=bool)
    np.logical_or.at(by_subject, owner, carried)
    return (_used_parameters(form, table)[:, :, None] & by_subject).any(axis=1)


def _in_use(table: EventTable, owner: np.ndarray) -> np.ndarray:
    """(C,) bool: the row of covariates begins before the subject's last observation."""
    begin = np.concatenate([[-np.inf], table.cov_time[:-1]])
    begin[table.cov_ptr[:-1]] = -np.inf
    last = np.full(table.n_subjects, -np.inf)
    np.maximum.at(last, table.ob_subject, table.ob_time)
    return begin <= last[owner]


def _used_parameters(form: LatentForm, table: EventTable) -> np.ndarray:
    """(N, P) bool: the parameter moves amounts, or a prediction of the subject reads it."""
    moving = {name for t in form.dosing for name in (t.bioavailability, t.lag) if name}
    moving |= {*form.model_times}
    for function in (form.rhs, form.initial):
        moving |= function.graph.inputs_of(function.output_nodes)
    used = np.tile([name in moving for name in form.parameters], (table.n_subjects, 1))
    items = {name: table.ob_data[:, j] for j, name in enumerate(form.record_items)}
    read = influence(form.output, items, form.parameters, table.n_obs_total)
    output = np.searchsorted(form.observed, table.ob_cmt) if form.n_compartments else np.zeros(table.n_obs_total, int)
    np.logical_or.at(used, table.ob_subject, read[np.arange(table.n_obs_total), output])
    return used | _modelled_infusions(form, table)


def _modelled_infusions(form: LatentForm, table: EventTable) -> np.ndarray:
    """(N, P) bool: the duration or rate of an infusion the subject gets."""
    used = np.zeros((table.n_subjects, len(form.parameters)), dtype=bool)
    subject = np.repeat(np.arange(table.n_subjects), np.diff(table.ev_ptr))
    for number, target in enumerate(form.dosing, 1):
        for name, stated in ((target.duration, -2), (target.rate, -1)):
            if name:
                own = (table.ev_cmt == number) & (table.ev_rate == stated)
                used[subject[own], form.parameters.index(name)] = True
    return used
