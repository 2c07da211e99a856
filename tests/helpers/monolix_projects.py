"""Monolix projects of the syntax fixtures, and small projects made from pieces."""

from __future__ import annotations

from pathlib import Path

from nlmevae.frontends.monolix.project import Project
from nlmevae.frontends.monolix.read import project_of
from nlmevae.frontends.nonmem.records import source_text

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "syntax" / "mlxtran"
ACCEPTED = sorted((FIXTURES / "accepted").glob("*.mlxtran"))
REJECTED = sorted((FIXTURES / "rejected").glob("*.mlxtran"))

#: A one-compartment model with all its parts; keywords of `project_text` replace the text of one.
PARTS = {
    "fileinfo": "file = 'pk.csv'\ndelimiter = comma\nheader = {ID, TIME, AMT, DV, WT, SEX}",
    "content": "ID = {use=identifier}\nTIME = {use=time}\nAMT = {use=amount}\n"
    "DV = {use=observation, name=y, type=continuous}",
    "covariate": "",
    "individual": "input = {V_pop, omega_V, Cl_pop, omega_Cl}\n\nDEFINITION:\n"
    "V = {distribution=logNormal, typical=V_pop, sd=omega_V}\n"
    "Cl = {distribution=logNormal, typical=Cl_pop, sd=omega_Cl}",
    "longitudinal": "input = {a, V, Cl}\n\nPK:\nCc = pkmodel(V, Cl)\n\nOUTPUT:\noutput = Cc\n\nDEFINITION:\n"
    "y = {distribution=normal, prediction=Cc, errorModel=constant(a)}",
    "fit": "data = y\nmodel = y",
    "parameter": "V_pop = {value=30, method=MLE}\nCl_pop = {value=4, method=MLE}\na = {value=1, method=MLE}\n"
    "omega_V = {value=0.3, method=MLE}\nomega_Cl = {value=0.3, method=MLE}",
    "monolix": "[TASKS]\npopulationParameters()\n\n[SETTINGS]\nGLOBAL:\nexportpath = 'run1'",
}


def project_text(**parts: str) -> str:
    """The text of a project."""
    p = {**PARTS, **parts}
    covariate = f"[COVARIATE]\n{p['covariate']}\n\n" if p["covariate"] else ""
    return (
        f"<DATAFILE>\n\n[FILEINFO]\n{p['fileinfo']}\n\n[CONTENT]\n{p['content']}\n\n<MODEL>\n\n{covariate}"
        f"[INDIVIDUAL]\n{p['individual']}\n\n[LONGITUDINAL]\n{p['longitudinal']}\n\n<FIT>\n{p['fit']}\n\n"
        f"<PARAMETER>\n{p['parameter']}\n\n<MONOLIX>\n\n{p['monolix']}\n"
    )


def project(**parts: str) -> Project:
    """The project of `project_text`."""
    return project_of(source_text(project_text(**parts), "project.mlxtran"))
