"""Individual parameters on their natural scale, as functions of the latents."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nlmevae.codegen.graph import Function
from nlmevae.codegen.latent_form import LatentForm
from nlmevae.codegen.print_numpy import BatchFunction, link_numpy
from nlmevae.data.events import EventTable
from nlmevae.estimation.problem import Problem
from nlmevae.ir import Transform


@dataclass(frozen=True, slots=True, kw_only=True)
class IndividualParameters:
    """psi_i of every subject: first the mu-referenced parameters in ETA order, then the other values the model
    computes from random effects, as far as they are constant in every subject.

    `columns`: number of the latent of each mu-referenced parameter.
    """

    names: tuple[str, ...]
    columns: tuple[int, ...]
    transforms: tuple[Transform, ...]
    _derived: BatchFunction | None
    _structural: tuple[int, ...]
    _covariates: np.ndarray

    @classmethod
    def of(cls, problem: Problem) -> IndividualParameters:
        form, table = problem.form, problem.table
        # an ETA that belongs to no parameter is a latent of its own; what it acts on is among the derived values
        named = [(k, latent) for k, latent in enumerate(form.latents) if latent.name != latent.eta]
        own = [(k, latent) for k, latent in named if not latent.changing]
        made = cls(
            names=tuple(latent.name for _, latent in own),
            columns=tuple(k for k, _ in own),
            transforms=tuple(latent.transform for _, latent in own),
            _derived=None,
            _structural=tuple(int(i) for i in problem.structural_index),
            _covariates=table.cov[table.cov_ptr[:-1]],
        )
        changing = changing_covariates(table) | {*form.switches}
        outputs = _derived(form.individual, {latent.name for _, latent in named}, changing)
        if not outputs:
            return made
        whole = made._with(form, outputs)
        return made._with(form, whole._without_copies(problem, outputs))

    def _with(self, form: LatentForm, outputs: list[tuple[str, int]]) -> IndividualParameters:
        names = (*self.names, *(name for name, _ in outputs))
        function = _restricted(form.individual, outputs, form.switches)
        return replace(self, names=names, _derived=link_numpy(function) if outputs else None)

    def _without_copies(self, problem: Problem, outputs: list[tuple[str, int]]) -> list[tuple[str, int]]:
        """The outputs that equal no earlier value (S2 = V does), judged at random individual parameters."""
        z = (
            problem.joint(problem.initial).mean
            + np.random.default_rng(0).normal(size=(3, problem.n_subjects, problem.n_latents)) / 8
        )
        values = self.values(z, problem.initial.thetas, np.arange(problem.n_subjects))
        first = len(self.names) - len(outputs)
        equal = [
            any(np.array_equal(values[..., first + j], values[..., k], equal_nan=True) for k in range(first + j))
            for j in range(len(outputs))
        ]
        return [output for output, copy in zip(outputs, equal, strict=True) if not copy]

    def values(self, z: np.ndarray, thetas: np.ndarray, subjects: np.ndarray) -> np.ndarray:
        """(..., n, len(names)) for z (..., n, d) of `subjects` (n,), at all THETAs on their natural scale."""
        own = [to_natural(t, z[..., k]) for k, t in zip(self.columns, self.transforms, strict=True)]
        out = np.stack(own, axis=-1) if own else np.empty((*z.shape[:-1], 0))
        if self._derived is None:
            return out
        covariates = np.broadcast_to(self._covariates[subjects], (*z.shape[:-1], self._covariates.shape[1]))
        columns = [z[..., k].ravel() for k in range(z.shape[-1])]
        columns += [float(thetas[i]) for i in self._structural]
        columns += [covariates[..., j].ravel() for j in range(covariates.shape[-1])]
        values, _ = self._derived(*columns)
        return np.concatenate([out, values.reshape(*z.shape[:-1], values.shape[1])], axis=-1)


def to_natural(transform: Transform, z: np.ndarray) -> np.ndarray:
    """psi = h^-1(z)."""
    with np.errstate(over="ignore"):
        if transform.kind == "log":
            return transform.lower + np.exp(z)
        if transform.kind == "logit":
            return transform.lower + (transform.upper - transform.lower) / (1.0 + np.exp(-z))
    return z


def changing_covariates(table: EventTable) -> set[str]:
    """Those that change within a subject."""
    first = np.repeat(table.cov[table.cov_ptr[:-1]], np.diff(table.cov_ptr), axis=0)
    return {name for j, name in enumerate(table.covariate_names) if not np.array_equal(first[:, j], table.cov[:, j])}


def _derived(individual: Function, own: set[str], changing: set[str]) -> list[tuple[str, int]]:
    """Outputs beside the parameters `own` that depend on a random effect and on nothing that changes."""
    graph, found = individual.graph, []
    for name, node in individual.outputs:
        reads = graph.inputs_of([node])
        if name not in own and any(i.startswith("Z(") for i in reads) and not reads & changing:
            found.append((name, node))
    return found


def _restricted(individual: Function, outputs: list[tuple[str, int]], switches: tuple[str, ...]) -> Function:
    """The outputs, none of which depends on a model time."""
    inputs = tuple(name for name in individual.inputs if name not in switches)
    return Function(name="derived", graph=individual.graph, inputs=inputs, outputs=tuple(outputs))
