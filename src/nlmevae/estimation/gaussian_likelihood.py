"""The likelihood of every subject as a Gaussian in z, and the population likelihood that follows from it.

    p(y_i | z) is proportional to exp(-z' Lambda_i z / 2 + nat_i' z)
    Lambda_i = C_i^-1 - Omega^-1,   nat_i = Lambda_i m_i + Omega^-1 (m_i - mu_i)

with posterior mean m_i and covariance C_i at (mu_i, Omega). In the factor Lambda_i = R_i'R_i, nat_i = R_i'e_i this is
a linear mixed model with d pseudo-observations per subject, e_i = R_i z_i + N(0, I), so that

    e_i ~ N(R_i mu_i, M_i),   M_i = I + R_i Omega R_i'
    -2LL = sum_i log|M_i| + (e_i - R_i mu_i)' M_i^-1 (e_i - R_i mu_i)

and the observed information of mu_i is W_i = R_i' M_i^-1 R_i = Omega^-1 - Omega^-1 (Lambda_i + Omega^-1)^-1 Omega^-1.
M_i >= I, so nothing here is inverted that can be singular, neither for Lambda_i = 0 nor for Omega = 0.

Arrays are laid out with the subjects last, (..., d, N), and with a leading axis B where several Omega are evaluated
at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

#: Largest precision of a subject's data in units of the prior's: beyond it z_i is as good as known.
LARGEST_INFORMATION = 1e10
#: No pseudo-observation lies further from its prediction than this many of its standard deviations. It matters only
#: where a posterior is displaced but not narrower than the prior: such a shift has no Gaussian likelihood behind it,
#: and as a pure tilt exp(nat'z) it would make the likelihood unbounded in Omega.
FARTHEST = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianLikelihood:
    """root (d, d, N): R_i[r, k]; target (d, N): e_i; weight (N,): how often each subject counts."""

    root: np.ndarray
    target: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(
        cls, mean: np.ndarray, cov: np.ndarray, prior_mean: np.ndarray, omega: np.ndarray, ok: np.ndarray
    ) -> GaussianLikelihood:
        """From posteriors at (prior_mean, omega): mean (N, d), cov (N, d, d), prior_mean (N, d), omega (d, d).

        Directions in which a posterior is wider than the prior carry no information (Lambda clipped at 0).
        Subjects that are not `ok` (N,) do not count.
        """
        d = len(omega)
        usable = ok & np.isfinite(mean).all(axis=1) & np.isfinite(cov).all(axis=(1, 2))
        mean = np.where(usable[:, None], mean, prior_mean)
        cov = np.where(usable[:, None, None], cov, omega)
        whiten = np.linalg.inv(np.linalg.cholesky(omega))
        variance, axes = np.linalg.eigh(whiten @ cov @ whiten.T)
        shift = ((mean - prior_mean) @ whiten.T)[:, None, :] @ axes
        shift = shift[:, 0]
        square = np.minimum(shift**2, 0.99 * FARTHEST**2)
        least = square / (FARTHEST**2 - square)
        information = 1.0 / np.maximum(variance, 1.0 / LARGEST_INFORMATION) - 1.0
        length = np.sqrt(np.maximum(information, least))
        root = length[:, :, None] * (np.swapaxes(axes, 1, 2) @ whiten)
        pull = np.divide((1.0 + length**2) * shift, length, out=np.zeros_like(shift), where=length > 0)
        target = (root @ prior_mean[:, :, None])[:, :, 0] + pull
        return cls(
            root=np.ascontiguousarray(np.moveaxis(root, 0, -1)).reshape(d, d, -1),
            target=np.ascontiguousarray(target.T),
            weight=usable.astype(float),
        )

    @property
    def n_latents(self) -> int:
        return len(self.root)

    @property
    def information(self) -> np.ndarray:
        """(N, d, d) Lambda_i."""
        return np.einsum("rki,rli->ikl", self.root, self.root)

    @property
    def natural(self) -> np.ndarray:
        """(N, d) nat_i."""
        return np.einsum("rki,ri->ik", self.root, self.target)

    def weighted(self, weight: np.ndarray) -> GaussianLikelihood:
        """Every subject counted `weight` (N,) times (subjects that do not count stay out)."""
        return replace(self, weight=self.weight * weight)

    def subset(self, subjects: np.ndarray) -> GaussianLikelihood:
        """Only these subjects, an index or mask (N,)."""
        return GaussianLikelihood(
            root=np.ascontiguousarray(self.root[:, :, subjects]),
            target=np.ascontiguousarray(self.target[:, subjects]),
            weight=self.weight[subjects],
        )

    def minus_two_ll(self, mu: np.ndarray, omega: np.ndarray) -> float:
        """-2 log of the marginal likelihood at mu (N, d) and omega (d, d), up to a constant that depends on neither."""
        residual = self.target - np.einsum("rki,ik->ri", self.root, mu)
        log_det, _, white = self.eliminate(omega[None], residual)
        return float((self.weight * (log_det[0] + (white[0] ** 2).sum(axis=0))).sum())

    def shrinkage(self, omega: np.ndarray) -> np.ndarray:
        """(d,) 1 - sqrt(1 - mean posterior variance / prior variance), NONMEM's shrinkage of standard deviations.

        A linear-Gaussian model's expected variance of the conditional means is the prior variance less the
        mean posterior variance.
        """
        _, root, _ = self.eliminate(omega[None], self.target)
        explained = np.einsum("rki,kl->rli", root[0], omega)  # S = Omega - Omega W Omega
        share = (self.weight * (explained**2).sum(axis=0)).sum(axis=-1) / max(self.weight.sum(), 1.0) / np.diag(omega)
        return 1.0 - np.sqrt(np.clip(share, 0.0, 1.0))

    def eliminate(self, omega: np.ndarray, residual: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """With M_i = K_i K_i' at each of omega (B, d, d): log|M_i| (B, N), K_i^-1 R_i (B, d, d, N) and
        K_i^-1 residual_i (B, d, N) for residual (d, N). W_i is the square of the second."""
        d, n = self.target.shape
        by_column = np.ascontiguousarray(self.root.transpose(1, 0, 2))
        spread = (omega.reshape(-1, d) @ by_column.reshape(d, d * n)).reshape(-1, d, d, n)
        m = np.zeros((len(omega), d, d, n))
        for k in range(d):
            m += spread[:, k, :, None] * by_column[k][None, None]
        rows = np.empty((len(omega), d, d + 1, n))
        rows[:, :, :d] = self.root
        rows[:, :, d] = residual
        log_det = np.zeros((len(omega), n))
        for j in range(d):
            m[:, j, j] += 1.0
            log_det += np.log(m[:, j, j])
            scale = 1.0 / np.sqrt(m[:, j, j])
            rows[:, j] *= scale[:, None]
            if j + 1 < d:
                column = m[:, j + 1 :, j] * scale[:, None]
                m[:, j + 1 :, j + 1 :] -= column[:, :, None] * column[:, None]
                rows[:, j + 1 :] -= column[:, :, None] * rows[:, j, None]
        return log_det, rows[:, :, :d], rows[:, :, d]


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectDesign:
    """mu_i = offset_i + B_i gamma + X_i beta.

    offset (d, N); base (q, d, N), the fixed effects that are always in; latent (C,) on which each candidate column
    acts; values (C, N).
    """

    offset: np.ndarray
    base: np.ndarray
    latent: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, offset: np.ndarray, base: np.ndarray, latent: np.ndarray, values: np.ndarray) -> EffectDesign:
        """From offset (N, d), base (N, d, q), latent (C,), values (N, C)."""
        return cls(
            offset=np.ascontiguousarray(offset.T, dtype=float),
            base=np.ascontiguousarray(np.moveaxis(base, 0, -1).swapaxes(0, 1), dtype=float),
            latent=np.asarray(latent, dtype=int),
            values=np.ascontiguousarray(np.asarray(values, dtype=float).T),
        )

    @property
    def n_base(self) -> int:
        return len(self.base)

    @property
    def n_columns(self) -> int:
        return len(self.latent)

    def mean(self, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
        """(N, d) mu at gamma (q,) and beta (C,)."""
        mu = self.offset + np.tensordot(gamma, self.base, axes=1)
        used = np.flatnonzero(beta)
        np.add.at(mu, self.latent[used], beta[used, None] * self.values[used])
        return mu.T

    def subset(self, subjects: np.ndarray) -> EffectDesign:
        return EffectDesign(
            offset=np.ascontiguousarray(self.offset[:, subjects]),
            base=np.ascontiguousarray(self.base[:, :, subjects]),
            latent=self.latent,
            values=np.ascontiguousarray(self.values[:, subjects]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalEquations:
    """-2LL(gamma, beta | Omega) = b'Ab - 2 g'b + constant, b = (gamma, beta): A in the blocks base (q, q),
    cross (q, C), gram (C, C), and g in base_linear (q,), linear (C,)."""

    base: np.ndarray
    cross: np.ndarray
    gram: np.ndarray
    base_linear: np.ndarray
    linear: np.ndarray
    constant: float

    def without_base(self) -> tuple[np.ndarray, np.ndarray, float]:
        """gram (C, C), linear (C,) and constant of what is left when gamma is at its optimum for every beta."""
        projection = _minimum_norm(self.base, np.column_stack([self.cross, self.base_linear]))
        gram = self.gram - self.cross.T @ projection[:, :-1]
        gram += gram.T
        gram *= 0.5
        linear = self.linear - self.cross.T @ projection[:, -1]
        return gram, linear, float(self.constant - self.base_linear @ projection[:, -1])

    def base_optimum(self, beta: np.ndarray) -> np.ndarray:
        """(q,) gamma at the optimum given beta (C,)."""
        return _minimum_norm(self.base, self.base_linear - self.cross @ beta)


def normal_equations(likelihood: GaussianLikelihood, design: EffectDesign, omega: np.ndarray) -> NormalEquations:
    """Of all columns at omega (d, d).

    A column acts on one latent only, so A[c, c'] = sum_i W_i[k, k'] x_ic x_ic' is one matrix product per pair of
    latents.
    """
    d = likelihood.n_latents
    residual = likelihood.target - np.einsum("rki,ki->ri", likelihood.root, design.offset)
    log_det, root, white = likelihood.eliminate(omega[None], residual)
    root, white, weight = root[0], white[0], likelihood.weight
    information = weight * (root[:, :, None] * root[:, None]).sum(axis=0)
    score = weight * (root * white[:, None]).sum(axis=0)
    weighted_base = (information[None] * design.base[:, None]).sum(axis=2)
    columns = [np.flatnonzero(design.latent == k) for k in range(d)]
    gram = np.empty((design.n_columns, design.n_columns))
    cross = np.empty((design.n_base, design.n_columns))
    linear = np.empty(design.n_columns)
    x = [design.values[c] for c in columns]
    for k in range(d):
        linear[columns[k]] = x[k] @ score[k]
        cross[:, columns[k]] = weighted_base[:, k] @ x[k].T
        for j in range(k + 1):
            block = (x[k] * information[k, j]) @ x[j].T
            gram[np.ix_(columns[k], columns[j])] = block
            if j < k:
                gram[np.ix_(columns[j], columns[k])] = block.T
    flat = (design.n_base, -1)
    return NormalEquations(
        base=design.base.reshape(flat) @ weighted_base.reshape(flat).T,
        cross=cross,
        gram=gram,
        base_linear=design.base.reshape(flat) @ score.ravel(),
        linear=linear,
        constant=float((weight * (log_det[0] + (white**2).sum(axis=0))).sum()),
    )


def _minimum_norm(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Least-squares solution on the scale of unit diagonals: a direction without information gets 0."""
    shape = (-1,) + (1,) * (right.ndim - 1)
    acts = np.diag(matrix) > 0.0  # not so: a coefficient of a category that no subject has
    scale = np.sqrt(np.where(acts, np.diag(matrix), 1.0))
    found = np.linalg.lstsq(matrix / np.outer(scale, scale), right / scale.reshape(shape), rcond=1e-11)[0]
    return np.where(acts.reshape(shape), found / scale.reshape(shape), 0.0)
