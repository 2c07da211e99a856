"""The selection step as ONE Pyomo model, the same for every outside solver and for the file a user can read.

    minimise    sum_i e_i^2 + sum_u cost_u z_u
    subject to  e_i + sum_j R_ij b_j = c_i
                low_j z_u <= b_j <= high_j z_u            for every column j of unit u

in the units of `normal_form`. The big-M of each column comes from the data: a support that contains unit u and is no
worse than a known one of value `upper` has (b_j - ols_j)^2 <= (upper - cost_u) (G^-1)_jj, because the residual sum
of squares grows at least by (b_j - ols_j)^2 / (G^-1)_jj over that of all columns together. A constant M would cut
off true effects of columns on a small scale, or let coefficients leak past z = 0 through the solver's tolerances.
Where the Gram matrix is singular no such M exists: there b_j and 1 - z_u form a special ordered set of type 1.

Pyomo takes more than a second to import: only functions import it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from nlmevae.errors import OutputError
from nlmevae.selection.incumbent import incumbent
from nlmevae.selection.normal_form import NormalForm, normalise
from nlmevae.selection.program import Program

if TYPE_CHECKING:
    from pyomo.environ import ConcreteModel

#: Widening of the intervals against rounding, relative to their half width and absolute in unit costs.
_MARGIN = 1e-6

Residuals = Literal["variables", "expanded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Formulation:
    """model: the Pyomo model, with z indexed by the units that are not banned; form: its units; support, objective:
    the known solution that the big-M values rest on (objective in the program's units)."""

    model: ConcreteModel
    form: NormalForm
    support: np.ndarray
    objective: float


def formulate(program: Program, *, warm: np.ndarray | None = None, residuals: Residuals = "variables") -> Formulation:
    """Build the model; its binaries start at the known solution.

    Args:
        warm: (n_units,) bool, where the search for a known solution starts.
        residuals: "variables" keeps e_i as variables (faster in SCIP); "expanded" writes the objective as
            b'Gb - 2 q'b + c'c, a third fewer variables (for size-limited licences).

    Raises:
        SettingsError: the rules contradict each other, or the program has no minimum.
    """
    import pyomo.environ as pyo

    form = normalise(program)
    support, objective = incumbent(program, warm)
    model = pyo.ConcreteModel("selection")
    banned = set(program.rules.banned)
    allowed = [u for u in range(program.n_units) if u not in banned]
    model.z = pyo.Var(allowed, domain=pyo.Binary)
    for u in allowed:
        model.z[u].value = int(support[u])
        if u in program.rules.forced:
            model.z[u].setlb(1)
    model.b = pyo.Var(range(len(form.columns)))
    cost = pyo.quicksum(float(form.cost[u]) * model.z[u] for u in allowed)
    _add_objective(model, form, cost, residuals)
    _add_entering(model, form, form.value(objective), _least_cost(program, form))
    _add_rules(model, program, allowed)
    return Formulation(model=model, form=form, support=support, objective=objective)


def n_variables(program: Program, residuals: Residuals) -> int:
    """How many variables `formulate` makes, for size-limited licences."""
    form = normalise(program)
    allowed = program.n_units - len(set(program.rules.banned))
    extra = 0 if form.nonsingular else allowed
    return allowed + extra + len(form.columns) + (len(form.target) if residuals == "variables" else 0)


def write_lp(program: Program, path: str | Path) -> Path:
    """Write the model in LP format, with the way back to the program's own units in its first lines.

    Raises OutputError if the file cannot be written.
    """
    path = Path(path)
    formulation = formulate(program)
    form = formulation.form
    head = [
        f"objective of the selection step = {form.unit_cost!r} * (value of this file's objective) + {form.offset!r}",
        "b(j), z(u) are column and unit numbers; the coefficient of the program is b(j) times:",
        *(
            f"  b({j}): {float(s)!r} (column {c})"
            for j, (s, c) in enumerate(zip(form.scale, form.columns, strict=True))
        ),
    ]
    try:
        formulation.model.write(str(path), io_options={"symbolic_solver_labels": True})
        body = path.read_text(encoding="utf-8")
        path.write_text("".join(f"\\ {line}\n" for line in head) + body, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}.", hint="name a folder that exists") from error
    return path


def intervals(form: NormalForm, upper: float, least_cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the coefficient of each usable column lies if its unit is in, for every solution of value <= upper.

    Args:
        upper: value of a known solution, unit costs.
        least_cost: (n_units,) what every support with that unit pays at least.

    Returns:
        low, high (n,); low > high where the unit cannot be in.
    """
    inverse = np.linalg.inv(form.factor)
    ols, spread = inverse @ form.target, np.sum(inverse**2, axis=1)
    paid = np.zeros(len(ols))
    for u, unit in enumerate(form.units):
        paid[list(unit)] = least_cost[u]
    slack = upper - paid + _MARGIN
    width = np.where(slack >= 0, np.sqrt(np.maximum(slack, 0.0) * spread) * (1 + _MARGIN) + _MARGIN, -1.0)
    return ols - width, ols + width


def _least_cost(program: Program, form: NormalForm) -> np.ndarray:
    forced = np.zeros(program.n_units, dtype=bool)
    forced[list(program.rules.forced)] = True
    return np.where(forced, 0.0, form.cost) + form.cost[forced].sum()


def _add_objective(model: ConcreteModel, form: NormalForm, cost: object, residuals: Residuals) -> None:
    import pyomo.environ as pyo

    n = len(form.columns)
    if residuals == "expanded":
        gram, linear = form.gram, form.linear
        square = pyo.quicksum(
            float(gram[i, j] * (1 if i == j else 2)) * model.b[i] * model.b[j] for i in range(n) for j in range(i, n)
        )
        square += pyo.quicksum(-2.0 * float(linear[j]) * model.b[j] for j in range(n))
        model.objective = pyo.Objective(expr=square + float(form.target @ form.target) + cost)
        return
    model.e = pyo.Var(range(len(form.target)))

    def residual(m: ConcreteModel, i: int) -> object:
        row = form.factor[i]
        used = np.flatnonzero(row)
        return m.e[i] + pyo.quicksum(float(row[j]) * m.b[int(j)] for j in used) == float(form.target[i])

    model.residual = pyo.Constraint(range(len(form.target)), rule=residual)
    model.objective = pyo.Objective(expr=pyo.quicksum(model.e[i] * model.e[i] for i in model.e) + cost)


def _add_entering(model: ConcreteModel, form: NormalForm, upper: float, least_cost: np.ndarray) -> None:
    import pyomo.environ as pyo

    owner = {j: u for u, unit in enumerate(form.units) for j in unit}
    if not form.nonsingular:
        model.out = pyo.Var(list(model.z), bounds=(0, 1))
        model.is_out = pyo.Constraint(list(model.z), rule=lambda m, u: m.out[u] + m.z[u] == 1)
        model.entering = pyo.SOSConstraint(list(owner), rule=lambda m, j: ([m.b[j], m.out[owner[j]]], [1, 2]), sos=1)
        return
    low, high = intervals(form, upper, least_cost)
    model.at_least = pyo.ConstraintList()
    model.no_more = pyo.ConstraintList()
    for j, u in owner.items():
        if low[j] > high[j]:
            model.z[u].setub(0)
            model.z[u].value = 0
            low[j] = high[j] = 0.0
        model.at_least.add(model.b[j] - float(low[j]) * model.z[u] >= 0)
        model.no_more.add(model.b[j] - float(high[j]) * model.z[u] <= 0)


def _add_rules(model: ConcreteModel, program: Program, allowed: list[int]) -> None:
    import pyomo.environ as pyo

    rules = program.rules
    model.rules = pyo.ConstraintList()
    for group in rules.exclusive:
        members = [u for u in group if u in allowed]
        if len(members) > 1:
            model.rules.add(pyo.quicksum(model.z[u] for u in members) <= 1)
    for a, b in rules.requires:
        if a in allowed and b in allowed:
            model.rules.add(model.z[a] <= model.z[b])
        elif a in allowed:
            model.rules.add(model.z[a] <= 0)
    if rules.at_most is not None and allowed:
        model.rules.add(pyo.quicksum(model.z[u] for u in allowed) <= rules.at_most)
