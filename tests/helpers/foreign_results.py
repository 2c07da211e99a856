"""Folders of other programs, written for tests in the layout that these programs have."""

from __future__ import annotations

import json
from pathlib import Path

P_HEAD = "MODEL            TEST     BASE OFV     NEW OFV         TEST OFV (DROP)    GOAL     dDF    SIGNIFICANT PVAL"
P_BACK = "MODEL            TEST     BASE OFV     NEW OFV         TEST OFV (DROP)    GOAL     dDF  INSIGNIFICANT PVAL"
O_HEAD = f"MODEL      TEST NAME    BASE VAL     NEW VAL{'TEST VAL (DROP)':>50s}      GOAL   SIGNIFICANT"


def scm_row(name: str, base: float, new: float | None, goal: float, df: int, p: str, *, yes: bool) -> str:
    """One candidate, with columns as wide as scm prints them."""
    value = "    FAILED" if new is None else f"{new:12.5f}"
    drop = " " * 17 + "FAILED" if new is None else f"{base - new:21.5f}"
    return f"{name:<16s}{' PVAL ':>6s}{base:12.5f} {value}{drop}  >{goal:10.5f}{df:5d}{'YES!  ' if yes else '':>14s}{p}"


def scm_step(
    rows: list[str], directory: str, *, backward: bool, chosen: str, value: float, relations: dict[str, list[str]]
) -> str:
    """A step; `chosen` "" when nothing was."""
    lines = [f"Model directory {directory}", "", P_BACK if backward else P_HEAD, *rows, ""]
    word = "backward" if backward else "forward"
    lines.append(f"Parameter-covariate relation chosen in this {word} step: {chosen or '--'}")
    lines.append(f"CRITERION              PVAL {'> 0.01' if backward else '< 0.05'}")
    if chosen:
        lines += [f"BASE_MODEL_OFV      {0.0:12.5f}", f"CHOSEN_MODEL_OFV    {value:12.5f}"]
        lines.append("Relations included after this step:")
        lines += [f"{p:<8s}" + "".join(f"{r:<8s}" for r in found) for p, found in relations.items()]
    return "\n".join([*lines, "--------------------", "", ""])


def scm_log() -> str:
    """Two effects enter, one that entered leaves again, one run fails: 3 + 2 + 1 + 2 + 1 tests; {V-WT} remains."""
    top = "/home/me/scm_dir1"
    return (
        scm_step(
            [
                scm_row("KAWT-5", 109.0, 105.1, 3.8415, 1, "0.048000 ", yes=True),
                scm_row("VSEX-2", 109.0, None, 3.8415, 1, "      999", yes=False),
                scm_row("VWT-5", 109.0, 102.5, 3.8415, 1, "0.010787 ", yes=True),
            ],
            f"{top}/m1", backward=False, chosen="V-WT-5", value=102.5, relations={"KA": [], "V": ["WT-5"]},
        )
        + scm_step(
            [
                scm_row("KAWT-5", 102.5, 98.0, 3.8415, 1, "0.033900 ", yes=True),
                scm_row("VSEX-2", 102.5, 103.0, 3.8415, 1, "     9999", yes=False),
            ],
            f"{top}/forward_scm_dir1/m1", backward=False, chosen="KA-WT-5", value=98.0,
            relations={"KA": ["WT-5"], "V": ["WT-5"]},
        )
        + scm_step(
            [scm_row("VSEX-2", 98.0, 97.9, 3.8415, 1, "0.751800 ", yes=False)],
            f"{top}/forward_scm_dir1/scm_dir1/m1", backward=False, chosen="", value=0.0, relations={},
        )
        + "\n--------------------\nForward search done. Starting backward search inside forward top level directory\n"
        + scm_step(
            [
                scm_row("KAWT-1", 98.0, 102.5, -6.6349, -1, "0.033900 ", yes=True),
                scm_row("VWT-1", 98.0, 105.1, -6.6349, -1, "7.71e-03 ", yes=False),
            ],
            f"{top}/backward_scm_dir1/m1", backward=True, chosen="KA-WT-1", value=102.5, relations={"V": ["WT-5"]},
        )
        + scm_step(
            [scm_row("VWT-1", 102.5, 109.5, -6.6349, -1, "0.008151 ", yes=False)],
            f"{top}/backward_scm_dir1/scm_dir1/m1", backward=True, chosen="", value=0.0, relations={},
        )
    )  # fmt: skip


