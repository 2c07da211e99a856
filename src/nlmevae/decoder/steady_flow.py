"""The model's equations as a flow: amounts carried on for some time, from any amounts, with a constant infusion.

Along with the amounts go the columns of V = d amounts / d amounts at the start, V' = J V, as amounts of their own: they
are what Newton's method needs, and the step control sees to their accuracy. (Sensitivities have no share in it: where
amounts rest, as near a steady state, steps would grow beyond what the equations of the sensitivities can bear.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from nlmevae.codegen.graph import Function
from nlmevae.codegen.latent_form import DosingTarget, LatentForm
from nlmevae.data.events import EventKind, EventTable
from nlmevae.decoder.base import Decoder

#: Inputs of the flow besides the model's own; no name of a program looks like these.
_SOURCE, _SPAN = "SOURCE()", "SPAN()"

MakeDecoder = Callable[[LatentForm, EventTable], Decoder]


class Flow:
    """Of the steady-state events of a table, with the covariates of their records.

    Args:
        events (E,): rows of the table's events; covariates (E, n_cov).
        make: the decoder that integrates; its tolerances are those of the flow.
    """

    def __init__(
        self, form: LatentForm, table: EventTable, events: np.ndarray, covariates: np.ndarray, make: MakeDecoder
    ) -> None:
        self._n, self._n_inputs = form.n_compartments, form.n_inputs
        n, m = self._n, self._n * (self._n + 1)
        self._amounts = make(flow_form(form, observed=m), flow_table(form, table, events, covariates, observed=m))
        self._slopes = make(flow_form(form, observed=n), flow_table(form, table, events, covariates, observed=n))

    def close(self) -> None:
        self._amounts.close()
        self._slopes.close()

    def carry(self, inputs: np.ndarray, event: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Amounts (P, n) at the end and V (P, n, n); NaN where they cannot be computed.

        Args:
            inputs (P, n_inputs + n + 2): inputs of the model, amounts at the start, rate of the infusion, time.
            event (P,): index of the event.
        """
        found = self._amounts.predict(inputs, event).prediction.reshape(len(inputs), self._n + 1, self._n)
        return found[:, 0], found[:, 1:].transpose(0, 2, 1)

    def slopes(self, inputs: np.ndarray, event: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives of the amounts by the model's inputs (P, n, n_inputs), and by rate and time (P, n, 2)."""
        jacobian = self._slopes.linearise(inputs, event).jacobian.reshape(len(inputs), self._n, -1)
        return jacobian[:, :, : self._n_inputs], jacobian[:, :, -2:]


def _into(n: int) -> tuple[str, ...]:
    return tuple(f"INTO({c + 1})" for c in range(n))


def flow_form(form: LatentForm, *, observed: int) -> LatentForm:
    """The model from time 0 to 1 with more inputs: amounts at the start START(c), the rate SOURCE() of an infusion into
    the compartment with INTO(c) = 1, and the time SPAN() that 1 stands for.

    Compartments are those of the model, then V column by column; the first `observed` of them are observed.
    """
    graph, n = form.individual.graph, form.n_compartments
    starts, into = tuple(f"START({c + 1})" for c in range(n)), _into(n)
    more = (*starts, _SOURCE, _SPAN)
    structural, covariates = (*form.structural, *more), (*form.covariates, *into)
    parameters = (*form.parameters, *more, *into)
    amounts = tuple(f"A({c + 1})" for c in range(n * (n + 1)))
    latents = form.input_names[: form.n_latents]
    individual = (*form.individual.outputs, *((name, graph.input(name)) for name in (*more, *into)))
    first = [graph.input(name) for name in starts]
    first += [graph.constant(1.0 if i == j else 0.0) for j in range(n) for i in range(n)]

    def function(name: str, inputs: tuple[str, ...], names: tuple[str, ...], nodes: list[int]) -> Function:
        return Function(name=name, graph=graph, inputs=inputs, outputs=tuple(zip(names, nodes, strict=True)))

    moving = ("T", *amounts, *parameters)
    return replace(
        form,
        structural=structural,
        covariates=covariates,
        record_items=(),
        parameters=parameters,
        n_compartments=len(amounts),
        observed=tuple(range(1, observed + 1)),
        linear=None,
        dosing=tuple(DosingTarget(compartment=c + 1) for c in range(len(amounts))),
        individual=replace(form.individual, inputs=(*latents, *structural, *covariates), outputs=individual),
        initial=function("initial", parameters, amounts, first),
        rhs=function("rhs", moving, tuple(f"DADT({c + 1})" for c in range(len(amounts))), _equations(form, amounts)),
        output=function(
            "output",
            moving,
            tuple(f"Y({c + 1})" for c in range(observed)),
            [graph.input(name) for name in amounts[:observed]],
        ),
    )


def _equations(form: LatentForm, amounts: tuple[str, ...]) -> list[int]:
    graph, n, nodes = form.individual.graph, form.n_compartments, form.rhs.output_nodes
    span, source = graph.input(_SPAN), graph.input(_SOURCE)
    slopes = [graph.add(node, graph.mul(source, graph.input(name))) for node, name in zip(nodes, _into(n), strict=True)]
    for j in range(n):
        column = amounts[n * (j + 1) : n * (j + 2)]
        seeds = {graph.input(a): graph.input(v) for a, v in zip(amounts[:n], column, strict=True)}
        slopes += graph.tangents(nodes, seeds)
    return [graph.mul(span, slope) for slope in slopes]


def flow_table(
    form: LatentForm, table: EventTable, events: np.ndarray, covariates: np.ndarray, *, observed: int
) -> EventTable:
    """One subject per event, the first `observed` compartments observed at time 1."""
    n, count = form.n_compartments, len(events)
    compartment = form.dosed_states(table.ev_cmt[events]) + 1
    each = np.arange(count + 1, dtype=np.int32)
    once = np.ones(count)
    return EventTable(
        # a dose that nothing sees any more: absolute tolerances follow the size of the doses
        ev_ptr=each, ev_time=2.0 * once, ev_kind=np.full(count, EventKind.BOLUS, dtype=np.int8),
        ev_cmt=compartment.astype(np.int16), ev_amt=np.maximum(table.ev_amt, table.ev_rate).clip(min=0.0)[events],
        ev_rate=0.0 * once, ev_ii=0.0 * once, ev_order=np.full(count, observed, dtype=np.int32),
        ob_ptr=observed * each, ob_time=np.ones(observed * count), ob_value=np.zeros(observed * count),
        ob_cmt=np.tile(np.arange(1, observed + 1, dtype=np.int16), count),
        ob_row=np.arange(observed * count, dtype=np.int32),
        ob_order=np.tile(np.arange(observed, dtype=np.int32), count), start_time=0.0 * once,
        covariate_names=(*form.covariates, *_into(n)), cov_ptr=each, cov_time=once,
        cov_order=np.full(count, observed, dtype=np.int32), cov=np.hstack([covariates, np.eye(n)[compartment - 1]]),
        record_names=(), ob_data=np.zeros((observed * count, 0)), subject_labels=tuple(str(e) for e in range(count)),
    )  # fmt: skip
