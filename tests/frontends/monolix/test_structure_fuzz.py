"""Macros and equations put together at random: a structure whose every name has a value, or a message with a remedy."""

from __future__ import annotations

import random
from dataclasses import replace

from nlmevae.errors import ModelError
from nlmevae.frontends.monolix.names import program_name
from nlmevae.frontends.monolix.structural.structure import structure
from nlmevae.ir import Assign, Binary, Number, Symbol
from nlmevae.ir.evaluate import run
from tests.frontends.monolix.test_structure_by_hand import CASES
from tests.helpers.mlxtran_text import mlxtran

TEXTS = [mlxtran(" ".join(c.values), pk=c.pk, equations=c.equations, output=c.output) for c in CASES.values()]
MACROS = [m for text in TEXTS for m in text.macros]
EQUATIONS = [e for text in TEXTS for e in text.equations]
ARGUMENTS = (
    "cmt", "adm", "type", "ka", "tk0", "ktr", "mtt", "p", "tlag", "target", "k", "cl", "vm", "km", "k12", "k21",
    "k_1_2", "k1_10", "amount", "volume", "concentration", "from", "to", "kt", "ke0", "v",
)  # fmt: skip
VALUES = [
    *(Number(v) for v in (0.0, 1.0, 2.0, -1.0, 0.5, float("nan"), float("inf"))),
    *(Symbol(n) for n in ("t", "k", "Ac", "A", "all", "V", "tDose")), Binary("/", Symbol("k"), Symbol("V")),
]  # fmt: skip
TARGETS = ("t0", "t_0", "ddt_A", "A_0", "Ac_0", "x", "V", "t", "Cc", "ddt_", "")


def changed(generator):
    text = generator.choice(TEXTS)
    macros, equations = list(text.macros), list(text.equations)
    for _ in range(generator.randint(1, 3)):
        what = generator.randrange(6)
        if what == 0 and macros:
            k = generator.randrange(len(macros))
            arguments = dict(macros[k].arguments)
            if arguments and generator.random() < 0.5:
                arguments.pop(generator.choice(list(arguments)))
            else:
                arguments[generator.choice(ARGUMENTS)] = generator.choice(VALUES)
            macros[k] = replace(macros[k], arguments=arguments)
        elif what == 1:
            macros.insert(generator.randrange(len(macros) + 1), generator.choice(MACROS))
        elif what == 2 and macros:
            macros.pop(generator.randrange(len(macros)))
        elif what == 3:
            equations.insert(generator.randrange(len(equations) + 1), generator.choice(EQUATIONS))
        elif what == 4 and equations:
            equations.pop(generator.randrange(len(equations)))
        else:
            equations.append(Assign(generator.choice(TARGETS), generator.choice(VALUES)))
    return replace(text, macros=tuple(macros), equations=tuple(equations))


def check_values(text, found):
    """Runs the programs as the engine does; the evaluator raises where a name has no value."""
    given = {program_name(name): 1.5 for name in (*text.inputs, *found.steps)}
    given |= {name: 1.5 for t in found.transit for name in (t.time, t.amount)}
    numbers = [c.number for c in found.structural.compartments]
    individual = run(found.pk, given)
    amounts = {f"A({n})": 2.0 for n in numbers}
    slopes = run(found.des, individual | amounts | {"T": 3.0})
    assert all(f"DADT({n})" in slopes for n in numbers)
    after = run(found.error, individual | amounts | {"TIME": 3.0})
    assert all(name in after for name in found.outputs.values())
    needed = found.structural.program_names | {n for i in found.inputs for n in (i.fraction, i.lag, i.duration) if n}
    assert needed <= set(individual) - set(found.steps) - set(found.regressors)


def test_random_models_have_a_value_for_every_name_or_are_refused():
    generator = random.Random(20)
    hints, made = [], 0
    for _ in range(4000):
        text = changed(generator)
        try:
            found = structure(text)
        except ModelError as error:
            hints.append(error.hint)
        else:
            check_values(text, found)
            made += 1
    assert all(hints)
    assert min(made, len(hints)) > 500
