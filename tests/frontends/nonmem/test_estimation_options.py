"""Options of $ESTIMATION and $COVARIANCE: the ones that act, and what is said of the others."""

import re

import pytest

from nlmevae.errors import ModelSyntaxError, UnsupportedError
from nlmevae.frontends.nonmem.estimation_options import NOT_APPLICABLE
from nlmevae.ir import EstimationStep, Model, RawOutput, TableFormat
from nlmevae.pipeline import require_no_prior
from tests.helpers.control_streams import accepted, lower


def model(*records: str) -> Model:
    return lower(SIGMA="\n".join(["0.04", *(f"$EST {text}" for text in records)]))


def step(text: str) -> EstimationStep:
    (found,) = model(text).estimation
    return found


def notes(found: Model, code: str = "not-applicable") -> list[str]:
    return [d.message for d in found.diagnostics if d.code == code]


def test_the_last_seed_and_the_last_file_hold_and_layouts_stay_from_step_to_step():
    found = accepted("estimation_options")
    assert found.seed == 2222
    assert found.raw_output == RawOutput(
        file="raw.txt", format=TableFormat(delimiter=",", width=13, decimals=6), title=False, labels=False
    )
    assert not found.evaluates_only  # two of the three steps estimate


def test_one_note_names_what_has_no_effect_and_nothing_is_a_warning():
    found = accepted("estimation_options")
    estimation, covariance = notes(found)
    for written in ("FILE=its.ext of an earlier step", "NITER=100", "NOABORT", "RANMETHOD=3S2P", "LAPLACE",
                    "ISAMPLE_M1A=2", "NOTBT", "NUTS_DELTA=0.95", "GRD=TS(7)", "OLKJDF=0"):  # fmt: skip
        assert written in estimation
    for acts in (" METHOD", "INTER", "EONLY", "SEED", "raw.txt", "FORMAT", "NOTITLE", "NOLABEL"):
        assert acts not in estimation
    assert covariance == "$COVARIANCE: not applicable: PRINT=E, SIGL=12, TOL=9, COMPRESS, PRECOND=2"
    assert {d.severity for d in found.diagnostics} == {"note"}
    assert notes(found, "seed") == ["$ESTIMATION SEED=2222 is the seed of a fit unless another one is given"]


@pytest.mark.parametrize("name", NOT_APPLICABLE)
def test_every_option_without_effect_is_accepted_and_named(name):
    assert step(f"METHOD=1 {name}=1").unused == (f"{name}=1",)


def test_a_step_whose_options_all_act_has_no_note():
    assert notes(model("METHOD=1 INTER MAXEVAL=0 POSTHOC FILE=x.ext FORMAT=s1PE15.8")) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("METH=1 MAXEVAL=0", True),
        ("METH=1 MAX=0", True),
        ("METH=1 MAXEVAL=9999", False),
        ("METH=BAYES BIONLY=1", True),
        ("METH=BAYES BIONLY=0", False),
        ("METH=IMP EONLY=1", True),
        ("METH=1 OMITTED", True),
    ],
)
def test_a_step_that_estimates_nothing_is_recognised(text, expected):
    assert step(text).evaluates_only is expected


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        (["METHOD=1 MAXEVAL=0", "METHOD=1 LAPLACE"], True),
        (["METHOD=1 MAXEVAL=0", "LAPLACE"], True),
        (["METHOD=1 MAXEVAL=0", "METHOD=COND MAXEVAL=99"], False),
        (["METHOD=1 MAXEVAL=0", "METHOD=SAEM"], False),
        (["METHOD=IMP EONLY=1", "METHOD=IMPMAP"], True),
        (["METHOD=IMP EONLY=1", "METHOD=IMPMAP EONLY=0"], False),
        (["METHOD=IMP EONLY=1", "METHOD=BAYES"], False),
        (["METHOD=IMP EONLY=1", "METHOD=1"], False),
    ],
)
def test_evaluations_hold_from_step_to_step_among_methods_that_know_them(records, expected):
    """NM-TRAN carries options over to the next record; a method passes over those it does not read."""
    assert model(*records).evaluates_only is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FORMAT=s1PE15.8", TableFormat(width=15, decimals=8)),
        ("DELIM=,", TableFormat(delimiter=",", width=12, decimals=5)),
        ("DELIM=,1PE13.6", TableFormat(delimiter=",", width=13, decimals=6)),
        ("FORMAT=t", TableFormat(delimiter="\t", width=12, decimals=5)),
        ("FORMAT=sF9.3:80", TableFormat(kind="F", width=9, decimals=3)),
    ],
)
def test_the_layout_of_the_raw_output_file(text, expected):
    found = step(f"METHOD=1 FILE=x {text}")
    assert (found.output.format, found.unused) == (expected, ())


