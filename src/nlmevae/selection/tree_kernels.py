"""Compiled branch and bound on the perspective relaxation (`relaxation` has the bound's formula).

A node is a state (n,) of the units (1 in, 0 out, -1 free), a point b (p,) in the coordinates where every D_uu is the
identity, and its bound. The relaxation of a node,

    minimise b'Rb - 2 q'b + sum_atoms h(b_atom),
    h(b) = min over z >= 0, sum z <= 1 of sum_u |b_u|^2 / z_u + cost_u z_u

(|b_u|^2 + cost_u for a unit that is in), goes down by proximal steps from atom to atom. For an atom of one column this
is exact coordinate descent with the reversed Huber penalty.
"""

from __future__ import annotations

import numpy as np

from nlmevae.selection.exchange_kernels import improve, machine_code, obeys, objective

#: A node's relaxation stops when what is left to gain is this share of what is missing for a cut-off.
_ENOUGH = 0.1
#: The root may take that many times the sweeps of the other nodes.
_ROOT_PATIENCE = 10


@machine_code
def _weights(norm, cost, curvature, first, last, z):
    """z of the units first..last-1 that minimise sum_u L |v_u|^2 / (L z_u + 1) + cost_u z_u, sum z <= 1, for
    norm |v_u| (0 for units that are out); L = infinity, given as 0: sum_u |v_u|^2 / z_u + cost_u z_u."""
    shift = 0.0 if curvature == 0.0 else 1.0 / curvature
    low, high, total = 0.0, 0.0, 0.0
    for u in range(first, last):
        root = np.sqrt(cost[u])
        z[u] = 0.0
        if norm[u] > 0.0:
            z[u] = 1.0 if root * (1.0 + shift) <= norm[u] else max(norm[u] / root - shift, 0.0)
        total += z[u]
        high = max(high, norm[u] * norm[u])
    if total <= 1.0:
        return
    high *= (last - first) ** 2
    for _ in range(60):
        nu = 0.5 * (low + high)
        total = 0.0
        for u in range(first, last):
            root = np.sqrt(cost[u] + nu)
            z[u] = min(max(norm[u] / root - shift, 0.0), 1.0) if norm[u] > 0.0 else 0.0
            total += z[u]
        if total > 1.0:
            low = nu
        else:
            high = nu
        if high - low <= 1e-12 * high:
            break


@machine_code
def _sweep_single(rest, q, cost, starts, atoms, state, b, pull):
    """Exact minimisation over each atom of one column in turn; returns the largest change. One function for all: a
    call per atom would cost more than its arithmetic."""
    p = len(b)
    largest = 0.0
    for g in range(len(atoms) - 1):
        u = atoms[g]
        j = starts[u]
        if atoms[g + 1] != u + 1 or starts[u + 1] != j + 1:
            continue
        new = 0.0
        if state[u] != 0:
            diagonal = rest[j, j]
            r = q[j] - pull[j] + diagonal * b[j]
            root, size = np.sqrt(cost[u]), abs(r)
            if state[u] == 1 or size >= root * (1.0 + diagonal):
                new = r / (diagonal + 1.0)
            elif size > root:
                new = (r - root if r > 0 else r + root) / diagonal
        change = new - b[j]
        if change != 0.0:
            b[j] = new
            largest = max(largest, abs(change))
            for i in range(p):
                pull[i] += change * rest[j, i]
    return largest


@machine_code
def _update_atom(rest, curvature, q, cost, starts, first, last, state, b, pull, norm, z):
    """One proximal step on the units first..last-1: changes b and pull = R b; returns the largest change."""
    step = max(curvature, 1e-9)
    decided = False
    for u in range(first, last):
        norm[u], z[u] = 0.0, 0.0
        decided = decided or state[u] == 1
    for u in range(first, last):
        if state[u] == 0 or (decided and state[u] != 1):
            continue
        square = 0.0
        for j in range(starts[u], starts[u + 1]):
            v = b[j] + (q[j] - pull[j]) / step
            square += v * v
        norm[u] = np.sqrt(square)
    if decided:
        for u in range(first, last):
            z[u] = 1.0 if state[u] == 1 else 0.0
    else:
        _weights(norm, cost, step, first, last, z)
    a, e = starts[first], starts[last]
    fresh = np.empty(e - a)
    for u in range(first, last):
        shrink = step * z[u] / (step * z[u] + 1.0)
        for j in range(starts[u], starts[u + 1]):
            fresh[j - a] = shrink * (b[j] + (q[j] - pull[j]) / step)
    largest = 0.0
    for j in range(a, e):
        change = fresh[j - a] - b[j]
        if change != 0.0:
            b[j] += change
            largest = max(largest, abs(change))
            for i in range(len(b)):
                pull[i] += change * rest[j, i]
    return largest


