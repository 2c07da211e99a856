"""Likelihood of supports with everything else at its optimum: (gamma, beta) and Omega profiled out.

For given Omega the coefficients are generalised least squares. Omega moves by Newton steps on the profile
likelihood, in the coordinates X = sum_j x_j B_j of Omega = L (I + X) L', L the Cholesky factor of the current one:
blocks, FIX and SAME are kept, and standard deviations that would fall below their floor are put there. With u_i the
W_i-weighted residual and S = sum_i W_i - u_i u_i' the derivatives of -2LL along a direction B of Omega are

    first            <S, B>
    second           sum_i 2 u'B W B'u - tr(W B W B') - 2 K'A^-1 K,   K = sum_i Z_i'W_i B u_i
    its expectation  sum_i tr(W B W B')

Far away the expectation decides the step: it jumps to the right size of Omega from both sides. Near the optimum it only
bounds the curvature. Where a block becomes singular the step is one of L itself. A step that does not improve is
shortened. Many supports are worked on at once, because they differ by one effect and numpy likes long arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nlmevae.estimation.gaussian_likelihood import EffectDesign, GaussianLikelihood

TOLERANCE = 1e-6  # of -2LL that the next step promises
MAX_STEPS, SHORTEN = 60, 0.4
LARGEST_GROWTH, LARGEST_SHRINK = 1e6, 30.0  # of a variance in one step
FAR = 0.5  # of -2LL that a step by expected curvature promises
LONGEST_FACTOR_STEP = 1.5  # of L, in standard deviations
CURVATURE = (0.25, 2.5)  # times the expected one
RIDGE = 1e-11  # on unit diagonals: columns that depend on others share their effect
BATCH_ELEMENTS = 200_000  # of the largest array: what the processor caches


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearMixedModel:
    """The Gaussian model of all subjects that count, with every candidate column.

    basis (m, d, d): symmetric 0/1 directions, one per free element of Omega (coordinates.omega_basis); everything
    else of Omega is fixed. floor (d,): smallest standard deviations.
    """

    likelihood: GaussianLikelihood
    design: EffectDesign
    basis: np.ndarray
    floor: np.ndarray

    @classmethod
    def of(
        cls, likelihood: GaussianLikelihood, design: EffectDesign, basis: np.ndarray, floor: np.ndarray
    ) -> LinearMixedModel:
        """Subjects of weight 0 are left out."""
        counts = likelihood.weight > 0
        if not counts.all():
            likelihood, design = likelihood.subset(counts), design.subset(counts)
        return cls(likelihood=likelihood, design=design, basis=basis, floor=floor)

    @property
    def n_subjects(self) -> int:
        return self.likelihood.target.shape[1]

    def resampled(self, weight: np.ndarray) -> LinearMixedModel:
        """Every subject counted `weight` (N,) times."""
        return LinearMixedModel.of(self.likelihood.weighted(weight), self.design, self.basis, self.floor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """gamma (q,), beta (C,) zero outside the support, omega (d, d), -2LL up to the constant of the likelihood."""

    gamma: np.ndarray
    beta: np.ndarray
    omega: np.ndarray
    minus_two_ll: float
    converged: bool


def basis_of(mask: np.ndarray) -> np.ndarray:
    """(m, d, d) one direction per free element of a mask (d, d) without repeated blocks."""
    pairs = [(i, j) for i in range(len(mask)) for j in range(i + 1) if mask[i, j]]
    basis = np.zeros((len(pairs), *mask.shape))
    for number, (i, j) in enumerate(pairs):
        basis[number, i, j] = basis[number, j, i] = 1.0
    return basis


def profile(
    model: LinearMixedModel, columns: np.ndarray, omega: np.ndarray, *, tolerance: float = TOLERANCE
) -> Profile:
    """Of one support: columns (C,) bool, omega (d, d) to start from."""
    return profile_all(model, [columns], omega[None], tolerance=tolerance)[0]


def profile_all(
    model: LinearMixedModel, columns: Sequence[np.ndarray], omega: np.ndarray, *, tolerance: float = TOLERANCE
) -> list[Profile]:
    """Of several supports: columns B times (C,) bool, omega (B, d, d) to start from."""
    used = [np.flatnonzero(c) for c in columns]
    by_size = sorted(range(len(used)), key=lambda b: len(used[b]))
    found: list[Profile | None] = [None] * len(used)
    d, n = model.likelihood.target.shape
    while by_size:
        width = model.design.n_base + len(used[by_size[-1]]) + d + 4
        size = max(1, BATCH_ELEMENTS // (width * d * max(n, 1)))
        chunk, by_size = by_size[-size:], by_size[:-size]
        for b, result in zip(chunk, _Climb(model, [used[b] for b in chunk], omega[chunk]).run(tolerance), strict=True):
            found[b] = result
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
    """value (B,), coefficients (B, P), and in raw coordinates of Omega: slope (B, d, d) = S, expected and observed
    (B, m, m)."""

    value: np.ndarray
    coefficients: np.ndarray
    slope: np.ndarray
    expected: np.ndarray
    observed: np.ndarray


@dataclass(slots=True)
class _Steps:
    """Of every support: move (B, m), the gain of -2LL it promises (B,), and whether it is one of L (B,)."""

    move: np.ndarray
    promised: np.ndarray
    by_factor: np.ndarray

    def at(self, members: np.ndarray) -> _Steps:
        return _Steps(move=self.move[members], promised=self.promised[members], by_factor=self.by_factor[members])

    def put(self, members: np.ndarray, new: _Steps) -> None:
        self.move[members], self.promised[members], self.by_factor[members] = new.move, new.promised, new.by_factor


class _Climb:
    """One batch of supports on the way to their optima."""

    def __init__(self, model: LinearMixedModel, used: list[np.ndarray], omega: np.ndarray) -> None:
        self.model, self.used = model, used
        design, likelihood = model.design, model.likelihood
        self.residual = likelihood.target - np.einsum("rki,ki->ri", likelihood.root, design.offset)
        self.root_weight = np.sqrt(likelihood.weight)
        self.unit_weight = bool((likelihood.weight == 1.0).all())
        self.base_entries = [(j, k) for j, k in np.argwhere(design.base.any(axis=2))]
        self.basis_entries = [(j, a, b) for j, a, b in np.argwhere(model.basis)]
        self.flat_basis = model.basis.reshape(len(model.basis), model.likelihood.n_latents**2)
        self.norm = (self.flat_basis**2).sum(axis=1)
        self.variances = np.diagonal(model.basis, axis1=1, axis2=2) > 0
        self.free = model.basis.any(axis=0)
        self.diagonal = not (self.free & ~np.eye(len(self.free), dtype=bool)).any()
        self.columns = self._padded(used)
        self.omega = self._lifted(omega)

    def _padded(self, used: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Latent (B, p) and values (B, p, N) of each support's columns; zeros behind the shorter ones."""
        design = self.model.design
        width = max((len(u) for u in used), default=0)
        index = np.full((len(used), width), design.n_columns)
        for b, u in enumerate(used):
            index[b, : len(u)] = u
        union = np.unique(index)
        values = np.zeros((len(union), design.values.shape[1]))
        real = union < design.n_columns
        values[real] = design.values[union[real]]
        return np.append(design.latent, 0)[index], values[np.searchsorted(union, index)]

    def run(self, tolerance: float) -> list[Profile]:
        n_supports = len(self.used)
        point = self._evaluate(np.arange(n_supports), self.omega)
        best, coefficients = point.value.copy(), point.coefficients.copy()
        converged = np.zeros(n_supports, dtype=bool)
        active = np.arange(n_supports)
        steps = self._steps(active, point)
        share = np.ones(n_supports)
        for _ in range(MAX_STEPS):
            done = steps.promised[active] < tolerance
            converged[active[done]] = True
            active = active[~done]
            if not len(active):
                break
            trial = self._moved(active, share[active], steps.at(active))
            point = self._evaluate(active, trial)
            better = point.value <= best[active] + 1e-9
            accepted = active[better]
            stuck = better & (best[active] - point.value < 1e-3 * tolerance) & (share[active] == 1.0)
            self.omega[accepted] = trial[better]
            best[accepted], coefficients[accepted] = point.value[better], point.coefficients[better]
            share[active[~better]] *= SHORTEN
            share[accepted] = 1.0
            if better.any():
                steps.put(accepted, self._steps(accepted, _take(point, better)))
            steps.promised[active[stuck | (share[active] < SHORTEN**10)]] = 0.0
        return [self._result(b, coefficients[b], best[b], converged[b]) for b in range(n_supports)]

    def _result(self, b: int, coefficients: np.ndarray, value: float, converged: bool) -> Profile:
        q = self.model.design.n_base
        beta = np.zeros(self.model.design.n_columns)
        beta[self.used[b]] = coefficients[q : q + len(self.used[b])]
        return Profile(
            gamma=coefficients[:q],
            beta=beta,
            omega=self.omega[b],
            minus_two_ll=float(value),
            converged=bool(converged),
        )

    def _evaluate(self, members: np.ndarray, omega: np.ndarray) -> _Point:
        likelihood = self.model.likelihood
        d, n = likelihood.target.shape
        log_det, root, white = likelihood.eliminate(omega, self.residual)
        if not self.unit_weight:
            root, white = root * self.root_weight, white * self.root_weight
        columns = self._columns(members, root)
        flat = columns.reshape(len(members), -1, d * n)
        gram = flat @ flat.swapaxes(1, 2)
        coefficients = _solve(gram, (flat @ white.reshape(len(members), -1, 1)))[:, :, 0]
        white = white - (coefficients[:, None] @ flat).reshape(white.shape)
        value = log_det @ likelihood.weight + (white**2).sum(axis=(1, 2))
        return _Point(value=value, coefficients=coefficients, **self._derivatives(root, white, flat, gram))

    def _columns(self, members: np.ndarray, root: np.ndarray) -> np.ndarray:
        """(B, q + p, d, N) K_i^-1 R_i Z_i."""
        design = self.model.design
        latent, values = self.columns
        q = design.n_base
        columns = np.empty((len(members), q + latent.shape[1], *root.shape[2:]))
        columns[:, :q] = 0.0
        for j, k in self.base_entries:
            columns[:, j] += root[:, :, k] * design.base[j, k]
        own = root.swapaxes(1, 2)[np.arange(len(members))[:, None], latent[members]]
        np.multiply(own, values[members][:, :, None], out=columns[:, q:])
        return columns

    def _derivatives(
        self, root: np.ndarray, white: np.ndarray, flat: np.ndarray, gram: np.ndarray
    ) -> dict[str, np.ndarray]:
        n_supports, d, _, n = root.shape
        m = len(self.model.basis)
        information = np.zeros((n_supports, d, d, n))
        for r in range(d):
            information += root[:, r, :, None] * root[:, r, None]
        score = (root * white[:, :, None]).sum(axis=1)
        weight = self.model.likelihood.weight
        plain_score = score if self.unit_weight else score / weight
        plain = information if self.unit_weight else information / weight
        wide = (n_supports, d * d, n)
        products = (score[:, :, None] * plain_score[:, None]).reshape(wide)
        slope = information.sum(axis=3) - products.sum(axis=2).reshape(n_supports, d, d)
        right = plain.reshape(wide).swapaxes(1, 2)
        expected = self._pair(information.reshape(wide) @ right, (1, 4, 2, 3))
        twice = self._pair(products @ right, (1, 3, 4, 2))
        turned = np.zeros((n_supports, m, d, n))
        for j, a, b in self.basis_entries:
            turned[:, j] += root[:, :, a] * plain_score[:, None, b]
        cross = flat @ turned.reshape(n_supports, m, d * n).swapaxes(1, 2)
        observed = 2.0 * twice - expected - 2.0 * cross.swapaxes(1, 2) @ _solve(gram, cross)
        return {"slope": slope, "expected": expected, "observed": observed}

    def _pair(self, sums: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
        """(B, m, m) from sum_i (first)_xy (second)_zw of shape (B, d^2, d^2), its axes (x, y, z, w) in `order`
        so that the outer two meet one basis direction and the inner two the other."""
        d = self.model.likelihood.n_latents
        ordered = sums.reshape(-1, d, d, d, d).transpose(0, *order).reshape(-1, d * d, d * d)
        return self.flat_basis @ ordered @ self.flat_basis.T

    def _steps(self, members: np.ndarray, point: _Point) -> _Steps:
        omega, basis = self.omega[members], self.model.basis
        chol = np.linalg.cholesky(omega)
        if not len(basis):
            none = np.zeros(len(members))
            return _Steps(move=np.zeros((len(members), 0)), promised=none, by_factor=none.astype(bool))
        spread = chol[:, None] @ basis @ chol[:, None].swapaxes(2, 3)
        move, promised = self._newton(point, spread, np.zeros((1, 1, 1)), self._at_floor(omega))
        by_factor = np.zeros(len(members), dtype=bool)
        if self.diagonal:
            return _Steps(move=np.minimum(move, LARGEST_GROWTH), promised=promised, by_factor=by_factor)
        smallest = np.linalg.eigvalsh(np.eye(len(self.free)) + np.tensordot(move, basis, axes=1))[:, 0]
        by_factor = smallest < 1.0 / LARGEST_SHRINK
        if by_factor.any():
            move[by_factor], promised[by_factor] = self._factor_steps(chol[by_factor], _take(point, by_factor))
        return _Steps(move=np.minimum(move, LARGEST_GROWTH), promised=promised, by_factor=by_factor)

    def _factor_steps(self, chol: np.ndarray, point: _Point) -> tuple[np.ndarray, np.ndarray]:
        """Steps of L itself, towards or along the boundary where a block is nearly singular: there L (I + X) L' can
        hardly turn the direction without variance, but L reaches the boundary, at L_kk = floor, like any point."""
        triangles = np.tril(self.model.basis)
        half = triangles @ chol[:, None].swapaxes(2, 3)
        values, vectors = np.linalg.eigh(point.slope)
        upwards = (vectors * np.maximum(values, 0.0)[:, None]) @ vectors.swapaxes(1, 2)
        bends = [self._bend(s, triangles) for s in (point.slope, upwards)]
        diagonal = np.diagonal(chol, axis1=1, axis2=2) <= self.model.floor * (1 + 1e-9)
        at_floor = (diagonal[:, None] & self.variances).any(axis=2)
        move, promised = self._newton(point, half + half.swapaxes(2, 3), bends[0], at_floor, metric_bend=bends[1])
        change = np.linalg.norm(np.tensordot(move, triangles, axes=1), axis=2)
        longest = (change / np.linalg.norm(chol, axis=2)).max(axis=1, keepdims=True)
        return move * np.minimum(1.0, LONGEST_FACTOR_STEP / np.maximum(longest, 1e-300)), promised

    @staticmethod
    def _bend(slope: np.ndarray, triangles: np.ndarray) -> np.ndarray:
        """(B, m, m) second derivative of <slope, L L'>."""
        turned = (slope[:, None] @ triangles).reshape(len(slope), len(triangles), -1)
        return 2.0 * turned @ triangles.reshape(len(triangles), -1).T

    def _newton(
        self,
        point: _Point,
        spread: np.ndarray,
        bend: np.ndarray,
        at_floor: np.ndarray,
        *,
        metric_bend: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Step (B, m) and promised gain (B,) in coordinates whose directions of Omega are `spread` (B, m, d, d) and
        whose second derivative adds `bend`; coordinates at their floor (B, m) do not go down."""
        n_supports, m = spread.shape[:2]
        turn = (spread.reshape(n_supports, m, -1) @ (self.flat_basis / self.norm[:, None]).T).swapaxes(1, 2)
        back = turn.swapaxes(1, 2)
        gradient = (back @ (self.flat_basis @ point.slope.reshape(n_supports, -1, 1)))[:, :, 0]
        held = at_floor & (gradient > 0)
        gradient = np.where(held, 0.0, gradient)
        apart = held[:, :, None] | held[:, None]
        metric = back @ point.expected @ turn + (bend if metric_bend is None else metric_bend)
        metric = np.where(apart, np.eye(m), metric)
        observed = np.where(apart, np.eye(m), back @ point.observed @ turn + bend)
        diagonal = np.diagonal(metric, axis1=1, axis2=2)
        ridge = RIDGE * np.where(diagonal > 0, diagonal, 1.0)[:, :, None] * np.eye(m)
        half = np.linalg.inv(np.linalg.cholesky(metric + ridge))
        curvature, axes = np.linalg.eigh(half @ observed @ half.swapaxes(1, 2))
        towards = axes.swapaxes(1, 2) @ half
        pull = (towards @ gradient[:, :, None])[:, :, 0]
        far = (pull**2).sum(axis=1, keepdims=True) > 2.0 * FAR
        step = pull / np.where(far, 1.0, np.clip(curvature, *CURVATURE))
        return -(towards.swapaxes(1, 2) @ step[:, :, None])[:, :, 0], 0.5 * (pull * step).sum(axis=1)

    def _at_floor(self, omega: np.ndarray) -> np.ndarray:
        """(B, m) variances at their floor; in blocks, factor steps see to that."""
        if not self.diagonal:
            return np.zeros((len(omega), len(self.model.basis)), dtype=bool)
        low = np.diagonal(omega, axis1=1, axis2=2) <= self.model.floor**2 * (1 + 1e-9)
        return (low[:, None] & self.variances).any(axis=2)

    def _moved(self, members: np.ndarray, share: np.ndarray, steps: _Steps) -> np.ndarray:
        omega = self.omega[members]
        chol = np.linalg.cholesky(omega)
        change = np.tensordot(share[:, None] * steps.move, self.model.basis, axes=1)
        values, vectors = np.linalg.eigh(np.eye(len(self.free)) + change)
        root = chol @ (vectors * np.sqrt(np.maximum(values, 1.0 / LARGEST_SHRINK))[:, None])
        if steps.by_factor.any():
            factor = chol + np.tril(change)
            k = np.flatnonzero(np.diag(self.free))
            factor[:, k, k] = np.maximum(factor[:, k, k], self.model.floor[k])
            root = np.where(steps.by_factor[:, None, None], factor, root)
        moved = np.where(self.free, root @ root.swapaxes(1, 2), omega)
        return self._lifted(moved) if self.diagonal else moved

    def _lifted(self, omega: np.ndarray) -> np.ndarray:
        """With no free standard deviation below its floor, in no direction of a block."""
        floor = self.model.floor
        lifted = omega.copy()
        if self.diagonal:
            k = np.flatnonzero(np.diag(self.free))
            lifted[:, k, k] = np.maximum(lifted[:, k, k], floor[k] ** 2)
            return lifted
        values, vectors = np.linalg.eigh(omega / np.outer(floor, floor))
        if (values[:, 0] >= 1.0).all():
            return lifted
        raised = (vectors * np.maximum(values, 1.0)[:, None]) @ vectors.swapaxes(1, 2) * np.outer(floor, floor)
        shared = (raised.reshape(len(omega), -1) @ self.flat_basis.T / self.norm) @ self.flat_basis
        return np.where(self.free, shared.reshape(omega.shape), omega)


def _take(point: _Point, which: np.ndarray) -> _Point:
    return _Point(
        value=point.value[which],
        coefficients=point.coefficients[which],
        slope=point.slope[which],
        expected=point.expected[which],
        observed=point.observed[which],
    )


def _solve(gram: np.ndarray, right: np.ndarray) -> np.ndarray:
    """gram (B, P, P), right (B, P, k); columns without information get 0."""
    diagonal = np.diagonal(gram, axis1=1, axis2=2)
    scale = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    unit = gram * scale[:, :, None] * scale[:, None]
    unit += RIDGE * np.eye(gram.shape[1])
    return scale[:, :, None] * np.linalg.solve(unit, scale[:, :, None] * right)
