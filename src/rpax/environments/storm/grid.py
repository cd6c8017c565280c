"""The grid of STORM: where things are, and one game's state."""

import itertools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Int8, Int16

SIZE, MIDDLE = 5, 2
#: Facing d looks along DIRECTIONS[d]; turning left is d + 1.
DIRECTIONS = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)], np.int8)
#: Where coins lie, and which of them are blue when their places are fixed.
COIN_CELLS = np.array([(1, 1), (1, 3), (3, 1), (3, 3)], np.int8)
FIXED_BLUE = np.array([True, False, True, False])
#: All ways to lay out two coins of each colour.
ARRANGEMENTS = np.array([cells for cells in itertools.product((False, True), repeat=4) if sum(cells) == 2])
_NO_SPAWN = {tuple(cell) for cell in COIN_CELLS.tolist()}
#: Seat 0 starts in one of these 18 (two cells count double), seat 1 opposite.
SPAWNS = np.array(
    [(x, y) for x in range(SIZE) for y in range(SIZE) if y != 2 and (x, y) not in _NO_SPAWN] + [(2, 0), (2, 4)], np.int8
)
#: The cells of a beam as (ahead, to the left).
BEAM = np.array([(1, 0), (2, 0), (1, 1), (1, -1)], np.int8)


class StormState(NamedTuple):
    """One game in progress; the first axis of agents' arrays is the seat.

    Attributes:
        position: x and y.
        facing: 0–3, see ``DIRECTIONS``.
        blue: which of the ``COIN_CELLS`` hold blue coins; fixed for the episode.
        coin: which of the coins still lie there.
        inventory: red and blue coins collected since the last soft reset.
        beam: who fired a beam in the last step.
        frozen: steps that both agents still have to stay, 0 while they play.
        time: steps since the episode started.
    """

    position: Int8[Array, "2 2"]
    facing: Int8[Array, "2"]
    blue: Bool[Array, "4"]
    coin: Bool[Array, "4"]
    inventory: Int16[Array, "2 2"]
    beam: Bool[Array, "2"]
    frozen: Int16[Array, ""]
    time: Int16[Array, ""]


def ahead_of(facing: Int[Array, "*batch"]) -> Int8[Array, "*batch 2"]:
    """The step ahead of an agent that looks in a direction: ``DIRECTIONS[facing]``, without a slow look-up."""
    return jnp.stack([_is(facing, 1) - _is(facing, 3), _is(facing, 0) - _is(facing, 2)], axis=-1)


def left_of(facing: Int[Array, "*batch"]) -> Int8[Array, "*batch 2"]:
    """The step to the left of an agent that looks in a direction."""
    return ahead_of((facing + 1) & 3)


def _is(facing: Int[Array, "*batch"], direction: int) -> Int8[Array, "*batch"]:
    return (facing == direction).astype(jnp.int8)


def inside(cells: Int[Array, "*batch 2"]) -> Bool[Array, "*batch"]:
    """Which cells belong to the grid."""
    return ((cells >= 0) & (cells < SIZE)).all(axis=-1)


def beam_cells(state: StormState) -> Int8[Array, "2 4 2"]:
    """The cells that each seat's beam would reach, some of them outside the grid."""
    ahead, left = ahead_of(state.facing)[:, None], left_of(state.facing)[:, None]
    return (state.position[:, None] + BEAM[:, :1] * ahead + BEAM[:, 1:] * left).astype(jnp.int8)
