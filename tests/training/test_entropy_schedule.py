"""The entropy bonus that falls over the first updates."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_game  # noqa: F401

import rpax
from rpax.runs.config import TrainConfig
from rpax.runs.prepare import prepare
from rpax.training.exact_step import exact_step
from rpax.training.initial import initial_state
from rpax.training.problem import key_data
from rpax.training.setup import make_problem
from rpax.training.step import step

FALLING = {"entropy": 0.1, "entropy_start": 0.5, "entropy_updates": 8}


def a_problem(algorithm, environment, **settings):
    config = TrainConfig(algorithm, environment, **settings)
    return make_problem(config.complete(tabular=config.exact), rpax.algorithm(algorithm), rpax.make(environment))


@pytest.mark.parametrize(("update", "expected"), [(0, 0.5), (2, 0.4), (8, 0.1), (1000, 0.1)])
def test_it_falls_linearly_and_stays(update, expected):
    numbers = a_problem("sp", "storm", **FALLING).numbers.at(jnp.asarray(update))
    np.testing.assert_allclose(numbers.entropy, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [({}, 0.1, 0.01), ({"entropy": 0.02}, 0.02, 0.02), ({"entropy": 0.02, "entropy_start": 0.3}, 0.3, 0.02)],
)
def test_a_bonus_that_is_asked_for_alone_stays(asked, first, last):
    config, objective = prepare(TrainConfig("sp", "overcooked/coord_ring", **asked))
    numbers = make_problem(config, objective, rpax.make("overcooked/coord_ring")).numbers
    np.testing.assert_allclose([numbers.at(jnp.asarray(u)).entropy for u in (0, 10**6)], [first, last], rtol=1e-6)


@pytest.mark.parametrize(
    ("algorithm", "environment", "settings"),
    [
        ("at-rpg", "matrix/figure-2", {"exact": True}),
        ("sp", "small/ring", {"base_update": "ppo", "hidden_sizes": (8,), "envs": 8, "steps": 4}),
        pytest.param("at-rpg", "small/ring", {"hidden_sizes": (8,), "envs": 8, "steps": 4}, marks=pytest.mark.slow),
    ],
)
def test_an_update_uses_what_is_left_of_it(algorithm, environment, settings):
    exact = settings.get("exact", False)
    update = exact_step if exact else step
    falling = a_problem(algorithm, environment, **settings, **FALLING)
    without = dataclasses.replace(falling.numbers, entropy_updates=0)
    state = initial_state(falling, key_data(0), exact=exact)._replace(update=jnp.asarray(2))

    def learned(numbers):
        problem = dataclasses.replace(falling, numbers=numbers)
        after, _ = jax.jit(lambda state: update(problem, state))(state)
        return after.base, after.manipulators

    found = learned(falling.numbers)
    for entropy, same in ((0.4, True), (0.1, False)):
        constant = learned(dataclasses.replace(without, entropy=entropy))
        close = jax.tree.map(lambda a, b: bool(np.allclose(a, b, rtol=0, atol=1e-6)), found, constant)
        assert all(jax.tree.leaves(close)) is same, entropy
