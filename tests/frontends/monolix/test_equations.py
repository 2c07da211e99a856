"""Order, levels and names of definitions; what a structure says besides its programs."""

from __future__ import annotations

import itertools

import pytest

from nlmevae.codegen.names import identifier
from nlmevae.errors import SemanticError
from nlmevae.frontends.monolix.names import RESERVED, program_name
from nlmevae.frontends.monolix.structural.equations import arrange
from nlmevae.frontends.monolix.structural.structure import Emptying, structure
from nlmevae.ir import Assign, If, names_assigned
from nlmevae.ir.evaluate import run
from tests.helpers.code_models import statements
from tests.helpers.mlxtran_text import decoder_of, mlxtran, predictions

GIVEN = frozenset({"k", "V"})
MOVING = frozenset({"t", "A"})


def arranged(text):
    return arrange(statements(text), given=GIVEN, moving=MOVING)


def test_definitions_in_any_order_compute_the_same():
    lines = ["a = b + 1", "b = 2*c", "c = k*V", "d = a*b*c"]
    for order in itertools.permutations(lines):
        found = run(arranged("\n".join(order)).individual, {"k": 3.0, "V": 2.0})
        assert (found["a"], found["b"], found["c"], found["d"]) == (13.0, 12.0, 6.0, 936.0)


def test_redefinitions_keep_their_order_and_readers_get_the_last():
    for text in ("y = x\nx = k\nx = x*2\nx = x + V", "x = k\nx = x*2\nx = x + V\ny = x"):
        found = run(arranged(text).individual, {"k": 3.0, "V": 2.0})
        assert (found["x"], found["y"]) == (8.0, 8.0)


def test_a_default_before_an_if_is_a_value():
    found = arranged("f = 1\nIF (k > 2) f = 5\ny = f")
    for k, y in ((1.0, 1.0), (3.0, 5.0)):
        assert run(found.individual, {"k": k, "V": 1.0})["y"] == y


def test_a_value_of_every_arm_is_a_value():
    found = arranged("y = f\nIF (k > 2) THEN\nf = 5\nELSE IF (k > 1) THEN\nf = 4\nELSE\nf = 3\nENDIF")
    for k, y in ((0.0, 3.0), (1.5, 4.0), (3.0, 5.0)):
        assert run(found.individual, {"k": k, "V": 1.0})["y"] == y
    with pytest.raises(SemanticError, match="f has no value where no branch"):
        arranged("y = f\nIF (k > 2) THEN\nf = 5\nELSE IF (k > 1) THEN\nf = 4\nENDIF")


def test_what_reads_time_or_amounts_changes_and_the_rest_does_not():
    found = arranged("c = A/V\nkel = k/V\nspeed = kel*c\nage = t + k")
    assert names_assigned(found.individual) == {"kel"}
    assert names_assigned(found.moving) == {"c", "speed", "age"}


def test_an_if_is_divided_by_level():
    found = arranged("f = 0\ng = 0\nIF (k > 1) THEN\nf = V\ng = A\nENDIF")
    (default, block) = found.individual
    assert (default.target, names_assigned((block,))) == ("f", {"f"})
    assert names_assigned(found.moving) == {"g"}


def test_an_if_on_time_makes_all_it_assigns_change():
    found = arranged("f = 0\nIF (t > 1) f = V")
    assert found.individual == ()
    assert [type(s) for s in found.moving] == [Assign, If]


def test_an_if_that_changes_its_own_condition_stays_whole():
    found = arranged("f = k\ng = 0\nIF (f > 1) THEN\nf = 0\ng = A\nENDIF")
    assert found.individual == ()
    assert run(found.moving, {"k": 3.0, "V": 1.0, "A": 7.0, "t": 0.0})["g"] == 7.0


def test_names_of_programs_never_meet():
    names = [*RESERVED, "ka", "Ka", "KA", "A_1", "A_0_1", "DADT_1", "THETA_1", "_x", "x_", "x", "__x", "_x_", "x.y",
             "x_y", "F_mlx", "F_mlx_mlx", "_F", "F_", "x_mlx1", "_", "__", "n_mlx1", "f", "t0", "A_1_mlx"]  # fmt: skip
    spelled = [program_name(name) for name in names]
    assert len({identifier(name) for name in spelled}) == len(set(names))
    elements = {identifier(name) for name in ("A(1)", "A_0(1)", "DADT(1)", "THETA(1)", "T", "F", "Y", "TIME", "DV")}
    assert not elements & {identifier(name) for name in spelled}
    assert program_name("ka") == "ka"


