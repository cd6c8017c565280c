"""Many games at once, some of which end: each goes on as it would alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import rpax
from rpax.errors import InputError
from rpax.training.problem import key_data

GAMES, HORIZON = 6, 4


@pytest.mark.parametrize("ages", [(0, 1, 2, 3, 3, 0), (0, 1, 2, 2, 0, 1)], ids=["two of six end", "none ends"])
def test_each_game_goes_on_as_it_would_alone(ages):
    """Against :meth:`step`, and :meth:`reset` where the episode ended, of one game after the other."""
    game = rpax.make("storm", horizon=HORIZON)
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
        one = game.step_and_reset(keys[number], state, actions[number])
        jax.tree.map(assert_array_equal, one[1], goes_on)
        ended += int(alone.done)
        assert bool(transition.done[number]) == bool(alone.done)
        assert_array_equal(transition.rewards[number], alone.rewards)
        for found, expected in ((following, goes_on), (transition.state, alone.state)):
            jax.tree.map(lambda all_of, one, n=number: assert_array_equal(all_of[n], one), found, expected)
    assert ended == sum(age == HORIZON - 1 for age in ages)


class Clock(rpax.Environment):
    """Counts to 3. ``after`` makes the state that step returns from the count."""

    name, horizon = "clock", 3
    spaces = (rpax.SeatSpace((1,), 2), rpax.SeatSpace((1,), 2))

    def __init__(self, after):
        self.after = after

    def reset(self, key):
        return {"count": jnp.zeros((), jnp.float32)}

    def step(self, key, state, actions):
        count = state["count"] + 1
        return rpax.Transition(self.after(count), jnp.ones(2), count >= 3)

    def observe(self, state):
        return state["count"][None], state["count"][None]


@pytest.mark.parametrize("kind", [jnp.float32, jnp.int32, jnp.bool_], ids=lambda kind: kind.__name__)
def test_a_narrower_type_after_a_step_becomes_that_of_the_reset(kind):
    game = Clock(lambda count: {"count": count.astype(kind)})
    start = jax.vmap(game.traced_rules.reset)(jax.random.split(key_data(0), 2))
    _, following = game.step_and_reset_all(jax.random.split(key_data(1), 2), start, jnp.zeros((2, 2), jnp.int32))
    assert following["count"].dtype == jnp.float32
    assert not following["count"].weak_type
    assert_array_equal(following["count"], [1, 1])


@pytest.mark.parametrize(
    "after",
    [
        lambda count: {"count": count + 1j},
        lambda count: {"count": count[None]},
        lambda count: {"count": count, "more": count},
        lambda count: count,
    ],
    ids=["wider type", "other shape", "other structure", "no dict"],
)
def test_states_of_different_kinds_are_refused_by_name(after):
    game = Clock(after)
    with pytest.raises(InputError, match=r"environment 'clock': step returns a state of .* reset one of .*; return"):
        game.step_and_reset(key_data(0), game.reset(key_data(0)), jnp.zeros(2, jnp.int32))
