"""Library models predict what Monolix predicted: its `indivPred_mode` at its printed `*_mode` parameters."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nlmevae.frontends.monolix.structural.library import model_text
from nlmevae.frontends.monolix.structural.structure import structure
from tests.helpers.mlxtran_text import decoder_of_records, library_structure_text
from tests.helpers.reference import reference

#: name -> library model, data, results folder, columns id, time, amount, output and file of its predictions
RUNS = {
    "warfarin": ("oral1_1cpt_TlagkaVCl", "warfarin/warfarin_data.csv", "warfarin/w1", ("id", "time", "amt"), "Cc",
                 "predictions.txt"),
    "theophylline": ("oral1_1cpt_kaVCl", "theophylline_monolix/theophylline_data.txt", "theophylline_monolix/monolix",
                     ("ID", "TIME", "AMT"), "Cc", "predictions.txt"),
    "phenobarbital": ("bolus_1cpt_Vk", "phenobarbital/phenobarbital_data.csv", "phenobarbital/monolix",
                      ("ID", "TIME", "DOSE"), "Cc", "predictions.txt"),
    "parent": ("oral1_noFPE_2cptP1cptM_uni_kaVkk12k21kmKpm", "parent_metabolite/parent_metabolite_data.csv",
               "parent_metabolite/monolix", ("ID", "TIME", "AMOUNT"), "Cp", "predictions_y1_Cp.txt"),
    "metabolite": ("oral1_noFPE_2cptP1cptM_uni_kaVkk12k21kmKpm", "parent_metabolite/parent_metabolite_data.csv",
                   "parent_metabolite/monolix", ("ID", "TIME", "AMOUNT"), "Cm", "predictions_y2_Cm.txt"),
}  # fmt: skip
#: Monolix prints six digits of parameters and predictions; where a curve is steep or small they count more than once.
PRINTED = 2e-4


@pytest.mark.parametrize("run", RUNS)
def test_individual_predictions_are_those_of_monolix(tmp_path, run):
    name, data, results, (id_, time, amount), output, file = RUNS[run]
    text = library_structure_text(model_text(name))
    found = structure(text)
    rows = pd.read_csv(reference(data), sep=None, engine="python", encoding="utf-8-sig", na_values=".")
    doses = rows[rows[amount].notna() & (rows[amount] != 0)]
    predicted = pd.read_csv(reference(f"{results}/{file}"))
    column = "indivPred_mode" if "indivPred_mode" in predicted else "indPred_mode"
    modes = pd.read_csv(reference(f"{results}/IndividualParameters/estimatedIndividualParameters.txt")).set_index("id")
    observed = found.structural.default_observation
    records, order = [], []
    subjects = list(dict.fromkeys(predicted["id"]))
    for n, subject in enumerate(subjects, 1):
        own = [(n, float(t), float(a), 0.0, found.inputs[0].compartment, 1)
               for t, a in doses[doses[id_] == subject][[time, amount]].to_numpy()]  # fmt: skip
        seen = predicted[predicted["id"] == subject]
        own += [(n, float(t), 0.0, 0.0, observed, 0) for t in seen["time"]]
        records += sorted(own, key=lambda record: (record[1], record[5] == 0))
        order += list(seen[column])
    values = {p: float(modes[f"{p}_mode"].iloc[0]) for p in text.inputs}
    decoder = decoder_of_records(tmp_path, found, values, records, output=output)
    start = np.array([[np.log(modes.loc[s, f"{p}_mode"] / values[p]) for p in text.inputs] for s in subjects])
    own = decoder.predict(start).prediction.ravel()
    assert len(own) == len(order) > 100
    np.testing.assert_allclose(own, order, rtol=PRINTED, atol=PRINTED * np.max(order) / 10)