SCM_CONFIG = """model=run_base.mod
search_direction=both
continuous_covariates=WT
categorical_covariates=SEX
[test_relations]
KA=WT
V=WT,SEX
[valid_states]
continuous=1,5
"""

SCM_META = """command_line: /opt/psn/bin/scm run.scm
start_time: 2026-11-29 10:00:00
finish_time: 2026-11-29 10:02:05
tool_options:
  linearize: 0
  logfile: /home/me/scm_dir1/scmlog.txt
"""

EXT_TITLE = (
    "TABLE NO.     1: First Order Conditional Estimation with Interaction: Goal Function=...: Problem=1 Subproblem=0"
)


def ext_text(objective: float, *, title: str = EXT_TITLE) -> str:
    """One THETA of 2 with an error of 0.1, an OMEGA that is fixed."""
    rows = {
        -1000000000: (2.0, 0.0, 0.25, objective),
        -1000000001: (0.1, 1e10, 1e10, 0.0),
        -1000000006: (0.0, 1.0, 1.0, 0.0),
    }
    lines = [title, " ITERATION    THETA1       SIGMA(1,1)   OMEGA(1,1)   OBJ"]
    lines += [f"{k:13d}" + "".join(f"{v:13.5E}" for v in row[:-1]) + f"    {row[-1]:.10f}" for k, row in rows.items()]
    return "\n".join(lines) + "\n"


def scm_folder(folder: Path) -> Path:
    folder.mkdir()
    (folder / "scmlog.txt").write_text(scm_log())
    (folder / "run.scm").write_text(SCM_CONFIG)
    (folder / "meta.yaml").write_text(SCM_META)
    (folder / "final_models").mkdir()
    (folder / "final_models" / "final_backward.ext").write_text(ext_text(102.5))
    return folder


def covsearch_document() -> dict:
    """A base model, one effect that enters, one that does not."""

    def table(rows: list[dict]) -> dict:
        return {"schema": {}, "data": rows, "__class__": "DataFrame"}

    summary = [
        {"step": 0, "model": "base", "description": "", "selected": True, "n_params": 7, "ofv": 109.0},
        {"step": 1, "model": "m1", "description": "(V-WT-exp)", "selected": True, "n_params": 8, "ofv": 102.5},
        {"step": 1, "model": "m2", "description": "(KA-WT-exp)", "selected": False, "n_params": 8, "ofv": 107.0},
    ]
    step = {"step": 1, "reduced_ofv": 109.0, "delta_df": 1, "goal_pvalue": 0.05, "is_backward": False}
    steps = [
        {**step, "parameter": "V", "covariate": "WT", "extended_state": "* exp", "extended_ofv": 102.5,
         "ofv_drop": 6.5, "pvalue": 0.0108, "selected": True, "model": "m1"},
        {**step, "parameter": "KA", "covariate": "WT", "extended_state": "* exp", "extended_ofv": 107.0,
         "ofv_drop": 2.0, "pvalue": None, "selected": False, "model": "m2"},
    ]  # fmt: skip
    models = [{"model": m, "runtime_total": 2.5, "POP_V_estimate": 31.9, "POP_V_SE": 1.5} for m in ("base", "m1", "m2")]
    return {
        "__class__": "COVSearchResults",
        "summary_tool": table(summary),
        "steps": table(steps),
        "summary_models": table(models),
    }


def covsearch_folder(folder: Path) -> Path:
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps(covsearch_document()))
    return folder


COSSAC_SUMMARY = """========================================================
Forward inclusion step (reference objective function OFV = 339.5)
Run 2: Evaluation of adding covariate logtWT on parameter V ==> OFV = 333.4, OFV-difference = 6.1, pVal = 1.4e-02
 => covariate logtWT was included on parameter V (new ref. OFV = 333.4)
========================================================
Backward elimination step (reference OFV = 333.4)
Run 3: Evaluation of removing covariate logtWT from parameter V ==> OFV = 339.5, OFV-difference = -6.1, pVal = 1.4e-02
=> covariate logtWT was kept on parameter V (ref. OFV = 333.4)
========================================================
FINAL MODEL (OFV = 333.4)
--> target parameters: ka, V
 --> searched covariates: logtWT

Covariate logtWT on parameter V

 => Done with 4 runs in 35s
Mon Nov 23 05:00:00 2026
========================================================
"""

