"""Supports under rules, and the known solution that searches start from."""

import numpy as np
import pytest

from nlmevae.errors import SettingsError
from nlmevae.selection.incumbent import incumbent, is_allowed, smallest_support
from nlmevae.selection.normal_form import refit
from nlmevae.selection.program import Rules
from tests.helpers.selection_programs import RULES, obeys, random_program, ruled_program


def units(support):
    return np.flatnonzero(support).tolist()


def test_forced_units_bring_what_they_require():
    program = random_program(0, n_columns=5, rules=Rules(forced=(2,), requires=((2, 3), (3, 4))))
    assert units(smallest_support(program)) == [2, 3, 4]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (Rules(forced=(1,), banned=(1,)), "unit 1 is forbidden"),
        (Rules(forced=(1,), banned=(2,), requires=((1, 2),)), "unit 2 is forbidden"),
        (Rules(forced=(0, 2), exclusive=((0, 1, 2),)), "units 0 and 2 exclude each other"),
        (Rules(forced=(0, 1), at_most=1), "2 units are forced or required and at most 1"),
    ],
)
def test_rules_that_contradict_each_other_are_named(rules, said):
    with pytest.raises(SettingsError, match=said):
        smallest_support(random_program(0, n_columns=3, rules=rules))


@pytest.mark.parametrize("kind", RULES)
def test_allowed_is_what_the_rules_say(kind):
    program = ruled_program(kind, 0)
    rng = np.random.default_rng(0)
    supports = rng.random((60, program.n_units)) < 0.4
    assert [is_allowed(program, s) for s in supports] == [obeys(program.rules, s) for s in supports]


@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("seed", range(3))
def test_no_single_change_improves_the_known_solution(kind, seed):
    program = ruled_program(kind, seed)
    support, objective = incumbent(program)
    assert obeys(program.rules, support)
    assert objective == refit(program, support)[1]
    for u in range(program.n_units):
        changed = support.copy()
        changed[u] = not changed[u]
        assert not obeys(program.rules, changed) or refit(program, changed)[1] >= objective - 1e-6


def test_a_start_that_breaks_a_rule_is_ignored():
    program = random_program(0, n_columns=4, rules=Rules(banned=(0,)))
    start = np.array([True, True, False, False])
    assert obeys(program.rules, incumbent(program, start)[0])
