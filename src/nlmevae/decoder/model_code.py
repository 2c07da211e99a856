"""The machine code of one model with its data, which decoders of different tolerances share."""

from __future__ import annotations

import threading

from nlmevae.codegen.latent_form import LatentForm
from nlmevae.data.events import EventTable
from nlmevae.decoder.compiled_model import CompiledModel
from nlmevae.decoder.formula import FormulaKernel

#: (with sensitivities, with the Rosenbrock method)
Kind = tuple[bool, bool]


class ModelCode:
    """Kernels are compiled when first needed. Calls from several threads at once are safe."""

    def __init__(self, form: LatentForm, table: EventTable, width: int) -> None:
        self._form, self._table, self._width = form, table, width
        self._models: dict[Kind, CompiledModel] = {}
        self._formulas: dict[bool, FormulaKernel] = {}
        self._linking = threading.Lock()

    def model(self, kind: Kind) -> CompiledModel:
        """Of a model with compartments."""
        sensitivities, implicit = kind
        with self._linking:
            if kind not in self._models:
                wrt = self._form.input_names if sensitivities else ()
                self._models[kind] = CompiledModel(self._form, self._table, wrt, self._width, implicit=implicit)
            return self._models[kind]

    def formula(self, *, sensitivities: bool) -> FormulaKernel:
        """Of a model without compartments."""
        with self._linking:
            if sensitivities not in self._formulas:
                wrt = self._form.input_names if sensitivities else ()
                self._formulas[sensitivities] = FormulaKernel(self._form, self._table, wrt, self._width)
            return self._formulas[sensitivities]

    def close(self) -> None:
        for linked in (*self._models.values(), *self._formulas.values()):
            linked.close()
        self._models.clear()
        self._formulas.clear()
