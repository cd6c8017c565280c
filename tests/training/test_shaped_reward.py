"""The shaped reward in training: its coefficient, and how it fades."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rpax
from rpax.environments.protocol import Environment, SeatSpace, Transition
from rpax.runs.config import TrainConfig
from rpax.training.initial import initial_state
from rpax.training.lookahead import look_ahead
from rpax.training.problem import key_data
from rpax.training.setup import make_problem


class Shaped(Environment):
    """One step an episode; pays nothing but a shaped reward of 3 and 5."""

    name = "shaped"
    horizon = 1
    spaces = (SeatSpace((1,), 2), SeatSpace((1,), 2))

    def reset(self, key):
        return jnp.zeros(())

    def step(self, key, state, actions):
        return Transition(state, jnp.zeros(2), jnp.array(True), jnp.array([3.0, 5.0]))

    def observe(self, state):
        return jnp.ones(1), jnp.ones(1)


def a_problem(**settings):
    config = TrainConfig("sp", "storm", envs=2, steps=2, base_update="pg", **settings).complete(tabular=False)
    return make_problem(config, rpax.algorithm("sp"), Shaped())


@pytest.mark.parametrize(
    ("settings", "update", "expected"),
    [
        ({}, 10**6, 1.0),
        ({"shaping": 0.5}, 10**6, 0.5),
        ({"shaping": 0.5, "shaping_updates": 8}, 0, 0.5),
        ({"shaping": 0.5, "shaping_updates": 8}, 2, 0.375),
        ({"shaping": 0.5, "shaping_updates": 8}, 8, 0.0),
        ({"shaping": 0.5, "shaping_updates": 8}, 99, 0.0),
    ],
)
def test_targets_hold_what_is_left_of_it(settings, update, expected):
    problem = a_problem(**settings)
    state = initial_state(problem, key_data(0), exact=False)._replace(update=jnp.asarray(update))
    problem = problem.at(state.update)
    assert float(problem.numbers.shaping) == expected
    _, trace = jax.jit(lambda state: look_ahead(problem, key_data(1), state))(state)
    # Episodes last one step, so that a target is the reward alone.
    every_step = np.broadcast_to([3.0, 5.0], trace.targets.shape)
    np.testing.assert_allclose(trace.targets, expected * every_step, atol=1e-5)
    assert not np.any(trace.chunk.rewards), "the shaped reward is reported apart"