SAMBA_SUMMARY = """
--------------------------------------------------
Building:
  -  The covariate model

__________________________________________________
- - - Initialization - - -

Covariate model:
   SEX logtWT
ka   0      0
V    0      0

Estimated criteria (importanceSampling):
   AIC    BIC   BICc s.e.
354.00 357.00 370.90   0.10
__________________________________________________
- - - Iteration 1 - - -

Covariate model:
   SEX logtWT
ka   0      0
V    0      1

Run scenario for model 1 ...
Estimation of the population parameters...
__________________________________________________
Final statistical model:

Covariate model:
   SEX logtWT
ka   0      0
V    0      1

Correlation model:
[1] "NULL"

Estimated criteria (importanceSampling):
  -2LL    AIC    BIC   BICc   s.e.
335.10 351.10 355.00 364.20   0.10

total time: 12.3s
__________________________________________________
"""

INTERCHANGE = {
    "schema": "nlmevae-covsearch/1",
    "tool": "COSSAC",
    "params": ["ka", "V"],
    "covs": ["WT", "SEX"],
    "n_runs": 7,
    "runs": [
        {"m2ll": 339.5, "BICc": 370.9, "matrix": [[0, 0], [0, 0]]},
        {"m2ll": 333.4, "BICc": 364.2, "matrix": [[0, 0], [1, 0]], "tested": ["V", "WT"]},
    ],
    "final": 2,
    "ll_method": "importanceSampling",
}

MLXTRAN = """<DATAFILE>
[CONTENT]
WT = {use=covariate, type=continuous}
<MODEL>
[COVARIATE]
input = {WT, SEX}
EQUATION:
lw = log(WT/70)
DEFINITION:
tSEX = {transform = SEX, categories = {'F' = {'0'}, 'M' = {'1'}}, reference = 'M'}
[INDIVIDUAL]
input = {ka_pop, omega_ka, V_pop, beta_V_lw, lw, tSEX, beta_V_tSEX_F, omega_V, Cl_pop, beta_Cl_lw}
DEFINITION:
ka = {distribution=logNormal, typical=ka_pop, sd=omega_ka}
V = {distribution=logNormal, typical=V_pop, covariate={lw, tSEX}, coefficient={beta_V_lw, {0, beta_V_tSEX_F}},
     sd=omega_V}
Cl = {distribution=logNormal, typical=Cl_pop, covariate=lw, coefficient=beta_Cl_lw, no-variability}
<PARAMETER>
ka_pop = {value=1, method=FIXED}
V_pop = {value=1, method=MLE}
<MONOLIX>
[SETTINGS]
GLOBAL:
exportpath = 'run'
"""

POPULATION = """parameter,value,se_sa,rse_sa
ka_pop,1.5,,
V_pop,30,1,3.3
beta_V_lw,0.6,0.2,33
beta_V_tSEX_F,-0.1,0.05,50
Cl_pop,2.5,0.1,4
beta_Cl_lw,0.75,0.3,40
omega_ka,0.5,0.1,20
omega_V,0.1,0.02,20
a,0.7,0.05,7
"""


def monolix_folder(parent: Path, *, minus_two_ll: float = 333.4, project: bool = True) -> Path:
    """12 subjects, 120 observations; BICc counts 4 with log 12 (2 betas, 2 omegas), 4 with log 120."""
    folder = parent / "run"
    (folder / "LogLikelihood").mkdir(parents=True)
    (folder / "populationParameters.txt").write_text(POPULATION)
    (folder / "LogLikelihood" / "logLikelihood.txt").write_text(
        f"criteria,importanceSampling\nOFV,{minus_two_ll}\nBICc,362.49\nstandardError,0.05\n"
    )
    (folder / "summary.txt").write_text("Monolix version : 2023R1\nNumber of individuals: 12\n")
    rows = "\n".join(f"{1 + k // 10},{k % 10},1.0,1.0" for k in range(120))
    (folder / "predictions.txt").write_text(f"id,time,y,popPred\n{rows}\n")
    if project:
        (parent / "run.mlxtran").write_text(MLXTRAN)
    return folder
