"""Other spellings of a model: a file whose first line is ``; SAME AS name`` states what name.ctl states.

Records are compared as the model holds them, code by the values it gives at random points.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from nlmevae.frontends.nonmem.read import lower_control_stream
from nlmevae.frontends.nonmem.records import read_source
from nlmevae.ir import Model, names_assigned
from nlmevae.ir.evaluate import run
from tests.helpers.control_streams import ACCEPTED, accepted

SAME = re.compile(r"; SAME AS (\w+)\s")
SPELLINGS = {path.stem: found[1] for path in ACCEPTED if (found := SAME.match(path.read_text(encoding="latin-1")))}
POINTS = 5


@pytest.mark.parametrize("name", SPELLINGS)
def test_another_spelling_is_the_same_model(name):
    model, plain = accepted(name), accepted(SPELLINGS[name])
    assert stated(model) == stated(plain)
    np.testing.assert_allclose(matrices(model), matrices(plain), rtol=1e-12)
    found, expected = values(model), values(plain)
    for variable, value in expected.items():
        np.testing.assert_allclose(found[variable], value, rtol=1e-12, err_msg=variable)


def stated(model: Model) -> dict[str, object]:
    """Everything but code, labels, the words of options and the title; numbers of blocks are compared apart."""
    labels = [replace(t, label="") for t in model.thetas]
    blocks = [(b.names, b.fixed, b.same_as) for b in (*single(model.omega), *single(model.sigma))]
    steps = [
        (step.evaluates_only, step.interaction, METHODS.get(step.method, step.method)) for step in model.estimation
    ]
    tables = [replace(t, unread=()) for t in model.tables]
    return {
        "data": replace(model.data, ignore=frozenset(model.data.ignore)),
        "thetas": labels,
        "blocks": blocks,
        "structural": replace(model.structural, compartments=named_by_roles(model)),
        "steps": steps,
        "covariance": model.covariance,
        "tables": tables,
    }


METHODS = {"COND": "1", "CONDITIONAL": "1"}


def single(blocks):
    """A diagonal record of several effects as records of one effect each."""
    for block in blocks:
        matrix = np.array(block.matrix)
        if block.same_as is None and not (matrix - np.diag(np.diag(matrix))).any():
            for k, name in enumerate(block.names):
                yield replace(block, names=(name,), matrix=((matrix[k, k],),), labels=())
        else:
            yield block


def matrices(model: Model) -> np.ndarray:
    return np.concatenate([np.ravel(b.matrix) for b in (*single(model.omega), *single(model.sigma))])


def named_by_roles(model: Model):
    return tuple(replace(c, name=c.name.upper()) for c in model.structural.compartments)


def values(model: Model) -> dict[str, np.ndarray]:
    """All variables of $PK, $DES and $ERROR (or $PRED) where data items, effects and amounts are random numbers."""
    rng = np.random.default_rng(7)
    names = [c.name for c in model.data.columns]
    env: dict[str, object] = {name: rng.integers(0, 3, POINTS) + 0.0 if name in ("SEX", "GRP", "CMT") else
                              rng.uniform(1, 60, POINTS) for name in names}  # fmt: skip
    env |= {t.name: np.full(POINTS, t.init) for t in model.thetas}
    env |= {name: rng.normal(0, 0.3, POINTS) for name in (*model.etas, *model.epsilons)}
    pk = run(model.program.pk, env)
    scale = next((pk[c.scale] for c in model.structural.compartments if c.scale), 1.0)
    amounts = {f"A({c.number})": rng.uniform(1, 9, POINTS) for c in model.structural.compartments}
    observed = amounts.get(f"A({model.structural.default_observation})", np.ones(POINTS))
    env |= pk | amounts | {"T": rng.uniform(0, 9, POINTS), "F": observed / scale}
    des = run(model.program.des, env)
    error = run(model.program.error, env | pk)
    assigned = (
        names_assigned(model.program.pk) | names_assigned(model.program.des) | names_assigned(model.program.error)
    )
    return {name: np.asarray({**pk, **des, **error}[name]) for name in sorted(assigned)}


def test_a_spelling_is_compared_with_a_model_that_differs():
    assert stated(accepted("base_iv")) != stated(accepted("base_oral"))
    model = accepted("base_iv")
    text = model.source.text.replace("**0.75", "**0.7")
    other = lower_control_stream(replace(read_source(model.source.path), text=text))
    assert not np.allclose(values(other)["CL"], values(model)["CL"])


def test_there_are_many_spellings():
    assert len(ACCEPTED) >= 200