def test_a_layout_that_is_not_understood_is_named_and_the_usual_one_stays():
    found = step("METHOD=1 FILE=x FORMAT=(E12.5)")
    assert (found.output.format, found.unused) == (None, ("FORMAT=(E12.5)",))


def test_a_step_that_draws_initial_estimates_has_its_file_and_seed_for_itself():
    """FILE of METHOD=CHAIN may be a file it reads: it must never be written."""
    found = model("METHOD=CHAIN FILE=init.chn NSAMPLE=0 ISAMPLE=1 SEED=7", "METHOD=1")
    assert (found.seed, found.raw_output.file) == (None, None)
    assert "FILE=init.chn" in notes(found)[0]


@pytest.mark.parametrize(
    ("text", "near"), [("MAXEVALL=9999", "MAXEVALS"), ("NOABROT", "NOABORT"), ("INTREACTION", "INTERACTION")]
)
def test_an_unknown_option_stops_with_the_nearest_name(text, near):
    with pytest.raises(ModelSyntaxError, match=re.escape(f"{text.partition('=')[0]} is not an option")) as caught:
        step(f"METHOD=1 {text}")
    assert near in caught.value.hint
    assert caught.value.location.column == 15


@pytest.mark.parametrize("text", ["LIKE", "-2LL", "-2LLIKELIHOOD", "ZERO=(1)", "BOOTDATA=1"])
def test_what_changes_the_maximum_stops(text):
    with pytest.raises(UnsupportedError):
        step(f"METHOD=1 {text}")


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (("METHOD=1",), False),
        (("METHOD=1 INTER",), True),
        (("METHOD=BAYES",), True),
        (("METHOD=SAEM NOINTERACTION",), True),
        (("METHOD=IMP", "METHOD=1 NOINTERACTION"), False),
        (("METHOD=1 INTERACTION", "METHOD=1 MAXEVAL=0"), True),
        ((), False),
    ],
)
def test_em_and_bayesian_steps_imply_interaction(steps, expected):
    """NM-TRAN's warning 121; otherwise an option holds until another step says something else."""
    assert model(*steps).interaction is expected


@pytest.mark.parametrize("option", ["TTDF=4", "OLKJDF=2.0", "SLKJDF=1"])
def test_a_prior_of_an_option_is_that_of_the_model_and_nothing_is_estimated_with_it(option):
    found = model(f"METHOD=NUTS {option} OVARF=1")
    assert [d.severity for d in found.diagnostics if option in d.message] == ["warning"]
    with pytest.raises(UnsupportedError, match="likelihood alone") as caught:
        require_no_prior(found)
    assert f"$ESTIMATION {option}" in caught.value.message
    assert caught.value.location.column == len("$EST METHOD=NUTS ") + 1
    assert f"remove {option.partition('=')[0]}" in caught.value.hint


def test_a_prior_that_is_switched_off_or_only_evaluated_stops_nothing():
    for text in ("METHOD=NUTS OLKJDF=0 TTDF=0", "METHOD=IMP EONLY=1 OLKJDF=2"):
        require_no_prior(model(text))
