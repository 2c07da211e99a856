"""Stepwise searches on tables of -2LL: every step against what the definitions say."""

import math
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import pytest
from scipy.stats import chi2

from nlmevae.selection.stepwise import Acceptance, Effects, changed, cossac, samba, scm


@dataclass(frozen=True)
class Model:
    support: tuple[bool, ...]
    minus_two_ll: float


class Table:
    """-2LL = 100 - gains of the effects that are in, and a bonus where two are together; counts what is fitted."""

    def __init__(self, gains, bonus=None, failing=()):
        self.gains, self.bonus, self.failing = gains, bonus or {}, failing
        self.asked = []

    def fit(self, support, parent):
        self.asked.append((support, None if parent is None else parent.support))
        value = 100.0 - sum(g for g, s in zip(self.gains, support, strict=True) if s)
        value -= sum(b for (u, v), b in self.bonus.items() if support[u] and support[v])
        return Model(support, math.nan if support in self.failing else value)


def free(n, **changes):
    return Effects(**{"size": (1,) * n, "forced": (False,) * n, **changes})


def test_scm_takes_the_smallest_p_value_at_every_step():
    table = Table((5.0, 12.0, 1.0))
    path = scm(table.fit, free(3))
    assert path.model.support == (False, True, False)  # 5.0 is significant forward at 0.05, not backward at 0.01
    forward = [(t.step, t.effect, t.chosen) for t in path.tests if not t.backward]
    assert forward == [
        (1, 0, False), (1, 1, True), (1, 2, False), (2, 0, True), (2, 2, False), (3, 2, False),
    ]  # fmt: skip
    backward = [(t.step, t.effect, t.chosen) for t in path.tests if t.backward]
    assert backward == [(4, 0, True), (4, 1, False), (5, 1, False)]
    test = path.tests[1]
    assert (test.drop, test.p_value) == (12.0, pytest.approx(chi2.sf(12.0, 1)))
    assert test.goal == pytest.approx(3.841458820694124)


def test_every_model_comes_from_its_parent():
    table = Table((5.0, 12.0, 1.0))
    scm(table.fit, free(3))
    assert table.asked[0] == ((False,) * 3, None)
    for support, parent in table.asked[1:]:
        assert sum(a != b for a, b in zip(support, parent, strict=True)) == 1


def test_p_values_count_coefficients():
    """Six units of -2LL are significant for one coefficient, not for three."""
    assert scm(Table((6.0,)).fit, free(1), direction="forward").model.support == (True,)
    assert scm(Table((6.0,)).fit, free(1, size=(3,)), direction="forward").model.support == (False,)


def test_an_effect_that_lost_its_worth_is_removed():
    table = Table((9.0, 20.0), bonus={(0, 1): -8.0})
    path = scm(table.fit, free(2), Acceptance(p_forward=0.5, p_backward=0.01))
    assert path.model.support == (False, True)
    assert path.supports[-2:] == ((False, True), (False, True))


def test_a_removal_that_lowers_the_likelihood_goes_first_and_has_no_p_value():
    path = scm(Table((-1.0, 3.0)).fit, free(2), direction="backward", start=(True, True))
    first = [t for t in path.tests if t.step == 1]
    assert [t.chosen for t in first] == [True, False]
    assert math.isnan(first[0].p_value)


def test_failed_runs_are_never_taken():
    path = scm(Table((50.0, 10.0), failing=((True, False), (True, True))).fit, free(2))
    assert path.model.support == (False, True)


def test_forced_effects_stay_and_forms_exclude_each_other():
    effects = free(3, forced=(True, False, False), exclusive=((1, 2),))
    path = scm(Table((0.0, 10.0, 11.0)).fit, effects)
    assert path.model.support == (True, False, True)
    assert all(t.effect != 0 for t in path.tests)
    assert all(not (s[1] and s[2]) for s in path.supports)


def test_scm_ends_where_no_single_change_counts():
    """Against the definition, on random tables with interactions."""
    rng = np.random.default_rng(5)
    for _ in range(30):
        table = Table(tuple(rng.exponential(5.0, 4)), bonus={(0, 1): rng.normal(0, 3), (2, 3): rng.normal(0, 3)})
        path = scm(table.fit, free(4))
        end = path.model
        for u in range(4):
            if end.support[u]:
                after = table.fit(changed(end.support, u), end)
                assert chi2.sf(after.minus_two_ll - end.minus_two_ll, 1) < 0.01


