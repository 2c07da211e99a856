"""Macros and equations that are refused: message, remedy and line."""

from __future__ import annotations

import pytest

from nlmevae.errors import ModelError, SemanticError, UnsupportedError
from nlmevae.frontends.monolix.structural.structure import structure
from tests.helpers.mlxtran_text import mlxtran

CENTRAL = "compartment(cmt=1, amount=Ac, volume=V, concentration=Cc)\n"

#: text -> (inputs, PK, equations, error, message, a part of the hint, line)
REJECTED = {
    "unknown macro": ("V k", "Cc = pkmodels(V, k)", "", SemanticError, "there is no macro pkmodels", "pkmodel", 1),
    "unknown argument": ("V k", "Cc = pkmodel(V, k, kel=k)", "", SemanticError, "pkmodel takes no argument kel",
                         "it takes V, Tlag", 1),
    "no volume": ("k", "Cc = pkmodel(k)", "", SemanticError, "pkmodel needs V", "it takes V", 1),
    "no elimination": ("V", "Cc = pkmodel(V)", "", SemanticError, "pkmodel has no elimination", "add k, or Cl", 1),
    "two eliminations": ("V k Cl", "Cc = pkmodel(V, k, Cl)", "", SemanticError,
                         "pkmodel has k and Cl, more than one elimination", "keep k, or Cl", 1),
    "clearance and Vm": ("V Cl Vm Km", "Cc = pkmodel(V, Cl, Vm, Km)", "", SemanticError,
                         "pkmodel has Cl, Vm and Km, more than one elimination", "keep k", 1),
    "Vm alone": ("V Vm", "Cc = pkmodel(V, Vm)", "", SemanticError, "pkmodel has Vm and no Km", "needs both", 1),
    "Tk0 and ka": ("V k Tk0 ka", "Cc = pkmodel(V, k, Tk0, ka)", "", SemanticError,
                   "pkmodel has Tk0, a zero-order absorption, and ka", "keep Tk0", 1),
    "Tk0 and transit": ("V k Tk0 ka Ktr Mtt", "Cc = pkmodel(V, k, Tk0, ka, Ktr, Mtt)", "", SemanticError,
                        "pkmodel has Tk0, a zero-order absorption, and ka, Ktr and Mtt", "keep Tk0", 1),
    "Mtt alone": ("V k ka Mtt", "Cc = pkmodel(V, k, ka, Mtt)", "", SemanticError, "pkmodel has Mtt and no Ktr",
                  "need both", 1),
    "transit without ka": ("V k Ktr Mtt", "Cc = pkmodel(V, k, Ktr, Mtt)", "", SemanticError,
                           "pkmodel has Ktr and Mtt and no ka", "give its ka", 1),
    "k12 alone": ("V k k12", "Cc = pkmodel(V, k, k12)", "", SemanticError, "pkmodel has k12 and no k21", "both", 1),
    "third without second": ("V k k13 k31", "Cc = pkmodel(V, k, k13, k31)", "", SemanticError,
                             "pkmodel has k13 and k31 and no k12 and k21", "number 2", 1),
    "ke0 with one result": ("V k ke0", "Cc = pkmodel(V, k, ke0)", "", SemanticError,
                            "pkmodel has ke0 and only one result", "{Cc, Ce}", 1),
    "two results without ke0": ("V k", "{Cc, Ce} = pkmodel(V, k)", "", SemanticError,
                                "pkmodel has a second result, and ke0 is not given", "{Cc, Ce}", 1),
    "pkmodel alone": ("V k", "pkmodel(V, k)", "", SemanticError, "pkmodel gives the concentration", "write Cc =", 1),
    "a macro with a result": ("V k", "Cc = compartment(cmt=1, volume=V)", "", SemanticError,
                              "compartment has no result to assign to Cc", "concentration=Cc", 1),
    "compartment twice": ("V", CENTRAL + "compartment(cmt=1, amount=B)", "", SemanticError,
                          "compartment 1 is defined twice", "own number", 2),
    "amount twice": ("V", CENTRAL + "compartment(cmt=2, amount=Ac)", "", SemanticError,
                     "two compartments have the amount Ac", "own name", 2),
    "no such compartment": ("V k", CENTRAL + "elimination(cmt=2, k)", "", SemanticError,
                            "elimination needs compartment 2, and there is none", "compartment(cmt=2", 2),
    "cmt is no number": ("V k", "compartment(cmt=V)", "", SemanticError,
                         "cmt of compartment must be a whole number from 1", "cmt=1", 1),
    "cmt is no whole number": ("V k", "compartment(cmt=1.5)", "", SemanticError, "cmt of compartment must be", "", 1),
    "adm and type": ("V k", CENTRAL + "iv(adm=1, type=1)", "", SemanticError, "iv has both adm and type", "keep", 2),
    "amount is no name": ("V k", "compartment(amount=2*V)", "", SemanticError,
                          "amount of compartment must be the name of a variable", "amount=Ac", 1),
    "absorption of nothing": ("V k", CENTRAL + "absorption(cmt=1)", "", SemanticError, "absorption needs Tk0 or ka",
                              "iv(", 2),
    "oral with two": ("V k ka Tk0", CENTRAL + "oral(ka, Tk0)", "", SemanticError,
                      "oral has Tk0, a zero-order absorption, and ka", "two macros", 2),
    "iv with ka": ("V k ka", CENTRAL + "iv(ka)", "", SemanticError, "iv takes no argument ka", "it takes adm", 2),
    "elimination of nothing": ("V k", CENTRAL + "elimination(cmt=1)", "", SemanticError,
                               "elimination needs k, or Cl, or Vm and Km", "write", 2),
    "peripheral with one rate": ("V k12", CENTRAL + "peripheral(k12)", "", SemanticError,
                                 "peripheral needs two rates, from one compartment to another and back", "k1_12", 2),
    "peripheral with other rates": ("V k12 k31", CENTRAL + "peripheral(k12, k31)", "", SemanticError,
                                    "peripheral needs two rates", "", 2),
    "peripheral of nothing": ("V k32 k23", CENTRAL + "peripheral(k23, k32)", "", SemanticError,
                              "peripheral needs compartment 2, and there is none", "", 2),
    "peripheral that exists": ("V k12 k21", CENTRAL + "compartment(cmt=2)\nperipheral(k12, k21)", "", SemanticError,
                               "compartment 2 is defined twice", "", 3),
    "transfer to itself": ("V kt", CENTRAL + "transfer(kt)", "", SemanticError,
                           "transfer leads from compartment 1 into itself", "from= and to=", 2),
    "transfer without kt": ("V kt", CENTRAL + "transfer(from=1, to=2)", "", SemanticError, "transfer needs kt", "", 2),
    "effect without name": ("V ke0", CENTRAL + "effect(cmt=1, ke0)", "", SemanticError, "effect needs concentration",
                            "", 2),
    "depot of nothing": ("k", "depot(adm=1, target=Ac)", "ddt_B = -k*B", SemanticError,
                         "depot has the target Ac, which is no amount of the model", "ddt_Ac", 1),
    "empty of nothing": ("V k", CENTRAL + "empty(adm=2, target=Ap)", "", SemanticError,
                         "empty has the target Ap, which is no amount of the model", "or all", 2),
    "elimination and equation": ("V k", CENTRAL + "elimination(k)", "ddt_Ac = -k*Ac", UnsupportedError,
                                 "elimination acts on Ac, whose equation ddt_Ac is written", "into ddt_Ac", 2),
    "saturable elimination and equation": ("V Vm Km", CENTRAL + "elimination(Vm, Km)", "ddt_Ac = -V*Ac",
                                           UnsupportedError, "elimination acts on Ac", "", 2),
    "fraction of an amount": ("V k", CENTRAL + "iv(p=Ac)\nelimination(k)", "", UnsupportedError,
                              "p of these doses changes with time or with an amount", "empty(adm, target)", 2),
    "transit time of time": ("V k ka Ktr", "Cc = pkmodel(V, k, ka, Ktr, Mtt=late)", "late = t + 1", UnsupportedError,
                             "p, Tlag, Ktr or Mtt of these doses changes with time", "", 1),
    "emptied while in transit": ("V k ka Ktr Mtt", CENTRAL + "oral(ka, Ktr, Mtt)\nelimination(k)\n"
                                 "empty(adm=2, target=all)", "", UnsupportedError,
                                 "empty acts while a dose is in transit compartments", "name the amounts", 4),
    "emptied with a dose in transit": ("V k ka Ktr Mtt", CENTRAL + "oral(ka, Ktr, Mtt)\nelimination(k)\n"
                                       "empty(adm=1, target=Ac)", "", UnsupportedError,
                                       "empty acts while a dose is in transit compartments", "", 4),
    "lag of time": ("V k", CENTRAL + "iv(Tlag=late)\nelimination(k)", "late = t", UnsupportedError,
                    "Tlag of these doses changes with time", "", 2),
    "lag of nothing": ("V k", CENTRAL + "iv(Tlag)\nelimination(k)", "", SemanticError, "Tlag is read and not defined",
                       "add it to input", 2),
    "rate of nothing": ("V", "Cc = pkmodel(V, k)", "", SemanticError, "k is read and not defined", "regressor", 1),
    "input is an amount": ("A k", "depot(target=A)", "ddt_A = -k*A", SemanticError,
                           "A is an input of the model and an amount", "another name", 1),
    "input is an initial value": ("A_0 k", "depot(target=A)", "ddt_A = -k*A", UnsupportedError,
                                  "A_0 stands in input and is the initial value of A", "A_0 = X0", 1),
    "input is the time": ("t k", "depot(target=A)", "ddt_A = -k*A", SemanticError,
                          "t is a name of Mlxtran and stands in input", "another name", 1),
    "input is assigned": ("V k", "Cc = pkmodel(V, k)", "k = 1", SemanticError, "k is an input of the model and is",
                          "another name", 1),
    "time is assigned": ("V k", "Cc = pkmodel(V, k)", "t = 1", SemanticError, "t is the time of the model and is", "",
                         1),
    "amount is assigned": ("k", "depot(target=A)", "ddt_A = -k*A\nA = 1", SemanticError, "A is an amount of the model",
                           "", 2),
    "concentration is assigned": ("V k", "Cc = pkmodel(V, k)", "y = 0\nx = Cc\nCc = 2", UnsupportedError,
                                  "Cc is read here and defined again below", "another name", 2),
    "slope twice": ("k", "", "ddt_A = -k*A\nddt_A = -k", SemanticError, "ddt_A is written twice", "one equation", 2),
    "slope in an if": ("k", "", "IF (k > 1) ddt_A = -k*A", SemanticError, "ddt_A stands in an if", "below it", 1),
    "t_0 in an if": ("k", "", "ddt_A = -k*A\nIF (k > 1) t_0 = 3", UnsupportedError,
                     "the initial time t_0 depends on a condition", "number", 2),
    "t_0 of a parameter": ("k s", "", "ddt_A = -k*A\nt_0 = -s", UnsupportedError, "the initial time depends on s",
                           "write t_0 as a number", 2),
    "t_0 twice": ("k", "", "t_0 = 0\nddt_A = -k*A\nt0 = 1", SemanticError, "the initial time is given twice", "", 3),
    "initial value of time": ("k", "", "ddt_A = -k*A\nA_0 = t", UnsupportedError,
                              "the initial value A_0 is computed from the time or an amount", "parameters", 2),
    "circle": ("k", "", "x = y + 1\ny = 2*z\nz = x", SemanticError, "x and y and z are defined from each other",
               "ddt_", 1),
    "from itself": ("k", "", "x = x + k", SemanticError, "x is defined from itself", "", 1),
    "undefined": ("k", "", "ddt_A = -k*A*WT", SemanticError, "WT is read and not defined", "use=regressor", 1),
    "only in an if": ("k", "", "IF (k > 1) f = 2\nddt_A = -k*A*f", SemanticError,
                      "f has no value where no branch of an if assigns it", "f = 0", 2),
    "between": ("k", "", "f = 1\ng = f\nf = 2\nddt_A = -k*A*g", UnsupportedError,
                "f is read here and defined again below: which of its values is meant is not certain", "", 2),
    "macro between": ("V", "\ncompartment(amount=Ac)\nelimination(k)", "k = V\n\n\nk = 2*k", UnsupportedError,
                      "k is read here and defined again below", "second k", 3),
    "slope between": ("V", "", "k = V\nddt_A = -k*A\nk = 2*k", UnsupportedError,
                      "k is read here and defined again below", "second k", 2),
    "no output": ("V k", "c = pkmodel(V, k)", "", SemanticError, "Cc is an output and is not defined", "OUTPUT", 1),
    "output only in an if": ("k", "", "ddt_A = -k*A\nIF (t > 1) Cc = A", SemanticError,
                             "Cc has no value where no branch of an if assigns it", "", 1),
}  # fmt: skip


@pytest.mark.parametrize("name", REJECTED)
def test_what_means_nothing_or_is_not_certain_is_refused(name):
    inputs, pk, equations, error, message, hint, line = REJECTED[name]
    output = "Cc" if "output" in name or "Cc" in pk else inputs.split()[0]
    with pytest.raises(ModelError) as caught:
        structure(mlxtran(inputs, pk=pk, equations=equations, output=output))
    assert type(caught.value) is error
    assert caught.value.message.startswith(message)
    assert caught.value.hint
    assert hint in caught.value.hint
    assert caught.value.location.line == line


def test_a_delay_is_refused_by_name():
    from dataclasses import replace

    from nlmevae.ir import Assign, Call, Number, Symbol

    text = replace(mlxtran("k", output="A"), equations=(Assign("ddt_A", Call("delay", (Symbol("A"), Number(2.0)))),))
    with pytest.raises(UnsupportedError, match=r"delay\(...\): delay differential equations are not supported"):
        structure(text)
