"""The running average of the outer gradients against the weighted sum that it stands for."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rpax
from rpax.runs.config import TrainConfig
from rpax.training.initial import initial_state
from rpax.training.outer_average import average
from rpax.training.problem import key_data
from rpax.training.setup import make_problem
from rpax.training.step import step


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def small_problem(outer_average: float):
    settings = {"envs": 2, "steps": 4, "precision": "float64", "outer_average": outer_average}
    config = TrainConfig("at-rpg", "matrix/figure-2", **settings).complete()
    return make_problem(config, rpax.algorithm("at-rpg"), rpax.make("matrix/figure-2"))


def random_gradients(state, number: int):
    leaves, structure = jax.tree.flatten(state.base["adversary"])
    draw = np.random.default_rng(number)
    return {"manipulator": jax.tree.unflatten(structure, [draw.normal(size=leaf.shape) for leaf in leaves])}


def flat(tree) -> np.ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def test_the_average_weighs_recent_gradients_by_powers_of_its_decay():
    problem = small_problem(0.7)
    state = initial_state(problem, key_data(0), exact=False)
    found = []
    for number in range(5):
        found.append(random_gradients(state, number))
        carried, used = average(problem, state, found[-1])
        weights = 0.7 ** np.arange(number, -1, -1)
        expected = np.average([flat(one) for one in found], axis=0, weights=weights)
        np.testing.assert_allclose(flat(used), expected, rtol=1e-12)
        state = state._replace(outer_gradients=carried, update=state.update + 1)


def test_without_a_decay_each_updates_own_gradient_is_used_and_nothing_is_kept():
    problem = small_problem(0.0)
    state = initial_state(problem, key_data(0), exact=False)
    found = random_gradients(state, 0)
    assert average(problem, state, found) == ({}, found)
    assert state.outer_gradients == {}


def test_an_update_carries_the_average_on_and_steers_the_manipulator_by_it():
    own, averaged = small_problem(0.0), small_problem(0.9)
    state = jax.jit(functools.partial(initial_state, averaged, exact=False))(key_data(0))
    state = state._replace(update=jnp.asarray(40))
    after, _ = jax.jit(lambda state: step(averaged, state))(state)
    after_own, _ = jax.jit(lambda state: step(own, state))(state._replace(outer_gradients={}))
    assert np.any(flat(after.outer_gradients) != 0)
    # From an average of zeros, this update's u enters with the weight 1 − κ, over 1 − κ⁴¹.
    moved, moved_own = (flat(s.manipulators) - flat(state.manipulators) for s in (after, after_own))
    assert np.abs(moved_own).max() > 0
    np.testing.assert_allclose(moved, moved_own * (1 - 0.9) / (1 - 0.9**41), rtol=1e-9)
