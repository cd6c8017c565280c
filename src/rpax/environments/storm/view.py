"""What an agent sees in STORM: a 5×5 window turned so that ahead is ahead, and what is held.

Entry [i, j, channel] of the window is the cell j steps ahead (the own cell is [2, 0]) and i − 2 steps to the left.
Channels: self, other, red coin, blue coin, wall, beam, and the other's facing relative to one's own (four, one-hot at
the other's cell). A cell shows one thing: a coin before seat 1 before seat 0 (they share cells in ``independent``
only). After the window come own red and blue coins, whether one holds any, whether the other does, and the other's red
and blue coins, which are shown while both are frozen only: 256 numbers in C order.

What can be seen has a *code* that is linear in where it is: 90 × (steps to the left) + 10 × (steps ahead) + channel.
Cells that show differ by at most four steps, so no two codes are equal by accident, and an entry of the window is 1
where its own code is among those of the things there are. Codes come out of a sum, which XLA computes once; what comes
out of an elementwise expression it would compute anew for each of the 256 numbers.

Training stores only the entries that are neither constant nor follow from others (:func:`kept_entries`): the other is
where a facing is, and where agents cannot share cells the own cell always shows oneself.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Int8, Int16, Shaped

from rpax.environments.encoding import Encoding
from rpax.environments.storm.grid import COIN_CELLS, MIDDLE, SIZE, StormState, ahead_of, beam_cells, inside, left_of

CHANNELS = ("self", "other", "red", "blue", "wall", "beam", "facing +0", "facing +1", "facing +2", "facing +3")
SELF, OTHER, RED, BLUE, WALL, BEAM, FACING = range(7)
WINDOW_SIZE = SIZE * SIZE * len(CHANNELS)
OBSERVATION_SIZE = WINDOW_SIZE + 6

#: What a step to the left and a step ahead add to a code; and what takes the place of a channel where there is nothing.
_LEFT, _AHEAD, _NOTHING = 90, 10, 1000
_ENTRY = np.arange(OBSERVATION_SIZE)
_CELL, _CHANNEL = np.divmod(_ENTRY, len(CHANNELS))
_TO_LEFT, _TO_FRONT = _CELL // SIZE - MIDDLE, _CELL % SIZE
#: The code of each entry; no thing has that of an entry behind the window.
_CODE = np.where(_ENTRY < WINDOW_SIZE, _LEFT * _TO_LEFT + _AHEAD * _TO_FRONT + _CHANNEL, -_NOTHING).astype(np.int16)
_IS_WALL_ENTRY = (_CHANNEL == WALL) & (_ENTRY < WINDOW_SIZE)
_OWN_CELL = MIDDLE * SIZE


def kept_entries(cells_are_shared: bool) -> Int[np.ndarray, " kept"]:
    """The entries from which all others follow."""
    in_window = _ENTRY < WINDOW_SIZE
    needed = ~in_window | (_CHANNEL > OTHER)
    if cells_are_shared:
        return _ENTRY[needed | (_OWN_CELL * len(CHANNELS) + SELF == _ENTRY)]
    return _ENTRY[needed & ~(in_window & (_CELL == _OWN_CELL))]


def encoding(cells_are_shared: bool, dtype: np.dtype | type) -> Encoding:
    """How an observation comes out of its :func:`kept entries <kept_entries>`."""
    kept = kept_entries(cells_are_shared)
    shows_other = (_CHANNEL[kept] >= FACING) & (kept < WINDOW_SIZE)
    pairs = [
        (entry, column)
        for column, entry in enumerate(kept)
        for entry in ([_CELL[entry] * len(CHANNELS) + OTHER, entry] if shows_other[column] else [entry])
    ]
    rows, columns = np.array(pairs, np.int32).T
    constant = np.zeros(OBSERVATION_SIZE, np.int32)
    constant[_OWN_CELL * len(CHANNELS) + SELF] = not cells_are_shared
    return Encoding(rows, columns, np.ones(len(rows), np.int32), constant, len(kept), dtype)


def swapped_colors() -> Int[np.ndarray, " 256"]:
    """Which entry stands in the place of each when red and blue are swapped."""
    channel = np.select([_CHANNEL == RED, _CHANNEL == BLUE], [BLUE, RED], _CHANNEL)
    own_red, own_blue, _, _, other_red, other_blue = range(WINDOW_SIZE, OBSERVATION_SIZE)
    entries = np.where(_ENTRY < WINDOW_SIZE, _CELL * len(CHANNELS) + channel, _ENTRY)
    entries[[own_red, own_blue, other_red, other_blue]] = own_blue, own_red, other_blue, other_red
    return entries


def observe_seat(
    state: StormState,
    seat: int,
    entries: Int[np.ndarray, " some"] = _ENTRY,
    *,
    cells_are_shared: bool,
    other_is_hidden: bool,
    dtype: np.dtype | type,
) -> Shaped[Array, " some"]:
    """One seat's observation.

    Args:
        state: the game.
        seat: who looks.
        entries: which of the 256 numbers.
        cells_are_shared: whether agents can stand on each other and on coins (in ``independent``).
        other_is_hidden: whether the other agent, and what it holds, is left out.
        dtype: the integer type of the result.
    """
    ahead, left = ahead_of(state.facing[seat]), left_of(state.facing[seat])
    cells, channels = _things(state, seat, cells_are_shared, other_is_hidden)
    codes = _codes(cells - state.position[seat], channels, ahead, left)
    window = (codes[:, None] == _CODE[entries]).any(axis=0) | _wall(state.position[seat], ahead, left, entries)
    observation = window.astype(dtype)
    for place, number in enumerate(_holdings(state, seat, other_is_hidden), WINDOW_SIZE):
        observation = jnp.where(place == entries, number.astype(dtype), observation)
    return observation


def _things(
    state: StormState, seat: int, cells_are_shared: bool, other_is_hidden: bool
) -> tuple[Int8[Array, "n 2"], Int16[Array, " n"]]:
    """Where agents, coins and beams are, and each one's channel, or ``_NOTHING`` where it does not show."""
    other = 1 - seat
    own_shows, other_shows = _agents_that_show(state, seat, cells_are_shared, other_is_hidden)
    beams, lit = _visible_beams(state, cells_are_shared)
    turned = (state.facing[other] - state.facing[seat]) & 3
    there = jnp.concatenate([jnp.stack([own_shows, other_shows, other_shows]), state.coin, lit])
    channels = [
        jnp.full(1, SELF, jnp.int16),
        jnp.full(1, OTHER, jnp.int16),
        (FACING + turned.astype(jnp.int16))[None],
        jnp.where(state.blue, jnp.int16(BLUE), jnp.int16(RED)),
        jnp.full(len(beams), BEAM, jnp.int16),
    ]
    cells = jnp.concatenate([state.position[np.array([seat, other, other])], COIN_CELLS, beams])
    return cells, jnp.where(there, jnp.concatenate(channels), jnp.int16(_NOTHING))


