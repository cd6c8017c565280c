"""100,000 random steps of STORM, with beams and without, hold what must hold; other variants play shorter."""

import functools
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rpax.environments.storm.game import Chance, make_storm
from rpax.environments.storm.grid import StormState

GENERAL_SUM = np.array([[[3.0, 0.0], [1.0, 2.0]], [[2.0, 0.0], [1.0, 3.0]]])
STEPS = 100
#: How many games of 100 steps are played of each variant.
GAMES_OF_EACH = 1000
GAMES = ("storm", "storm/independent", "storm/sabotage", "storm/unobserved")
BY_THEMSELVES = ("storm/independent", "storm/unobserved")


@pytest.fixture(autouse=True, scope="module")
def optimised():
    """These programs run for long, unlike those of other tests."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] == "1")


@functools.cache
def played(name: str) -> Any:
    """States before, actions, transitions, and how it went on: [steps, games, …]."""
    env = make_storm(name, coins="shuffled", payoffs=GENERAL_SUM)

    def step(state: StormState, key: Any) -> Any:
        key_act, key_step = jax.random.split(key)
        actions = jax.random.randint(key_act, (2,), 0, env.spaces[0].num_actions)
        transition, following = env.step_and_reset(key_step, state, actions)
        return following, (state, actions, transition, env.observe(state))

    def game(key: Any) -> Any:
        key_start, key_play = jax.random.split(key)
        return jax.lax.scan(step, env.reset(key_start), jax.random.split(key_play, STEPS))[1]

    games = jax.jit(jax.vmap(game, out_axes=1))(jax.random.split(jax.random.key(5), GAMES_OF_EACH))
    return jax.tree.map(np.asarray, games)


@pytest.mark.parametrize("name", GAMES)
def test_agents_stay_on_the_grid_and_episodes_have_their_length(name):
    state, _, transition, _ = played(name)
    assert state.time.size == 100 * GAMES_OF_EACH
    assert ((state.position >= 0) & (state.position < 5)).all()
    assert ((state.facing >= 0) & (state.facing < 4)).all()
    np.testing.assert_array_equal(state.time[:, 0], np.arange(STEPS) % 20)
    np.testing.assert_array_equal(transition.done, state.time == 19)
    assert (transition.rewards[transition.done] == 0).all()


@pytest.mark.parametrize("name", GAMES)
def test_coins_are_conserved(name):
    state, _, transition, _ = played(name)
    assert (state.blue.sum(axis=-1) == 2).all()
    np.testing.assert_array_equal(transition.state.blue, state.blue)
    if name in BY_THEMSELVES:
        assert state.coin.all()
        return
    lying = np.stack([(state.coin & ~state.blue).sum(axis=-1), (state.coin & state.blue).sum(axis=-1)], axis=-1)
    np.testing.assert_array_equal(lying + state.inventory.sum(axis=2), 2)
    assert (state.position[:, :, 0] != state.position[:, :, 1]).any(axis=-1).all()


@pytest.mark.parametrize("name", GAMES)
def test_what_is_stored_of_observations_gives_them_back(name):
    state, _, _, seen = (jax.tree.map(lambda array: array.reshape(-1, *array.shape[2:]), part) for part in played(name))
    env = make_storm(name)
    stored = jax.jit(jax.vmap(env.observe_encoded))(state)
    for encoding, numbers, view in zip(env.encodings, stored, seen, strict=True):
        assert numbers.shape[1] == encoding.size == (207 if name in BY_THEMSELVES else 198)
        np.testing.assert_array_equal(encoding.decode(numbers), view)


@pytest.mark.parametrize("name", GAMES)
def test_frozen_agents_do_not_move(name):
    state, _, transition, _ = played(name)
    frozen = (state.frozen > 1) & ~transition.done
    # Where agents do not meet by beam they freeze before the last step only.
    assert frozen.any() != (name in BY_THEMSELVES)
    for field in ("position", "facing", "blue", "coin", "inventory"):
        np.testing.assert_array_equal(getattr(transition.state, field)[frozen], getattr(state, field)[frozen])
    np.testing.assert_array_equal(transition.state.frozen[frozen], state.frozen[frozen] - 1)
    assert not transition.state.beam[frozen].any()


@pytest.mark.parametrize("name", GAMES)
def test_everything_that_can_happen_happens(name):
    state, actions, transition, _ = played(name)
    assert set(np.unique(actions)) == set(range(4 if name in BY_THEMSELVES else 5))
    # Rows of one coin each pay the entries of the matrices; sabotage pays its price.
    paid = set(transition.rewards.astype(float).round(5).ravel().tolist())
    assert paid >= ({0.0, 1.0, 3.0, -0.1} if name == "storm/sabotage" else {0.0, 1.0, 3.0})
    assert (state.inventory.sum(axis=-1) > 1).any()


@pytest.mark.parametrize("name", GAMES)
def test_swapping_the_seats_swaps_observations_and_rewards(name):
    """Also the collision's outcome and, in a soft reset, the places; payoffs are transposed as well as swapped."""
    env = make_storm(name, coins="shuffled", payoffs=GENERAL_SUM)
    mirrored = make_storm(name, coins="shuffled", payoffs=GENERAL_SUM[::-1].transpose(0, 2, 1))
    state, actions, _, seen = (
        jax.tree.map(lambda array: array.reshape(-1, *array.shape[2:]), part) for part in played(name)
    )
    draw = np.random.default_rng(0)
    count = len(actions)
    chance = Chance(
        jnp.asarray(draw.random(count) < 0.5),
        jnp.asarray(draw.integers(0, 5, (count, 2, 2)), jnp.int8),
        jnp.asarray(draw.integers(0, 4, (count, 2)), jnp.int8),
    )
    both = ("position", "facing", "inventory", "beam")

    def swap_state(state: StormState) -> StormState:
        return state._replace(**{field: jnp.flip(jnp.asarray(getattr(state, field)), 1) for field in both})

    swapped_chance = Chance(~chance.seat_0_wins, jnp.flip(chance.position, 1), jnp.flip(chance.facing, 1))
    play, play_mirrored = jax.jit(jax.vmap(env.play)), jax.jit(jax.vmap(mirrored.play))
    usual = play(jax.tree.map(jnp.asarray, state), jnp.asarray(actions), chance)
    other = play_mirrored(swap_state(state), jnp.flip(jnp.asarray(actions), 1), swapped_chance)
    np.testing.assert_allclose(usual.rewards, jnp.flip(other.rewards, 1), rtol=1e-6)
    np.testing.assert_array_equal(usual.done, other.done)
    for field in StormState._fields:
        np.testing.assert_array_equal(getattr(usual.state, field), getattr(swap_state(other.state), field))
    # A shared cell shows seat 1 to both.
    apart = (state.position[:, 0] != state.position[:, 1]).any(axis=1)
    views = [np.asarray(view) for view in jax.jit(jax.vmap(env.observe))(swap_state(state))]
    np.testing.assert_array_equal(views[1][apart], seen[0][apart])
    np.testing.assert_array_equal(views[0][apart], seen[1][apart])
