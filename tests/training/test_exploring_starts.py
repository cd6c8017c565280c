"""Exploring starts: how many episodes begin so, that training has them and results do not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rpax
from rpax.environments import registry
from rpax.environments.exploring import ExploringStarts
from rpax.environments.protocol import Environment, SeatSpace, Transition
from rpax.errors import InputError


@pytest.fixture
def lottery():
    rpax.register("mine/lottery", lambda name: Lottery(), "pays who is lucky")
    yield "mine/lottery"
    del registry.ENVIRONMENTS["mine/lottery"]


class Lottery(Environment):
    """Two steps an episode; each pays 1 to seat 0 and 2 to seat 1 after an exploring start, and nothing otherwise."""

    name = "lottery"
    horizon = 2
    spaces = (SeatSpace((1,), 2), SeatSpace((1,), 2))

    def reset(self, key):
        return jnp.zeros(()), jnp.zeros((), jnp.int32)

    def exploring_reset(self, key):
        return jnp.ones(()), jnp.zeros((), jnp.int32)

    def step(self, key, state, actions):
        lucky, steps = state
        return Transition((lucky, steps + 1), lucky * jnp.array([1.0, 2.0]), steps == 1)

    def observe(self, state):
        return jnp.ones(1), jnp.ones(1)


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_the_share_of_episodes_that_begin_so(share):
    game, episodes = ExploringStarts(Lottery(), share), 8000
    keys = jax.random.split(jax.random.key(3), episodes)
    for reset in (game.reset, game.traced_rules.reset):
        lucky, _ = jax.jit(jax.vmap(reset))(keys)
        np.testing.assert_allclose(np.mean(lucky), share, atol=5 * np.sqrt(share * (1 - share) / episodes))


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_training_has_exploring_starts_and_the_final_evaluation_has_none(lottery, share):
    settings = {"envs": 64, "steps": 8, "updates": 8, "log_every": 8, "exploring_starts": share}
    run = rpax.train("sp", lottery, evaluation_episodes=64, base_update="pg", **settings)
    (row,) = run.metrics()
    (returns,) = row["lookahead_episode_return"].values()
    # 4 episodes in each of 64 environments and 8 updates; an episode pays 2 and 4 after an exploring start.
    np.testing.assert_allclose(returns, np.array([2.0, 4.0]) * share, atol=0.4 if 0 < share < 1 else 0)
    (pairing,) = run.results[0].pairings
    assert tuple(pairing.returns) == (0.0, 0.0)


def test_an_environment_without_them_is_refused():
    for algorithm, environment, settings in (("sp", "storm", {}), ("at-rpg", "matrix/figure-2", {"exact": True})):
        with pytest.raises(InputError, match="has no exploring starts; set exploring_starts to 0"):
            rpax.train(algorithm, environment, exploring_starts=0.5, **settings)
    with pytest.raises(NotImplementedError, match="'storm' has no exploring starts"):
        rpax.make("storm").exploring_reset(jax.random.key(0))
