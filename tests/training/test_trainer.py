"""The compiled loop: chunks of any size, many seeds, and initial parameters that do not deadlock."""

import subprocess
import sys

import jax
import numpy as np
import pytest
import small_game  # noqa: F401

import rpax
from rpax.runs.config import TrainConfig
from rpax.training.setup import make_problem
from rpax.training.trainer import Trainer, learners_not_finite

INITIALISE_OFTEN = """
import jax, rpax
from rpax.runs.config import TrainConfig
from rpax.training.setup import make_problem
from rpax.training.trainer import Trainer

config = TrainConfig("ad-rpg", "matrix/figure-13", network="mlp").complete()
problem = make_problem(config, rpax.algorithm("ad-rpg"), rpax.make("matrix/figure-13"))
trainer = Trainer(problem, (0, 1, 2, 3, 4), exact=False, precision="float32")
initial = jax.jit(trainer._initial_states)
for _ in range(50):
    jax.block_until_ready(initial(trainer._keys()))
"""


def make_trainer(seeds=(0, 1), exact=False, **settings) -> Trainer:
    config = TrainConfig("at-rpg", "matrix/figure-2", exact=exact, envs=4, lookahead=2, **settings).complete()
    objective = rpax.algorithm("at-rpg", partner_play=0.1, sides="single")
    problem = make_problem(config, objective, rpax.make("matrix/figure-2"))
    return Trainer(problem, seeds, exact, "float64" if exact else "float32")


def test_initialising_networks_of_many_seeds_does_not_deadlock():
    """Orthogonal initialisation decomposes matrices; batches of that can block every thread of a small CPU."""
    subprocess.run([sys.executable, "-c", INITIALISE_OFTEN], check=True, timeout=240)


@pytest.mark.parametrize("exact", [True, False])
def test_chunks_of_any_size_make_the_same_updates(exact):
    trainer = make_trainer(exact=exact)
    whole, _ = trainer.advance(trainer.init(), 7)
    state = trainer.init()
    for updates in (1, 4, 2):
        state, _ = trainer.advance(state, updates)
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(state), strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.asarray(whole.update).tolist() == [7, 7]


@pytest.mark.slow
def test_seeds_differ_and_do_not_depend_on_each_other():
    trainer, alone = make_trainer(seeds=(3, 8)), make_trainer(seeds=(8,))
    together, _ = trainer.advance(trainer.init(), 5)
    single, _ = alone.advance(alone.init(), 5)
    for one, other in zip(jax.tree.leaves(together.base), jax.tree.leaves(single.base), strict=True):
        np.testing.assert_allclose(one[1], other[0], rtol=1e-5, atol=1e-6)
        assert not np.array_equal(one[0], one[1])


def test_agents_that_are_not_finite_are_named_with_their_seed():
    trainer = make_trainer(seeds=(3, 8))
    state = trainer.init()
    broken = jax.tree.map(lambda leaf: leaf.at[1].set(np.nan), state.manipulators)
    _, report = trainer.advance(state._replace(manipulators=broken), 0)
    assert learners_not_finite(report, trainer.seeds) == [("manipulator", 8)]


@pytest.mark.parametrize(
    "environment",
    [
        "small/ring",
        "overcooked/cramped_room",
        *[pytest.param(n, marks=pytest.mark.slow) for n in ("hanabi/3x3", "storm")],
    ],
)
def test_nothing_is_compiled_after_the_first_chunk(environment):
    """Whatever a chunk's length, and although JaxMARL's own states change their types after a reset."""
    settings = {"envs": 2, "steps": 4, "hidden_sizes": (8,), "base_update": "pg"}
    config = TrainConfig("ad-rpg", environment, **settings).complete(tabular=False)
    problem = make_problem(config, rpax.algorithm("ad-rpg"), rpax.make(environment))
    trainer = Trainer(problem, (0,), exact=False, precision="float32")
    state, _ = trainer.advance(trainer.init(), 1)
    for updates in (2, 1):
        state, _ = trainer.advance(state, updates)
    trainer.report(state)
    assert trainer._advance._cache_size() == 1
