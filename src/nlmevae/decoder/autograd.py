"""A decoder inside torch's automatic differentiation."""

from __future__ import annotations

import numpy as np
import torch

from nlmevae.decoder.base import Decoder


def decode(decoder: Decoder, x: torch.Tensor, rows: np.ndarray | None = None) -> torch.Tensor:
    """Predictions (M,) of decoder inputs x (R, n_inputs), differentiable in x.

    One `linearise` gives predictions and Jacobian; the backward pass is a product with that Jacobian, no
    second solve. Failed rows give NaN predictions and no gradient. Without gradients it is a `predict`.
    dtype and device of the result are those of x; the arithmetic is float64 on the CPU. First derivatives
    only: a second differentiation raises.
    """
    if x.requires_grad and torch.is_grad_enabled():
        return _Decode.apply(x, decoder, rows)
    return torch.as_tensor(decoder.predict(_array(x), rows).prediction).to(x)


def _array(x: torch.Tensor) -> np.ndarray:
    return x.detach().to("cpu", torch.float64).numpy()


class _Decode(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, decoder, rows):
        solution = decoder.linearise(_array(x), rows)
        ctx.solution = solution
        return torch.as_tensor(solution.prediction).to(x)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        solution = ctx.solution
        failed = np.isnan(solution.prediction)
        incoming = np.where(failed, 0.0, _array(gradient))  # NaN losses of failed rows stop here
        return torch.as_tensor(sum_rows(incoming[:, None] * solution.jacobian, solution.ptr)).to(gradient), None, None


def sum_rows(terms: np.ndarray, ptr: np.ndarray) -> np.ndarray:
    """(R, c): sums of terms[ptr[r]:ptr[r+1]], terms (M, c); zero for rows without observations."""
    total = np.zeros((len(ptr) - 1, terms.shape[1]))
    present = np.diff(ptr) > 0
    if present.any():
        total[present] = np.add.reduceat(terms, ptr[:-1][present], axis=0)
    return total
