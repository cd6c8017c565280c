"""Many games at once, some of which end: each goes on as it would alone."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import rpax
from rpax.training.problem import key_data

GAMES, HORIZON = 6, 4


@functools.cache
def rules(name: str, **options):
    return rpax.make(name, **options)


@pytest.mark.parametrize("ages", [(0, 1, 2, 3, 3, 0), (0, 1, 2, 2, 0, 1)], ids=["two of six end", "none ends"])
def test_each_game_goes_on_as_it_would_alone(ages):
    """Against :meth:`step`, and :meth:`reset` where the episode ended, of one game after the other."""
    game = rules("storm", horizon=HORIZON)
    rng = np.random.default_rng(0)
    states = []
    for number, age in enumerate(ages):
        state = game.reset(key_data(number))
        for step in range(age):
            state = game.step(key_data(100 + step), state, jnp.asarray(rng.integers(5, size=2), jnp.int32)).state
        states.append(state)
    keys = jax.random.split(key_data(7), GAMES)
    actions = jnp.asarray(rng.integers(5, size=(GAMES, 2)), jnp.int32)
    together = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    transition, following = jax.jit(game.step_and_reset_all)(keys, together, actions)
    ended = 0
    for number, state in enumerate(states):
        key_step, key_reset = jax.random.split(keys[number])
        alone = game.step(key_step, state, actions[number])
        goes_on = game.reset(key_reset) if alone.done else alone.state
        ended += int(alone.done)
        assert bool(transition.done[number]) == bool(alone.done)
        assert_array_equal(transition.rewards[number], alone.rewards)
        for found, expected in ((following, goes_on), (transition.state, alone.state)):
            jax.tree.map(lambda all_of, one, n=number: assert_array_equal(all_of[n], one), found, expected)
    assert ended == sum(age == HORIZON - 1 for age in ages)
