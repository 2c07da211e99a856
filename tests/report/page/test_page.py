"""The page: complete, by itself, readable by everybody, and the same for the same contents."""

import base64
import builtins
import dataclasses
import itertools
import re

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from nlmevae.errors import MissingDependencyError
from nlmevae.report.page.advice import STATUS, advice_for
from nlmevae.report.page.page import page
from nlmevae.report.page.sections.goodness_of_fit import goodness_of_fit
from nlmevae.report.page.sections.summary import noticed
from nlmevae.results.effect_size import EffectSize
from nlmevae.results.number_text import short_number
from nlmevae.results.status import FitStatus
from tests.helpers.diagnostics import make_diagnostics, make_fit
from tests.helpers.html_page import Page
from tests.helpers.report_contents import make_contents, make_run, without_diagnostics
from tests.helpers.results import shrinkage
from tests.helpers.selection_results import make_selection

ATTACK = "<script>alert('x')</script>\"><img src=http://evil/x.png onerror=alert(1)>"
EFFECT = EffectSize(
    parameter="CL", covariate="WT", at="55 (5 %)", reference="70 (median)", ratio=0.8, low=0.7, high=0.9
)


@pytest.fixture(scope="module")
def full():
    """Everything: strata, censored values, effects, a selection. The HTML."""
    diagnostics = make_diagnostics(5, limit=0.3, strata=("SEX = 0", "SEX = 1"))
    return page(make_contents(5, diagnostics=diagnostics, effects=(EFFECT,), selection=make_selection()))


@pytest.fixture(scope="module")
def short():
    """Without diagnostics: quick."""
    return page(without_diagnostics())


def test_the_page_asks_for_nothing_outside_itself(full):
    parsed = Page(full)
    for reference in parsed.references:
        assert reference.startswith(("data:", "#")), reference[:80]
    assert parsed.all("script") == []
    assert parsed.all("iframe") == []
    assert not re.search(r"url\(|@import|@font-face", full)
    policy = next(e for e in parsed.all("meta") if e.attributes.get("http-equiv") == "Content-Security-Policy")
    assert policy.attributes["content"].startswith("default-src 'none'")


def test_pictures_ask_for_nothing_either(full):
    vectors = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", full)
    assert len(vectors) > 10
    for text in (base64.b64decode(v).decode() for v in vectors):
        links = re.findall(r'href="([^"]+)"', text)
        assert all(link.startswith(("#", "data:image/png")) for link in links)
        assert "<script" not in text
        assert set(re.findall(r'https?://[^"\s]+', text)) <= {
            "http://www.w3.org/1999/xlink",
            "http://www.w3.org/2000/svg",
        }


def test_every_element_is_closed_and_every_name_is_given_once(full):
    parsed = Page(full)
    assert parsed.unbalanced == []
    names = [e.attributes["id"] for e in parsed.elements if "id" in e.attributes]
    assert len(names) == len(set(names))


