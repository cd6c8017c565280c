"""One loop for agents that are alike finds what each of them finds alone."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from rpax.environments.protocol import SeatSpace
from rpax.policies.agent import AgentPolicy
from rpax.policies.layout import Layout
from rpax.policies.networks import MLP, Tabular
from rpax.training.parts import Part, for_each
from rpax.training.slots import common_runs, runs_of, slots_of, take_runs

PAIRINGS = 9
SPACE = SeatSpace((4,), 3, jnp.float32, ("a", "b", "c"))
OF_SEATS = tuple(jnp.arange(float(PAIRINGS * 2)).reshape(PAIRINGS, 2) + 100 * seat for seat in (0, 1))
ONE = ((0, 0), (0, 1), (0, 2), (1, 4), (1, 5))
#: The same seats as ``ONE``; its first run goes on one pairing less, its second starts elsewhere.
OTHER = ((0, 3), (0, 4), (0, 8), (1, 6), (1, 7))


def policy(network=None, **others):
    return AgentPolicy({"shared": network or MLP(3, (5,))}, {0: "shared", 1: "shared"}, (SPACE, SPACE), **others)


LAYOUT = Layout.of({"a": jnp.zeros(3)})
APART = AgentPolicy({"seat_0": MLP(3, (5,)), "seat_1": MLP(3, (5,))}, {0: "seat_0", 1: "seat_1"}, (SPACE, SPACE))


@settings(deadline=None)
@given(
    st.integers(1, 6).flatmap(
        lambda size: st.tuples(
            st.lists(st.integers(0, 1), min_size=size, max_size=size),
            st.lists(st.lists(st.integers(0, 3), min_size=size, max_size=size), min_size=1, max_size=3),
        )
    )
)
def test_common_runs_are_everyones_slots_cut_at_the_same_places_and_nowhere_else(drawn):
    seats, pairings_of_each = drawn
    slots_of_each = [list(zip(seats, pairings, strict=True)) for pairings in pairings_of_each]
    found = common_runs(slots_of_each)
    slots = [[(run.seat, run.start + n) for run in runs for n in range(run.length)] for runs in found]
    assert slots == slots_of_each == [slots_of(runs) for runs in found]
    assert len({tuple((run.seat, run.length) for run in runs) for runs in found}) == 1
    for number in range(1, len(found[0])):
        ends = [runs[number - 1] for runs in found]
        starts = [runs[number] for runs in found]
        pairs = zip(ends, starts, strict=True)
        assert any((a.seat, a.start + a.length) != (b.seat, b.start) for a, b in pairs), "could have gone on"


def sums(part, numbers):
    """Something that depends on where a part sat and on its arguments."""
    return {"sum": (take_runs(OF_SEATS, part.runs, axis=0) * numbers).sum(), "numbers": 2 * numbers}


@pytest.mark.parametrize("jit", [False, True])
def test_agents_that_are_alike_share_one_loop(jit):
    traced = []

    def function(part, numbers):
        traced.append(part)
        return sums(part, numbers)

    parts = {name: Part.of(policy(), slots) for name, slots in (("x", ONE), ("y", OTHER), ("z", ONE))}
    numbers = {name: jnp.arange(5.0)[:, None] + shift for shift, name in enumerate(parts)}
    found = (jax.jit if jit else lambda f: f)(lambda n: for_each(function, parts, n))(numbers)
    assert len(traced) == 1
    assert list(found) == ["x", "y", "z"]
    for name, part in parts.items():
        jax.tree.map(assert_array_equal, found[name], sums(part, numbers[name]))


@pytest.mark.parametrize(
    ("other", "argument"),
    [
        (Part.of(policy(Tabular(3)), ONE), jnp.ones((5, 1))),
        (Part.of(policy(MLP(3, (6,))), ONE), jnp.ones((5, 1))),
        (Part.of(APART, ONE), jnp.ones((5, 1))),
        (Part.of(policy(layout=LAYOUT), ONE), jnp.ones((5, 1))),
        (Part.of(policy(), ONE[1:]), jnp.ones((4, 1))),
        (Part.of(policy(), tuple((1 - seat, pairing) for seat, pairing in ONE)), jnp.ones((5, 1))),
        (Part.of(policy(), OTHER), jnp.ones((1, 1))),
        (Part.of(policy(), OTHER), jnp.ones((5, 1), int)),
    ],
    ids=["network", "size", "heads", "layout", "number of slots", "seats", "shape of an argument", "type of one"],
)
def test_agents_that_differ_go_apart(other, argument):
    traced = []

    def function(part, numbers):
        traced.append(part)
        return sums(part, numbers)

    parts = {"x": Part.of(policy(), ONE), "y": other, "z": Part.of(policy(), OTHER)}
    numbers = {"x": jnp.ones((5, 1)), "y": 3 * argument, "z": jnp.full((5, 1), 2.0)}
    found = for_each(function, parts, numbers)
    assert len(traced) == 2
    for name, part in parts.items():
        jax.tree.map(assert_array_equal, found[name], sums(part, numbers[name]))


def test_runs_are_taken_at_places_known_only_when_the_program_runs():
    for slots, axis in itertools.product((ONE, OTHER), (0, 1)):
        of_seats = tuple(jnp.moveaxis(array, 0, axis) for array in OF_SEATS)
        runs = runs_of(slots)
        starts = jnp.array([run.start for run in runs])
        moved = jax.jit(
            lambda starts, runs=runs, of_seats=of_seats, axis=axis: take_runs(
                of_seats, [run._replace(start=start) for run, start in zip(runs, starts, strict=True)], axis
            )
        )(starts)
        assert_array_equal(moved, np.asarray(take_runs(of_seats, runs, axis)))
