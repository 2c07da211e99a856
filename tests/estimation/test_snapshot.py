"""A snapshot gives back the same values, bit for bit, and makes nothing but values."""

from __future__ import annotations

import pickle
from dataclasses import dataclass

import numpy as np
import pytest

from nlmevae.estimation.population import Population
from nlmevae.estimation.snapshot import Given, SnapshotError, dump, load
from nlmevae.results.status import FitStatus


def again(value, given=None):
    return load(dump(value, given or Given()), given or Given())


def population() -> Population:
    return Population(thetas=np.array([1.0, -0.0, np.nan]), omega=np.eye(2), sigma=np.array([[0.1]]))


def test_dataclasses_numbers_and_states_come_back():
    value = {"p": population(), "s": FitStatus.CONVERGED, "n": (1, 2.5, None, True, "µ", {3}, np.float64(0.1))}
    found = again(value)
    assert found["s"] is FitStatus.CONVERGED
    assert found["n"] == value["n"]
    for name in ("thetas", "omega", "sigma"):
        assert getattr(found["p"], name).tobytes() == getattr(value["p"], name).tobytes()


def test_a_generator_goes_on_where_it_stood():
    rng = np.random.default_rng([3, 1])
    rng.standard_normal(7)
    found = again(rng)
    assert np.array_equal(found.standard_normal(5), rng.standard_normal(5))


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24.0).reshape(2, 3, 4),
        np.asfortranarray(np.arange(24.0).reshape(4, 6)),
        np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1),
        np.arange(240.0)[::5],
        np.arange(2400.0).reshape(2, 3, 400).transpose(2, 0, 1)[::100, :, :2],
        np.arange(3, dtype=np.int32),
        np.array([True, False]),
    ],
)
def test_arrays_keep_values_and_the_order_in_memory(array):
    """Sums over an array depend on that order in their last bits."""
    found = again(array)
    assert found.dtype == array.dtype
    assert np.array_equal(found, array)
    assert np.argsort(found.strides).tolist() == np.argsort(array.strides).tolist()


def test_an_empty_array_comes_back():
    assert again(np.zeros((0, 3))).shape == (0, 3)


def test_arrays_that_share_memory_are_written_once_and_share_it_again():
    whole = np.arange(100_000.0)
    parts = [whole[:50_000], whole[50_000:]]
    data = dump([whole, *parts], Given())
    assert len(data) < 1.1 * whole.nbytes
    found = load(data, Given())
    found[1][0] = -1.0
    assert found[0][0] == -1.0


def test_a_small_view_does_not_bring_all_of_a_large_array():
    assert len(dump(np.arange(100_000.0)[:10], Given())) < 1000


def test_what_is_given_is_named_and_not_written():
    given, later = Given(), Given()
    table = np.arange(100_000.0)
    given.add(problem=population(), tables=[table, lambda: None])
    later.add(problem=population(), tables=["another", len])
    data = dump({"table": table, "function": given["tables[1]"]}, given)
    assert len(data) < 1000
    with pytest.raises(SnapshotError, match=r"tables\[0\]"):  # text has no name: nothing stands for the array
        load(data, later)
    assert load(data, given)["table"] is table


def test_a_name_stays_with_the_object_that_had_it_first():
    given = Given()
    first, second = np.zeros(3), np.ones(3)
    given.add(x=first)
    given.add(x=second)
    assert again_by(given, first) is first
    assert np.array_equal(again_by(given, second), second)


def again_by(given, value):
    return load(dump(value, given), given)


class Trap:
    def __reduce__(self):
        return pickle.loads, (b"",)


@dataclass
class Foreign:
    x: int = 1


@pytest.mark.parametrize("value", [Trap(), Foreign(), pickle.loads])
def test_bytes_that_ask_for_anything_else_are_refused(value):
    with pytest.raises(SnapshotError, match="nothing that a snapshot holds"):
        load(pickle.dumps(value), Given())


def test_a_function_of_nlmevae_is_nothing_that_a_snapshot_holds():
    from nlmevae.writers.atomic import write_atomically

    with pytest.raises(SnapshotError, match="write_atomically"):
        load(pickle.dumps(write_atomically), Given())


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"\x80\x05garbage"])
def test_damaged_bytes_are_refused(damage):
    with pytest.raises(SnapshotError):
        load(damage(dump(population(), Given())), Given())