def test_readers_who_cannot_see_have_texts_captions_and_headings(full):
    parsed = Page(full)
    assert parsed.all("html")[0].attributes["lang"] == "en"
    assert all(len(image.attributes["alt"]) > 20 for image in parsed.all("img"))
    for kind in ("table", "figure"):
        caption = {"table": "caption", "figure": "figcaption"}[kind]
        captions = parsed.all(caption)
        assert len(captions) == len(parsed.all(kind))
        assert all(c.words for c in captions)
    headers = parsed.all("th")
    assert {h.attributes["scope"] for h in headers} == {"col", "row"}
    levels = [int(e.tag[1]) for e in parsed.elements if re.fullmatch(r"h[1-6]", e.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


def test_the_contents_lead_to_every_section_in_reading_order(full):
    parsed = Page(full)
    links = [e for e in parsed.all("a") if "nav" in e.path]
    sections = [e for e in parsed.all("section") if "id" in e.attributes]
    assert [link.attributes["href"][1:] for link in links] == [s.attributes["id"] for s in sections]
    assert [link.words for link in links] == [
        "Summary", "Parameter estimates", "Convergence", "Goodness of fit", "Individual fits",
        "Visual predictive checks", "Normalised prediction distribution errors (NPDE)", "Random effects", "Covariates",
        "Covariate selection", "Control stream, data, settings, glossary",
    ]  # fmt: skip


def test_a_section_on_the_selection_is_there_only_after_a_selection(short):
    assert "Covariate selection" not in short
    assert "Which covariate acts on which parameter" in page(without_diagnostics(selection=make_selection()))


def test_the_same_contents_are_the_same_bytes(short):
    assert page(without_diagnostics()) == short


@pytest.mark.slow
def test_the_same_contents_with_everything_in_them_are_the_same_bytes():
    assert page(make_contents(3)) == page(make_contents(3))


def test_every_endpoint_has_its_panels():
    section = goodness_of_fit(make_contents(2, diagnostics=make_diagnostics(2, endpoints=2)))
    captions = [b.caption for b in section.blocks if b.kind == "picture"]
    assert [c.split(":")[0] for c in captions] == ["DV1", "DV1", "DV2", "DV2"]


def test_markup_in_names_labels_and_comments_stays_text():
    diagnostics = make_diagnostics(3, strata=(ATTACK,))
    attacked = dataclasses.replace(
        diagnostics,
        vpcs=diagnostics.vpcs[1:2],
        labels=(ATTACK, "b", "\udce9"),
        time_name=ATTACK,
        endpoints=(dataclasses.replace(diagnostics.endpoints[0], name=ATTACK),),
        covariates=dataclasses.replace(diagnostics.covariates, names=(ATTACK, "SEX")),
        warnings=(ATTACK,),
    )
    fit = make_fit(attacked, problem=ATTACK, warnings=(ATTACK,), eta_labels=(ATTACK, "V"), message=ATTACK)
    fit = dataclasses.replace(fit, estimates=tuple(dataclasses.replace(e, label=ATTACK) for e in fit.estimates))
    html = page(make_contents(3, diagnostics=attacked, fit=fit, run=make_run(3, control_stream=f"; {ATTACK}\udce9")))
    parsed = Page(html)
    html.encode("utf-8")
    assert parsed.unbalanced == []
    assert parsed.all("script") == []
    assert all(reference.startswith(("data:", "#")) for reference in parsed.references)
    assert not any(name.startswith("on") for e in parsed.elements for name in e.attributes)
    assert ATTACK in "".join(parsed.all("h1")[0].text)
    assert "\\udce9" in html


def test_warnings_come_first_each_with_what_to_do(full):
    parsed = Page(full)
    summary = next(e for e in parsed.all("section") if e.attributes.get("id") == "summary")
    fit = make_fit(make_diagnostics(5))
    for warning in (
        *fit.warnings,
        "a selection warning",
        "a warning of the diagnostics",
        "data.csv:7:1: a strange record",
    ):
        assert warning in summary.words
        assert summary.words.index(warning) < summary.words.index("The run")
    assert "What to do: correct line 7" in summary.words
    assert summary.words.count("What to do:") >= 4


def test_without_warnings_the_page_says_so():
    quiet = without_diagnostics(of_fit={"warnings": ()}, run=make_run(2, notes=()))
    assert "No warnings." in page(quiet)


@pytest.mark.parametrize("status", FitStatus)
def test_every_status_is_a_sentence_with_advice_unless_it_is_good(status):
    html = page(without_diagnostics(of_fit={"status": status, "message": ""}))
    verdict = next(e for e in Page(html).all("p") if "verdict" in e.attributes.get("class", ""))
    assert status.sentence in verdict.words
    assert verdict.words.startswith("Completed." if status.completed else "Not completed.")
    assert status.completed or STATUS[status] in verdict.words


def test_every_warning_the_engine_can_give_has_advice_of_its_own():
    """The sentences of `assemble.py` and `diagnose.py`."""
    general = advice_for("something nobody has heard of")
    for warning in (
        "Only one subject has observations: variability between subjects cannot be estimated from it.",
        "At their bound: CL.",
        "The model could not be evaluated for 3 subjects in the last iteration.",
        "Standard errors are not given: the data hold no information about some combination of parameters.",
        "The importance sampling likelihood is unreliable for 6 subjects (Pareto k-hat above 0.7): 11, 12.",
        "No conditional mode was found for 1 subject (ID 3): IPRED, IWRES and CWRES are missing there.",
        "3 of 500 simulated data sets have predictions that failed; the rest was used.",
        "NPDE is missing for 1 subject (ID 2): 20 simulations cannot decorrelate the observations there.",
    ):
        assert advice_for(warning) != general, warning


def test_numbers_are_those_of_the_result(short):
    fit = without_diagnostics().fit
    cells = [e.words for e in Page(short).all("td")]
    for estimate in fit.estimates:
        if estimate.kind != "theta" or not estimate.fixed:
            assert short_number(estimate.value) in cells
    assert "20.1" not in cells
    assert f"{fit.minus_two_ll:.3f}" in cells
    assert f"{fit.ofv_nonmem:.3f}" in cells
    assert "0.12" in cells  # Monte-Carlo standard error


def test_an_objective_never_stands_without_its_method(short):
    rows = [e.words for e in Page(short).all("th") if e.attributes["scope"] == "row"]
    named = [r for r in rows if re.search(r"OFV|-2LL|−2LL|ELBO", r)]
    assert named
    assert all(re.search(r"importance sampling|linearisation|NONMEM scale|upper bound", r) for r in named)


def test_fixed_parameters_are_marked(short):
    quiet = [e.words for e in Page(short).all("tr") if e.attributes.get("class") == "quiet"]
    assert any("THETA(2)" in row and "fixed" in row for row in quiet)


def test_what_cannot_be_drawn_says_why(short):
    words = Page(short).all("main")[0].words
    assert words.count("No diagnostics: the model cannot be evaluated.") == 5
    assert "No iteration was recorded" in words
    assert "The model has no random effects" in words


def test_the_page_notices_what_the_numbers_say():
    fit = make_fit(make_diagnostics(3), shrinkage=shrinkage(sd=(45.0, 3.0)))
    vague = tuple(dataclasses.replace(e, standard_error=0.9 * abs(e.value)) for e in fit.estimates)
    fit = dataclasses.replace(fit, estimates=vague)
    found = " ".join(noticed(make_contents(3, fit=fit)))
    assert "relative standard error is above 50 % for CL" in found
    assert "shrinkage of random effects is above 30 % for CL" in found
    assert noticed(make_contents(3)) == []


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_a_missing_package_is_named_with_the_install_command(monkeypatch, package):
    real = builtins.__import__

    def without(name, *rest):
        if name.split(".")[0] == package:
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError) as caught:
        page(without_diagnostics(selection=make_selection()))
    assert "pip install 'nlmevae[report]'" in caught.value.hint


@pytest.mark.slow
def test_639_subjects_with_fifteen_covariates_fit_in_five_megabytes():
    diagnostics = make_diagnostics(639, limit=0.3, strata=("SEX = 0", "SEX = 1"))
    rng = np.random.default_rng(1)
    covariates = dataclasses.replace(
        diagnostics.covariates,
        names=tuple(f"C{k}" for k in range(15)),
        values=np.column_stack([rng.normal(size=(639, 12)), rng.integers(0, 4, (639, 3))]),
        categorical=np.arange(15) >= 12,
    )
    html = page(make_contents(639, diagnostics=dataclasses.replace(diagnostics, covariates=covariates), n_subjects=24))
    assert len(html.encode()) < 5_000_000
