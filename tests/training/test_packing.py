"""Updates on packed parameters against updates on the trees that they stand for."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rpax
from rpax.policies.layout import Layout
from rpax.runs.config import TrainConfig
from rpax.training.packing import layouts_of, pack, unpack
from rpax.training.setup import make_problem
from rpax.training.step import step
from rpax.training.trainer import Trainer


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def make_trainer(seeds, optimizer="adam", algorithm="ad-rpg", **settings) -> Trainer:
    settings = {"envs": 4, "steps": 4, "lookahead": 1, "outer_average": 0.9} | settings
    optimizers = {f"{role}_optimizer": optimizer for role in ("base", "manipulator", "critic")}
    config = TrainConfig(algorithm, "matrix/figure-14", precision="float64", **optimizers, **settings).complete()
    objective = rpax.algorithm(algorithm, partner_play=0.1)
    problem = make_problem(config, objective, rpax.make("matrix/figure-14"))
    return Trainer(problem, tuple(seeds), False, "float64")


def assert_same(tree, other, **tolerance):
    assert jax.tree.structure(tree) == jax.tree.structure(other)
    for leaf, its in zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(leaf, its, **tolerance)


def test_a_layout_puts_arrays_one_after_the_other_for_every_entry_of_a_batch():
    tree = {"a": jnp.arange(12.0).reshape(2, 2, 3), "b": (jnp.arange(2.0) + 50, jnp.arange(8.0).reshape(2, 4) + 100)}
    layout = Layout.of(tree, batch_axes=1)
    expected = [[0, 1, 2, 3, 4, 5, 50, 100, 101, 102, 103], [6, 7, 8, 9, 10, 11, 51, 104, 105, 106, 107]]
    np.testing.assert_array_equal(layout.pack(tree), expected)
    assert_same(layout.unpack(layout.pack(tree)), tree)
    first = jax.tree.map(lambda leaf: leaf[0], tree)
    np.testing.assert_array_equal(layout.pack(first), expected[0])
    assert_same(layout.unpack(layout.pack(first)), first)


@pytest.mark.parametrize(("network", "optimizer"), [("tabular", "adam"), ("tabular", "sgd"), ("mlp", "adam")])
def test_unpacking_gives_back_the_state(network, optimizer):
    """Two actions and two seeds: in tables, counters and parameters have the same shape."""
    trainer = make_trainer((0, 1), optimizer, network=network)
    state = trainer.init()
    problem = dataclasses.replace(trainer.problem, layouts=layouts_of(state, seed_axes=1))
    packed = pack(problem, state)
    for learners in (packed.base, packed.manipulators, packed.outer_gradients):
        assert {leaf.ndim for leaf in jax.tree.leaves(learners)} == {2}  # seeds, numbers
    assert packed.critics.ndim == 3  # seeds, pairings, numbers
    assert_same(unpack(problem, packed, state), state)


def test_an_update_moves_packed_parameters_as_it_moves_trees():
    trainer = make_trainer((5,), algorithm="at-rpg", network="mlp", base_max_norm=0.01, manipulator_max_norm=0.01)
    start = trainer.init()
    plain = jax.jit(functools.partial(step, trainer.problem))
    expected = jax.tree.map(lambda leaf: leaf[0], start)
    for _ in range(2):
        expected, _ = plain(expected)
    found, _ = trainer.advance(trainer.init(), 2)
    assert_same(jax.tree.map(lambda leaf: leaf[0], found), expected, rtol=1e-9, atol=1e-12)
    moved = jax.tree.map(lambda leaf, before: np.abs(leaf - before).max(), found.manipulators, start.manipulators)
    assert min(jax.tree.leaves(moved)) > 0