@machine_code
def bound_at(q, cost, starts, atoms, state, room, b, pull, term, best):
    """Lower bound at b of all supports that `state` allows. Fills term (n,): cost_u - |a_u|^2, and best (n_atoms,):
    what each atom adds. room: how many more units may enter, < 0: no limit."""
    total = 0.0
    for j in range(len(b)):
        total -= b[j] * pull[j]
    for g in range(len(best)):
        lowest, decided = 0.0, False
        for u in range(atoms[g], atoms[g + 1]):
            square = 0.0
            for j in range(starts[u], starts[u + 1]):
                a = q[j] - pull[j]
                square += a * a
            term[u] = cost[u] - square
            if state[u] == 1:
                total += term[u]
                decided = True
            elif state[u] == -1:
                lowest = min(lowest, term[u])
        best[g] = 0.0 if decided else lowest
    if room < 0:
        for g in range(len(best)):
            total += best[g]
        return total
    return total + _smallest(best, room)


@machine_code
def _smallest(values, number):
    """Sum of the `number` smallest of values <= 0; some may be equal."""
    n = len(values)
    taken = np.zeros(n, np.bool_)
    total = 0.0
    for _ in range(min(number, n)):
        lowest, chosen = 0.0, -1
        for i in range(n):
            if not taken[i] and values[i] < lowest:
                lowest, chosen = values[i], i
        if chosen < 0:
            break
        taken[chosen] = True
        total += lowest
    return total


@machine_code
def _relaxed_value(q, cost, starts, atoms, state, b, pull, norm, z):
    """The relaxation's objective at b: the node's bound cannot get above its minimum."""
    total = 0.0
    for j in range(len(b)):
        total += b[j] * (pull[j] - 2.0 * q[j])
    for g in range(len(atoms) - 1):
        first, last = atoms[g], atoms[g + 1]
        decided = False
        for u in range(first, last):
            square = 0.0
            for j in range(starts[u], starts[u + 1]):
                square += b[j] * b[j]
            norm[u] = np.sqrt(square)
            if state[u] == 1:
                total += square + cost[u]
                decided = True
        if decided:
            continue
        if last == first + 1:
            root = np.sqrt(cost[first])
            total += 2.0 * root * norm[first] if norm[first] < root else norm[first] ** 2 + cost[first]
            continue
        _weights(norm, cost, 0.0, first, last, z)
        for u in range(first, last):
            if z[u] > 0.0:
                total += norm[u] ** 2 / z[u] + cost[u] * z[u]
    return total


@machine_code
def relax(rest, curvature, q, cost, starts, atoms, state, room, b, pull, cutoff, sweeps, work):
    """Move b towards the node's relaxed optimum until its bound reaches `cutoff` or little is left to gain; returns
    the best bound found. work: term, norm, z (n,), best (n_atoms,)."""
    term, norm, z, best = work
    bound = -np.inf
    for sweep in range(sweeps):
        largest = _sweep_single(rest, q, cost, starts, atoms, state, b, pull)
        for g in range(len(atoms) - 1):
            if starts[atoms[g + 1]] == starts[atoms[g]] + 1 and atoms[g + 1] == atoms[g] + 1:
                continue
            change = _update_atom(rest, curvature[g], q, cost, starts, atoms[g], atoms[g + 1], state, b, pull, norm, z)
            largest = max(largest, change)
        bound = max(bound, bound_at(q, cost, starts, atoms, state, room, b, pull, term, best))
        if bound >= cutoff or largest < 1e-9:
            break
        if sweep % 2 == 1:
            value = _relaxed_value(q, cost, starts, atoms, state, b, pull, norm, z)
            if value < cutoff and value - bound < _ENOUGH * (cutoff - value):
                break
    return bound


@machine_code
def propagate(state, conflict, requires, at_most, unit, value):
    """Set a unit to 1 or 0 with all that follows from it; False if the rules do not allow it."""
    n = len(state)
    if state[unit] != -1 and state[unit] != value:
        return False
    todo = np.empty(n + 1, np.int64)
    todo[0] = unit
    state[unit] = value
    done, known = 0, 1
    while done < known:
        u = todo[done]
        done += 1
        if state[u] == 1:
            for v in range(n):
                if conflict[u, v]:
                    if state[v] == 1:
                        return False
                    if state[v] == -1:
                        state[v] = 0
                        todo[known] = v
                        known += 1
        for m in range(len(requires)):
            a, b = requires[m, 0], requires[m, 1]
            if a == u and state[u] == 1:
                if state[b] == 0:
                    return False
                if state[b] == -1:
                    state[b] = 1
                    todo[known] = b
                    known += 1
            if b == u and state[u] == 0:
                if state[a] == 1:
                    return False
                if state[a] == -1:
                    state[a] = 0
                    todo[known] = a
                    known += 1
    if at_most >= 0:
        size = 0
        for u in range(n):
            size += state[u] == 1
        if size > at_most:
            return False
        if size == at_most:
            for u in range(n):
                if state[u] == -1:
                    state[u] = 0
    return True


