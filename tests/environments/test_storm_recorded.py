"""STORM against transitions recorded from the authors' environments: 19,840 steps in five configurations.

``tests/data/storm_transitions.npz`` holds, for each group, what the authors' program showed before and after a step:
places and facings (``red_pos`` is seat 0), the grid ([x, y]: 0 empty, 1 and 2 the seats, 3 red and 4 blue coins, 6
beam), inventories, frozen steps left (−1 for none), time, actions, rewards, observations of the state before, and the
end. Fixed coins and freeze 5 throughout; facings were drawn from three directions only.
"""

import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rpax.environments.storm.game import Chance, make_storm
from rpax.environments.storm.grid import StormState

DATA = pathlib.Path(__file__).parent.parent / "data" / "storm_transitions.npz"
GENERAL_SUM = [[[3, 0], [1, 2]], [[2, 0], [1, 3]]]
GROUPS: dict[str, tuple[str, dict[str, Any]]] = {
    "small": ("storm", {"horizon": 20}),
    "small_long": ("storm", {"horizon": 100}),
    "small_general_sum": ("storm", {"horizon": 100, "payoffs": GENERAL_SUM}),
    "sabotage": ("storm/sabotage", {"horizon": 100}),
    "independent": ("storm/independent", {"horizon": 20}),
}
COINS = np.array([(1, 1), (1, 3), (3, 1), (3, 3)])
AHEAD = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])
SEAT_0, SEAT_1, RED, BLUE, BEAM = 1, 2, 3, 4, 6


class Recorded(NamedTuple):
    """One side of the recorded steps."""

    state: StormState
    grid: np.ndarray


def read(group: dict[str, np.ndarray], side: str, shared: bool) -> Recorded:
    """The state before (``state``) or after (``next``); who fired follows from the beams on the grid."""
    grid = group[f"{side}_grid"]
    agents = np.stack([group[f"{side}_red_pos"], group[f"{side}_blue_pos"]], axis=1)
    lies = np.isin(grid[:, COINS[:, 0], COINS[:, 1]], (RED, BLUE))
    state = StormState(
        position=agents[:, :, :2].astype(np.int8),
        facing=agents[:, :, 2].astype(np.int8),
        blue=np.tile([True, False, True, False], (len(grid), 1)),
        coin=np.ones_like(lies) if shared else lies,
        inventory=np.stack([group[f"{side}_{who}_inventory"] for who in ("red", "blue")], axis=1).astype(np.int16),
        beam=np.zeros((len(grid), 2), bool),
        frozen=np.maximum(group[f"{side}_freeze"], 0).astype(np.int16),
        time=group[f"{side}_inner_t"].astype(np.int16),
    )
    explained = np.zeros(len(grid), bool)
    for fired in ((False, False), (True, False), (False, True), (True, True)):
        guess = state._replace(beam=np.tile(fired, (len(grid), 1)))
        right = ((draw(guess) == BEAM) == (grid == BEAM)).all(axis=(1, 2)) & ~explained
        state.beam[right] = fired
        explained |= right
    assert explained.all()
    return Recorded(state, grid)


def draw(state: StormState) -> np.ndarray:
    """The grid that a state shows: coins before seat 1 before seat 0 before beams."""
    count = np.arange(len(state.time))
    grid = np.zeros((len(count), 5, 5), int)
    left = np.roll(AHEAD, -1, axis=0)
    for seat in (0, 1):
        facing = state.facing[:, seat]
        ahead, aside = AHEAD[facing], left[facing]
        for cells in (state.position[:, seat] + offset for offset in (ahead, 2 * ahead, ahead + aside, ahead - aside)):
            shows = state.beam[:, seat] & ((cells >= 0) & (cells < 5)).all(axis=1)
            grid[count[shows], cells[shows, 0], cells[shows, 1]] = BEAM
    for seat, content in ((0, SEAT_0), (1, SEAT_1)):
        grid[count, state.position[:, seat, 0], state.position[:, seat, 1]] = content
    for coin, (x, y) in enumerate(COINS):
        lies = state.coin[:, coin]
        grid[lies, x, y] = np.where(state.blue[lies, coin], BLUE, RED)
    return grid


@pytest.fixture(scope="module")
def recorded() -> dict[str, dict[str, np.ndarray]]:
    with np.load(DATA) as data:
        groups: dict[str, dict[str, np.ndarray]] = {name: {} for name in GROUPS}
        for key in data:
            name, _, field = key.partition("/")
            groups[name][field] = data[key]
    return groups


