"""Compiled search by single additions, removals and exchanges: the incumbents of branch and bound.

Arrays: gram (p, p) of unit diagonal, linear (p,); starts (n + 1,) first column of each unit; conflict (n, n) bool;
requires (m, 2); state (n,) int8: 1 in, 0 out, -1 free. `at_most` < 0: no limit.
"""

from __future__ import annotations

import numpy as np
from numba import njit


def machine_code(function):
    """numba's njit; compiled once per installation where numba finds a folder for its cache."""
    try:
        return njit(nogil=True, cache=True, error_model="numpy")(function)
    except RuntimeError:
        return njit(nogil=True, error_model="numpy")(function)


#: A column with a smaller squared residual on the others is dependent on them.
PIVOT = 1e-10
#: Smallest improvement that counts, in unit costs.
LEAST = 1e-9


@machine_code
def obeys(support, conflict, requires, at_most):
    """Are the rules kept?"""
    n = len(support)
    size = 0
    for u in range(n):
        if support[u] == 1:
            size += 1
            for v in range(u):
                if support[v] == 1 and conflict[u, v]:
                    return False
    for m in range(len(requires)):
        if support[requires[m, 0]] == 1 and support[requires[m, 1]] != 1:
            return False
    return at_most < 0 or size <= at_most


@machine_code
def factorise(gram, linear, starts, support, columns, factor, along):
    """Cholesky factor of the support's independent columns and its inverse times `linear`; returns their number."""
    k = 0
    for u in range(len(support)):
        if support[u] != 1:
            continue
        for j in range(starts[u], starts[u + 1]):
            pivot = gram[j, j]
            t = linear[j]
            for i in range(k):
                value = gram[columns[i], j]
                for h in range(i):
                    value -= factor[i, h] * factor[k, h]
                value /= factor[i, i]
                factor[k, i] = value
                pivot -= value * value
                t -= value * along[i]
            if pivot > PIVOT:
                root = np.sqrt(pivot)
                factor[k, k] = root
                along[k] = t / root
                columns[k] = j
                k += 1
    return k


@machine_code
def objective(gram, linear, cost, starts, support, columns, factor, along):
    """Cost minus fit of a support."""
    k = factorise(gram, linear, starts, support, columns, factor, along)
    value = 0.0
    for i in range(k):
        value -= along[i] * along[i]
    for u in range(len(support)):
        if support[u] == 1:
            value += cost[u]
    return value


@machine_code
def _fit(matrix, vector, m):
    """vector' matrix^-1 vector of the leading m, dependent rows left out; destroys both."""
    value = 0.0
    for i in range(m):
        pivot = matrix[i, i]
        if pivot <= PIVOT:
            for h in range(i + 1, m):
                matrix[h, i] = 0.0
            continue
        value += vector[i] * vector[i] / pivot
        for h in range(i + 1, m):
            share = matrix[h, i] / pivot
            vector[h] -= share * vector[i]
            for l in range(i + 1, h + 1):  # noqa: E741
                matrix[h, l] -= share * matrix[l, i]
    return value


@machine_code
def _invert(matrix, m):
    """Inverse of the leading m rows of a small positive definite matrix, in place, by exchange steps."""
    for i in range(m):
        pivot = matrix[i, i]
        if abs(pivot) < 1e-300:
            continue
        for h in range(m):
            if h != i:
                share = matrix[h, i] / pivot
                for l in range(m):  # noqa: E741
                    if l != i:
                        matrix[h, l] -= share * matrix[i, l]
                matrix[h, i] = -share
        for l in range(m):  # noqa: E741
            if l != i:
                matrix[i, l] /= pivot
        matrix[i, i] = 1.0 / pivot


@machine_code
def _solve_all(gram, columns, factor, k, beta, along, weights, inverse, residual, pull, linear):
    """Everything an exchange needs: beta (k,), weights (k, p) = G_SS^-1 G_S, inverse (k, k), and for every column its
    squared residual on the support and its product with the target's residual."""
    p = len(linear)
    for j in range(p):
        residual[j] = gram[j, j]
        pull[j] = linear[j]
    for i in range(k):  # L^-1 G_S
        row = gram[columns[i]]
        for j in range(p):
            weights[i, j] = row[j]
        for h in range(i):
            share = factor[i, h]
            for j in range(p):
                weights[i, j] -= share * weights[h, j]
        scale = 1.0 / factor[i, i]
        t = along[i]
        for j in range(p):
            value = weights[i, j] * scale
            weights[i, j] = value
            residual[j] -= value * value
            pull[j] -= value * t
    for i in range(k):
        beta[i] = along[i]
        for h in range(k):
            inverse[i, h] = 0.0
        inverse[i, i] = 1.0 / factor[i, i]
        for h in range(i):
            share = factor[i, h] / factor[i, i]
            for l in range(h + 1):  # noqa: E741
                inverse[i, l] -= share * inverse[h, l]
    for i in range(k - 1, -1, -1):  # L^-T of both
        scale = 1.0 / factor[i, i]
        for h in range(i + 1, k):
            share = factor[h, i]
            beta[i] -= share * beta[h]
            for j in range(p):
                weights[i, j] -= share * weights[h, j]
            for l in range(k):  # noqa: E741
                inverse[i, l] -= share * inverse[h, l]
        beta[i] *= scale
        for j in range(p):
            weights[i, j] *= scale
        for l in range(k):  # noqa: E741
            inverse[i, l] *= scale