@machine_code
def _room(state, at_most):
    if at_most < 0:
        return -1
    size = 0
    for u in range(len(state)):
        size += state[u] == 1
    return at_most - size


@machine_code
def _fix(state, atoms, conflict, requires, at_most, bound, cutoff, term, best):
    """Decide what the bound decides. Returns whether anything is left of the node and the smallest bound of what was
    cut off."""
    closed = np.inf
    for g in range(len(atoms) - 1):
        for u in range(atoms[g], atoms[g + 1]):
            if state[u] != -1:
                continue
            without, within = bound - best[g], bound - best[g] + term[u]
            if within >= cutoff:
                closed = min(closed, within)
                if not propagate(state, conflict, requires, at_most, u, 0):
                    return False, closed
            elif atoms[g + 1] == atoms[g] + 1 and without >= cutoff:
                closed = min(closed, without)
                if not propagate(state, conflict, requires, at_most, u, 1):
                    return False, closed
    return True, closed


@machine_code
def _round(cost, starts, atoms, state, b, relaxed, support):
    """The support of the units that are in and, per atom, the free unit with the largest b if it is nearer to in
    than to out."""
    for g in range(len(atoms) - 1):
        chosen, largest = -1, 0.0
        for u in range(atoms[g], atoms[g + 1]):
            support[u] = 1 if state[u] == 1 else 0
            if state[u] != -1 or not relaxed:
                continue
            square = 0.0
            for j in range(starts[u], starts[u + 1]):
                square += b[j] * b[j]
            if square > 0.25 * cost[u] and square > largest:
                chosen, largest = u, square
        if chosen >= 0:
            support[chosen] = 1


@machine_code
def _differs(new, old):
    """Are they different? Makes `old` the same."""
    answer = False
    for u in range(len(new)):
        if new[u] != old[u]:
            answer = True
            old[u] = new[u]
    return answer


@machine_code
def _multiply(matrix, vector, product):
    for i in range(len(product)):
        product[i] = 0.0
    for j in range(len(vector)):
        if vector[j] != 0.0:
            for i in range(len(product)):
                product[i] += vector[j] * matrix[j, i]


@machine_code
def _branch_unit(gram_diagonal, linear, cost, starts, state, b, relaxed):
    """The free unit whose rounding, either way, costs most; -1 if none is free."""
    best, chosen = -1.0, -1
    for u in range(len(state)):
        if state[u] != -1:
            continue
        square, weighted, alone = 0.0, 0.0, 0.0
        for j in range(starts[u], starts[u + 1]):
            square += b[j] * b[j]
            weighted += gram_diagonal[j] * b[j] * b[j]
            alone += linear[j] * linear[j]
        score = alone
        if relaxed:
            up = max(np.sqrt(cost[u]) - np.sqrt(square), 0.0) ** 2
            score = up * weighted + 1e-9 * (weighted + up)
        if score > best:
            best, chosen = score, u
    return chosen


@machine_code
def evaluate_children(
    unit, parent, problem, rules, states, points, bounds, counts, b, pull, bound, cutoff, closed, work
):
    """Put the two children of a node into the pool unless their bound is already above the cut-off; returns the
    smallest bound of those left out and `closed`."""
    curvature, q, cost, starts, atoms, ceiling = problem[3:]
    conflict, requires, at_most = rules
    term, best = work[0], work[3]
    for value in (0, 1):
        slot = counts[0]
        child = states[slot]
        for u in range(len(parent)):
            child[u] = parent[u]
        if not propagate(child, conflict, requires, at_most, unit, value):
            continue
        lower = _cost_bound(child, cost, ceiling)
        if len(curvature) > 0:
            here = bound_at(q, cost, starts, atoms, child, _room(child, at_most), b, pull, term, best)
            lower = max(lower, here)
        lower = max(lower, bound)
        if lower >= cutoff:
            closed = min(closed, lower)
            continue
        for j in range(len(b)):
            points[slot, j] = b[j]
        bounds[slot] = lower
        counts[0] += 1
    return closed


@machine_code
def _cost_bound(state, cost, ceiling):
    """What is in costs at least that, and nothing fits better than all columns together."""
    total = -ceiling
    for u in range(len(state)):
        if state[u] == 1:
            total += cost[u]
    return total


