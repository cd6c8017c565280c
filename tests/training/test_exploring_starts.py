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
from rpax.runs.config import TrainConfig
from rpax.training.initial import initial_state
from rpax.training.problem import key_data
from rpax.training.rollout import start_streams
from rpax.training.setup import make_problem


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


@pytest.mark.slow
def test_manipulators_have_them_too(lottery):
    settings = {"envs": 4, "steps": 4, "updates": 1, "exploring_starts": 1.0, "sampling": "uniform"}
    run = rpax.train("ad-rpg", lottery, evaluation_episodes=4, **settings)
    for rollout in ("lookahead", "outer"):
        assert set(map(tuple, run.metrics()[0][f"{rollout}_episode_return"].values())) == {(2.0, 4.0)}
    assert {pairing.returns for pairing in run.results[0].pairings} == {(0.0, 0.0)}


def test_overcooked_trains_from_anywhere_and_is_evaluated_from_the_start():
    config = TrainConfig("sp", "overcooked/coord_ring", envs=64).complete(tabular=False)
    assert config.exploring_starts == 1.0
    problem = make_problem(config, rpax.algorithm("sp"), rpax.make("overcooked/coord_ring"))
    training = initial_state(problem, key_data(0), exact=False).lookahead_streams
    evaluated = start_streams(problem.stage, key_data(0), 1, 64)
    places = [len(np.unique(np.asarray(streams.state.position), axis=1)[0]) for streams in (training, evaluated)]
    assert places[0] > 20
    assert places[1] == 1


@pytest.mark.parametrize("start", [jnp.zeros((), jnp.int16), jnp.zeros(2), {"lucky": jnp.zeros(())}])
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_an_exploring_start_is_a_state_like_any_other(start, share):
    game = Lottery()
    game.exploring_reset = lambda key: (start, jnp.zeros((), jnp.int32))
    reset = ExploringStarts(game, share).reset
    if isinstance(start, dict) or start.ndim:
        with pytest.raises(InputError, match=r"'lottery': exploring_reset returns a state of .* reset one of"):
            reset(jax.random.key(0))
    else:
        assert reset(jax.random.key(0))[0].dtype == jnp.float32


def test_what_an_exploring_start_raises_is_told_in_one_line(lottery, monkeypatch):
    monkeypatch.setattr(Lottery, "exploring_reset", lambda self, key: jnp.zeros(3) + jnp.zeros(2))
    with pytest.raises(
        InputError, match=r"^environment 'lottery': exploring_reset raised TypeError: add got incompatible shapes"
    ):
        rpax.train("sp", lottery, exploring_starts=1.0, updates=1)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_training_has_exploring_starts_and_the_final_evaluation_has_none(lottery, share):
    settings = {"envs": 64, "steps": 8, "updates": 8, "log_every": 8, "exploring_starts": share}
    run = rpax.train("sp", lottery, evaluation_episodes=64, base_update="pg", **settings)
    (row,) = run.metrics()
    (returns,) = row["lookahead_episode_return"].values()
    # An episode pays 2 and 4 after an exploring start.
    episodes, payments = 4 * 64 * 8, np.array([2.0, 4.0])
    np.testing.assert_allclose(returns / payments, share, atol=5 * np.sqrt(share * (1 - share) / episodes))
    (pairing,) = run.results[0].pairings
    assert tuple(pairing.returns) == (0.0, 0.0)


def test_exact_mode_has_none():
    with pytest.raises(InputError, match="exact mode has no exploring starts; set exploring_starts to 0"):
        rpax.train("at-rpg", "extensive/g2", exploring_starts=0.5, exact=True)
    with pytest.raises(NotImplementedError, match="'storm' has no exploring starts"):
        rpax.make("storm").exploring_reset(jax.random.key(0))
