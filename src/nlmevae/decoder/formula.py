"""Models given by a formula: one compiled function of each observation, no integration."""

from __future__ import annotations

import numpy as np

from nlmevae.codegen.batch_llvm import BatchFunction, link_batch
from nlmevae.codegen.execute import substitute
from nlmevae.codegen.graph import Function
from nlmevae.codegen.latent_form import LatentForm
from nlmevae.codegen.link_llvm import host_width
from nlmevae.data.events import EventTable
from nlmevae.decoder.base import Decoder, Solution, SolveStatus

#: Observations per call of the compiled function: its columns then stay in the processor's cache.
_CHUNK = 8192


class FormulaDecoder(Decoder):
    """The decoder of a model without compartments; covariates and record items may change as they like.

    Raises:
        ValueError: the model has compartments.
    """

    backend = "formula"

    def __init__(self, form: LatentForm, table: EventTable) -> None:
        super().__init__(form, table)
        if form.n_compartments:
            raise ValueError("a model with compartments is not a formula")
        self._kernels: dict[tuple[str, ...], FormulaKernel] = {}

    def predict(self, x: np.ndarray, rows: np.ndarray | None = None) -> Solution:
        return self._solve(x, rows, ())

    def linearise(self, x: np.ndarray, rows: np.ndarray | None = None) -> Solution:
        return self._solve(x, rows, self.form.input_names)

    def close(self) -> None:
        for kernel in self._kernels.values():
            kernel.close()
        self._kernels.clear()

    def _solve(self, x: np.ndarray, rows: np.ndarray | None, wrt: tuple[str, ...]) -> Solution:
        kernel = self._kernels.get(wrt)
        if kernel is None:
            kernel = self._kernels[wrt] = FormulaKernel(self.form, self.table, wrt, host_width())
        subjects = np.arange(self.n_subjects) if rows is None else np.asarray(rows, dtype=np.int64)
        x = np.asarray(x, dtype=np.float64)
        if x.shape != (len(subjects), self.n_inputs):
            raise ValueError(f"x has shape {x.shape}, expected {(len(subjects), self.n_inputs)}")
        return kernel.solve(x, subjects, self.row_ptr(rows))


class FormulaKernel:
    """Prediction and Jacobian at every observation of the given rows.

    Args:
        wrt: inputs the Jacobian refers to, all of them or none.
    """

    def __init__(self, form: LatentForm, table: EventTable, wrt: tuple[str, ...], width: int) -> None:
        self.wrt = wrt
        self._function: BatchFunction = link_batch(_prediction(form), wrt, width)
        covariates = table.cov[table.cov_ptr[:-1]][table.ob_subject]
        self._fixed = np.ascontiguousarray(np.column_stack([covariates, table.ob_data, table.ob_time]).T)
        self._first = table.ob_ptr[:-1].astype(np.int64)

    def close(self) -> None:
        self._function.close()

    def solve(self, x: np.ndarray, rows: np.ndarray, ptr: np.ndarray) -> Solution:
        counts = np.diff(ptr)
        row = np.repeat(np.arange(len(rows)), counts)
        observation = np.arange(ptr[-1]) - np.repeat(ptr[:-1] - self._first[rows], counts)
        prediction = np.empty(ptr[-1])
        jacobian = np.zeros((ptr[-1], len(self.wrt)))
        for start in range(0, len(row), _CHUNK):
            part = slice(start, start + _CHUNK)
            columns = np.concatenate([x.T[:, row[part]], self._fixed[:, observation[part]]])
            values, derivatives = self._function(columns)
            prediction[part] = values[0]
            for entry, (_, k) in enumerate(self._function.pattern):
                jacobian[part, k] = derivatives[entry]
        status = _isolate_failures(prediction, jacobian, row, len(rows))
        return Solution(
            prediction=prediction,
            jacobian=jacobian if self.wrt else None,
            status=status,
            n_steps=np.zeros(len(rows), dtype=np.int32),
            ptr=ptr,
        )


def _prediction(form: LatentForm) -> Function:
    """`output` with the parameters replaced by their definitions: inputs x, covariates, record items, T."""
    individual = dict(zip(form.parameters, form.individual.output_nodes, strict=True))
    node = substitute(form.output.graph, form.output.output_nodes[0], individual)
    inputs = (*form.input_names, *form.covariates, *form.record_items, "T")
    return Function(name="prediction", graph=form.output.graph, inputs=inputs, outputs=(("Y", node),))


def _isolate_failures(prediction: np.ndarray, jacobian: np.ndarray, row: np.ndarray, n_rows: int) -> np.ndarray:
    """Status of each row; where one value is not finite the whole row becomes NaN, its Jacobian zero."""
    status = np.zeros(n_rows, dtype=np.int32)
    bad = ~(np.isfinite(prediction) & np.isfinite(jacobian).all(axis=1))
    if bad.any():
        status[row[bad]] = SolveStatus.NON_FINITE
        failed = status[row] != SolveStatus.OK
        prediction[failed] = np.nan
        jacobian[failed] = 0.0
    return status