@machine_code
def search(problem, rules, states, points, bounds, counts, root, support, progress, tolerance, max_nodes, sweeps):
    """Work on open nodes until none is left or `max_nodes` are done.

    problem: gram, linear (unit diagonal); rest, curvature, q (transformed; curvature empty: no relaxation, bounds by
    cost only); cost, starts, atoms, ceiling (largest possible fit). rules: conflict, requires, at_most.
    states, points, bounds: the open nodes, counts[0] of them; best node first, worst first when nearly full.
    root (n,): state that incumbents must keep. support: the incumbent, improved in place.
    progress: [its value, smallest bound among closed nodes].
    """
    gram, linear, rest, curvature, q, cost, starts, atoms = problem[:8]
    conflict, requires, at_most = rules
    n, p = len(cost), len(linear)
    relaxed = len(curvature) > 0
    diagonal = np.ones(p)
    for j in range(len(rest)):
        diagonal[j] += rest[j, j]
    work = (np.empty(n), np.empty(n), np.empty(n), np.zeros(len(atoms) - 1))
    columns, factor, along = np.empty(p, np.int64), np.empty((p, p)), np.empty(p)
    trial, last_trial, state = np.empty(n, np.int8), np.empty(n, np.int8), np.empty(n, np.int8)
    b, pull = np.empty(p), np.empty(p)
    last_trial[0] = -1
    done = 0
    while counts[0] > 0 and done < max_nodes:
        crowded = counts[0] > len(bounds) - 2 * n - 8
        i = 0
        for open_node in range(1, counts[0]):
            if bounds[open_node] != bounds[i] and (bounds[open_node] > bounds[i]) == crowded:
                i = open_node
        bound = bounds[i]
        counts[0] -= 1
        last = counts[0]
        for u in range(n):
            state[u], states[i, u] = states[i, u], states[last, u]
        for j in range(p):
            b[j], points[i, j] = points[i, j], points[last, j]
        bounds[i] = bounds[last]
        cutoff = progress[0] - tolerance
        if bound >= cutoff:
            progress[1] = min(progress[1], bound)
            continue
        done += 1
        if relaxed:
            _multiply(rest, b, pull)
            patience = sweeps if bound > -np.inf else _ROOT_PATIENCE * sweeps
            lower = relax(
                rest, curvature, q, cost, starts, atoms, state, _room(state, at_most), b, pull, cutoff, patience, work
            )
            bound = max(bound, lower)
            if bound >= cutoff:
                progress[1] = min(progress[1], bound)
                continue
        _round(cost, starts, atoms, state, b, relaxed, trial)
        if _differs(trial, last_trial) and obeys(trial, conflict, requires, at_most):
            value = objective(gram, linear, cost, starts, trial, columns, factor, along)
            if value < progress[0] - tolerance:
                progress[0] = improve(gram, linear, cost, starts, conflict, requires, at_most, root, trial)
                for u in range(n):
                    support[u] = trial[u]
                cutoff = progress[0] - tolerance
        if relaxed and at_most < 0:
            now = bound_at(q, cost, starts, atoms, state, -1, b, pull, work[0], work[3])
            left, out = _fix(state, atoms, conflict, requires, at_most, now, cutoff, work[0], work[3])
            progress[1] = min(progress[1], out)
            if not left:
                continue
        unit = _branch_unit(diagonal, linear, cost, starts, state, b, relaxed)
        if unit < 0 or bound >= cutoff:
            value = bound
            if unit < 0 and obeys(state, conflict, requires, at_most):
                value = objective(gram, linear, cost, starts, state, columns, factor, along)
                if value < progress[0]:
                    progress[0] = value
                    for u in range(n):
                        support[u] = state[u]
            progress[1] = min(progress[1], max(value, bound))
            continue
        progress[1] = evaluate_children(
            unit, state, problem, rules, states, points, bounds, counts, b, pull, bound, cutoff, progress[1], work
        )
    return done


@machine_code
def raise_diagonal(inverse, own, levels):
    """Diagonal D that maximises sum_j D_j / own_j + mu log det(G - D), coordinate by coordinate, for falling mu.

    inverse (p, p): G^-1, destroyed; own (p,): diagonal of G. D_j grows by 1 / P_jj - mu own_j, P = (G - D)^-1.
    """
    p = len(own)
    diagonal, column = np.zeros(p), np.empty(p)
    for level in range(len(levels)):
        for _ in range(2):
            for j in range(p):
                square = inverse[j, j]
                step = max(1.0 / square - levels[level] * own[j], -diagonal[j])
                diagonal[j] += step
                factor = step / (1.0 - square * step)
                for i in range(p):
                    column[i] = inverse[j, i]
                for i in range(p):
                    share = factor * column[i]
                    for h in range(p):
                        inverse[i, h] += share * column[h]
    return diagonal