@machine_code
def _gain(gram, starts, columns, k, weights, residual, pull, v, matrix, vector):
    """What unit v takes off the objective when added."""
    a, b = starts[v], starts[v + 1]
    if b == a + 1:
        return pull[a] * pull[a] / residual[a] if residual[a] > PIVOT else 0.0
    for i in range(b - a):
        vector[i] = pull[a + i]
        for h in range(i + 1):
            value = gram[a + i, a + h]
            for s in range(k):
                value -= gram[columns[s], a + i] * weights[s, a + h]
            matrix[i, h] = value
    return _fit(matrix, vector, b - a)


@machine_code
def _exchange_gain(gram, starts, columns, k, weights, residual, pull, beta, first, last, hold, v, matrix, vector):
    """The same after the unit with positions first..last of the support has left; hold = (G_SS^-1)_uu^-1."""
    a, b = starts[v], starts[v + 1]
    m = last - first
    if b == a + 1 and m == 1:
        c = weights[first, a]
        square = residual[a] + c * c * hold[0, 0]
        product = pull[a] + c * beta[first] * hold[0, 0]
        return product * product / square if square > PIVOT else 0.0
    for i in range(b - a):
        product = pull[a + i]
        for s in range(m):
            for t in range(m):
                product += weights[first + s, a + i] * hold[s, t] * beta[first + t]
        vector[i] = product
        for h in range(i + 1):
            value = gram[a + i, a + h]
            for s in range(k):
                value -= gram[columns[s], a + i] * weights[s, a + h]
            for s in range(m):
                for t in range(m):
                    value += weights[first + s, a + i] * hold[s, t] * weights[first + t, a + h]
            matrix[i, h] = value
    return _fit(matrix, vector, b - a)


@machine_code
def _may_enter(support, conflict, requires, v, leaving):
    for u in range(len(support)):
        if support[u] == 1 and u != leaving and conflict[u, v]:
            return False
    for m in range(len(requires)):
        b = requires[m, 1]
        if requires[m, 0] == v and (support[b] != 1 or b == leaving):
            return False
    return True


@machine_code
def _may_leave(support, requires, u):
    needed = False
    for m in range(len(requires)):
        needed = needed or (requires[m, 1] == u and support[requires[m, 0]] == 1)
    return not needed


@machine_code
def improve(gram, linear, cost, starts, conflict, requires, at_most, state, support):
    """Change `support` (n,) int8 in place until no single addition, removal or exchange helps; returns its value."""
    n, p = len(cost), len(linear)
    widest = 1
    for u in range(n):
        widest = max(widest, starts[u + 1] - starts[u])
    columns = np.empty(p, np.int64)
    factor = np.empty((p, p))
    along, beta, residual, pull = np.empty(p), np.empty(p), np.empty(p), np.empty(p)
    matrix, hold, vector = np.empty((widest, widest)), np.empty((widest, widest)), np.empty(widest)
    free_entry = np.empty(n, np.bool_)
    value = 0.0
    for _ in range(20 * n + 100):
        k = factorise(gram, linear, starts, support, columns, factor, along)
        weights, inverse = np.empty((k, p)), np.empty((k, k))
        _solve_all(gram, columns, factor, k, beta, along, weights, inverse, residual, pull, linear)
        value, size = 0.0, 0
        for i in range(k):
            value -= along[i] * along[i]
        for u in range(n):
            if support[u] == 1:
                value += cost[u]
                size += 1
        best, best_in, best_out = -LEAST, -1, -1
        room = at_most < 0 or size < at_most
        for v in range(n):
            free_entry[v] = support[v] == 0 and state[v] != 0 and _may_enter(support, conflict, requires, v, -1)
            if free_entry[v] and room:
                change = cost[v] - _gain(gram, starts, columns, k, weights, residual, pull, v, matrix, vector)
                if change < best:
                    best, best_in, best_out = change, v, -1
        first = 0
        for u in range(n):
            if support[u] != 1:
                continue
            last = first
            while last < k and columns[last] < starts[u + 1]:
                last += 1
            begin, first = first, last
            if state[u] == 1 or not _may_leave(support, requires, u):
                continue
            m = last - begin
            for i in range(m):
                for h in range(m):
                    hold[i, h] = inverse[begin + i, begin + h]
            _invert(hold, m)
            loss = -cost[u]
            for i in range(m):
                for h in range(m):
                    loss += beta[begin + i] * hold[i, h] * beta[begin + h]
            if loss < best:
                best, best_in, best_out = loss, -1, u
            for v in range(n):
                if support[v] == 1 or state[v] == 0:
                    continue
                unchecked = not free_entry[v] or len(requires) > 0
                if unchecked and not _may_enter(support, conflict, requires, v, u):
                    continue
                gain = _exchange_gain(
                    gram, starts, columns, k, weights, residual, pull, beta, begin, last, hold, v, matrix, vector
                )
                change = loss + cost[v] - gain
                if change < best:
                    best, best_in, best_out = change, v, u
        if best_in < 0 and best_out < 0:
            break
        if best_out >= 0:
            support[best_out] = 0
        if best_in >= 0:
            support[best_in] = 1
    return value