def test_reserved_names_as_parameters_give_the_same_predictions(tmp_path):
    doses, times = ((0.0, 100.0, 0.0, 1),), (0.5, 3.0, 9.0)
    plain = structure(mlxtran("ka V Cl p", pk="Cc = pkmodel(ka, V, Cl, p)"))
    odd = structure(mlxtran("T A_1 Y F", pk="DV = pkmodel(ka=T, V=A_1, Cl=Y, p=F)", output="DV"))
    values = (1.1, 8.0, 1.5, 0.7)
    usual = decoder_of(tmp_path, plain, dict(zip(("ka", "V", "Cl", "p"), values, strict=True)), doses, times)
    expected = predictions(usual, 4)
    names = [program_name(n) for n in ("T", "A_1", "Y", "F")]
    found = decoder_of(tmp_path, odd, dict(zip(names, values, strict=True)), doses, times, output="DV")
    assert predictions(found, 4).tolist() == expected.tolist()


def test_a_structure_says_what_of_the_data_it_reads():
    found = structure(mlxtran(
        "k WT B", regressors="WT B", output="E tad D",
        pk="depot(adm=2, target=A, Tlag=0, p=1)\nempty(adm=3, target=A)\nreset(adm=4, target=all)",
        equations="t_0 = -2\nddt_A = -k*WT*A\nddt_B1 = -k*B1\nE = A\ntad = t - tDose\nD = B + inftDose\nB1_0 = 3*WT",
        stiff=True,
    ))  # fmt: skip
    assert found.initial_time == -2.0
    assert found.regressors == ("WT", "B")
    assert found.steps == ("tDose", "inftDose")
    assert found.empties == (Emptying(adm=3, compartments=(1,)),)
    assert found.resets == (Emptying(adm=4, compartments=(1, 2)),)
    (given,) = found.inputs
    assert (given.adm, given.compartment, given.infusion, given.zero_order) == (2, 1, True, False)
    assert (given.fraction, given.lag, given.duration) == (None, None, None)
    assert found.structural.stiff
    assert [c.initial for c in found.structural.compartments] == [None, "A_0(2)"]
    assert found.outputs == {"E": "E", "tad": "tad", "D": "D"}


def test_a_formula_of_time_has_no_compartments(tmp_path):
    found = structure(mlxtran("a b", equations="f = a*EXP(-b*t) + amtDose", output="f"))
    assert found.structural.compartments == ()
    assert (found.des, found.pk, found.steps) == ((), (), ("amtDose",))


def test_inputs_of_one_compartment_have_their_own_parameters():
    found = structure(mlxtran(
        "V k F1 Tlag2 Tk0", pk="compartment(cmt=1, volume=V, concentration=Cc)\niv(adm=1, p=F1)\n"
        "iv(adm=2, Tlag=Tlag2)\noral(adm=2, Tk0, p=1-F1)\nelimination(k)",
    ))  # fmt: skip
    assert [(i.adm, i.compartment, i.fraction, i.lag, i.duration) for i in found.inputs] == [
        (1, 1, "F1", None, None), (2, 1, None, "Tlag2", None), (2, 1, "p", None, "Tk0"),
    ]  # fmt: skip
    assert found.structural.closed_form == "one"


def test_transit_inputs_say_which_step_functions_and_constant_items_they_need():
    one = structure(mlxtran("V k ka Ktr Mtt WT", pk="Cc = pkmodel(V, k, ka, Ktr, Mtt=m)", equations="m = Mtt*WT",
                            regressors="WT"))  # fmt: skip
    (slow,) = one.transit
    assert (one.inputs, slow.time, slow.amount, slow.constant) == ((), "tDose", "amtDose", ("WT",))
    assert one.steps == ("tDose", "amtDose")
    two = structure(mlxtran(
        "V k ka Ktr Mtt k2 F", pk="compartment(cmt=1, volume=V, concentration=Cc)\niv(adm=1)\n"
        "oral(adm=2, ka, Ktr, Mtt, p=F)\noral(adm=2, ka=k2, Ktr, Mtt, p=1-F)\nelimination(k)",
    ))  # fmt: skip
    assert [(t.adm, t.time, t.amount) for t in two.transit] == [(2, "tDose_2", "amtDose_2")] * 2
    assert two.steps == ()


def test_data_items_as_rates_and_lags_become_variables():
    found = structure(mlxtran("V K L", pk="Cc = pkmodel(V, k=K, Tlag=L)", regressors="K L"))
    assert found.structural.rate_constants == ("k",)
    assert found.inputs[0].lag == "Tlag"
    assert names_assigned(found.pk) == {"k", "Tlag"}
