"""What agents see in STORM: positions written down by hand, and a slow observation drawn cell by cell."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rpax.environments.storm.game import make_storm
from rpax.environments.storm.grid import StormState

AHEAD = ((0, 1), (1, 0), (0, -1), (-1, 0))
COINS = ((1, 1), (1, 3), (3, 1), (3, 3))
SELF, OTHER, RED, BLUE, WALL, BEAM, FACING = range(7)


@functools.cache
def game(name: str) -> Any:
    return make_storm(name)


@functools.cache
def observer(name: str) -> Any:
    return jax.jit(jax.vmap(game(name).observe))


def batch(**fields: Any) -> StormState:
    types = StormState(np.int8, np.int8, np.bool_, np.bool_, np.int16, np.bool_, np.int16, np.int16)
    return StormState(**{name: np.asarray(fields[name], getattr(types, name)) for name in StormState._fields})


def one(**given: Any) -> StormState:
    """A batch of one: no coins, empty hands, nobody frozen."""
    fields = {
        "blue": (True, False, True, False),
        "coin": (False,) * 4,
        "inventory": ((0, 0), (0, 0)),
        "beam": (False, False),
        "frozen": 0,
        "time": 0,
    } | given
    return batch(**{name: [value] for name, value in fields.items()})


def look(name: str, state: StormState) -> tuple[np.ndarray, np.ndarray]:
    seats = observer(name)(jax.tree.map(jnp.asarray, state))
    return np.asarray(seats[0]), np.asarray(seats[1])


def seen(window: np.ndarray) -> set[tuple[int, int, int]]:
    """Which entries [i, j, channel] of one observation are set, walls apart."""
    return {tuple(entry) for entry in np.argwhere(window[:250].reshape(5, 5, 10)).tolist() if entry[2] != WALL}


def walls(window: np.ndarray) -> set[tuple[int, int]]:
    return {tuple(entry) for entry in np.argwhere(window[:250].reshape(5, 5, 10)[:, :, WALL]).tolist()}


def test_the_other_is_where_it_is_and_looks_relative_to_oneself():
    # Seat 0 on (2, 1) looks to larger y, with larger x on its left: seat 1 on (3, 3) is two ahead and one to the left,
    # and is turned by 3. Seat 1 looks to smaller x, with larger y on its left: seat 0 is one ahead and two to the right
    # of it, and is turned by 1.
    seat_0, seat_1 = look("storm", one(position=((2, 1), (3, 3)), facing=(0, 3)))
    assert seen(seat_0[0]) == {(2, 0, SELF), (3, 2, OTHER), (3, 2, FACING + 3)}
    assert seen(seat_1[0]) == {(2, 0, SELF), (0, 1, OTHER), (0, 1, FACING + 1)}


def test_what_is_behind_or_too_far_to_the_side_is_not_seen():
    seat_0, seat_1 = look("storm", one(position=((2, 1), (2, 0)), facing=(0, 2)))
    assert seen(seat_0[0]) == seen(seat_1[0]) == {(2, 0, SELF)}
    # Three to the side.
    seat_0, _ = look("storm", one(position=((0, 0), (3, 2)), facing=(0, 0)))
    assert seen(seat_0[0]) == {(2, 0, SELF)}
    # Four ahead and two to the right of seat 0, which looks along x and has smaller y on its left.
    seat_0, _ = look("storm", one(position=((0, 1), (4, 3)), facing=(1, 0)))
    assert seen(seat_0[0]) == {(2, 0, SELF), (0, 4, OTHER), (0, 4, FACING + 3)}


def test_coins_show_in_their_colours():
    # Looking to larger y from (2, 0), larger x is on the left.
    lie = {"coin": (True,) * 4, "position": ((2, 0), (4, 4)), "facing": (0, 0)}
    seat_0, _ = look("storm", one(**lie))
    coins = {(1, 1, BLUE), (1, 3, RED), (3, 1, BLUE), (3, 3, RED)}
    assert seen(seat_0[0]) == {(2, 0, SELF), (4, 4, OTHER), (4, 4, FACING)} | coins
    seat_0, _ = look("storm", one(**(lie | {"coin": (False, True, True, False), "blue": (False, True, False, True)})))
    assert seen(seat_0[0]) == {(2, 0, SELF), (4, 4, OTHER), (4, 4, FACING), (1, 3, BLUE), (3, 1, RED)}


def test_cells_outside_the_grid_are_walls():
    seat_0, seat_1 = look("storm", one(position=((0, 4), (2, 2)), facing=(3, 2)))
    # Seat 0 in a corner looks out: its own row and the rows on its left (facing 0, larger y, is left) …
    inside = {(2, 0), (1, 0), (0, 0)}
    assert walls(seat_0[0]) == {(i, j) for i in range(5) for j in range(5)} - inside
    # … and seat 1 in the middle sees two cells ahead.
    assert walls(seat_1[0]) == {(i, j) for i in range(5) for j in (3, 4)}


def test_beams_show_on_empty_cells_that_exist():
    # Seat 0 on (1, 2) looks to smaller x, where two ahead lies outside the grid.
    seat_0, seat_1 = look("storm", one(position=((1, 2), (2, 4)), facing=(3, 2), beam=(True, False)))
    assert seen(seat_0[0]) == {(2, 0, SELF), (2, 1, BEAM), (1, 1, BEAM), (3, 1, BEAM)}
    # Seat 1 looks to smaller y from (2, 4), with smaller x on its left: the cells (0, 1), (0, 2) and (0, 3).
    lit = {(4, 3, BEAM), (4, 2, BEAM), (4, 1, BEAM)}
    assert seen(seat_1[0]) == {(2, 0, SELF), (3, 2, OTHER), (3, 2, FACING + 1)} | lit
    # The other agent hides the beam two ahead.
    behind = one(position=((2, 1), (2, 3)), facing=(0, 0), beam=(True, False))
    three = {(2, 1, BEAM), (3, 1, BEAM), (1, 1, BEAM)}
    assert seen(look("storm", behind)[0][0]) == {(2, 0, SELF), (2, 2, OTHER), (2, 2, FACING)} | three
    # Coins hide it to both sides.
    beside = one(position=((2, 0), (4, 0)), facing=(0, 0), beam=(True, False), coin=(True, False, True, False))
    ahead = {(2, 1, BEAM), (2, 2, BEAM)}
    coins = {(1, 1, BLUE), (3, 1, BLUE)}
    assert seen(look("storm", beside)[0][0]) == {(2, 0, SELF), (4, 0, OTHER), (4, 0, FACING)} | ahead | coins


def test_the_others_inventory_shows_while_frozen_only():
    apart = {"position": ((0, 0), (4, 4)), "facing": (0, 0), "inventory": ((1, 2), (0, 3))}
    seat_0, seat_1 = look("storm", one(**apart))
    np.testing.assert_array_equal(seat_0[0, 250:], [1, 2, 1, 1, 0, 0])
    np.testing.assert_array_equal(seat_1[0, 250:], [0, 3, 1, 1, 0, 0])
    seat_0, seat_1 = look("storm", one(**apart, frozen=2))
    np.testing.assert_array_equal(seat_0[0, 250:], [1, 2, 1, 1, 0, 3])
    np.testing.assert_array_equal(seat_1[0, 250:], [0, 3, 1, 1, 1, 2])
    apart["inventory"] = ((0, 0), (0, 1))
    seat_0, seat_1 = look("storm", one(**apart, frozen=2))
    np.testing.assert_array_equal(seat_0[0, 250:], [0, 0, 0, 1, 0, 1])
    np.testing.assert_array_equal(seat_1[0, 250:], [0, 1, 1, 0, 0, 0])


def test_unobserved_hides_all_of_the_other_and_nothing_else():
    states = random_states(300, shared=True)
    plain, hidden = look("storm/independent", states), look("storm/unobserved", states)
    apart = (states.position[:, 0] != states.position[:, 1]).any(axis=1)
    for own, unseen in zip(plain, hidden, strict=True):
        expected = own[apart].copy()
        expected[:, :250].reshape(-1, 5, 5, 10)[..., [OTHER, *range(FACING, FACING + 4)]] = 0
        expected[:, 253:] = 0
        np.testing.assert_array_equal(unseen[apart], expected)


def random_states(count: int, shared: bool) -> StormState:
    """Positions that play can reach, and many that it cannot."""
    draw = np.random.default_rng(3)
    position = draw.integers(0, 5, (count, 2, 2))
    coin = draw.random((count, 4)) < 0.6
    if shared:
        position[: count // 4, 1] = position[: count // 4, 0]
        coin[:] = True
    else:
        same = (position[:, 0] == position[:, 1]).all(axis=1)
        position[same, 1] = 4 - position[same, 0]
        position[(position[:, 0] == position[:, 1]).all(axis=1), 1] = (0, 0)
        on = (position[:, :, None] == np.array(COINS)).all(axis=-1).any(axis=1)
        coin &= ~on
    return batch(
        position=position,
        facing=draw.integers(0, 4, (count, 2)),
        blue=draw.permuted(np.tile([True, True, False, False], (count, 1)), axis=1),
        coin=coin,
        inventory=draw.integers(0, 3, (count, 2, 2)) * draw.integers(0, 2, (count, 2, 1)),
        beam=(draw.random((count, 2)) < 0.5) & (not shared),
        frozen=draw.integers(0, 3, count),
        time=np.zeros(count),
    )


def drawn_by_hand(state: StormState, number: int, seat: int, hides_other: bool) -> np.ndarray:
    """The observation, one cell after the other, from a board on which each cell shows one thing."""
    position, facing = state.position[number], state.facing[number]
    board: dict[tuple[int, int], tuple[int, ...]] = {}
    for who in (0, 1):  # seat 1 covers seat 0
        if who == seat:
            content = (SELF,)
        else:
            content = (OTHER, FACING + (facing[who] - facing[seat]) % 4)
        if who == seat or not hides_other:
            board[tuple(position[who].tolist())] = content
    for cell, blue, lies in zip(COINS, state.blue[number], state.coin[number], strict=True):
        if lies:
            board[cell] = (BLUE if blue else RED,)
    for who in (0, 1):
        ahead, left = np.array(AHEAD[facing[who]]), np.array(AHEAD[(facing[who] + 1) % 4])
        for offset in (ahead, 2 * ahead, ahead + left, ahead - left):
            if state.beam[number, who]:
                board.setdefault(tuple((position[who] + offset).tolist()), (BEAM,))
    window = np.zeros((5, 5, 10), int)
    ahead, left = np.array(AHEAD[facing[seat]]), np.array(AHEAD[(facing[seat] + 1) % 4])
    for i in range(5):
        for j in range(5):
            x, y = (position[seat] + j * ahead + (i - 2) * left).tolist()
            exists = 0 <= x < 5 and 0 <= y < 5
            for channel in board.get((x, y), ()) if exists else (WALL,):
                window[i, j, channel] = 1
    own, other = state.inventory[number, seat], state.inventory[number, 1 - seat] * (not hides_other)
    shown = other if state.frozen[number] else (0, 0)
    return np.concatenate([window.ravel(), own, [own.any(), other.any()], shown])


@pytest.mark.parametrize("name", ["storm", "storm/independent", "storm/unobserved"])
def test_observations_equal_those_drawn_cell_by_cell(name):
    states = random_states(2000, shared=name != "storm")
    for seat, observations in enumerate(look(name, states)):
        expected = [drawn_by_hand(states, n, seat, name == "storm/unobserved") for n in range(len(observations))]
        np.testing.assert_array_equal(observations, expected)
        assert observations.dtype == np.int8