def test_all_transitions_are_there(recorded):
    assert sum(len(group["done"]) for group in recorded.values()) == 19_840


@pytest.mark.parametrize("name", GROUPS)
def test_observations_are_those_recorded(recorded, name):
    variant, options = GROUPS[name]
    before = read(recorded[name], "state", variant == "storm/independent")
    np.testing.assert_array_equal(draw(before.state), before.grid)
    env = make_storm(variant, **options)
    for seat, seen in enumerate(jax.jit(jax.vmap(env.observe))(jax.tree.map(jnp.asarray, before.state))):
        np.testing.assert_array_equal(seen, recorded[name][f"obs_{seat}"])


@pytest.mark.parametrize("name", GROUPS)
def test_steps_are_those_recorded(recorded, name):
    variant, options = GROUPS[name]
    group, shared = recorded[name], variant == "storm/independent"
    before, after = read(group, "state", shared), read(group, "next", shared)
    env = make_storm(variant, **options)
    soft_reset = before.state.frozen == 1

    def play(state: StormState, actions: Any, position: Any, facing: Any, seat_0_wins: Any) -> Any:
        return env.play(state, actions, Chance(seat_0_wins, position, facing))

    step = jax.jit(jax.vmap(play, in_axes=(0, 0, 0, 0, None)))
    # Where a soft reset is due, agents are put where the recording put them.
    arguments = (before.state, group["actions"].astype(np.int32), after.state.position, after.state.facing)
    found = np.zeros(len(before.grid), bool)
    for seat_0_wins in (True, False):
        outcome = jax.tree.map(np.asarray, step(*jax.tree.map(jnp.asarray, arguments), jnp.array(seat_0_wins)))
        same = (draw(outcome.state) == after.grid).all(axis=(1, 2)) & (outcome.done == group["done"])
        # The authors' payoffs are rounded to single precision in another order.
        same &= np.isclose(outcome.rewards, group["rewards"], rtol=1e-6, atol=1e-6).all(axis=1)
        # Who fired shows on the grid, or not at all where every cell of the beam is taken.
        for field in set(StormState._fields) - {"beam"}:
            mine, theirs = getattr(outcome.state, field), getattr(after.state, field)
            same &= (mine == theirs).reshape(len(same), -1).all(axis=1)
        found |= same
        decided = _both_moved_to_one_cell(before.state, group["actions"], shared)
        assert same[~decided].all()
    assert found.all()
    assert_legal_spawns(after.state.position[soft_reset], after.state.facing[soft_reset])


def _both_moved_to_one_cell(state: StormState, actions: np.ndarray, shared: bool) -> np.ndarray:
    """Where chance decided a collision."""
    target = state.position + AHEAD[state.facing]
    moved = (actions == 2).all(axis=1) & (state.frozen == 0) & ((target >= 0) & (target < 5)).all(axis=(1, 2))
    return moved & (target[:, 0] == target[:, 1]).all(axis=1) & (not shared)


def assert_legal_spawns(position: np.ndarray, facing: np.ndarray) -> None:
    legal = {(x, y) for x in range(5) for y in (0, 1, 3, 4)} - {tuple(cell) for cell in COINS.tolist()}
    assert {tuple(cell) for cell in position[:, 0].tolist()} <= legal
    np.testing.assert_array_equal(position[:, 1], 4 - position[:, 0])
    assert np.isin(facing, (0, 1, 2)).all()


def test_what_matters_was_recorded(recorded):
    """Collisions by chance, soft resets, meetings, sabotage and shared cells all occur."""
    chance = soft_resets = meetings = 0
    for name in ("small", "small_long", "small_general_sum", "sabotage"):
        before = read(recorded[name], "state", shared=False).state
        chance += _both_moved_to_one_cell(before, recorded[name]["actions"], False).sum()
        soft_resets += (before.frozen == 1).sum()
        meetings += ((before.frozen == 0) & (recorded[name]["next_freeze"] > 0)).sum()
    assert min(chance, soft_resets, meetings) > 20
    assert np.isclose(recorded["sabotage"]["rewards"], -0.1).any()
    independent = read(recorded["independent"], "state", shared=True).state
    assert (independent.position[:, 0] == independent.position[:, 1]).all(axis=1).any()
