"""Training with pairings that are played in proportion to their weights."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rpax
from rpax.objectives.plan import Pairing
from rpax.runs.config import TrainConfig
from rpax.runs.loop import metrics_row
from rpax.runs.prepare import prepare
from rpax.training.critic_update import CriticBatch, update_critics
from rpax.training.initial import initial_state
from rpax.training.metrics import _by_pairing
from rpax.training.problem import key_data
from rpax.training.rollout import roll_out, start_streams
from rpax.training.setup import make_problem
from rpax.training.trainer import Trainer

#: With these, pairings are repeated three times and once.
WEIGHTS = {"partner_play": 0.1, "crossplay_weight": 0.25}


def make(sampling: str, network: str):
    config = TrainConfig("ad-rpg", "matrix/figure-13", sampling=sampling, envs=8, steps=2, network=network).complete()
    objective = rpax.algorithm("ad-rpg", partner_play=0.1)
    return make_problem(config, objective, rpax.make("matrix/figure-13"))


def test_metrics_name_each_pairing_once():
    problem = make("weighted", "tabular")
    trainer = Trainer(problem, (0,), False, "float32")
    _, report = trainer.advance(trainer.init(), 1)
    row = metrics_row(problem, report, 0, 0, 1)
    rows = problem.plan.lookahead_pairings
    assert len(row["lookahead_episode_return"]) == len(set(rows)) == 8 < len(rows)
    # Episodes of one step: every environment of every repetition ends one in each of two steps.
    expected = [rows.count(pairing) * problem.numbers.envs * 2 for pairing in dict.fromkeys(rows)]
    np.testing.assert_array_equal(report.metrics.episodes["lookahead"][0], expected)


def test_sums_over_repetitions():
    p, q = Pairing("a", "b"), Pairing("b", "a")
    sums = jnp.array([[1.0, 2.0], [10.0, 20.0], [5.0, 6.0]])
    np.testing.assert_array_equal(_by_pairing(sums, (p, p, q)), [[11.0, 22.0], [5.0, 6.0]])
    np.testing.assert_array_equal(_by_pairing(sums[:2], (p, q)), sums[:2])


@pytest.mark.parametrize("repetitions", [2, 4])
def test_a_critic_learns_from_repetitions_as_from_one_batch(repetitions):
    problem = make("uniform", "mlp")
    state = jax.jit(functools.partial(initial_state, problem, exact=False))(key_data(0))
    pairing = problem.plan.all_pairings[3]
    everyone = {**state.base, **state.manipulators}
    streams = start_streams(problem.stage, key_data(1), 1, 8)
    play = functools.partial(roll_out, problem.stage, problem.players, pairings=(pairing,), steps=6)
    chunk, _ = jax.jit(play)(parameters=everyone, key=key_data(2), streams=streams)
    targets = jax.random.normal(jax.random.key(3), chunk.rewards.shape)

    def divided(leaf):
        """[time, 1, envs, …] as [time, repetitions, a part of envs, …]."""
        return leaf.reshape(leaf.shape[0], repetitions, -1, *leaf.shape[3:])

    parts = jax.tree.map(divided, chunk._replace(last=None))
    one, other = (
        jax.jit(lambda *recorded, p=pairings: update_critics(problem, key_data(4), state, [CriticBatch(p, *recorded)]))(
            *recorded
        )
        for pairings, *recorded in (
            ((pairing,), chunk, targets),
            ((pairing,) * repetitions, parts, divided(targets)),
        )
    )
    for leaf, its in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(leaf, its, rtol=1e-5, atol=1e-7)
    moved = jax.tree.map(lambda leaf, before: np.abs(leaf - before).max(), one[0], state.critics)
    assert min(jax.tree.leaves(moved)) > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"exact": True}, "makes no sense in exact mode"),
        ({"envs": 5}, "divides envs by 2, which 5 cannot be"),
        ({"envs": 8, "base_update": "ppo", "ppo_minibatches": 8}, "ppo_minibatches 8 does not divide envs 8 / 2"),
        ({"sampling": "equal"}, "give one of uniform, weighted"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, message):
    with pytest.raises(rpax.InputError, match=message):
        rpax.train("ad-rpg", "matrix/figure-13", **WEIGHTS, **{"sampling": "weighted", **settings})


@pytest.mark.parametrize(("envs", "sampling"), [(64, "weighted"), (6, "uniform")])
def test_the_presets_choice_gives_way_to_a_number_of_environments(envs, sampling):
    config, _ = prepare(TrainConfig("ad-rpg", "storm", envs=envs))
    assert config.sampling == sampling


def test_one_pairing_is_not_divided():
    config, objective = prepare(TrainConfig("sp", "storm", envs=2))
    problem = make_problem(config, objective, rpax.make("storm"))
    assert (config.sampling, problem.numbers.envs, len(problem.plan.lookahead_pairings)) == ("weighted", 2, 1)
