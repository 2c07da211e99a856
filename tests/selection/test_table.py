"""The table against enumeration: its gains, its rules and its ties."""

from dataclasses import replace

import numpy as np
import pytest

from nlmevae.selection.components import reduce
from nlmevae.selection.program import Rules
from nlmevae.selection.table import SubsetTable, best_support
from tests.helpers.enumeration import enumerate_supports
from tests.helpers.selection_programs import random_program

WIDE = ((0,), (1, 2), (3,), (4, 5, 6))


def tabulate(program, *, joined=False):
    (block,) = reduce(program, joined=joined).blocks
    return block, SubsetTable.of(block)


def as_units(program, block, supports):
    answer = np.zeros((len(supports), program.n_units), dtype=bool)
    answer[:, block.units] = supports
    return answer


@pytest.mark.parametrize(
    ("units", "exclusive"), [(None, ()), (WIDE, ()), (None, ((0, 3, 5), (1, 2))), (WIDE, ((1, 3),))]
)
def test_every_support_has_its_fit(units, exclusive):
    program = random_program(3, n_columns=7, units=units, rules=Rules(exclusive=exclusive))
    block, table = tabulate(program)
    supports, objectives = enumerate_supports(program)
    known = {s.tobytes(): o for s, o in zip(supports, objectives, strict=True)}
    found = as_units(program, block, table.supports)
    assert {s.tobytes() for s in found} == set(known)
    value = program.constant + found @ program.cost - table.gains(program.linear[block.columns] * block.scale)
    np.testing.assert_allclose(value, [known[s.tobytes()] for s in found], rtol=1e-10)


def test_several_right_hand_sides_at_once_are_the_same_as_one_by_one():
    program = random_program(5, n_columns=6, units=((0, 1), (2,), (3,), (4, 5)))
    block, table = tabulate(program)
    many = np.random.default_rng(0).standard_normal((len(block.gram), 4))
    together = table.gains(many)
    for k in range(4):
        np.testing.assert_allclose(together[:, k], table.gains(many[:, k]), rtol=1e-12)


def test_supports_that_break_a_rule_cost_infinity():
    rules = Rules(requires=((0, 1),), at_most=3, exclusive=((1, 2), (2, 3)))
    program = random_program(1, n_columns=6, rules=rules)
    block, table = tabulate(program, joined=True)
    allowed = {s.tobytes() for s in enumerate_supports(program)[0]}
    finite = as_units(program, block, table.supports[np.isfinite(table.cost)])
    assert {s.tobytes() for s in finite} == allowed


def test_dependent_columns_add_nothing_and_no_nan():
    program = random_program(2, n_columns=4)
    dependent = program.gram[:, 0] * 2 - program.gram[:, 1]
    gram = np.block(
        [[program.gram, dependent[:, None]], [dependent[None], np.array([[2 * dependent[0] - dependent[1]]])]]
    )
    linear = np.append(program.linear, 2 * program.linear[0] - program.linear[1])
    larger = replace(
        program, gram=gram, linear=linear, units=(*program.units, (4,)), cost=np.append(program.cost, program.cost[0])
    )  # fmt: skip
    block, table = tabulate(larger)
    gains = table.gains(larger.linear[block.columns] * block.scale)
    assert np.isfinite(gains).all()
    dictionary = {s.tobytes(): g for s, g in zip(as_units(larger, block, table.supports), gains, strict=True)}
    assert dictionary[np.array([1, 1, 0, 0, 1], bool).tobytes()] == pytest.approx(
        dictionary[np.array([1, 1, 0, 0, 0], bool).tobytes()], rel=1e-9
    )


def test_ties_go_to_fewer_units_then_the_warm_support_then_unit_order():
    program = random_program(0, n_columns=3)
    _, table = tabulate(program)
    row = {s.tobytes(): i for i, s in enumerate(table.supports)}

    def at(*support):
        return row[np.array(support, bool).tobytes()]

    value = np.ones(8)
    value[[at(1, 1, 0), at(0, 1, 0), at(0, 0, 1)]] = 0.0
    assert best_support(value, table.supports, None, 1e-9)[0] == at(0, 1, 0)
    assert best_support(value, table.supports, np.array([0, 0, 1], bool), 1e-9)[0] == at(0, 0, 1)
    assert best_support(value, table.supports, np.array([1, 1, 0], bool), 1e-9)[0] == at(0, 1, 0)
    assert best_support(value, table.supports, None, 1e-9)[1] == 0.0