def test_scm_by_a_criterion_takes_what_lowers_it_most():
    """Not what lowers -2LL most: three coefficients for 9 units are charged 7.5, one for 6 units 2.5."""
    charges = Acceptance(penalty=(7.5, 2.5, 2.5))
    path = scm(Table((9.0, 6.0, 2.4)).fit, free(3, size=(3, 1, 1)), charges)
    assert path.supports == (
        (False, False, False), (False, True, False), (True, True, False), (True, True, False), (True, True, False),
    )  # fmt: skip
    assert [(t.effect, t.goal) for t in path.tests if t.chosen] == [(1, 2.5), (0, 7.5)]
    assert [(t.effect, t.goal, t.drop) for t in path.tests if t.backward] == [(0, -7.5, -9.0), (1, -2.5, -6.0)]


def test_scm_by_a_criterion_ends_where_no_single_change_lowers_it():
    """Against the definition, on random tables with interactions; no step raises the criterion."""
    rng = np.random.default_rng(6)
    charges = Acceptance(penalty=(2.5, 5.0, 2.5, 2.5))
    for _ in range(30):
        table = Table(tuple(rng.exponential(4.0, 4)), bonus={(0, 1): rng.normal(0, 3), (2, 3): rng.normal(0, 3)})

        def value(support, table=table):
            return table.fit(support, None).minus_two_ll + sum(np.array(charges.penalty)[list(support)])

        path = scm(table.fit, free(4, size=(1, 2, 1, 1)), charges)
        values = [value(s) for s in path.supports]
        assert all(b <= a for a, b in pairwise(values))
        for u in range(4):
            if path.model.support[u]:
                assert value(changed(path.model.support, u)) >= values[-1]


def test_cossac_fits_one_change_at_a_time_in_the_order_of_the_tests():
    table = Table((12.0, 1.0, 8.0, 30.0))
    p = np.array([0.02, 0.3, 0.001, 0.6])  # the last one is not even tried: its p-value is above 0.4
    path = cossac(table.fit, free(4), lambda model: np.where(model.support, 0.05, p), Acceptance(penalty=(2.5,) * 4))
    assert path.model.support == (True, False, True, False)
    assert [(t.backward, t.effect, t.chosen) for t in path.tests] == [
        (False, 2, True), (False, 0, True), (False, 1, False), (True, 0, False), (True, 2, False),
    ]  # fmt: skip


def test_cossac_does_not_question_what_is_clearly_correlated():
    path = cossac(Table((12.0,)).fit, free(1), lambda model: np.array([0.001]), Acceptance(penalty=(2.5,)))
    assert [t.backward for t in path.tests] == [False]


def test_cossac_by_p_values():
    acceptance = Acceptance(penalty=(2.5,), p_forward=0.1, p_backward=0.05)
    assert acceptance.goal(0, 1, backward=False) == pytest.approx(chi2.isf(0.1, 1))
    path = cossac(Table((3.0,)).fit, free(1), lambda model: np.array([0.02]), acceptance)
    assert path.model.support == (False,)  # 3.0 enters at 0.1 and leaves at 0.05
    assert [t.chosen for t in path.tests] == [True, True]


def test_samba_goes_on_until_a_choice_repeats_and_keeps_the_best():
    table = Table((10.0, 4.0))
    choices = {(False, False): (True, True), (True, True): (True, False), (True, False): (True, True)}
    path = samba(table.fit, free(2), lambda m: choices[m.support], lambda m: m.minus_two_ll + 5.0 * sum(m.support))
    assert path.supports == ((False, False), (True, True), (True, False))
    assert path.model.support == (True, False)


def test_samba_with_a_failed_first_model():
    table = Table((10.0,), failing=((False,),))
    path = samba(table.fit, free(1), lambda m: (True,), lambda m: m.minus_two_ll)
    assert path.model.support == (True,)


def test_scm_finds_the_best_set_where_effects_do_not_interact():
    for gains in product((0.5, 20.0), repeat=3):
        path = scm(Table(gains).fit, free(3))
        assert path.model.support == tuple(g > 6.7 for g in gains)
