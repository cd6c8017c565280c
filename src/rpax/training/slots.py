"""Where agents sit: slots of a rollout's pairings, and how their entries are taken out of arrays."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from rpax.objectives.plan import Term

#: One seat of one pairing: (seat, index of the pairing).
Slot = tuple[int, int]


class Run(NamedTuple):
    """The same seat of neighbouring pairings.

    Attributes:
        seat: which.
        start: index of the first pairing; an array where one program serves several agents.
        length: how many pairings.
    """

    seat: int
    start: int | Int[Array, ""]
    length: int


def actor_slots(terms: Sequence[Term]) -> tuple[Slot, ...]:
    """Where the actor of each term sits."""
    return tuple((term.actor_seat, term.pairing) for term in terms)


def other_slots(terms: Sequence[Term]) -> tuple[Slot, ...]:
    """Where the other player of each term sits."""
    return tuple((1 - term.actor_seat, term.pairing) for term in terms)


def runs_of(slots: Sequence[Slot]) -> tuple[Run, ...]:
    """The longest runs that make up the slots, in their order."""
    return common_runs([slots])[0]


def slots_of(runs: Sequence[Run]) -> list[Slot]:
    """The slots that runs consist of, in their order."""
    return [(run.seat, int(run.start) + number) for run in runs for number in range(run.length)]


def common_runs(slots_of_each: Sequence[Sequence[Slot]]) -> list[tuple[Run, ...]]:
    """The slots of several agents in the longest runs that begin and end at the same places for all of them.

    Args:
        slots_of_each: each agent's, of the same seats in the same order.
    """
    count = len(slots_of_each[0])
    inside = [n for n in range(1, count) if not all(_neighbours(*slots[n - 1 : n + 1]) for slots in slots_of_each)]
    bounds = list(itertools.pairwise([0, *inside, count]))
    return [tuple(Run(*slots[start], end - start) for start, end in bounds) for slots in slots_of_each]


def _neighbours(slot: Slot, following: Slot) -> bool:
    (seat, pairing), (next_seat, next_pairing) = slot, following
    return seat == next_seat and next_pairing == pairing + 1


def take_runs(of_seats: tuple[Array, Array], runs: Sequence[Run], axis: int) -> Array:
    """The entries of ``runs``, in their order, along the pairing axis of each seat's array.

    In slices, for the reason that :func:`rpax.slices.take_static` gives.
    """
    parts = [_slice(of_seats[run.seat], run, axis) for run in runs]
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=axis)


def _slice(array: Array, run: Run, axis: int) -> Array:
    if isinstance(run.start, int):
        return jax.lax.slice_in_dim(array, run.start, run.start + run.length, axis=axis)
    return jax.lax.dynamic_slice_in_dim(array, run.start, run.length, axis=axis)


def take_slots(of_seats: tuple[Array, Array], slots: Sequence[Slot], axis: int) -> Array:
    """The entries of ``slots``, in their order, along the pairing axis of each seat's array."""
    return take_runs(of_seats, runs_of(slots), axis)