def _codes(
    offsets: Int8[Array, "n 2"], channels: Int16[Array, " n"], ahead: Int8[Array, "2"], left: Int8[Array, "2"]
) -> Int16[Array, " n"]:
    """The codes of things, from where they are relative to the agent."""
    weights = jnp.concatenate([_LEFT * left.astype(jnp.int16) + _AHEAD * ahead, jnp.ones(1, jnp.int16)])
    things = jnp.concatenate([offsets.astype(jnp.int16), channels[:, None]], axis=1)
    return (things * weights).sum(axis=1, dtype=jnp.int16)


def _wall(
    position: Int8[Array, "2"], ahead: Int8[Array, "2"], left: Int8[Array, "2"], entries: Int[np.ndarray, " some"]
) -> Bool[Array, " some"]:
    """Which entries are walls: those of the wall channel more than ``MIDDLE`` steps from the middle of the grid."""
    from_middle, is_wall = position - MIDDLE, _IS_WALL_ENTRY[entries]
    to_front = (from_middle * ahead).sum(dtype=jnp.int8) + np.where(is_wall, _TO_FRONT[entries], -SIZE).astype(np.int8)
    to_left = (from_middle * left).sum(dtype=jnp.int8)
    sideways = np.where(is_wall, _TO_LEFT[entries], 0).astype(np.int8)
    outside = (sideways + to_left > MIDDLE) | (sideways + to_left < -MIDDLE)
    return (to_front > MIDDLE) | outside


def _agents_that_show(
    state: StormState, seat: int, cells_are_shared: bool, other_is_hidden: bool
) -> tuple[Bool[Array, ""], Bool[Array, ""]]:
    """Whether the own agent and the other one show in the window of ``seat``."""
    everywhere = jnp.ones((), bool)
    if not cells_are_shared:
        return everywhere, everywhere if not other_is_hidden else ~everywhere
    free = ~((state.position[:, None] == COIN_CELLS).all(axis=-1) & state.coin).any(axis=1)
    if other_is_hidden:
        return free[seat], ~everywhere
    # Seat 1 covers seat 0.
    free = free & jnp.stack([(state.position[0] != state.position[1]).any(), everywhere])
    return free[seat], free[1 - seat]


def _visible_beams(state: StormState, cells_are_shared: bool) -> tuple[Int[Array, "n 2"], Bool[Array, " n"]]:
    """The cells of both beams, and which of them show: empty cells of the grid, if the beam was fired."""
    if cells_are_shared:
        return jnp.zeros((0, 2), jnp.int8), jnp.zeros(0, bool)
    cells = beam_cells(state)
    agent = (cells == state.position[::-1, None]).all(axis=-1)
    coin = ((cells[:, :, None] == COIN_CELLS).all(axis=-1) & state.coin).any(axis=-1)
    lit = state.beam[:, None] & inside(cells) & ~agent & ~coin
    return cells.reshape(-1, 2), lit.reshape(-1)


def _holdings(state: StormState, seat: int, other_is_hidden: bool) -> list[Shaped[Array, ""]]:
    """The six numbers behind the window."""
    own, other = state.inventory[seat], state.inventory[1 - seat]
    if other_is_hidden:
        other = jnp.zeros_like(other)
    seen = jnp.where(state.frozen > 0, other, 0)
    return [own[0], own[1], own.sum() > 0, other.sum() > 0, seen[0], seen[1]]
