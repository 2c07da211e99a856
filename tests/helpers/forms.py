"""Latent forms and event tables written by hand, independent of the parser and of the symbolic builder."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from nlmevae.codegen.graph import Function, Graph
from nlmevae.codegen.latent_form import DosingTarget, Latent, LatentForm
from nlmevae.codegen.linear_equations import linear_equations
from nlmevae.data.events import EventKind, EventTable
from nlmevae.ir import Transform


class Node:
    """A graph node with arithmetic, so that test models read like formulas."""

    def __init__(self, graph: Graph, index: int) -> None:
        self.graph, self.index = graph, index

    def _apply(self, op: str, *others: Node | float) -> Node:
        nodes = [o.index if isinstance(o, Node) else self.graph.constant(o) for o in others]
        return Node(self.graph, self.graph.apply(op, *nodes))

    def __add__(self, other: Node | float) -> Node:
        return self._apply("add", self, other)

    def __radd__(self, other: float) -> Node:
        return self._apply("add", other, self)

    def __sub__(self, other: Node | float) -> Node:
        return self._apply("sub", self, other)

    def __rsub__(self, other: float) -> Node:
        return self._apply("sub", other, self)

    def __mul__(self, other: Node | float) -> Node:
        return self._apply("mul", self, other)

    def __rmul__(self, other: float) -> Node:
        return self._apply("mul", other, self)

    def __truediv__(self, other: Node | float) -> Node:
        return self._apply("div", self, other)

    def __rtruediv__(self, other: float) -> Node:
        return self._apply("div", other, self)

    def __pow__(self, other: Node | float) -> Node:
        return self._apply("pow", self, other)

    def __neg__(self) -> Node:
        return self._apply("neg", self)

    def __lt__(self, other: Node | float) -> Node:
        return self._apply("lt", self, other)


def op(name: str, *args: Node | float) -> Node:
    """Any other graph operation, e.g. op("exp", x)."""
    first = next(a for a in args if isinstance(a, Node))
    return first._apply(name, *args)


def make_form(
    *,
    latents: Sequence[str],
    parameters: Sequence[str],
    individual: Callable[[dict[str, Node]], dict[str, Node | float]],
    output: Callable[[dict[str, Node]], list[Node]],
    rhs: Callable[[dict[str, Node]], list[Node | float]] | None = None,
    initial: Callable[[dict[str, Node]], list[Node | float]] | None = None,
    n_compartments: int = 0,
    observed: Sequence[int] | None = None,
    structural: Sequence[str] = (),
    covariates: Sequence[str] = (),
    record_items: Sequence[str] = (),
    dosing: Sequence[DosingTarget] | None = None,
) -> LatentForm:
    """Each callable gets its inputs as nodes by name; amounts are A1, A2, ... there."""
    graph = Graph()
    amounts = {f"A{i + 1}": f"A({i + 1})" for i in range(n_compartments)}

    def nodes(names: Sequence[str]) -> dict[str, Node]:
        spelled = {"".join(c for c in n if c not in "()"): n for n in names}
        return {short: Node(graph, graph.input(name)) for short, name in spelled.items()}

    def function(name: str, inputs: Sequence[str], results: dict[str, Node | float]) -> Function:
        outputs = tuple((o, v.index if isinstance(v, Node) else graph.constant(v)) for o, v in results.items())
        return Function(name=name, graph=graph, inputs=tuple(inputs), outputs=outputs)

    x = [*(f"Z({k + 1})" for k in range(len(latents))), *structural]
    n = n_compartments
    inner = [*x, *covariates]
    values = individual(nodes(inner))
    start = initial(nodes(parameters)) if initial else [0.0] * n
    moving = ["T", *amounts.values(), *parameters]
    slopes = function("rhs", moving, {f"DADT({i + 1})": v for i, v in enumerate(rhs(nodes(moving)) if rhs else [])})
    seen = ["T", *amounts.values(), *parameters, *(r for r in record_items if r not in parameters)]
    predicted = output(nodes(seen))
    return LatentForm(
        model=None,  # type: ignore[arg-type]
        latents=tuple(
            Latent(name=p, eta=f"ETA({k + 1})", transform=Transform(kind="log")) for k, p in enumerate(latents)
        ),
        structural=tuple(structural),
        covariates=tuple(covariates),
        record_items=tuple(record_items),
        parameters=tuple(parameters),
        n_compartments=n,
        observed=tuple(observed or ([1] if n else [0])),
        linear=linear_equations(slopes, n) if rhs else None,
        dosing=tuple(dosing or (DosingTarget(compartment=i + 1) for i in range(n))),
        individual=function("individual", inner, {p: values[p] for p in parameters}),
        initial=function("initial", parameters, {f"A({i + 1})": v for i, v in enumerate(start)}),
        rhs=slopes,
        output=function("output", seen, {f"Y({i + 1})": v for i, v in enumerate(predicted)}),
        mu=function("mu", (), {}),
    )


def make_table(
    subjects: Sequence[dict], *, covariate_names: Sequence[str] = (), record_names: Sequence[str] = ()
) -> EventTable:
    """An event table from one dict per subject.

    events: [(time, kind, compartment, amount, rate)], observations: [(time, compartment)] or
    [(time, compartment, record items)], covariates: [(time, values)] or
    [(time, values, order)], start: first time (default 0).
    Events precede observations at equal times, unless the subject has observe_first=True.
    """
    ev, ob, cov = [], [], []
    ev_ptr, ob_ptr, cov_ptr = [0], [0], [0]
    for subject in subjects:
        events = sorted(subject.get("events", []), key=lambda e: e[0])
        observations = sorted(subject["observations"], key=lambda o: o[0])
        first = (len(observations), 0) if subject.get("observe_first") else (0, len(events))
        for rank, (time, kind, compartment, amount, rate) in enumerate(events):
            ev.append((time, int(kind), compartment, amount, rate, first[0] + rank))
        for rank, (time, compartment, *items) in enumerate(observations):
            ob.append((time, compartment, first[1] + rank, items[0] if items else ()))
        cov.extend(subject.get("covariates", [(0.0, ())]))
        ev_ptr.append(len(ev))
        ob_ptr.append(len(ob))
        cov_ptr.append(len(cov))
    column = [np.array([e[j] for e in ev], dtype=float) for j in range(6)]
    m = len(ob)
    return EventTable(
        ev_ptr=np.array(ev_ptr, dtype=np.int32),
        ev_time=column[0],
        ev_kind=column[1].astype(np.int8),
        ev_cmt=column[2].astype(np.int16),
        ev_amt=column[3],
        ev_rate=column[4],
        ev_ii=np.zeros(len(ev)),
        ev_order=column[5].astype(np.int32),
        ob_ptr=np.array(ob_ptr, dtype=np.int32),
        ob_time=np.array([o[0] for o in ob], dtype=float),
        ob_value=np.zeros(m),
        ob_cmt=np.array([o[1] for o in ob], dtype=np.int16),
        ob_row=np.arange(m, dtype=np.int32),
        ob_order=np.array([o[2] for o in ob], dtype=np.int32),
        start_time=np.array([s.get("start", 0.0) for s in subjects], dtype=float),
        covariate_names=tuple(covariate_names),
        cov_ptr=np.array(cov_ptr, dtype=np.int32),
        cov_time=np.array([c[0] for c in cov], dtype=float),
        cov_order=np.array([c[2] if len(c) > 2 else 2**30 for c in cov], dtype=np.int32),
        cov=np.array([c[1] for c in cov], dtype=float).reshape(len(cov), len(covariate_names)),
        record_names=tuple(record_names),
        ob_data=np.array([o[3] for o in ob], dtype=float).reshape(m, len(record_names)),
        subject_labels=tuple(str(i + 1) for i in range(len(subjects))),
    )


def bolus(time: float, amount: float, compartment: int = 1) -> tuple:
    return (time, EventKind.BOLUS, compartment, amount, 0.0)


def infusion(time: float, amount: float, rate: float, compartment: int = 1) -> tuple:
    return (time, EventKind.INFUSION, compartment, amount, rate)


def reset(time: float) -> tuple:
    return (time, EventKind.RESET, 0, 0.0, 0.0)
